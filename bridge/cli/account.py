"""What the commands about an account share: asking it, and showing what it says.

Strategy:

- Standard output holds the answer and nothing else: a table where somebody watches, aligned text where nobody does,
  or JSON. All else goes to standard error.
- What was written by others is shown without its control characters: a voice's name must not repaint a terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from bridge.cli.running import run
from bridge.errors import ConfigError

if TYPE_CHECKING:
    from bridge.config import LightningConfig
    from bridge.lightning.account import Account

T = TypeVar("T")

Row: TypeAlias = Sequence[str]


def ask(path: Path | None, question: Callable[[Account], Awaitable[T]]) -> T:
    """What the account of the key answers to `question`.

    Raises:
        ConfigError: the configuration is wrong, or holds no key.
        LightningError: there is no answer.
    """
    from bridge.lightning.account import Account

    lightning = _lightning_with_key(path)

    async def asked() -> T:
        async with Account(lightning) as account:
            return await question(account)

    return run(asked())


def show_json(value: object) -> None:
    """Print `value` as JSON, and nothing else."""
    import msgspec

    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def show_found(found: Sequence[T], none: str, columns: Row, row: Callable[[T], Row], *, json: bool) -> None:
    """Print what was found: as JSON, or under `columns` as `row` shows each; or note that there is `none`."""
    if json:
        show_json(found)
    elif found:
        show_table(columns, list(map(row, found)))
    else:
        note(none)


def show_table(columns: Row, rows: Sequence[Row]) -> None:
    """Print `rows` under `columns`."""
    rows = [[_shown(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _show_on_terminal(columns, rows)
    else:
        _show_plain([columns, *rows])


def note(text: str) -> None:
    """Say something that is no part of the answer."""
    print(text, file=sys.stderr)


def _lightning_with_key(path: Path | None) -> LightningConfig:
    """``[lightning]`` of `path` and the environment.

    Raises:
        ConfigError: it is wrong, or holds no key.
    """
    from bridge.config import load_config

    lightning = load_config(path).lightning
    if not lightning.api_key:
        raise ConfigError("is missing: set SMALLEST_API_KEY", key="lightning.api_key", source=str(path or ""))
    return lightning


def _show_plain(lines: Sequence[Row]) -> None:
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _show_on_terminal(columns: Row, rows: Sequence[Row]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text as Verbatim

    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, no_wrap=number == 0, overflow="fold")
    for row in rows:
        table.add_row(*map(Verbatim, row))  # as text, or it would be read as markup
    Console(highlight=False).print(table)


def _shown(cell: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in cell)
