"""Agents elsewhere, in any language: told of a call in JSON, over a WebSocket or by plain HTTP requests."""
