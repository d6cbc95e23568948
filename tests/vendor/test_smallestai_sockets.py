"""`smallestai`, unchanged: its clients of the sockets, and `WavesStreamingTTS`."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Iterable
from typing import Any

import pytest
from smallestai import AsyncSmallestAI, SmallestAI, SmallestAIEnvironment
from smallestai.core.api_error import ApiError
from smallestai.core.events import EventType
from smallestai.waves import TTSConfig, WavesStreamingTTS
from smallestai.waves.streaming_tts.types import StreamTtsRequestMessage
from smallestai.waves.tts.types import TtsRequestMessage

from bridge.emulators.lightning import EmulatedLightning
from tests.support.vendor import MARKS, SPEECH, TEXT, spoken

pytestmark = MARKS

HELLO = TtsRequestMessage(**SPEECH, complete_backoff_ms=0)


def audio_of(messages: Iterable[Any]) -> bytes:
    return b"".join(b64decode(message.data.audio) for message in messages if message.status == "chunk")


def until_complete(socket: Iterable[Any]) -> list[Any]:
    """Messages up to and with the first `complete`."""
    messages: list[Any] = []
    for message in socket:
        messages.append(message)
        if message.status == "complete":
            break
    return messages


def test_the_blocking_socket_client(client: SmallestAI) -> None:
    with client.waves.tts.connect() as socket:
        for _ in range(2):  # one socket, one request after the other
            socket.synthesize_streaming_tts(HELLO)
            messages = until_complete(socket)
            assert audio_of(messages) == spoken()
            assert len({message.session_id for message in messages}) == 1


async def test_the_asynchronous_socket_client(async_client: AsyncSmallestAI) -> None:
    async with async_client.waves.tts.connect() as socket:
        await socket.synthesize_streaming_tts(HELLO)
        messages: list[Any] = []
        while not messages or messages[-1].status != "complete":
            messages.append(await socket.recv())
    assert audio_of(messages) == spoken()


async def test_words_and_the_clients_own_ids(async_client: AsyncSmallestAI) -> None:
    asked = HELLO.copy(
        update={
            "voice_id": "meher",
            "model": "lightning_v3.1_pro",
            "word_timestamps": True,
            "request_id": "r-1",
        }
    )
    async with async_client.waves.tts.connect() as socket:
        await socket.synthesize_streaming_tts(asked)
        messages = []
        async for message in socket:
            messages.append(message)
            if message.status == "complete":
                break
    words = [message.data for message in messages if message.status == "word_timestamp"]
    assert [word.word for word in words] == TEXT.split()
    assert [word.id for word in words] == list(range(len(words)))
    assert all(word.start < word.end for word in words)
    assert {message.external_request_id for message in messages} == {"r-1"}


def test_text_that_comes_in_pieces(client: SmallestAI, emulator: EmulatedLightning) -> None:
    pieces = [HELLO.copy(update={"text": text, "continue_": True}) for text in ("Hello there, ", "this is ")]
    last = HELLO.copy(update={"text": "Lightning.", "flush": True})
    with client.waves.tts.connect() as socket:
        for piece in (*pieces, last):
            socket.synthesize_streaming_tts(piece)
        assert audio_of(until_complete(socket)) == spoken()
    assert list(emulator.stats.texts) == [TEXT]


async def test_its_events(async_client: AsyncSmallestAI, emulator: EmulatedLightning) -> None:
    emulator.options.close_after_complete = True
    seen: list[Any] = []
    async with async_client.waves.tts.connect() as socket:
        for kind in (EventType.OPEN, EventType.MESSAGE, EventType.ERROR, EventType.CLOSE):
            socket.on(kind, lambda event, kind=kind: seen.append((kind, event)))
        await socket.synthesize_streaming_tts(HELLO)
        await socket.start_listening()
    assert [kind for kind, _ in seen if kind != EventType.MESSAGE] == [EventType.OPEN, EventType.CLOSE]
    assert audio_of(event for kind, event in seen if kind == EventType.MESSAGE) == spoken()


def test_a_refused_request_is_a_message_with_its_reason(client: SmallestAI) -> None:
    with client.waves.tts.connect() as socket:
        socket.synthesize_streaming_tts(HELLO.copy(update={"voice_id": "nobody"}))
        refused = socket.recv()
        assert (refused.status, refused.message) == ("error", "Invalid Voice ID")
        socket.synthesize_streaming_tts(HELLO)
        assert audio_of(until_complete(socket)) == spoken()


@pytest.mark.parametrize(("refuse", "told"), [(401, "invalid credentials"), (503, "Unexpected error")])
async def test_a_refused_handshake_is_its_api_error(
    async_client: AsyncSmallestAI, emulator: EmulatedLightning, refuse: int, told: str
) -> None:
    emulator.options.refuse = refuse
    with pytest.raises(ApiError, match=told) as refused:
        async with async_client.waves.tts.connect():
            pass
    assert refused.value.status_code == refuse


def test_the_older_streaming_client(client: SmallestAI) -> None:
    asked = {"voice_id": "emily", "sample_rate": 8000, "consistency": 0.5, "is_streaming": True}
    first = StreamTtsRequestMessage(**asked, text="Hello there, ")
    last = StreamTtsRequestMessage(**asked, text="this is Lightning.", is_final=True)
    with client.waves.streaming_tts.connect() as socket:
        socket.synthesize_streaming(first)
        socket.synthesize_streaming(last)
        messages = until_complete(socket)
    assert audio_of(messages) == spoken(voice_id="emily")


# -- WavesStreamingTTS -------------------------------------------------------------------------------------------------
# It does not say `complete_backoff_ms`, and Lightning's own default is four seconds: each of these takes them.


@pytest.fixture
def streaming(environment: SmallestAIEnvironment) -> WavesStreamingTTS:
    """The vendor's client for threads; where it connects is an attribute of it."""
    streaming = WavesStreamingTTS(
        TTSConfig(voice_id="magnus", api_key="right", sample_rate=8000, language="en")
    )
    streaming.ws_url = environment.waves_ws + "/waves/v1/tts/live"
    return streaming


async def test_all_of_a_text(streaming: WavesStreamingTTS, emulator: EmulatedLightning) -> None:
    chunks = await asyncio.to_thread(lambda: list(streaming.synthesize(TEXT)))
    assert b"".join(chunks) == spoken()
    assert streaming.request_id == "task_00000001"
    assert emulator.stats.completed == 1


async def test_a_text_that_is_still_being_written(
    streaming: WavesStreamingTTS, emulator: EmulatedLightning
) -> None:
    written = iter(["Hello there, ", " ", "this is ", "Lightning."])
    chunks = await asyncio.to_thread(lambda: list(streaming.synthesize_streaming(written)))
    assert b"".join(chunks) == spoken()
    assert list(emulator.stats.texts) == [TEXT]


async def test_a_cut_connection_is_its_error(
    streaming: WavesStreamingTTS, emulator: EmulatedLightning
) -> None:
    emulator.options.fail_after_ms = 300
    with pytest.raises(Exception, match="truncated|lost|closed|reset"):
        await asyncio.to_thread(lambda: list(streaming.synthesize(TEXT)))
    assert emulator.stats.faults == 1
