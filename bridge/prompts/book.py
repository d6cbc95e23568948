"""Prompt files: what is said, by name, in which voice. Reading them is pure but for the files themselves.

# config/prompts/clinic.toml
voice = "sophia"                       # of all prompts of this file that do not say otherwise

[prompts.welcome]
text = "Welcome to Elm Street Clinic."

[prompts.balance]
text = "Hello {name}, your balance is {amount}."
variables = { amount = "money:USD" }   # how it is said: text, digits, number, date, time, money:CODE
private = ["amount"]                   # its sound is never kept on disk

[prompts.welcome.in.hi]                # the same in another language
text = "..."
voice = "..."

[prompts.hold]
file = "hold.wav"                      # recorded; any rate; beside this file
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bridge.problems import Problem
from bridge.prompts.spec import Book, PromptSpec, Speed, Variant
from bridge.toml_source import TomlSource

__all__ = [
    "Book",
    "Defaults",
    "PromptSpec",
    "Speed",
    "Variant",
    "faults_of",
    "merged",
    "read_book",
    "specs_of",
]


@dataclass(frozen=True, slots=True)
class Defaults:
    """What prompts have that do not say otherwise."""

    voice: str = ""
    language: str = ""
    speed: float | None = None


def read_book(folder: Path) -> tuple[Book, list[Problem]]:
    """All prompts of the ``*.toml`` in `folder`, and everything that is wrong with them.

    A prompt with a fatal problem is not in the book. `file` of a spec is a whole path.
    """
    raise NotImplementedError


def specs_of(
    source: TomlSource, tree_key: str = "prompts", defaults: Defaults | None = None
) -> tuple[dict[str, PromptSpec], dict[str, tuple[str, int]], list[Problem]]:
    """The prompts in one table of a file: specs by id, where each stands, and everything that is wrong with them.

    Args:
        tree_key: the table that holds them; no problem when it is not there.
        defaults: filled in where a prompt says nothing.
    """
    raise NotImplementedError


def faults_of(prompt: str, spec: PromptSpec) -> Iterator[tuple[str, str]]:
    """What types cannot say of `spec`, whose id is `prompt`: the key below it (empty: all of it) and the reason.

    Its recordings are looked at, not decoded.
    """
    raise NotImplementedError


def merged(*books: Book) -> tuple[Book, list[Problem]]:
    """One book of several. An id that stands twice is a problem of its second place, which names the first."""
    raise NotImplementedError
