"""Function calls, put together from their bits."""

from __future__ import annotations

import pytest

from bridge.errors import ProtocolError
from bridge.hydra.functions import MAX_CALLS, MAX_CHARACTERS, FunctionCall, FunctionCalls
from bridge.hydra.messages import ArgumentsDelta, ArgumentsDone


def test_bits_of_several_calls_may_come_among_each_other() -> None:
    calls = FunctionCalls()
    for call_id, delta, name in (("a", '{"x"', "f"), ("b", "{}", "g"), ("a", ":1}", None)):
        calls.add(ArgumentsDelta(call_id, delta, name))
    assert calls.complete(ArgumentsDone("a")) == FunctionCall("a", "f", '{"x":1}')
    assert calls.rest() == [FunctionCall("b", "g", "{}")]
    assert calls.rest() == []


def test_what_is_said_at_the_end_counts() -> None:
    calls = FunctionCalls()
    calls.add(ArgumentsDelta("a", "{", "f"))
    assert calls.complete(ArgumentsDone("a", "{}", "g")) == FunctionCall("a", "g", "{}")
    assert calls.complete(ArgumentsDone("b", None, "h")) == FunctionCall("b", "h", "")


def test_each_is_given_once() -> None:
    calls = FunctionCalls()
    assert calls.complete(ArgumentsDone("a", "{}", "f")) is not None
    assert calls.complete(ArgumentsDone("a", "{}", "f")) is None
    calls.add(ArgumentsDelta("a", "{}", "f"))
    assert calls.rest() == []


def test_there_is_an_end_to_what_is_taken() -> None:
    with pytest.raises(ProtocolError):
        FunctionCalls().add(ArgumentsDelta("a", "x" * (2 * MAX_CHARACTERS + 1)))
    calls = FunctionCalls()
    for number in range(MAX_CALLS):
        calls.complete(ArgumentsDone(f"c{number}", "{}", "f"))
    with pytest.raises(ProtocolError):
        calls.complete(ArgumentsDone("one more", "{}", "f"))
