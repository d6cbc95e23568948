"""Calls that are placed: the operator's door, and which agent talks to whom."""

from __future__ import annotations

import asyncio
from functools import partial

import msgspec
import pytest

from bridge.agents.loader import Agent
from bridge.call import Call
from bridge.carriers.rest import Plan, RestAnswer, RestRequest, ask, text_at
from bridge.config import Secret
from bridge.errors import CarrierError, Refused
from bridge.server.placing import ASKED, EXPECTED, Placements
from tests.support import agents
from tests.support.plain_carrier import PlainBridge, PlainCarrier, plain_bridge
from tests.support.rest import PlayedRest
from tests.support.virtual_time import virtual
from tests.support.waiting import until

ORDER = {"via": "plain", "to": "+15550100001", "from": "+15550100002"}


async def ordinary(call: Call) -> None:
    agents.note(call, "ordinary")


async def other(call: Call) -> None:
    agents.note(call, "other")


class Answers(PlayedRest):
    """Takes every request, or none, and says which call it will be."""

    def __init__(self, status: int = 201, call_id: str = "call-1") -> None:
        super().__init__(None)
        self.status, self.call_id = status, call_id

    async def answer_to(self, request: RestRequest) -> RestAnswer:
        self.waiting.append(request)
        await self.open.wait()
        return RestAnswer(self.status, msgspec.json.encode({"id": self.call_id}))


def placing() -> Plan[str]:
    answer = yield from ask(RestRequest("plain", "place the call", "POST", "https://api.example/calls"))
    return text_at(answer, "id")


def served_by(bridge: PlainBridge, rest: PlayedRest) -> None:
    bridge.runtime.errands._rest = rest


async def ordered(bridge: PlainBridge, order: object = ORDER, **headers: str) -> tuple[int, dict[str, str]]:
    body = order if isinstance(order, bytes) else msgspec.json.encode(order)
    async with bridge.session.post(f"{bridge.url}/calls", data=body, headers=headers) as answer:
        assert answer.content_type == "application/json"
        return answer.status, await answer.json()


# -- the door ----------------------------------------------------------------------------------------------------


async def test_a_call_is_placed_and_the_agent_that_was_asked_for_talks() -> None:
    carrier = PlainCarrier()
    carrier.placing = placing()
    async with plain_bridge(ordinary, carrier) as bridge:
        served_by(bridge, Answers())
        assert await ordered(bridge, ORDER | {"agent": "tests.support.agents:says_hello"}) == (
            202,
            {"call_id": "call-1"},
        )
        assert bridge.runtime.stats.calls_placed == 1
        async with bridge.live("call-1"):
            await until(lambda: bool(bridge.ended))
        async with bridge.live("call-2"):
            await until(lambda: len(bridge.ended) == 2)
    assert [getattr(thing, "text", thing) for thing in agents.log.pop("call-1")] == ["Hello from the bridge."]
    assert agents.log.pop("call-2") == ["ordinary"]


@pytest.mark.parametrize(
    ("order", "status", "told"),
    [
        pytest.param(b"", 400, "must be JSON", id="nothing"),
        pytest.param(b"\xff", 400, "must be JSON", id="no text"),
        pytest.param(b"[" * 10_000, 400, "must be JSON", id="nested"),
        pytest.param({"via": "plain"}, 400, "`to`", id="no number"),
        pytest.param(ORDER | {"to": ""}, 400, "`$.to`", id="an empty number"),
        pytest.param(ORDER | {"form": "x"}, 400, "form", id="a typo"),
        pytest.param(ORDER | {"via": "nobody"}, 404, "'nobody' is not configured", id="no such carrier"),
        pytest.param(ORDER | {"agent": "no:such"}, 400, "cannot import no", id="no such agent"),
        pytest.param(ORDER, 501, "cannot be placed", id="a carrier that cannot"),
    ],
)
async def test_what_cannot_be_done_is_told_as_json(order: object, status: int, told: str) -> None:
    async with plain_bridge(ordinary, PlainCarrier()) as bridge:
        got, body = await ordered(bridge, order)
        assert got == status
        assert list(body) == ["error"]
        assert told in body["error"]
        assert bridge.runtime.stats.calls_placed == 0


async def test_a_carrier_that_refuses_is_told_as_its_own_failure() -> None:
    carrier = PlainCarrier()
    carrier.placing = placing()
    async with plain_bridge(ordinary, carrier) as bridge:
        served_by(bridge, Answers(status=400))
        status, body = await ordered(bridge)
        assert (status, "cannot place the call" in body["error"]) == (502, True)
        assert bridge.runtime.stats.rest_failures == {"place_call": 1}


async def test_in_a_drain_no_call_is_placed() -> None:
    async with plain_bridge(ordinary, PlainCarrier()) as bridge:
        bridge.runtime.admission.draining = True
        assert (await ordered(bridge))[0] == 503


