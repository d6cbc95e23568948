"""Mu-law out of whatever Lightning answers when `ulaw` at 8000 Hz was asked.

Strategy:

- The sources disagree whether the socket honours `ulaw` or answers 16-bit PCM all the same, so the bytes
  decide: how likely is each of them in mu-law speech, how likely in PCM? The high bytes of PCM crowd around
  0x00 and 0xFF, its low bytes are spread evenly; mu-law's crowd at 0x7F and 0xFF alike, and shun 0x00.
- It is decided once for each synthesis, on its first bytes; then it stays. When these are too few or say too
  little, what the last synthesis was decides, and without one they are held back until there are more: never
  for long.
- A WAV header speaks for itself and is taken off.
- Mu-law is passed on as it came: the very object, not a copy.

Not told apart: PCM that is nothing but -1 for all of its beginning, and mu-law silence. Nobody sends the
former.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from telephony_codecs.formats import MULAW_8K, PCM16_8K, AudioFormat
from telephony_codecs.transcoder import Transcoder
from telephony_codecs.wav import WavStripper

#: Bits of evidence that settle it. Neighbouring samples are alike, so bits come cheap: hence not ten.
SETTLED_BITS: Final = 40.0
#: So many bytes are looked at, at most; and held back, while they say too little. 60 ms of mu-law.
MOST_BYTES: Final = 480

_Table = npt.NDArray[np.float64]


def evidence_bits(audio: bytes) -> float:
    """How much `audio`, whole samples, speaks for mu-law (positive) or for 16-bit PCM (negative)."""
    codes = np.frombuffer(audio, np.uint8, count=len(audio) // 2 * 2)
    return float(_EVIDENCE_LOW[codes[0::2]].sum() + _EVIDENCE_HIGH[codes[1::2]].sum())


class MulawAnswer:
    """One synthesis's audio as 8 kHz mu-law.

    Args:
        expected: what the synthesis before it was, if there was one.
    """

    def __init__(self, expected: AudioFormat | None = None) -> None:
        #: What it turned out to be; None until that is clear.
        self.format: AudioFormat | None = None
        #: Whether it came with a WAV header.
        self.had_header = False
        self._expected = expected
        self._held = b""
        self._stripper: WavStripper | None = None
        self._transcoder: Transcoder | None = None

    def feed(self, chunk: bytes) -> bytes:
        """The mu-law in `chunk`, and in what was held back before it.

        Raises:
            ValueError: it wears a WAV header, of audio that nothing can be done with.
        """
        if self._stripper is not None:
            return self._unwrapped(chunk)
        if self._transcoder is not None:
            return self._transcoder.feed(chunk)
        audio = self._held + chunk
        if audio.startswith(b"RIFF"):
            self._held, self._stripper = b"", WavStripper()
            return self._unwrapped(audio)
        return self._decided(audio)

    def flush(self) -> bytes:
        """The end of it."""
        audio = b""
        if self.format is None and self._stripper is None:
            audio = self._decided(self._held, last=True)
        return audio + (self._transcoder.flush() if self._transcoder else b"")

    def _decided(self, audio: bytes, *, last: bool = False) -> bytes:
        bits = evidence_bits(audio[:MOST_BYTES])
        could_be_header = b"RIFF".startswith(audio[:4])
        if abs(bits) < SETTLED_BITS or could_be_header:
            if not last and (could_be_header or (self._expected is None and len(audio) < MOST_BYTES)):
                self._held = audio
                return b""
            bits = bits if self._expected is None else 1.0 if self._expected == MULAW_8K else -1.0
        self._held = b""
        return self._settle(MULAW_8K if bits >= 0 else PCM16_8K).feed(audio)

    def _unwrapped(self, chunk: bytes) -> bytes:
        assert self._stripper is not None
        audio = self._stripper.feed(chunk)
        found = self._stripper.format
        if self._transcoder is None and found is not None:
            if self._stripper.channels != 1:
                raise ValueError(f"{self._stripper.channels} channels of audio; speech has one")
            self.had_header = True
            self._settle(found)
        return self._transcoder.feed(audio) if self._transcoder else b""

    def _settle(self, found: AudioFormat) -> Transcoder:
        self.format = found
        self._transcoder = Transcoder(found, MULAW_8K)
        return self._transcoder


def _geometric(ratio: float) -> _Table:
    """Probabilities of 0..127 that fall by `ratio` from each to the next."""
    weights: _Table = np.power(ratio, np.arange(128, dtype=np.float64))
    return weights * ((1 - ratio) / (1 - ratio**128))


def _tables() -> tuple[_Table, _Table]:
    """Log-likelihood ratios, mu-law over PCM, of a byte at an even and at an odd place. Bits.

    Mixtures, each of a few ways that speech can be: silent, quiet, loud; each with a floor, so that no single
    byte decides. Their shapes are rough on purpose; the recordings in the tests show that they do.
    """
    flat = np.full(128, 1 / 128)
    loudness = np.arange(128)
    spread = np.where(loudness < 96, 1.0, np.exp((96 - loudness) / 5))  # few samples come near full scale
    by_loudness = 0.35 * _geometric(0.85) + 0.63 * spread / spread.sum() + 0.02 * flat
    codes = np.arange(256)
    mulaw = by_loudness[~codes & 0x7F] / 2
    mulaw[0xFF] += 0.1  # digital silence
    by_size = 0.5 * _geometric(0.5) + 0.4 * _geometric(0.93) + 0.1 * flat
    size = np.where(codes < 128, codes, 255 - codes)
    high = by_size[size] / 2
    low = 0.85 / 256 + 0.15 * _geometric(0.7)[size] / 2
    return np.log2(mulaw / mulaw.sum() / low), np.log2(mulaw / mulaw.sum() / high)


_EVIDENCE_LOW, _EVIDENCE_HIGH = _tables()
