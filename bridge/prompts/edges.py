"""The silence at a piece's ends, which a voice gives to whole utterances and not to parts of one. Pure.

Strategy:

- Pieces of one prompt are played one right after the other: with half a second of silence at every seam, "your balance
  is ... five dollars" sounds broken. So silence is cut when a piece is rendered, once, and counts in the key's
  `FORMAT_VERSION`. A piece may be a whole prompt here and part of one there: it is cut the same in both.
- `KEPT_MS` stay at each end, and after the end of a sentence more, because there a speaker breathes. A voice that stops
  sooner, as programs on this machine do, is given the rest of `KEPT_MS` at the end: words must not run into each other.
- Silence is what is so far below the piece's own loudest sound that no speech is. A quiet voice keeps its quiet sounds;
  noise is not taken for silence. What is silent all through stays as it is, and so do recordings.

Facts, from phonetics: the weakest fricatives lie 30 to 35 dB below the strongest vowels of the same speaker; a stop is
silent for up to 100 ms at most, which is inside of words and never cut here.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from telephony_codecs.formats import MULAW_8K
from telephony_codecs.g711 import mulaw_decode
from telephony_codecs.pcm import samples_of

KEPT_MS: Final = 70
KEPT_AFTER_SENTENCE_MS: Final = 250
#: Below the loudest frame: silence.
SILENT_BELOW_DB: Final = 45.0
FRAME_MS: Final = 10

_FRAME: Final = MULAW_8K.bytes_in(FRAME_MS)
_CLOSERS: Final = "\"'”’»)]」』"
_SENTENCE_ENDS: Final = tuple(".!?…।॥。！？؟۔")


def trimmed(audio: bytes, text: str) -> bytes:
    """`audio`, 8 kHz mu-law, which says `text`, without most of the silence at its ends, and never without any."""
    energies = _frame_energies(audio)
    if not energies.size or not (loudest := float(energies.max())):
        return audio
    heard = np.flatnonzero(energies > loudest * 10 ** (-SILENT_BELOW_DB / 10))
    ends_sentence = text.rstrip().rstrip(_CLOSERS).endswith(_SENTENCE_ENDS)
    after_ms = KEPT_AFTER_SENTENCE_MS if ends_sentence else KEPT_MS
    begin = int(heard[0]) * _FRAME - MULAW_8K.bytes_in(KEPT_MS)
    heard_to = (int(heard[-1]) + 1) * _FRAME
    part = audio[max(0, begin) : heard_to + MULAW_8K.bytes_in(after_ms)]
    missing = heard_to + MULAW_8K.bytes_in(KEPT_MS) - len(audio)
    return part + MULAW_8K.silent_sample * missing  # none, where it is less


def _frame_energies(audio: bytes) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Of each frame; the rest of one at the end is counted as a frame filled up with silence."""
    samples = samples_of(mulaw_decode(audio)).astype(np.float64)
    padded = np.pad(samples, (0, -samples.size % _FRAME))
    energies: np.ndarray[tuple[int], np.dtype[np.float64]] = (padded.reshape(-1, _FRAME) ** 2).sum(axis=1)
    return energies
