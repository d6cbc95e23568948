"""How many syntheses the account may run at once.

Strategy:

- Lightning refuses what is over the account's concurrency and does not queue it. So it is queued here, first
  come first served, each with a deadline.
- A unit is free the moment it is released, not at the next turn of the loop: a barge-in must not keep others
  waiting.
- A waiter that gives up, by deadline or by cancellation, never takes a unit with it.
- When Lightning itself said to come back later, nothing is started before then, whoever asks; and who could not
  wait that long is told so at once, while there is time to have somebody else speak.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Final

from bridge.errors import Busy
from bridge.lightning.stats import LightningStats

#: `Busy.code` when the queue was ours. Asking again would only queue again.
QUEUE_TIMEOUT: Final = "queue_timeout"
#: Told to come back later than this, we look again all the same.
MAX_HOLD_S: Final = 30.0


class Unit:
    """The right to run one synthesis. `release` it exactly when that is over; more often does no harm."""

    __slots__ = ("_units",)

    def __init__(self, units: Units) -> None:
        self._units: Units | None = units

    def release(self) -> None:
        """Give it back, at once."""
        units, self._units = self._units, None
        if units is not None:
            units._give_back()


class Units:
    """The account's concurrency, as far as this process may use it.

    Args:
        concurrency: units in all.
        stats: where waits are counted.
    """

    def __init__(self, concurrency: int, stats: LightningStats | None = None) -> None:
        self.concurrency = concurrency
        self.in_use = 0
        self._stats = stats or LightningStats()
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._held_until_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def held_s(self) -> float:
        """For how long nothing is started, because Lightning said so."""
        return max(0.0, self._held_until_s - asyncio.get_running_loop().time())

    def hold(self, seconds: float) -> None:
        """Lightning said to come back in `seconds`. Who has a unit keeps it."""
        loop = asyncio.get_running_loop()
        self._held_until_s = max(self._held_until_s, loop.time() + min(seconds, MAX_HOLD_S))
        if self._timer is None:
            self._timer = loop.call_at(self._held_until_s, self._resume)

    @property
    def free(self) -> bool:
        """Whether a unit could be had at once."""
        return self.in_use < self.concurrency and not self.held_s

    @property
    def waiting(self) -> int:
        """Syntheses that wait for a unit."""
        return sum(not waiter.done() for waiter in self._waiters)

    async def acquire(self, timeout_s: float) -> Unit:
        """A unit, as soon as one is free and nobody came before. `release` it when the synthesis is over.

        Raises:
            Busy: none was free within `timeout_s` seconds, or none can be because of a `hold`.
        """
        # If one is free then nobody waits: a freed unit is handed on, never left lying.
        if self.free and not self._waiters:
            self.in_use += 1
            return Unit(self)
        self._stats.unit_waits += 1
        if (held_s := self.held_s) > timeout_s:
            self._stats.unit_timeouts += 1
            raise Busy(
                f"Lightning asked for a pause of {held_s:.1f} s more",
                code=QUEUE_TIMEOUT,
                retry_after_s=held_s,
            )
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await waiter
        except BaseException as error:
            self._give_up(waiter)
            if not isinstance(error, TimeoutError):
                raise
        else:
            return Unit(self)
        self._stats.unit_timeouts += 1
        raise Busy(
            f"all {self.concurrency} units of concurrency were in use for {timeout_s:g} s", code=QUEUE_TIMEOUT
        )

    def _give_up(self, waiter: asyncio.Future[None]) -> None:
        if waiter.done() and not waiter.cancelled():
            self._give_back()  # it was handed a unit in the very turn in which it gave up
        else:
            waiter.cancel()
            with contextlib.suppress(ValueError):  # `_hand_out` has already passed over it
                self._waiters.remove(waiter)

    def _give_back(self) -> None:
        """Hand the unit to whoever waits longest, or keep it."""
        self.in_use -= 1
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiters and self.free:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self.in_use += 1
                waiter.set_result(None)

    def _resume(self) -> None:
        """The hold may be over."""
        self._timer = None
        if self.held_s:
            self.hold(0.0)
        else:
            self._hand_out()
