"""The emulator's HTTP doors over real connections, with a client that is none of ours."""

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
from bridge.emulators.lightning_http import DOORS, RETIRED_PATHS, Door, audio_event, end_event, read_body
from bridge.emulators.lightning_options import EmulatorOptions
from bridge.emulators.lightning_protocol import Synthesis
from bridge.emulators.lightning_refusals import RECOMMENDED_PATH, Refusal
from bridge.emulators.lightning_requests import SpeechRequest
from bridge.emulators.speech_engine import Speech, ToneEngine
from telephony_codecs.g711 import mulaw_encode
from tests.support.waiting import until

HELLO: dict[str, Any] = {
    "text": "Hello there, this is Lightning.",
    "voice_id": "magnus",
    "sample_rate": 8000,
    "output_format": "ulaw",
}
SPOKEN = mulaw_encode(ToneEngine().speak(HELLO["text"], voice_id="magnus", language="auto", speed=1).pcm)
EVENTS = [door for door in DOORS if door.events]
CLIPS = [door for door in DOORS if not door.events]
BY_PATH = {door.path: door for door in DOORS}


@asynccontextmanager
async def served(**switches: Any) -> AsyncIterator[tuple[EmulatedLightning, aiohttp.ClientSession]]:
    """An emulator, and a client with a key."""
    headers = {"Authorization": "Bearer any"}
    async with (
        EmulatedLightning(EmulatorOptions(**switches)) as emulator,
        aiohttp.ClientSession(emulator.url, headers=headers) as http,
    ):
        yield emulator, http


def events_of(body: bytes) -> list[tuple[str, dict[str, Any]]]:
    """The events of a stream: the name of each, and its data."""
    found = []
    for block in body.decode().removesuffix("\n\n").split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines())
        found.append((lines.get("event", ""), json.loads(lines["data"])))
    return found


@pytest.mark.parametrize("door", EVENTS, ids=lambda door: door.path)
async def test_events_hold_the_audio_and_an_end(door: Door) -> None:
    async with served() as (emulator, http), http.post(door.path, json=HELLO) as response:
        events = events_of(await response.read())
        assert response.headers["Content-Type"] == "text/event-stream"
        *audio, end = events
        assert end == ("", {"status": "200", "done": True})
        assert {name for name, _ in audio} == {"audio"}
        assert {(data["done"], data["status"]) for _, data in audio} == {(False, "206")}
        assert b"".join(b64decode(data["audio"]) for _, data in audio) == SPOKEN
        assert (emulator.stats.completed, emulator.stats.active) == (1, 0)
        assert emulator.stats.chunks == len(audio)


async def test_older_events_are_wrapped_as_on_the_socket() -> None:
    async with served(old_sse=True) as (_, http), http.post("/waves/v1/tts/live", json=HELLO) as response:
        *audio, end = [data for _, data in events_of(await response.read())]
        assert {data["status"] for data in audio} == {"chunk"}
        assert b"".join(b64decode(data["data"]["audio"]) for data in audio) == SPOKEN
        assert (end["status"], end["done"]) == ("complete", True)


@pytest.mark.parametrize("door", CLIPS, ids=lambda door: door.path)
@pytest.mark.parametrize("output_format", ["pcm", "ulaw", "alaw", "wav"])
async def test_clips_are_raw_and_called_wav_whatever_they_are(door: Door, output_format: str) -> None:
    body = {**HELLO, "output_format": output_format}
    async with served() as (_, http), http.post(door.path, json=body) as response:
        audio = await response.read()
        assert response.headers["Content-Type"] == "audio/wav"
        assert audio.startswith(b"RIFF") == (output_format == "wav")
        assert output_format != "ulaw" or audio == SPOKEN


async def test_ids_are_headers_and_the_clients_own_come_back() -> None:
    body = {**HELLO, "request_id": "r-1", "session_id": "s-1"}
    headers = {"x-expire-content": "true"}
    async with served() as (_, http), http.post("/waves/v1/tts", json=body, headers=headers) as response:
        told = response.headers
        assert told["X-External-Request-Id"] == "r-1"
        assert told["X-External-Session-Id"] == "s-1"
        assert told["X-Request-Id"] == "task_00000001"
        assert told["X-Session-Id"]
        assert told["x-content-expiry"] == "not-entitled"


async def test_the_path_says_the_model_and_the_rest_of_the_body_counts() -> None:
    async with served() as (emulator, http):
        for door in DOORS:
            async with http.post(door.path, json={**HELLO, "model": "lightning_v3.1_pro"}) as response:
                assert response.status == 200
        assert emulator.stats.last_request == {**HELLO, "model": "lightning_v3.1_pro"}
        assert list(emulator.stats.texts) == [HELLO["text"]] * len(DOORS)


