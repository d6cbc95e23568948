"""Calls that we asked a carrier to place, until they are here: which agent is to talk to whom.

Strategy:

- The carrier's answer names the call, by its id or by what its webhook calls the request for it. The call's own webhook
  or stream may be faster than that answer, so a call that nobody expected waits for the answers that were out when it
  came.
- What is kept is bounded: a call that nobody answers never comes. So is what is asked for at once.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable
from typing import Final

from bridge.agents.loader import Agent
from bridge.errors import Refused
from bridge.rest_client import REST_TIMEOUT_S

#: Calls that were placed and have not come yet.
EXPECTED: Final = 1000
#: Calls that one carrier is being asked for at the same time. It takes a second or so each; who wants more may wait.
ASKED: Final = 100


class Placements:
    """Who talks to the calls that were placed."""

    def __init__(self) -> None:
        self._agents: OrderedDict[tuple[str, str], Agent] = OrderedDict()
        self._asked: defaultdict[str, set[asyncio.Future[str]]] = defaultdict(set)

    async def place(self, carrier: str, agent: Agent, asking: Callable[[], Awaitable[str]]) -> str:
        """Wait for the carrier to name the call that it was asked for, and keep `agent` for it.

        Returns:
            The call's id.

        Raises:
            Refused: too many are being asked for already.
            CarrierError: whatever `asking` raises.
        """
        asked = self._asked[carrier]
        if len(asked) >= ASKED:
            raise Refused("placing", f"{carrier} is being asked for {ASKED} calls already", status=503)
        answer = asyncio.ensure_future(self._placed(carrier, agent, asking()))
        asked.add(answer)
        try:
            return await answer
        finally:
            asked.discard(answer)

    async def agent_of(self, carrier: str, call_id: str, placed_as: str = "") -> Agent | None:
        """Who talks to a call that has just begun; None when it is not one of these."""
        waited_for, names = set(self._asked[carrier]), {(carrier, call_id), (carrier, placed_as)}
        try:
            async with asyncio.timeout(REST_TIMEOUT_S):
                while waited_for and names.isdisjoint(self._agents):
                    _, waited_for = await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            pass
        found = [self._agents.pop(name) for name in names if name in self._agents]
        return found[0] if found else None

    async def _placed(self, carrier: str, agent: Agent, asking: Awaitable[str]) -> str:
        call_id = await asking
        self._agents[carrier, call_id] = agent
        if len(self._agents) > EXPECTED:
            self._agents.popitem(last=False)
        return call_id
