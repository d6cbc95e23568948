"""`smallestai` and `livekit-plugins-smallestai`, unchanged: their clients of Pulse's socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import aiohttp
import pytest
from livekit import rtc
from livekit.agents import APIConnectOptions, APIError, stt
from livekit.plugins import smallestai
from smallestai import AsyncSmallestAI, SmallestAI, SmallestAIEnvironment
from smallestai.core.api_error import ApiError
from smallestai.core.events import EventType
from smallestai.waves.helpers import stream_speech_to_text
from smallestai.waves.speech_to_text.types import CloseStream, FinalizeSignal

from bridge.emulators.known_voices import KnownVoices
from bridge.emulators.pulse import EmulatedPulse
from bridge.emulators.pulse_options import PulseEmulatorOptions
from bridge.secret import Secret
from telephony_codecs.g711 import mulaw_decode
from tests.support.in_thread import in_thread
from tests.support.pulse_client import silence, spoken
from tests.support.vendor import MARKS

pytestmark = MARKS

HELLO, TABLE = "Hello there.", "A table for four, please."
PHONE: dict[str, Any] = {"language": "en", "sample_rate": 8000, "encoding": "mulaw"}
FINALIZE, CLOSE = FinalizeSignal(type="finalize"), CloseStream(type="close_stream")
ONCE = APIConnectOptions(max_retry=0, timeout=10)


@pytest.fixture
def pulse() -> Iterator[EmulatedPulse]:
    """An emulated Pulse in a thread of its own, because half of the vendor's clients block."""
    voices = KnownVoices({text: spoken(text) for text in (HELLO, TABLE)})
    with in_thread(EmulatedPulse(PulseEmulatorOptions(api_key=Secret("right")), voices)) as pulse:
        yield pulse


@pytest.fixture
def environment(pulse: EmulatedPulse) -> SmallestAIEnvironment:
    """The vendor's own way to say where the service is."""
    http, ws = pulse.url, pulse.url.replace("http", "ws", 1)
    return SmallestAIEnvironment(atoms=http, waves=http, waves_ws=ws, payment=http)


def sent(audio: bytes) -> Iterable[bytes]:
    return (audio[at : at + 4096] for at in range(0, len(audio), 4096))


def finals(events: Iterable[Any]) -> list[str]:
    return [event.transcript for event in events if event.is_final and event.transcript]


# -- smallestai --------------------------------------------------------------------------------------------------------


def test_turn_by_turn_with_the_blocking_client(client: SmallestAI, pulse: EmulatedPulse) -> None:
    with stream_speech_to_text(client, **PHONE, keywords=["Smallest:4"], word_timestamps=True) as socket:
        heard = []
        for text in (HELLO, TABLE):
            for chunk in sent(spoken(text)):
                socket.send_audio_chunk_out(chunk)
            socket.send_finalize_signal(FINALIZE)
            heard.append(next(event for event in socket if event.is_final))
    assert [event.transcript for event in heard] == [HELLO, TABLE]
    assert [event.transcription for event in heard] == [HELLO, TABLE]
    assert all(event.from_finalize and not event.is_last and event.language == "en" for event in heard)
    assert [word.word for word in heard[0].words] == HELLO.split()
    assert heard[0].words[0].end <= heard[0].words[1].start < heard[0].words[1].end
    assert pulse.stats.last_query["keywords"] == "Smallest:4"


async def test_one_clip_with_the_asynchronous_client(async_client: AsyncSmallestAI) -> None:
    pcm = mulaw_decode(spoken(HELLO))
    async with stream_speech_to_text(async_client, language="en", sample_rate=8000) as socket:
        for chunk in sent(pcm):
            await socket.send_audio_chunk_out(chunk)
        await socket.send_close_stream(CLOSE)
        events = [event async for event in socket]
    assert finals(events) == [HELLO]
    assert [event.is_last for event in events] == [False] * (len(events) - 1) + [True]
    assert any(not event.is_final and event.transcript == "Hello" for event in events)


async def test_its_events(async_client: AsyncSmallestAI) -> None:
    seen: list[Any] = []
    async with stream_speech_to_text(async_client, **PHONE, redact_pii=["phone"]) as socket:
        for kind in (EventType.OPEN, EventType.MESSAGE, EventType.ERROR, EventType.CLOSE):
            socket.on(kind, lambda event, kind=kind: seen.append((kind, event)))
        await socket.send_audio_chunk_out(spoken(HELLO))
        await socket.send_close_stream(CLOSE)
        await socket.start_listening()
    assert [kind for kind, _ in seen if kind != EventType.MESSAGE] == [EventType.OPEN, EventType.CLOSE]
    assert finals(event for kind, event in seen if kind == EventType.MESSAGE) == [HELLO]


