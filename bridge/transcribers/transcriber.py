"""The interface of a transcriber: the caller's voice in, words out.

Strategy:

- A `Transcriber` is one for a process, a `Transcription` one for a call. Another transcriber is one file with these
  two, named in ``[transcriber]``.
- Audio is pushed as the carrier sends it and never waits; words come by plain calls, from the event loop.
- What it cannot do it mends by itself, and counts: a socket that breaks is opened again, and what was said in between
  is sent once more. `able` says whether words can be expected at all.
- It decides nothing about turns. `finalize` asks for the words of what was pushed so far, and is answered by a
  `Transcript` that says so, with or without words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from bridge.observe.stats import TranscriberStats


@dataclass(frozen=True, slots=True)
class Transcript:
    """Words of the caller.

    Attributes:
        text: the words; empty when there are none.
        final: nothing of it will change any more. Otherwise it is the best guess at what follows the last final one,
            and replaces the guess before it.
        finalised: with it everything pushed before the last `finalize` has been told. Only final ones are.
        language: as the transcriber names it; empty when it did not say.
    """

    text: str
    final: bool = False
    finalised: bool = False
    language: str = ""


#: Takes words from the event loop, at once, and does not raise.
TranscriptSink: TypeAlias = Callable[[Transcript], None]


class Transcription(Protocol):
    """The words of one call."""

    @property
    def able(self) -> bool:
        """Whether words can be expected: False while the transcriber cannot be reached, or refuses."""

    def push(self, mulaw: bytes) -> None:
        """Take the caller's next audio, 8 kHz mu-law of any length. Does not wait and does not raise."""

    def finalize(self) -> None:
        """Ask for the words of all that was pushed. Does not wait; the answer is a `Transcript` that is `finalised`."""

    def close(self) -> None:
        """The call is over: nothing is handed on any more."""


class Transcriber(Protocol):
    """Transcribes all calls of a process."""

    async def start(self) -> None:
        """Get ready in the background. Does not wait, and does not fail."""

    async def close(self) -> None:
        """Close every connection. Comes after `start`, with calls over."""

    def open(self, call_id: str, into: TranscriptSink) -> Transcription:
        """Begin to transcribe a call. Returns at once; whatever goes wrong shows in `Transcription.able`."""


#: What ``[transcriber]`` names, ``module:function``: makes a transcriber of ``[transcriber.options]``.
OpenTranscriber: TypeAlias = Callable[[dict[str, object], TranscriberStats], Transcriber]
