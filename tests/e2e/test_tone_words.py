"""The decoder that tells what a caller heard: whole words, begun ones, repeated ones, pauses, voices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony_codecs.formats import MULAW_8K
from tests.support.tone_words import SaidWord, Vocabulary, longest_silence_ms, spoken, tones_in

TEXT = "one two three four seven eight"
WORDS = Vocabulary([TEXT], ["devansh", "liam"])


def heard(mulaw: bytes) -> list[SaidWord]:
    return WORDS.words(tones_in(mulaw))


def pause(ms: float) -> bytes:
    return MULAW_8K.silence(ms)


@pytest.mark.parametrize("voice", ["devansh", "liam"])
def test_what_is_said_is_heard(voice: str) -> None:
    words = WORDS.words(tones_in(spoken(TEXT, voice)))
    assert words == [SaidWord(word, voice, 1.0) for word in TEXT.split()]
    assert all(word.whole for word in words)


ONE, TWO, LIAMS_TWO = spoken("one", "devansh"), spoken("two", "devansh"), spoken("two", "liam")
HALF_TWO = TWO[: MULAW_8K.bytes_in(90)]


@pytest.mark.parametrize(
    ("mulaw", "wanted"),
    [
        pytest.param(b"", [], id="nothing"),
        pytest.param(pause(500), [], id="silence"),
        pytest.param(ONE + HALF_TWO, [("one", "devansh", 1.0), ("two", "devansh", 0.5)], id="begun"),
        pytest.param(ONE + HALF_TWO + TWO, [("one", "devansh", 1.0), ("two", "devansh", 1.5)], id="again"),
        pytest.param(ONE + TWO + TWO, [("one", "devansh", 1.0), ("two", "devansh", 2.0)], id="twice"),
        pytest.param(
            HALF_TWO + LIAMS_TWO, [("two", "devansh", 0.5), ("two", "liam", 1.0)], id="again, by another"
        ),
        pytest.param(
            HALF_TWO + pause(300) + TWO[len(HALF_TWO) :], [("two", "devansh", 1.0)], id="a pause in it"
        ),
    ],
)
def test_how_often_a_word_is_heard(mulaw: bytes, wanted: list[tuple[str, str, float]]) -> None:
    assert [(word.text, word.voice) for word in heard(mulaw)] == [(text, voice) for text, voice, _ in wanted]
    assert [word.times for word in heard(mulaw)] == pytest.approx([times for *_, times in wanted], abs=0.1)
    assert [word.whole for word in heard(mulaw)] == [times >= 1 for *_, times in wanted]


@given(before=st.integers(0, 400), cut=st.integers(0, 1440))
def test_where_it_begins_and_where_it_was_cut_does_not_matter(before: int, cut: int) -> None:
    mulaw = b"\xff" * before + TWO[:cut] + spoken("three", "liam")
    found = WORDS.words(tones_in(mulaw))
    assert found[-1] == SaidWord("three", "liam", 1.0)
    begun = sum(word.times for word in found[:-1])
    assert begun == pytest.approx(cut / 1440, abs=0.15)


def test_the_longest_silence_is_the_one_between_words() -> None:
    two_pauses = pause(900) + ONE + pause(300) + TWO + pause(500) + ONE + pause(800)
    assert longest_silence_ms(tones_in(two_pauses)) == pytest.approx(540, abs=15)  # 40 ms belong to the word
    assert longest_silence_ms(tones_in(ONE)) == 0


def test_what_is_no_word_of_it_is_told() -> None:
    with pytest.raises(ValueError, match="no word of this vocabulary"):
        heard(spoken("zebra", "devansh"))


def test_words_that_sound_alike_are_refused() -> None:
    with pytest.raises(ValueError, match="devansh's 'five' sounds like devansh's 'two'"):
        Vocabulary(["two five"], ["devansh"])
