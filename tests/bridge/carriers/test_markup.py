"""XML answers: what comes from outside is text, and nothing that a parser or a terminal would obey."""

from __future__ import annotations

import pytest

from bridge.carriers.markup import dial


@pytest.mark.parametrize(
    ("to", "noun"), [("+15550100009", "Number"), ("sip:a@b.example", "Sip"), ("sips:a@b.example", "Sip")]
)
def test_whom_to_dial_is_a_number_or_a_sip_address(to: str, noun: str) -> None:
    (child,) = dial(to)
    assert (child.tag, child.text) == (noun, to)
