"""A TOML file with the line that each key stands in: what a message about it needs, and `tomllib` does not tell.

Strategy:

- `tomllib` says whether a text is TOML and what it holds. Only a text that it has taken is scanned, so the scanner
  need not know what is wrong with one, nor what a value means: it finds where strings and comments end, and counts.
- A key's line is the one in which its last part stands first. A table that only other headers imply has the line of
  the first of them; an item of a list has its own.
- Keys are joined with dots as they are, without quotes: ``steps.menu.choices.*``. Where two come out the same
  (``a.b`` and ``"a.b"``), the first stands for both.

Facts, from TOML 1.0: a multi-line string may end in up to five quotes, two of which are its own; a line ends in LF or
CRLF; a comment may stand between the items of an array; an inline table is one line but for the strings and arrays
in it.
"""

from __future__ import annotations

import re
import stat
from bisect import bisect_left
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from bridge.config_tree import parse_toml, read_toml_text
from bridge.errors import ConfigError
from bridge.problems import Problem


@dataclass(frozen=True)
class TomlSource:
    """What a file holds, and where.

    Attributes:
        path: as it was named.
        tree: what `tomllib` made of it.
        lines: dotted key, as in ``steps.menu.choices.3`` or ``cases[0].next``, to its line, counted from 1.
    """

    path: str
    tree: dict[str, Any]
    lines: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> TomlSource:
        """Of a file.

        Raises:
            ConfigError: it cannot be read, or is not TOML; with line and column.
        """
        return cls.parse(read_toml_text(path), str(path))

    @classmethod
    def parse(cls, text: str, path: str) -> TomlSource:
        """Of a text; `path` is its name.

        Raises:
            ConfigError: it is not TOML; with line and column.
        """
        tree = parse_toml(text, path)
        try:
            return cls(path, tree, lines_of(text))
        except RecursionError:  # `tomllib` had a little more room than is left here
            raise ConfigError("is not TOML: nested too deep", source=path) from None

    def line_of(self, key: str) -> int:
        """The line of `key`, or of the nearest table that it belongs in; 0 when nothing of it is there."""
        return line_of(self.lines, key)


def sources_in(folder: Path) -> tuple[list[TomlSource], list[Problem]]:
    """The ``*.toml`` of a folder that can be read, in the order of their names, and what is wrong with the others."""
    try:
        paths = sorted(path for path in folder.iterdir() if _is_meant(path))
    except OSError as error:
        return [], [Problem(str(folder), 0, "", f"the folder cannot be read: {error.strerror}")]
    sources, problems = [], []
    for path in paths:
        try:
            _require_file(path)
            sources.append(TomlSource.read(path))
        except ConfigError as error:
            problems.append(Problem.of(error))
    return sources, problems


def _is_meant(path: Path) -> bool:
    """Not what editors leave beside a file that they have open."""
    return path.suffix == ".toml" and not path.name.startswith(".")


def _require_file(path: Path) -> None:
    """Refuse a pipe, say, which would be waited for."""
    try:
        mode = path.stat().st_mode
    except OSError:  # told by who reads it
        return
    if not stat.S_ISREG(mode):
        raise ConfigError("is no file", source=str(path))


def line_of(lines: dict[str, int], key: str) -> int:
    """The line of `key`, or of the nearest table or list that it belongs in; 0 when nothing of it is there."""
    while key:
        if line := lines.get(key):
            return line
        key = key[: max(key.rfind("."), key.rfind("["), 0)]
    return 0


def lines_of(text: str) -> dict[str, int]:
    """The line of every key, table and item of `text`, which `tomllib` must have taken."""
    scanner = _Scanner(text)
    scanner.scan()
    return scanner.lines


