"""The picture of sound, against the formulas written out one number at a time."""

from __future__ import annotations

from math import cos, exp, log, log10, pi, sin

import numpy as np
import pytest

from bridge.media.log_mel import BANDS, HOP_SAMPLES, RATE_HZ, log_mel

WINDOW = 400


def wave(seconds: float = 0.08) -> list[float]:
    """A voice of a kind: a tone that rises, and a hiss that is always the same."""
    hiss = np.random.default_rng(7).standard_normal(int(seconds * RATE_HZ)) * 0.05
    return [sin(2 * pi * (300 + 4000 * n / RATE_HZ) * n / RATE_HZ) + hiss[n] for n in range(len(hiss))]


def to_hz(mels: float) -> float:
    return mels * 200 / 3 if mels < 15 else 1000 * exp((mels - 15) * log(6.4) / 27)


def edges_hz() -> list[float]:
    top = 15 + log(8) * 27 / log(6.4)
    return [to_hz(top * k / (BANDS + 1)) for k in range(BANDS + 2)]


def power_of(frame: list[float]) -> list[float]:
    """By the definition of the Fourier transform."""
    windowed = [x * (0.5 - 0.5 * cos(2 * pi * n / WINDOW)) for n, x in enumerate(frame)]
    table = [(cos(2 * pi * n / WINDOW), sin(2 * pi * n / WINDOW)) for n in range(WINDOW)]
    powers = []
    for k in range(WINDOW // 2 + 1):
        real = sum(x * table[k * n % WINDOW][0] for n, x in enumerate(windowed))
        imaginary = sum(x * table[k * n % WINDOW][1] for n, x in enumerate(windowed))
        powers.append(real**2 + imaginary**2)
    return powers


def share(hz: float, low: float, middle: float, high: float) -> float:
    rising, falling = (hz - low) / (middle - low), (high - hz) / (high - middle)
    return max(0.0, min(rising, falling)) * 2 / (high - low)


def reference(samples: list[float]) -> list[list[float]]:
    """[column][band], before what is too quiet is raised."""
    mean = sum(samples) / len(samples)
    variance = sum((x - mean) ** 2 for x in samples) / len(samples)
    even = [(x - mean) / (variance + 1e-7) ** 0.5 for x in samples]
    half = WINDOW // 2
    mirrored = even[half:0:-1] + even + even[-2 : -half - 2 : -1]
    edges = edges_hz()
    columns = []
    for at in range(0, len(samples), HOP_SAMPLES):
        powers = power_of(mirrored[at : at + WINDOW])
        columns.append(
            [
                log10(max(1e-10, sum(p * share(40.0 * k, *edges[b : b + 3]) for k, p in enumerate(powers))))
                for b in range(BANDS)
            ]
        )
    return columns


def test_it_is_what_the_formulas_say() -> None:
    samples = wave()
    columns = reference(samples)
    floor = max(map(max, columns)) - 8
    wanted = np.array([[(max(x, floor) + 4) / 4 for x in column] for column in columns]).T
    found = log_mel(np.array(samples))
    assert found.dtype == np.float32
    assert found.shape == (BANDS, len(samples) // HOP_SAMPLES)
    assert np.abs(found - wanted).max() < 1e-6


@pytest.mark.parametrize("gain", [0.1, 50.0])
def test_how_loud_it_is_does_not_matter(gain: float) -> None:
    samples = np.array(wave())
    assert np.abs(log_mel(samples * gain) - log_mel(samples)).max() < 1e-3


def test_silence_has_a_picture_too() -> None:
    assert np.isfinite(log_mel(np.zeros(RATE_HZ))).all()