BAD_BODIES: list[tuple[str, dict[str, Any], list[tuple[str, str]]]] = [
    ("/waves/v1/tts", {}, [("invalid_type", "text")]),
    ("/waves/v1/tts", {"text": None}, [("invalid_type", "text")]),
    ("/waves/v1/tts", {"text": " \n"}, [("custom", "text")]),
    ("/waves/v1/tts", {"text": "x" * 8001}, [("too_big", "text")]),
    ("/waves/v1/tts", {"text": "x", "voice_id": "nobody"}, [("custom", "voice_id")]),
    ("/waves/v1/tts", {"text": "x", "output_format": "mulaw"}, [("invalid_enum_value", "output_format")]),
    ("/waves/v1/tts", {"text": "x", "model": "lightning_v2"}, [("invalid_enum_value", "model")]),
    ("/waves/v1/tts", {"text": "x", "speed": 9, "sample_rate": 1}, [("custom", "sample_rate"), ("too_big", "speed")]),
    ("/waves/v1/lightning-v2/get_speech", {"text": "x"}, [("invalid_type", "voice_id")]),
    ("/waves/v1/lightning-v2/stream", {"text": "x", "voice_id": "a", "consistency": 2}, [("too_big", "consistency")]),
]  # fmt: skip


@pytest.mark.parametrize(("path", "fields", "issues"), BAD_BODIES)
def test_what_is_wrong_with_a_body_is_listed(
    path: str, fields: dict[str, Any], issues: list[tuple[str, str]]
) -> None:
    refusal = read_body(json.dumps(fields).encode(), BY_PATH[path].dialect, strict_voices=True)
    assert isinstance(refusal, Refusal)
    assert refusal.status == 400
    told = json.loads(refusal.body)["error"]
    assert [(issue["code"], issue["path"][0]) for issue in told] == issues


GOOD_BODIES: list[tuple[str, dict[str, Any]]] = [
    ("/waves/v1/tts", {"text": "x"}),
    ("/waves/v1/tts", {"text": "x", "context_id": "\0", "flush": 1, "complete_backoff_ms": "never"}),
    ("/waves/v1/tts/live", {"text": "x", "word_timestamps": True, "new": "field"}),
    ("/waves/v1/lightning-v2/stream", {"text": "x", "voice_id": "a", "speed": 5, "enhancement": 2, "language": "sv"}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "fields"), GOOD_BODIES)
def test_what_steers_a_socket_or_is_unknown_is_ignored(path: str, fields: dict[str, Any]) -> None:
    assert read_body(json.dumps(fields).encode(), BY_PATH[path].dialect, strict_voices=True) == fields


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b'"text"', b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    refusal = read_body(body, BY_PATH["/waves/v1/tts"].dialect, strict_voices=True)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, json.loads(refusal.body)["error_code"]) == (400, "INVALID_JSON")


@pytest.mark.parametrize("path", [*BY_PATH, *RETIRED_PATHS])
async def test_a_wrong_key_is_refused_before_anything_else(path: str) -> None:
    async with served(api_key=Secret("right")) as (emulator, http), http.post(path, data=b"junk") as response:
        assert response.status == 401
        assert (await response.json())["status"] == "error"
        assert emulator.stats.refused_handshakes == 1


@pytest.mark.parametrize("path", [*RETIRED_PATHS, *(door.path for door in DOORS if door.dialect.is_v2)])
async def test_a_retired_door_names_its_successor(path: str) -> None:
    async with served(v2_retired=True) as (emulator, http), http.post(path, json=HELLO) as response:
        told = await response.json()
        assert (response.status, told["error_code"]) == (410, "MODEL_DEPRECATED")
        assert told["recommended_endpoint"] == RECOMMENDED_PATH
        assert emulator.stats.requests == 0


async def test_one_more_than_the_account_may_is_told_to_come_again() -> None:
    async with served(concurrency=1, stall_after_ms=0, faulty_requests=1) as (emulator, http):
        async with http.post("/waves/v1/tts", json=HELLO):  # answers, and stalls
            async with http.post("/waves/v1/tts/live", json=HELLO) as refused:
                assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
                assert (await refused.json())["error_code"] == "CONCURRENCY_LIMIT_EXCEEDED"
            assert emulator.stats.over_concurrency == 1
        await until(lambda: emulator.stats.active == 0)
        async with http.post("/waves/v1/tts/live", json=HELLO) as response:
            assert response.status == 200


@pytest.mark.parametrize("path", ["/waves/v1/tts/live", "/waves/v1/tts"])
async def test_a_client_that_hangs_up_frees_its_unit(path: str) -> None:
    async with served(stall_after_ms=200) as (emulator, http):
        async with http.post(path, json=HELLO) as response:
            await response.content.readany()
            assert emulator.stats.active == 1
            response.close()
        await until(lambda: emulator.stats.active == 0)
        assert (emulator.stats.cancelled, emulator.stats.completed) == (1, 0)


