"""A caller's data as they are said: digits, numbers, dates, times and money in the caller's language. No I/O."""

from __future__ import annotations

from collections.abc import Mapping


def check_kind(kind: str) -> None:
    """Refuse what is no kind of variable.

    Raises:
        ValueError: says what there is.
    """
    raise NotImplementedError


def say(value: object, kind: str, language: str) -> str:
    """`value` as it is said.

    Args:
        value: text, or a number. Dates and times are text: ISO 8601.
        kind: ``text``, ``digits``, ``number``, ``date``, ``time`` or ``money:CODE``.
        language: of the prompt; one that Babel does not know is read as English.

    Raises:
        ValueError: it is not what the kind wants, and what that is. It does not quote the value.
    """
    raise NotImplementedError


def spoken(
    values: Mapping[str, object], kinds: Mapping[str, str], language: str
) -> tuple[dict[str, str], list[str]]:
    """`values` as they are said, and what is wrong with them: a wrong one is said as it is, as text.

    A call must not die of a caller's data, so nothing is raised; whoever calls this logs what is wrong. It names
    variables and kinds, never a value.

    Args:
        kinds: of some variables; all others are ``text``.
    """
    raise NotImplementedError
