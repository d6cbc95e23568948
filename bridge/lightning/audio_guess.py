"""Mu-law out of whatever Lightning answers when `ulaw` was asked.

Strategy:

- The sources disagree whether the socket honours `ulaw` or answers 16-bit PCM all the same, so the bytes
  decide: which of the two explains them in fewer bits? Both are taken for speech, whose samples crowd around
  zero the more the quieter it is. As PCM that shows in the high bytes while the low ones are spread evenly;
  in mu-law all bytes are alike.
- It is decided once for each synthesis, on its first bytes; then it stays. When these are too few or say too
  little, what the last synthesis was decides, and without one they are held back until there are more: never
  for long.
- A WAV header speaks for itself and is taken off.
- Mu-law is passed on as it came: the very object, not a copy.

Not told apart: PCM that is nothing but -1 for all of its beginning, and mu-law silence; and tones at full
scale, which no voice begins with.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from telephony_codecs.formats import MULAW_8K, AudioFormat, Encoding
from telephony_codecs.g711 import mulaw_decode
from telephony_codecs.transcoder import Transcoder
from telephony_codecs.wav import WavStripper

#: Bits of evidence that settle it. Neighbouring samples are alike, so bits come cheap: hence not ten.
SETTLED_BITS: Final = 40.0
#: So many bytes are looked at, at most; and held back, while they say too little. 40 ms of mu-law.
MOST_BYTES: Final = 320
#: Bytes that are taken to be equally loud. Short, because speech begins with a jump.
BLOCK_BYTES: Final = 32

_Table: TypeAlias = npt.NDArray[np.float64]


def evidence_bits(audio: bytes) -> float:
    """How much `audio`, from the start of a sample on, speaks for mu-law (positive) or for PCM (negative).

    Whole blocks count; fewer bytes than one say nothing.
    """
    blocks = min(len(audio), MOST_BYTES) // BLOCK_BYTES
    codes = np.frombuffer(audio, np.uint8, count=blocks * BLOCK_BYTES).reshape(blocks, BLOCK_BYTES)
    as_mulaw = _MULAW_BITS[codes].sum(axis=1)
    as_pcm = _PCM_LOW_BITS[codes[:, 0::2]].sum(axis=1) + _PCM_HIGH_BITS[codes[:, 1::2]].sum(axis=1)
    return float((_at_any_loudness(as_pcm) - _at_any_loudness(as_mulaw)).sum())


class MulawAnswer:
    """One synthesis's audio as mu-law.

    Args:
        expected: what the synthesis before it was, if there was one.
        rate_hz: at which it was asked for.
    """

    def __init__(self, expected: AudioFormat | None = None, rate_hz: int = MULAW_8K.rate_hz) -> None:
        #: What it turned out to be; None until that is clear.
        self.format: AudioFormat | None = None
        #: Whether it came with a WAV header.
        self.had_header = False
        self._mulaw, self._pcm = AudioFormat(Encoding.MULAW, rate_hz), AudioFormat(Encoding.PCM16, rate_hz)
        self._expected = expected
        self._held = b""
        self._stripper: WavStripper | None = WavStripper()
        self._transcoder: Transcoder | None = None

    def feed(self, chunk: bytes) -> bytes:
        """The mu-law in `chunk`, and in what was held back before it.

        Raises:
            ValueError: it wears a WAV header, of audio that nothing can be done with.
        """
        if self._stripper is not None:
            chunk = self._stripper.feed(chunk)
            if self._transcoder is None:
                return self._begun(self._stripper, chunk)
        assert self._transcoder is not None
        return self._transcoder.feed(chunk)

    def flush(self) -> bytes:
        """The end of it."""
        audio = b""
        if self._transcoder is None and self._stripper is not None:
            audio = self._decided(self._held + self._stripper.flush(), last=True)
        return audio + (self._transcoder.flush() if self._transcoder else b"")

    def _begun(self, stripper: WavStripper, audio: bytes) -> bytes:
        if stripper.format is None:
            return self._decided(self._held + audio)
        if stripper.channels != 1:
            raise ValueError(f"{stripper.channels} channels of audio; speech has one")
        self.had_header = True
        return self._settle(stripper.format).feed(audio)

    def _decided(self, audio: bytes, *, last: bool = False) -> bytes:
        bits = evidence_bits(audio)
        if abs(bits) < SETTLED_BITS and self._expected is not None and audio:
            bits = SETTLED_BITS if self._expected == self._mulaw else -SETTLED_BITS
        if abs(bits) < SETTLED_BITS and len(audio) < MOST_BYTES and not last:
            self._held = audio
            return b""
        self._held, self._stripper = b"", None
        return self._settle(self._mulaw if bits >= 0 else self._pcm).feed(audio)

    def _settle(self, found: AudioFormat) -> Transcoder:
        self.format = found
        self._transcoder = Transcoder(found, self._mulaw)
        return self._transcoder


def _at_any_loudness(bits: _Table) -> _Table:
    """Bits that each block costs when every loudness is as likely, from what it costs at each of them."""
    least: _Table = bits.min(axis=1)
    chances: _Table = np.exp2(least[:, np.newaxis] - bits).mean(axis=1)
    spread: _Table = np.log2(chances)
    return least - spread


def _bits(scales: tuple[float, ...], magnitudes: _Table, widths: _Table) -> _Table:
    """What each byte costs, for each of `scales`: a table of 256 by their number.

    A byte stands for samples of about `magnitudes`, an interval as wide as `widths`, of a Laplace distribution with
    that mean magnitude, which is roughly speech's. One byte in twenty may be anything, so that none alone decides.
    """
    chances = np.exp(-magnitudes / np.array(scales)[:, np.newaxis]) * widths
    chances /= chances.sum(axis=1, keepdims=True)
    bits: _Table = -np.log2(0.95 * chances + 0.05 / 256).T
    return np.ascontiguousarray(bits)


_CODES: Final = np.arange(256)
#: How loud a block may be, from the silence of an encoder to full scale.
_SCALES: Final = (2.0, 30.0, 150.0, 600.0, 2500.0, 10_000.0, 40_000.0)
_MULAW_BITS: Final = _bits(
    _SCALES,
    np.abs(np.frombuffer(mulaw_decode(bytes(range(256))), "<i2").astype(np.float64)),
    np.exp2((~_CODES >> 4) & 7),
)
_HIGH: Final = np.where(_CODES < 128, _CODES, 255 - _CODES) * 256.0
_PCM_HIGH_BITS: Final = _bits(_SCALES, _HIGH, np.ones(256))
# Only in silence does the low byte say anything.
_LOW: Final = np.minimum(_CODES, 256 - _CODES).astype(np.float64)
_PCM_LOW_BITS: Final = _bits((2.0, 30.0, *([1e9] * (len(_SCALES) - 2))), _LOW, np.ones(256))