@pytest.mark.parametrize("path", ["/waves/v1/tts/live", "/waves/v1/tts"])
async def test_a_client_that_hangs_up_before_the_first_byte_frees_its_unit(path: str) -> None:
    async with served(first_byte_ms=60_000) as (emulator, http):
        waiting = asyncio.create_task(http.request("POST", path, json=HELLO))
        await until(lambda: emulator.stats.active == 1)
        waiting.cancel()
        await until(lambda: emulator.stats.active == 0)
        assert (emulator.stats.cancelled, emulator.stats.chunks) == (1, 0)


@pytest.mark.parametrize("path", ["/waves/v1/tts/live", "/waves/v1/tts"])
async def test_a_cut_in_the_middle_is_no_end(path: str) -> None:
    async with served(fail_after_ms=300) as (emulator, http):
        async with http.post(path, json=HELLO) as response:
            with pytest.raises(aiohttp.ClientError):
                await response.read()
        assert (emulator.stats.faults, emulator.stats.chunks) == (1, 3)
        await until(lambda: emulator.stats.active == 0)
        assert emulator.stats.cancelled == 1


async def test_an_event_may_be_garbled_and_the_rest_is_whole() -> None:
    async with served(garble_after_ms=300) as (emulator, http):
        async with http.post("/waves/v1/tts/live", json=HELLO) as response:
            blocks = (await response.read()).split(b"\n\n")
        readable = [block for block in blocks if block.endswith(b"}")]
        assert blocks.index(b'event: audio\ndata: {"audio":"AAAA') == 3
        assert len(readable) == emulator.stats.chunks + 1
        assert emulator.stats.faults == 1


async def test_an_error_before_the_first_byte_is_an_http_error() -> None:
    async with served(error_after_ms=0, error_code="NO_VOICE") as (emulator, http):
        for path in ("/waves/v1/tts/live", "/waves/v1/tts"):
            async with http.post(path, json=HELLO) as response:
                assert (response.status, (await response.json())["error_code"]) == (500, "NO_VOICE")
        assert (emulator.stats.errors, emulator.stats.faults, emulator.stats.active) == (2, 2, 0)


async def test_an_error_after_the_first_byte_is_an_event_or_a_cut() -> None:
    async with served(error_after_ms=200, error_code="NO_VOICE") as (emulator, http):
        async with http.post("/waves/v1/tts/live", json=HELLO) as response:
            *audio, (name, data) = events_of(await response.read())
            assert (len(audio), name, data["status"], data["error_code"]) == (2, "error", "error", "NO_VOICE")
        async with http.post("/waves/v1/tts", json=HELLO) as response:
            with pytest.raises(aiohttp.ClientError):
                await response.read()
        assert (emulator.stats.errors, emulator.stats.completed, emulator.stats.active) == (2, 0, 0)


async def test_all_answers_can_be_cut_at_once() -> None:
    async with served(stall_after_ms=100) as (emulator, http):
        async with http.post("/waves/v1/tts", json=HELLO) as response:
            emulator.drop_connections()
            with pytest.raises(aiohttp.ClientError):
                await response.read()
        await until(lambda: emulator.stats.active == 0)


async def test_stopping_does_not_wait_for_an_answer_that_stalls() -> None:
    async with served(stall_after_ms=100) as (emulator, http), http.post("/waves/v1/tts", json=HELLO):
        await emulator.stop()
        assert emulator.stats.active == 0


async def test_a_failing_engine_is_an_error_of_the_service() -> None:
    class Broken(ToneEngine):
        def speak(self, text: str, *, voice_id: str, language: str, speed: float) -> Speech:
            raise RuntimeError("no breath")

    headers = {"Authorization": "Bearer any"}
    async with (
        EmulatedLightning(engine=Broken()) as emulator,
        aiohttp.ClientSession(emulator.url, headers=headers) as http,
        http.post("/waves/v1/tts/live", json=HELLO) as response,
    ):
        assert response.status == 500
        assert (await response.json())["error_code"] == "INTERNAL_ERROR"
        assert (emulator.stats.active, emulator.stats.completed, emulator.stats.cancelled) == (0, 0, 0)


def test_the_envelopes_word_for_word() -> None:
    synthesis = Synthesis(SpeechRequest(), 1, timed=False, head=b'{"request_id":"t"', old_complete=True)
    assert [
        audio_event(synthesis, b"AAAA", old=False),
        end_event(synthesis, old=False),
        audio_event(synthesis, b"AAAA", old=True),
        end_event(synthesis, old=True),
    ] == [
        b'event: audio\ndata: {"audio":"AAAA","done":false,"status":"206"}\n\n',
        b'data: {"status":"200","done":true}\n\n',
        b'data: {"request_id":"t","status":"chunk","data":{"audio":"AAAA"}}\n\n',
        b'data: {"request_id":"t","status":"complete","message":"All chunks sent","done":true}\n\n',
    ]
