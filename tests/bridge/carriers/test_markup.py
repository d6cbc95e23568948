"""XML answers: what comes from outside is text, and nothing that a parser or a terminal would obey."""

from __future__ import annotations

from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.carriers.markup import dial, plain, response, verb


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
    (said,) = Xml.fromstring(response(verb("Say", made, name=made)).body.encode())
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


@pytest.mark.parametrize(
    ("to", "noun"), [("+15550100009", "Number"), ("sip:a@b.example", "Sip"), ("sips:a@b.example", "Sip")]
)
def test_whom_to_dial_is_a_number_or_a_sip_address(to: str, noun: str) -> None:
    (child,) = dial(to)
    assert (child.tag, child.text) == (noun, to)
