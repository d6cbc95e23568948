"""The `/waves/v1/tts/live` door: a synthesis is a message out and chunks back, on a socket of the pool.

Strategy:

- A synthesis goes through four stages, each with a deadline: a unit of concurrency, a socket, the first
  audio, the next audio. However it ends, everything it holds is let go of in that very moment, in one place.
- Once the request is out no task is left: the socket's reader hands on what comes, one timer looks after it.
- A reused socket may have been closed by the other end just before we wrote. Nothing has been heard then, so
  the request is made again on a fresh one, and nobody is told.
- Cancelled or failed: the socket is told to stop and never used again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from bridge.config import LightningConfig
from bridge.errors import Busy, LightningError, TimedOut, Unavailable
from bridge.lightning.connection import Link
from bridge.lightning.limits import Unit, Units
from bridge.lightning.messages import (
    Chunk,
    Complete,
    Failed,
    Message,
    SynthesisRequest,
    Word,
    encode_cancel,
    encode_request,
)
from bridge.lightning.pool import KEEPALIVE_S, Pool
from bridge.lightning.speech import PartSink, SpokenWord, Synthesis
from bridge.lightning.stats import LightningStats

logger = logging.getLogger(__name__)

QUEUE_TIMEOUT_S: Final = 10.0
#: More audio than this for a text is no speech of it: the slowest voice takes a quarter of it.
_FLOOD_S, _FLOOD_S_PER_CHAR = 20.0, 0.5


class LightningLive:
    """A `Synthesizer` on warm WebSockets. One for a process.

    Args:
        config: address, key, deadlines, spares, concurrency.
        queue_timeout_s: how long a synthesis may wait for a unit of concurrency.
        keepalive_s: idle seconds after which a socket is pinged.
    """

    def __init__(
        self,
        config: LightningConfig,
        *,
        stats: LightningStats | None = None,
        queue_timeout_s: float = QUEUE_TIMEOUT_S,
        keepalive_s: float = KEEPALIVE_S,
    ) -> None:
        self.config = config
        self._stats = stats or LightningStats()
        self.units = Units(config.concurrency, self.stats)
        self.pool = Pool(config, self.stats, keepalive_s)
        self.queue_timeout_s = queue_timeout_s
        self._active: set[_LiveSynthesis] = set()

    async def start(self) -> None:
        """Begin to open the spare connections. Does not wait for them, and does not fail without them."""
        self.pool.start()

    async def close(self) -> None:
        """Close every connection. What is being synthesised, or waits for it, fails."""
        for synthesis in list(self._active):
            synthesis.finish(Unavailable("the client is closed", code="closed"))
        await self.pool.close()

    async def __aenter__(self) -> LightningLive:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    @property
    def stats(self) -> LightningStats:
        """Where everything that goes other than well is counted."""
        return self._stats

    @property
    def last_error(self) -> LightningError | None:
        """Why Lightning cannot be reached; None when the last connection could be opened."""
        return self.pool.last_error

    def synthesize(self, request: SynthesisRequest, into: PartSink | None = None) -> Synthesis:
        """Ask for `request`. Returns at once; whatever goes wrong is told by the synthesis."""
        self.stats.syntheses += 1
        synthesis = _LiveSynthesis(self, request, into)
        self._active.add(synthesis)
        return synthesis

    def forget(self, synthesis: _LiveSynthesis) -> None:
        """It is over."""
        self._active.discard(synthesis)


class _LiveSynthesis(Synthesis):
    """A synthesis on a socket."""

    def __init__(self, live: LightningLive, request: SynthesisRequest, into: PartSink | None) -> None:
        super().__init__(request, into)
        self._live, self._config, self._stats = live, live.config, live.stats
        self._unit: Unit | None = None
        self._link: Link | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._heard_at_s = 0.0
        self._resent = False
        self._task = asyncio.create_task(self._ask())

    async def _ask(self) -> None:
        try:
            message = encode_request(self.request)
            if self._unit is None:
                self._unit = await self._live.units.acquire(self._live.queue_timeout_s)
            link = await self._live.pool.take(fresh=self._resent)
            self._link = link
            link.carry(self)
            if self.requested_at_s is None:
                self.requested_at_s = time.monotonic()
            self._heard_at_s = time.monotonic()
            self._watch()
            await link.send(message)
        except LightningError as error:
            self.finish(error)
        except Exception:  # a bug of ours, but nobody may wait for ever because of it
            logger.exception("a synthesis could not be asked for")
            self.finish(Unavailable("internal error", code="internal", request_id=self.request_id))

    # -- what the socket tells -------------------------------------------------------------------------

    def receive(self, message: Message) -> None:
        """Take a message that is for this synthesis."""
        if isinstance(message, Chunk):
            self._take_audio(message.audio)
        elif isinstance(message, Word):
            self.deliver(SpokenWord(message.word, message.start_ms, message.end_ms))
        elif isinstance(message, Complete):
            self._complete(message)
        elif isinstance(message, Failed):
            error = message.fault.as_error(self.request_id, secret=self._config.api_key.reveal())
            if message.fault.is_idle_timeout:
                self.dropped(error)
            else:
                self._stats.busy_answers += isinstance(error, Busy)
                self.finish(error)

    def dropped(self, error: LightningError) -> None:
        """The socket is gone, or as good as."""
        link = self._link
        if link is None or self.over:
            return
        if link.was_idle and not self.audio_bytes and not self._resent:
            self._stats.resends += 1
            self._resent = True
            self._leave(link)
            self._live.pool.retire(link)
            self._task = asyncio.create_task(self._ask())
        else:
            self.finish(error)

    def _take_audio(self, audio: bytes) -> None:
        if not audio:
            return  # nor does it count as a sign of life
        self._heard_at_s = time.monotonic()
        first = not self.audio_bytes
        self.deliver(audio)
        if first:
            self._watch()  # by the other deadline from now on
        if self.audio_bytes > _flood_bytes(self.request):
            self._stats.floods += 1
            self.finish(self._unavailable("far more audio than the text can last", "flood"))

    def _complete(self, message: Complete) -> None:
        if not self.audio_bytes and message.request_id is None and self._link and self._link.was_idle:
            # It may as well be the belated end of what was on this socket before.
            self.dropped(self._unavailable("ended before it began", "no_audio"))
        else:
            self._stats.completed += 1
            self.finish()

    # -- deadlines -------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Look whether the current deadline has passed; come back when it may have."""
        self._unwatch()
        if self.over:
            return
        first = not self.audio_bytes
        limit_s = self._config.first_audio_timeout_s if first else self._config.stall_timeout_s
        quiet_s = time.monotonic() - self._heard_at_s
        if quiet_s < limit_s:
            self._timer = asyncio.get_running_loop().call_later(limit_s - quiet_s, self._watch)
            return
        self._stats.late_first_audio += first
        self._stats.stalls += not first
        what, code = ("no audio", "first_audio_timeout") if first else ("no more audio", "stall_timeout")
        self.finish(TimedOut(f"{what} for {limit_s:g} s", code=code, request_id=self.request_id))

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    # -- the end ---------------------------------------------------------------------------------------

    def _let_go(self) -> None:
        self._live.forget(self)
        self._stats.cancelled += self.cancelled
        self._stats.failed += self.error is not None
        if self._task is not asyncio.current_task():
            self._task.cancel()
        link = self._link
        if link is not None:
            self._leave(link)
            if self.cancelled or self.error:
                self._live.pool.retire(link, encode_cancel(self.request_id))
            else:
                self._live.pool.give_back(link)
        if self._unit is not None:
            self._unit.release()

    def _leave(self, link: Link) -> None:
        link.release()
        self._link = None
        self._unwatch()

    def _unavailable(self, reason: str, code: str) -> Unavailable:
        return Unavailable(reason, code=code, request_id=self.request_id)


def _flood_bytes(request: SynthesisRequest) -> float:
    seconds = _FLOOD_S + _FLOOD_S_PER_CHAR * len(request.text) / request.speed
    return seconds * request.sample_rate * 2
