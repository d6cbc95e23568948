"""What a caller hears of studio speech: 24 kHz -> 8 kHz -> mu-law, scored by P.862 (PESQ, narrow band).

Reference, source and the ideal that we are held against are made by FFT, which shares nothing with our
resampler. PESQ levels what it compares, so it says nothing about gain: test_resample does.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from math import gcd
from statistics import median
from typing import TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.emulators.espeak import EspeakEngine
from telephony_codecs import ALAW_8K, MULAW_8K, PCM16_8K, AudioFormat, Encoding, Transcoder
from tests.support import speech
from tests.support.chunks import cut, run

Signal: TypeAlias = NDArray[np.float64]
Scorer: TypeAlias = Callable[[Signal, Signal], float]

pytestmark = pytest.mark.quality

SENTENCES = (
    ("magnus", "en", "The birch canoe slid on the smooth planks, and the dark pot hung in the front closet."),
    ("sophia", "en", "Four hours of steady work faced us; the box was thrown beside the parked truck."),
    ("liam", "en", "Your appointment is on Thursday the twelfth at half past nine in the morning."),
    ("meher", "de", "Guten Tag, Sie sprechen mit dem Empfang. Wie kann ich Ihnen helfen?"),
    ("avery", "es", "El barco salió del puerto muy temprano, cuando todavía era de noche."),
    ("devansh", "fr", "Pour parler à un conseiller, tapez un; pour tout le reste, restez en ligne."),
)
HUMAN_CLIPS = 10
PACKET_MS = 20
FULL_SCALE = 32768


@pytest.fixture(scope="module")
def score() -> Scorer:
    try:
        from pesq import pesq
    except ImportError:
        reason = "the `pesq` package is missing: install the dependency group `quality` (it compiles C)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)

    def scored(reference: Signal, heard: Signal) -> float:
        size = min(reference.size, heard.size)
        return float(pesq(8000, *(np.float32(s[:size] / FULL_SCALE) for s in (reference, heard)), "nb"))

    return scored


@pytest.fixture(scope="module")
def synthetic() -> list[tuple[Signal, int]]:
    """Offline synthetic voices at their own 22 050 Hz."""
    engine = EspeakEngine()
    spoken = [
        engine.speak(text, voice_id=voice, language=language, speed=1) for voice, language, text in SENTENCES
    ]
    return [(np.frombuffer(one.pcm, "<i2").astype(np.float64), one.rate_hz) for one in spoken]


@pytest.fixture(scope="module")
def human() -> list[tuple[Signal, int]]:
    """Recorded sentences of three to six seconds, spread over the whole set."""
    speech.require_speech()
    recordings = (speech.load(path) * FULL_SCALE for path in speech.phrases())
    sentences = [one for one in recordings if 3 <= one.size / speech.RATE_HZ <= 6]
    return [(one, speech.RATE_HZ) for one in sentences[:: len(sentences) // HUMAN_CLIPS][:HUMAN_CLIPS]]


def by_fft(signal: Signal, from_hz: int, to_hz: int) -> Signal:
    """The ideal resampler: no slope, no delay, and the whole signal at once."""
    block = from_hz // gcd(from_hz, to_hz)
    padded = np.pad(signal, (0, -signal.size % block))
    size = padded.size * to_hz // from_hz
    spectrum = np.fft.rfft(padded)[: size // 2 + 1]
    return np.fft.irfft(spectrum, size) * (size / padded.size)


def as_pcm(signal: Signal) -> bytes:
    return np.rint(signal).clip(-32768, 32767).astype("<i2").tobytes()


def as_signal(pcm: bytes) -> Signal:
    return np.frombuffer(pcm, "<i2").astype(np.float64)


def through_ours(signal: Signal, rate_hz: int, wire: AudioFormat) -> Signal:
    """There in 20 ms chunks, and decoded again by the other side."""
    source = AudioFormat(Encoding.PCM16, rate_hz)
    sent = run(Transcoder(source, wire), cut(as_pcm(signal), [source.bytes_in(PACKET_MS)]))
    return as_signal(run(Transcoder(wire, PCM16_8K), iter([sent])))


def scores(
    score: Scorer, voices: list[tuple[Signal, int]], source_hz: int, wire: AudioFormat
) -> tuple[float, float]:
    """Median of all voices by our path, and by the ideal one: the codec alone, at a perfect 8 kHz."""
    references = [by_fft(voice, rate_hz, 8000) for voice, rate_hz in voices]
    sources = [by_fft(voice, rate_hz, source_hz) for voice, rate_hz in voices]
    heard = [through_ours(source, source_hz, wire) for source in sources]
    ours = median(map(score, references, heard))
    ideal = median(score(reference, through_ours(reference, 8000, wire)) for reference in references)
    print(f"{source_hz} Hz -> {wire}: {ours:.2f}, ideal {ideal:.2f}")  # for `pytest -rP`
    return ours, ideal


@pytest.mark.parametrize("source_hz", [22050, 24000])
@pytest.mark.parametrize(("wire", "gate"), [(MULAW_8K, 4.0), (ALAW_8K, 4.0), (PCM16_8K, 4.5)], ids=str)
def test_synthetic_voices(
    score: Scorer, synthetic: list[tuple[Signal, int]], source_hz: int, wire: AudioFormat, gate: float
) -> None:
    ours, ideal = scores(score, synthetic, source_hz, wire)
    assert ours >= gate
    assert ours >= ideal - 0.05


@pytest.mark.speech
@pytest.mark.parametrize(("wire", "gate"), [(MULAW_8K, 4.1), (ALAW_8K, 4.1), (PCM16_8K, 4.5)], ids=str)
def test_human_voices(score: Scorer, human: list[tuple[Signal, int]], wire: AudioFormat, gate: float) -> None:
    """Studio recordings: in their pauses nothing covers the codec's own noise, so the ideal itself has 4.2."""
    ours, ideal = scores(score, human, 24000, wire)
    assert ours >= gate
    assert ours >= ideal - 0.05


def test_a_careless_path_would_not_pass(score: Scorer, synthetic: list[tuple[Signal, int]]) -> None:
    """Every third sample of 24 kHz, which is what resampling without a filter comes to."""
    careless = [
        score(by_fft(voice, rate_hz, 8000), by_fft(voice, rate_hz, 24000)[::3])
        for voice, rate_hz in synthetic
    ]
    assert median(careless) < 3.5
