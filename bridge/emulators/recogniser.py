"""The interface of what the emulated Pulse recognises words with: a caller's voice in, words out. No I/O.

Strategy:

- A `Recogniser` is one for an emulator, a `Recognition` one for a socket. Time is counted in audio, so the same bytes
  give the same words at the same places, however fast they come.
- `words` may be asked at any time and is the best guess so far; `finish` says them for good and begins anew.
- Whether anything is heard at all is the same question for everybody here, and `is_sound` answers it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from telephony_codecs.formats import MULAW_8K
from telephony_codecs.g711 import mulaw_decode
from telephony_codecs.pcm import level_dbfs

FRAME_MS: Final = 20
FRAME_BYTES: Final = MULAW_8K.bytes_in(FRAME_MS)
#: As loud as this is sound: well above the noise of a line, well below a voice.
SOUND_DBFS: Final = -45.0

_SILENCE: Final = MULAW_8K.silence(FRAME_MS)


@dataclass(frozen=True, slots=True)
class RecognisedWord:
    """A word, and when it was heard, in milliseconds of the audio of its socket."""

    text: str
    start_ms: float
    end_ms: float


class Recognition(Protocol):
    """The words of one socket."""

    def feed(self, mulaw: bytes) -> None:
        """Hear more: 8 kHz mu-law, of any length."""

    def words(self) -> Sequence[RecognisedWord]:
        """The words since the last `finish`, as far as they are known."""

    def finish(self) -> Sequence[RecognisedWord]:
        """The same for good. What is heard after it makes other words."""


class Recogniser(Protocol):
    """Recognises on all sockets of an emulator."""

    #: Short name for the line that says what is listening.
    name: str
    #: It takes its time: to be fed in a thread, not in the event loop.
    blocks: bool

    def open(self) -> Recognition:
        """Begin with another socket's audio."""


def is_sound(frame: bytes) -> bool:
    """Whether 8 kHz mu-law is loud enough to be anything but the line."""
    return frame != _SILENCE and level_dbfs(mulaw_decode(frame)) >= SOUND_DBFS
