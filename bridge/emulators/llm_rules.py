"""What the emulated language model answers: rules in order, the first that fits. Pure.

Strategy:

- A rule looks at the last message alone: what the caller said, or what a tool returned. So a conversation is a table,
  and the same words always have the same answer.
- What real endpoints refuse is refused, in Electron's words: a client that passes here is one that may be served.

Facts, from the shared reference on Lightning, section 10: one model, 200 messages, 64 tools, no `n`, errors as
``{"error": {"message", "type"}}``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from bridge.config_tree import Section

MAX_MESSAGES: Final = 200
MAX_TOOLS: Final = 64
#: ``{1}`` in what a rule says is the first group of its `when`.
_GROUP: Final = re.compile(r"\{(\d)\}")


class Rule(Section, frozen=True):
    """One row of the table.

    Attributes:
        when: a regular expression that is searched in the last message, whatever the case; empty fits anything.
        of: whose message that must be; empty is anybody's.
        say: what is answered; ``{1}`` is the first group of `when`, ``{0}`` all that it found.
        call: the tool that is called then.
        arguments: of that tool; texts in it as in `say`.
    """

    when: str = ""
    of: Literal["", "user", "tool"] = ""
    say: str = ""
    call: str = ""
    arguments: dict[str, Any] = {}

    def __post_init__(self) -> None:
        try:
            re.compile(self.when)
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from None


class Rules(Section, frozen=True):
    """A file of rules: ``[[rule]]`` after ``[[rule]]``."""

    rule: list[Rule]


#: What is said where no rule was given.
ECHO: Final = (Rule(of="tool", say="That is done."), Rule(when=r"(?s)(.*)", say="You said: {1}"))


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered: words, a tool's call, or both."""

    text: str = ""
    call: str = ""
    arguments: str = ""


def reply_to(rules: Sequence[Rule], messages: Sequence[Mapping[str, Any]]) -> Reply:
    """The answer to the last of `messages`; nothing when no rule fits."""
    last = messages[-1] if messages else {}
    text = _text_of(last)
    for rule in rules:
        if rule.of and rule.of != last.get("role"):
            continue
        if found := re.search(rule.when, text, re.IGNORECASE):
            arguments = json.dumps(_filled(rule.arguments, found)) if rule.call else ""
            return Reply(_filled(rule.say, found), rule.call, arguments)
    return Reply()


def _text_of(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else ""


def _filled(value: Any, found: re.Match[str]) -> Any:
    """`value` with what was found in the place of each ``{n}``."""
    if isinstance(value, str):
        return _GROUP.sub(lambda group: _group(found, int(group[1])), value)
    if isinstance(value, list):
        return [_filled(item, found) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, found) for key, item in value.items()}
    return value


def _group(found: re.Match[str], number: int) -> str:
    return (found[number] or "") if number <= found.re.groups else ""


# -- what is refused ---------------------------------------------------------------------------------------------------


class _ToolCall(Struct):
    id: str


class _Message(Struct):
    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[Any] | None = None
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: str | None = None


class Request(Struct):
    """What of a request is looked at."""

    model: str
    messages: list[_Message]
    stream: bool = False
    n: int | None = 1
    tools: list[Any] | None = None
    prompt_logprobs: int | None = None
    stream_options: dict[str, Any] | None = None

    @property
    def wants_usage(self) -> bool:
        """Whether the stream ends with how many tokens it was."""
        return bool((self.stream_options or {}).get("include_usage"))


def request_in(body: bytes, model: str) -> Request | str:
    """A request, or why it is refused. `model` is the only one there is; empty is any."""
    try:
        request = msgspec.json.decode(body, type=Request)
    except msgspec.DecodeError as error:
        return f"Invalid request: {error}"
    if model and request.model != model:
        return f"Unknown model: {request.model}"
    if request.n not in (None, 1):
        return "n > 1 is not supported"
    if request.prompt_logprobs is not None:
        return "prompt_logprobs is not supported"
    if not 0 < len(request.messages) <= MAX_MESSAGES:
        return f"messages must be 1 to {MAX_MESSAGES}"
    if len(request.tools or ()) > MAX_TOOLS:
        return f"no more than {MAX_TOOLS} tools"
    return _unanswered(request.messages) or request


def _unanswered(messages: Sequence[_Message]) -> str:
    """Why tools' calls and results do not belong together; empty when they do."""
    open_calls: set[str] = set()
    for message in messages:
        if message.role == "tool":
            if message.tool_call_id not in open_calls:
                return "a tool message must follow the call that it answers"
            open_calls.discard(message.tool_call_id)
            continue
        if open_calls:
            return "each call of a tool must be answered by a tool message"
        open_calls = {call.id for call in message.tool_calls or ()}
    return "each call of a tool must be answered by a tool message" if open_calls else ""
