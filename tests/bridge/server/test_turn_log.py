"""How long callers waited, for operators: which calls are known, by which names, and to whom it is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import msgspec
import pytest

from bridge.call import Call
from bridge.observe.latency import CallTurns, TurnClock
from bridge.observe.stats import AgentStats
from bridge.server.turn_log import REMEMBERED_CALLS, TurnLog
from tests.support.plain_carrier import PlainCarrier, plain_bridge
from tests.support.waiting import until


@dataclass
class Over:
    """As much of a call as is remembered."""

    id: str
    started_s: float = 0.0
    placed_as: str = ""
    carrier: str = "plain"
    ended: str = "agent"
    turn_clock: TurnClock = field(default_factory=lambda: TurnClock(AgentStats(), lambda _turn: None))


def call(call_id: str, started_s: float = 0.0, *, placed_as: str = "", ended: str = "agent") -> Call:
    return cast(Call, Over(call_id, started_s, placed_as, ended=ended))


def test_calls_are_known_while_they_are_on_and_then_for_a_while() -> None:
    live = {"A": call("A", 5.0, placed_as="order-1", ended="")}
    log = TurnLog(live)
    for number in range(REMEMBERED_CALLS + 1):
        log.keep(call(f"over-{number}", number / 1000))
    assert [log.of(name) is not None for name in ("A", "order-1", "over-1", "over-0", "nobody", "")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip
    over = log.of("over-1")
    assert over is not None
    assert over.ended == "agent"


@pytest.mark.parametrize(("live_s", "over_s", "newest"), [(1.0, 2.0, "over"), (2.0, 1.0, "live")])
def test_the_last_one_is_the_one_that_began_last(live_s: float, over_s: float, newest: str) -> None:
    log = TurnLog({"live": call("live", live_s)})
    log.keep(call("over", over_s))
    found = log.of("last")
    assert found is not None
    assert found.call_id == newest


def test_without_any_call_there_is_no_last_one() -> None:
    assert TurnLog({}).of("last") is None


async def has_a_turn(call: Call) -> None:
    call.turn_clock.turn(100, 200, 300)
    call.turn_clock.token(400)
    call.turn_clock.audible(500)
    await call.over.wait()


async def test_operators_are_told() -> None:
    async with plain_bridge(has_a_turn, PlainCarrier()) as bridge:

        async def asked(name: str, **headers: str) -> tuple[int, bytes]:
            async with bridge.session.get(f"{bridge.url}/calls/{name}/turns", headers=headers) as answer:
                assert answer.content_type == "application/json"
                return answer.status, await answer.read()

        assert (await asked("last"))[0] == 404
        async with bridge.live("call-1"):
            await until(lambda: bridge.runtime.stats.agents.turns.total() == 1)
            status, live = await asked("last")
        await until(lambda: bool(bridge.ended))
        _, over = await asked("call-1")
        assert (await asked("call-1", **{"X-Forwarded-For": "203.0.113.7"}))[0] == 403
    assert status == 200
    found = msgspec.json.decode(live, type=CallTurns)
    assert (found.call_id, found.ended) == ("call-1", "")
    (turn,) = found.turns
    assert (turn.turn, turn.speech_end_ms, turn.audible_ms, turn.outcome) == (1, 100, 500, "answered")
    assert msgspec.json.decode(over, type=CallTurns) == CallTurns("call-1", "plain", "carrier_lost", [turn])
