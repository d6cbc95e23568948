"""Sounds made of nothing: tones, cadences, comfort noise. 8 kHz samples, the same in every run.

Strategy:

- Levels are what `pcm.level_dbfs` measures: the square wave of full scale is 0 dBFS, the loudest sine is -3.
- Whatever begins or ends does so over a few milliseconds: a sine that is switched is a click.
- What is to be looped is made periodic: its end goes on where it began, in value and in slope.

Facts, from ITU-T E.180 Supplement 2: the tones of North America are 350+440 Hz (dial), 440+480 Hz 2 s on and 4 s off
(ringing), 480+620 Hz half a second each (busy).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.int16]
Signal: TypeAlias = NDArray[np.float64]

RATE_HZ: Final = 8000
FULL_SCALE: Final = 32768.0
RAMP_MS: Final = 5.0
#: Of call progress tones: loud enough to be heard as such, softer than a voice.
TONE_DBFS: Final = -19.0

_DIAL_HZ: Final = (350.0, 440.0)
_RINGBACK_HZ: Final = (440.0, 480.0)
_BUSY_HZ: Final = (480.0, 620.0)
_BEEP_HZ: Final = (1000.0,)
#: What a quiet room sounds like on a telephone: the lower the louder, and nothing that the line would not carry.
_NOISE_BAND_HZ: Final = (150.0, 3400.0)


def samples_in(ms: float) -> int:
    """Samples in `ms` milliseconds."""
    return round(RATE_HZ * ms / 1000)


def silence(ms: float) -> Samples:
    """Nothing at all."""
    return np.zeros(samples_in(ms), np.int16)


def tone(frequencies_hz: Sequence[float], ms: float, dbfs: float, *, ramp_ms: float = RAMP_MS) -> Samples:
    """Sines of equal strength, `dbfs` all together, that swell and fade over `ramp_ms`."""
    time_s = np.arange(samples_in(ms)) / RATE_HZ
    mixed = np.sum([np.sin(2 * np.pi * hz * time_s) for hz in frequencies_hz], axis=0)
    return quantised(
        mixed * _amplitude(dbfs) * np.sqrt(2 / len(frequencies_hz)) * _ramps(time_s.size, ramp_ms)
    )


def beep() -> Samples:
    """What asks for a message: 400 ms of 1 kHz."""
    return tone(_BEEP_HZ, 400, TONE_DBFS)


def dial_tone(ms: float, dbfs: float = TONE_DBFS) -> Samples:
    """A line that waits for a number."""
    return tone(_DIAL_HZ, ms, dbfs)


def ringback(dbfs: float = TONE_DBFS) -> Samples:
    """One period of what a caller hears while it rings: 2 s on, 4 s off."""
    return np.concatenate([tone(_RINGBACK_HZ, 2000, dbfs), silence(4000)])


def busy(dbfs: float = TONE_DBFS) -> Samples:
    """One period of a busy line: half a second on, half a second off."""
    return np.concatenate([tone(_BUSY_HZ, 500, dbfs), silence(500)])


def comfort_noise(ms: float, dbfs: float = -62.0, seed: int = 0) -> Samples:
    """The noise of a quiet room; loops without a seam, because it is made of whole periods of its length."""
    size = samples_in(ms)
    hertz = np.fft.rfftfreq(size, 1 / RATE_HZ)
    inside = (hertz >= _NOISE_BAND_HZ[0]) & (hertz <= _NOISE_BAND_HZ[1])
    strength = np.where(inside, 1 / np.sqrt(np.maximum(hertz, 1)), 0)
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, hertz.size)
    noise = np.fft.irfft(strength * np.exp(1j * phases), size)
    return quantised(noise / np.sqrt(np.mean(noise**2)) * _amplitude(dbfs))


def quantised(signal: Signal) -> Samples:
    """A signal on the scale of 16 bits as samples: rounded, and held at the ends of the range."""
    return np.rint(signal).clip(-32768, 32767).astype(np.int16)


def _amplitude(dbfs: float) -> float:
    """The root mean square of a level, on the scale of 16 bits."""
    return float(FULL_SCALE * 10 ** (dbfs / 20))


def _ramps(size: int, ramp_ms: float) -> Signal:
    """1 in the middle, and half a cosine up and down at the ends."""
    ramp = min(samples_in(ramp_ms), size // 2)
    envelope = np.ones(size)
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(ramp) + 0.5) / max(1, ramp))
    envelope[:ramp] = rise
    envelope[size - ramp :] = rise[::-1]
    return envelope
