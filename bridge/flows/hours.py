"""Business hours. Pure."""
