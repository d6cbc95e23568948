"""What the calls of a process cost while they are on, and the end of those that have cost too much.

Strategy:

- Once a second, the seconds of every call are counted. Characters and tokens are counted where they are spent.
- A call past its limit ends politely: whoever talks is stopped, the caller hears a goodbye. One that has more to say
  than is paid for says what is; an agent that does not mind is stopped a little later, and one that cannot be
  stopped loses its line.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Final

from bridge.budget import Budget
from bridge.call import Call
from bridge.config_agents import BudgetConfig
from bridge.errors import BudgetSpent
from bridge.observe.stats import AgentStats

log = logging.getLogger(__name__)

#: From the end of what a call may cost to the end of an agent that goes on all the same, then to that of the line.
GRACE_S: Final = 10.0
#: Why such a call is over.
SPENT: Final = "budget"


class Spending:
    """The accounts of a process and of its calls.

    Args:
        unix_clock: seconds since 1970.
    """

    def __init__(self, config: BudgetConfig, stats: AgentStats, unix_clock: Callable[[], float]) -> None:
        self.budget = Budget(config, stats, unix_clock, _warn)
        #: Until when the seconds of each call have been counted.
        self._counted_s: dict[str, float] = {}
        #: When each call was found to be past its limit.
        self._over_s: dict[str, float] = {}
        self._cutoffs: dict[str, asyncio.Timeout] = {}

    async def within(self, call: Call, agent: Awaitable[None]) -> None:
        """Wait for `agent`, for as long as the call may go on.

        Raises:
            BudgetSpent: it may not, and the agent has been stopped.
        """
        cutoff = asyncio.timeout(None)
        try:
            async with cutoff:
                self._cutoffs[call.id] = cutoff
                await agent
        except TimeoutError:
            if cutoff.expired():
                raise BudgetSpent(call.budget.over) from None
            raise
        finally:
            self._cutoffs.pop(call.id, None)

    def beat(self, calls: Iterable[Call], now_s: float) -> None:
        """Count the seconds of `calls`, and end those that may not go on."""
        for call in calls:
            self._count(call, now_s)
            if call.budget.over:
                self._end(call, now_s)

    def close(self, call: Call, now_s: float) -> None:
        """The call is over: count the rest of it, and forget it."""
        self._count(call, now_s)
        self._counted_s.pop(call.id, None)
        self._over_s.pop(call.id, None)

    def _count(self, call: Call, now_s: float) -> None:
        seconds = now_s - self._counted_s.get(call.id, call.started_s)
        self._counted_s[call.id] = now_s
        with suppress(BudgetSpent):
            call.budget.spend("seconds", seconds)

    def _end(self, call: Call, now_s: float) -> None:
        over_for_s = now_s - self._over_s.setdefault(call.id, now_s)
        if over_for_s >= 2 * GRACE_S:
            call.drop(1000, SPENT)
        elif over_for_s >= GRACE_S or call.budget.over.startswith("seconds"):
            self._stop(call)

    def _stop(self, call: Call) -> None:
        cutoff = self._cutoffs.get(call.id)
        if cutoff is not None and cutoff.when() is None:
            cutoff.reschedule(asyncio.get_running_loop().time())


def _warn(limit: str) -> None:
    log.warning("budget.%s is spent: new calls are refused until midnight UTC", limit)
