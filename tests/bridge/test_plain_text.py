"""What comes from outside is text, and nothing that a parser or a terminal would obey."""

from __future__ import annotations

from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.plain_text import MAX_MESSAGE_CHARS, one_line, plain, short


@given(st.text().map(lambda text: text.replace("\r", "")), st.integers(0, 50))
def test_plain_text_is_short_printable_and_the_same_again(text: str, max_chars: int) -> None:
    made = plain(text, max_chars)
    assert len(made) <= max_chars
    assert plain(made, max_chars) == made
    assert not [
        char
        for char in made
        if (char < " " and char not in "\t\n\r") or "\x7f" <= char < "\xa0" or "\ud800" <= char < "\ue000"
    ]
    element = Xml.Element("Say", {"name": made})
    element.text = made
    said = Xml.fromstring(Xml.tostring(element, "unicode"))
    assert (said.text or "", said.get("name")) == (made, made)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("Zo\u00eb \U0001f600", "Zo\u00eb \U0001f600"),
        ("a\r\nb\tc\x1b[2J\x9b2J\x7f\0\ud800\uffff", "a\r\nb\tc[2J2J"),
    ],
)
def test_control_characters_go_and_letters_stay(text: str, made: str) -> None:
    assert plain(text, 100) == made


def test_what_must_not_run_together_is_kept_apart() -> None:
    assert plain("Hello\x00\x1b[31m\u0085you\n", instead=" ") == "Hello  [31m you\n"


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("  one\r\n\x1b[2Jtwo \u202ethree\x00 ", "one [2Jtwo three"),
        ("a\u2028b\ud800c\ufeff", "a b c"),
        ("\u0915\u094d\u200d\u0937", "\u0915\u094d\u200d\u0937"),
        ("\t\n", ""),
    ],
)
def test_one_line_is_one_line(text: str, made: str) -> None:
    assert one_line(text) == made


@given(st.text())
def test_one_line_is_the_same_again(text: str) -> None:
    made = one_line(text)
    assert one_line(made) == made
    assert len(made.splitlines()) <= 1


def test_a_message_that_is_too_long_shows_that_it_is_cut() -> None:
    assert short(" a\nb ") == "a b"
    assert short("x" * MAX_MESSAGE_CHARS) == "x" * MAX_MESSAGE_CHARS
    assert short("x" * (MAX_MESSAGE_CHARS + 1)) == "x" * (MAX_MESSAGE_CHARS - 1) + "\u2026"
