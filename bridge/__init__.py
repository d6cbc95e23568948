"""Gives a phone call the voice of Lightning (Smallest AI), and stops the moment the caller talks."""

__version__ = "0.2.0"
