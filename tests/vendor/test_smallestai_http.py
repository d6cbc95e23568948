"""`smallestai`, unchanged: its blocking and its asynchronous client over HTTP, and its helpers."""

from __future__ import annotations

import wave
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from smallestai import AsyncSmallestAI, SmallestAI
from smallestai.core.api_error import ApiError
from smallestai.core.http_sse import EventSource
from smallestai.waves.errors import BadRequestError, UnauthorizedError
from smallestai.waves.helpers import synthesize_bytes, synthesize_to_file, synthesize_with_expiry

from bridge.emulators.lightning import EmulatedLightning
from bridge.emulators.lightning_refusals import RECOMMENDED_PATH
from bridge.secret import Secret
from telephony_codecs.g711 import alaw_encode, mulaw_encode
from tests.support.vendor import MARKS, SPEECH, TEXT, spoken

pytestmark = MARKS

FORMATS = [("pcm", spoken()), ("ulaw", mulaw_encode(spoken())), ("alaw", alaw_encode(spoken()))]


@pytest.mark.parametrize(("output_format", "audio"), FORMATS)
def test_speech_by_the_blocking_client(
    client: SmallestAI, emulator: EmulatedLightning, output_format: str, audio: bytes
) -> None:
    said = client.waves.synthesize_tts(**SPEECH, output_format=output_format, language="en", speed=1.0)
    assert b"".join(said) == audio
    assert emulator.stats.last_request["language"] == "en"


@pytest.mark.parametrize(("output_format", "audio"), FORMATS)
async def test_speech_by_the_asynchronous_client(
    async_client: AsyncSmallestAI, output_format: str, audio: bytes
) -> None:
    said = async_client.waves.synthesize_tts(**SPEECH, output_format=output_format)
    assert b"".join([chunk async for chunk in said]) == audio


def test_its_ids_come_back_as_headers(client: SmallestAI) -> None:
    raw = client.waves.with_raw_response.synthesize_tts(**SPEECH, request_id="r-1", session_id="s-1")
    with raw as response:
        assert b"".join(response.data) == spoken()
        assert response.headers["x-external-request-id"] == "r-1"
        assert response.headers["x-external-session-id"] == "s-1"


# Its `synthesize_sse_tts` itself takes the data of every event for a string, finds an object in all of them, as
# documented, and drops them with a warning (5.14). So its reader of events is used, below that.


def test_events_by_the_blocking_client(client: SmallestAI, emulator: EmulatedLightning) -> None:
    with client.waves.with_raw_response.synthesize_sse_tts(**SPEECH, output_format="pcm") as raw:
        events = [(sse.event, sse.json()) for sse in EventSource(raw._response).iter_sse()]
    *audio, (_, end) = events
    assert {(name, data["status"], data["done"]) for name, data in audio} == {("audio", "206", False)}
    assert b"".join(b64decode(data["audio"]) for _, data in audio) == spoken()
    assert end == {"status": "200", "done": True}
    assert emulator.stats.completed == 1


@pytest.mark.parametrize("old_sse", [False, True])
async def test_events_by_the_asynchronous_client(
    async_client: AsyncSmallestAI, emulator: EmulatedLightning, old_sse: bool
) -> None:
    emulator.options.old_sse = old_sse
    async with async_client.waves.with_raw_response.synthesize_sse_tts(**SPEECH) as raw:
        told = [sse.json() async for sse in EventSource(raw._response).aiter_sse()]
    audio = [data["data"]["audio"] if old_sse else data["audio"] for data in told[:-1]]
    assert b"".join(map(b64decode, audio)) == spoken()
    assert told[-1]["done"] is True


async def test_leaving_a_stream_frees_the_unit(
    async_client: AsyncSmallestAI, emulator: EmulatedLightning
) -> None:
    emulator.options.concurrency, emulator.options.stall_after_ms = 1, 200
    emulator.options.faulty_requests = 1
    async with async_client.waves.with_raw_response.synthesize_sse_tts(**SPEECH) as raw:
        async for _ in EventSource(raw._response).aiter_sse():
            break
    said = async_client.waves.synthesize_tts(**SPEECH, request_options={"max_retries": 3})
    assert b"".join([chunk async for chunk in said]) == spoken()
    assert (emulator.stats.cancelled, emulator.stats.completed) == (1, 1)


def test_its_helpers(client: SmallestAI, tmp_path: Path) -> None:
    assert synthesize_bytes(client, TEXT, voice_id="magnus", sample_rate=8000).startswith(b"RIFF")
    size_bytes = synthesize_to_file(
        client, TEXT, voice_id="magnus", path=str(tmp_path / "a.wav"), sample_rate=8000
    )
    assert (tmp_path / "a.wav").stat().st_size == size_bytes
    with wave.open(str(tmp_path / "a.wav")) as written:
        assert (written.getnchannels(), written.getsampwidth(), written.getframerate()) == (1, 2, 8000)
        assert written.readframes(len(spoken())) == spoken()
    audio, expiry = synthesize_with_expiry(
        client, TEXT, voice_id="magnus", output_format="pcm", sample_rate=8000
    )
    assert (audio, expiry) == (spoken(), "not-entitled")


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"voice_id": "nobody"}, "voice_id"),
    ({"text": "  "}, "text"),
    ({"output_format": "mulaw"}, "output_format"),
    ({"speed": 9.0}, "speed"),
    ({"sample_rate": 11025}, "sample_rate"),
    ({"language": "tlh"}, "language"),
]


@pytest.mark.parametrize(("changes", "field"), REFUSED)
def test_what_is_wrong_is_its_bad_request(client: SmallestAI, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        list(client.waves.synthesize_tts(**{**SPEECH, **changes}))
    assert refused.value.body["error"][0]["path"] == [field]


def test_a_wrong_key_is_its_unauthorized(client: SmallestAI, emulator: EmulatedLightning) -> None:
    emulator.options.api_key = Secret("another")
    with pytest.raises(UnauthorizedError):
        list(client.waves.synthesize_sse_tts(**SPEECH))
    with pytest.raises(UnauthorizedError):
        client.waves.get_voices("lightning-v3.1")


async def test_too_many_at_once_are_told_when_to_come_again(
    async_client: AsyncSmallestAI, emulator: EmulatedLightning
) -> None:
    emulator.options.concurrency, emulator.options.stall_after_ms = 1, 0
    emulator.options.faulty_requests = 1
    async with async_client.waves.with_raw_response.synthesize_tts(**SPEECH):
        with pytest.raises(ApiError) as refused:
            async for _ in async_client.waves.synthesize_tts(**SPEECH):
                pass
    assert refused.value.status_code == 429
    assert refused.value.headers["retry-after"] == "1"


RETIRED = ["synthesize_lightning", "synthesize_lightning_large", "synthesize_sse_lightning_large",
           "synthesize_lightning_v2", "synthesize_sse_lightning_v2"]  # fmt: skip


@pytest.mark.parametrize("method", RETIRED)
def test_what_was_retired_is_gone_for_its_methods_too(
    client: SmallestAI, emulator: EmulatedLightning, method: str
) -> None:
    emulator.options.v2_retired = True
    with pytest.raises(ApiError) as refused:
        getattr(client.waves, method)(output_format="pcm")
    assert refused.value.status_code == 410
    assert refused.value.body["error_code"] == "MODEL_DEPRECATED"
    assert refused.value.body["recommended_endpoint"] == RECOMMENDED_PATH
