"""What the caller heard of an utterance: from milliseconds to words. Pure.

Strategy:

- An utterance is made of pieces, each with its text and its place on the utterance's own clock. Where the caller
  stopped listening is first a piece, then a place inside it.
- Of a private piece nothing is shown, not even how much of it was heard.
- Inside a piece, word timestamps decide when Lightning sent any. Else text and time are taken as proportional, and
  the cut falls back to the last whole word: we would rather tell an agent too little than words nobody heard.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from bridge.observe.timeline import HIDDEN

#: Ordinary speech, used for a piece whose length is not known yet and has none before it to learn from.
MS_PER_CHARACTER: Final = 65.0
#: Heard so far beyond the last timed word, a piece goes on in a voice that times none: a door has failed half way.
UNTIMED_AFTER_MS: Final = 600.0


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of one utterance.

    `text` and `ms` are what the caller heard, `total_ms` is what had been made ready. `by` names what
    interrupted it: ``speech``, ``digit``, or empty when nobody did.
    """

    text: str = ""
    ms: int = 0
    total_ms: int = 0
    by: str = ""

    @property
    def interrupted(self) -> bool:
        """Whether the caller cut it short."""
        return bool(self.by)


@dataclass(slots=True)
class _Piece:
    text: str
    start_ms: float
    end_ms: float | None = None
    words: list[tuple[str, float]] = field(default_factory=list)  # word, end on the utterance's clock
    private: bool = False


class Script:
    """What is being said, and when on the utterance's clock each piece of it is."""

    def __init__(self) -> None:
        self._pieces: list[_Piece] = []

    def start_piece(self, text: str, at_ms: float, *, private: bool = False) -> None:
        """A piece begins at `at_ms` of the utterance."""
        self._pieces.append(_Piece(text, at_ms, private=private))

    def interject(self, at_ms: float, end_ms: float) -> None:
        """What is none of the text is heard from `at_ms` to `end_ms`; a piece that waits begins after it."""
        for piece in self._pieces:
            if piece.start_ms >= at_ms:
                piece.start_ms = end_ms

    def add_text(self, text: str) -> None:
        """The text of the current piece goes on."""
        if self._pieces:
            self._pieces[-1].text += text

    def drop_text(self, text: str) -> None:
        """The current piece ends before `text`, with which its text ended so far."""
        if self._pieces:
            self._pieces[-1].text = self._pieces[-1].text.removesuffix(text)

    def add_word(self, word: str, end_ms: float) -> None:
        """Lightning said that `word` ends `end_ms` into the current piece."""
        if self._pieces:
            piece = self._pieces[-1]
            piece.words.append((word, piece.start_ms + end_ms))

    def end_piece(self, at_ms: float) -> None:
        """The current piece ends at `at_ms` of the utterance."""
        if self._pieces:
            self._pieces[-1].end_ms = at_ms

    @property
    def text(self) -> str:
        """All of it, heard or not."""
        return " ".join(text for piece in self._pieces if (text := piece.text.strip()))

    def heard_text(self, heard_ms: float, written_ms: float, *, shown: bool = False) -> str:
        """The words that fit into the first `heard_ms`, of which `written_ms` have been synthesised so far.

        Args:
            shown: give them as they may be shown: without what is private.
        """
        parts = [
            HIDDEN if shown and piece.private else self._heard_of(piece, heard_ms, written_ms)
            for piece in self._pieces
            if piece.start_ms < heard_ms
        ]
        return " ".join(part for part in parts if part)

    def _heard_of(self, piece: _Piece, heard_ms: float, written_ms: float) -> str:
        if piece.end_ms is not None and heard_ms >= piece.end_ms - 1:
            return piece.text.strip()
        if piece.words:
            return self._by_words(piece, heard_ms, written_ms)
        length_ms = self._length_ms(piece, written_ms)
        return whole_words(piece.text, (heard_ms - piece.start_ms) / length_ms if length_ms > 0 else 0.0)

    def _by_words(self, piece: _Piece, heard_ms: float, written_ms: float) -> str:
        said = " ".join(word for word, end_ms in piece.words if end_ms <= heard_ms)
        timed_ms = max(end_ms for _, end_ms in piece.words)
        if heard_ms <= timed_ms + UNTIMED_AFTER_MS:
            return said
        untimed = " ".join(piece.text.split()[len(piece.words) :])
        length_ms = self._length_ms(_Piece(untimed, timed_ms, piece.end_ms), written_ms)
        return f"{said} {whole_words(untimed, (heard_ms - timed_ms) / length_ms)}".strip()

    def _length_ms(self, piece: _Piece, written_ms: float) -> float:
        if piece.end_ms is not None:
            return piece.end_ms - piece.start_ms
        ended = [
            (p.end_ms - p.start_ms, len(p.text)) for p in self._pieces if p.end_ms is not None and p.text
        ]
        characters = sum(n for _, n in ended)
        pace = sum(ms for ms, _ in ended) / characters if characters else MS_PER_CHARACTER
        return max(written_ms - piece.start_ms, pace * len(piece.text))


def whole_words(text: str, share: float) -> str:
    """The words that lie wholly in the first `share` (0..1) of `text`."""
    text = text.strip()
    cut = int(len(text) * max(0.0, share))
    if cut >= len(text):
        return text
    if not text[cut].isspace():
        cut = max((i for i in range(cut + 1) if i == 0 or text[i - 1].isspace()), default=0)
    return text[:cut].strip()
