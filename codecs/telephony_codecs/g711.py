"""G.711: mu-law and A-law to linear PCM16 and back, exact for every input.

Strategy:

- PCM is signed 16 bit, little endian. ITU-T G.711 itself speaks of 14-bit (mu-law) and 13-bit (A-law)
  samples: the low bits are cut off, not rounded, and a negative sample is coded by its one's complement.
- `audioop` is exact, and fastest, for decoding and for A-law. Its mu-law encoder is not: it negates where the
  standard complements, so 508 negative samples land one code too far out and -1, one bit of noise on a silent
  line, becomes -8. Mu-law is therefore encoded by a table.
- From one law to the other goes by a table of 256 codes. Do it at most once: there and back changes 16 codes.
"""

from __future__ import annotations

import sys
import warnings
from typing import Final

import numpy as np
from numpy.typing import NDArray

with warnings.catch_warnings():
    # Deprecated in the standard library up to 3.12; from 3.13 on audioop-lts brings the same module.
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

if sys.byteorder != "little":  # pragma: no cover - audioop writes samples in the machine's own order
    raise ImportError("telephony_codecs needs a little-endian machine")

_MULAW_BIAS: Final = 33
_MULAW_CLIP: Final = 8191
#: Where each of the eight segments ends, after the bias: 64, 128, ... 8192.
_MULAW_SEGMENT_ENDS: Final = 1 << np.arange(6, 14)


def _mulaw_table() -> NDArray[np.uint8]:
    """The code of every sample, indexed by the sample read as an unsigned 16-bit number."""
    sample = np.arange(65536, dtype=np.uint16).view(np.int16)
    one_complement = np.where(sample < 0, ~sample, sample).astype(np.int32)
    magnitude = np.minimum((one_complement >> 2) + _MULAW_BIAS, _MULAW_CLIP)
    segment = np.searchsorted(_MULAW_SEGMENT_ENDS, magnitude, side="right")
    step = (magnitude >> (segment + 1)) & 0x0F
    sign = np.where(sample < 0, 0x00, 0x80)
    codes: NDArray[np.uint8] = (sign | (7 - segment) << 4 | (15 - step)).astype(np.uint8)
    return codes


_MULAW_CODES: Final = _mulaw_table()


def mulaw_encode(pcm: bytes) -> bytes:
    """Mu-law of PCM16, one byte a sample.

    Raises:
        ValueError: `pcm` ends in half a sample.
    """
    return _MULAW_CODES.take(np.frombuffer(pcm, dtype="<u2")).tobytes()


def mulaw_decode(data: bytes) -> bytes:
    """PCM16 of mu-law, two bytes a code."""
    return audioop.ulaw2lin(data, 2)


def alaw_encode(pcm: bytes) -> bytes:
    """A-law of PCM16, one byte a sample.

    Raises:
        ValueError: `pcm` ends in half a sample.
    """
    if len(pcm) % 2:
        raise ValueError(f"{len(pcm)} bytes are not whole 16-bit samples")
    return audioop.lin2alaw(pcm, 2)


def alaw_decode(data: bytes) -> bytes:
    """PCM16 of A-law, two bytes a code."""
    return audioop.alaw2lin(data, 2)


_ALL_CODES: Final = bytes(range(256))
_MULAW_TO_ALAW: Final = alaw_encode(mulaw_decode(_ALL_CODES))
_ALAW_TO_MULAW: Final = mulaw_encode(alaw_decode(_ALL_CODES))


def mulaw_to_alaw(data: bytes) -> bytes:
    """A-law of mu-law, code by code."""
    return data.translate(_MULAW_TO_ALAW)


def alaw_to_mulaw(data: bytes) -> bytes:
    """Mu-law of A-law, code by code."""
    return data.translate(_ALAW_TO_MULAW)


def _mulaw_floats() -> NDArray[np.float32]:
    linear = np.frombuffer(mulaw_decode(_ALL_CODES), dtype="<i2")
    floats = linear.astype(np.float32) / np.float32(32768)
    floats.setflags(write=False)
    return floats


#: What each mu-law code sounds like, -1 to 1: `MULAW_TO_FLOAT.take(codes)` feeds a model without a detour.
MULAW_TO_FLOAT: Final[NDArray[np.float32]] = _mulaw_floats()
