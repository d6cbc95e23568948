"""Smallest AI's Lightning: text in, telephone audio out."""
