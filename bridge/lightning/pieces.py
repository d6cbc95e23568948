"""Text into pieces that Lightning speaks well: at most 250 characters, cut where a speaker would breathe.

Strategy:

- No character is lost and none is moved. Only the white space at a seam goes.
- A piece is as long as the limit lets it be, up to a sentence's end; failing that a clause's; failing that a
  space; failing that, and only then, it is cut at the limit.
- A full stop ends a sentence when white space follows and it does not belong to an abbreviation or an
  initial. In text that is still coming, a mark at its very end is not yet an end: ``3.`` may become ``3.5``.
- Text that comes bit by bit is released as soon as a sentence is whole: the first words wait for nothing
  else.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator
from typing import Final

#: Lightning's biggest chunk; it asks for about 140 characters.
MAX_PIECE_CHARS: Final = 250

#: Marks that need white space behind them, with what may close after them; and marks that do not.
_SENTENCE_END: Final = re.compile(r"""[.!?…؟۔]+['"”’»)\]]*(?=\s)|[।॥。！？]+['"”’»」』)\]]*|\n+""")
_CLAUSE_END: Final = re.compile(r"""[,;:]['"”’»)\]]*(?=\s)|\s[–—-](?=\s)|[、，；：]""")
_SPACE: Final = re.compile(r"\s+")
#: What may stand around a spoken word.
_MARKS: Final = ".,;:!?…'\""
_LAST_WORD: Final = re.compile(r"[^\s(\[\"'“‘]*$")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ABBREVIATIONS: Final = _words("""
    mr mrs ms mx dr prof sr jr st rev hon gen col capt lt sgt gov sen rep messrs mme mlle
    no nos vol fig ch sec art pp approx ca cf vs viz etc inc ltd co corp dept est min max tel ext
    e.g i.e a.m p.m u.s u.k u.n ph.d m.d b.a m.a
    jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun
""")
#: Abbreviations that end a sentence as often as not; a capital letter behind them decides.
_OFTEN_LAST: Final = _words("etc inc ltd co corp a.m p.m u.s u.k u.n ph.d m.d jr sr")


def split(text: str, limit: int = MAX_PIECE_CHARS) -> list[str]:
    """`text` in pieces of at most `limit` characters, without white space at their ends; none if blank."""
    pieces, rest = _cut_down(text.strip(), limit)
    return [*pieces, rest] if rest else pieces


class Splitter:
    """Pieces of text that comes bit by bit: `feed` it, then `flush`."""

    def __init__(self, limit: int = MAX_PIECE_CHARS) -> None:
        self._limit = limit
        self._pending = ""

    def feed(self, text: str) -> list[str]:
        """The pieces that are whole now."""
        pieces, rest = _cut_down((self._pending + text).lstrip(), self._limit)
        if end := _last_end(_sentence_ends(rest), self._limit):
            pieces.append(rest[:end].rstrip())
            rest = rest[end:]
        self._pending = rest
        return pieces

    def flush(self) -> list[str]:
        """The last piece, if anything is left."""
        rest, self._pending = self._pending, ""
        return split(rest, self._limit)

    def take(self) -> str:
        """What is left, as it came: its last word may go on."""
        rest, self._pending = self._pending, ""
        return rest


async def pieces_of(
    text: str | AsyncIterable[str], limit: int = MAX_PIECE_CHARS
) -> AsyncGenerator[str, None]:
    """The pieces of `text`, each as soon as it is whole. Closing `text` is left to whoever has it."""
    if isinstance(text, str):
        for piece in split(text, limit):
            yield piece
        return
    splitter = Splitter(limit)
    async for more in text:
        for piece in splitter.feed(more):
            yield piece
    for piece in splitter.flush():
        yield piece


def rest_after_chars(text: str, spoken_chars: float) -> str:
    """What of `text` is still unsaid when about `spoken_chars` have been: from the start of that word."""
    if spoken_chars >= len(text):
        return ""
    starts = [match.start() for match in re.finditer(r"\S+", text) if match.start() <= spoken_chars]
    return text[starts[-1] :] if starts else text


def is_spoken(text: str) -> bool:
    """Whether anything in `text` is: marks alone are not."""
    return any(c.isalnum() for c in text)


def _words_in(text: str) -> int:
    return sum(map(is_spoken, text.split()))


def rest_after_words(text: str, words: Iterable[str]) -> str:
    """What of `text` is still unsaid when `words` have been, which Lightning may spell in another way."""
    at, strange, folded = 0, 0, text.casefold()
    if len(folded) != len(text):  # a letter that folds into two: positions would be off
        folded = text
    for word in words:
        said = word.casefold().strip(_MARKS)
        found = folded.find(said, at) if said else -1
        if found >= 0 and _words_in(text[at:found]) <= strange + 1:
            at, strange = found + len(said), 0
        elif said:
            # Not in the text as it is written ("five" for "5"), or only by chance: further on than can be.
            strange += 1
    rest = text[at:].lstrip(".,;:!?…'\"”’)] ")
    return rest if is_spoken(rest) else ""


def _cut_down(text: str, limit: int) -> tuple[list[str], str]:
    """Pieces off the front of `text` for as long as it is longer than `limit`, and what is left of it."""
    pieces = []
    while len(text) > limit:
        cut = _cut(text, limit)
        pieces.append(text[:cut].rstrip())
        text = text[cut:].lstrip()
    return pieces, text


def _cut(text: str, limit: int) -> int:
    """Where the first piece of `text`, which is longer than `limit`, ends."""
    head = text[: limit + 1]  # one more, to see whether white space follows
    for ends in (_sentence_ends(head), _ends(_CLAUSE_END, head), _ends(_SPACE, head)):
        if cut := _last_end(ends, limit):
            return cut
    # A vowel sign stays with its letter, unless there are nothing but signs.
    starts = (at for at in range(limit, 0, -1) if unicodedata.category(text[at]) not in ("Mn", "Mc"))
    return next(starts, limit)


def _ends(pattern: re.Pattern[str], text: str) -> Iterator[int]:
    return (match.end() for match in pattern.finditer(text))


def _sentence_ends(text: str) -> Iterator[int]:
    for match in _SENTENCE_END.finditer(text):
        if match.group() != "." or not _abbreviates(text, match.start()):
            yield match.end()


def _last_end(ends: Iterator[int], limit: int) -> int:
    """The last of `ends` within `limit`; 0 when there is none."""
    return max((end for end in ends if end <= limit), default=0)


def _abbreviates(text: str, at: int) -> bool:
    """Whether the full stop at `at` belongs to the word before it."""
    word = _LAST_WORD.search(text, 0, at)
    last = word.group().casefold() if word else ""
    if last in _OFTEN_LAST:
        follows = text[at + 1 :].lstrip()[:1]
        return not follows.isupper()
    is_initial = len(last) == 1 and last.isalpha() and last != "i"
    is_list_number = last.isdecimal() and text[: at - len(last)].rstrip(" ")[-1:] in ("", "\n")
    return last in _ABBREVIATIONS or is_initial or is_list_number
