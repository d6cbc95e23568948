"""The one clock of a process: tells every playing call, every 20 ms, to send what is due.

Strategy:

- One timer for all calls. Twenty milliseconds are cut into four slots of 5 ms; a call that starts to play joins the
  slot that comes next, so each call is looked at once per packet and calls do not all wake at once.
- Ticks have numbers and tick n belongs to `epoch + n x 5 ms`. A late timer runs the ticks it missed, each slot at
  most once: what a call owes is decided by its own timeline, not by how often it is asked.
- The core (`step`) is told the time. Only `start` touches an event loop.
- A source that raises is dropped and reported; it cannot stop the clock for the others.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, Protocol

SLOTS: Final = 4
TICK_MS: Final = 5

log = logging.getLogger(__name__)


class Paced(Protocol):
    """Something that must be looked at once every 20 ms."""

    def tick(self, now_s: float) -> bool:
        """Send what is due. Return False to leave the clock."""


class Pacer:
    """The clock.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        #: Ticks that came so late that their slot had already come round again.
        self.missed_ticks = 0
        self._epoch_s = clock()
        self._tick = 0
        # Dicts for their order and cheap removal.
        self._slots: list[dict[Paced, None]] = [{} for _ in range(SLOTS)]
        self._beats: list[tuple[int, Callable[[float], None]]] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, source: Paced) -> None:
        """Tick `source` every 20 ms from now on, until its `tick` returns False. Adding it twice is harmless."""
        if not any(source in slot for slot in self._slots):
            due = int((self.clock() - self._epoch_s) * 1000 / TICK_MS) + 1
            self._slots[due % SLOTS][source] = None

    def remove(self, source: Paced) -> None:
        """Stop ticking `source`."""
        for slot in self._slots:
            slot.pop(source, None)

    def every(self, ticks: int, beat: Callable[[float], None]) -> None:
        """Call `beat(now_s)` on every `ticks`-th tick of 5 ms."""
        self._beats.append((ticks, beat))

    def step(self, now_s: float) -> None:
        """Run the ticks that belong to the time up to `now_s`."""
        target = int((now_s - self._epoch_s) * 1000 / TICK_MS + 1e-6)
        first = max(self._tick + 1, target - SLOTS + 1)
        self.missed_ticks += max(0, first - self._tick - 1)
        for tick in range(first, target + 1):
            self._run_slot(self._slots[tick % SLOTS], now_s)
        for ticks, beat in self._beats:
            if self._tick // ticks != target // ticks:
                beat(now_s)
        self._tick = max(self._tick, target)

    def _run_slot(self, slot: dict[Paced, None], now_s: float) -> None:
        gone: list[Paced] = []
        for source in tuple(slot):
            try:
                if not source.tick(now_s):
                    gone.append(source)
            except Exception:
                log.exception("a paced source failed and was dropped")
                gone.append(source)
        for source in gone:
            slot.pop(source, None)

    # -- the loop ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Run on the current event loop until `stop`. Starting twice is harmless."""
        if self._timer is None:
            self._tick = int((self.clock() - self._epoch_s) * 1000 / TICK_MS)
            self._schedule(asyncio.get_running_loop())

    def stop(self) -> None:
        """Leave the event loop; sources stay and go on with the next `start`."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        next_s = self._epoch_s + (self._tick + 1) * TICK_MS / 1000
        # uvloop counts timers in whole milliseconds: at least one, or an early timer would spin.
        self._timer = loop.call_later(max(0.001, next_s - self.clock()), self._wake, loop)

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        self.step(self.clock())
        if self._timer is not None:  # nobody stopped us meanwhile
            self._schedule(loop)
