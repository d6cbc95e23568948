"""A TOML file with the line that each key stands in: what a message about it needs, and `tomllib` does not tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.config_tree import read_toml


@dataclass(frozen=True)
class TomlSource:
    """What a file holds, and where.

    Attributes:
        path: as it was named.
        tree: what `tomllib` made of it.
        lines: dotted key, as in ``steps.menu.choices.3``, to its line, counted from 1.
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
        return cls(str(path), read_toml(path))

    @classmethod
    def parse(cls, text: str, path: str) -> TomlSource:
        """Of a text; `path` is its name.

        Raises:
            ConfigError: it is not TOML; with line and column.
        """
        raise NotImplementedError

    def line_of(self, key: str) -> int:
        """The line of `key`, or of the nearest table that it belongs in; 0 when nothing of it is there."""
        while key:
            if line := self.lines.get(key):
                return line
            key = key.rpartition(".")[0]
        return 0
