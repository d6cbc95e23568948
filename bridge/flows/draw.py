"""A flow as a picture: Mermaid for documents, an outline for the terminal."""

from __future__ import annotations

from bridge.flows.model import Flow
from bridge.prompts.book import Book


def mermaid(flow: Flow, book: Book) -> str:
    """A Mermaid flowchart."""
    raise NotImplementedError


def text(flow: Flow, book: Book, *, width: int = 100) -> str:
    """An outline of lines no wider than `width` columns."""
    raise NotImplementedError
