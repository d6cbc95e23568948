"""The socket of Lightning v3.1's own: the same door by another path."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import pytest

from bridge.errors import InvalidRequest
from bridge.lightning.speech import StreamingSynthesizer
from bridge.lightning.v31 import V31, LightningV31
from tests.support.lightning_live import config, mute, parts_of, refusing, well_behaved
from tests.support.lightning_requests import request
from tests.support.scripted_lightning import Line, ScriptedLightning

MEND = 'set lightning.door = "live" and a voice of lightning_v3.1'
BODY = b"""{"status":"error","error_code":"MODEL_DEPRECATED","message":"This model has been retired",
           "recommended_endpoint":"/waves/v1/tts/live"}"""


def test_the_model_is_not_sent() -> None:
    sent = json.loads(V31.encode(request(word_timestamps=True), config("http://127.0.0.1")))
    assert sent == {
        "text": "Hello.",
        "voice_id": "magnus",
        "language": "en",
        "sample_rate": 8000,
        "output_format": "ulaw",
        "request_id": "r1",
        "word_timestamps": True,
        "complete_backoff_ms": 0,
    }


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model": "lightning_v4", "voice_id": "brannock"}, "model"),
        ({"speed": 2.5}, "speed"),
        ({"text": " "}, "text"),
        ({"request_id": "no spaces"}, "request_id"),
    ],
)
def test_what_it_would_refuse(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequest, match=named):
        V31.encode(request(**changes), config("http://127.0.0.1"))


async def test_a_server_that_closes_after_every_synthesis() -> None:
    async def once(line: Line) -> None:
        asked = await line.request()
        await line.chunk(asked["text"].encode(), asked)
        await line.complete(asked)

    async with (
        ScriptedLightning(once) as lightning,
        LightningV31(config(lightning.url, door="v3.1", spare_connections=1)) as door,
    ):
        assert isinstance(door, StreamingSynthesizer)
        for text in ("one", "two", "three"):
            assert await parts_of(door.synthesize(request(text=text))) == ([text.encode()], None)
        paths = {shake.path for shake in lightning.handshakes}
        assert paths == {"/waves/v1/lightning-v3.1/get_speech/stream"}
        assert door.stats.failed == 0


async def test_text_that_streams_in() -> None:
    async with (
        ScriptedLightning(well_behaved) as lightning,
        LightningV31(config(lightning.url, door="v3.1", text_streaming="flush")) as door,
    ):
        synthesis = door.open_text(request(text=""), expected_ms=lambda text: len(text) / 8)
        await synthesis.say("It is late. Good")
        assert await anext(synthesis) == b"It is late."
        assert all("model" not in asked and asked["continue"] for asked in lightning.requests)
        synthesis.cancel()


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (
            HTTPStatus.GONE,
            BODY,
            f"This model has been retired; Lightning recommends /waves/v1/tts/live; {MEND}",
        ),
        (
            HTTPStatus.GONE,
            b"",
            f"HTTP 410: most likely the endpoint of Lightning v3.1 has been retired; {MEND}",
        ),
        (
            HTTPStatus.NOT_FOUND,
            b"",
            f"HTTP 404: most likely the endpoint of Lightning v3.1 has been retired; {MEND}",
        ),
        (HTTPStatus.NOT_FOUND, b'{"message":"No such voice"}', "No such voice"),
    ],
)
async def test_a_handshake_that_says_it_is_gone(status: HTTPStatus, body: bytes, told: str) -> None:
    async with (
        ScriptedLightning(mute, refuse=refusing(status, body)) as lightning,
        LightningV31(config(lightning.url, door="v3.1")) as door,
    ):
        _, error = await parts_of(door.synthesize(request()))
        assert type(error) is InvalidRequest
        assert error.message == told
        assert error.code in ("MODEL_DEPRECATED", "410", "404")


async def test_a_message_that_says_it_is_gone() -> None:
    async def retired(line: Line) -> None:
        asked = await line.request()
        await line.error(
            asked, message="Retired", error_code="MODEL_DEPRECATED", recommended_endpoint="/waves/v1/tts"
        )
        await line.silent()

    async with (
        ScriptedLightning(retired) as lightning,
        LightningV31(config(lightning.url, door="v3.1")) as door,
    ):
        _, error = await parts_of(door.synthesize(request()))
        assert type(error) is InvalidRequest
        assert error.message == f"Retired; Lightning recommends /waves/v1/tts; {MEND}"
