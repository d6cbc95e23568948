"""The v4 door against a Lightning that does what it is told, and against the emulated one."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import Any

import pytest

from bridge.config import LightningConfig
from bridge.emulators.lightning import EmulatedLightning
from bridge.emulators.lightning_options import EmulatorOptions
from bridge.emulators.speech_engine import ToneEngine
from bridge.errors import (
    Busy,
    InvalidRequest,
    LightningError,
    TimedOut,
    Unauthorized,
    Unavailable,
)
from bridge.lightning.answer import answer_in
from bridge.lightning.doors import open_door, wanted_format
from bridge.lightning.limits import Units
from bridge.lightning.speech import Synthesis
from bridge.lightning.stats import LightningStats
from bridge.lightning.v4 import MAX_OTHER_VOICES, LightningV4
from bridge.lightning.v4_messages import v4_wire
from telephony_codecs.formats import AudioFormat, Encoding
from tests.support import lightning_requests
from tests.support.lightning_live import KEY, parts_of, refusing
from tests.support.lightning_v4 import (
    V4,
    audio,
    config,
    end,
    event_of,
    interrupted,
    session,
    start,
    talking,
    well_behaved,
)
from tests.support.scripted_lightning import Line, ScriptedLightning
from tests.support.waiting import until


def request(**changes: Any) -> Any:
    return lightning_requests.request(**(V4 | changes))


async def first_part(synthesis: Synthesis) -> bytes:
    part = await anext(synthesis)
    assert isinstance(part, bytes)
    return part


# -- going well --------------------------------------------------------------------------------------------


async def test_the_audio_of_a_turn_is_what_lies_between_its_start_and_its_end() -> None:
    async def script(line: Line) -> None:
        asked = await event_of(line, "speak")
        await audio(line, b"before")
        await line.send({"event": "turn_start", "turn_id": (turn_id := asked["turn_id"])})
        for frame in (b"ab", b"", b"cde"):
            await audio(line, frame)
        await end(line, turn_id)
        await audio(line, b"after")
        await end(line, await start(line, b"next"))

    async with talking(session(script)) as (door, lightning):
        synthesis = door.synthesize(request())
        assert await parts_of(synthesis) == ([b"ab", b"cde"], None)
        assert await parts_of(door.synthesize(request(request_id="r2"))) == ([b"next"], None)
        assert lightning.heard[0] == {"event": "speak", "turn_id": "r1", "text": "Hello."}
        assert (door.stats.completed, door.stats.stale_chunks, door.units.in_use) == (2, 2, 0)
        assert len(lightning.handshakes) == 1


async def test_the_handshake() -> None:
    async with talking(well_behaved, content_filter="flag", speed=1.5) as (door, lightning):
        await parts_of(door.synthesize(request(speed=1.5)))
        shake = lightning.handshakes[0]
        assert shake.path == (
            "/waves/v1/lightning-v4/live?voice_id=brannock&language=en&sample_rate=8000"
            "&output_format=pcm&speed=1.5&content_filter=true&content_filter_action=flag"
        )
        assert shake.headers["Authorization"] == f"Bearer {KEY}"


async def test_spares_are_ready_before_they_are_asked() -> None:
    async with talking(well_behaved, spare_connections=2) as (door, _):
        await until(lambda: door.pool.idle == 2)
        assert await parts_of(door.synthesize(request())) == ([b"Hello."], None)
        assert door.stats.waited_for_connect == 0


async def test_a_session_that_is_not_ready_is_not_spoken_to() -> None:
    attach = asyncio.Event()

    async def script(line: Line) -> None:
        await line.send({"event": "ready", "session_id": "s1"})
        await attach.wait()
        await line.send({"event": "ready", "sample_rate": 8000})
        await end(line, await start(line, b"ab"))

    async with talking(script) as (door, lightning):
        synthesis = door.synthesize(request())
        await until(lambda: lightning.open == 1)
        assert (lightning.heard, synthesis.requested_at_s) == ([], None)
        attach.set()
        assert await parts_of(synthesis) == ([b"ab"], None)


async def test_another_rate_than_asked_is_told_in_a_header() -> None:
    async def script(line: Line) -> None:
        await end(line, await start(line, b"abcd", b"efgh"))

    async with talking(session(script, sample_rate=24000)) as (door, _):
        parts, error = await parts_of(door.synthesize(request()))
        answer = answer_in(wanted_format(door.config))
        for part in parts:
            assert isinstance(part, bytes)
            answer.feed(part)
        assert error is None
        assert len(parts) == 2, "the header comes with the first audio, not before it"
        assert answer.format == AudioFormat(Encoding.PCM16, 24000)


async def test_events_may_leave_out_which_turn_they_are_about() -> None:
    async def script(line: Line) -> None:
        await event_of(line, "speak")
        await line.send({"event": "turn_start"})
        await audio(line, b"ab")
        await line.send({"event": "thinking"})
        await line.send({"event": "turn_end"})

    async with talking(session(script)) as (door, _):
        assert await parts_of(door.synthesize(request())) == ([b"ab"], None)
        assert door.stats.unknown_messages == 1


async def test_other_voices_get_sockets_of_their_own_and_keep_them() -> None:
    async with talking(well_behaved) as (door, lightning):
        for _ in range(2):
            for changes in ({"voice_id": "rhodes"}, {"speed": 1.5}, {"language": "auto"}, {}):
                parts, error = await parts_of(door.synthesize(request(**changes)))
                assert (parts, error) == ([b"Hello."], None)
        queries = [shake.path.partition("?")[2] for shake in lightning.handshakes]
        assert len(queries) == len(set(queries)) == 4


async def test_so_many_voices_are_enough() -> None:
    async with talking(well_behaved) as (door, lightning):
        for number in range(MAX_OTHER_VOICES + 2):
            await parts_of(door.synthesize(request(speed=1 + number / 100)))
        await until(lambda: lightning.open == MAX_OTHER_VOICES + 1)
        assert door.pool_for(v4_wire(request(), door.config)) is door.pool


async def test_a_socket_that_nothing_keeps_open_is_replaced_while_it_is_idle() -> None:
    async with talking(well_behaved, spare_connections=1, keepalive_s=0.001) as (door, lightning):
        await until(lambda: len(lightning.handshakes) >= 3)
        assert {message["event"] for message in lightning.heard} <= {"end"}


# -- barge-in ----------------------------------------------------------------------------------------------


async def test_after_a_barge_in_the_same_socket_serves_the_next_turn() -> None:
    async def script(line: Line) -> None:
        turn_id = await start(line, b"ab")
        await event_of(line, "interrupt")
        await audio(line, b"late")
        await audio(line, b"later")
        await interrupted(line, turn_id)
        await end(line, await start(line, b"next"))

    async with talking(session(script)) as (door, lightning):
        synthesis = door.synthesize(request())
        assert await first_part(synthesis) == b"ab"
        synthesis.cancel()
        assert (door.units.in_use, door.pool.idle) == (0, 0)
        await until(lambda: door.pool.idle == 1)
        assert await parts_of(synthesis) == ([], None)
        assert await parts_of(door.synthesize(request(request_id="r2"))) == ([b"next"], None)
        assert len(lightning.handshakes) == 1
        assert (door.stats.cancelled, door.stats.stale_chunks, door.stats.foreign_chunks) == (1, 2, 0)


@pytest.mark.parametrize("spares", [0, 1])
async def test_a_hundred_barge_ins_open_two_sockets_at_most(spares: int) -> None:
    options = EmulatorOptions(realtime_factor=1, chunk_ms=20)
    async with EmulatedLightning(options) as emulator:
        async with LightningV4(config(emulator.url, spare_connections=spares)) as door:
            await until(lambda: door.pool.idle == spares)
            for number in range(100):
                synthesis = door.synthesize(request(text="A long sentence.", request_id=f"r{number}"))
                await first_part(synthesis)
                # Nobody barges in twice within a round trip, nor while a spare is being opened.
                await until(lambda: door.pool.lent == 1 and door.pool.idle >= spares)
                synthesis.cancel()
            await until(lambda: not door.pool.lent)
            assert door.stats.cancelled == 100
            assert door.stats.connects <= 2
        assert emulator.stats.cancelled == 100
        assert emulator.stats.max_active <= 2


async def test_who_asks_while_the_acknowledgement_is_outstanding_takes_another_socket() -> None:
    async def slow(line: Line) -> None:
        turn_id = await start(line, b"ab")
        await event_of(line, "interrupt")
        await calm.wait()
        await interrupted(line, turn_id)
        await line.silent()

    calm = asyncio.Event()
    async with talking(session(slow), well_behaved) as (door, lightning):
        synthesis = door.synthesize(request())
        await first_part(synthesis)
        synthesis.cancel()
        assert await parts_of(door.synthesize(request(request_id="r2"))) == ([b"Hello."], None)
        assert len(lightning.handshakes) == 2
        calm.set()
        await until(lambda: door.pool.idle == 2)


async def test_without_an_acknowledgement_the_socket_is_closed() -> None:
    async def deaf(line: Line) -> None:
        await start(line, b"ab")
        await line.silent()

    async with talking(session(deaf), interrupt_timeout_s=0.01) as (door, lightning):
        synthesis = door.synthesize(request())
        await first_part(synthesis)
        synthesis.cancel()
        await until(lambda: not lightning.open)
        assert [message["event"] for message in lightning.heard] == ["speak", "interrupt", "end"]
        assert (door.pool.idle, door.pool.lent) == (0, 0)


@pytest.mark.parametrize("answers", [("turn_end",), ("nameless",), ("turn_end", "nameless")])
async def test_an_interrupt_that_comes_too_late_is_answered_somehow(answers: tuple[str, ...]) -> None:
    async def script(line: Line) -> None:
        turn_id = await start(line, b"ab")
        await event_of(line, "interrupt")
        if "turn_end" in answers:
            await end(line, turn_id)
        if "nameless" in answers:
            await interrupted(line, None)
        await end(line, await start(line, b"next"))

    async with talking(session(script)) as (door, lightning):
        synthesis = door.synthesize(request())
        await first_part(synthesis)
        synthesis.cancel()
        await until(lambda: door.pool.idle == 1)
        assert await parts_of(door.synthesize(request(request_id="r2"))) == ([b"next"], None)
        assert len(lightning.handshakes) == 1


async def test_the_end_of_another_turn_is_not_the_acknowledgement() -> None:
    async def script(line: Line) -> None:
        turn_id = await start(line, b"ab")
        await event_of(line, "interrupt")
        await end(line, "older")
        await interrupted(line, "older")
        await line.send({"event": "thinking"})
        await calm.wait()
        await interrupted(line, turn_id)
        await line.silent()

    calm = asyncio.Event()
    async with talking(session(script)) as (door, _):
        synthesis = door.synthesize(request())
        await first_part(synthesis)
        synthesis.cancel()
        await until(lambda: door.stats.unknown_messages == 1)
        assert (door.pool.idle, door.pool.lent) == (0, 1)
        calm.set()
        await until(lambda: door.pool.idle == 1)


async def test_a_socket_that_goes_while_it_is_interrupted_is_forgotten() -> None:
    async def script(line: Line) -> None:
        await start(line, b"ab")
        await event_of(line, "interrupt")
        line.drop()

    async with talking(session(script), well_behaved) as (door, _):
        synthesis = door.synthesize(request())
        await first_part(synthesis)
        synthesis.cancel()
        await until(lambda: not door.pool.lent)
        assert await parts_of(door.synthesize(request(request_id="r2"))) == ([b"Hello."], None)


async def test_a_turn_that_has_not_begun_is_interrupted_too() -> None:
    async def script(line: Line) -> None:
        asked = await event_of(line, "speak")
        await event_of(line, "interrupt")
        await interrupted(line, asked["turn_id"])
        await line.silent()

    async with talking(session(script)) as (door, lightning):
        synthesis = door.synthesize(request())
        await until(lambda: bool(lightning.heard))
        synthesis.cancel()
        await until(lambda: door.pool.idle == 1)


async def test_cancelled_while_it_connects_it_leaves_nothing_behind() -> None:
    async def never_ready(line: Line) -> None:
        await line.silent()

    async with talking(never_ready) as (door, lightning):
        synthesis = door.synthesize(request())
        await until(lambda: lightning.open == 1)
        synthesis.cancel()
        await until(lambda: not lightning.open)
        assert (door.units.in_use, door.pool.lent) == (0, 0)


async def test_audio_of_another_turn_is_dropped_and_counted() -> None:
    async def script(line: Line) -> None:
        asked = await event_of(line, "speak")
        await line.send({"event": "turn_start", "turn_id": "other"})
        await audio(line, b"foreign")
        await end(line, "other")
        await line.send({"event": "turn_start", "turn_id": asked["turn_id"]})
        await audio(line, b"ab")
        await end(line, asked["turn_id"])

    async with talking(session(script)) as (door, _):
        assert await parts_of(door.synthesize(request())) == ([b"ab"], None)
        assert door.stats.foreign_chunks == 1


# -- going badly -------------------------------------------------------------------------------------------


async def error_of(synthesis: Synthesis) -> LightningError:
    _, error = await parts_of(synthesis)
    assert error is not None
    return error


@pytest.mark.parametrize(
    ("code", "kind", "named"),
    [
        ("model_access_denied", Unauthorized, "gated beta"),
        ("invalid_voice", InvalidRequest, "voice_id"),
        ("invalid_query", InvalidRequest, "invalid_query"),
    ],
)
async def test_a_session_that_is_refused(code: str, kind: type[LightningError], named: str) -> None:
    async def refuse(line: Line) -> None:
        message = f"not with {KEY}"
        await line.send({"status": "error", "error": {"code": code, "message": message}})

    async with talking(refuse) as (door, _):
        error = await error_of(door.synthesize(request()))
        assert type(error) is kind
        assert named in str(error)
        assert KEY not in str(error)
        assert door.last_error is error
        assert door.stats.connect_failures == 1


async def test_closed_with_1008_before_it_is_ready_is_a_rate_that_is_refused() -> None:
    async def refuse(line: Line) -> None:
        await line.socket.close(1008)

    async with talking(refuse) as (door, _):
        error = await error_of(door.synthesize(request()))
        assert isinstance(error, InvalidRequest)
        assert "sample_rate" in str(error)
        assert "8000" in str(error)


async def test_closed_with_1008_and_a_reason_is_told_by_the_reason() -> None:
    async def refuse(line: Line) -> None:
        await line.socket.close(1008, "too many connections")

    async with talking(refuse) as (door, _):
        assert isinstance(await error_of(door.synthesize(request())), Busy)


async def test_a_handshake_that_is_refused() -> None:
    async with (
        ScriptedLightning(
            well_behaved, refuse=refusing(HTTPStatus.UNAUTHORIZED, b'{"message":"no"}')
        ) as lightning,
        LightningV4(config(lightning.url)) as door,
    ):
        assert isinstance(await error_of(door.synthesize(request())), Unauthorized)


async def test_a_session_that_is_never_ready() -> None:
    async def admitted_only(line: Line) -> None:
        await line.send({"event": "ready", "session_id": "s1"})
        await line.silent()

    async with talking(admitted_only, connect_timeout_s=0.2) as (door, lightning):
        error = await error_of(door.synthesize(request()))
        assert isinstance(error, TimedOut)
        assert "not ready" in str(error)
        await until(lambda: not lightning.open)


async def test_a_turn_that_is_refused_leaves_the_session_open() -> None:
    async def script(line: Line) -> None:
        await event_of(line, "speak")
        await line.send({"event": "error", "code": "bad_frame", "message": "What?"})
        await end(line, await start(line, b"ab"))

    async with talking(session(script)) as (door, lightning):
        assert isinstance(await error_of(door.synthesize(request())), InvalidRequest)
        assert await parts_of(door.synthesize(request(request_id="r2"))) == ([b"ab"], None)
        assert len(lightning.handshakes) == 1


async def test_a_turn_that_fails_half_way_costs_its_socket() -> None:
    async def script(line: Line) -> None:
        turn_id = await start(line, b"ab")
        await line.send({"event": "error", "turn_id": turn_id, "code": "internal", "message": "Sorry."})
        await line.silent()

    async with talking(session(script)) as (door, lightning):
        parts, error = await parts_of(door.synthesize(request()))
        assert parts == [b"ab"]
        assert isinstance(error, Unavailable)
        await until(lambda: not lightning.open)
        assert lightning.heard[-1] == {"event": "end"}


async def test_an_error_of_another_turn_is_none_of_ours() -> None:
    async def script(line: Line) -> None:
        turn_id = await start(line, b"ab")
        await line.send({"event": "error", "turn_id": "other", "code": "bad_frame", "message": "What?"})
        await end(line, turn_id)

    async with talking(session(script)) as (door, _):
        assert await parts_of(door.synthesize(request())) == ([b"ab"], None)


async def test_a_turn_that_lightning_itself_interrupts_has_failed() -> None:
    async def script(line: Line) -> None:
        turn_id = await start(line, b"ab")
        await interrupted(line, turn_id)
        await line.silent()

    async with talking(session(script)) as (door, _):
        assert isinstance(await error_of(door.synthesize(request())), Unavailable)


async def test_a_stall_costs_the_socket() -> None:
    async def script(line: Line) -> None:
        await start(line, b"ab")
        await line.silent()

    async with talking(session(script), stall_timeout_s=0.01) as (door, lightning):
        assert isinstance(await error_of(door.synthesize(request())), TimedOut)
        await until(lambda: not lightning.open)
        assert [message["event"] for message in lightning.heard] == ["speak", "end"]


async def test_broken_messages_are_skipped_and_a_row_of_them_is_a_broken_peer() -> None:
    async def once(line: Line) -> None:
        turn_id = await start(line)
        await line.send("{")
        await audio(line, b"ab")
        await end(line, turn_id)
        await start(line, b"cd")
        for _ in range(3):
            await line.send("{")
        await line.silent()

    async with talking(session(once)) as (door, _):
        assert await parts_of(door.synthesize(request())) == ([b"ab"], None)
        parts, error = await parts_of(door.synthesize(request(request_id="r2")))
        assert parts == [b"cd"]
        assert isinstance(error, Unavailable)
        assert door.stats.malformed_messages == 4


async def test_a_reused_socket_that_was_closed_is_replaced_unnoticed() -> None:
    async def closes(line: Line) -> None:
        await end(line, await start(line, b"ab"))
        await event_of(line, "speak")
        line.drop()

    async with talking(session(closes), well_behaved) as (door, _):
        await parts_of(door.synthesize(request()))
        assert await parts_of(door.synthesize(request(request_id="r2"))) == ([b"Hello."], None)
        assert door.stats.resends == 1


async def test_what_would_be_refused_is_refused_before_any_network() -> None:
    async with talking(well_behaved) as (door, lightning):
        error = await error_of(door.synthesize(request(language="hi")))
        assert isinstance(error, InvalidRequest)
        assert "language" in str(error)
        assert not lightning.handshakes


async def test_closing_the_door_ends_what_is_spoken_and_what_waits() -> None:
    async def script(line: Line) -> None:
        await start(line, b"ab")
        await line.silent()

    async with talking(session(script), concurrency=1) as (door, lightning):
        speaking, waiting = door.synthesize(request()), door.synthesize(request(request_id="r2"))
        await first_part(speaking)
        await door.close()
        assert {type(await error_of(one)) for one in (speaking, waiting)} == {Unavailable}
        await until(lambda: not lightning.open)


async def test_a_door_that_is_closed_while_it_connects_leaves_nothing_behind() -> None:
    async with ScriptedLightning(Line.silent) as lightning:
        door = LightningV4(config(lightning.url))
        synthesis = door.synthesize(request())
        await until(lambda: lightning.open == 1)
        await door.close()
        assert (await error_of(synthesis)).code == "closed"
        assert not [task for task in asyncio.all_tasks() if "Link" in repr(task.get_coro())]


async def test_the_key_is_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with talking(well_behaved) as (door, lightning):
        await parts_of(door.synthesize(request()))
        assert KEY not in lightning.handshakes[0].path
    assert KEY not in caplog.text


# -- with the emulated one ---------------------------------------------------------------------------------


async def test_the_emulated_one_speaks() -> None:
    spoken = ToneEngine().speak("Hello.", voice_id="brannock", language="en", speed=1)
    async with EmulatedLightning() as emulator:
        wanted: LightningConfig = config(emulator.url)
        stats = LightningStats()
        door = open_door(wanted, stats, Units(2, stats))
        assert isinstance(door, LightningV4)
        async with door:
            parts, error = await parts_of(door.synthesize(request()))
            assert error is None
            assert b"".join(part for part in parts if isinstance(part, bytes)) == spoken.pcm
            assert emulator.stats.last_request == {"event": "speak", "turn_id": "r1", "text": "Hello."}


async def test_late_frames_of_the_emulated_one_are_stale() -> None:
    options = EmulatorOptions(
        realtime_factor=1, chunk_ms=20, late_chunks_after_cancel=2, interrupted_after_ms=5
    )
    async with EmulatedLightning(options) as emulator, LightningV4(config(emulator.url)) as door:
        synthesis = door.synthesize(request(text="A long sentence."))
        await first_part(synthesis)
        synthesis.cancel()
        await until(lambda: door.pool.idle == 1)
        assert door.stats.stale_chunks == emulator.stats.late_chunks == 2


async def test_an_acknowledgement_that_takes_too_long_costs_the_socket() -> None:
    options = EmulatorOptions(realtime_factor=1, chunk_ms=20, interrupted_after_ms=600_000)
    async with (
        EmulatedLightning(options) as emulator,
        LightningV4(config(emulator.url), interrupt_timeout_s=0.01) as door,
    ):
        synthesis = door.synthesize(request(text="A long sentence."))
        await first_part(synthesis)
        synthesis.cancel()
        await until(lambda: emulator.stats.open_connections == 0)
