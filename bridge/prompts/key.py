"""What a piece of sound is kept under: everything that changes it. Pure."""
