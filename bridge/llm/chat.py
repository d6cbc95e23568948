"""A language model behind an OpenAI-compatible endpoint, asked with the `openai` package.

Strategy:

- One client for a process: its connections are warm when a caller asks something. It retries nothing by itself: who
  waits on the telephone has a deadline, and one retry of a busy endpoint is all that fits.
- Every failure has a name (`ThinkerError.kind`). No message of one holds the key, or what the caller said.
- An answer is bounded in bytes before anything is decoded, and in characters after.
- `openai` takes its time to import: that is done when the client is made, at start.

Facts, from the shared reference on Lightning, section 10: Electron's errors 400/401/403/429/502/503, SSE, `[DONE]`.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any, Final

from bridge.errors import ConfigError, ThinkerError, ThinkerFailure
from bridge.llm.answer import MAX_CHARS, Answer, Event
from bridge.llm.history import Message
from bridge.secret import Secret

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI, AsyncStream
    from openai.types.chat import ChatCompletionChunk

log = logging.getLogger(__name__)

#: What an answer may be in bytes, as it comes over the network: 500 times what is said of it.
MAX_BYTES: Final = 2_000_000
#: What may follow the end of an answer is how many tokens it was: nobody waits long for that.
USAGE_WITHIN_S: Final = 0.3
CONNECT_S: Final = 3.0
#: A connection that nobody needs is kept so long: between two turns of a slow conversation, and a little more.
IDLE_S: Final = 60.0
#: What some models want to have instead of ``max_tokens``, which they refuse.
NEWER_MAX_TOKENS: Final = "max_completion_tokens"
#: A stream that says nothing for so long is dead.
SILENT_S: Final = 15.0
_WORD: Final = re.compile(r"\w{3,}")


@dataclass(frozen=True, slots=True)
class Question:
    """What a model is asked.

    Attributes:
        may_call: whether it may call one of `tools`; else it has to answer in words.
        extra: further fields of the request, as the endpoint has them.
        deadline_s: within it the answer has to begin: a busy endpoint is asked once more if that fits.
    """

    model: str
    messages: Sequence[Message]
    tools: Sequence[Mapping[str, Any]] = ()
    may_call: bool = True
    temperature: float | None = None
    max_tokens: int = 500
    extra: Mapping[str, Any] = field(default_factory=dict)
    deadline_s: float = 5.0
    max_chars: int = MAX_CHARS

    def fields(self) -> dict[str, Any]:
        """The request."""
        wanted: dict[str, Any] = {
            "model": self.model,
            "messages": list(self.messages),
            "max_tokens": self.max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self.tools:
            wanted["tools"] = list(self.tools)
            if not self.may_call:
                wanted["tool_choice"] = "none"
        if self.temperature is not None:
            wanted["temperature"] = self.temperature
        if self.extra:
            wanted["extra_body"] = dict(self.extra)
        if NEWER_MAX_TOKENS in self.extra:
            del wanted["max_tokens"]
        return wanted


class Chat:
    """Asks one endpoint. Close it when nobody asks any more.

    Args:
        base_url: what comes before ``/chat/completions``.
        api_key: of that endpoint.

    Raises:
        ConfigError: the `openai` package is not installed.
    """

    def __init__(self, base_url: str, api_key: Secret) -> None:
        self._client = _client(base_url, api_key)

    async def warm(self) -> None:
        """Open a connection, so that the first caller need not wait for it. Does not fail, but warns."""
        try:
            await self._client.models.list(timeout=CONNECT_S)
        except (
            Exception
        ) as error:  # it may be well again when somebody calls; and some endpoints list no models
            failure = _failure(error, "unreachable")
            told = log.warning if failure.kind in ("unauthorized", "unreachable", "hung") else log.debug
            told("the model's endpoint %s: %s", self._client.base_url, failure)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def ask(self, question: Question) -> AsyncGenerator[Event, None]:
        """The answer to `question`, as it comes.

        Raises:
            ThinkerError: there is none, or no more of it.
        """
        answer = Answer(question.max_chars)
        stream = await self._opened(question)
        try:
            async with aclosing(_chunks(stream, answer)) as chunks:
                async for chunk in chunks:
                    for token in answer.take(chunk):
                        yield token
        except ThinkerError:
            raise
        except Exception as error:
            raise _failure(error, "cut", question.messages) from None
        finally:
            await stream.close()
        for event in answer.end():
            yield event

    async def _opened(self, question: Question) -> AsyncStream[ChatCompletionChunk]:
        loop = asyncio.get_running_loop()
        due_s = loop.time() + question.deadline_s
        try:
            return await self._open(question)
        except _Busy as error:
            if loop.time() + error.retry_after_s >= due_s:
                raise
            await asyncio.sleep(error.retry_after_s)
        return await self._open(question)

    async def _open(self, question: Question) -> AsyncStream[ChatCompletionChunk]:
        try:
            stream: AsyncStream[ChatCompletionChunk] = await self._client.chat.completions.create(
                **_as_they_are(question.fields())
            )
        except Exception as error:
            raise _failure(error, "unreachable", question.messages) from None
        return stream


def _as_they_are(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`fields`, of which what is long goes past `openai`: looking for files in forty messages takes it 13 ms.

    Every other call would wait for that. Ours are plain JSON, and `extra_body` is sent as it is.
    """
    long = {name: fields[name] for name in ("messages", "tools") if name in fields}
    short = {name: value for name, value in fields.items() if name not in long}
    return {**short, "messages": [], "extra_body": {**long, **fields.get("extra_body", {})}}


