"""A flow as a picture: Mermaid, and text."""
