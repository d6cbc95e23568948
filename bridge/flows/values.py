"""Variables of a flow: as text, as numbers, compared, filled into text, and taken from JSON. Pure.

Strategy:

- What is asked for decides how it is compared: with a number as numbers, with text as text. Keys are text, so "007" is
  the number 7 and not the text "7". White space around text does not count.
- A variable without a value is as good as none: it fills in nothing, and no comparison with it is true.
- What came from outside is cut to a limit and has no control characters.
- What is private is shown by no repr: neither of the variables nor of what was made of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from bridge.flows.model import Case, Value
from bridge.observe.timeline import HIDDEN
from bridge.plain_text import plain
from bridge.prompts.template import BRACES

#: What JSON holds, once decoded.
Json: TypeAlias = "None | bool | int | float | str | list[Json] | dict[str, Json]"

MAX_VALUE_CHARS: Final = 1000
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?")
_INDEX: Final = re.compile(r"[0-9]{1,6}")


class Masked(str):
    """Text whose repr does not show it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"'{HIDDEN}'"


class Variables(dict[str, Value]):
    """Values by name. Those named in `private` are not shown by the repr, now or later."""

    def __init__(self, values: Mapping[str, Value] | None = None, private: Iterable[str] = ()) -> None:
        super().__init__({name: kept(value) for name, value in (values or {}).items()})
        self.private: set[str] = set(private)

    def __repr__(self) -> str:
        return repr({name: Masked() if name in self.private else value for name, value in self.items()})

    def put(self, name: str, value: Value) -> None:
        """Give `name` a value; what private ones went into is private, too."""
        if isinstance(value, Masked):
            self.private.add(name)
        self[name] = kept(value)

    def only(self, names: Iterable[str]) -> Variables:
        """A copy of those among `names` that have a value."""
        return Variables({name: self[name] for name in names if name in self}, self.private)

    def texts(self) -> dict[str, str]:
        """All of them as text."""
        return {name: self._text(name) for name in self}

    def filled(self, template: str, *, percent_encoded: bool = False) -> str:
        """`template` with its ``{variables}``.

        Args:
            percent_encoded: for a URL. A value of nothing but dots is left out: as a part of a path it would climb.
        """
        names: set[str] = set()

        def text_for(found: re.Match[str]) -> str:
            name = found[1]
            if name is None:
                return found[0][0]
            names.add(name)
            text = self._text(name)
            return _as_part(text) if percent_encoded else text

        text = BRACES.sub(text_for, template)
        return Masked(text) if names & self.private else text

    def _text(self, name: str) -> str:
        text = text_of(self.get(name, ""))
        return Masked(text) if name in self.private else text


def filled_in(options: Mapping[str, Any], variables: Variables) -> dict[str, Any]:
    """`options` with the variables of all text in it, however deep."""

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return variables.filled(value)
        if isinstance(value, list):
            return [filled(item) for item in value]
        return filled_in(value, variables) if isinstance(value, dict) else value

    return {key: filled(value) for key, value in options.items()}


def kept(value: Value) -> Value:
    """`value` as a variable may have it."""
    return plain(value, MAX_VALUE_CHARS) if isinstance(value, str) else value


def text_of(value: Value) -> str:
    """A value as it is said, sent in a URL, and compared with text: 7.0 is ``7``, True is ``true``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def number_of(value: Value | None) -> int | float | None:
    """A number, or text that is one (``12``, ``-0.5``); None for all else."""
    if isinstance(value, str):
        text = value.strip()
        if not _NUMBER.fullmatch(text):
            return None
        return float(text) if "." in text else int(text)
    return None if isinstance(value, bool) else value


def plus(value: Value | None, more: int | float) -> int | float:
    """The sum; what is no number counts as 0, and one that is too large for sums stays as it is."""
    number = number_of(value) or 0
    try:
        return round(number + more, 9)  # 0.1 + 0.2 is 0.3 to whoever compares it
    except OverflowError:
        return number


def equals(value: Value | None, wanted: Value) -> bool:
    """Whether a variable's value is `wanted`, whose type says how they are compared."""
    if value is None:
        return False
    if isinstance(wanted, int | float) and not isinstance(wanted, bool):
        return number_of(value) == wanted
    return text_of(value).strip() == text_of(wanted).strip()


def passes(value: Value | None, case: Case) -> bool:
    """Whether a variable's value passes the test of `case`."""
    if case.present is not None:
        return bool(value) == case.present
    if case.equals is not None:
        return equals(value, case.equals)
    if case.one_of is not None:
        return any(equals(value, wanted) for wanted in case.one_of)
    number = number_of(value)
    above = case.above is None or (number is not None and number > case.above)
    below = case.below is None or (number is not None and number < case.below)
    return above and below


def taken(body: Json, path: str) -> Value | None:
    """What is in JSON at `path`: ``account.balance``, ``items.0.name``. None when there is no text, number or bool."""
    for part in path.split("."):
        if isinstance(body, dict):
            body = body.get(part)
        elif isinstance(body, list) and _INDEX.fullmatch(part) and int(part) < len(body):
            body = body[int(part)]
        else:
            return None
    return kept(body) if isinstance(body, str | int | float) else None


def _as_part(text: str) -> str:
    return quote(text, safe="") if text.strip(".") else ""
