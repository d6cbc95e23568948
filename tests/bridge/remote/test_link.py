"""The WebSocket to an agent, against servers that do as they are told, and some that do not."""

from __future__ import annotations

import asyncio
import json

import pytest

from bridge.remote import protocol as p
from bridge.remote.link import MAX_GARBAGE, MAX_MESSAGES_PER_S, Link
from bridge.remote.signature import HEADER, is_signed
from tests.support.bridge import free_port
from tests.support.remote_agent import (
    AT_S,
    SECRET,
    START,
    Connection,
    Received,
    Script,
    SocketAgent,
    address,
    socket_agent,
)
from tests.support.waiting import PATIENCE_S, until

SAY = {"type": "say", "id": "a", "text": "Hello."}


def link(agent: SocketAgent, received: Received, close_within_s: float = PATIENCE_S) -> Link:
    made = Link(address(agent.url), START, received.reception, pause_s=0.01)
    made.close_within_s = close_within_s
    return made


async def nothing(_connection: Connection, _number: int) -> None:
    """An agent that says nothing."""


async def test_events_go_out_and_commands_come_in() -> None:
    async def script(connection: Connection, _number: int) -> None:
        await connection.until("start")
        await connection.send(SAY)
        await connection.until("turn")
        await connection.send({"type": "hang_up", "turn": 1})

    received = Received()
    async with socket_agent(script) as agent:
        async with link(agent, received) as door:
            await until(lambda: len(received.commands) == 1)
            door.tell(p.Turn(number=1, text="Hi."))
            await until(lambda: len(received.commands) == 2)
            door.tell(p.End(reason="agent"))
        await until(lambda: agent.types == [["start", "turn", "end"]])
    assert received.commands == [p.Say(id="a", text="Hello."), p.HangUp(turn=1)]
    assert received.troubles == []
    (connection,) = agent.connections
    assert [event["seq"] for event in connection.events] == [1, 2, 3]
    assert {event["call_id"] for event in connection.events} == {"CA1"}
    assert connection.path == "/agent?shop=7"
    assert connection.headers["X-Bridge-Call"] == "CA1"
    assert is_signed(connection.headers[HEADER], SECRET, connection.path.encode(), AT_S)


async def test_a_connection_that_breaks_is_made_again_and_what_was_not_acknowledged_comes_again() -> None:
    async def script(connection: Connection, number: int) -> None:
        if number == 0:
            await connection.until("turn")
            await connection.send({"type": "ack", "seq": 2})
            await connection.until("digits")
            connection.socket.transport.abort()
        else:
            await connection.send(SAY)

    received = Received()
    async with socket_agent(script) as agent, link(agent, received) as door:
        door.tell(p.Turn(number=1))
        door.tell(p.Digits(digits="5"))
        await until(lambda: received.commands == [p.Say(id="a", text="Hello.")])
        door.tell(p.End())
    again = agent.connections[1].events
    assert [(event["type"], event["seq"]) for event in again] == [("start", 1), ("digits", 3), ("end", 4)]
    assert (again[0]["resumed"], again[0]["acknowledged"]) == (True, 2)
    assert received.kinds == ["cut"]


async def test_what_happens_while_it_is_away_is_told_when_it_is_back() -> None:
    received = Received()
    async with socket_agent(nothing, refusals=[503, 500, 401, 302]) as agent, link(agent, received) as door:
        await until(lambda: received.kinds == ["busy"])
        door.tell(p.Turn(number=1))
        await until(lambda: agent.types == [["start", "turn"]])
        door.tell(p.End())
    assert agent.types == [["start", "turn", "end"]]
    assert not agent.connections[0].events[0]["resumed"]
    assert received.kinds == ["busy", "server", "unauthorized", "request"]
    assert "redirects are not followed" in received.troubles[-1].detail


