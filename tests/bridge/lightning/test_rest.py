"""The door of whole clips: what is asked, what is audio and what is not, and how long one waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bridge.errors import Busy, InvalidRequest, LightningError, TimedOut, Unavailable
from bridge.lightning.doors import open_door
from bridge.lightning.limits import Units
from bridge.lightning.rest import MAKING_S_PER_CHAR, LightningHttp
from bridge.lightning.stats import LightningStats
from telephony_codecs.formats import PCM16_8K
from telephony_codecs.wav import wav_bytes
from tests.support.lightning_live import KEY, config, parts_of
from tests.support.lightning_requests import request
from tests.support.scripted_http import (
    Handler,
    ScriptedHttp,
    answering,
    cut,
    raw_answer,
    scripted_http,
    silent,
    streaming,
)

AUDIO = bytes(range(256)) * 20


@asynccontextmanager
async def talking(*handlers: Handler, **changes: Any) -> AsyncIterator[tuple[LightningHttp, ScriptedHttp]]:
    async with (
        scripted_http(*handlers) as server,
        LightningHttp(config(server.url, door="http", **changes)) as door,
    ):
        yield door, server


async def heard(door: LightningHttp, **changes: Any) -> tuple[bytes, LightningError | None]:
    parts, error = await parts_of(door.synthesize(request(**changes)))
    return b"".join(part for part in parts if isinstance(part, bytes)), error


@pytest.mark.parametrize("content_type", ["audio/wav", "application/json", "text/html", "nonsense"])
@pytest.mark.parametrize(
    "audio", [AUDIO, wav_bytes(PCM16_8K, AUDIO), b"{" + AUDIO], ids=["raw", "wav", "brace"]
)
async def test_the_body_is_the_audio_whatever_its_type_is_said_to_be(audio: bytes, content_type: str) -> None:
    async with talking(answering(audio, 200, **{"Content-Type": content_type})) as (door, _):
        assert await heard(door) == (audio, None)
        assert (door.stats.completed, door.units.in_use) == (1, 0)


async def test_what_is_asked() -> None:
    async with talking(answering(AUDIO)) as (door, server):
        await heard(door, output_format="pcm", sample_rate=24000, pronunciation_dicts=["5eed"])
    assert server.paths == ["POST /waves/v1/tts"]
    assert server.bodies == [
        {
            "text": "Hello.",
            "voice_id": "magnus",
            "model": "lightning_v3.1",
            "language": "en",
            "sample_rate": 24000,
            "output_format": "pcm",
            "request_id": "r1",
            "pronunciation_dicts": ["5eed"],
        }
    ]
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"


async def test_audio_is_handed_on_as_it_comes() -> None:
    async with talking(streaming(AUDIO, then=silent)) as (door, _):
        synthesis = door.synthesize(request())
        assert await anext(synthesis) == AUDIO
        synthesis.cancel()


async def test_one_connection_serves_all_pieces() -> None:
    async with talking(answering(AUDIO)) as (door, server):
        for _ in range(3):
            assert await heard(door) == (AUDIO, None)
        assert len(server.connections) == 1


@pytest.mark.parametrize(
    "handler, kind, told",
    [
        (answering({"status": "error", "message": "Invalid Voice ID"}), InvalidRequest, "Invalid Voice ID"),
        (answering({"error": "Concurrency limit reached"}), Busy, "Concurrency limit reached"),
        (answering(b"<html>Log in</html>"), Unavailable, "text instead of audio"),
        (answering(b""), Unavailable, "answered without audio"),
        (answering({"message": "limit"}, 429), Busy, "limit"),
        (answering({"message": "broke"}, 502), Unavailable, "broke"),
    ],
)
async def test_what_is_no_audio_is_an_error(handler: Handler, kind: type[LightningError], told: str) -> None:
    async with talking(handler) as (door, _):
        audio, error = await heard(door)
        assert (audio, type(error)) == (b"", kind)
        assert error is not None
        assert (error.message, error.request_id) == (told, "r1")
        assert door.stats.busy_answers == (kind is Busy)
        assert (door.stats.failed, door.units.in_use) == (1, 0)


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(streaming(AUDIO, then=cut), id="before its last chunk"),
        pytest.param(
            raw_answer(f"HTTP/1.1 200 OK\r\nContent-Length: {len(AUDIO) + 1}\r\n\r\n", AUDIO),
            id="a byte short",
        ),
    ],
)
async def test_a_clip_that_is_cut_short_is_no_clip(handler: Handler) -> None:
    async with talking(handler) as (door, _):
        audio, error = await heard(door)
        assert (audio, type(error)) == (AUDIO, Unavailable)
        assert error is not None
        assert error.code == "dropped"


async def test_a_longer_text_may_take_longer() -> None:
    async with talking(streaming(then=silent), first_audio_timeout_s=0.01) as (door, _):
        synthesis = door.synthesize(request(text="a" * 20, speed=2.0))
        with pytest.raises(TimedOut) as caught:
            await synthesis.finished()
        limit_s = 0.01 + 20 * MAKING_S_PER_CHAR / 2
        assert caught.value.message == f"no audio for {limit_s:g} s"


async def test_cancel_closes_the_connection() -> None:
    async with talking(streaming(AUDIO, then=silent)) as (door, server):
        synthesis = door.synthesize(request())
        await anext(synthesis)
        synthesis.cancel()
        assert door.units.in_use == 0
        async with asyncio.timeout(10):
            await server.left.wait()


async def test_the_end_of_a_body_that_nobody_waits_for_leaves_no_connection_behind() -> None:
    async with talking(streaming(b"audio", then=silent)) as (door, lightning):
        answer = await door.session.get(lightning.url + "/waves/v1/tts")
        door.read_tail(answer)
        await door.close()  # before the reading has begun
        assert answer.connection is None


async def test_it_is_the_door_that_the_configuration_names() -> None:
    stats = LightningStats()
    assert isinstance(
        open_door(config("http://127.0.0.1:1", door="http"), stats, Units(1, stats)), LightningHttp
    )
