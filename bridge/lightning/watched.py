"""What every synthesis that goes over a network needs: a unit, deadlines, and one place where all is let go of.

Strategy:

- A synthesis goes through four stages, each with a deadline: a unit of concurrency, a connection, the first
  audio, the next audio. However it ends, everything it holds is let go of in that very moment, in one place.
- A door's own synthesis subclasses this: it says how to `_ask`, and how to `_hang_up`.
"""

from __future__ import annotations

import asyncio
import logging
import time

from bridge.errors import Busy, LightningError, TimedOut, Unavailable
from bridge.lightning.door import Door
from bridge.lightning.limits import QUEUE_TIMEOUT, Unit
from bridge.lightning.messages import SynthesisRequest
from bridge.lightning.speech import PartSink, Synthesis

logger = logging.getLogger(__name__)

#: More audio than this for a text is no speech of it: the slowest voice takes a quarter of it.
_FLOOD_S, _FLOOD_S_PER_CHAR = 20.0, 0.5


class WatchedSynthesis(Synthesis):
    """A synthesis through `door`. It holds one of its account's units from before the request until the end.

    Args:
        wait_s: how long to wait for a unit, instead of `queue_timeout_s`.
    """

    def __init__(
        self,
        request: SynthesisRequest,
        into: PartSink | None,
        door: Door,
        wait_s: float | None = None,
    ) -> None:
        super().__init__(request, into)
        self._home, self._config, self._stats = door, door.config, door.stats
        self._wait_s = self._config.queue_timeout_s if wait_s is None else wait_s
        self._unit: Unit | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._heard_at_s = 0.0
        self._stats.syntheses += 1
        self._task = asyncio.create_task(self._run())

    # -- what a door adds ------------------------------------------------------------------------------

    async def _ask(self) -> None:
        """Send the request, and see to it that what comes is given to `_take_audio` and `deliver`, up to `finish`.

        Calls `_sent` in between. May go on until all has come, or return as soon as somebody else sees to it.

        Raises:
            LightningError: why it cannot be had.
        """
        raise NotImplementedError

    def _hang_up(self) -> None:
        """Let go of the connection: `cancelled` and `error` say how it ended. Must be quick and not raise."""

    def _first_audio_limit_s(self) -> float:
        """How long the first audio may take. A door that makes all of it before it sends any allows more."""
        return self._config.first_audio_timeout_s

    # -- for the door ----------------------------------------------------------------------------------

    def _start_over(self) -> None:
        """Ask again, with the unit that is held."""
        self._unwatch()
        self._task = asyncio.create_task(self._run())

    def _sent(self) -> None:
        """The request is about to go out: the deadline for its first audio begins."""
        if self.requested_at_s is None:
            self.requested_at_s = time.monotonic()
        self._heard_at_s = self._loop.time()
        self._watch()

    def _take_audio(self, audio: bytes) -> None:
        if not audio:
            return  # nor does it count as a sign of life
        self._heard_at_s = self._loop.time()
        first = not self.audio_bytes
        self.deliver(audio)
        if first:
            self._watch()  # by the other deadline from now on
        if self.audio_bytes > self._flood_bytes():
            self._stats.floods += 1
            self.finish(self._unavailable("far more audio than the text can last", "flood"))

    def _complete(self) -> None:
        """All has come. Counts once, and not when it is over already."""
        if not self.over:
            self._stats.completed += 1
            self.finish()

    def _complete_if_heard(self, otherwise: str) -> None:
        """Nothing more will come. Without any audio that is no end but a failure, told by `otherwise`."""
        if self.audio_bytes:
            self._complete()
        else:
            self.finish(self._unavailable(otherwise, "no_audio"))

    def _unavailable(self, reason: str, code: str) -> Unavailable:
        return Unavailable(reason, code=code, request_id=self.request_id)

    def _text_chars(self) -> int:
        """How much there is to speak."""
        return len(self.request.text)

    def _flood_bytes(self) -> float:
        request = self.request
        seconds = _FLOOD_S + _FLOOD_S_PER_CHAR * self._text_chars() / request.speed
        return seconds * request.sample_rate * 2

    # -- from the unit to the end ----------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            if self._unit is None:
                self._unit = await self._home.units.acquire(self._wait_s)
                self.unit_at_s = self._loop.time()
            await self._ask()
        except LightningError as error:
            self.finish(error)
        except Exception:  # a bug of ours, but nobody may wait for ever because of it
            logger.exception("a synthesis could not be asked for")
            self.finish(self._unavailable("internal error", "internal"))

    def _watch(self) -> None:
        """Look whether the current deadline has passed; come back when it may have."""
        self._unwatch()
        if self.over:
            return
        first = not self.audio_bytes
        limit_s = self._first_audio_limit_s() if first else self._config.stall_timeout_s
        quiet_s = self._loop.time() - self._heard_at_s
        if quiet_s < limit_s:
            self._timer = self._loop.call_later(limit_s - quiet_s, self._watch)
            return
        self._time_out(limit_s)

    def _time_out(self, limit_s: float) -> None:
        """Nothing has come for `limit_s`."""
        first = not self.audio_bytes
        self._stats.late_first_audio += first
        self._stats.stalls += not first
        what, code = ("no audio", "first_audio_timeout") if first else ("no more audio", "stall_timeout")
        self.finish(TimedOut(f"{what} for {limit_s:g} s", code=code, request_id=self.request_id))

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _let_go(self) -> None:
        self._home.forget(self)
        if isinstance(self.error, Busy) and self.error.retry_after_s and self.error.code != QUEUE_TIMEOUT:
            self._home.units.hold(self.error.retry_after_s)
        self._unwatch()
        self._stats.cancelled += self.cancelled
        self._stats.failed += self.error is not None
        if self._task is not _current_task():
            self._task.cancel()
        self._hang_up()
        if self._unit is not None:
            self._unit.release()


def _current_task() -> asyncio.Task[object] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # outside of any loop, at its very end
        return None
