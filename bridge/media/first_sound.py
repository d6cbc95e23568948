"""Where the first sound of an utterance is: voices begin with silence, and the caller waits through it. Pure.

Strategy:

- Measured once an utterance, chunk by chunk until it is found, on levels of 10 ms: a click is no sound, speech is.
- Only audio is counted here; whoever feeds it knows what stands before.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from telephony_codecs.formats import MULAW_8K
from telephony_codecs.g711 import MULAW_TO_FLOAT

#: Quieter than this is silence to a caller, and to Lightning's voices too, whose silence is digital or nearly so.
SILENT_BELOW_DBFS: Final = -50.0
SLICE_MS: Final = 10

_SLICE: Final = MULAW_8K.bytes_in(SLICE_MS)
_SILENT_BELOW: Final = np.float32(_SLICE * 10 ** (SILENT_BELOW_DBFS / 10))
_SQUARES: Final = MULAW_TO_FLOAT**2


class FirstSound:
    """Looks for the first sound of one utterance."""

    def __init__(self) -> None:
        self._fed_ms = 0.0
        self._rest = b""

    def feed(self, mulaw: bytes) -> float | None:
        """Take the next audio, of any length. Returns where the first sound of all that was fed begins, ms; once."""
        audio = self._rest + mulaw
        whole = len(audio) - len(audio) % _SLICE
        codes = np.frombuffer(audio, np.uint8, whole).reshape(-1, _SLICE)
        loud = np.flatnonzero(_SQUARES.take(codes).sum(axis=1) >= _SILENT_BELOW)
        if loud.size:
            return self._fed_ms + int(loud[0]) * SLICE_MS
        self._fed_ms += MULAW_8K.ms_in(whole)
        self._rest = audio[whole:]
        return None
