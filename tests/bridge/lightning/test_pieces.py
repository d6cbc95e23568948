"""Text into pieces: where it is cut, and that nothing is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.lightning.pieces import (
    MAX_PIECE_CHARS,
    Splitter,
    pieces_of,
    rest_after_chars,
    rest_after_words,
    split,
)

TEXTS = st.text(
    st.sampled_from('aB3 .,;:!?…।。\n\t"—-é\u093f\U0001f600') | st.characters(exclude_categories=["Cs"])
)


def squeezed(text: str) -> str:
    return "".join(text.split())


# -- a whole text ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        (" \n ", []),
        ("Short.", ["Short."]),
        ("One. Two.", ["One. Two."]),  # what fits is not cut
        ("One one. Two two. Three three.", ["One one. Two two.", "Three three."]),
        ("Is it? Yes it is! Very well…  Good.", ["Is it? Yes it is!", "Very well…  Good."]),
        ('He said "no." Then he went.', ['He said "no."', "Then he went."]),
        ("It costs 3.50 today. Or tomorrow 4.", ["It costs 3.50 today.", "Or tomorrow 4."]),
        ("See Dr. Smith at once. Or later.", ["See Dr. Smith at", "once. Or later."]),
        ("Ask J. R. R. Tolkien. He is in.", ["Ask J. R. R.", "Tolkien. He is in."]),
        ("at 5 p.m. on Monday then", ["at 5 p.m. on Monday", "then"]),
        ("We met at 5 p.m. Then we left.", ["We met at 5 p.m.", "Then we left."]),
        ("one, two, three, four, five", ["one, two, three,", "four, five"]),
        ("यह पहला है। यह दूसरा वाक्य है।", ["यह पहला है।", "यह दूसरा वाक्य है।"]),
        ("これは最初の文です。これは二番目の文です。", ["これは最初の文です。", "これは二番目の文です。"]),
        ("a line\nand another line", ["a line", "and another line"]),
        ("no marks but spaces in here", ["no marks but spaces", "in here"]),
        ("nothingtocutatanywhereinhere", ["nothingtocutatanywhe", "reinhere"]),
        ("1. Do this and do that.", ["1. Do this and do", "that."]),
    ],
)
def test_where_twenty_characters_are_cut(text: str, pieces: list[str]) -> None:
    assert split(text, 20) == pieces


def test_a_vowel_sign_stays_with_its_letter() -> None:
    text = "क" * 19 + "कि" + "क" * 5
    assert split(text, 20)[0] == "क" * 19


def test_250_characters_stay_in_one_piece_and_251_do_not() -> None:
    assert len(split("a" * MAX_PIECE_CHARS)) == 1
    assert len(split("a" * (MAX_PIECE_CHARS + 1))) == 2


def check_pieces(pieces: list[str], text: str, limit: int) -> None:
    assert squeezed("".join(pieces)) == squeezed(text)
    for piece in pieces:
        assert piece == piece.strip() != ""
        assert len(piece) <= limit


@given(TEXTS, st.integers(1, 40))
@example("\u093f" * 5, 2)
@example("a\n" * 30, 1)
def test_nothing_is_lost_and_nothing_is_too_long(text: str, limit: int) -> None:
    check_pieces(split(text, limit), text, limit)


# -- a text that comes bit by bit --------------------------------------------------------------------------


def fed(bits: Iterable[str], limit: int = MAX_PIECE_CHARS) -> list[list[str]]:
    splitter = Splitter(limit)
    return [*(splitter.feed(bit) for bit in bits), splitter.flush()]


@pytest.mark.parametrize(
    ("bits", "pieces"),
    [
        (["Hel", "lo.", " How", " are you?"], [[], [], ["Hello."], [], ["How are you?"]]),
        (["Hello. ", "More"], [["Hello."], [], ["More"]]),
        (["It is 3", ".", "5 now. "], [[], [], ["It is 3.5 now."], []]),
        (["Ask Dr", ". ", "Who. Now"], [[], [], ["Ask Dr. Who."], ["Now"]]),
        (["One. Two. Th", "ree."], [["One. Two."], [], ["Three."]]),
        (["नमस्ते।", "जी"], [["नमस्ते।"], [], ["जी"]]),
        (["a line\n", "more"], [["a line"], [], ["more"]]),
        (["", " ", "\n"], [[], [], [], []]),
        ([], [[]]),
    ],
)
def test_a_sentence_is_released_as_soon_as_it_is_whole(bits: list[str], pieces: list[list[str]]) -> None:
    assert fed(bits) == pieces


def test_a_sentence_without_end_is_released_at_the_limit() -> None:
    assert fed(["word " * 4, "word " * 4], 20) == [[], ["word word word word"], ["word word word word"]]


#: Texts as a model streams them: their sentences, each as long as a token at least.
STREAMED = [
    ["Sure.", " I can help you with that.", " What is your order number?"],
    ["There are three steps:", "\n1. Open the app.", "\n2. Tap on Pay.", "\n3. Done!", " Anything else?"],
    ["Dr. Smith is in at 5 p.m. on Monday.", " See J. R. Tolkien, e.g. today.", " Goodbye."],
    ["It costs 3.50 dollars.", " Version 2.0.1 is out!", " Really?"],
    ["We met at 5 p.m.", " Then we left."],
    ["Visit https://docs.example.com/a.b?c=1.", " Then mail x.y@example.com.", " Okay?"],
    ['He said "no."', " (Really.)", " Well…", "  So what?!", " Nothing!!!", " Fine..."],
    ["First line", "\nsecond line", "\n\nlast line"],
    ["नमस्ते।", " आप कैसे हैं?", " मैं ठीक हूँ।"],
    ["これは文です。", "次の文です！", "終わりました。"],
    ["السلام عليكم؟", " نعم.", " شكرا۔", " جيد."],
    ["No marks at all, and nothing to wait for but the end"],
]
#: Marks that end a sentence by themselves. Others might be the point of a number or an address.
SURE_ENDS = tuple("।。！")


@pytest.mark.parametrize("token_chars", [1, 2, 3, 4])
@pytest.mark.parametrize("sentences", STREAMED, ids=lambda sentences: sentences[0])
def test_tokens_are_released_sentence_by_sentence(sentences: list[str], token_chars: int) -> None:
    text = "".join(sentences)
    tokens = [text[at : at + token_chars] for at in range(0, len(text), token_chars)]
    released = fed(tokens)
    assert [piece for pieces in released for piece in pieces] == [sentence.strip() for sentence in sentences]
    if len(sentences) > 1:
        first = sentences[0]
        needed = len(first) if first.endswith(SURE_ENDS) else len(first) + 1 + first.endswith("p.m.")
        tokens_needed = -(-needed // token_chars)
        assert [bool(pieces) for pieces in released[:tokens_needed]] == [False] * (tokens_needed - 1) + [True]


@given(st.lists(TEXTS), st.integers(1, 40))
def test_nothing_is_lost_between_the_bits(bits: list[str], limit: int) -> None:
    check_pieces([piece for pieces in fed(bits, limit) for piece in pieces], "".join(bits), limit)


async def test_pieces_of_both_kinds_of_text() -> None:
    async def bits() -> AsyncIterator[str]:
        for bit in ("One", " one. Two", " two."):
            yield bit

    assert [piece async for piece in pieces_of("One one. Two two.", 12)] == ["One one.", "Two two."]
    assert [piece async for piece in pieces_of(bits())] == ["One one.", "Two two."]


# -- what is left to say -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoken_chars", "rest"),
    [
        (0, "Hello there, my friend."),
        (3, "Hello there, my friend."),
        (5.9, "Hello there, my friend."),
        (6, "there, my friend."),
        (14, "my friend."),
        (22.9, "friend."),
        (23, ""),
        (100, ""),
    ],
)
def test_the_rest_begins_with_the_word_that_was_cut(spoken_chars: float, rest: str) -> None:
    assert rest_after_chars("Hello there, my friend.", spoken_chars) == rest


@pytest.mark.parametrize(
    ("words", "rest"),
    [
        ([], "No, no: it costs 5 dollars. No."),
        (["No,"], "no: it costs 5 dollars. No."),
        (["no", "NO"], "it costs 5 dollars. No."),
        (["No", "no", "it", "costs", "five"], "5 dollars. No."),
        (["No", "no", "it", "costs", "five", "dollars"], "No."),
        (["No", "no", "it", "costs", "5", "dollars.", "No."], ""),
        ([""], "No, no: it costs 5 dollars. No."),
        (["No", "...", "?"], "no: it costs 5 dollars. No."),  # marks are no words
        (['"No,"'], "no: it costs 5 dollars. No."),  # and take nothing with them
    ],
)
def test_the_rest_after_words(words: list[str], rest: str) -> None:
    assert rest_after_words("No, no: it costs 5 dollars. No.", words) == rest


@pytest.mark.parametrize(
    ("text", "words", "rest"),
    [
        ("five or seven or six", ["six"], "five or seven or six"),
        ("At 3 we eat all three.", ["At", "three"], "3 we eat all three."),
        ("At 3 we eat all three.", ["At", "three", "we"], "eat all three."),
        ("In 2024 it was so.", ["In", "twenty", "twenty", "four", "it"], "was so."),
        ("One 😀 - two three.", ["One", "two"], "three."),  # what is not spoken is passed over
    ],
)
def test_a_word_further_on_than_can_be_is_taken_for_chance(text: str, words: list[str], rest: str) -> None:
    assert rest_after_words(text, words) == rest


def test_what_is_taken_may_go_on() -> None:
    splitter = Splitter()
    assert splitter.feed("One one. Two tw") == ["One one."]
    assert (splitter.take(), splitter.flush()) == (" Two tw", [])


@given(TEXTS, st.lists(TEXTS))
def test_the_rest_is_always_an_end_of_the_text(text: str, words: list[str]) -> None:
    assert text.endswith(rest_after_words(text, words))
    assert text.endswith(rest_after_chars(text, len(words)))
