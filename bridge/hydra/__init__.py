"""Hydra, Smallest AI's speech to speech: a caller's voice in, an answering voice out, over one WebSocket."""
