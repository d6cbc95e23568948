"""What a rehearsal tells: the dialogue with its times, a verdict for each expectation, and the sum."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bridge.errors import BridgeError
from bridge.plain_text import plain
from bridge.rehearsal.dialogue import dialogue, plain_lines
from bridge.rehearsal.judge import answer_waits
from bridge.rehearsal.junit import Suite

if TYPE_CHECKING:
    from bridge.cli.rehearse import Take
    from bridge.rehearsal.dialogue import Line
    from bridge.rehearsal.judge import Verdict
    from bridge.rehearsal.run import Performance

_STYLES: Final = {"caller": "cyan", "agent": "green", "": "dim"}
_MARKS: Final = {"pass": "green", "fail": "bold red", "skip": "yellow"}
_MAX_CHARS: Final = 2000


def suite_of(take: Take, done: Performance | BridgeError) -> Suite:
    """A rehearsal as reports have it."""
    path = take.rehearsal.path
    if isinstance(done, BridgeError):
        return Suite(take.title, path, "", 0.0, error=str(done), number=take.repeated)
    return Suite(
        take.title,
        path,
        done.began.strftime("%Y-%m-%dT%H:%M:%S"),
        max(0.0, done.facts.ended_ms - done.facts.began_ms) / 1000,
        done.verdicts,
        plain_lines(dialogue(take.rehearsal, done.facts)),
        number=take.repeated,
    )


class Report:
    """Prints how it goes; nothing when `quiet`."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(highlight=False, quiet=quiet, soft_wrap=not sys.stdout.isatty())

    def waiting(self, take: Take) -> AbstractContextManager[object]:
        """What is shown while the call lasts."""
        if not self._console.is_terminal:
            return nullcontext()
        return self._console.status(f"on the phone: {plain(take.title, 80)}")

    def tell(self, take: Take, done: Performance, written: Path | None) -> None:
        """The call, and what was expected of it."""
        self._print(_text(take.title, "bold"), _text(f"   {done.agent}   {take.rehearsal.path}", "dim"))
        self._console.print(_lines(dialogue(take.rehearsal, done.facts)))
        for verdict in done.verdicts:
            self._print(*_verdict(take.rehearsal.path, verdict))
        self._print(_text(f"  {summary(done)}", "bold" if done.passed else "bold red"))
        if written:
            self._print(_text(f"  Listen: {written}"))
        self._console.print()

    def failed(self, take: Take, error: BridgeError) -> None:
        """One that could not be run."""
        self._print(_text(take.title, "bold"), _text(f"   {take.rehearsal.path}", "dim"))
        self._print(_text("  ERROR  ", "bold red"), _text(" ".join(str(error).split())))
        self._console.print()

    def sum_up(self, suites: Sequence[Suite]) -> None:
        """The last line, of several."""
        if len(suites) > 1:
            bad = sum(suite.failed for suite in suites)
            told = f"{len(suites)} rehearsals: {len(suites) - bad} passed, {bad} failed"
            self._print(_text(told, "bold red" if bad else "bold green"))

    def _print(self, *parts: Text) -> None:
        self._console.print(Text().join(parts))


def summary(done: Performance) -> str:
    """How it went, in a line."""
    facts, verdicts = done.facts, done.verdicts
    met = sum(verdict.outcome == "pass" for verdict in verdicts)
    told = f"{met} of {len(verdicts)} expectations met in {(facts.ended_ms - facts.began_ms) / 1000:.1f} s"
    waits = [wait_ms for wait_ms, _ in answer_waits(done.rehearsal, facts)]
    if not waits:
        return told
    return f"{told}; answered after {median(waits):.0f} ms in the middle, {max(waits):.0f} ms at most"


def _lines(lines: Sequence[Line]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for line in lines:
        style = _STYLES[line.who]
        told = _text(line.text, "" if line.who else "dim")
        if line.note:
            told.append(f"\n{plain(line.note, _MAX_CHARS)}", "dim")
        table.add_row(f"  {line.at_ms / 1000:.2f}", _text(line.who, style), told)
    return table


def _verdict(path: str, verdict: Verdict) -> list[Text]:
    mark = _text(f"  {verdict.outcome.upper()}  ", _MARKS[verdict.outcome])
    if not verdict.failed:
        return [mark, _text(f"{verdict.where}: {verdict.expected}")]
    where = f"{path}:{verdict.line}: {verdict.where}: "
    return [mark, _text(where), _text(verdict.expected, "bold"), _text(f"; instead: {verdict.told}")]


def _text(text: str, style: str = "") -> Text:
    """What agents and scripts say must not repaint a terminal."""
    return Text(plain(text, _MAX_CHARS), style)
