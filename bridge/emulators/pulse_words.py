"""Recognised words as Pulse tells them: with or without capitals and stops, and with what is private taken out. No I/O.

Strategy:

- Whatever is done is done to words, so that the transcript and the words with their times never tell different things:
  words that are taken out leave one word in their place.
- What is private is told by its look alone: digits in a row are a card or a telephone, an @ is an address. The real one
  knows names too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Final

from bridge.emulators.pulse_query import PulseQuery
from bridge.emulators.recogniser import RecognisedWord

_STOPS: Final = ".,?!"
_SENTENCE_ENDS: Final = (".", "?", "!", "।")
_CARD: Final = re.compile(r"\d(?:[ -]?\d){11,18}")
_PHONE: Final = re.compile(r"\+?\d(?:[ -]?\d){6,14}")
_EMAIL: Final = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


def worded(words: Iterable[RecognisedWord], query: PulseQuery) -> list[RecognisedWord]:
    """`words` as `query` wants them written."""
    written = list(words)
    if query.redact_pci:
        written = _redacted(written, "ACCOUNTNUMBER", _CARD)
    if query.redact_pii:
        written = _redacted(_redacted(written, "EMAIL", _EMAIL), "PHONENUMBER", _PHONE)
    plain = [word if _is_token(word) else replace(word, text=_plain(word.text, query)) for word in written]
    return [word for word in plain if word.text]


def transcript_of(words: Iterable[RecognisedWord]) -> str:
    """`words` as one text."""
    return " ".join(word.text for word in words)


def redacted_in(words: Iterable[RecognisedWord]) -> list[str]:
    """What stands in `words` for what was taken out."""
    return [word.text for word in words if _is_token(word)]


def sentences_of(words: Iterable[RecognisedWord]) -> Iterator[list[RecognisedWord]]:
    """`words` cut after each full stop; the last sentence may have none."""
    sentence: list[RecognisedWord] = []
    for word in words:
        sentence.append(word)
        if word.text.endswith(_SENTENCE_ENDS):
            yield sentence
            sentence = []
    if sentence:
        yield sentence


def _plain(text: str, query: PulseQuery) -> str:
    if not query.punctuate:
        text = text.strip(_STOPS)
    return text if query.capitalize else text.lower()


def _redacted(words: Sequence[RecognisedWord], kind: str, pattern: re.Pattern[str]) -> list[RecognisedWord]:
    """`words`, with one word instead of those that `pattern` matches any part of."""
    ends = list(accumulate(len(word.text) + 1 for word in words))
    kept: list[RecognisedWord] = []
    taken = 0
    for number, found in enumerate(pattern.finditer(transcript_of(words)), 1):
        first = next(n for n, end in enumerate(ends) if end > found.start())
        last = next(n for n, end in enumerate(ends) if end >= found.end())
        kept += words[taken:first]
        kept.append(RecognisedWord(f"[{kind}_{number}]", words[first].start_ms, words[last].end_ms))
        taken = last + 1
    return [*kept, *words[taken:]]


def _is_token(word: RecognisedWord) -> bool:
    return re.fullmatch(r"\[[A-Z]+_\d+\]", word.text) is not None
