"""From a prompt and a caller's data to the pieces that are spoken. Pure."""
