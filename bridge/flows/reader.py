"""Flow files: each step read by what it does, and every mistake told in one go."""

from __future__ import annotations

from pathlib import Path

from bridge.flows.model import Flow
from bridge.problems import Problem
from bridge.prompts.book import Book
from bridge.toml_source import TomlSource


def read_flows(folder: Path) -> tuple[dict[str, Flow], Book, list[Problem]]:
    """All flows of a folder by name, the prompts that stand in them, and what is wrong with the files.

    A flow of which a problem is fatal is there all the same, as far as it could be read: for checks, not for calls.
    """
    raise NotImplementedError


def read_flow(source: TomlSource) -> tuple[Flow | None, Book, list[Problem]]:
    """One flow, as far as it can be read, and the prompts that stand in it; None when it has no head to go by."""
    raise NotImplementedError