@pytest.mark.parametrize(
    ("asked", "wanted", "status", "told"),
    [
        ({"language": "en", "model": "pulse-pro"}, "right", 400, "Unexpected error"),
        ({"language": "xx"}, "right", 400, "Unexpected error"),
        (PHONE, "another", 401, "invalid credentials"),
    ],
)
async def test_a_refused_handshake_is_its_api_error(
    async_client: AsyncSmallestAI,
    pulse: EmulatedPulse,
    asked: dict[str, Any],
    wanted: str,
    status: int,
    told: str,
) -> None:
    pulse.options.api_key = Secret(wanted)
    with pytest.raises(ApiError, match=told) as refused:
        async with stream_speech_to_text(async_client, **asked):
            pass
    assert refused.value.status_code == status


# -- livekit -----------------------------------------------------------------------------------------------------------


@pytest.fixture
async def plugin(pulse: EmulatedPulse) -> AsyncIterator[smallestai.STT]:
    """The plugin, pointed at the emulator."""
    async with aiohttp.ClientSession() as http:
        base_url = pulse.url + "/waves/v1"
        yield smallestai.STT(api_key="right", sample_rate=8000, base_url=base_url, http_session=http)


def pushed(stream: Any, mulaw: bytes) -> None:
    pcm = mulaw_decode(mulaw)
    stream.push_frame(
        rtc.AudioFrame(pcm, sample_rate=8000, num_channels=1, samples_per_channel=len(pcm) // 2)
    )


async def test_utterances_with_their_beginnings_and_ends(plugin: smallestai.STT) -> None:
    stream = plugin.stream(conn_options=ONCE)
    for text in (HELLO, TABLE):
        pushed(stream, spoken(text) + silence(1000))
    stream.end_input()
    async with stream:
        events = [event async for event in stream]
    told = [event for event in events if event.type != stt.SpeechEventType.RECOGNITION_USAGE]
    kinds = [event.type for event in told if event.type != stt.SpeechEventType.INTERIM_TRANSCRIPT]
    start, end = stt.SpeechEventType.START_OF_SPEECH, stt.SpeechEventType.END_OF_SPEECH
    final = stt.SpeechEventType.FINAL_TRANSCRIPT
    assert kinds == [start, final, end] * 2
    texts = [event.alternatives[0] for event in told if event.type == final]
    assert [alternative.text for alternative in texts] == [HELLO, TABLE]
    assert [str(word) for word in texts[0].words or ()] == HELLO.split()
    assert texts[0].confidence > 0.9


async def test_a_flush_is_answered_at_once(plugin: smallestai.STT, pulse: EmulatedPulse) -> None:
    stream = plugin.stream(conn_options=ONCE)
    pushed(stream, spoken(HELLO))
    stream.flush()
    async with stream:
        async for event in stream:
            if event.type == stt.SpeechEventType.FINAL_TRANSCRIPT:
                break
    assert event.alternatives[0].text == HELLO
    assert pulse.stats.finalizes == 1


async def test_its_keepalive_is_understood(plugin: smallestai.STT, pulse: EmulatedPulse) -> None:
    plugin._opts.keepalive_interval = 0.01  # five seconds otherwise
    stream = plugin.stream(conn_options=ONCE)
    pushed(stream, spoken(HELLO) + silence(1000))
    async with stream:
        async for event in stream:
            if event.type == stt.SpeechEventType.FINAL_TRANSCRIPT and pulse.stats.keepalives:
                break
            pushed(stream, spoken(HELLO) + silence(1000))
    assert pulse.stats.errors == 0


@pytest.mark.parametrize("fault", [{"refuse": 401}, {"close_at_once": True}, {"error_after_ms": 100}])
async def test_what_goes_wrong_is_its_error(
    plugin: smallestai.STT, pulse: EmulatedPulse, fault: dict[str, Any]
) -> None:
    for name, value in fault.items():
        setattr(pulse.options, name, value)
    stream = plugin.stream(conn_options=ONCE)
    pushed(stream, spoken(HELLO) + silence(1000))
    async with stream:
        with pytest.raises(APIError):
            async for _ in stream:
                pass
