"""When text that comes bit by bit is released, by table; and contexts over a session, with the clock passed in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.emulators.lightning_contexts import MAX_BUFFERED_CHARS, FragmentBuffer

LONG = "One two three four five"  # long enough to be a sentence of its own
WORDS = "word " * 60
CHINESE = "这是一个非常长的句子，它在这里终于结束了。"

RELEASES = [
    ("nothing", [], [], ""),
    ("no end in sight", ["Hello there ", "and so on"], [], "Hello there and so on"),
    ("too short a sentence", ["Hello."], [], "Hello."),
    ("two short sentences", ["Hello. ", "How are you now?"], ["Hello. How are you now?"], ""),
    ("a sentence in tokens", ["One two ", "three four ", "five", ".", " Six"], [LONG + "."], " Six"),
    ("all ends", [f"{LONG}? {LONG}! {LONG}… x"], [f"{LONG}? {LONG}! {LONG}…"], " x"),
    ("danda", ["यह एक बहुत लंबा वाक्य है।", " और"], ["यह एक बहुत लंबा वाक्य है।"], " और"),
    ("no space behind", [CHINESE + "然后"], [CHINESE], "然后"),
    ("a quotation", [f'"{LONG}." He'], [f'"{LONG}."'], " He"),
    ("a number to come", [f"{LONG} 3."], [], f"{LONG} 3."),
    ("a number", [f"{LONG} 3.", "14 six"], [], f"{LONG} 3.14 six"),
    ("a number at the end", [f"{LONG} 3.", " Six"], [f"{LONG} 3."], " Six"),
    ("a number, asked", [f"{LONG} 3?"], [f"{LONG} 3?"], ""),
    ("a host", [f"{LONG} example.com six"], [], f"{LONG} example.com six"),
    ("as much as fits", ["x" * MAX_BUFFERED_CHARS], [], "x" * MAX_BUFFERED_CHARS),
    ("more than fits", ["x" * MAX_BUFFERED_CHARS, "y"], ["x" * MAX_BUFFERED_CHARS], "y"),
    ("more words than fit", [WORDS], ["word " * 50], "word " * 10),
    ("a sentence before the rest", [f"{LONG}. {WORDS}"], [f"{LONG}.", " " + "word " * 49], "word " * 11),
]  # fmt: skip


@pytest.mark.parametrize(("fragments", "released", "kept"), [case[1:] for case in RELEASES],
                         ids=[case[0] for case in RELEASES])  # fmt: skip
def test_what_is_released(fragments: list[str], released: list[str], kept: str) -> None:
    buffer = FragmentBuffer()
    assert [segment for text in fragments for segment in buffer.add(text, 3000, 0)] == released
    assert buffer.text == kept
    assert (buffer.release_at is None) == (not kept)


def test_what_waits_is_released_when_its_time_is_up_counted_from_the_first_of_it() -> None:
    buffer = FragmentBuffer()
    buffer.add("One ", 3000, 10)
    buffer.add("two", 3000, 12)
    assert buffer.expire(12.9) == []
    assert buffer.expire(13) == ["One two"]
    assert buffer.expire(99) == []


def test_what_a_sentence_leaves_waits_from_then_on() -> None:
    buffer = FragmentBuffer()
    buffer.add(LONG, 3000, 10)
    assert buffer.add(". Six", 3000, 12) == [LONG + "."]
    assert buffer.release_at == 15


def test_no_delay_at_all_releases_every_fragment() -> None:
    buffer = FragmentBuffer()
    assert buffer.add("One ", 0, 10) == ["One "]
    assert buffer.add(" ", 0, 10) == []


@given(st.lists(st.text(st.sampled_from('ab1 .?!…।。"\n'), max_size=400), max_size=20))
def test_no_character_is_lost_and_no_segment_too_long(fragments: list[str]) -> None:
    buffer = FragmentBuffer()
    segments = [segment for text in fragments for segment in buffer.add(text, 3000, 0)] + buffer.drain()
    # Blank segments are dropped, so only what is heard is compared.
    assert "".join("".join(segments).split()) == "".join("".join(fragments).split())
    assert all(segment.strip() and len(segment) <= MAX_BUFFERED_CHARS for segment in segments)
