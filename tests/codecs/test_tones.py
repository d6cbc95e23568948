"""Sounds made of nothing: how loud, at which frequencies, and that none of them clicks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from telephony_codecs import tones
from telephony_codecs.pcm import level_dbfs
from telephony_codecs.tones import RATE_HZ, Samples, samples_in

CYCLES_IN = 1000  # ms, long enough for lines 1 Hz apart


def level(samples: Samples) -> float:
    return level_dbfs(samples.astype("<i2").tobytes())


def strongest_hz(samples: Samples, count: int) -> set[int]:
    """The frequencies of the `count` strongest lines, in whole hertz."""
    size = samples_in(CYCLES_IN)
    spectrum = np.abs(np.fft.rfft(samples[:size] * np.hanning(size)))
    peaks = (spectrum[1:-1] > spectrum[:-2]) & (spectrum[1:-1] >= spectrum[2:])
    at = np.flatnonzero(peaks) + 1
    return {int(hz) for hz in at[np.argsort(spectrum[at])[-count:]]}


def share_between(samples: Samples, low_hz: float, high_hz: float) -> float:
    power = np.abs(np.fft.rfft(samples.astype(float))) ** 2
    hertz = np.fft.rfftfreq(samples.size, 1 / RATE_HZ)
    return float(power[(hertz >= low_hz) & (hertz <= high_hz)].sum() / power.sum())


@pytest.mark.parametrize("frequencies_hz", [(440.0,), (697.0, 1209.0), (300.0, 600.0, 900.0)])
@pytest.mark.parametrize("dbfs", [-6.0, -30.0])
def test_a_tone_is_what_it_is_called(frequencies_hz: tuple[float, ...], dbfs: float) -> None:
    made = tones.tone(frequencies_hz, CYCLES_IN, dbfs)
    assert made.size == samples_in(CYCLES_IN)
    assert strongest_hz(made, len(frequencies_hz)) == set(map(int, frequencies_hz))
    assert level(made[samples_in(100) : samples_in(900)]) == pytest.approx(dbfs, abs=0.1)


@pytest.mark.parametrize("ms", [0, 1, 7, 40])
def test_a_tone_is_as_long_as_asked_however_short(ms: float) -> None:
    assert tones.tone((1000.0,), ms, -9).size == ms * 8


def test_a_tone_swells_and_fades() -> None:
    """A sine that is switched has a third of its strength in its first sample already."""
    made = np.abs(tones.tone((1900.0,), 100, -9).astype(float))
    assert max(made[0], made[-1]) < 0.01 * made.max()
    assert made[:20].max() < 0.5 * made.max()
    switched = np.abs(tones.tone((1900.0,), 100, -9, ramp_ms=0).astype(float))
    assert switched[1] > 0.9 * switched.max()


def test_too_loud_a_tone_is_held_at_the_end_of_the_range() -> None:
    made = tones.tone((440.0, 480.0), 100, 3.0)
    assert (made.max(), made.min()) == (32767, -32768)


@pytest.mark.parametrize(
    ("make", "frequencies_hz", "on_ms", "off_ms"),
    [
        (tones.ringback, {440, 480}, 2000, 4000),
        (tones.busy, {480, 620}, 500, 500),
        (partial(tones.dial_tone, 2000.0), {350, 440}, 2000, 0),
        (tones.beep, {1000}, 400, 0),
    ],
)
def test_call_progress_tones(
    make: Callable[[], Samples], frequencies_hz: set[int], on_ms: float, off_ms: float
) -> None:
    made = make()
    sounding, after = made[: samples_in(on_ms)], made[samples_in(on_ms) :]
    assert strongest_hz(np.resize(sounding, samples_in(CYCLES_IN)), len(frequencies_hz)) == frequencies_hz
    assert level(sounding) == pytest.approx(tones.TONE_DBFS, abs=0.3)
    assert after.size == samples_in(off_ms)
    assert not after.any()


@pytest.mark.parametrize("dbfs", [-62.0, -40.0])
def test_comfort_noise_is_soft_noise_that_a_telephone_carries(dbfs: float) -> None:
    made = tones.comfort_noise(4000, dbfs, seed=3)
    assert level(made) == pytest.approx(dbfs, abs=0.3)
    assert share_between(made, 150, 3400) > 0.95
    assert share_between(made, 150, 1000) > share_between(made, 2000, 3400)


def test_comfort_noise_is_the_same_for_a_seed_and_another_for_another() -> None:
    again, other = tones.comfort_noise(1000, seed=1), tones.comfort_noise(1000, seed=2)
    assert (tones.comfort_noise(1000, seed=1) == again).all()
    assert (again != other).any()


def test_comfort_noise_loops_without_a_seam() -> None:
    """Across the seam it leaps no further than it does elsewhere. Loud, so that steps of 16 bits do not hide it."""
    made = tones.comfort_noise(1000, -20.0).astype(float)
    curve = np.abs(np.diff(made, n=2, append=made[:2]))
    assert curve[-2:].max() < np.percentile(curve, 99.9)
