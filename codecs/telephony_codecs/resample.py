"""Streaming resampler between telephone and studio rates: a polyphase FIR low-pass with a Kaiser window.

Strategy:

- Sample n of the output is the input at n / to_hz seconds, neither late nor early: what comes in is held back
  until the filter has seen the 4 ms behind it (at 8 kHz), and `flush` gives out what is still held.
- Sharp enough for the telephone, and no longer than that needs: when the lower rate is 8 kHz, what would
  alias from 4.3 kHz up is more than 70 dB down, and 300 to 3400 Hz is level.
- How the stream is cut into chunks cannot be heard, not even in the last bit: coefficients are multiples of
  2^-30, so every sum is exact in a double, and in which order numpy or BLAS adds it up is all the same.
- Never wraps round: what would pass full scale is held there.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, gcd
from typing import Final

import numpy as np
from numpy.typing import NDArray

from telephony_codecs.pcm import SampleAligner, samples_of, saturated

#: How far the filter reaches to either side, in samples of the lower rate: 4 ms at 8 kHz.
_REACH: Final = 32
#: Middle of the filter's slope, as a share of the lower rate: 3800 Hz at 8 kHz.
_CUTOFF: Final = 0.475
_KAISER_BETA: Final = 7.0
_COEFFICIENT_STEP: Final = 2.0**-30

_LOWEST_HZ: Final = 8000
_HIGHEST_HZ: Final = 48000
#: Rates are multiples of this, which bounds the number of phases; every rate in use is one, 11025 and all.
_RATE_STEP_HZ: Final = 25

#: Taps applied at a time: bounds the memory that a whole file fed at once takes, and keeps it in the cache.
_BLOCK_TAPS: Final = 1 << 15


class Resampler:
    """PCM16 at `from_hz` in, PCM16 at `to_hz` out, chunk by chunk.

    Feed it a stream's bytes, cut anywhere, then flush: the output lasts as long as the input, rounded up to a
    whole sample. After `flush` it is as new.

    Raises:
        ValueError: a rate is not a multiple of 25 Hz from 8000 to 48000.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        for rate_hz in (from_hz, to_hz):
            if not _LOWEST_HZ <= rate_hz <= _HIGHEST_HZ or rate_hz % _RATE_STEP_HZ:
                known = f"multiples of {_RATE_STEP_HZ} from {_LOWEST_HZ} to {_HIGHEST_HZ}"
                raise ValueError(f"cannot resample {rate_hz} Hz: rates are {known}")
        self.from_hz, self.to_hz = from_hz, to_hz
        common = gcd(from_hz, to_hz)
        # `_step` input samples make `_phases` output samples; positions are in 1 / `_phases` input samples.
        self._phases, self._step = to_hz // common, from_hz // common
        self._filters = _polyphase(from_hz, to_hz)
        self._taps: int = self._filters.shape[1]
        self._held_samples: int = self._taps // 2
        self._block_samples = _BLOCK_TAPS * from_hz // (self._taps * to_hz)
        self._restart()

    def _restart(self) -> None:
        self._aligner = SampleAligner()
        # Silence before the stream, so that the first output sample is centred on the first input sample.
        self._input = np.zeros(self._taps - 1 - self._held_samples)
        self._position = 0

    @property
    def delay_ms(self) -> float:
        """How much of the newest input is held back; how late the filter makes a live stream."""
        return self._held_samples * 1000 / self.from_hz

    def feed(self, pcm: bytes) -> bytes:
        """The output as far as it is certain. `pcm` may end in half a sample: the next chunk has the rest."""
        samples = samples_of(self._aligner.feed(pcm))
        size = self._block_samples
        blocks = (samples[start : start + size] for start in range(0, samples.size, size))
        return b"".join(self._convert(block) for block in blocks)

    def flush(self) -> bytes:
        """The end of the output. What is fed after it is another stream."""
        tail = self._convert(np.zeros(self._held_samples, dtype=np.int16))
        self._restart()
        return tail

    def _convert(self, samples: NDArray[np.int16]) -> bytes:
        self._input = np.concatenate((self._input, samples))
        end = (self._input.size - self._taps + 1) * self._phases
        if self._position >= end:
            return b""
        count = ceil((end - self._position) / self._step)
        output = self._filtered(count)
        consumed, self._position = divmod(self._position + self._step * count, self._phases)
        self._input = self._input[consumed:]
        return saturated(output)

    def _filtered(self, count: int) -> NDArray[np.float64]:
        """The next `count` output samples."""
        output: NDArray[np.float64]
        if self._phases == 1:
            output = np.vecdot(self._windows(count, self._step), self._filters[0])
            return output
        positions = self._position + self._step * np.arange(count)
        starts, phases = np.divmod(positions, self._phases)
        windows = self._windows(int(starts[-1]) + 1, 1)
        output = np.vecdot(windows[starts], self._filters[phases])
        return output

    def _windows(self, count: int, step: int) -> NDArray[np.float64]:
        """The input under the filter, `count` times, `step` samples apart, without a copy."""
        # numpy checks that this stays inside the buffer; `sliding_window_view` costs more than the filtering.
        size_bytes = self._input.itemsize
        strides = (step * size_bytes, size_bytes)
        return np.ndarray((count, self._taps), buffer=self._input, strides=strides)


@lru_cache(maxsize=32)
def _polyphase(from_hz: int, to_hz: int) -> NDArray[np.float64]:
    """The low-pass as seen from each place that an output sample can have between two input samples.

    Row p holds the taps for an output p / rows behind the middle input sample. Every row sums to 1.
    """
    if from_hz == to_hz:
        return np.ones((1, 1))
    phases = to_hz // gcd(from_hz, to_hz)
    lower_hz = min(from_hz, to_hz)
    reach = ceil(_REACH * from_hz / lower_hz)
    distance = np.arange(1 - reach, reach + 1) - np.arange(phases)[:, None] / phases
    inside = np.clip(1 - (distance / reach) ** 2, 0, None)
    # The window ends before its edge, so that phase 0 is as long to the left as to the right.
    window = np.where(inside > 0, np.i0(_KAISER_BETA * np.sqrt(inside)), 0)
    taps = window * np.sinc(2 * _CUTOFF * lower_hz / from_hz * distance)
    taps /= taps.sum(axis=1, keepdims=True)
    filters = np.rint(taps / _COEFFICIENT_STEP) * _COEFFICIENT_STEP
    filters.setflags(write=False)  # every stream of these two rates shares it
    return filters
