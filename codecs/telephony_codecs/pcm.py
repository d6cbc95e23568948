"""Linear PCM: level, gain, byte order, whole samples. Signed 16 bit, little endian, mono."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

SAMPLE_BYTES: Final = 2
#: The level of digital silence, and the lowest that is told apart from it.
SILENCE_DBFS: Final = -120.0
_FULL_SCALE: Final = 32768.0


def samples_of(pcm: bytes) -> NDArray[np.int16]:
    """The samples of `pcm`, as a read-only view of its bytes.

    Raises:
        ValueError: `pcm` ends in half a sample.
    """
    return np.frombuffer(pcm, dtype="<i2")


def saturated(values: NDArray[np.float64]) -> bytes:
    """PCM16 of `values`: rounded, and held at the ends of the range instead of wrapping round."""
    return np.rint(values).clip(-32768, 32767).astype("<i2").tobytes()


def level_dbfs(pcm: bytes) -> float:
    """Root mean square of `pcm` in dB below a full-scale square wave, never under `SILENCE_DBFS`.

    A full-scale sine is -3 dBFS. No samples at all count as silence.

    Raises:
        ValueError: `pcm` ends in half a sample.
    """
    samples = samples_of(pcm).astype(np.float64)
    energy = float(samples @ samples)
    if not energy:
        return SILENCE_DBFS
    return max(SILENCE_DBFS, 10 * math.log10(energy / samples.size / _FULL_SCALE**2))


def gain(pcm: bytes, db: float) -> bytes:
    """`pcm` louder by `db` decibels (quieter when negative), saturating.

    Raises:
        ValueError: `pcm` ends in half a sample.
    """
    return saturated(samples_of(pcm) * 10.0 ** (db / 20))


def swap_bytes(pcm: bytes) -> bytes:
    """`pcm` in the other byte order: network order (`audio/L16`) to ours, or back.

    Raises:
        ValueError: `pcm` ends in half a sample.
    """
    return samples_of(pcm).byteswap().tobytes()


def interleave(left: bytes, right: bytes, sample_bytes: int = SAMPLE_BYTES) -> bytes:
    """Stereo of two mono tracks, left sample first. The longer track's excess is left out: pad before.

    Args:
        sample_bytes: 2 for PCM16, 1 for mu-law and A-law.

    Raises:
        ValueError: a track ends in half a sample.
    """
    dtype = f"V{sample_bytes}"
    tracks = np.frombuffer(left, dtype), np.frombuffer(right, dtype)
    length = min(track.size for track in tracks)
    return np.stack([track[:length] for track in tracks], axis=1).tobytes()


class SampleAligner:
    """Cuts a stream of PCM16 bytes at whole samples: half a sample waits for its other half."""

    def __init__(self) -> None:
        self._half = b""

    def feed(self, chunk: bytes) -> bytes:
        """All whole samples so far; `chunk` itself when nothing had to be moved."""
        pcm = self._half + chunk if self._half else chunk
        if len(pcm) % SAMPLE_BYTES:
            self._half = pcm[-1:]
            return pcm[:-1]
        self._half = b""
        return pcm

    def flush(self) -> bytes:
        """Forget a half sample left at the end: one byte of two says nothing about the sample."""
        self._half = b""
        return b""
