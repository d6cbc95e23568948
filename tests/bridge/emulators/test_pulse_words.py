"""How words are written, and what is taken out of them."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.emulators.pulse_query import PulseQuery
from bridge.emulators.pulse_words import redacted_in, sentences_of, transcript_of, worded
from bridge.emulators.recogniser import RecognisedWord


def words_of(text: str) -> list[RecognisedWord]:
    return [RecognisedWord(word, n * 100, n * 100 + 100) for n, word in enumerate(text.split())]


@pytest.mark.parametrize(
    ("asked", "said", "told"),
    [
        ({}, "Hello, I'm Anna.", "Hello, I'm Anna."),
        ({"punctuate": False}, "Hello, I'm Anna. OK?", "Hello I'm Anna OK"),
        ({"capitalize": False}, "Hello, I'm Anna.", "hello, i'm anna."),
        ({"punctuate": False}, "Well . . .", "Well"),
        ({"redact_pii": True}, "Call 555 010 0199 now", "Call [PHONENUMBER_1] now"),
        ({"redact_pii": True}, "It is +15550100199.", "It is [PHONENUMBER_1]"),
        ({"redact_pii": True}, "5550100199 or 5550100198", "[PHONENUMBER_1] or [PHONENUMBER_2]"),
        ({"redact_pii": True}, "Mail anna@example.com, please", "Mail [EMAIL_1] please"),
        ({"redact_pii": True}, "A table for 4 at 8", "A table for 4 at 8"),
        ({"redact_pci": True}, "It is 4111 1111 1111 1111", "It is [ACCOUNTNUMBER_1]"),
        ({"redact_pci": True}, "Call 5550100199", "Call 5550100199"),
        ({"redact_pci": True, "redact_pii": True}, "4111111111111111 a@b.co", "[ACCOUNTNUMBER_1] [EMAIL_1]"),
        (
            {"redact_pii": True, "capitalize": False, "punctuate": False},
            "Anna 5550100199",
            "anna [PHONENUMBER_1]",
        ),
        ({"redact_pii": True}, "", ""),
    ],
)
def test_how_words_are_written(asked: dict[str, Any], said: str, told: str) -> None:
    words = worded(words_of(said), PulseQuery(language="en", **asked))
    assert transcript_of(words) == told
    assert redacted_in(words) == [word for word in told.split() if word.startswith("[")]


def test_one_word_lasts_as_long_as_those_it_stands_for() -> None:
    (_, number, _) = worded(words_of("Call 555 010 0199 now"), PulseQuery(language="en", redact_pii=True))
    assert (number.start_ms, number.end_ms) == (100, 400)


@pytest.mark.parametrize(
    ("said", "sentences"),
    [
        ("", []),
        ("Hello", ["Hello"]),
        ("Hello. I am Anna! You?", ["Hello.", "I am Anna!", "You?"]),
        ("Yes, please. And", ["Yes, please.", "And"]),
    ],
)
def test_sentences(said: str, sentences: list[str]) -> None:
    assert [transcript_of(sentence) for sentence in sentences_of(words_of(said))] == sentences
