"""Variables: as text, as numbers, filled in, and never shown when they are private."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.flows.model import Value
from bridge.flows.values import (
    MAX_VALUE_CHARS,
    Json,
    Variables,
    equals,
    number_of,
    taken,
    text_of,
)
from bridge.prompts.template import variables_in


@pytest.mark.parametrize(
    "value, text, number",
    [
        ("007", "007", 7),
        (" 7 ", " 7 ", 7),
        ("-1.50", "-1.50", -1.5),
        ("1.", "1.", 1.0),
        ("", "", None),
        ("1_000", "1_000", None),
        ("1e3", "1e3", None),
        ("nan", "nan", None),
        ("٣", "٣", None),
        (7, "7", 7),
        (7.0, "7", 7),
        (0.1, "0.1", 0.1),
        (True, "true", None),
        (False, "false", None),
    ],
)
def test_values_as_text_and_as_numbers(value: Value, text: str, number: float | None) -> None:
    assert text_of(value) == text
    assert number_of(value) == number


@pytest.mark.parametrize(
    "template, names, text, part",
    [
        ("{a}-{b}", ["a", "b"], "x/y-", "x%2Fy-"),
        ("{{a}} {a}", ["a"], "{a} x/y", "{a} x%2Fy"),
        ("{A} { a } {a.b} {", [], "{A} { a } {a.b} {", "{A} { a } {a.b} {"),
        ("/{dots}/", ["dots"], "/../", "//"),
        ("/{file}/", ["file"], "/a.b/", "/a.b/"),
        ("/{sneaky}/", ["sneaky"], "/{a}/", "/%7Ba%7D/"),
    ],
)
def test_what_is_filled_in(template: str, names: list[str], text: str, part: str) -> None:
    variables = Variables({"a": "x/y", "dots": "..", "file": "a.b", "sneaky": "{a}"})
    assert variables_in(template) == names
    assert variables.filled(template) == text
    assert variables.filled(template, percent_encoded=True) == part


@pytest.mark.parametrize("value", ["9876", 9876, 98.76])
def test_no_repr_shows_what_is_private(value: Value) -> None:
    variables = Variables({"pin": value, "name": "Ada"}, private=["pin"])
    shown = [variables, variables.only(["pin", "name"]), variables.texts(), variables.filled("{pin}!")]
    assert text_of(value) not in repr(shown)
    assert "Ada" in repr(shown)
    assert variables.texts() == {"pin": text_of(value), "name": "Ada"}
    assert repr(variables.filled("{name}!")) == "'Ada!'"


def test_values_are_cut_and_plain() -> None:
    assert Variables({"x": "a\x00\x1b" * 2000})["x"] == "a" * MAX_VALUE_CHARS


@pytest.mark.parametrize(
    "body, path, wanted",
    [
        ({"a": {"b": 1}}, "a.b", 1),
        ({"a": [{"b": "x"}]}, "a.0.b", "x"),
        ([1.5], "0", 1.5),
        ({"0": False}, "0", False),
        ([1], "1", None),
        ([1], "-1", None),
        ([1], "٠", None),
        ([1], "9" * 5000, None),
        ({"a": None}, "a", None),
        ({"a": {}}, "a", None),
        ({"a": 1}, "a.b", None),
        ({"a": 1}, "", None),
        (None, "a", None),
    ],
)
def test_what_is_taken_from_json(body: Json, path: str, wanted: Value | None) -> None:
    assert taken(body, path) == wanted


VALUES = st.text() | st.integers() | st.floats(allow_nan=False) | st.booleans()


@given(VALUES, VALUES)
def test_comparing_never_fails(value: Value, wanted: Value) -> None:
    assert equals(value, wanted) in (True, False)
    assert equals(value, value)


@given(st.text(), st.dictionaries(st.sampled_from("abc"), VALUES))
def test_filling_in_never_fails(template: str, values: dict[str, Value]) -> None:
    filled = Variables(values).filled(template, percent_encoded=True)
    assert filled == template or "{" in template or "}" in template
