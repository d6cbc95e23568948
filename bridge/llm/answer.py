"""A model's answer from the chunks that it streams in: tokens at once, calls of tools when they are whole. Pure.

Strategy:

- Chunks are another program's: each becomes a typed struct or the answer is garbage. Nothing in one is trusted.
- What comes back to the model with the next request (ids, names) is made to fit what endpoints accept.
- An answer has bounds: characters of text, of arguments, calls, and chunks that say nothing.

Facts, from the shared reference on Lightning, section 10; the order of chunks from OpenAI's API reference on streaming:
the last chunk but one has `finish_reason`, the last one `usage` and no choices.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from bridge.errors import ThinkerError
from bridge.llm.history import ToolCall

#: A model that says more in one answer does not talk to a caller: four minutes of speech.
MAX_CHARS: Final = 4000
MAX_ARGUMENTS: Final = 20_000
MAX_CALLS: Final = 16
MAX_CHUNKS: Final = 20_000
_ID: Final = re.compile(r"[\w.:-]{1,128}")


@dataclass(frozen=True, slots=True)
class Token:
    """Some more of the text."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCalls:
    """The model wants tools to be run: the text is over."""

    calls: tuple[ToolCall, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """The answer is over; tokens as the endpoint counted them, 0 when it did not."""

    tokens_in: int = 0
    tokens_out: int = 0


Event: TypeAlias = Token | ToolCalls | Done


class _Function(Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(Struct):
    content: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None


@dataclass(slots=True)
class _Parts:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class Answer:
    """One answer, as it comes in.

    Args:
        max_chars: of text.
    """

    def __init__(self, max_chars: int = MAX_CHARS) -> None:
        self._left_chars = max_chars
        self._left_arguments = MAX_ARGUMENTS
        self._calls: dict[int, _Parts] = {}
        self._usage = _Usage()
        self.chunks = 0
        #: Whether the model has said that it is over. What may still come is `usage`.
        self.finished = False

    def take(self, chunk: object) -> Iterator[Token]:
        """What a chunk brings that need not wait.

        Raises:
            ThinkerError: it is no such chunk (`garbage`), or there is far too much (`flood`).
        """
        self.chunks += 1
        if self.chunks > MAX_CHUNKS:
            raise ThinkerError("flood", f"more than {MAX_CHUNKS} chunks")
        try:
            read = msgspec.convert(chunk, _Chunk)
        except msgspec.ValidationError as error:
            raise ThinkerError("garbage", f"a chunk that is none: {error}") from None
        self._usage = read.usage or self._usage
        for choice in (read.choices or ())[:1]:
            self.finished = self.finished or bool(choice.finish_reason)
            yield from self._delta(choice.delta or _Delta())

    def end(self) -> Iterator[ToolCalls | Done]:
        """What is known when no more chunks come.

        Raises:
            ThinkerError: the answer broke off (`cut`), or there was none (`garbage`).
        """
        if not self.finished:
            raise ThinkerError("cut" if self.chunks else "garbage", "the answer has no end")
        if self._calls:
            yield ToolCalls(tuple(self._whole()))
        usage = self._usage
        yield Done(max(0, usage.prompt_tokens or 0), max(0, usage.completion_tokens or 0))

    def _delta(self, delta: _Delta) -> Iterator[Token]:
        if delta.content:
            self._left_chars -= len(delta.content)
            if self._left_chars < 0:
                raise ThinkerError("flood", "an answer longer than answers may be")
            yield Token(
                delta.content.encode(errors="ignore").decode()
            )  # halves of characters cannot be spoken
        for call in delta.tool_calls or ():
            self._put(call)

    def _put(self, call: _Call) -> None:
        parts = self._calls.setdefault(len(self._calls) if call.index is None else call.index, _Parts())
        function = call.function or _Function()
        parts.id = parts.id or call.id or ""
        parts.name = parts.name or function.name or ""
        parts.arguments.append(function.arguments or "")
        self._left_arguments -= len(parts.arguments[-1])
        if self._left_arguments < 0 or len(self._calls) > MAX_CALLS:
            raise ThinkerError("flood", "more calls of tools, or longer ones, than there may be")

    def _whole(self) -> Iterator[ToolCall]:
        known: set[str] = set()
        for number, (_, parts) in enumerate(sorted(self._calls.items())):
            own = _ID.fullmatch(parts.id) and parts.id not in known
            call_id = parts.id if own else f"call_{number}"
            known.add(call_id)
            name = re.sub(r"[^A-Za-z0-9_-]", "_", parts.name)[:64] or "unnamed"
            yield ToolCall(call_id, name, "".join(parts.arguments))


def sendable(arguments: str) -> str:
    """`arguments` as an endpoint takes them back: those that are no JSON object it would refuse for ever."""
    try:
        msgspec.json.decode(arguments, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return "{}"
    return arguments
