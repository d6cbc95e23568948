from __future__ import annotations

import struct
from base64 import b64decode
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.emulators.lightning_audio import (
    Script,
    Studio,
    Utterance,
    WireFormat,
    render,
    wav_header,
    wire_format_of,
)
from bridge.emulators.lightning_options import EmulatorOptions
from bridge.emulators.lightning_requests import SpeechRequest
from bridge.emulators.speech_engine import Speech, ToneEngine
from telephony_codecs.formats import ALAW_8K, MULAW_8K, PCM16_8K, AudioFormat, Encoding
from telephony_codecs.g711 import alaw_encode, mulaw_encode

SPEECH = ToneEngine().speak("one two three", voice_id="magnus", language="en", speed=1)


def payloads(utterance: Utterance) -> list[bytes]:
    return [b64decode(chunk.audio_base64) for chunk in utterance.chunks]


@pytest.mark.parametrize(
    ("audio", "expected"),
    [
        (PCM16_8K, SPEECH.pcm),
        (MULAW_8K, mulaw_encode(SPEECH.pcm)),
        (ALAW_8K, alaw_encode(SPEECH.pcm)),
    ],
    ids=str,
)
def test_the_chunks_are_the_speech(audio: AudioFormat, expected: bytes) -> None:
    utterance = render(SPEECH, WireFormat(audio, chunk_ms=100))
    assert b"".join(payloads(utterance)) == expected
    assert {len(p) for p in payloads(utterance)[:-1]} == {audio.bytes_in(100)}
    assert [c.at_ms for c in utterance.chunks] == [100 * n for n in range(len(utterance.chunks))]
    assert utterance.words == SPEECH.words


@pytest.mark.parametrize("rate_hz", [16000, 24000, 44100])
def test_another_rate_lasts_as_long(rate_hz: int) -> None:
    utterance = render(SPEECH, WireFormat(AudioFormat(Encoding.PCM16, rate_hz), chunk_ms=100))
    assert utterance.duration_ms == pytest.approx(SPEECH.duration_ms, abs=1)
    assert sum(map(len, payloads(utterance))) / rate_hz * 500 == pytest.approx(SPEECH.duration_ms, abs=1)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(chunk_ms=st.floats(0.1, 500), odd=st.booleans(), audio=st.sampled_from([PCM16_8K, MULAW_8K]))
def test_how_it_is_cut_changes_no_byte(chunk_ms: float, odd: bool, audio: AudioFormat) -> None:
    short = Speech(SPEECH.pcm[:4000], 8000)
    cut = render(short, WireFormat(audio, chunk_ms, odd_chunks=odd))
    whole = render(short, WireFormat(audio, chunk_ms=10_000))
    assert b"".join(payloads(cut)) == b"".join(payloads(whole))
    places = [chunk.at_ms for chunk in cut.chunks]
    assert places == sorted(places)


def test_odd_chunks_are_odd() -> None:
    utterance = render(SPEECH, WireFormat(PCM16_8K, chunk_ms=100, odd_chunks=True))
    assert all(len(payload) % 2 for payload in payloads(utterance)[:-1])
    assert len({len(payload) for payload in payloads(utterance)}) > 3


@pytest.mark.parametrize(("audio", "tag", "bits"), [(PCM16_8K, 1, 16), (ALAW_8K, 6, 8), (MULAW_8K, 7, 8)])
def test_a_header_comes_once_before_the_first_sample(audio: AudioFormat, tag: int, bits: int) -> None:
    with_header = payloads(render(SPEECH, WireFormat(audio, chunk_ms=100, wav_header=True)))
    plain = payloads(render(SPEECH, WireFormat(audio, chunk_ms=100)))
    header = wav_header(audio)
    assert with_header == [header + plain[0], *plain[1:]]
    assert (header[:4], header[8:16], header[36:40], len(header)) == (b"RIFF", b"WAVEfmt ", b"data", 44)
    rate_bytes = 8000 * bits // 8
    assert struct.unpack("<HHIIHH", header[20:36]) == (tag, 1, 8000, rate_bytes, bits // 8, bits)


FORMATS: list[tuple[dict[str, Any], dict[str, Any], str, bool]] = [
    ({"output_format": "pcm", "sample_rate_hz": 24000}, {}, "pcm16 24000 Hz", False),
    ({"output_format": "ulaw", "sample_rate_hz": 8000}, {}, "mulaw 8000 Hz", False),
    ({"output_format": "alaw", "sample_rate_hz": 8000}, {}, "alaw 8000 Hz", False),
    ({"output_format": "wav"}, {}, "pcm16 44100 Hz", True),
    ({"output_format": "pcm", "add_wav_header": True}, {}, "pcm16 44100 Hz", True),
    ({"output_format": "ulaw", "sample_rate_hz": 8000}, {"answer_pcm": True}, "pcm16 8000 Hz", False),
    ({"output_format": "ulaw", "sample_rate_hz": 8000}, {"wav_header": True}, "mulaw 8000 Hz", True),
]


@pytest.mark.parametrize(("asked", "switches", "audio", "header"), FORMATS)
def test_what_goes_out_for_what_was_asked(
    asked: dict[str, Any], switches: dict[str, Any], audio: str, header: bool
) -> None:
    wire = wire_format_of(SpeechRequest(**asked), EmulatorOptions(**switches))
    assert (str(wire.audio), wire.wav_header) == (audio, header)


class CountingEngine(ToneEngine):
    """Counts what it is asked to speak."""

    def __init__(self) -> None:
        super().__init__()
        self.spoken: list[str] = []

    def speak(self, text: str, *, voice_id: str, language: str, speed: float) -> Speech:
        self.spoken.append(text)
        return super().speak(text, voice_id=voice_id, language=language, speed=speed)


def script(text: str, voice_id: str = "magnus") -> Script:
    return Script(text, voice_id, "en", 1.0)


WIRE = WireFormat(MULAW_8K, chunk_ms=100)


def test_nothing_is_spoken_twice() -> None:
    engine = CountingEngine()
    studio = Studio(engine)
    assert studio.ready(script("one"), WIRE) is None
    made = studio.render(script("one"), WIRE)
    assert studio.render(script("one"), WIRE) is studio.ready(script("one"), WIRE) is made
    studio.render(script("one", "sophia"), WIRE)
    assert engine.spoken == ["one", "one"]


def test_the_oldest_is_forgotten_when_memory_is_full() -> None:
    studio = Studio(CountingEngine(), max_bytes=4000)  # one word of five letters takes about 3 600
    for text in ("alpha", "bravo", "delta"):
        studio.render(script(text), WIRE)
    kept = [text for text in ("alpha", "bravo", "delta") if studio.ready(script(text), WIRE)]
    assert kept == ["delta"]
