"""An emulated language model: an OpenAI-compatible endpoint that answers by rules, streams, and fails as asked.

Strategy:

- What it answers is the business of the rules; here are HTTP, server-sent events, the pace and the faults.
- A request is kept as it came, so that tests can assert what a model would have been told.
- A client that hangs up ends its answer at once.

Facts, from the shared reference on Lightning, section 10, and OpenAI's API reference on streaming.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from aiohttp import web

from bridge.config_tree import convert, read_toml
from bridge.emulators.llm_rules import ECHO, Reply, Request, Rule, Rules, reply_to, request_in
from bridge.emulators.served import Served, own_key, serve_forever
from bridge.emulators.switches import accepts, bearer
from bridge.secret import Secret

DEFAULT_PORT: Final = 9004
#: ``refuse`` and ``busy``: 401 and 429; ``server``: 500. ``hang``: no answer at all; ``stall``: silence in the middle.
#: ``garbage``: what is no JSON; ``shapes``: JSON of other shapes; ``page``: HTML. ``flood``: words without end;
#: ``line``: a line without end. ``cut``: the connection breaks; ``short``: the stream ends, the answer does not.
#: ``error``: an error in the middle of the stream.
Fault: TypeAlias = Literal[
    "", "refuse", "busy", "server", "hang", "stall", "garbage", "shapes", "page", "flood", "line", "cut",
    "short", "error",
]  # fmt: skip
_STATUS: Final = {"refuse": 401, "busy": 429, "server": 500}
_PATHS: Final = ("/v1", "/waves/v1")
_SHAPES: Final = ('{"choices": 5}', '{"choices": [{"delta": {"content": {"no": 1}}}]}')


@dataclass
class LlmOptions:
    """How the emulated model behaves. The defaults are quick and faultless."""

    #: What it must be asked with; empty accepts any key.
    api_key: Secret = field(default_factory=Secret)
    #: The only one there is; empty is any.
    model: str = "electron"
    #: From a request to the first token, and from each token to the next.
    first_token_ms: float = 0.0
    token_ms: float = 0.0
    fault: Fault = ""
    #: How many tokens come before a fault in the middle.
    fault_after: int = 2
    #: Only so many first requests have the fault; 0 is all.
    faulty_requests: int = 0
    #: What ``busy`` says about when to ask again; negative says nothing.
    retry_after_s: float = -1.0

    def fault_of(self, number: int) -> Fault:
        """The fault of request `number`, counted from 1."""
        return self.fault if not self.faulty_requests or number <= self.faulty_requests else ""


class EmulatedLlm(Served):
    """A server on this machine. Use it as a context manager, or call `start` and `stop`."""

    emulates = "llm"
    max_body_bytes = 10_000_000
    close_timeout_s = 0.5

    def __init__(
        self,
        options: LlmOptions | None = None,
        rules: Sequence[Rule] = ECHO,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """Port 0 takes a free one."""
        super().__init__(host, port)
        self.options, self.rules = options or LlmOptions(), rules
        #: What it was sent, oldest first.
        self.requests: list[dict[str, Any]] = []
        #: Answers that nobody stayed to the end of.
        self.left = 0

    @property
    def url(self) -> str:
        """What ``base_url`` must be to talk to it."""
        return f"{super().url}/v1"

    def __str__(self) -> str:
        key = "one key" if self.options.api_key else "any key"
        count = f"{len(self.rules)} rule{'s' * (len(self.rules) != 1)}"
        return f"Emulated language model on {self.url}: {key}, {count}{self._told_fault()}"

    def _told_fault(self) -> str:
        return f", {self.options.fault}" if self.options.fault else ""

    def routes(self, router: web.UrlDispatcher) -> None:
        """Chat completions and the list of models, below each of its paths."""
        for path in _PATHS:
            router.add_post(f"{path}/chat/completions", self._complete)
            router.add_get(f"{path}/models", self._models)

    # -- one request -------------------------------------------------------------------------------------------

    async def _models(self, request: web.Request) -> web.Response:
        if not self._admits(request):
            return _refusal(401, "Invalid API key")
        return web.json_response({"object": "list", "data": [{"id": self.options.model, "object": "model"}]})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        if not self._admits(request):
            return _refusal(401, "Invalid API key")
        body = await request.read()
        asked = request_in(body, self.options.model)
        if isinstance(asked, str):
            return _refusal(400, asked)
        self.requests.append(json.loads(body))
        fault = self.options.fault_of(len(self.requests))
        if fault in _STATUS:
            return self._refused(fault)
        if fault == "hang":
            await asyncio.get_running_loop().create_future()
        if fault == "page":
            return web.Response(text="<html>Welcome to our network</html>", content_type="text/html")
        reply = reply_to(self.rules, self.requests[-1]["messages"])
        if not asked.stream:
            await asyncio.sleep(self.options.first_token_ms / 1000)
            return web.json_response(_whole(reply))
        return await self._stream(request, asked, reply, fault)

    def _admits(self, request: web.Request) -> bool:
        return accepts(self.options.api_key, bearer(request.headers.get("Authorization", "")))

    def _refused(self, fault: Fault) -> web.Response:
        after_s = self.options.retry_after_s
        headers = {"Retry-After": f"{after_s:g}"} if fault == "busy" and after_s >= 0 else None
        return _refusal(_STATUS[fault], f"{fault} on purpose", headers)

    async def _stream(
        self, request: web.Request, asked: Request, reply: Reply, fault: Fault
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        ended = False
        try:
            async for line in self._lines(asked, reply, fault):
                if line is None:
                    if request.transport:
                        request.transport.abort()
                    return response
                await response.write(line)
            await response.write_eof()
            ended = True
        except ConnectionError:
            return response
        finally:
            self.left += not ended
        return response

    async def _lines(self, asked: Request, reply: Reply, fault: Fault) -> AsyncIterator[bytes | None]:
        """What goes out, at its pace; None breaks the connection."""
        await asyncio.sleep(self.options.first_token_ms / 1000)
        pieces = list(_pieces(reply))
        for number, piece in enumerate(pieces):
            if number and self.options.token_ms:
                await asyncio.sleep(self.options.token_ms / 1000)
            if fault and number >= min(self.options.fault_after, len(pieces) - 1):
                async for line in _faulty(fault):
                    yield line
                return
            yield _event(piece)
        if asked.wants_usage:
            tokens_in = sum(len(str(message.content)) for message in asked.messages) // 4
            yield _event({"choices": [], "usage": _usage(tokens_in, len(pieces))})
        yield b"data: [DONE]\n\n"


async def _faulty(fault: Fault) -> AsyncIterator[bytes | None]:
    """What goes out instead of the rest of an answer."""
    match fault:
        case "stall":
            await asyncio.get_running_loop().create_future()
        case "garbage":
            yield b'data: {"choices": [{"del\n\n'
        case "shapes":
            for shape in _SHAPES:
                yield f"data: {shape}\n\n".encode()
        case "error":
            yield _event({"error": {"message": "inference failed", "type": "server_error"}})
        case "flood":
            while True:
                yield _event(_delta({"content": "and so on and on and on "}))
        case "line":
            while True:
                yield b"data: " + b" " * 65_536
        case "cut":
            yield None


def _pieces(reply: Reply) -> Iterator[dict[str, Any]]:
    """An answer, chunk by chunk: words, a call in parts, the end."""
    yield _delta({"role": "assistant", "content": ""})
    for word in re.findall(r"\s*\S+\s*", reply.text):
        yield _delta({"content": word})
    if reply.call:
        yield _delta({"tool_calls": [{"index": 0, "id": "call_0", "type": "function",
                                      "function": {"name": reply.call, "arguments": ""}}]})  # fmt: skip
        for part in re.findall(r"(?s).{1,5}", reply.arguments):
            yield _delta({"tool_calls": [{"index": 0, "function": {"arguments": part}}]})
    yield _delta({}, "tool_calls" if reply.call else "stop")


def _delta(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def _whole(reply: Reply) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.call:
        function = {"name": reply.call, "arguments": reply.arguments}
        message["tool_calls"] = [{"id": "call_0", "type": "function", "function": function}]
    finish = "tool_calls" if reply.call else "stop"
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _usage(0, 0)}


_HEAD: Final = {"id": "chatcmpl-emulated", "created": 0, "model": "electron"}


def _event(piece: dict[str, Any]) -> bytes:
    return b"data: %s\n\n" % json.dumps({**_HEAD, "object": "chat.completion.chunk", **piece}).encode()


def _usage(tokens_in: int, tokens_out: int) -> dict[str, int]:
    return {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
    }


def _refusal(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return web.json_response({"error": {"message": message, "type": kind}}, status=status, headers=headers)


# -- from the command line ---------------------------------------------------------------------------------------------


def read_rules(path: Path) -> Sequence[Rule]:
    """The rules of a TOML file.

    Raises:
        ConfigError: it cannot be read, or a rule is none.
    """
    return convert(read_toml(path), Rules, str(path)).rule


async def run(*, host: str, port: int, options: LlmOptions, rules: Path | None = None) -> None:
    """``bridge emulate llm``: listen until cancelled, and print one line that says where and how.

    Raises:
        ConfigError: something is wrong with `rules`.
        OSError: the address cannot be had.
    """
    options.api_key = own_key(options.api_key)
    await serve_forever(EmulatedLlm(options, read_rules(rules) if rules else ECHO, host=host, port=port))
