"""The sounds that are always there: how they sound, that they loop, and that nobody takes them for a caller."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from bridge.errors import PromptError
from bridge.media.vad import SpeechDetector
from bridge.prompts.sounds import SOUNDS, sound
from telephony_codecs.dtmf import DtmfDetector
from telephony_codecs.formats import MULAW_8K
from telephony_codecs.g711 import mulaw_decode
from telephony_codecs.pcm import SILENCE_DBFS, level_dbfs
from tests.support.speech import PACKET_BYTES, Signal, packets


def signal_of(name: str) -> Signal:
    return np.frombuffer(mulaw_decode(sound(name).audio), "<i2") / 32768


def test_what_there_is() -> None:
    assert frozenset({"hold_music", "comfort_noise", "ringback", "beep", "silence"}) == SOUNDS


@pytest.mark.parametrize(
    ("name", "seconds", "dbfs"),
    [
        ("hold_music", (16, 24), (-27, -25)),
        ("comfort_noise", (2, 10), (-65, -60)),
        ("ringback", (6, 6), (-25, -22)),
        ("beep", (0.3, 0.5), (-21, -17)),
        ("silence", (0.5, 2), (SILENCE_DBFS, SILENCE_DBFS)),
    ],
)
def test_how_long_and_how_loud(name: str, seconds: tuple[float, float], dbfs: tuple[float, float]) -> None:
    audio = sound(name).audio
    assert seconds[0] <= MULAW_8K.ms_in(len(audio)) / 1000 <= seconds[1]
    assert dbfs[0] <= level_dbfs(mulaw_decode(audio)) <= dbfs[1]
    assert len(audio) % PACKET_BYTES == 0


@pytest.mark.parametrize("name", sorted(SOUNDS))
def test_it_is_made_once_and_says_nothing(name: str) -> None:
    assert sound(name) is sound(name)
    assert sound(name).text == ""


def test_another_is_refused_by_name() -> None:
    with pytest.raises(
        PromptError, match=r"'jazz' is none of beep, comfort_noise, hold_music, ringback, silence"
    ):
        sound("jazz")


@pytest.mark.parametrize("name", ["hold_music", "comfort_noise", "ringback"])
def test_it_loops_without_a_click(name: str) -> None:
    """A click is a leap of the slope; at the seam it leaps no further than elsewhere."""
    signal = signal_of(name)
    leaps = np.abs(np.diff(np.concatenate([signal, signal[:4]]), n=2))
    assert leaps[-4:].max() <= np.percentile(leaps, 99.9)


def test_hold_music_is_what_a_telephone_carries() -> None:
    signal = signal_of("hold_music")
    power, hertz = np.abs(np.fft.rfft(signal)) ** 2, np.fft.rfftfreq(signal.size, 1 / 8000)
    assert power[(hertz > 150) & (hertz < 3400)].sum() > 0.999 * power.sum()
    assert np.abs(signal).max() < 0.5


def test_hold_music_neither_stops_nor_startles() -> None:
    """Its level over a second: so nobody takes it for a dead line, or holds the phone away."""
    seconds = signal_of("hold_music")[: 22 * 8000].reshape(22, -1)
    levels = 10 * np.log10((seconds**2).mean(axis=1))
    assert levels.min() > -31
    assert levels.max() < -22


@pytest.mark.parametrize("name", ["hold_music", "comfort_noise", "ringback", "beep"])
def test_its_echo_is_neither_a_voice_nor_a_key(name: str) -> None:
    """What the caller's line may give back of it, at full strength and over and over."""
    audio = sound(name).audio * 2
    detector = SpeechDetector()
    stream, voiced = detector.open(), [0.0]
    for packet in packets(audio):
        stream.push(packet)
        voiced += [window.probability for window in detector.run()]
    assert not [pair for pair in pairwise(voiced) if min(pair) >= 0.7], "what a barge-in takes"
    assert len(voiced) > len(audio) / 256 - 2
    assert DtmfDetector().feed(audio) == ""
