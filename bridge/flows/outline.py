"""A flow as an outline that is read in a terminal. Pure.

    welcome  say  “Welcome to Elm Street Clinic.”
    main  menu  “For an appointment, press 1.”
    ├─ 1 → date  gather  “Which day?”; 4 digits into day
    │  confirm  say  “Thank you.” ■
    ├─ 2 → main ↺
    └─ 3 tries → ■

Strategy:

- Each step is told once, where the shortest way from the start leads to it; elsewhere only its name, with ``↺``.
- A step that goes to one other only is followed by it, and not indented: depth means choice.
- No line is wider than it may be: words are cut, and what would be indented too deep is told below by itself.

Facts, from Unicode's annex 11: East Asian wide characters take two columns; marks that combine take none.
"""

from __future__ import annotations

import unicodedata
from collections import deque
from collections.abc import Container, Iterator
from typing import Final, NamedTuple

from bridge.flows.model import Flow
from bridge.flows.words import on_one_line, ways_of, words_of
from bridge.prompts.book import Book

END: Final = "■"
AGAIN: Final = "↺"
BELOW: Final = "↓"
_MIN_WIDTH: Final = 40
#: Nobody follows more indentation than this, however wide the terminal.
_MAX_INDENT: Final = 60


def text(flow: Flow, book: Book, *, width: int = 100) -> str:
    """An outline of `flow` in lines no wider than `width` columns, which ends in a line feed.

    Args:
        width: narrower than 40 is taken for 40.
    """
    outline = _Outline(flow, book, max(width, _MIN_WIDTH))
    return "\n".join([*outline.lines(), ""])


class _Way(NamedTuple):
    """One way on: to a step, or to the end of the call when `to` is empty."""

    label: str
    to: str


class _Outline:
    def __init__(self, flow: Flow, book: Book, width: int) -> None:
        self._flow, self._book, self._width = flow, book, width
        self._below: deque[str] = deque()
        #: Where each step is told: behind which other one. Those with which the telling begins have none.
        self._parents: dict[str, str] = {}
        self._told: set[str] = set()

    def lines(self) -> Iterator[str]:
        title = on_one_line(self._flow.file.title)
        yield cut(f"{self._flow.name}: {title}" if title else self._flow.name, self._width)
        yield from self._from(self._flow.file.start)
        for name in self._flow.steps:
            if name not in self._parents:
                yield from ("", "never reached:", *self._from(name))

    def _from(self, name: str) -> Iterator[str]:
        """The step `name` with all that follows, and what was too deep for it."""
        self._parents |= _shortest(self._flow, name, self._parents)
        self._below.append(name)
        while self._below:
            name = self._below.popleft()
            yield ""
            yield from self._step(name, "", "")

    def _step(self, name: str, first: str, prefix: str) -> Iterator[str]:
        """Steps in a row, from `name` on. `first` comes before the name, `prefix` before all lines after it."""
        while True:
            self._told.add(name)
            ways = self._ways(name)
            following = self._only(name, ways)
            end = f" {END}" if ways == [_Way("", "")] else ""
            again = (
                f" → {ways[0].to} {AGAIN}"
                if len(ways) == 1 and not (following or end or ways[0].label)
                else ""
            )
            yield self._line(first, name, end or again)
            if not following:
                break
            name, first = following, prefix
        if not (end or again):
            yield from self._choices(name, ways, prefix)

    def _line(self, first: str, name: str, mark: str) -> str:
        step = self._flow.steps.get(name)
        if step is None:
            return cut(f"{first}{name} (is not there){mark}", self._width)
        words = words_of(self._flow, name, self._book)
        told = "  ".join(part for part in (f"{first}{name}", step.do, words) if part)
        return cut(told, self._width - columns(mark)) + mark

    def _choices(self, name: str, ways: list[_Way], prefix: str) -> Iterator[str]:
        for number, way in enumerate(ways, 1):
            last = number == len(ways)
            label = f"{on_one_line(way.label)} → " if way.label else "→ "
            first = f"{prefix}{'└─ ' if last else '├─ '}{label}"
            below = f"{prefix}{'   ' if last else '│  '}"
            if not way.to:
                yield cut(first, self._width - 1) + END
            elif self._parents.get(way.to) != name or way.to in self._told:
                yield cut(f"{first}{way.to}", self._width - 2) + f" {AGAIN}"
            elif columns(first) > min(self._width // 2, _MAX_INDENT):
                self._told.add(way.to)
                self._below.append(way.to)
                yield cut(f"{first}{way.to}", self._width - 2) + f" {BELOW}"
            else:
                yield from self._step(way.to, first, below)

    def _ways(self, name: str) -> list[_Way]:
        """The ways on, those to the same step as one."""
        step = self._flow.steps.get(name)
        if step is None:
            return []
        return [
            *(_Way(label, to) for to, label in ways_of(step).items()),
            *(_Way(end.label, "") for end in step.ends()),
        ]

    def _only(self, name: str, ways: list[_Way]) -> str:
        """The one step that `name` goes to, if it is told here; else nothing."""
        if len(ways) != 1 or ways[0].label or not ways[0].to:
            return ""
        to = ways[0].to
        return to if self._parents.get(to) == name and to not in self._told else ""


def _shortest(flow: Flow, start: str, known: Container[str]) -> dict[str, str]:
    """Each step that can be reached from `start`, without `known`, with the one before it on a shortest way."""
    before = {start: ""}
    waiting = deque([start])
    while waiting:
        name = waiting.popleft()
        step = flow.steps.get(name)
        for exit in step.exits() if step else ():
            if exit.to not in before and exit.to not in known:
                before[exit.to] = name
                waiting.append(exit.to)
    return before


# -- columns -----------------------------------------------------------------------------------------------------------


def columns(words: str) -> int:
    """How many columns of a terminal `words` take."""
    return sum(map(_columns, words))


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(words: str, width: int) -> str:
    """`words` in at most `width` columns, with ``…`` where there was more."""
    if columns(words) <= width:
        return words
    room = width - 1
    kept = []
    for char in words:
        room -= _columns(char)
        if room < 0:
            break
        kept.append(char)
    return f"{''.join(kept).rstrip()}…"
