"""The socket of Lightning v2: its own fields, its old answers, no ids, nothing that cancels or keeps open."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import pytest

from bridge.errors import Busy, InvalidRequest, LightningError, Unavailable
from bridge.lightning.messages import SynthesisRequest
from bridge.lightning.speech import StreamingSynthesizer
from bridge.lightning.v2 import V2, LightningV2
from tests.support.lightning_live import config, mute, parts_of, refusing
from tests.support.lightning_requests import request
from tests.support.scripted_lightning import Line, Script, ScriptedLightning
from tests.support.scripted_socket import Message
from tests.support.waiting import until

AUDIO = base64.b64encode(b"ab").decode()


def v2_request(**changes: Any) -> SynthesisRequest:
    return request(**({"output_format": "pcm", "model": "lightning_v2"} | changes))


@asynccontextmanager
async def talking_v2(
    *scripts: Script, keepalive_s: float = 25.0, **changes: Any
) -> AsyncIterator[tuple[LightningV2, ScriptedLightning]]:
    async with ScriptedLightning(*scripts) as lightning:
        wanted = config(lightning.url, door="v2", **changes)
        async with LightningV2(wanted, keepalive_s=keepalive_s) as door:
            yield door, lightning


def answering(*messages: Message | str) -> Script:
    """Answers every request with `messages`, word for word."""

    async def script(line: Line) -> None:
        while True:
            await line.request()
            for message in messages:
                await line.send(message)

    return script


def test_its_own_fields_and_no_others() -> None:
    settings = config("http://127.0.0.1", consistency=0.7, similarity=0.2, enhancement=2)
    sent = json.loads(V2.encode(v2_request(speed=1.5, word_timestamps=True), settings))
    assert sent == {
        "text": "Hello.",
        "voice_id": "magnus",
        "language": "en",
        "sample_rate": 8000,
        "speed": 1.5,
        "consistency": 0.7,
        "similarity": 0.2,
        "enhancement": 2,
        "add_wav_header": False,
        "complete_backoff_ms": 0,
    }


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"speed": 0.05}, r"speed: .*0\.1 to 5"),
        ({"speed": 5.1}, r"speed: .*0\.1 to 5"),
        ({"language": "sv"}, r"language: .*\bhe\b"),
        ({"language": "auto"}, r"language: .*\ben\b"),
        ({"sample_rate": 48000}, "sample_rate: .*8000, 16000, 24000, 44100"),
        ({"output_format": "ulaw"}, "output_format: .*pcm"),
        ({"text": " "}, "text"),
    ],
)
def test_what_it_would_refuse_is_refused_with_what_is_valid(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequest, match=named) as refused:
        V2.encode(v2_request(**changes), config("http://127.0.0.1"))
    assert refused.value.code == "local_check"


@pytest.mark.parametrize("speed", [0.1, 5])
def test_it_takes_speeds_that_others_do_not(speed: float) -> None:
    assert json.loads(V2.encode(v2_request(speed=speed), config("http://127.0.0.1")))["speed"] == speed


CHUNK: Message = {"request_id": "of_the_server", "status": "chunk", "data": {"audio": AUDIO}}
END: Message = {"request_id": "of_the_server", "status": "complete"}


@pytest.mark.parametrize(
    "answers",
    [
        [CHUNK, END],
        [CHUNK, {**END, "message": "All chunks sent", "done": True}],
        [CHUNK, {"status": "complete", "message": "All chunks sent", "done": True}],
        [CHUNK, {"status": "comp", "done": True}],
        [{"payload": {"status": "chunk"}, "data": {"audio": AUDIO}}, {"payload": {"status": "complete"}}],
        [
            {"payload": {"status": "chunk", "data": {"audio": AUDIO}}},
            {"payload": {"status": "comp", "done": True}},
        ],
        [CHUNK, {"status": "comp"}, END],
    ],
)
async def test_every_shape_of_an_answer(answers: list[Message]) -> None:
    async with talking_v2(answering(*answers)) as (door, lightning):
        for _ in range(2):  # and the socket serves again
            assert await parts_of(door.synthesize(v2_request())) == ([b"ab"], None)
        assert len(lightning.handshakes) == 1
        assert lightning.handshakes[0].path == "/waves/v1/lightning-v2/get_speech/stream?timeout=60"
        assert (door.stats.foreign_chunks, door.stats.malformed_messages) == (0, 0)


@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        (
            {"status": "error", "error": {"message": "Invalid voice", "code": "400"}},
            InvalidRequest,
            "Invalid voice",
        ),
        ({"status": "error", "message": "Rate limit exceeded"}, Busy, "Rate limit exceeded"),
        ({"status": "error", "error": "Something broke"}, Unavailable, "Something broke"),
        ({"error": "Something broke"}, Unavailable, "Something broke"),
        ({"payload": {"status": "error", "message": "Broken"}}, Unavailable, "Broken"),
    ],
)
async def test_every_shape_of_an_error(answer: Message, kind: type[LightningError], told: str) -> None:
    async with talking_v2(answering(answer)) as (door, _):
        _, error = await parts_of(door.synthesize(v2_request()))
        assert type(error) is kind
        assert error is not None
        assert error.message == told


async def test_a_cancel_only_closes() -> None:
    async with talking_v2(mute) as (door, lightning):
        synthesis = door.synthesize(v2_request())
        await until(lambda: len(lightning.requests) == 1)
        synthesis.cancel()
        await until(lambda: lightning.open == 0)
        assert len(lightning.heard) == 1
        assert door.units.in_use == 0


async def test_an_idle_socket_is_replaced_and_not_pinged() -> None:
    async with talking_v2(mute, spare_connections=1, keepalive_s=0.01) as (door, lightning):
        await until(lambda: len(lightning.handshakes) >= 3)
        assert lightning.heard == []
        assert door.stats.idle_closes == 0


async def test_it_takes_no_text_bit_by_bit() -> None:
    async with talking_v2(mute) as (door, _):
        assert not isinstance(door, StreamingSynthesizer)


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (
            HTTPStatus.GONE,
            b'{"status":"error","error_code":"MODEL_DEPRECATED","message":"Lightning v2 is retired",'
            b'"recommended_endpoint":"/waves/v1/lightning-v3.1/get_speech"}',
            "Lightning v2 is retired; Lightning recommends /waves/v1/lightning-v3.1/get_speech; "
            'set lightning.door = "live" and a voice of lightning_v3.1',
        ),
        (
            HTTPStatus.GONE,
            b"<html>gone</html>",
            "HTTP 410: most likely the endpoint of Lightning v2 has been retired; "
            'set lightning.door = "live" and a voice of lightning_v3.1',
        ),
    ],
)
async def test_a_handshake_that_says_it_is_gone(status: HTTPStatus, body: bytes, told: str) -> None:
    async with (
        ScriptedLightning(mute, refuse=refusing(status, body)) as lightning,
        LightningV2(config(lightning.url, door="v2")) as door,
    ):
        _, error = await parts_of(door.synthesize(v2_request()))
        assert (type(error), error and error.message) == (InvalidRequest, told)
