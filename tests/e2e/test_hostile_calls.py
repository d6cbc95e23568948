"""A carrier that is broken, or no carrier, once its call is live: counted while the call lives, or closed."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from bridge.emulators.caller_webhooks import Signature
from bridge.emulators.carriers.twilio import TwilioLine
from bridge.server.limits import Limits
from tests.support.bridge import stage
from tests.support.log import tracebacks
from tests.support.stranger import HELLO, PATIENCE_S, SILENCE, Stranger, closed_with, send
from tests.support.voice import until_warm
from tests.support.waiting import until

WAITS = "tests.support.agents:waits_for_ever"


@pytest.fixture(autouse=True)
def nothing_but_plain_lines_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert tracebacks(caplog) == []


def broken(line: TwilioLine) -> list[tuple[str | bytes, str]]:
    """What a live call survives, and the name that it is counted by."""
    sid = line.identity.stream_sid

    def event(name: str, body: str) -> str:
        return f'{{"event":"{name}","streamSid":"{sid}","{name}":{body}}}'

    return [
        (HELLO, "connected_after_start"),
        (line.start(), "duplicate_start"),
        (event("media", '{"payload":"A A!"}'), "bad_message"),
        (event("media", '{"payload":"QUJD*"}'), "bad_message"),
        (event("media", '{"payload":"/w==","track":"outbound"}'), "outbound_track"),
        (event("media", '{"payload":"/w==","timestamp":1e999}'), "bad_message"),
        (event("media", '{"payload":"/w==","timestamp":-1}'), "bad_message"),
        (event("media", '{"payload":"/w=="}').replace(sid, "MZother"), "foreign_stream"),
        (event("media", "null"), "bad_message"),
        (event("dtmf", '{"digit":"11"}'), "bad_message"),
        (event("mark", '{"name":"\\ud800"}'), "bad_json"),
        (event("mark", f'{{"name":"{"9" * 5000}"}}'), ""),
        (event("mark", f'{{"name":"{"1." * 5000}"}}'), ""),
        ('{"event":"media"}', "bad_message"),
        ('{"event":"teleport"}', "unknown_event"),
        ('{"event":7}', "bad_message"),
        ("{}", "bad_message"),
        ("[]", "bad_message"),
        ("null", "bad_message"),
        ("", "bad_json"),
        ("{", "bad_json"),
        ("[" * 60_000, "bad_message"),
        ('{"event":"connected","a":' + "[" * 60_000, "bad_json"),
        (b"\0\1\2\xff", "bad_json"),
        (b'{"event":"\xff"}', "bad_json"),
    ]


async def test_a_live_call_outlives_what_is_broken_and_counts_it() -> None:
    async with stage(WAITS) as s, Stranger(s.config) as stranger, stranger.live() as (socket, line):
        stats = s.server.runtime.stats
        await until(lambda: bool(s.server.runtime.calls))
        call = s.server.runtime.calls[stranger.call_sid]
        for message, kind in broken(line):
            before = stats.protocol_errors + stats.ignored_messages
            await send(socket, message, *line.digit(0, "5"))
            await until(lambda: call.digits == "5" or bool(call.ended))
            assert await call.gather(1) == "5", message[:60]
            told = stats.protocol_errors + stats.ignored_messages - before
            assert dict(told) == ({kind: 1} if kind else {}), message[:60]
        await send(socket, *line.stop())
        await until(lambda: bool(s.ended))
    assert s.the_call.ended == "carrier"


async def test_media_before_start_is_counted_and_forgiven() -> None:
    async with stage(WAITS) as s, Stranger(s.config) as stranger, stranger.socket() as socket:
        line = stranger.line(await stranger.invitation())
        await send(socket, HELLO, *line.voice(SILENCE), *line.voice(SILENCE), line.start())
        await until(lambda: bool(s.server.runtime.calls))
        assert s.server.runtime.stats.ignored_messages == {"media_before_start": 2}


async def test_media_after_stop_is_counted_and_nothing_more() -> None:
    async with stage(WAITS) as s, Stranger(s.config) as stranger:
        async with stranger.live() as (socket, line):
            await send(socket, *line.stop(), *line.voice(SILENCE), *line.voice(SILENCE), line.start())
            await until(lambda: s.server.runtime.stats.ignored_messages.total() == 3)
        assert s.server.runtime.stats.ignored_messages == {"media_after_stop": 2, "start_after_stop": 1}
        assert s.server.runtime.stats.calls_started == 1
        assert s.the_call.ended == "carrier"


async def test_a_start_of_another_stream_closes_the_socket() -> None:
    async with stage(WAITS) as s, Stranger(s.config) as stranger, stranger.live() as (socket, _):
        await socket.send_str(stranger.line({}).start())
        assert await closed_with(socket) == 1008
        await until(lambda: bool(s.ended))
        assert s.server.runtime.stats.protocol_errors == {"second_start": 1}
        assert s.server.runtime.stats.calls_started == 1
        assert s.the_call.ended == "protocol_error"


@pytest.mark.parametrize("size", [64 * 1024 + 1, 200_000])
async def test_a_message_that_is_too_big_closes_the_call(size: int) -> None:
    async with stage(WAITS) as s, Stranger(s.config) as stranger, stranger.live() as (socket, _):
        await socket.send_str("[" * size)
        assert await closed_with(socket) == 1009
        await until(lambda: bool(s.ended))
        assert s.server.runtime.stats.protocol_errors == {"too_big": 1}
        assert s.the_call.ended == "protocol_error"


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"\xf1\x80\0\0\0\0", id="reserved bits"),
        pytest.param(b"\x83\x80\0\0\0\0", id="reserved opcode"),
        pytest.param(b"\x09\x80\0\0\0\0", id="a ping in pieces"),
        pytest.param(b"\x88\x81\0\0\0\0\1", id="half a close code"),
    ],
)
async def test_a_frame_that_no_websocket_may_send_closes_the_call(frame: bytes) -> None:
    async with stage(WAITS) as s, Stranger(s.config) as stranger, stranger.live() as (socket, _):
        await until(lambda: bool(s.server.runtime.calls))
        os.write(socket.get_extra_info("socket").fileno(), frame)  # behind the library's back
        assert await closed_with(socket) == 1002
        await until(lambda: bool(s.ended))
        assert s.server.runtime.stats.protocol_errors == {"bad_frame": 1}


async def test_a_message_in_endless_pieces_is_too_big_as_well() -> None:
    async with stage(WAITS) as s, Stranger(s.config) as stranger, stranger.live() as (socket, _):
        await until(lambda: bool(s.server.runtime.calls))
        wire = socket.get_extra_info("socket").fileno()
        piece = b"\x00\x81\0\0\0\0x"
        os.write(wire, b"\x01\x81\0\0\0\0x")
        with suppress(ConnectionError):
            for _ in range(64):
                os.write(wire, piece * 1100)
                await asyncio.sleep(0)
        await until(lambda: bool(s.ended))
        assert s.server.runtime.stats.protocol_errors == {"too_big": 1}


async def test_a_line_that_sends_nothing_but_rubbish_is_closed() -> None:
    async with stage(WAITS) as s, Stranger(s.config) as stranger, stranger.live() as (socket, _):
        await send(socket, *["rubbish"] * (Limits().broken_messages + 1))
        assert await closed_with(socket) == 1008
        await until(lambda: bool(s.ended))
        assert s.server.runtime.stats.protocol_errors == {"bad_json": Limits().broken_messages + 1}
        assert s.the_call.ended == "protocol_error"


async def test_a_flood_is_no_phone() -> None:
    async with stage(WAITS) as s, Stranger(s.config) as stranger, stranger.live() as (socket, line):
        await until(lambda: bool(s.server.runtime.calls))
        with suppress(ConnectionError):
            while not socket.closed and not s.ended:
                for _ in range(10):
                    await send(socket, *line.voice(SILENCE))
                await asyncio.sleep(0)
        assert await closed_with(socket) == 1008
        await until(lambda: bool(s.ended))
        assert s.server.runtime.stats.floods == 1
        assert s.the_call.ended == "flood"


async def test_a_line_that_says_nothing_is_dead() -> None:
    late_s = 0.0
    async with stage(WAITS, clock=lambda: time.monotonic() + late_s) as s, Stranger(s.config) as stranger:
        async with stranger.live() as (socket, _):
            await until(lambda: bool(s.server.runtime.calls))
            late_s = Limits().dead_line_s + 1
            assert await closed_with(socket) == 1001
        await until(lambda: bool(s.ended))
        assert s.server.runtime.stats.silent_lines == 1
        assert s.the_call.ended == "silent_line"


async def test_a_carrier_that_does_not_read_is_dropped() -> None:
    limits = Limits(unsent_bytes=20_000)
    sections = {"playout": {"lead_ms": 2000}}
    async with stage("tests.support.agents:never_stops", limits=limits, sections=sections) as s:
        async with Stranger(s.config) as stranger, stranger.live() as (socket, line):
            await until(lambda: bool(s.server.runtime.calls))
            while not s.ended:
                await send(socket, *line.digit(0, "1"))  # each makes the agent begin anew: 2 s more at once
                await asyncio.sleep(0.005)
        assert s.server.runtime.stats.slow_readers == 1
        assert s.the_call.ended == "slow_reader"


async def test_nobody_waits_for_a_carrier_that_does_not_read_the_goodbye() -> None:
    limits = Limits(close_within_s=0.2)
    async with (
        stage("tests.support.agents:never_stops", limits=limits) as s,
        Stranger(s.config) as stranger,
        stranger.live() as (socket, _),
    ):
        await until(lambda: bool(s.server.runtime.calls))
        await s.server.runtime.calls[stranger.call_sid].hang_up()
        async with asyncio.timeout(3):
            await s.server.runtime.drained()
        assert not socket.closed, "it has not answered"


async def test_a_carrier_may_vanish_at_any_moment() -> None:
    async with stage(WAITS) as s:
        for _ in range(5):
            async with Stranger(s.config) as stranger:
                line = stranger.line(await stranger.invitation())
                async with stranger.socket() as socket:
                    await send(socket, HELLO, line.start(), *line.voice(SILENCE))
                    await stranger.vanish()
        await until(lambda: not s.server.runtime.calls)
        async with asyncio.timeout(PATIENCE_S):
            await s.server.runtime.drained()
        assert set(s.server.runtime.stats.calls_ended) <= {"carrier_lost"}


async def test_strangers_leave_nothing_behind() -> None:
    async with stage(WAITS, limits=Limits(start_within_s=0.1)) as s:
        await until_warm(s)
        before = asyncio.all_tasks()
        for _ in range(3):
            async with Stranger(s.config) as stranger:
                async with (
                    stranger.socket() as silent,
                    stranger.socket() as rude,
                    stranger.live() as (live, line),
                ):
                    await send(rude, "{}")
                    await send(live, "rubbish", *line.stop())
                    assert await closed_with(silent) == await closed_with(rude) == 1008
                await stranger.post("answer", Signature.FORGED)
        await s.server.runtime.drained()
        await until(lambda: {task for task in asyncio.all_tasks() if not task.done()} <= before)
        assert s.server.runtime.admission.strangers == 0
        assert not s.server.runtime.calls
