"""`livekit-plugins-smallestai`, unchanged: clips, the older stream, and continuations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from livekit.agents import APIConnectOptions, APIError
from livekit.plugins import smallestai

from bridge.emulators.lightning import EmulatedLightning
from bridge.secret import Secret
from tests.support.vendor import MARKS, TEXT, spoken
from tests.support.waiting import until

pytestmark = MARKS

ONCE = APIConnectOptions(max_retry=0, timeout=10)


@pytest.fixture
async def tts(emulator: EmulatedLightning) -> AsyncIterator[smallestai.TTS]:
    """The plugin, pointed at the emulator."""
    async with aiohttp.ClientSession() as http:
        tts = smallestai.TTS(
            api_key="right",
            sample_rate=8000,
            base_url=emulator.url + "/waves/v1",
            ws_url=emulator.url.replace("http", "ws", 1) + "/waves/v1/tts/live",
            http_session=http,
        )
        yield tts
        await tts.aclose()


async def heard(stream: Any) -> bytes:
    """All audio of `stream`, which is closed after."""
    async with stream:
        return b"".join([bytes(event.frame.data) async for event in stream])


def is_speech(audio: bytes, text: str) -> bool:
    """Whether `audio` is `text` in the plugin's own voice; it pads the end of what it hears with silence."""
    said = spoken(text, voice_id="meher")
    return audio.startswith(said) and not any(audio[len(said) :])


async def test_a_clip(tts: smallestai.TTS) -> None:
    assert is_speech(await heard(tts.synthesize(TEXT, conn_options=ONCE)), TEXT)


async def test_the_older_stream_of_text(tts: smallestai.TTS, emulator: EmulatedLightning) -> None:
    tts.update_options(use_continuations=False)
    stream = tts.stream(conn_options=ONCE)
    for token in ("Hello ", "there, ", "this is ", "Lightning."):
        stream.push_text(token)
    stream.end_input()
    assert is_speech(await heard(stream), TEXT)
    assert list(emulator.stats.texts) == [TEXT]


async def test_continuations(tts: smallestai.TTS, emulator: EmulatedLightning) -> None:
    stream = tts.stream(conn_options=ONCE)
    for token in ("Hello there, ", "this is Lightning. ", "And this ", "is the second sentence."):
        stream.push_text(token)
    stream.end_input()
    audio = await heard(stream)
    assert " ".join("".join(emulator.stats.texts).split()) == f"{TEXT} And this is the second sentence."
    assert is_speech(audio, "".join(emulator.stats.texts))
    assert emulator.stats.active == 0


async def test_words_with_their_times(tts: smallestai.TTS) -> None:
    tts.update_options(word_timestamps=True)
    stream = tts.stream(conn_options=ONCE)
    stream.push_text(TEXT)
    stream.end_input()
    async with stream:
        timed = [event.frame.userdata.get("lk.timed_transcripts", []) async for event in stream]
    assert [str(word) for words in timed for word in words] == TEXT.split()


async def test_leaving_a_stream_cancels_its_context(tts: smallestai.TTS, emulator: EmulatedLightning) -> None:
    emulator.options.realtime_factor = 1
    stream = tts.stream(conn_options=ONCE)
    stream.push_text("A sentence that is long enough to be spoken. And a beginning")
    async for _ in stream:
        break
    assert emulator.stats.active == 1
    await stream.aclose()
    await until(lambda: emulator.stats.active == 0)
    assert (emulator.stats.completed, emulator.stats.cancelled) == (0, 1)


@pytest.mark.parametrize("by_socket", [False, True])
async def test_a_wrong_key_is_its_error(
    tts: smallestai.TTS, emulator: EmulatedLightning, by_socket: bool
) -> None:
    emulator.options.api_key = Secret("another")
    stream: Any = tts.stream(conn_options=ONCE) if by_socket else tts.synthesize(TEXT, conn_options=ONCE)
    if by_socket:
        stream.push_text(TEXT)
        stream.end_input()
    with pytest.raises(APIError):
        await heard(stream)
