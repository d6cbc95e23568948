"""Plain HTTP requests to an agent, against servers that answer as they are told, and some that do not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from bridge.remote import protocol as p
from bridge.remote.signature import HEADER, is_signed
from bridge.remote.webhooks import BURST, BURST_S, Connections, Webhooks
from tests.support.bridge import free_port
from tests.support.remote_agent import (
    AT_S,
    SECRET,
    START,
    Answer,
    HttpAgent,
    Posted,
    Received,
    address,
    for_ever,
    http_agent,
)
from tests.support.waiting import until

HANG_UP = [{"type": "hang_up"}]


@asynccontextmanager
async def webhooks(
    agent: HttpAgent, received: Received, deadline_s: float = 5.0, close_within_s: float = 2.0
) -> AsyncIterator[Webhooks]:
    connections = Connections()
    door = Webhooks(address(agent.url), START, received.reception, connections, deadline_s=deadline_s)
    door.close_within_s = close_within_s
    try:
        async with door:
            yield door
    finally:
        await connections.close()


def json_of(commands: object) -> web.StreamResponse:
    return web.json_response(commands)


async def test_events_are_posted_and_the_answer_is_done() -> None:
    answers = [
        json_of({"commands": [{"type": "say", "text": "Hi."}]}),
        json_of(HANG_UP),
        web.Response(status=204),
    ]
    received = Received()
    async with (
        http_agent(lambda _posted, number: answers[number]) as agent,
        webhooks(agent, received) as door,
    ):
        await until(lambda: len(received.commands) == 1)
        door.tell(p.Turn(number=1))
        await until(lambda: len(received.commands) == 2)
        door.tell(p.End(reason="agent"))
    assert received.commands == [p.Say(text="Hi."), p.HangUp(turn=1)], "it belongs to the turn it answers"
    assert [posted.types for posted in agent.requests] == [["start"], ["turn"], ["end"]]
    assert [event["seq"] for posted in agent.requests for event in posted.events] == [1, 2, 3]
    for posted in agent.requests:
        assert is_signed(posted.headers[HEADER], SECRET, posted.body, AT_S)
        assert posted.headers["X-Bridge-Call"] == "CA1"
        assert posted.headers["Content-Type"] == "application/json"
    assert len({posted.headers["X-Bridge-Delivery"] for posted in agent.requests}) == 3


async def test_what_happens_meanwhile_goes_with_the_next_one() -> None:
    go_on = asyncio.Event()

    async def answer(_posted: Posted, number: int) -> web.StreamResponse:
        if number == 0:
            await go_on.wait()
        return web.Response(status=204)

    received = Received()
    async with http_agent(answer) as agent, webhooks(agent, received) as door:
        await until(lambda: len(agent.requests) == 1)
        for digit in "123":
            door.tell(p.Digits(digits=digit))
        go_on.set()
        await until(lambda: len(agent.requests) == 2)
        door.tell(p.End())
    assert [posted.types for posted in agent.requests] == [["start"], ["digits"] * 3, ["end"]]
    assert received.commands == [p.Listen()], "no command to a question is one, too; to the others it is none"


async def test_what_takes_a_socket_is_refused() -> None:
    wrong = [
        {"type": "say", "id": "a", "more": True},
        {"type": "say_more", "id": "b"},
        {"type": "ack", "seq": 1},
    ]
    received = Received()
    async with (
        http_agent(lambda _posted, _number: json_of(wrong)) as agent,
        webhooks(agent, received) as door,
    ):
        await until(lambda: len(received.commands) == 3)
        door.tell(p.End())
    refused = [command for command in received.commands if isinstance(command, p.Refusal)]
    assert [(refusal.id, refusal.reason) for refusal in refused[:3]] == [
        (name, "unsupported") for name in ("a", "b", "")
    ]


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_what_may_have_been_passing_is_asked_once_more(status: int) -> None:
    received = Received()
    answers = [web.Response(status=status), json_of(HANG_UP), web.Response()]
    async with (
        http_agent(lambda _posted, number: answers[number]) as agent,
        webhooks(agent, received) as door,
    ):
        await until(lambda: received.commands == [p.HangUp()])
        door.tell(p.End())
    first, second, _ = agent.requests
    assert first.body == second.body
    assert first.headers["X-Bridge-Delivery"] == second.headers["X-Bridge-Delivery"]
    assert received.troubles == []


BAD: list[tuple[str, Answer, str, int]] = [
    ("server", lambda _posted, _number: web.Response(status=500), "server", 1),
    ("busy, and again", lambda _posted, _number: web.Response(status=503), "busy", 2),
    ("unauthorized", lambda _posted, _number: web.Response(status=401), "unauthorized", 1),
    ("redirect", lambda _posted, _number: web.Response(status=302, headers={"Location": "/x"}), "request", 1),
    ("no JSON", lambda _posted, _number: web.Response(text="<html>"), "garbage", 1),
    ("too many", lambda _posted, _number: json_of([{}] * (p.MAX_COMMANDS + 1)), "garbage", 1),
    ("far too much", lambda _posted, _number: web.Response(body=b" " * 10**6), "flood", 1),
    ("compressed", lambda _posted, _number: web.Response(headers={"Content-Encoding": "gzip"}), "garbage", 1),
    ("hangs", for_ever, "hung", 1),
]


@pytest.mark.parametrize("answer, kind, requests", [case[1:] for case in BAD], ids=[case[0] for case in BAD])
async def test_an_answer_of_no_use_is_trouble(answer: Answer, kind: str, requests: int) -> None:
    received, deadline_s = Received(), 0.05 if kind == "hung" else 5.0
    async with http_agent(answer) as agent, webhooks(agent, received, deadline_s=deadline_s) as door:
        await until(lambda: len(received.troubles) == 1)
        assert len(agent.requests) == requests
        door.tell(p.Digits(digits="1"))
        await until(lambda: len(agent.requests) > requests)
    assert received.kinds[0] == kind
    assert received.troubles[0].in_vain, "nobody need wait for an answer to that"
    assert agent.requests[-1].types == ["start", "digits"], "without it the rest means nothing"
    assert agent.requests[-1].events[0]["resumed"]
    assert received.commands == []


async def test_where_nobody_is_it_says_so() -> None:
    received = Received()
    nobody = HttpAgent(for_ever, f"http://127.0.0.1:{free_port()}/")
    async with webhooks(nobody, received):
        await until(lambda: received.kinds == ["unreachable"])


async def test_who_was_not_there_is_told_the_call_began_and_not_that_it_goes_on() -> None:
    received, port = Received(), free_port()
    here = HttpAgent(for_ever, f"http://127.0.0.1:{port}/")
    async with webhooks(here, received) as door:
        await until(lambda: received.kinds == ["unreachable"])
        async with http_agent(lambda _posted, _number: web.Response(status=204), port) as agent:
            door.tell(p.Turn(number=1))
            await until(lambda: len(received.commands) == 1)
            door.tell(p.End())
            await until(lambda: len(agent.requests) == 2)
    assert agent.requests[0].types == ["start", "turn"]
    assert not agent.requests[0].events[0]["resumed"]


@pytest.mark.parametrize(
    "answer, taken",
    [
        ([{"type": "stop"}], [p.Stop(), p.Listen(turn=1)]),
        ([{"type": "set", "barge_in": "off"}], [p.Set(barge_in="off"), p.Listen(turn=1)]),
        ([{"type": "listen"}], [p.Listen(turn=1)]),
        ([], [p.Listen(turn=1)]),
    ],
)
async def test_an_answer_that_says_nothing_is_one(answer: object, taken: list[object]) -> None:
    answers = [json_of(HANG_UP), json_of(answer), json_of([])]
    received = Received()
    async with (
        http_agent(lambda _posted, number: answers[number]) as agent,
        webhooks(agent, received) as door,
    ):
        await until(lambda: len(received.commands) == 1)
        door.tell(p.Turn(number=1))
        await until(lambda: len(received.commands) > 1)
        door.tell(p.End())
    assert received.commands[1:] == taken


async def test_who_answers_everything_with_nonsense_is_told_once_and_not_without_end() -> None:
    """As a server does that says {"ok": true} to whatever comes."""
    received = Received()
    async with (
        http_agent(lambda _posted, _number: json_of({"ok": True})) as agent,
        webhooks(agent, received) as door,
    ):
        door.tell(p.Turn(number=1))
        await until(lambda: len(received.commands) == 1)
        door.tell(p.Failed(reason="unknown_command"))
        await until(lambda: len(agent.requests) == 2)
        door.tell(p.End())
    assert [posted.types for posted in agent.requests] == [["start", "turn"], ["failed"], ["end"]]
    assert len(received.commands) == 2, "of the answer to `failed`, nothing"


async def test_no_more_is_asked_than_anybody_has_to_tell() -> None:
    """An agent whose every answer fails at once is told of that, and answers."""
    received = Received()
    asked: list[float] = []

    def answer(_posted: Posted, _number: int) -> web.StreamResponse:
        asked.append(asyncio.get_running_loop().time())
        return web.Response(status=204)

    async with http_agent(answer) as agent, webhooks(agent, received) as door:
        for number in range(2 * BURST + 1):
            door.tell(p.Failed(reason="no_such_prompt"))
            await until(lambda: len(agent.requests) > number)  # noqa: B023 - awaited here
    assert asked[2 * BURST] - asked[0] >= 2 * BURST_S - 0.05, "however quick the agent"


async def test_calls_share_connections() -> None:
    received, peers = Received(), set()

    def answer(posted: Posted, _number: int) -> web.StreamResponse:
        peers.add(posted.peer)
        return web.Response(status=204)

    connections = Connections()
    async with http_agent(answer) as agent:
        for _ in range(3):
            async with Webhooks(address(agent.url), START, received.reception, connections) as door:
                door.tell(p.End())
        await connections.close()
    assert len(agent.requests) >= 3
    assert len(peers) == 1


async def test_a_hundred_calls_whose_agent_is_slow_do_not_hold_up_the_next_one() -> None:
    connections = Connections()
    assert connections.session.connector is not None
    assert connections.session.connector.limit == 0, "aiohttp's own is 100"
    await connections.close()


@pytest.mark.parametrize("told", [lambda door: None, lambda door: door.tell(p.End())])
async def test_an_agent_that_hangs_does_not_hold_up_the_end(told: Callable[[Webhooks], None]) -> None:
    received = Received()
    async with http_agent(for_ever) as agent:
        late = webhooks(agent, received, deadline_s=60, close_within_s=0.1)
        async with asyncio.timeout(5), late as door:
            await until(lambda: len(agent.requests) == 1)
            told(door)
    assert received.commands == []
