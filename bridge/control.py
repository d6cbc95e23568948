"""What can be done with a call past its media socket: through the carrier's REST API, or by its next question to us.

Strategy:

- A carrier says how (`bridge.carriers.rest.Plan`), this makes the requests: in time, counted when they fail, and in
  the background where nobody can wait for them.
- What an agent asks for and does not get is raised; what nobody waits for is logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Final, Literal, TypeAlias, TypeVar

from bridge.carriers.carrier import Carrier, How, IncomingCall, StreamUrls
from bridge.carriers.rest import Plan
from bridge.errors import CarrierError
from bridge.observe.stats import BridgeStats
from bridge.rest_client import REST_TIMEOUT_S, RestClient

T = TypeVar("T")

log = logging.getLogger(__name__)

#: What is asked of a carrier. A closed set: failures are counted by it.
Purpose: TypeAlias = Literal["answer", "dial", "hang_up", "transfer", "send_digits", "place_call"]

#: For all requests of one plan together.
PLAN_TIMEOUT_S: Final = REST_TIMEOUT_S
#: For what still runs when the process goes down: the last calls are being hung up then.
CLOSE_WITHIN_S: Final = 2.0


class Errands:
    """Makes the requests of plans for a process. Close it when done.

    Args:
        stats: where failures are counted.
        rest: who makes the requests.
    """

    def __init__(self, stats: BridgeStats, rest: RestClient | None = None) -> None:
        self._stats, self._rest = stats, rest or RestClient()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, purpose: Purpose, carrier: str, plan: Plan[T]) -> T:
        """Carry out `plan`, and return what it returns.

        Raises:
            CarrierError: it failed, or took too long.
        """
        try:
            async with asyncio.timeout(PLAN_TIMEOUT_S):
                return await self._rest.carry_out(plan)
        except TimeoutError:
            self._stats.rest_failures[purpose] += 1
            raise CarrierError(f"no answer within {PLAN_TIMEOUT_S:g} s", carrier=carrier) from None
        except CarrierError:
            self._stats.rest_failures[purpose] += 1
            raise

    def start(self, purpose: Purpose, carrier: str, plan: Callable[[], Plan[None] | None]) -> None:
        """Carry out what `plan` returns, if anything, while nobody waits: a failure is logged."""
        self.spawn(self._errand(purpose, carrier, plan), f"{purpose} of {carrier}")

    def spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        """Run `work` in the background, to its end or to `close`."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def close(self) -> None:
        """Give what still runs a moment, then give it up, and let go of the connections."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=CLOSE_WITHIN_S)
        if left := set(self._tasks):
            for task in left:
                task.cancel()
            await asyncio.wait(left)
        await self._rest.close()

    async def _errand(self, purpose: Purpose, carrier: str, plan: Callable[[], Plan[None] | None]) -> None:
        try:
            if (steps := plan()) is not None:
                await self.run(purpose, carrier, steps)
        except CarrierError as error:
            log.error("%s failed: %s", purpose, error)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed", task.get_name(), exc_info=error)


class CallControl:
    """What can be done with one call.

    Args:
        carrier: whose call it is.
        call: as the carrier announced it.
        urls: the bridge's own addresses, as the carrier reaches them.
        errands: who makes the requests.
    """

    def __init__(self, carrier: Carrier, call: IncomingCall, urls: StreamUrls, errands: Errands) -> None:
        self._carrier, self._call, self._urls, self._errands = carrier, call, urls, errands
        can = carrier.capabilities
        #: Whether the media socket's own messages do these.
        self.transfers_by_message = can.transfer is How.MESSAGE
        self.sends_digits_by_message = can.send_digits is How.MESSAGE
        #: Whether the carrier tells of keys that the caller presses.
        self.tells_keys = can.dtmf

    async def transfer(self, to: str) -> None:
        """Connect the caller to `to`, or find out that closing the socket will.

        Raises:
            CarrierError: it did not work, or, as Unsupported, cannot.
        """
        plan = self._carrier.transfer(self._call, to, self._urls)
        if plan is not None:
            await self._errands.run("transfer", self._carrier.name, plan)

    async def send_digits(self, digits: str) -> None:
        """Press keys towards the caller.

        Raises:
            CarrierError: it did not work, or, as Unsupported, cannot.
        """
        plan = self._carrier.send_digits(self._call, digits)
        await self._errands.run("send_digits", self._carrier.name, plan)

    def abandon(self) -> None:
        """The stream has failed: end the call where the caller would be left on a silent line; returns at once."""
        self._errands.start("hang_up", self._carrier.name, lambda: self._carrier.abandon(self._call))

    def hang_up(self) -> None:
        """End the call where closing its socket is not enough; returns at once."""
        self._errands.start("hang_up", self._carrier.name, lambda: self._carrier.hang_up(self._call))
