"""Calls that cost too much, in virtual time: what the caller hears, and when the line is gone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bridge.agents.loader import Agent
from bridge.call import Call
from bridge.carriers.carrier import IncomingCall
from bridge.carriers.dialect import MarkPlayed
from bridge.carriers.twilio import TwilioDialect
from bridge.errors import BridgeError, Refused
from bridge.observe import timeline as tl
from bridge.prompts import Prompt, goodbye
from bridge.server.runtime import Runtime
from bridge.server.spending import GRACE_S
from bridge.wire import Wire
from tests.support.bridge import make_config
from tests.support.call import PlayedLine, sound
from tests.support.twilio_frames import ACCOUNT_ID, frame
from tests.support.virtual_time import virtual


class Room:
    """A runtime with a budget, and one call."""

    def __init__(self, agent: Agent, **budget: int) -> None:
        loop = asyncio.get_running_loop()
        config = make_config("http://127.0.0.1:1", "tests.support.agents:waits_for_ever", budget=budget)
        self.runtime = Runtime(config, agent, clock=loop.time, unix_clock=loop.time)
        self.trace: list[tuple[str, Any]] = []
        self.line = PlayedLine(loop, self.trace)
        dialect = TwilioDialect()
        dialect.receive(frame("start"))
        incoming = IncomingCall("CA1", ACCOUNT_ID, "", "", "inbound")
        self.call = self.runtime.open_call("twilio", incoming, self.line, Wire(dialect), can_speak=True)
        self.line.answer = lambda name: self.call.receive(MarkPlayed(name))

    async def run(self) -> None:
        """The agent, while the carrier sends on; then the call is closed."""
        sends = asyncio.create_task(self._send())
        agent = asyncio.create_task(self.runtime.run_agent(self.call))
        await self.call.over.wait()
        agent.cancel()
        await asyncio.wait({agent})
        sends.cancel()
        self.runtime.close_call(self.call, "carrier")

    async def _send(self) -> None:
        while True:
            self.call.messages += 50
            await asyncio.sleep(0.5)

    @property
    def audio(self) -> bytes:
        return b"".join(value for kind, value in self.trace if kind == "audio")

    def limits(self) -> list[str]:
        return [entry.limit for entry in self.call.timeline if isinstance(entry, tl.BudgetSpent)]


async def waits(_call: Call) -> None:
    await asyncio.get_running_loop().create_future()


async def plays_for_ever(call: Call) -> None:
    await call.play(Prompt(sound(3, 200)), for_s=1000)


async def spends_tokens(call: Call) -> None:
    call.budget.spend("tokens", 11)


async def minds_no_budget(call: Call) -> None:
    while True:
        try:
            call.budget.spend("tokens", 11)
            await asyncio.sleep(1)
        except BridgeError:
            await asyncio.sleep(1)


async def cannot_be_stopped(call: Call) -> None:
    while not call.ended:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            call.note(tl.ThinkingFailed, failure="stubborn")


@pytest.mark.parametrize(
    ("agent", "limit", "heard_before"),
    [
        pytest.param(waits, "seconds_per_call", False, id="waits"),
        pytest.param(plays_for_ever, "seconds_per_call", True, id="speaks"),
        pytest.param(spends_tokens, "tokens_per_call", False, id="spends"),
        pytest.param(minds_no_budget, "tokens_per_call", False, id="goes on all the same"),
        pytest.param(waits, "seconds_per_day", False, id="the day's"),
    ],
)
@virtual
async def test_the_caller_hears_a_goodbye_and_the_call_ends(
    agent: Agent, limit: str, heard_before: bool
) -> None:
    room = Room(agent, **{limit: 10})
    await room.run()
    before, _, after = room.audio.partition(goodbye().audio)
    assert goodbye().audio in room.audio
    assert bool(before) is heard_before
    assert after.strip(b"\xff") == b""
    assert room.line.closes == [(1000, "agent")]
    assert room.limits() == [limit]
    assert room.runtime.stats.agents.budgets == {limit: 1}
    assert room.runtime.stats.agent_errors == 0


@virtual
async def test_an_agent_that_cannot_be_stopped_loses_its_line() -> None:
    room = Room(cannot_be_stopped, seconds_per_call=10)
    await room.run()
    assert room.line.closes == [(1000, "budget")]
    assert room.runtime.stats.calls_ended == {"budget": 1}
    assert 10 + 2 * GRACE_S <= room.call.now_ms / 1000 <= 10 + 2 * GRACE_S + 3


@virtual
async def test_while_a_days_limit_is_spent_new_calls_are_refused() -> None:
    room = Room(spends_tokens, tokens_per_day=10)
    room.runtime.admission.refuse_new_calls()
    await room.run()
    with pytest.raises(Refused, match="tokens_per_day is spent") as refused:
        room.runtime.admission.refuse_new_calls()
    assert (refused.value.reason, refused.value.status) == ("budget", 503)


@virtual
async def test_the_seconds_of_a_call_are_counted_to_its_end() -> None:
    async def lasts(_call: Call) -> None:
        await asyncio.sleep(4.5)

    room = Room(lasts, seconds_per_day=4)
    await room.run()
    assert room.runtime.spending.budget.spent == "seconds_per_day"


@virtual
async def test_an_agents_own_deadline_is_its_own_fault() -> None:
    async def is_late(_call: Call) -> None:
        async with asyncio.timeout(1):
            await asyncio.sleep(2)

    room = Room(is_late, seconds_per_call=100)
    await room.run()
    assert room.limits() == []
    assert room.runtime.stats.agent_errors == 1
