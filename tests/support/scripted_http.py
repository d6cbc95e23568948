"""A server whose every answer the test writes, down to the bytes and the way it ends."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from aiohttp import web

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class ScriptedHttp:
    """What it was asked, and by how many connections."""

    url: str = ""
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    connections: set[object] = field(default_factory=set)
    #: Set when a client has left before its answer was over.
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def note(self, request: web.Request) -> None:
        self.paths.append(f"{request.method} {request.path}")
        self.headers.append(dict(request.headers))
        self.connections.add(request.transport)  # itself: the number of one that is gone is given anew
        raw = await request.read()
        self.bodies.append(json.loads(raw) if raw[:1] == b"{" else raw)


@asynccontextmanager
async def scripted_http(*handlers: Handler, keepalive_s: float = 60.0) -> AsyncIterator[ScriptedHttp]:
    """Answers the first request by the first handler, and so on; the last one answers all that follow."""
    server = ScriptedHttp()
    left = list(handlers)

    async def answer(request: web.Request) -> web.StreamResponse:
        await server.note(request)
        handler = left.pop(0) if len(left) > 1 else left[0]
        try:
            return await handler(request)
        except (asyncio.CancelledError, ConnectionError):
            server.left.set()
            raise

    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=0.1, keepalive_timeout=keepalive_s, handler_cancellation=True
    )
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


def answering(body: bytes | str | object, status: int = 200, **headers: str) -> Handler:
    """The whole body at once: bytes as they are, anything else as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def handler(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=raw, status=status, headers=headers)

    return handler


def streaming(*parts: bytes, then: Callable[[web.Request], Awaitable[None]] | None = None) -> Handler:
    """The body part by part, each written by itself; `then` decides how it ends."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for part in parts:
            await response.write(part)
        if then:
            await then(request)
        return response

    return handler


async def silent(_request: web.Request) -> None:
    """Ends nothing."""
    await asyncio.get_running_loop().create_future()


async def cut(request: web.Request) -> None:
    """Closes the connection without the end of the body."""
    assert request.transport is not None
    request.transport.close()


def raw_answer(head: str, body: bytes = b"") -> Handler:
    """Exactly these bytes, and then the end of the connection."""

    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(head.encode() + body)
        request.transport.close()
        await silent(request)
        raise AssertionError

    return handler


def audio_event(audio: bytes) -> bytes:
    """An event of audio, as Lightning writes it today."""
    data = {"audio": base64.b64encode(audio).decode(), "done": False, "status": "206"}
    return f"event: audio\ndata: {json.dumps(data)}\n\n".encode()


END_EVENT = b'data: {"status":"200","done":true}\n\n'


@asynccontextmanager
async def raw_server(answer: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A port where each connection is answered with `answer`, whatever it says; and what the connections began with.

    An empty answer is none at all.
    """
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(10_000))
        writer.write(answer)
        if not answer:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heard
