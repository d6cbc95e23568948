"""What the emulated model answers, and what it refuses as Electron does."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bridge.emulators.llm_rules import (
    ECHO,
    MAX_MESSAGES,
    MAX_TOOLS,
    Reply,
    Request,
    Rule,
    reply_to,
    request_in,
)

RULES = [
    Rule(of="tool", when="free: (.*)", say="There is {1}."),
    Rule(
        of="user", when=r"for (\d+)", say="I look.", call="find", arguments={"n": "{1}", "list": ["{0}", 5]}
    ),
    Rule(when="^$", say="Silence."),
    Rule(when="bye", say="Good {0} {7}!"),
]


def message(role: str, content: object) -> dict[str, object]:
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    "messages, reply",
    [
        ([message("user", "A table for 12")], Reply("I look.", "find", '{"n": "12", "list": ["for 12", 5]}')),
        ([message("tool", "for 12")], Reply()),
        ([message("user", "for 12"), message("tool", "Free: table 7")], Reply("There is table 7.")),
        ([message("user", "")], Reply("Silence.")),
        ([message("user", None)], Reply("Silence.")),
        ([message("user", "BYE")], Reply("Good BYE !")),
        ([message("user", "What?")], Reply()),
        ([], Reply("Silence.")),
    ],
)
def test_the_first_rule_that_fits_the_last_message_answers(
    messages: list[dict[str, object]], reply: Reply
) -> None:
    assert reply_to(RULES, messages) == reply


def test_without_rules_it_echoes() -> None:
    assert reply_to(ECHO, [message("user", "Hello\nthere")]) == Reply("You said: Hello\nthere")
    assert reply_to(ECHO, [message("tool", "x")]) == Reply("That is done.")


USER = {"role": "user", "content": "Hi"}
CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "a"}]}
RESULT = {"role": "tool", "tool_call_id": "a", "content": "done"}


@pytest.mark.parametrize(
    "fields, refusal",
    [
        ({}, ""),
        ({"n": 1, "stream": True, "temperature": 0.5, "tools": [{}] * MAX_TOOLS}, ""),
        ({"messages": [USER, CALL, RESULT, USER]}, ""),
        ({"n": 2}, "n > 1"),
        ({"prompt_logprobs": 1}, "prompt_logprobs"),
        ({"model": "other"}, "Unknown model: other"),
        ({"messages": []}, "messages must be 1 to 200"),
        ({"messages": [USER] * (MAX_MESSAGES + 1)}, "messages must be 1 to 200"),
        ({"tools": [{}] * (MAX_TOOLS + 1)}, "no more than 64 tools"),
        ({"messages": [{"role": "robot"}]}, "Invalid request"),
        ({"messages": "hi"}, "Invalid request"),
        ({"messages": [USER, RESULT]}, "must follow the call"),
        ({"messages": [USER, CALL]}, "must be answered"),
        ({"messages": [USER, CALL, USER]}, "must be answered"),
        ({"messages": [USER, CALL, RESULT, RESULT]}, "must follow the call"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], refusal: str) -> None:
    body = msgspec.json.encode({"model": "electron", "messages": [USER], **fields})
    answer = request_in(body, "electron")
    if refusal:
        assert isinstance(answer, str)
        assert refusal in answer
    else:
        assert isinstance(answer, Request)


def test_what_is_no_json_is_refused() -> None:
    assert "Invalid request" in str(request_in(b"{", ""))
