"""What is cut where, and what becomes of a caller's data."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.prompts.spec import PromptSpec, Variant
from bridge.prompts.template import (
    MAX_VALUE_CHARS,
    Piece,
    cleaned,
    cut,
    faults_in,
    fixed_pieces,
    variables_in,
)

VALUES = {"name": "Anna", "first": "Anna", "last": "Smith", "amount": "12 US dollars", "n": "3"}


def shown(pieces: list[Piece]) -> str:
    """Pieces with bars between them; fixed ones in brackets."""
    return "|".join(f"[{piece.text}]" if piece.fixed else piece.text for piece in pieces)


@pytest.mark.parametrize(
    "text, pieces",
    [
        ("Welcome to Elm Street Clinic.", "[Welcome to Elm Street Clinic.]"),
        ("Hello {name}, your balance is {amount}.", "[Hello]|Anna,|[your balance is]|12 US dollars."),
        ("Your balance, dear {name}, is fine.", "[Your balance, dear]|Anna,|[is fine.]"),
        ("Well, {name}!", "[Well,]|Anna!"),
        ("{name}'s account", "Anna's|[account]"),
        ("Mr {first} {last}, hello", "[Mr]|Anna Smith,|[hello]"),
        ("{first}, {last}", "Anna,|Smith"),
        ("{n}-{n}{n} (for {name})", "3-33|[(for]|Anna)"),
        ("You owe ${n}: pay.", "[You owe]|$3:|[pay.]"),
        ("Bonjour {name} ! Votre solde", "[Bonjour]|Anna !|[Votre solde]"),
        ("- {name}", "- Anna"),
        ("One - two ...", "[One - two ...]"),
        ("{name}—your balance", "Anna—|[your balance]"),
        ("नमस्ते {name}। आपका", "[नमस्ते]|Anna।|[आपका]"),
        ("Say {{name}} or {{{name}}}", "[Say {name} or]|{Anna}"),
        ("Several\n  lines\tand {name}\n", "[Several lines and]|Anna"),
        ("... !", ""),
        ("", ""),
        # without a value
        ("Hello {nobody}, your balance is {amount}.", "[Hello]|[your balance is]|12 US dollars."),
        ("{nobody}'s account", "[account]"),
        ("{first} {nobody} called", "Anna|[called]"),
        ("{first}{nobody}!", "Anna!"),
        ("{nobody}", ""),
    ],
)
def test_where_a_text_is_cut(text: str, pieces: str) -> None:
    assert shown(cut(PromptSpec(text=text), VALUES)) == pieces


def test_only_what_the_prompt_says_of_its_voice() -> None:
    (plain,) = cut(Variant(text="Hi."), {})
    assert plain == Piece("Hi.", {})
    said = Variant(text="Hi.", voice="sophia", language="en", speed=1.25, pronunciation_dicts=["d1"])
    options = {"voice_id": "sophia", "language": "en", "speed": 1.25, "pronunciation_dicts": ["d1"]}
    assert [piece.options for piece in cut(said, {})] == [options]


def test_what_is_private_is_only_what_holds_it() -> None:
    pieces = cut(PromptSpec(text="Dear {name}, {amount} for {first} {last}."), VALUES, {"amount", "last"})
    assert [(piece.text, piece.private) for piece in pieces] == [
        ("Dear", False), ("Anna,", False), ("12 US dollars", True), ("for", False), ("Anna Smith.", True),
    ]  # fmt: skip


HINDI = Variant(text="{amount} है", language="hi", voice="arnav")


def test_what_is_rendered_ahead() -> None:
    spec = PromptSpec(
        text="Hello {name}, hello",
        in_={"hi": HINDI, "de": Variant(text="Hello {name} Hello"), "fr": Variant(file="x.wav")},
    )
    pieces = fixed_pieces(spec)
    assert shown(pieces) == "[Hello]|[hello]|[है]"
    assert pieces[2].options == {"voice_id": "arnav", "language": "hi"}


@pytest.mark.parametrize(
    "value, clean",
    [
        ("Anna", "Anna"),
        ("  An\x00na\r\nSmith\x1b[1m ", "An na Smith [1m"),
        ("<b>Anna</b> <script>x</script>", "Anna script x /script"),
        ('Anna<break time="9s"/>Smith', "AnnaSmith"),
        ("a &lt;break/&gt; b", "a break/ b"),
        ("a < b > c", "a b c"),
        ("{amount} {{", "{amount} {{"),
        ("\u202eannA\u200b\ufeff", "annA"),
        ("क्‍ष", "क्‍ष"),
        ("\ud800x", "x"),
        ("x" * 500, "x" * MAX_VALUE_CHARS),
        ("word " * 100, ("word " * 40).strip()),
        ("", ""),
    ],
)
def test_a_value_is_data_and_no_text(value: str, clean: str) -> None:
    assert cleaned(value) == clean


@pytest.mark.parametrize(
    "text, faults",
    [
        ("Hello {name}, {{ }} {{{name}}}", []),
        ("Hello {Name}", ["has {Name}, which is no variable"]),
        ("Hello { name }", ["did you mean {name}?"]),
        ("Hello {}", ["has {}, which is no variable"]),
        ("Hello {1st}", ["has {1st}, which is no variable"]),
        ("Hello {name", ["has a { without a } that closes it; one that is meant as such is written {{"]),
        ("Hello name}", ["has a } without a { that opens it; one that is meant as such is written }}"]),
        ("{a {b}}", ["has a { without", "has a } without"]),
        ("{" + "x" * 65 + "}", ["has {xxxx"]),
    ],
)
def test_what_is_wrong_with_braces(text: str, faults: list[str]) -> None:
    found = faults_in(text)
    assert len(found) == len(faults)
    assert all(part in fault for part, fault in zip(faults, found, strict=True))


def test_variables_are_told_once_in_order() -> None:
    assert variables_in("{b} {a} {b} {{c}} {D} {{{e}}}") == ["b", "a", "e"]


WORDS = st.sampled_from(
    ["Hello", "your", "a,", "- ", "{a}", "{b_1}", "{{", "}}", ",", ".", "—", " ", "\n", "(", "(b)", "¿", "है।"]
)
TEXTS = st.lists(WORDS, max_size=12).map("".join)
DATA = st.dictionaries(st.sampled_from(["a", "b_1"]), st.text(max_size=20))


@given(TEXTS, DATA)
def test_every_piece_can_be_said(text: str, values: dict[str, str]) -> None:
    for piece in cut(PromptSpec(text=text), values, {"a"}):
        assert any(map(str.isalnum, piece.text))
        assert piece.text == " ".join(piece.text.split())
        assert not (piece.fixed and piece.private)


@given(TEXTS, DATA)
def test_what_is_fixed_was_rendered_ahead_whatever_the_data(text: str, values: dict[str, str]) -> None:
    spec = PromptSpec(text=text)
    ahead = fixed_pieces(spec)
    assert [piece for piece in cut(spec, values) if piece.fixed and piece not in ahead] == []


@given(st.lists(WORDS, max_size=12))
def test_no_word_is_lost(words: list[str]) -> None:
    said = "".join(piece.text for piece in cut(PromptSpec(text="".join(words)), {"a": "A1", "b_1": "B1"}))
    meant = {"{a}": "A1", "{b_1}": "B1", "{{": "{", "}}": "}"}
    wanted = "".join(meant.get(word, word) for word in words)
    can_be_said = any(map(str.isalnum, wanted))
    assert "".join(said.split()) == ("".join(wanted.split()) if can_be_said else "")


@given(st.text(max_size=600))
def test_a_clean_value_is_one_line_that_stays_as_it_is(value: str) -> None:
    clean = cleaned(value)
    assert len(clean) <= MAX_VALUE_CHARS
    assert clean.isprintable() or not clean.replace("\u200c", "").replace("\u200d", "").isascii()
    assert cleaned(clean) == clean
