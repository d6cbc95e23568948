"""Text for the telephone: what goes, what stays, and that no word is lost."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from bridge.lightning.normalise import normalise
from bridge.lightning.pieces import MAX_PIECE_CHARS, split

#: Text, and what is spoken.
MARKDOWN = [
    (
        "**Bold**, *em*, __strong__, _em_, ***both***, ~~gone~~ and `code`.",
        "Bold, em, strong, em, both, gone and code.",
    ),
    ("**Note:** it is *very* good", "Note: it is very good"),
    ("un**believ**able", "unbelievable"),
    ("**5**th of May", "5th of May"),
    ("snake_case, __init__ and a_b_", "snake_case, init and a_b"),
    ("2 * 3 * 4, 2*3 and 2**3", "2 * 3 * 4, 2*3 and 2**3"),
    ("from $5* only", "from $5 only"),
    ("x**2 and Part**2**", "x 2 and Part 2"),
    ("**bold * still**, * not", "bold * still, * not"),
    ("it`s `x`", "it's x"),
    ("# Title\nText.", "Title.\nText."),
    ("## Is it? ##\n### 3. So", "Is it?\n3. So."),
    ("Title\n=====\nText", "Title\nText"),
    (
        "- apples\n* **pears**\n+ figs.\n• dates,\n- [ ] nuts\n- [x] salt",
        "apples.\npears.\nfigs.\ndates,\nnuts.\nsalt.",
    ),
    ("1. One\n2) Two\n(3) Three!\n10. Ten", "1. One.\n2. Two.\n3. Three!\n10. Ten."),
    ('- one (of two)\n- "two"\n- so:', 'one (of two)\n"two"\nso:'),
    ("  - nested\n    1. deeper", "nested.\n1. deeper."),
    ("1) First\n2) second", "1. First.\n2. second."),
    ("> quoted\n>> twice\n> - item", "quoted\ntwice\nitem."),
    ("One\n\n---\n***\n_ _ _\nTwo", "One\n\nTwo"),
    ("- - -", ""),
    ("```python\nprint(1)\n```\nand ~~~\n~~~", "print(1)\nand "),
    ("| Day | Hours |\n|:----|------:|\n| Mon | 9 to 5 |\n| Tue | |", "Day, Hours.\nMon, 9 to 5.\nTue."),
    ("Home | About | Contact", "Home, About, Contact"),
    ("a|b and c||d", "a|b and c||d"),
    ('[the docs](https://docs.example.com/a_b?c=1 "Title").', "the docs."),
    ("[a](b(c)d) [e]( <f> ) [g][1] ![cat](cat.png) [![h](i)](j)", "a e g cat h"),
    ('[1]: https://example.com/x "Title"\nText[^1] here[2].', "\nText here[2]."),
    ("[^1]: The note.", "The note."),
    (r"\*not bold\* but 2 \* 3 and snake\_case \[x\]", "not bold but 2 * 3 and snake_case [x]"),
    # cut in two by the splitter
    ("this is **bold. And", "this is bold. And"),
    ("so on** stays", "so on stays"),
    ("And conditions](https://example.com/terms) apply.", "And conditions apply."),
    ("<!-- a comment that", "a comment that"),
    ("goes on --> here", "goes on here"),
    ("```js", ""),
]
HTML = [
    ('<b>Hi</b><br>there<br/><p class="x y">you</p>', "Hi\nthere\n\nyou\n"),
    ("a <speak><break time='1s'/><emphasis level=\"strong\">b</emphasis></speak>", "a b"),
    ("5 < 6 and 7 > 3, a <b and c> d, <unknown> <3", "5 < 6 and 7 > 3, a <b and c> d, <unknown> <3"),
    (
        "AT&amp;T &lt;b&gt; &quot;x&quot;&nbsp;y &#233; &#x1F600; &nosuch; &amp;amp; R&D;",
        'AT&T < b> "x" y é &nosuch; & R&D;',
    ),
    ("one<!-- hidden -->two <!-- a --> three", "one two three"),
    ("<https://a.example.com> <x@example.com>", "a dot example dot com x at example dot com"),
]
EMOJI = [
    ("Great! 🎉👍🏽 Bye 👨‍👩‍👧‍👦.", "Great! Bye."),
    ("Hello👋world", "Hello world"),
    ("🇮🇳", ""),
    ("I ❤️ it ✨✨, really ☎️: yes", "I it, really: yes"),
    ("🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f England", "England."),
    ("✅ Fast\n✅ Cheap!", "Fast.\nCheap!"),
    ("1️⃣ Install\n2️⃣ Run it\nPress 3️⃣ or #️⃣ now", "1. Install.\n2. Run it.\nPress 3 or # now"),
    ("C♯ ① © ™ 20 °C → x ½", "C♯ ① © ™ 20 °C → x ½"),
]
PHONES = [
    ("Call 9876543210 now.", "Call 9 8 7, 6 5 4 3, 2 1 0 now."),
    ("Call 98765 43210.", "Call 9 8 7 6 5, 4 3 2 1 0."),
    ("tel:9876543210", "tel:9 8 7, 6 5 4 3, 2 1 0"),
    ("**9876543210**, or (9876543211)", "9 8 7, 6 5 4 3, 2 1 0, or (9 8 7, 6 5 4 3, 2 1 1)"),
    ("09876543210", "0, 9 8 7, 6 5 4 3, 2 1 0"),
    ("919876543210", "9 1, 9 8 7, 6 5 4 3, 2 1 0"),
    ("+919876543210", "plus 9 1, 9 8 7, 6 5 4 3, 2 1 0"),
    ("+91 98765 43210 2 times", "plus 9 1, 9 8 7 6 5, 4 3 2 1 0 2 times"),
    ("+91-98765-43210", "plus 9 1, 9 8 7 6 5, 4 3 2 1 0"),
    ("0091 98765 43210", "0 0 9 1, 9 8 7 6 5, 4 3 2 1 0"),
    ("+1 (555) 123-4567 ext. 89", "plus 1, 5 5 5, 1 2 3, 4 5 6 7, extension 8 9"),
    ("+15551234567", "plus 1, 5 5 5, 1 2 3 4, 5 6 7"),
    ("(555) 123-4567x12", "5 5 5, 1 2 3, 4 5 6 7, extension 1 2"),
    ("555.123.4567", "5 5 5, 1 2 3, 4 5 6 7"),
    ("1-800-555-1234", "1, 8 0 0, 5 5 5, 1 2 3 4"),
    ("1800 123 4567 or 1800-11-4000", "1 8 0 0, 1 2 3, 4 5 6 7 or 1 8 0 0, 1 1, 4 0 0 0"),
    ("+44 20 7946 0958", "plus 4 4, 2 0, 7 9 4 6, 0 9 5 8"),
    ("+442079460958", "plus 4 4, 2 0 7, 9 4 6 0, 9 5 8"),
    ("+971 50 123 4567", "plus 9 7 1, 5 0, 1 2 3, 4 5 6 7"),
    ("+49 (0)30 901820", "plus 4 9, 0, 3 0, 9 0 1, 8 2 0"),
    ("080-12345678, 022 2345 6789", "0 8 0, 1 2 3 4, 5 6 7 8, 0 2 2, 2 3 4 5, 6 7 8 9"),
    ("Please call 555-1234.", "Please call 5 5 5, 1 2 3 4."),
]
NO_PHONES = [
    "Pages 555-1234",
    "Rs. 9876543210, ₹9876543210, $ 9876543210 and 9876543210 rupees",
    "9876543210% of 9876543210.50 or 1,987,654,321",
    "In 1999, 2026 or 1800 1900",
    "On 12/02/2025, 2025-02-12, 12-02-2025 at 14:30:15",
    "Order AB9876543210, 9876543210AB, #9876543210, AB-9876543210",
    "3.1415926535 and 0.9876543210",
    "1699999999 seconds, 12345678901234 bytes",
    "4111 1111 1111 1111",
    "-9876543210 or 2+9876543210",
    "192.168.100.200",
    'Press * or #. To go back, press *. Dial *121*3# or *7#, or "*" (*)',
    "९८७६५४३२१०",
]
ADDRESSES = [
    (
        "Visit https://docs.example.com/guide_a/?q=1&b=2.",
        "Visit docs dot example dot com forward slash guide underscore a "
        "forward slash question mark q equals 1 and b equals 2.",
    ),
    ("(see www.example.com/)", "(see www dot example dot com)"),
    (
        "my-website.com/about, Smallest.ai and irctc.co.in!",
        "my dash website dot com forward slash about, Smallest dot ai and irctc dot co dot in!",
    ),
    (
        "mail support.company@gmail.com or info_help@company.co.uk",
        "mail support dot company at gmail dot com or info underscore help at company dot co dot uk",
    ),
    ("**https://x.example.com**", "x dot example dot com"),
    ("https://x.example.com/9876543210", "x dot example dot com forward slash 9 8 7, 6 5 4 3, 2 1 0"),
    (
        "We are done.in time. e.g. 3.5 a.m. Dr.Who main.py",
        "We are done.in time. e.g. 3.5 a.m. Dr.Who main.py",
    ),
    ("https://hi.example.org/हिन्दी", "hi dot example dot org forward slash हिन्दी"),
]
PUNCTUATION = [
    ("What?!?! No!!! Well..... ok,,, so…… wow‼", "What? No! Well... ok, so... wow!"),
    ("本当！！ 何？？", "本当！ 何？"),
    ("Hmm... wait — no: yes!", "Hmm... wait — no: yes!"),
    ("a\u200bb\ufeff tele\u00adphone", "ab telephone"),
]
PLAIN = [
    "",
    " ",
    "Hello there.  Two spaces, and a\ttab\n\nand lines.",
    "क्‍ष और ज्ञान‌ी हैं। र‍्य",  # with joiners that are letters here
    "می‌خواهم کتاب‌ها را بخوانم",  # noqa: RUF001
    "தமிழ் மொழி. ശ്രീ‍ ന്‍",
    "これは文です。次の文です。",
    "Ça va? ¿Qué tal? It costs €3.50, i.e. 3,50 €.",
]


@pytest.mark.parametrize(("text", "spoken"), [*MARKDOWN, *HTML, *EMOJI, *PHONES, *ADDRESSES, *PUNCTUATION])
def test_what_is_spoken(text: str, spoken: str) -> None:
    assert normalise(text, "en") == spoken
    assert normalise(spoken, "en") == spoken


@pytest.mark.parametrize("text", [*PLAIN, *NO_PHONES])
def test_what_has_nothing_of_it_comes_back_as_it_was(text: str) -> None:
    assert normalise(text, "en") is text


@pytest.mark.parametrize(
    ("language", "spoken"),
    [
        ("hi", "a ऐट b डॉट com, प्लस 9 1, 9 8 7 6 5, 4 3 2 1 0, एक्सटेंशन 7"),
        ("de", "a at b Punkt com, plus 9 1, 9 8 7 6 5, 4 3 2 1 0, Durchwahl 7"),
        ("auto", "a at b dot com, plus 9 1, 9 8 7 6 5, 4 3 2 1 0, extension 7"),
        ("xx", "a at b dot com, plus 9 1, 9 8 7 6 5, 4 3 2 1 0, extension 7"),
    ],
)
def test_marks_are_called_in_the_language_of_the_call(language: str, spoken: str) -> None:
    assert normalise("a@b.com, +91 98765 43210 ext 7", language) == spoken


@pytest.mark.parametrize(("text", "spoken"), [("- पहला\n- 二番目", "पहला।\n二番目。"), ("# شكرا", "شكرا.")])
def test_an_item_ends_as_its_script_does(text: str, spoken: str) -> None:
    assert normalise(text, "auto") == spoken


# -- whatever comes ----------------------------------------------------------------------------------------------------

MARKS = st.sampled_from(
    [*"*_`~#|<>[]()\\!?.,:-+&=/\"' \n\t\0@", "**", "```", "](", "1. ", "- ", "> ", "|", "<b>", "</b>", "&amp;", "&lt;"]
    + ["🎉", "👍🏽", "1️⃣", "🇮🇳", "\u200d", "\ufe0f", "<!--", "-->", "https://", "www.", ".com", "&#42;", "[^1]"]
    + ["x@y.io", "9876543210", "+91", "555", "-", "aB", "क्षि", "木", "é"]
)  # fmt: skip
ANYTHING = st.lists(MARKS, max_size=30).map("".join) | st.text(max_size=60)


@given(ANYTHING, st.sampled_from(["en", "hi", "auto"]))
@example("&amp;amp;amp;lt;b>", "en")
@example("&#38;#42;" * 5, "en")
@example("[[[[a](b)](c)](d)](e)" * 3, "en")
@example("&**amp**;" * 9, "en")
def test_anything_can_be_spoken_and_twice_is_once(text: str, language: str) -> None:
    spoken = normalise(text, language)
    assert normalise(spoken, language) == spoken


WORDS = st.text(
    st.sampled_from("abcXYZ059éßकख木ん") | st.characters(categories=["Lu", "Ll", "Lo"]),
    min_size=1,
    max_size=6,
)
#: Around a word, or between two: all of which are taken out, or stay.
WRAPPED = [
    "**{}**", "*{}*", "__{}__", "_{}_", "`{}`", "~~{}~~", "# {}\n", "\n- {}\n", "\n3. {}\n", "\n> {}\n", "|{}|{}|",
    "<b>{}</b>", "<p class='x'>{}</p>", "[{}](http://h.example/x?y=1)", "![{}](c.png)", "{} 🎉", "👍🏽{}", "{}&nbsp;",
    "({})", '"{}"', "{}!!!", "{}.....", "{},,", "**{} {}", "{}**", "\n```\n{}\n```\n", "{}\n---\n", "<!-- {}",
    "5 < {} > 4", "{}; {}", "{} -- {}",
]  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(WRAPPED), st.tuples(WORDS, WORDS)), max_size=8))
def test_no_word_is_lost_or_moved(parts: list[tuple[str, tuple[str, str]]]) -> None:
    text = " ".join(shape.format(*words) for shape, words in parts)
    words = [word for shape, pair in parts for word in pair[: shape.count("{}")]]
    at, spoken = 0, normalise(text, "en")
    for word in words:
        at = spoken.find(word, at)
        assert at >= 0, f"{word!r} of {text!r} is not in {spoken!r}"
        at += len(word)


#: Without what is documented to take letters with it: targets, tags, entities, fences, footnotes, boxes, schemes.
HARMLESS = st.text(
    st.sampled_from("ab1 Zक्षि木é*_#|>]\"'\\!?.,-+=\n\t") | st.characters(exclude_characters="<&`~[(@:/"),
    max_size=80,
)


@given(HARMLESS)
@example("+1.**")
def test_no_letter_is_lost_where_nothing_takes_letters(text: str) -> None:
    def heard(text: str) -> str:
        return "".join(c for c in text if c.isalnum())

    spoken = normalise(text, "en")
    if not re.search(r"\.[a-z0-9]|\+", text):  # an address or a country code, which gain words
        assert heard(spoken) == heard(text)


@given(
    st.integers(6 * 10**9, 10**10 - 1).map(str),
    st.sampled_from(["{}{}", "{} {}", "{}-{}", "+91{}{}", "+91 {} {}", "0{}{}"]),
)
def test_every_digit_of_a_number_is_there_in_order_and_alone(digits: str, shape: str) -> None:
    text = shape.format(digits[:5], digits[5:])
    spoken = normalise(f"Call {text} today.", "en")
    assert re.sub(r"\D", "", spoken) == re.sub(r"\D", "", text)
    assert not re.search(r"\d\d", spoken)


@given(st.lists(MARKS, max_size=40).map("".join))
def test_the_pieces_of_a_text_leave_no_marks_behind_either(text: str) -> None:
    assume("\\" not in text)
    for piece in split(text, 20):
        spoken = normalise(piece, "en")
        assert "```" not in spoken
        assert not re.search(r"(?<![\s\d*])\*\*(?![\s\d*])", spoken)


def test_a_spelt_text_may_need_cutting_again() -> None:
    spoken = normalise("Call 9876543210 or 9876543211. " * 8, "en")
    assert len(spoken) > MAX_PIECE_CHARS
    assert " ".join(split(spoken)) == spoken.strip()


# -- hostile texts -----------------------------------------------------------------------------------------------------

#: Each is worth 8000 characters of what a careless expression would try again from every character.
HOSTILE = [
    *"*_`~#|<>[](){}\\!?.,:-+&=/1 9a\n\t\0🎉@",
    *("[x](", "![", "](", "<!--", "-->", "&amp;", "&a", "<b ", "<b a=1 ", "<b a=' ", "1 ", "+1 ", "+9(", "a@", "a."),
    *("e-", "http://", "www.", "> ", "- ", "1. ", "*a", "a*", "*1", "[a](b \"", "[a](b(", "( ", "555-", "1️⃣", " \0"),
    *("x😀", "🇮", "\u200d", "| ", "|-", "<a@"),
]  # fmt: skip


@pytest.mark.parametrize("bit", HOSTILE)
def test_nothing_takes_a_voice_hostage(bit: str) -> None:
    """Five times the longest request: an expression that tried again from every character would take minutes here."""
    text = (bit * 40_000)[:40_000]
    for hostile in (f"{text}\n", f"x{text}x"):
        assert len(normalise(hostile, "en")) <= 10 * len(hostile)
