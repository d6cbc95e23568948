"""Data as a person of the language would say them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.prompts.spoken_forms import check_kind, prepare, say, spoken

KINDS = ("text", "digits", "number", "date", "time", "money:USD", "money:JPY")

GOLDEN = [
    # value, kind, en, hi, de, es
    ("Anna", "text", "Anna", "Anna", "Anna", "Anna"),
    ("421", "digits", "4, 2, 1", "4, 2, 1", "4, 2, 1", "4, 2, 1"),
    ("1234567.50", "number", "1,234,567.5", "12,34,567.5", "1.234.567,5", "1.234.567,5"),
    ("-3", "number", "minus 3", "माइनस 3", "minus 3", "menos 3"),
    ("2026-03-01", "date", "March 1, 2026", "1 मार्च 2026", "1. März 2026", "1 de marzo de 2026"),
    ("14:05", "time", "2:05 PM", "2:05 pm", "14:05", "14:05"),
    ("00:00", "time", "12:00 AM", "12:00 am", "00:00", "0:00"),
    ("12.5", "money:USD", "12.50 US dollars", "12.50 यूएस डॉलर", "12,50 US-Dollar", "12,50 dólares estadounidenses"),
    ("1", "money:EUR", "1 euro", "1 यूरो", "1 Euro", "1 euro"),
    ("1234567", "money:INR", "1,234,567 Indian rupees", "12,34,567 भारतीय रुपए", "1.234.567 Indische Rupien",
     "1.234.567 rupias indias"),
    ("$1,234.50", "money:USD", "1,234.50 US dollars", "1,234.50 यूएस डॉलर", "1.234,50 US-Dollar",
     "1.234,50 dólares estadounidenses"),
    ("-1200", "money:INR", "minus 1,200 Indian rupees", "माइनस 1,200 भारतीय रुपए", "minus 1.200 Indische Rupien",
     "menos 1.200 rupias indias"),
]  # fmt: skip


@pytest.mark.parametrize("value, kind, en, hi, de, es", GOLDEN)
def test_in_four_languages(value: str, kind: str, en: str, hi: str, de: str, es: str) -> None:
    said = [say(value, kind, language) for language in ("en", "hi", "de", "es")]
    assert said == [en, hi, de, es]


@pytest.mark.parametrize(
    "value, kind, said",
    [
        (421, "digits", "4, 2, 1"),
        ("AB-12 (3)", "digits", "A, B, 1, 2, 3"),
        (100, "number", "100"),
        (0.1 + 0.2, "number", "0.3"),
        (1e-7, "number", "0.0000001"),
        ("999999999999999.123456789012", "number", "999,999,999,999,999.123456789012"),
        (" 7 ", "number", "7"),
        ("2026-03-01T23:30:00-08:00", "date", "March 1, 2026"),
        ("2026-03-01T23:30:00-08:00", "time", "11:30 PM"),
        (date(2026, 3, 1), "date", "March 1, 2026"),
        (datetime(2026, 3, 1, 9, 5), "time", "9:05 AM"),
        ("9:05", "time", "9:05 AM"),
        ("09:05:30", "time", "9:05 AM"),
        (12.50, "money:USD", "12.50 US dollars"),
        (1.0, "money:USD", "1 US dollar"),
        ("12.345", "money:USD", "12.34 US dollars"),
        ("-0.001", "money:USD", "0 US dollars"),
        ("1234.5", "money:JPY", "1,234 Japanese yen"),
        ("1.5", "money:KWD", "1.500 Kuwaiti dinars"),
        ("1,234.50", "number", "1,234.5"),
        ("-1,234,567", "number", "minus 1,234,567"),
        ("12,34,567", "money:INR", "1,234,567 Indian rupees"),
        ("-$1,234.50", "money:USD", "minus 1,234.50 US dollars"),
        ("12.50 EUR", "money:EUR", "12.50 euros"),
        ("USD 12.50", "money:USD", "12.50 US dollars"),
        ("+1 555-0100", "digits", "1, 5, 5, 5, 0, 1, 0, 0"),
        (19.99 * 3, "text", "59.97"),
        (-0.0, "text", "0"),
        (1e300, "text", "1e+300"),
        (True, "text", "true"),
        (12.0, "text", "12"),
        (None, "text", ""),
        pytest.param(10**5000, "text", "", id="huge"),
        ("  two\n words ", "text", "two words"),
    ],
)
def test_what_data_may_look_like(value: object, kind: str, said: str) -> None:
    assert say(value, kind, "en") == said


def test_thousands_with_blanks_are_one_number() -> None:
    assert say("1234567.5", "number", "fr") == "1234567,5"
    assert say("1234567", "money:EUR", "pl") == "1234567 euro"


@pytest.mark.parametrize("language", ["", "auto", "xx", "../../etc/passwd", "en_US", "en-Latn-US-x-what"])
def test_a_language_that_nobody_knows_is_english(language: str) -> None:
    assert say("2026-03-01", "date", language) == "March 1, 2026"


def test_a_kind_of_a_language_may_say_it_otherwise() -> None:
    assert say("1234567", "number", "en-IN") == "12,34,567"


@pytest.mark.parametrize(
    "value, kind, wanted",
    [
        ("four", "number", "number wants a number"),
        ("1,234", "number", "number wants"), ("", "number", "number wants"),
        (True, "number", "number wants"), (float("nan"), "number", "number wants"), ("1e9", "number", "number wants"),
        ("9" * 16, "number", "number wants"), (1e300, "number", "number wants"),
        pytest.param(10**5000, "number", "number wants", id="huge"),
        ("1,234,5678", "number", "number wants"), ("1,23.4", "number", "number wants"),
        ("1,234.5,6", "number", "number wants"), ("$5", "money:EUR", "money:EUR wants a number"),
        ("$", "money:USD", "money:USD wants"), ("€5", "number", "number wants"), ("٣", "number", "number wants"),
        ("", "digits", "digits wants"), ("4_2", "digits", "digits wants"), ("1" * 65, "digits", "digits wants"),
        ("01/02/2026", "date", "date wants an ISO date"), ("14:05", "date", "date wants"), (5, "date", "date wants"),
        ("2026-02-30", "date", "date wants"), ("2026-03-01", "time", "time wants HH:MM"),
        ("25:00", "time", "time wants"),
        ("noon", "time", "time wants"), ("14", "time", "time wants"), ({}, "time", "time wants"),
    ],
)  # fmt: skip
def test_data_that_do_not_fit_are_told_without_quoting_them(value: object, kind: str, wanted: str) -> None:
    with pytest.raises(ValueError, match=f"^{wanted}") as told:
        say(value, kind, "en")
    assert len(str(told.value)) < 120
    said, wrong = spoken({"it": value, "other": "ok"}, {"it": kind}, "en")
    assert wrong == [f"it: {told.value}"]
    assert said == {"it": say(value, "text", "en"), "other": "ok"}


@pytest.mark.parametrize(
    "kind, told",
    [
        ("texts", "there are text, digits, number, date, time and money:CODE"),
        ("Date", "did you mean date?"),
        ("money", "write its ISO 4217 code"),
        ("money:usd", "did you mean money:USD?"),
        ("money:XQZ", "write its ISO 4217 code"),
        ("x" * 1000, '"xxxx'),
    ],
)
def test_what_is_no_kind(kind: str, told: str) -> None:
    with pytest.raises(ValueError) as refused:
        check_kind(kind)
    assert told in str(refused.value)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_a_kind(kind: str) -> None:
    check_kind(kind)


VALUES = (
    st.text(max_size=30) | st.integers() | st.floats() | st.booleans() | st.none()
    | st.decimals().map(str) | st.datetimes().map(str) | st.dates() | st.times().map(str)
)  # fmt: skip


@given(VALUES, st.sampled_from(KINDS), st.sampled_from(["en", "hi", "de", "fr", "ar", "zz"]))
def test_whatever_comes_is_said_or_refused(value: object, kind: str, language: str) -> None:
    said, wrong = spoken({"it": value}, {"it": kind}, language)
    assert said["it"] == " ".join(said["it"].split())
    assert len(wrong) <= 1
    if wrong:
        assert said["it"] == say(value, "text", language)


@given(st.decimals(-(10**14), 10**14, places=2), st.sampled_from(["en", "de"]))
def test_no_amount_is_changed(amount: Decimal, language: str) -> None:
    said = say(str(amount), "money:EUR", language).partition(" Euro" if language == "de" else " euro")[0]
    point, thousands = (",", ".") if language == "de" else (".", ",")
    read = Decimal(said.removeprefix("minus ").replace(thousands, "").replace(point, "."))
    assert (-read if said.startswith("minus") else read) == amount


def test_a_language_is_prepared_ahead() -> None:
    prepare("sv")
    assert say("2026-03-01", "date", "sv") == "1 mars 2026"