_SPACE: Final = re.compile(r"[ \t]*+")
_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*+)*+")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]++")
_STRING: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})' r"|'''.*?'''(?:'{0,2})" r'|"(?:\\.|[^"\\])*+"' r"|'[^']*+'",
    re.DOTALL,
)
#: A number, a date or a boolean. A date and its time may have a blank between them; none follows another value.
_PLAIN: Final = re.compile(r"[^\s,\]}#]++(?: [0-9:.+Zz-]++)?+")


#: Names of tables, and numbers of items.
_Path: TypeAlias = tuple[str | int, ...]


def dotted(path: _Path) -> str:
    """A path as a key: ``cases[0].next``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


class _Scanner:
    """Goes through a text once. Methods that read leave `_at` behind what they read."""

    def __init__(self, text: str) -> None:
        self.lines: dict[str, int] = {}
        self._text = text
        self._at = 0
        self._ends = [newline.start() for newline in re.finditer("\n", text)]
        #: How many tables an array of tables has so far.
        self._counts: dict[_Path, int] = {}

    def scan(self) -> None:
        """Fill `lines`."""
        table: _Path = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._follows("[["):
                table = self._header(2)
            elif self._follows("["):
                table = self._header(1)
            else:
                self._pair(table)
            self._skip(_BLANK)

    # -- headers and pairs

    def _header(self, brackets: int) -> _Path:
        """Read ``[table]`` or ``[[table]]``; where its pairs belong."""
        self._at += brackets
        parts = self._key()
        self._at += brackets
        if brackets == 1:
            return self._note_all((), parts)
        *above, (name, line) = parts
        array = self._note((*self._note_all((), above), name), line)
        number = self._counts.get(array, 0)
        self._counts[array] = number + 1
        return self._note((*array, number), line)

    def _pair(self, table: _Path) -> None:
        path = self._note_all(table, self._key())
        self._at += 1  # the sign of equality, at which a key ends
        self._skip(_SPACE)
        self._value(path)

    def _note_all(self, table: _Path, parts: list[tuple[str, int]]) -> _Path:
        """Note each part of a key below `table`; the whole of it, by way of the last item of each array of tables."""
        for name, line in parts:
            table = self._note((*table, name), line)
            if number := self._counts.get(table):
                table = (*table, number - 1)
        return table

    def _note(self, path: _Path, line: int) -> _Path:
        self.lines.setdefault(dotted(path), line)
        return path

    def _key(self) -> list[tuple[str, int]]:
        """Read a key; its parts, each with its line."""
        parts = []
        while True:
            self._skip(_SPACE)
            parts.append((self._part(), self._line()))
            self._skip(_SPACE)
            if not self._follows("."):
                return parts
            self._at += 1

    def _part(self) -> str:
        quote = self._text[self._at]
        if quote not in "\"'":
            return self._take(_BARE)
        quoted = self._take(_STRING)
        return _unescaped(quoted) if "\\" in quoted and quote == '"' else quoted[1:-1]

    # -- values

    def _value(self, path: _Path) -> None:
        if self._follows("["):
            self._array(path)
        elif self._follows("{"):
            self._inline_table(path)
        elif self._text[self._at] in "\"'":
            self._skip(_STRING)
        else:
            self._skip(_PLAIN)

    def _array(self, path: _Path) -> None:
        self._at += 1
        number = 0
        while self._more("]"):
            self._value(self._note((*path, number), self._line()))
            number += 1

    def _inline_table(self, path: _Path) -> None:
        self._at += 1
        while self._more("}"):
            self._pair(path)

    def _more(self, end: str) -> bool:
        """Pass the comma before the next item; False when there is none, and `end` is passed."""
        self._skip(_BLANK)
        if self._follows(","):
            self._at += 1
            self._skip(_BLANK)
        if not self._follows(end):
            return True
        self._at += 1
        return False

    # -- characters

    def _follows(self, mark: str) -> bool:
        return self._text.startswith(mark, self._at)

    def _take(self, what: re.Pattern[str]) -> str:
        found = what.match(self._text, self._at)
        assert found, f"tomllib took what is none of ours at {self._at}"
        self._at = found.end()
        return found[0]

    def _skip(self, what: re.Pattern[str]) -> None:
        self._take(what)

    def _line(self) -> int:
        """The line of what was read last, or else of what follows."""
        return bisect_left(self._ends, self._at) + 1


def _unescaped(quoted: str) -> str:
    """The key that a basic string is; `tomllib` knows its escapes."""
    (key,) = parse_toml(f"{quoted} = 0", "")
    return key
