"""From milliseconds to words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.media.heard import Heard, Script, whole_words


def script(*pieces: tuple[str, float, float | None]) -> Script:
    script = Script()
    for text, start_ms, end_ms in pieces:
        script.start_piece(text, start_ms)
        if end_ms is not None:
            script.end_piece(end_ms)
    return script


@pytest.mark.parametrize(
    "share, heard",
    [
        (-1, ""),
        (0, ""),
        (0.1, ""),
        (0.5, "one two"),  # the cut falls right behind "two"
        (0.6, "one two"),
        (0.99, "one two three"),
        (1, "one two three four"),
        (7, "one two three four"),
    ],
)
def test_whole_words(share: float, heard: str) -> None:
    assert whole_words(" one two three four ", share * 14 / 18 if share == 0.5 else share) == heard


def test_text_that_another_piece_speaks_is_not_heard_twice() -> None:
    told = script(("One two. ", 0, None))
    told.add_text("Three four.")
    told.drop_text("two. Three four.")
    told.end_piece(400)
    told.start_piece("two. Three four.", 400)
    told.end_piece(1000)
    assert told.text == told.heard_text(1000, 1000) == "One two. Three four."
    assert told.heard_text(400, 1000) == "One"


@pytest.mark.parametrize(
    ("heard_ms", "shown"), [(0, ""), (500, "One two."), (510, "One two. •••"), (2000, "One two. •••")]
)
def test_of_a_private_piece_nothing_is_shown(heard_ms: float, shown: str) -> None:
    told = script(("One two.", 0, 500))
    told.start_piece("Three four five.", 500, private=True)
    told.end_piece(2000)
    assert told.heard_text(heard_ms, 2000, shown=True) == shown
    assert "•" not in told.heard_text(heard_ms, 2000)


def test_a_piece_of_which_nothing_was_said_leaves_nothing() -> None:
    told = script(("One two.", 0, None))
    told.drop_text("One two.")
    told.end_piece(0)
    told.start_piece("One two.", 0)
    told.end_piece(400)
    assert told.text == told.heard_text(400, 400) == "One two."


@given(st.text(alphabet="ab é\n", max_size=60), st.floats(0, 1.2))
def test_whole_words_is_always_a_prefix_that_ends_at_a_word(text: str, share: float) -> None:
    heard = whole_words(text, share)
    assert text.strip().startswith(heard)
    rest = text.strip()[len(heard) :]
    assert not heard or not rest or rest[0].isspace()


class TestByProportion:
    def test_half_the_time_is_half_the_text(self) -> None:
        assert script(("one two six ten", 0, 1000)).heard_text(500, 1000) == "one two"

    def test_a_piece_that_is_heard_whole_is_told_whole(self) -> None:
        two = script(("Hello there.", 0, 800), ("How are you?", 800, 1600))
        assert two.heard_text(800, 1600) == "Hello there."
        assert two.heard_text(1600, 1600) == "Hello there. How are you?"

    def test_a_piece_still_being_synthesised_is_judged_by_the_pace_of_those_before(self) -> None:
        growing = script(("a" * 50 + ".", 0, 510), ("one two six ten", 510, None))
        # 10 ms a character so far, so 80 ms are 8 characters, though only 100 ms have come in.
        assert growing.heard_text(590, 610).endswith(" one two")

    def test_a_first_piece_still_being_synthesised_is_judged_by_ordinary_speech(self) -> None:
        assert script(("one two six ten", 0, None)).heard_text(70, 100) == ""

    def test_nothing_heard_is_no_text(self) -> None:
        assert script(("Hello there.", 0, 800)).heard_text(0, 800) == ""
        assert Script().heard_text(100, 100) == ""


class TestByWords:
    def test_words_count_when_their_end_was_heard(self) -> None:
        timed = Script()
        timed.start_piece("Hello there my friend", 1000)
        for word, end_ms in (("Hello", 300), ("there", 600), ("my", 700), ("friend", 1200)):
            timed.add_word(word, end_ms)
        assert timed.heard_text(1650, 2500) == "Hello there"
        assert timed.heard_text(1700, 2500) == "Hello there my"

    def test_a_word_before_any_piece_is_nobodys(self) -> None:
        early = Script()
        early.add_word("Hello", 100)
        assert early.heard_text(500, 500) == ""


def test_text_is_all_of_it() -> None:
    assert script((" Hello. ", 0, 1), ("Bye.", 1, None)).text == "Hello. Bye."


@pytest.mark.parametrize("by, interrupted", [("", False), ("speech", True), ("digit", True)])
def test_interrupted(by: str, interrupted: bool) -> None:
    assert Heard("x", 1, 2, by).interrupted is interrupted


def test_text_that_goes_on_belongs_to_its_piece() -> None:
    growing = script(("", 0, None))
    for text in ("Good ", "morning ", "to you"):
        growing.add_text(text)
    assert growing.text == "Good morning to you"
    growing.end_piece(1900)
    assert growing.heard_text(1300, 1900) == "Good morning"
    assert growing.heard_text(1900, 1900) == "Good morning to you"


def test_a_piece_that_goes_on_without_timed_words_is_still_heard() -> None:
    """A voice that times its words failed half way, and one that does not says the rest."""
    mixed = script(("one two three four five six", 0, None))
    mixed.add_word("one", 300)
    mixed.add_word("two", 700)
    mixed.end_piece(700 + 1900)
    assert mixed.heard_text(699, 2600) == "one"
    assert mixed.heard_text(1200, 2600) == "one two", "a pause is no word"
    assert mixed.heard_text(1700, 2600) == "one two three four"
    assert mixed.heard_text(2600, 2600) == "one two three four five six"
