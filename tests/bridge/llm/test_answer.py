"""A model's answer from its chunks: tokens at once, calls when they are whole, nothing trusted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import ThinkerError
from bridge.llm.answer import (
    MAX_ARGUMENTS,
    MAX_CALLS,
    MAX_CHUNKS,
    Answer,
    Done,
    Event,
    Token,
    ToolCalls,
    sendable,
)
from bridge.llm.history import ToolCall


def words(text: str | None, finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}


def called(index: int | None, call_id: str | None, name: str | None, arguments: str | None) -> dict[str, Any]:
    call = {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}
    return {"choices": [{"delta": {"tool_calls": [call]}}]}


END = words(None, "stop")


def taken(*chunks: object, answer: Answer | None = None) -> list[Event]:
    answer = answer or Answer()
    events: list[Event] = [token for chunk in chunks for token in answer.take(chunk)]
    return [*events, *answer.end()]


def test_words_and_what_they_cost() -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 2}}
    assert taken(words("Hello "), words(""), words("there."), END, usage) == [
        Token("Hello "),
        Token("there."),
        Done(12, 2),
    ]


def test_calls_are_put_together_by_their_index() -> None:
    events = taken(
        called(1, "call_b", "second", ""),
        called(0, "call_a", "first", '{"n"'),
        called(1, None, None, "{}"),
        called(0, None, None, ": 1}"),
        words(None, "tool_calls"),
    )
    calls = (ToolCall("call_a", "first", '{"n": 1}'), ToolCall("call_b", "second", "{}"))
    assert events == [ToolCalls(calls), Done()]


@pytest.mark.parametrize(
    "call_id, name, known",
    [
        ("chatcmpl-tool:1.2_3", "book-table", ToolCall("chatcmpl-tool:1.2_3", "book-table", "{}")),
        (None, None, ToolCall("call_0", "unnamed", "{}")),
        ("a b", "book table\n", ToolCall("call_0", "book_table_", "{}")),
        ("x" * 200, "y" * 200, ToolCall("call_0", "y" * 64, "{}")),
    ],
)
def test_ids_and_names_are_made_to_fit_what_endpoints_accept(
    call_id: str | None, name: str | None, known: ToolCall
) -> None:
    assert taken(called(0, call_id, name, "{}"), END)[0] == ToolCalls((known,))


def test_two_calls_have_two_ids() -> None:
    (calls, _) = taken(called(0, "same", "a", ""), called(1, "same", "b", ""), END)
    assert isinstance(calls, ToolCalls)
    assert [call.id for call in calls.calls] == ["same", "call_1"]


@pytest.mark.parametrize(
    "chunk",
    [5, "text", [], {"choices": 5}, {"choices": [{"delta": {"content": 5}}]}, {"usage": {"prompt_tokens": "x"}},
     {"choices": [{"delta": {"tool_calls": [{"function": "f"}]}}]}],
)  # fmt: skip
def test_garbage(chunk: object) -> None:
    with pytest.raises(ThinkerError) as caught:
        taken(chunk)
    assert caught.value.kind == "garbage"


@pytest.mark.parametrize(
    "chunks",
    [
        [words("x" * 3000), words("x" * 1001)],
        [called(0, "a", "f", "x" * (MAX_ARGUMENTS + 1))],
        [called(n, f"c{n}", "f", "") for n in range(MAX_CALLS + 1)],
        [{}] * (MAX_CHUNKS + 1),
    ],
    ids=["text", "arguments", "calls", "chunks"],
)
def test_floods(chunks: list[object]) -> None:
    with pytest.raises(ThinkerError) as caught:
        taken(*chunks)
    assert caught.value.kind == "flood"


@pytest.mark.parametrize("chunks, kind", [([], "garbage"), ([words("Hello")], "cut"), ([{}], "cut")])
def test_an_answer_without_an_end(chunks: list[object], kind: str) -> None:
    with pytest.raises(ThinkerError) as caught:
        taken(*chunks)
    assert caught.value.kind == kind


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["choices", "delta", "content", "tool_calls", "index", "id", "function", "name", "usage"]),
        inner, max_size=4),
)  # fmt: skip


@given(st.lists(JSON, max_size=4))
def test_whatever_comes_is_an_answer_or_its_failure(chunks: list[object]) -> None:
    try:
        taken(*chunks)
    except ThinkerError as error:
        assert error.kind in ("garbage", "cut", "flood")


@pytest.mark.parametrize(
    "arguments, sent", [('{"a": 1}', '{"a": 1}'), ("", "{}"), ("[]", "{}"), ('{"a"', "{}"), ("\ud800", "{}")]
)
def test_what_is_sent_back_is_json(arguments: str, sent: str) -> None:
    assert sendable(arguments) == sent


def test_half_a_character_is_left_out() -> None:
    assert list(Answer().take({"choices": [{"delta": {"content": "no\ud83don"}}]})) == [Token("noon")]
