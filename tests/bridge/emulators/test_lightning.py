"""The emulator over real sockets, with a client that is none of ours."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from bridge.config import Secret
from bridge.emulators.lightning import EmulatedLightning
from bridge.emulators.lightning_dialects import DIALECTS, LIVE, V2, V31, Dialect
from bridge.emulators.lightning_options import EmulatorOptions
from bridge.emulators.served import serve_forever
from bridge.emulators.speech_engine import Speech, ToneEngine
from telephony_codecs.g711 import mulaw_encode
from tests.support.log import tracebacks
from tests.support.raw_upgrade import ask_and_leave

HELLO: dict[str, Any] = {
    "text": "Hello there, this is Lightning.",
    "voice_id": "magnus",
    "language": None,
    "sample_rate": 8000,
    "output_format": "ulaw",
    "complete_backoff_ms": 0,
}
SPOKEN = ToneEngine().speak(HELLO["text"], voice_id="magnus", language="auto", speed=1)

Socket = aiohttp.ClientWebSocketResponse


@asynccontextmanager
async def client(
    emulator: EmulatedLightning, key: str = "any", query: str = "", *, path: str = LIVE.path
) -> AsyncIterator[Socket]:
    headers = {"Authorization": f"Bearer {key}"}
    url = emulator.url + path + query
    async with aiohttp.ClientSession(headers=headers) as http, http.ws_connect(url) as ws:
        yield ws


async def until(ws: Socket, *ends: str) -> list[dict[str, Any]]:
    """Messages up to and with the first whose status (or type) is one of `ends`."""
    messages: list[dict[str, Any]] = []
    while not messages or (messages[-1].get("status") or messages[-1].get("type")) not in ends:
        messages.append(await ws.receive_json(timeout=5))
    return messages


async def ping(ws: Socket) -> list[dict[str, Any]]:
    """Wait until the server has done all that was sent so far; returns what it sent meanwhile."""
    await ws.send_json({"type": "ping"})
    return (await until(ws, "pong"))[:-1]


def audio_of(messages: list[dict[str, Any]]) -> bytes:
    return b"".join(b64decode(m["data"]["audio"]) for m in messages if m.get("status") == "chunk")


async def test_an_utterance_comes_whole_and_the_socket_serves_the_next() -> None:
    async with EmulatedLightning() as emulator, client(emulator) as ws:
        for request_id in ("r-1", "r-2"):
            await ws.send_json({**HELLO, "request_id": request_id})
            messages = await until(ws, "complete")
            assert audio_of(messages) == mulaw_encode(SPOKEN.pcm)
            assert {m["external_request_id"] for m in messages} == {request_id}
        assert (emulator.stats.connections, emulator.stats.completed) == (1, 2)
        assert emulator.stats.last_request["request_id"] == "r-2"
        assert list(emulator.stats.texts) == [HELLO["text"]] * 2


async def test_words_come_after_the_chunk_that_they_begin_in() -> None:
    async with EmulatedLightning() as emulator, client(emulator) as ws:
        await ws.send_json({**HELLO, "voice_id": "meher", "word_timestamps": True})
        messages = await until(ws, "complete")
        words = [m["data"] for m in messages if m["status"] == "word_timestamp"]
        assert [w["word"] for w in words] == HELLO["text"].split()
        assert [w["id"] for w in words] == list(range(len(words)))
        for index, message in enumerate(messages):
            if message["status"] == "word_timestamp":
                chunks_before = sum(m["status"] == "chunk" for m in messages[:index])
                assert (chunks_before - 1) * 0.1 <= message["data"]["start"] < chunks_before * 0.1


async def test_several_requests_of_one_socket_run_side_by_side() -> None:
    async with EmulatedLightning() as emulator, client(emulator) as ws:
        for request_id in ("a", "b", "c"):
            await ws.send_json({**HELLO, "request_id": request_id})
        messages = [m for _ in range(3) for m in await until(ws, "complete")]
        for request_id in ("a", "b", "c"):
            mine = [m for m in messages if m["external_request_id"] == request_id]
            assert audio_of(mine) == mulaw_encode(SPOKEN.pcm)


@pytest.mark.parametrize(
    ("switches", "key", "status"),
    [
        ({"api_key": Secret("right")}, "wrong", 401),
        ({"refuse": 401}, "any", 401),
        ({"refuse": 403}, "any", 403),
        ({"refuse": 429}, "any", 429),
        ({"refuse": 503}, "any", 503),
    ],
)
async def test_a_refused_handshake_is_http_with_a_json_body(
    switches: dict[str, Any], key: str, status: int
) -> None:
    async with EmulatedLightning(EmulatorOptions(**switches)) as emulator:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with client(emulator, key):
                pass
        assert refused.value.status == status
        headers = {"Authorization": f"Bearer {key}"}
        async with aiohttp.ClientSession(emulator.url, headers=headers) as http:
            response = await http.get(LIVE.path)
            assert (await response.json())["status"] == "error"
            assert ("Retry-After" in response.headers) == (status == 429)
        assert (emulator.stats.refused_handshakes, emulator.stats.connections) == (2, 0)


async def test_the_right_key_comes_in() -> None:
    async with (
        EmulatedLightning(EmulatorOptions(api_key=Secret("right"))) as emulator,
        client(emulator, "right") as ws,
    ):
        await ws.send_json({"type": "ping"})
        assert await ws.receive_json() == {"type": "pong"}
        assert "right" not in str(emulator)


async def test_options_change_while_it_runs() -> None:
    async with EmulatedLightning(EmulatorOptions(refuse=503)) as emulator:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            async with client(emulator):
                pass
        emulator.options.refuse = 0
        async with client(emulator) as ws:
            await ws.send_json(HELLO)
            await until(ws, "complete")


async def test_a_refused_request_leaves_the_socket_open() -> None:
    async with EmulatedLightning() as emulator, client(emulator) as ws:
        await ws.send_json({**HELLO, "output_format": "mulaw"})
        (told,) = await until(ws, "error")
        assert told["error"][0]["options"] == ["wav", "ulaw", "alaw", "pcm", "mp3"]
        await ws.send_json(HELLO)
        await until(ws, "complete")


async def test_an_idle_socket_is_told_and_closed() -> None:
    options = EmulatorOptions(idle_timeout_s=0.02)
    async with EmulatedLightning(options) as emulator, client(emulator) as ws:
        assert "timed out after 0.02 seconds" in (await ws.receive_json(timeout=5))["message"]
        assert (await ws.receive(timeout=5)).type == aiohttp.WSMsgType.CLOSE
        assert ws.close_code == 1000
        assert emulator.stats.idle_closed == 1


async def test_the_query_overrides_the_idle_timeout() -> None:
    options = EmulatorOptions(idle_timeout_s=0.02)
    async with EmulatedLightning(options) as emulator, client(emulator, query="?timeout=60") as ws:
        with pytest.raises(TimeoutError):
            await ws.receive(timeout=0.1)
        assert await ping(ws) == []


async def test_complete_closes_the_socket_where_that_is_switched_on() -> None:
    async with (
        EmulatedLightning(EmulatorOptions(close_after_complete=True)) as emulator,
        client(emulator) as ws,
    ):
        await ws.send_json(HELLO)
        await until(ws, "complete")
        assert (await ws.receive(timeout=5)).type == aiohttp.WSMsgType.CLOSE


async def test_cancel_stops_the_audio_at_once_and_the_socket_serves_on() -> None:
    async with EmulatedLightning(EmulatorOptions(realtime_factor=1)) as emulator, client(emulator) as ws:
        await ws.send_json({**HELLO, "request_id": "old"})
        await until(ws, "chunk")
        await ws.send_json({"cancel_request": True, "text": None})
        await ping(ws)
        emulator.options.realtime_factor = 0
        await ws.send_json({**HELLO, "request_id": "new"})
        assert {m["external_request_id"] for m in await until(ws, "complete")} == {"new"}
        assert (emulator.stats.cancelled, emulator.stats.completed, emulator.stats.late_chunks) == (1, 1, 0)


async def test_a_cancel_can_be_made_to_come_too_late() -> None:
    options = EmulatorOptions(realtime_factor=4, chunk_ms=20, late_chunks_after_cancel=3)
    async with EmulatedLightning(options) as emulator, client(emulator) as ws:
        await ws.send_json(HELLO)
        await until(ws, "chunk")
        await ws.send_json({"cancel_request": True})
        await ping(ws)
        for _ in range(3):
            assert [m["status"] for m in await until(ws, "chunk")] == ["chunk"]
        await ws.send_json({**HELLO, "text": "Next.", "request_id": "new"})
        assert {m["external_request_id"] for m in await until(ws, "complete")} == {"new"}
        assert (emulator.stats.late_chunks, emulator.stats.cancelled, emulator.stats.completed) == (3, 1, 1)


async def test_over_concurrency_is_an_error_and_a_cancel_makes_room() -> None:
    options = EmulatorOptions(concurrency=1, stall_after_ms=0, faulty_requests=1)
    async with EmulatedLightning(options) as emulator, client(emulator) as one, client(emulator) as two:
        await one.send_json(HELLO)
        await ping(one)
        await two.send_json(HELLO)
        (told,) = await until(two, "error")
        assert told["error_code"] == "CONCURRENCY_LIMIT_EXCEEDED"
        await one.send_json({"cancel_request": True})
        await ping(one)
        await two.send_json(HELLO)
        await until(two, "complete")
        assert (emulator.stats.over_concurrency, emulator.stats.max_active) == (1, 1)


async def test_a_synthesis_goes_silent_and_its_socket_lives() -> None:
    async with EmulatedLightning(EmulatorOptions(stall_after_ms=150)) as emulator, client(emulator) as ws:
        await ws.send_json(HELLO)
        await until(ws, "chunk")
        await until(ws, "chunk")
        assert await ping(ws) == []
        assert (emulator.stats.chunks, emulator.stats.faults, emulator.stats.active) == (2, 1, 1)


async def test_a_client_that_leaves_gives_its_unit_back() -> None:
    options = EmulatorOptions(concurrency=1, stall_after_ms=0, faulty_requests=1)
    async with EmulatedLightning(options) as emulator:
        async with client(emulator) as ws:
            await ws.send_json(HELLO)
            await ping(ws)
            assert emulator.stats.active == 1
        async with client(emulator) as ws:
            await ws.send_json(HELLO)
            await until(ws, "complete")


async def test_a_socket_too_many_is_closed() -> None:
    options = EmulatorOptions(concurrency=1, sockets_per_unit=1)
    async with EmulatedLightning(options) as emulator, client(emulator), client(emulator) as second:
        assert (await second.receive(timeout=5)).type == aiohttp.WSMsgType.CLOSE
        assert second.close_code == 1008


async def test_the_connection_drops_in_the_middle_of_an_utterance() -> None:
    async with EmulatedLightning(EmulatorOptions(fail_after_ms=250)) as emulator, client(emulator) as ws:
        await ws.send_json(HELLO)
        assert [m["status"] for m in [await ws.receive_json(timeout=5) for _ in range(3)]] == ["chunk"] * 3
        assert (await ws.receive(timeout=5)).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        assert ws.close_code == 1006
        assert emulator.stats.faults == 1


async def test_a_client_that_leaves_before_its_socket_is_open_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with EmulatedLightning() as emulator:
        await ask_and_leave(emulator.url + LIVE.path, {"Authorization": "Bearer any"})
        async with client(emulator) as ws:
            assert await ping(ws) == [], "the next is served"
    assert tracebacks(caplog) == []


async def test_every_socket_can_be_cut_from_outside() -> None:
    async with EmulatedLightning() as emulator, client(emulator) as ws:
        emulator.drop_connections()
        assert (await ws.receive(timeout=5)).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


@pytest.mark.parametrize(
    ("switches", "expected"),
    [
        ({"answer_pcm": True}, SPOKEN.pcm),
        ({"odd_chunks": True}, mulaw_encode(SPOKEN.pcm)),
        ({"chunk_ms": 7.0}, mulaw_encode(SPOKEN.pcm)),
    ],
)
async def test_distorted_answers_still_hold_all_the_audio(switches: dict[str, Any], expected: bytes) -> None:
    async with EmulatedLightning(EmulatorOptions(**switches)) as emulator, client(emulator) as ws:
        await ws.send_json(HELLO)
        assert audio_of(await until(ws, "complete")) == expected


# -- continuations, and the sockets beside /tts/live -------------------------------------------------------------------

RAIN = ["The rain in Spain ", "stays mainly in ", "the plain. ", "By George, she's got it", "!"]


async def test_a_context_is_spoken_in_turn_while_its_text_still_comes() -> None:
    options = EmulatorOptions(concurrency=1, realtime_factor=20, jitter_ms=5)
    async with EmulatedLightning(options) as emulator, client(emulator) as ws:
        fragment = {**HELLO, "context_id": "turn-1", "continue": True}
        for text in RAIN[:3]:
            await ws.send_json({**fragment, "text": text, "request_id": "r-1"})
        first = await until(ws, "chunk")
        for text in RAIN[3:]:
            await ws.send_json({**fragment, "text": text})
        await ws.send_json({"context_id": "turn-1", "voice_id": "magnus", "continue": False})
        first += await until(ws, "complete")
        second = await until(ws, "complete")
        assert list(emulator.stats.texts) == ["".join(RAIN[:3]).rstrip(" "), " " + "".join(RAIN[3:])]
        assert [audio_of(run) for run in (first, second)] == [
            mulaw_encode(ToneEngine().speak(text, voice_id="magnus", language="auto", speed=1).pcm)
            for text in emulator.stats.texts
        ]
        assert [len({m["request_id"] for m in run}) for run in (first, second)] == [1, 1]
        assert first[0]["request_id"] != second[0]["request_id"]
        assert {m["external_request_id"] for m in first + second} == {"r-1"}
        assert await ping(ws) == []
        assert (emulator.stats.active, emulator.stats.max_active) == (0, 1)


async def test_text_of_a_context_is_spoken_when_its_time_is_up() -> None:
    async with EmulatedLightning() as emulator, client(emulator) as ws:
        await ws.send_json(
            {**HELLO, "context_id": "a", "continue": True, "max_buffer_delay_ms": 20, "text": "Well"}
        )
        assert audio_of(await until(ws, "complete"))


async def test_cancel_lets_the_audio_of_a_context_end_where_that_is_switched_on() -> None:
    options = EmulatorOptions(cancel_stops_audio=False, realtime_factor=20)
    async with EmulatedLightning(options) as emulator, client(emulator) as ws:
        await ws.send_json({**HELLO, "context_id": "a", "continue": True})
        await ws.send_json({**HELLO, "context_id": "a", "continue": True, "text": "And"})
        await ws.send_json({"context_id": "a", "cancel_request": True})
        assert audio_of(await until(ws, "complete")) == mulaw_encode(SPOKEN.pcm)
        assert await ping(ws) == []
        assert (emulator.stats.requests, emulator.stats.active) == (1, 0)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.path)
async def test_every_socket_speaks(dialect: Dialect) -> None:
    asked = {**HELLO, "language": "en", "voice_id": "magnus"}
    async with EmulatedLightning() as emulator, client(emulator, path=dialect.path) as ws:
        await ws.send_json(asked)
        pcm = dialect.implied.get("output_format") == "pcm"
        assert audio_of(await until(ws, "complete")) == (SPOKEN.pcm if pcm else mulaw_encode(SPOKEN.pcm))


async def test_v2_can_have_been_retired_and_nothing_else_with_it() -> None:
    headers = {"Authorization": "Bearer any"}
    async with (
        EmulatedLightning(EmulatorOptions(v2_retired=True)) as emulator,
        aiohttp.ClientSession(emulator.url, headers=headers) as http,
    ):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(V2.path)
        assert refused.value.status == 410
        async with http.get(V2.path) as response:
            told = await response.json()
        assert (told["status"], told["error_code"]) == ("error", "MODEL_DEPRECATED")
        assert told["recommended_endpoint"] == "/waves/v1/lightning-v3.1/get_speech"
        assert (emulator.stats.refused_handshakes, emulator.stats.connections) == (2, 0)
        async with client(emulator, path=V31.path):
            pass


# -- lateness and faults -----------------------------------------------------------------------------------------------


async def test_jitter_never_changes_the_order() -> None:
    options = EmulatorOptions(jitter_ms=20, chunk_ms=20)
    async with EmulatedLightning(options) as emulator, client(emulator) as ws:
        await ws.send_json({**HELLO, "voice_id": "meher", "word_timestamps": True})
        messages = await until(ws, "complete")
        speech = ToneEngine().speak(HELLO["text"], voice_id="meher", language="auto", speed=1)
        assert audio_of(messages) == mulaw_encode(speech.pcm)
        words = [m["data"]["id"] for m in messages if m["status"] == "word_timestamp"]
        assert words == sorted(words) != []


async def test_a_message_that_cannot_be_read_comes_once_and_the_audio_is_whole() -> None:
    async with EmulatedLightning(EmulatorOptions(garble_after_ms=150)) as emulator, client(emulator) as ws:
        await ws.send_json(HELLO)
        raw = [await ws.receive_str(timeout=5)]
        while '"complete"' not in raw[-1]:
            raw.append(await ws.receive_str(timeout=5))
        garbled = raw.pop(2)  # before the third chunk, the first that starts after 150 ms
        with pytest.raises(json.JSONDecodeError):
            json.loads(garbled)
        assert audio_of([json.loads(message) for message in raw]) == mulaw_encode(SPOKEN.pcm)
        assert emulator.stats.faults == 1


@pytest.mark.parametrize(("after_ms", "chunks"), [(0, 0), (150, 2)])
async def test_a_synthesis_ends_with_an_error(after_ms: float, chunks: int) -> None:
    options = EmulatorOptions(error_after_ms=after_ms, error_code="UPSTREAM_ERROR", faulty_requests=1)
    async with EmulatedLightning(options) as emulator, client(emulator) as ws:
        await ws.send_json({**HELLO, "request_id": "r-1"})
        *before, told = await until(ws, "error")
        assert len(before) == chunks
        assert (told["error_code"], told["external_request_id"]) == ("UPSTREAM_ERROR", "r-1")
        assert (emulator.stats.active, emulator.stats.faults, emulator.stats.errors) == (0, 1, 1)
        await ws.send_json(HELLO)
        assert audio_of(await until(ws, "complete")) == mulaw_encode(SPOKEN.pcm)


async def test_a_second_request_overtakes_a_slow_first() -> None:
    options = EmulatorOptions(slow_first_byte_ms=60_000, slow_first_bytes=1)
    async with EmulatedLightning(options) as emulator, client(emulator) as ws:
        for request_id in ("slow", "hedge"):
            await ws.send_json({**HELLO, "request_id": request_id})
        assert {m["external_request_id"] for m in await until(ws, "complete")} == {"hedge"}


class BrokenEngine(ToneEngine):
    """Fails on the first sentence that it is given."""

    broken = True

    def speak(self, text: str, *, voice_id: str, language: str, speed: float) -> Speech:
        if self.broken:
            self.broken = False
            raise RuntimeError("no such voice")
        return super().speak(text, voice_id=voice_id, language=language, speed=speed)


async def test_an_engine_that_fails_is_an_error_of_its_request() -> None:
    async with EmulatedLightning(engine=BrokenEngine()) as emulator, client(emulator) as ws:
        await ws.send_json({**HELLO, "request_id": "r-1"})
        (told,) = await until(ws, "error")
        assert (told["external_request_id"], told["message"]) == ("r-1", "The speech engine failed")
        await ws.send_json(HELLO)
        await until(ws, "complete")


async def test_stopping_closes_open_sockets_with_1001() -> None:
    emulator = EmulatedLightning()
    await emulator.start()
    async with client(emulator) as ws:
        await ws.send_json({**HELLO, "complete_backoff_ms": 10_000})
        await until(ws, "chunk")
        await asyncio.gather(emulator.stop(), drain(ws))
        assert ws.close_code == 1001
    assert (emulator.stats.open_connections, emulator.stats.active) == (0, 0)
    await emulator.stop()


async def drain(ws: Socket) -> None:
    async for _ in ws:
        pass


async def test_the_catalogue_and_the_health_page() -> None:
    headers = {"Authorization": "Bearer any"}
    async with EmulatedLightning() as emulator, aiohttp.ClientSession(emulator.url) as http:
        async with http.get("/") as response:
            assert (await response.json())["status"] == "ok"
        async with http.get("/waves/v1/lightning-v3.1/get_voices", headers=headers) as response:
            assert "magnus" in [voice["voiceId"] for voice in (await response.json())["voices"]]
        async with http.get("/waves/v1/lightning-v3.1-pro/get_voices", headers=headers) as response:
            assert "meher" in [voice["voiceId"] for voice in (await response.json())["voices"]]
        async with http.get("/waves/v1/lightning-v3.1/get_voices") as response:
            assert response.status == 401


async def test_a_port_that_is_taken_is_said_at_once() -> None:
    async with EmulatedLightning() as emulator:
        port = int(emulator.url.rsplit(":", 1)[1])
        with pytest.raises(OSError, match="address"):
            await serve_forever(EmulatedLightning(port=port))


def test_the_line_that_is_printed_says_where_and_what() -> None:
    emulator = EmulatedLightning(EmulatorOptions(first_byte_ms=150), port=9001)
    assert str(emulator) == "Emulated Lightning on http://127.0.0.1:9001: any key, tones, first_byte_ms 150"