class _Busy(ThinkerError):
    """The endpoint wants to be asked later."""

    def __init__(self, detail: str, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__("busy", detail)


async def _chunks(stream: AsyncStream[ChatCompletionChunk], answer: Answer) -> AsyncGenerator[object, None]:
    """The chunks of `stream`, to its end, so that its connection can be used again; but that is not waited for long."""
    chunks = aiter(stream)
    while True:
        try:
            async with asyncio.timeout(USAGE_WITHIN_S if answer.finished else None):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError:
            if answer.finished:
                return
            raise
        yield chunk.to_dict(warnings=False)


async def load() -> None:
    """Import what a client needs, off the event loop: it takes a second or two.

    Raises:
        ConfigError: the `openai` package is not installed.
    """
    try:
        await asyncio.to_thread(importlib.import_module, "openai.resources.chat.completions")
    except ImportError:
        raise _not_installed() from None


def _not_installed() -> ConfigError:
    reason = "needs the package openai: install the extra, lightning-phone-bridge[llm]"
    return ConfigError(reason, key="agent.entrypoint")


def _client(base_url: str, api_key: Secret) -> AsyncOpenAI:
    try:
        import httpx2
        import openai
    except ImportError:
        raise _not_installed() from None
    http = openai.DefaultAsyncHttpxClient(
        timeout=openai.Timeout(SILENT_S, connect=CONNECT_S),
        limits=httpx2.Limits(max_connections=1000, max_keepalive_connections=100, keepalive_expiry=IDLE_S),
        trust_env=False,
        follow_redirects=False,  # the key is for this endpoint
        event_hooks={"response": [_bounding(httpx2)]},
    )
    for name in ("httpx", "httpx2"):  # one line for each request is for who looks for a fault
        logging.getLogger(name).setLevel(logging.WARNING)
    return openai.AsyncOpenAI(
        base_url=base_url,
        api_key=api_key.reveal() or "none",
        max_retries=0,
        http_client=http,
        default_headers={"Accept-Encoding": "identity"},
    )


def _bounding(http: Any) -> Callable[[Any], Awaitable[None]]:
    """What sees to it that no response is larger than `MAX_BYTES`, whatever is in it."""

    class Bounded(http.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            left_bytes = MAX_BYTES
            async for part in self._stream:
                left_bytes -= len(part)
                if left_bytes < 0:
                    raise ThinkerError("flood", f"an answer of more than {MAX_BYTES} bytes")
                yield part

        async def aclose(self) -> None:
            await self._stream.aclose()

    async def bound(response: Any) -> None:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise ThinkerError("garbage", "a compressed answer, though none was asked for")
        response.stream = Bounded(response.stream)

    return bound


def _failure(error: Exception, otherwise: ThinkerFailure, messages: Sequence[Message] = ()) -> ThinkerError:
    """What `error`, of `openai` or of what is below it, is for us. It quotes neither the key nor `messages`."""
    import openai

    for cause in (error, error.__cause__):
        if isinstance(cause, ThinkerError):
            return cause
    if isinstance(error, openai.APIStatusError):
        return _refusal(error, messages)
    if isinstance(error, openai.APITimeoutError):
        return ThinkerError("hung", "no answer in time")
    if isinstance(error, openai.APIConnectionError):
        return ThinkerError(otherwise, type(error.__cause__ or error).__name__)
    if isinstance(error, openai.APIError):
        return ThinkerError("server", "an error in the middle of the answer")
    return ThinkerError("garbage", f"an answer that cannot be read: {type(error).__name__}")


def _refusal(error: APIStatusError, messages: Sequence[Message]) -> ThinkerError:
    status = error.status_code
    detail = f"HTTP {status}"
    if status in (401, 403):
        return ThinkerError("unauthorized", detail)
    if status == 429:
        return _Busy(detail, _seconds(error.response.headers.get("retry-after", "")))
    return ThinkerError(
        "server" if status >= 500 else "request", f"{detail}: {_plain(error.message, messages)}"
    )


def _seconds(text: str) -> float:
    """How long to wait. An endpoint that does not say, or not in seconds, is not asked again."""
    try:
        seconds = float(text)
    except ValueError:
        return inf
    return seconds if seconds >= 0 else inf


def _plain(text: object, messages: Sequence[Message]) -> str:
    """What an endpoint says, in one line. Some quote what they refuse: of `messages` only the prompt's words stay."""
    line = "".join(c for c in str(text) if c.isprintable())
    told = [each.get("content") or "" for each in messages if each.get("role") != "system"]
    told += [call["function"]["arguments"] for each in messages for call in each.get("tool_calls", ())]
    spoken = {word.casefold() for word in _WORD.findall(" ".join(told))}
    return _WORD.sub(lambda word: "…" if word[0].casefold() in spoken else word[0], line)[:200]