@pytest.mark.parametrize(
    ("token", "headers", "status"),
    [
        pytest.param("", {}, 404, id="from this machine"),
        pytest.param("", {"X-Forwarded-For": "203.0.113.7"}, 403, id="through a proxy"),
        pytest.param("secret", {}, 403, id="from this machine, where a token is configured"),
        pytest.param("secret", {"Authorization": "Bearer wrong"}, 403, id="a wrong token"),
        pytest.param("secret", {"Authorization": "Bearer secret"}, 404, id="the token"),
        pytest.param(
            "secret",
            {"Authorization": "Bearer secret", "X-Forwarded-For": "203.0.113.7"},
            404,
            id="the token, through a proxy",
        ),
    ],
)
async def test_who_may_place_calls(token: str, headers: dict[str, str], status: int) -> None:
    async with plain_bridge(ordinary, PlainCarrier()) as bridge:
        config = bridge.runtime.config
        server = msgspec.structs.replace(config.server, admin_token=Secret(token))
        bridge.runtime.config = msgspec.structs.replace(config, server=server)
        assert (await ordered(bridge, ORDER | {"via": "nobody"}, **headers))[0] == status


# -- who talks to whom -------------------------------------------------------------------------------------------


async def answered(call_id: str, after_s: float) -> str:
    await asyncio.sleep(after_s)
    return call_id


async def refused(after_s: float) -> str:
    await asyncio.sleep(after_s)
    raise CarrierError("no", carrier="plain")


@virtual
async def test_a_call_that_is_here_before_the_answer_that_names_it_waits_for_that() -> None:
    placements = Placements()
    placed = asyncio.create_task(placements.place("plain", other, partial(answered, "call-1", 1.0)))
    also = asyncio.create_task(placements.place("plain", ordinary, partial(answered, "call-2", 3.0)))
    await asyncio.sleep(0.5)
    began_s = asyncio.get_running_loop().time()
    assert await placements.agent_of("plain", "call-1") is other
    assert asyncio.get_running_loop().time() - began_s == pytest.approx(0.5, abs=0.01)
    assert await placements.agent_of("elsewhere", "call-2") is None, "another carrier's is not waited for"
    assert await placements.agent_of("plain", "stranger") is None
    assert asyncio.get_running_loop().time() - began_s == pytest.approx(2.5, abs=0.01)
    assert (await placed, await also) == ("call-1", "call-2")
    assert await placements.agent_of("plain", "call-1") is None, "once"


@virtual
async def test_a_call_may_be_known_by_what_it_was_placed_as() -> None:
    placements = Placements()
    await placements.place("plain", other, partial(answered, "request-1", 0))
    assert await placements.agent_of("plain", "call-1", "") is None
    assert await placements.agent_of("plain", "call-1", "request-2") is None
    assert await placements.agent_of("elsewhere", "call-1", "request-1") is None
    assert await placements.agent_of("plain", "call-1", "request-1") is other
    assert await placements.agent_of("plain", "call-1", "request-1") is None, "once"


@virtual
async def test_a_call_that_was_not_placed_after_all_keeps_nobody_waiting() -> None:
    placements = Placements()
    placed = asyncio.create_task(placements.place("plain", other, partial(refused, 1.0)))
    await asyncio.sleep(0)
    assert await placements.agent_of("plain", "call-1") is None
    with pytest.raises(CarrierError):
        await placed


@virtual
async def test_a_carrier_that_never_answers_keeps_nobody_waiting_for_ever() -> None:
    placements = Placements()
    placed = asyncio.create_task(placements.place("plain", other, partial(answered, "call-1", 100.0)))
    await asyncio.sleep(0)
    began_s = asyncio.get_running_loop().time()
    assert await placements.agent_of("plain", "call-2") is None
    assert asyncio.get_running_loop().time() - began_s == pytest.approx(10, abs=0.01)
    await placed


@virtual
async def test_calls_that_nobody_answers_are_forgotten_in_the_end() -> None:
    placements = Placements()
    for number in range(EXPECTED + 1):
        await placements.place("plain", other, partial(answered, f"call-{number}", 0))
    found: list[Agent | None] = [
        await placements.agent_of("plain", f"call-{number}") for number in (0, 1, EXPECTED)
    ]
    assert found == [None, other, other]


@virtual
async def test_a_carrier_is_asked_for_only_so_many_calls_at_once() -> None:
    placements = Placements()
    asked = [
        asyncio.create_task(placements.place("plain", other, partial(answered, f"call-{number}", 1.0)))
        for number in range(ASKED)
    ]
    await asyncio.sleep(0.5)
    with pytest.raises(Refused, match="asked for 100 calls already") as caught:
        await placements.place("plain", other, partial(answered, "one-more", 1.0))
    assert caught.value.status == 503
    assert await placements.place("elsewhere", other, partial(answered, "one-more", 0)) == "one-more"
    await asyncio.gather(*asked)
    assert await placements.place("plain", other, partial(answered, "one-more", 0)) == "one-more"
