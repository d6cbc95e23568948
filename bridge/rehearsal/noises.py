"""What a caller's line has on it besides words: hiss, a cough, music. Pure.

Strategy:

- The same seed makes the same sound, byte by byte: a rehearsal that failed fails again.
- A level is that of the loudest 20 ms, in dBFS, so that it says what a detector sees.
- Words keep their loudness: noise is added under them.

Facts: a cough is a burst of noise without a pitch, sharp at its beginning and most of it below 2 kHz, then a weaker
one; there is no voice in it that a detector of speech should hear.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bridge.prompts.hold_music import hold_music
from telephony_codecs.formats import MULAW_8K
from telephony_codecs.g711 import mulaw_encode
from telephony_codecs.pcm import samples_of, saturated

_Signal: TypeAlias = NDArray[np.float64]

_RATE_HZ: Final = MULAW_8K.rate_hz
_SLOT: Final = _RATE_HZ // 50
_FULL_SCALE: Final = 32768.0
#: Quieter than this is no noise at all.
SILENT_DBFS: Final = -90.0
#: Of a cough: how fast a burst dies away, when the second one comes and how strong it is.
_BURST_DECAY_S: Final = 0.06
_SECOND_AT: Final = 0.45
_SECOND: Final = 0.6


def noise(kind: str, length_ms: float, dbfs: float, seed: int = 0) -> bytes:
    """`kind` (hiss, cough or music) for `length_ms`, as 8 kHz mu-law whose loudest 20 ms are at `dbfs`."""
    count = max(1, round(_RATE_HZ * length_ms / 1000))
    made = {"hiss": _hiss, "cough": _cough, "music": _music}[kind](count, np.random.default_rng(seed))
    return mulaw_encode(saturated(_levelled(made, dbfs)))


def under(pcm: bytes, dbfs: float, seed: int) -> bytes:
    """`pcm` (PCM16 at 8 kHz) with white noise of `dbfs` under it."""
    if dbfs <= SILENT_DBFS:
        return pcm
    words = samples_of(pcm).astype(np.float64)
    hiss = np.random.default_rng(seed).normal(0, _FULL_SCALE * 10 ** (dbfs / 20), len(words))
    return saturated(words + hiss)


def _hiss(count: int, random: np.random.Generator) -> _Signal:
    return random.normal(0, 1, count)


def _cough(count: int, random: np.random.Generator) -> _Signal:
    sound = random.normal(0, 1, count)
    dull = np.convolve(sound, np.hanning(6), "same")
    envelope = np.zeros(count)
    for begins, strength in ((0, 1.0), (round(count * _SECOND_AT), _SECOND)):
        after_s = np.arange(count - begins) / _RATE_HZ
        envelope[begins:] += strength * np.exp(-after_s / _BURST_DECAY_S)
    return np.asarray(dull * envelope, np.float64)


def _music(count: int, _random: np.random.Generator) -> _Signal:
    return np.resize(hold_music().astype(np.float64), count)


def _levelled(sound: _Signal, dbfs: float) -> _Signal:
    slots = np.resize(sound, (max(1, len(sound) // _SLOT), min(_SLOT, len(sound))))
    loudest = float(np.sqrt((slots**2).mean(axis=1)).max()) or 1.0
    return np.asarray(sound * (_FULL_SCALE * 10 ** (dbfs / 20) / loudest), np.float64)
