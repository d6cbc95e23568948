"""Whom an exchange may be told to dial: one word, that begins nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.carriers.dialable import dialable, is_dialable
from bridge.errors import CarrierError


@pytest.mark.parametrize("to", ["+15550100001", "100", "*97", "#1", "sales", "front-desk.2", "a" * 64])
def test_numbers_and_names_are_dialled(to: str) -> None:
    assert is_dialable(to)
    assert dialable("asterisk", "transfer the call", to) == to


@pytest.mark.parametrize(
    "to", ["", "+", "-1", ".x", "1 2", "1,2", "1&2", "1\n", "\u0661", "${X}", "{a=b}1", "a@b", "x" * 66]
)
def test_what_could_be_misread_is_not_and_the_mend_is_told(to: str) -> None:
    with pytest.raises(
        CarrierError, match="asterisk: cannot transfer the call: .* is not a number or a name"
    ):
        dialable("asterisk", "transfer the call", to)


@given(st.text())
def test_whatever_is_dialled_is_one_plain_word(to: str) -> None:
    if is_dialable(to):
        assert to.isascii() and to.isprintable()
        assert not set(to) & set(" ,&|/\\'\"`$(){}[]<>;:@=%!?~^")
