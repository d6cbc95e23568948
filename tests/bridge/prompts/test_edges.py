"""The silence around a piece: cut where parts are joined, and no speech with it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.prompts.edges import FRAME_MS, KEPT_AFTER_SENTENCE_MS, KEPT_MS, trimmed
from telephony_codecs.g711 import mulaw_encode


def noise(ms: int, dbfs: float) -> bytes:
    """A square wave, whose level is the same in every frame."""
    amplitude = round(32768 * 10 ** (dbfs / 20))
    return mulaw_encode(np.tile(np.array([amplitude, -amplitude], "<i2"), ms * 4).tobytes())


def silence(ms: int) -> bytes:
    return b"\xff" * (ms * 8)


SPEECH = noise(400, -15)


@pytest.mark.parametrize(
    "text, after_ms",
    [
        ("your balance is", KEPT_MS),
        ("Hello,", KEPT_MS),
        ("Hello.", KEPT_AFTER_SENTENCE_MS),
        ('He said "no!" ', KEPT_AFTER_SENTENCE_MS),
        ("नमस्ते।", KEPT_AFTER_SENTENCE_MS),
    ],
)
def test_some_silence_stays_and_more_of_it_after_a_sentence(text: str, after_ms: int) -> None:
    audio = silence(500) + SPEECH + silence(500)
    assert trimmed(audio, text) == silence(KEPT_MS) + SPEECH + silence(after_ms)


def test_what_has_no_more_silence_than_that_stays_as_it_is() -> None:
    audio = silence(20) + SPEECH + silence(KEPT_MS)
    assert trimmed(audio, "Hello") == trimmed(audio, "Hello.") == audio


@pytest.mark.parametrize("text", ["Your balance is", "Hello."])
@pytest.mark.parametrize("there_ms", [0, 30])
def test_a_voice_that_stops_at_once_is_parted_from_what_follows(text: str, there_ms: int) -> None:
    assert trimmed(SPEECH + silence(there_ms), text) == SPEECH + silence(KEPT_MS)


@pytest.mark.parametrize("dbfs", [-15.0, -35.0])
def test_quiet_sounds_at_the_ends_are_speech(dbfs: float) -> None:
    """A fricative is 35 dB below a vowel, at most."""
    whisper = noise(60, dbfs - 35)
    audio = silence(300) + whisper + noise(400, dbfs) + whisper + silence(300)
    assert len(trimmed(audio, "fish")) == len(audio) - 8 * (600 - 2 * KEPT_MS)


def test_the_noise_of_a_line_is_silence_when_it_is_far_below() -> None:
    audio = noise(300, -65) + SPEECH + noise(300, -65)
    assert len(trimmed(audio, "Hello")) == 8 * (400 + 2 * KEPT_MS)
    loud = noise(300, -55) + SPEECH + silence(KEPT_MS)
    assert trimmed(loud, "Hello") == loud


@pytest.mark.parametrize("audio", [b"", b"\xff", silence(700)], ids=["none", "a sample", "silence"])
def test_where_nothing_is_heard_nothing_is_cut(audio: bytes) -> None:
    assert trimmed(audio, "Hello") == audio


@given(st.binary(max_size=2000), st.sampled_from(["", "and", "Done."]))
def test_nothing_is_added_but_silence_and_what_is_left_stays(audio: bytes, text: str) -> None:
    once = trimmed(audio, text)
    assert once in audio + silence(KEPT_MS + FRAME_MS)
    assert trimmed(once, text) == once
