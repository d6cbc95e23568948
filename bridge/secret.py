"""Strings that cannot be printed by accident, and tables that may hold some."""

from __future__ import annotations

from typing import Any, NoReturn


class Secret:
    """A string that prints as stars. `reveal` is the only way to the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one line that sends it."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Secret('***')" if self._text else "Secret('')"

    def __str__(self) -> str:
        return "***" if self._text else ""

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not serialised")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, _memo: object) -> Secret:
        return self


class Veiled(dict[str, Any]):
    """A table of settings whose types nobody knows yet: there may be secrets in it. It prints its keys alone."""

    def __repr__(self) -> str:
        return f"Veiled({', '.join(map(str, self))})"
