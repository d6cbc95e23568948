"""A recogniser that hears what it was told to hear: each stretch of sound is the next line of a script. No I/O.

Strategy:

- A stretch begins with sound, and ends with so much silence that it is a pause. Nothing else ends it, so what is asked
  meanwhile changes no line.
- The words of a line come one after the other while its stretch lasts, and those that are left when it ends, or when
  they are asked for for good. When the lines have run out nothing is heard any more.
- Every socket begins with the first line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from bridge.emulators.recogniser import FRAME_BYTES, FRAME_MS, RecognisedWord, is_sound
from telephony_codecs.reframer import Reframer

WORD_MS: Final = 300
#: Sound that lasts so long is no click.
_BEGINS_AFTER_MS: Final = 60
#: Silence that lasts so long is between two stretches.
_ENDS_AFTER_MS: Final = 400


class ScriptedWords:
    """Recognises the k-th stretch of sound of a socket as the k-th of `lines`."""

    name = "a script"
    blocks = False

    def __init__(self, lines: Iterable[str], *, word_ms: int = WORD_MS) -> None:
        """`word_ms`: how long a word takes to be said."""
        self.lines = tuple(lines)
        self._word_ms = word_ms

    def open(self) -> ScriptedRecognition:
        """See `Recogniser.open`."""
        return ScriptedRecognition(iter(self.lines), self._word_ms)


class ScriptedRecognition:
    """What is recognised on one socket."""

    def __init__(self, lines: Iterator[str], word_ms: int) -> None:
        self._lines, self._word_ms = lines, word_ms
        self._frames = Reframer(FRAME_BYTES)
        self._heard_ms = 0
        #: Without a break until now.
        self._sound_ms = self._quiet_ms = 0
        #: When the stretch that lasts began; None between two.
        self._since_ms: int | None = None
        #: Words of its line that are not said yet, and of lines before it.
        self._coming: list[RecognisedWord] = []
        self._left: list[RecognisedWord] = []

    def feed(self, mulaw: bytes) -> None:
        """See `Recognition.feed`."""
        for frame in self._frames.feed(mulaw):
            self._heard_ms += FRAME_MS
            sound = is_sound(frame)
            self._sound_ms = self._sound_ms + FRAME_MS if sound else 0
            self._quiet_ms = 0 if sound else self._quiet_ms + FRAME_MS
            self._turn()

    def words(self) -> Sequence[RecognisedWord]:
        """See `Recognition.words`."""
        return [*self._left, *(word for word in self._coming if word.end_ms <= self._heard_ms)]

    def finish(self) -> Sequence[RecognisedWord]:
        """See `Recognition.finish`."""
        words = [*self._left, *self._coming]
        self._left.clear()
        self._coming.clear()
        return words

    def _turn(self) -> None:
        if self._since_ms is None and self._sound_ms >= _BEGINS_AFTER_MS:
            self._since_ms = self._heard_ms - self._sound_ms
            self._coming = list(self._timed(next(self._lines, "").split(), self._since_ms))
        elif self._since_ms is not None and self._quiet_ms >= _ENDS_AFTER_MS:
            self._since_ms = None
            self._left += self._coming
            self._coming = []

    def _timed(self, texts: Sequence[str], start_ms: float) -> Iterator[RecognisedWord]:
        for number, text in enumerate(texts):
            begins_ms = start_ms + number * self._word_ms
            yield RecognisedWord(text, begins_ms, begins_ms + self._word_ms)