async def test_where_nobody_is_it_says_so_once_and_goes_on_trying() -> None:
    received, port = Received(), free_port()
    async with link(SocketAgent(nothing, f"ws://127.0.0.1:{port}/"), received) as door:
        await until(lambda: received.kinds == ["unreachable"])
        async with socket_agent(nothing, port) as agent:
            await until(lambda: agent.types == [["start"]])
            door.tell(p.End())
            await until(lambda: agent.types == [["start", "end"]])
            assert received.kinds == ["unreachable"]


async def test_where_nobody_is_at_all_it_leaves_in_time() -> None:
    received = Received()
    nobody = SocketAgent(nothing, f"ws://127.0.0.1:{free_port()}/")
    async with asyncio.timeout(5), link(nobody, received, close_within_s=0.1) as door:
        door.tell(p.End())
    assert received.commands == []


async def flood(connection: Connection, number: int) -> None:
    while not number:
        await connection.socket.send('{"type": "listen"}')
        await asyncio.sleep(0)


async def garble(connection: Connection, number: int) -> None:
    for _ in range(MAX_GARBAGE if not number else 0):
        await connection.socket.send("no JSON")


async def swell(connection: Connection, number: int) -> None:
    if not number:
        await connection.socket.send("x" * (p.MAX_MESSAGE_BYTES + 1))


async def leave(connection: Connection, number: int) -> None:
    if not number:
        await connection.socket.close(1000)


async def test_who_comes_and_goes_is_tried_again_with_pauses_that_grow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def say_and_leave(connection: Connection, _number: int) -> None:
        await connection.send(SAY)
        await connection.socket.close(1000)

    longest: list[float] = []

    def no_pause(_low_s: float, high_s: float) -> float:
        longest.append(high_s)
        return 0.0

    monkeypatch.setattr("random.uniform", no_pause)
    received = Received()
    async with socket_agent(say_and_leave) as agent, link(agent, received, close_within_s=0.1):
        await until(lambda: len(longest) >= 10)
    assert longest[:9] == [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.0]


async def test_a_fault_of_ours_is_trouble_as_well() -> None:
    received = Received()
    async with Link(address("ws://[::1"), START, received.reception) as door:
        await until(lambda: received.kinds == ["error"])
        door.close_within_s = 0.1
    assert received.troubles[0].in_vain


@pytest.mark.parametrize(
    "script, kind, code",
    [(flood, "flood", 1008), (garble, "garbage", 1007), (swell, "flood", 1009), (leave, "cut", 1000)],
)
async def test_who_makes_no_sense_is_left_and_tried_again(script: Script, kind: str, code: int) -> None:
    received = Received()
    async with socket_agent(script) as agent, link(agent, received) as door:
        await until(lambda: len(agent.connections) == 2)
        door.tell(p.End())
    assert received.kinds == [kind]
    assert agent.connections[0].socket.close_code == code
    assert len(received.commands) <= max(MAX_MESSAGES_PER_S, MAX_GARBAGE)


async def test_one_broken_message_is_told_and_no_more() -> None:
    async def script(connection: Connection, _number: int) -> None:
        await connection.socket.send(b"\xff")
        await connection.socket.send(json.dumps([SAY, {"type": "dance", "id": "d"}]).encode())

    received = Received()
    async with socket_agent(script) as agent, link(agent, received) as door:
        await until(lambda: len(received.commands) == 3)
        door.tell(p.End())
    broken, say, unknown = received.commands
    assert isinstance(broken, p.Refusal) and broken.reason == "bad_command"
    assert say == p.Say(id="a", text="Hello.")
    assert isinstance(unknown, p.Refusal) and (unknown.id, unknown.reason) == ("d", "unknown_command")


async def test_who_does_not_read_holds_nobody_up() -> None:
    gone = asyncio.Event()

    async def script(_connection: Connection, _number: int) -> None:
        await gone.wait()

    received = Received()
    async with socket_agent(script) as agent:
        async with asyncio.timeout(20), link(agent, received, close_within_s=0.2) as door:
            await until(lambda: bool(agent.connections))
            for number in range(5000):
                door.tell(p.Turn(number=number, text="x" * 1000))
                await asyncio.sleep(0)
        gone.set()
