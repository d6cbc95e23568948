"""Real time: what the caller is hearing, and when the caller wants to be heard."""
