"""``bridge prompts render``: what is missing, how far it is, and what came of it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from bridge.cli.account import note
from bridge.errors import ConfigError, LightningError
from bridge.lightning.client import require_usable
from bridge.observe.stats import PromptStats
from bridge.prompts.renderer import Progress, Renderer, Report, missing_in
from bridge.prompts.template import Piece, fixed_pieces

if TYPE_CHECKING:
    from bridge.cli.edition import Files
    from bridge.config import LightningConfig

#: How often it is told how far it is, where nobody watches a bar.
TOLD_EVERY_S: Final = 5.0
#: Of those that failed for the same reason, so many are named.
TOLD_PROMPTS: Final = 5

Told = Callable[[Progress], None]


class Wanted:
    """The pieces of some prompts, each once.

    Args:
        ids: of the prompts.
    """

    def __init__(self, files: Files, ids: Sequence[str]) -> None:
        keys = files.keys()
        #: By key.
        self.pieces: dict[str, Piece] = {}
        self._ids: dict[str, list[str]] = {}
        for prompt in ids:
            for piece in fixed_pieces(files.book.specs[prompt]):
                key = keys.of(piece.text, piece.options)
                self.pieces.setdefault(key, piece)
                self._ids.setdefault(key, []).append(prompt)
        self._keys = keys

    def prompts_of(self, piece: Piece) -> str:
        """The ids of the prompts that `piece` belongs to."""
        return ", ".join(self._ids.get(self._keys.of(piece.text, piece.options), ["?"]))


async def render_pieces(files: Files, ids: Sequence[str], *, jobs: int | None, source: str) -> int:
    """Render what is missing of the prompts `ids`. Returns the exit code.

    Raises:
        ConfigError: there is no key, or `jobs` is more than the account has.
    """
    wanted = Wanted(files, ids)
    missing = await asyncio.to_thread(missing_in, files.cache, wanted.pieces)
    there = len(wanted.pieces) - len(missing)
    if not missing:
        print(f"nothing to render: all {there} parts of {len(ids)} prompts are there")
        return 0
    config = _with_jobs(files.config.lightning, jobs)
    try:
        require_usable(config.entries[0])
    except ConfigError as error:
        raise ConfigError(error.reason, key=error.key, source=source) from None
    report = await _rendered(files, config, missing)
    return _tell(report, wanted, there, files)


def _with_jobs(config: LightningConfig, jobs: int | None) -> LightningConfig:
    if jobs is None:
        return config
    if jobs > config.concurrency:
        reason = (
            f"is more than lightning.concurrency, {config.concurrency}: raise that, if the account has more"
        )
        raise ConfigError(reason, key="--jobs")
    return config.with_changes({"concurrency": jobs})


async def _rendered(files: Files, config: LightningConfig, missing: Mapping[str, Piece]) -> Report:
    latest = Progress(len(missing))
    try:
        with shown(len(missing)) as show:

            def keep(progress: Progress) -> None:
                nonlocal latest
                latest = progress
                show(progress)

            async with Renderer(config, files.cache, PromptStats(), normalise=files.normalise) as renderer:
                return await renderer.render_missing(missing, keep)
    except asyncio.CancelledError:
        left = len(missing) - latest.rendered
        note(
            f"stopped: {latest.rendered} rendered and kept, {left} to go; the same command goes on from here"
        )
        raise


def _tell(report: Report, wanted: Wanted, there: int, files: Files) -> int:
    for error, of in _by_reason(report, wanted).items():
        more = f" and {len(of) - TOLD_PROMPTS} more" if len(of) > TOLD_PROMPTS else ""
        note(f"{', '.join(sorted(of)[:TOLD_PROMPTS])}{more}: {error}")
    there += report.cached
    failed = f"; {len(report.failures)} failed" if report.failures else ""
    print(f"{report.rendered} rendered, {report.seconds:.1f} s of audio; {there} were there already{failed}")
    if files.cache.write_error:
        note(f"{files.cache.folder}: cannot be written: {files.cache.write_error}; set prompts.cache")
    return 1 if report.failures or files.cache.write_error else 0


def _by_reason(report: Report, wanted: Wanted) -> dict[str, list[str]]:
    """Prompts that could not be rendered, by why; of the same reason, the request that met it first."""
    told: dict[str, str] = {}
    found: dict[str, list[str]] = {}
    for piece, error in report.failures:
        reason = told.setdefault(
            error.message if isinstance(error, LightningError) else str(error), str(error)
        )
        found.setdefault(reason, []).append(wanted.prompts_of(piece))
    return found


# -- how far it is -----------------------------------------------------------------------------------------------------


@contextmanager
def shown(total: int) -> Iterator[Told]:
    """A bar on standard error where somebody watches; else a line every so often."""
    if not sys.stderr.isatty():
        yield lines(time.monotonic)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[audio]}"), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=total, audio="")

        def show(progress: Progress) -> None:
            failed = f", {progress.failed} failed" if progress.failed else ""
            bar.update(task, completed=progress.done, audio=f"{progress.seconds:.0f} s of audio{failed}")

        yield show


def lines(now_s: Callable[[], float]) -> Told:
    """Notes how far it is, `TOLD_EVERY_S` apart."""
    told_at_s = now_s()

    def show(progress: Progress) -> None:
        nonlocal told_at_s
        if now_s() - told_at_s >= TOLD_EVERY_S:
            told_at_s = now_s()
            note(f"{progress.done} of {progress.total}, {progress.seconds:.0f} s of audio")

    return show
