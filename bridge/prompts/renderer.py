"""Prompts rendered into the cache: many at once, each by one process, as fast as the account allows.

Strategy:

- A unit of concurrency is never idle while there is something to render: there are more workers than units, so the
  next request waits for the unit that is released; locks, files and trimming are done without one.
- Whoever renders a piece holds its lock. Pieces that another process is rendering are left for last, and are in the
  cache by then, as a rule.
- A piece that fails stops no other. A disk that takes nothing stops all, because what is paid for would be lost; and
  so do `VAIN_PIECES`, when the first ones fail for want of a right key or of anybody who answers.
- What is in the cache is not rendered again: a run that was stopped goes on where it was.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Self

from bridge.config import LightningConfig
from bridge.errors import BridgeError, LightningError, PromptError, Unauthorized
from bridge.lightning.door import Door
from bridge.lightning.limits import Units
from bridge.lightning.stats import LightningStats
from bridge.observe.stats import PromptStats
from bridge.prompts.cache import LOCK_PATIENCE_S, SPOKEN, PromptCache
from bridge.prompts.key import Keys, Normaliser
from bridge.prompts.narrator import Narrator
from bridge.prompts.template import Piece
from telephony_codecs.formats import MULAW_8K

#: Codes of an answer that nobody gave.
NO_CONNECTION: Final = frozenset({"connect", "connect_timeout"})
#: Programs on this machine: no account limits them, but its processors do.
LOCAL_WORKERS: Final = 4
#: So many that fail before any is rendered, for what is no piece's own fault, are enough.
VAIN_PIECES: Final = 3


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is, in pieces. `seconds` of audio have been rendered now."""

    total: int
    #: In the cache already.
    cached: int = 0
    rendered: int = 0
    failed: int = 0
    seconds: float = 0.0

    @property
    def done(self) -> int:
        """Pieces that are no longer waited for."""
        return self.cached + self.rendered + self.failed


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it, in pieces, a piece that was given twice counted once; and the failures, with why."""

    total: int
    cached: int
    rendered: int
    seconds: float
    failures: list[tuple[Piece, BridgeError]] = field(default_factory=list)


class Renderer:
    """Renders pieces. Used as ``async with``.

    Args:
        config: who speaks: its first entry.
        cache: where they are kept; None keeps nothing.
        units, door, behind_calls, lightning_stats: as `Narrator` has them.
        normalise: what is done to text before it is spoken, as calls do it.
    """

    def __init__(
        self,
        config: LightningConfig,
        cache: PromptCache | None,
        stats: PromptStats,
        *,
        units: Units | None = None,
        door: Door | None = None,
        normalise: Normaliser | None = None,
        behind_calls: bool = False,
        lightning_stats: LightningStats | None = None,
    ) -> None:
        self._config, self._cache, self._keys = config, cache, Keys(config, normalise)
        self._narrator = Narrator(
            self._keys,
            stats,
            units=units,
            door=door,
            behind_calls=behind_calls,
            lightning_stats=lightning_stats,
        )

    async def __aenter__(self) -> Self:
        await self._narrator.__aenter__()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._narrator.__aexit__()

    async def render(
        self, pieces: Sequence[Piece], progress: Callable[[Progress], None] = lambda _progress: None
    ) -> Report:
        """Synthesise and keep those of `pieces` that are not in the cache; none that are private.

        Cancelled, what is done stays.

        Args:
            progress: told at the beginning, and whenever a piece is done.
        """
        wanted = {self._keys.of(piece.text, piece.options): piece for piece in pieces if not piece.private}
        missing = await asyncio.to_thread(missing_in, self._cache, wanted)
        return await self.render_missing(missing, progress, cached=len(wanted) - len(missing))

    async def render_missing(
        self, missing: Mapping[str, Piece], progress: Callable[[Progress], None], *, cached: int = 0
    ) -> Report:
        """As `render`, of what `missing_in` has found; `cached` others are there already."""
        # The longest first: what is begun last is soon over, and no unit waits long for another at the end.
        longest_first = dict(sorted(missing.items(), key=lambda item: len(item[1].text), reverse=True))
        work = _Work(longest_first, Progress(cached + len(missing), cached=cached), progress)
        await self._all(work, patience_s=0.0)
        await self._all(work.second_round(), patience_s=LOCK_PATIENCE_S)
        done = work.progress
        return Report(done.total, done.cached, done.rendered, done.seconds, work.failures)

    # -- many ------------------------------------------------------------------------------------------

    async def _all(self, work: _Work, patience_s: float) -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(len(work.queue), self._workers)):
                tasks.create_task(self._work(work, patience_s))

    @property
    def _workers(self) -> int:
        if self._config.door == "local":
            return LOCAL_WORKERS
        return 2 * self._narrator.units.concurrency + 2

    async def _work(self, work: _Work, patience_s: float) -> None:
        while work.queue:
            key, piece = work.queue.popleft()
            try:
                async with self._locked(key, patience_s) as is_mine:
                    if not is_mine:
                        work.theirs.append((key, piece))
                        continue
                    await self._one(work, key, piece)
            except BridgeError as error:
                work.failed(piece, error)

    async def _one(self, work: _Work, key: str, piece: Piece) -> None:
        if await self._kept(key) is not None:
            work.cached()
            return
        if work.stopped_by is not None:
            raise work.stopped_by
        audio = await self._narrator.speak(piece)
        if not await self._keep(key, piece, audio):
            work.stopped_by = self._unkept()
            raise work.stopped_by
        work.rendered(MULAW_8K.ms_in(len(audio)) / 1000)

    def _unkept(self) -> PromptError:
        assert self._cache is not None
        return PromptError(f"{self._cache.folder} takes no more files: {self._cache.write_error}")

    # -- one -------------------------------------------------------------------------------------------

    async def have(self, piece: Piece) -> bytes:
        """The audio of `piece`: out of the cache, or synthesised and kept there, if the disk takes it.

        Raises:
            LightningError: it could not be had.
        """
        key = self._keys.of(piece.text, piece.options)
        async with self._locked(key, LOCK_PATIENCE_S):
            if (audio := await self._kept(key)) is None:
                audio = await self._narrator.speak(piece)
                await self._keep(key, piece, audio)
            return audio

    @contextlib.asynccontextmanager
    async def _locked(self, key: str, patience_s: float) -> AsyncGenerator[bool, None]:
        """Whether `key` is ours to render: its lock is, or nobody can have it, or its owner tries our patience."""
        if self._cache is None:
            yield True
            return
        async with self._cache.lock(key, patience_s) as held:
            yield held != "theirs" or patience_s > 0

    async def _kept(self, key: str) -> bytes | None:
        return await asyncio.to_thread(self._cache.get, key) if self._cache else None

    async def _keep(self, key: str, piece: Piece, audio: bytes) -> bool:
        if self._cache is None or piece.private:
            return True
        return await asyncio.to_thread(self._cache.put, key, audio, about(piece, self._config))


class _Work:
    """What is to be rendered, and what has become of it so far."""

    def __init__(
        self, missing: dict[str, Piece], progress: Progress, tell: Callable[[Progress], None]
    ) -> None:
        self.queue = deque(missing.items())
        #: What another process is rendering.
        self.theirs: deque[tuple[str, Piece]] = deque()
        self.failures: list[tuple[Piece, BridgeError]] = []
        #: Why no more is tried.
        self.stopped_by: BridgeError | None = None
        self._vain = 0
        self.progress = progress
        self._tell = tell
        tell(progress)

    def second_round(self) -> _Work:
        """What is left is the work now."""
        self.queue, self.theirs = self.theirs, deque()
        return self

    def cached(self) -> None:
        self._note(replace(self.progress, cached=self.progress.cached + 1))

    def rendered(self, seconds: float) -> None:
        before = self.progress
        self._note(replace(before, rendered=before.rendered + 1, seconds=before.seconds + seconds))

    def failed(self, piece: Piece, error: BridgeError) -> None:
        self._vain += not self.progress.rendered and _is_everybodys(error)
        if self._vain == VAIN_PIECES:
            self.stopped_by = self.stopped_by or error
        self.failures.append((piece, error))
        self._note(replace(self.progress, failed=self.progress.failed + 1))

    def _note(self, progress: Progress) -> None:
        self.progress = progress
        self._tell(progress)


def _is_everybodys(error: BridgeError) -> bool:
    """Whether it is likely to be what all others meet, too."""
    return isinstance(error, Unauthorized) or (
        isinstance(error, LightningError) and error.code in NO_CONNECTION
    )


def missing_in(cache: PromptCache | None, wanted: Mapping[str, Piece]) -> dict[str, Piece]:
    """Those of `wanted`, by key, that are not in `cache`. Reads files: call it in a thread."""
    return {key: piece for key, piece in wanted.items() if cache is None or cache.get(key) is None}


def about(piece: Piece, config: LightningConfig) -> dict[str, str]:
    """What a file of the cache says of itself, for whoever looks into it: of a caller's data, not the words."""
    options = piece.options
    return {
        **({"of": "fixed", "text": piece.text} if piece.fixed else {"of": SPOKEN}),
        "model": options.get("model", config.model),
        "voice": options.get("voice_id", config.voice_id),
        "language": options.get("language", config.language),
        "speed": f"{options.get('speed', config.speed):g}",
    }
