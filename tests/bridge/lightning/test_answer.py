"""What a door answered becomes mu-law: by what was asked, or by the header it wears."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.lightning.answer import ConvertedAnswer, answer_in
from bridge.lightning.audio_guess import MulawAnswer
from telephony_codecs.formats import ALAW_8K, MULAW_8K, PCM16_8K, AudioFormat, Encoding
from telephony_codecs.g711 import mulaw_encode
from telephony_codecs.transcoder import Transcoder
from telephony_codecs.wav import wav_bytes

PCM16_24K = AudioFormat(Encoding.PCM16, 24_000)


def tone(rate_hz: int, seconds: float = 0.5) -> bytes:
    """Linear audio that is not silence."""
    at = np.arange(int(rate_hz * seconds)) / rate_hz
    return (8000 * np.sin(2 * np.pi * 440 * at)).astype("<i2").tobytes()


def converted(asked: AudioFormat, audio: bytes, size: int) -> tuple[bytes, ConvertedAnswer]:
    answer = ConvertedAnswer(asked)
    out = b"".join(answer.feed(audio[at : at + size]) for at in range(0, len(audio), size))
    return out + answer.flush(), answer


def by_hand(source: AudioFormat, audio: bytes) -> bytes:
    transcoder = Transcoder(source, MULAW_8K)
    return transcoder.feed(audio) + transcoder.flush()


@pytest.mark.parametrize("size", [1, 3, 160, 4096, 1 << 20])
@pytest.mark.parametrize(
    ("asked", "came"),
    [(PCM16_8K, PCM16_8K), (PCM16_24K, PCM16_24K), (ALAW_8K, ALAW_8K)],
    ids=str,
)
def test_it_is_what_was_asked_for(asked: AudioFormat, came: AudioFormat, size: int) -> None:
    audio = tone(came.rate_hz)
    out, answer = converted(asked, audio, size)
    assert out == by_hand(came, audio)
    assert (answer.format, answer.had_header) == (came, False)


@pytest.mark.parametrize("size", [1, 7, 44, 1 << 20])
def test_a_header_knows_better(size: int) -> None:
    audio = tone(24_000)
    out, answer = converted(PCM16_8K, wav_bytes(PCM16_24K, audio), size)
    assert out == by_hand(PCM16_24K, audio)
    assert (answer.format, answer.had_header) == (PCM16_24K, True)


def test_half_a_sample_at_the_end_is_no_click() -> None:
    audio = tone(8000)
    assert converted(PCM16_8K, audio + b"\x7f", 4096)[0] == mulaw_encode(audio)


def test_nothing_is_nothing() -> None:
    assert converted(PCM16_8K, b"", 1)[0] == b""


def test_a_beginning_that_is_only_nearly_a_header_is_audio() -> None:
    out, answer = converted(PCM16_8K, b"RIFF", 1)
    assert (out, answer.had_header) == (mulaw_encode(b"RIFF"), False)


def test_two_voices_at_once_are_refused() -> None:
    stereo = bytearray(wav_bytes(PCM16_8K, tone(8000)))
    stereo[22] = 2
    with pytest.raises(ValueError, match="2 channels"):
        ConvertedAnswer(PCM16_8K).feed(bytes(stereo))


def test_mulaw_is_guessed_at() -> None:
    assert isinstance(answer_in(MULAW_8K), MulawAnswer)
    assert isinstance(answer_in(PCM16_8K), ConvertedAnswer)
