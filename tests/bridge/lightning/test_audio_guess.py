"""Mu-law out of whatever Lightning answers: recordings, noises, silence; whole, and cut in every way."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.lightning.audio_guess import MOST_BYTES, SETTLED_BITS, MulawAnswer, evidence_bits
from telephony_codecs.formats import ALAW_8K, MULAW_8K, PCM16_8K, AudioFormat, Encoding
from telephony_codecs.g711 import alaw_encode, mulaw_encode
from telephony_codecs.transcoder import Transcoder
from telephony_codecs.wav import wav_bytes
from tests.support import speech
from tests.support.chunks import cut, run
from tests.support.speech import Signal

SECOND = 8000


def pcm16(signal: Signal) -> bytes:
    return np.rint(signal * 32767).clip(-32768, 32767).astype("<i2").tobytes()


def made_up() -> Iterator[tuple[str, Signal]]:
    yield "silence", speech.silence(0.5)
    yield "dither", np.random.default_rng(1).integers(-1, 2, SECOND // 2) / 32768
    for offset in (1, 3, 8):
        yield f"offset of {offset}", np.full(SECOND // 2, offset / 32768)
    for dbfs in (-10, -20, -40, -60):
        yield f"noise at {dbfs}", speech.white_noise(0.5, dbfs, seed=2)
        yield f"pink noise at {dbfs}", speech.pink_noise(0.5, dbfs, seed=3)
        yield f"hum at {dbfs}", speech.hum(0.5, dbfs - 10)
        # 1000 and 2000 Hz are left out: in step with the sampling, they have but a handful of samples.
        for hertz in (100, 440, 1004, 1333, 2600, 3400):
            yield f"{hertz} Hz at {dbfs}", speech.tones(0.5, dbfs, hertz)
    yield "full-scale noise", speech.white_noise(0.5, -3, seed=4)
    yield "keys", speech.dtmf(0.5)
    quiet, loud = speech.silence(0.005), speech.pink_noise(0.5, -20, seed=5)
    yield "silence, then loud", np.concatenate([quiet, loud])


MADE_UP = list(made_up())
NAMES = [name for name, _ in MADE_UP]


@pytest.mark.parametrize(("_name", "signal"), MADE_UP, ids=NAMES)
def test_sounds_are_told_apart(_name: str, signal: Signal) -> None:
    assert evidence_bits(mulaw_encode(pcm16(signal))) > SETTLED_BITS
    assert evidence_bits(pcm16(signal)) < -SETTLED_BITS


@pytest.mark.speech
def test_every_recording_is_told_from_its_beginning() -> None:
    """Quiet starts, fricatives, clicks, laughter, music; as recorded, loud and faint."""
    speech.require_speech()
    wrong, unclear, judged = [], 0, 0
    for path in [*speech.phrases(), *speech.words(), *speech.music()]:
        signal = speech.load(path)
        loudest = np.abs(signal).max()
        for dbfs in (0, -6, -30):
            pcm = pcm16(signal[:SECOND] / loudest * 10 ** (dbfs / 20))
            for size in (64, 160, 320):
                for sign, audio in ((1, mulaw_encode(pcm)), (-1, pcm)):
                    bits = sign * evidence_bits(audio[:size])
                    judged += 1
                    unclear += abs(bits) < SETTLED_BITS
                    if bits < -SETTLED_BITS:
                        wrong.append((path.name, dbfs, size, sign, round(bits)))
    assert not wrong
    assert unclear < judged * 0.01


def test_nothing_is_said_about_nothing() -> None:
    assert evidence_bits(b"") == evidence_bits(b"\xff" * 31) == 0


# -- a stream ----------------------------------------------------------------------------------------------

VOICED = pcm16(speech.pink_noise(0.3, -20, seed=7))
MULAW = mulaw_encode(VOICED)
SILENT_START = pcm16(np.concatenate([speech.silence(0.2), speech.pink_noise(0.1, -20, seed=8)]))

#: What is answered, and the mu-law it should become.
ANSWERS = {
    "mu-law": (MULAW, MULAW),
    "mu-law that begins with an R": (b"R" + MULAW, b"R" + MULAW),
    "mu-law that begins with silence": (mulaw_encode(SILENT_START), mulaw_encode(SILENT_START)),
    "pcm": (VOICED, MULAW),
    "pcm that begins with silence": (SILENT_START, mulaw_encode(SILENT_START)),
    "pcm with half a sample too much": (VOICED + b"\1", MULAW),
    "wav of mu-law": (wav_bytes(MULAW_8K, MULAW), MULAW),
    "wav of pcm": (wav_bytes(PCM16_8K, VOICED), MULAW),
    "wav of a-law": (
        wav_bytes(ALAW_8K, alaw_encode(VOICED)),
        Transcoder(ALAW_8K, MULAW_8K).feed(alaw_encode(VOICED)),
    ),
    "a riff that is no wav": (b"RIFF1234AVI " + MULAW, b"RIFF1234AVI " + MULAW),
    "no more than the beginning of a riff": (b"RIF", b"RIF"),
    "nothing": (b"", b""),
}
CUTS = ([100_000], [320], [160], [333, 1, 7], [1], [0, 43, 3], [4], [45])


@pytest.mark.parametrize("sizes", CUTS, ids=str)
@pytest.mark.parametrize("name", ANSWERS)
def test_it_comes_out_as_mulaw_however_it_is_cut(name: str, sizes: Sequence[int]) -> None:
    answer, mulaw = ANSWERS[name]
    assert run(MulawAnswer(), cut(answer, sizes)) == mulaw


@given(st.sampled_from(list(ANSWERS)), st.lists(st.integers(1, 400), min_size=1))
def test_it_comes_out_as_mulaw_however_else_it_is_cut(name: str, sizes: list[int]) -> None:
    answer, mulaw = ANSWERS[name]
    assert run(MulawAnswer(), cut(answer, sizes)) == mulaw


def test_a_wav_of_another_rate_is_resampled() -> None:
    wide = AudioFormat(Encoding.PCM16, 24000)
    signal = pcm16(np.repeat(speech.tones(0.3, -20, 300), 3))
    answer = MulawAnswer()
    mulaw = run(answer, cut(wav_bytes(wide, signal), [1000]))
    assert (answer.format, answer.had_header) == (wide, True)
    assert len(mulaw) == len(signal) // 6


def test_mulaw_passes_as_the_very_object() -> None:
    answer = MulawAnswer()
    chunks = [MULAW[:160], MULAW[160:320]]
    assert all(answer.feed(chunk) is chunk for chunk in chunks)
    assert answer.format == MULAW_8K


def test_the_verdict_stays() -> None:
    answer = MulawAnswer()
    assert answer.feed(MULAW) == MULAW
    assert answer.feed(VOICED) == VOICED


def test_too_little_is_held_until_there_is_more_or_no_more() -> None:
    answer = MulawAnswer()
    assert answer.feed(MULAW[:20]) == b""
    assert answer.feed(MULAW[20:320]) == MULAW[:320]
    short = MulawAnswer()
    assert short.feed(MULAW[:20]) == b""
    assert short.flush() == MULAW[:20]


def test_never_is_much_held() -> None:
    """Bytes that could be either: random ones, as nobody sends."""
    noise = random.Random(3).randbytes(4 * MOST_BYTES)
    answer = MulawAnswer()
    given_out = 0
    for at in range(0, len(noise), 16):
        given_out += len(answer.feed(noise[at : at + 16]))
        assert answer.format is not None or at + 16 < MOST_BYTES


@pytest.mark.parametrize(("expected", "given_out"), [(MULAW_8K, MULAW[:20]), (PCM16_8K, None)])
def test_what_the_last_one_was_decides_when_the_bytes_do_not(
    expected: AudioFormat, given_out: bytes | None
) -> None:
    answer = MulawAnswer(expected)
    audio = answer.feed(MULAW[:20])
    assert answer.format == expected
    assert audio == (given_out or mulaw_encode(MULAW[:20]))


@pytest.mark.parametrize("expected", [MULAW_8K, PCM16_8K])
def test_but_clear_bytes_overrule_it(expected: AudioFormat) -> None:
    assert run(MulawAnswer(expected), iter([MULAW])) == MULAW
    assert run(MulawAnswer(expected), iter([VOICED])) == MULAW


def test_a_wav_that_cannot_be_used_says_so() -> None:
    with pytest.raises(ValueError, match="channels"):
        MulawAnswer().feed(wav_bytes(PCM16_8K, VOICED, channels=2))
    floating = b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\3\0\1\0\x40\x1f\0\0\0\x7d\0\0\4\0\x20\0data\4\0\0\0\0\0\0\0"
    with pytest.raises(ValueError, match="floating"):
        MulawAnswer().feed(floating)
