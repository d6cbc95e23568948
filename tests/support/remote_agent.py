"""Agents elsewhere that do as a test says: a WebSocket server, an HTTP server, and who receives what they send."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from aiohttp import web
from aiohttp.test_utils import TestServer
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from bridge.remote.address import Address
from bridge.remote.door import Reception, Trouble
from bridge.remote.protocol import Command, Refusal, Start
from bridge.secret import Secret

SECRET: Final = Secret("a-secret-for-tests")
AT_S: Final = 1_700_000_000
START: Final = Start(call_id="CA1", carrier="twilio", from_="+1555")


@dataclass
class Received:
    """What comes out of a door."""

    commands: list[Command | Refusal] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)

    @property
    def reception(self) -> Reception:
        return Reception(self.commands.append, self.troubles.append)

    @property
    def kinds(self) -> list[str]:
        """What was wrong, in order."""
        return [trouble.kind for trouble in self.troubles]


def address(url: str) -> Address:
    return Address(url, SECRET, lambda: float(AT_S))


# -- over a WebSocket --------------------------------------------------------------------------------------------------

#: What a server does on one connection; its number, from 0, comes with it.
Script: TypeAlias = Callable[["Connection", int], Awaitable[None]]


@dataclass
class Connection:
    """One connection of the bridge, as the agent sees it."""

    socket: ServerConnection
    path: str
    headers: dict[str, str]
    events: list[dict[str, Any]] = field(default_factory=list)

    async def event(self) -> dict[str, Any]:
        """The next event."""
        event: dict[str, Any] = json.loads(await self.socket.recv())
        self.events.append(event)
        return event

    async def until(self, kind: str) -> dict[str, Any]:
        """The next event of that type; those before it are in `events`."""
        while (event := await self.event())["type"] != kind:
            pass
        return event

    async def send(self, *commands: dict[str, Any]) -> None:
        for command in commands:
            await self.socket.send(json.dumps(command))


@dataclass
class SocketAgent:
    """A server that follows its script on each connection, and then takes events until the bridge leaves."""

    script: Script
    url: str = ""
    connections: list[Connection] = field(default_factory=list)
    #: Statuses that upgrades are refused with, first.
    refusals: list[int] = field(default_factory=list)

    def refuse(self, socket: ServerConnection, _request: Request) -> Response | None:
        if not self.refusals:
            return None
        response = socket.respond(self.refusals.pop(0), "no\n")
        if response.status_code // 100 == 3:
            response.headers["Location"] = self.url
        return response

    async def talk(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        connection = Connection(socket, socket.request.path, dict(socket.request.headers.raw_items()))
        self.connections.append(connection)
        try:
            await self.script(connection, len(self.connections) - 1)
            while True:
                await connection.event()
        except ConnectionClosed:
            return

    @property
    def types(self) -> list[list[str]]:
        """What it was told over each connection, by type."""
        return [[event["type"] for event in connection.events] for connection in self.connections]


@asynccontextmanager
async def socket_agent(script: Script, port: int = 0, **how: Any) -> AsyncIterator[SocketAgent]:
    """Such a server, at work."""
    agent = SocketAgent(script, **how)
    async with serve(
        agent.talk, "127.0.0.1", port, process_request=agent.refuse, close_timeout=0.5
    ) as server:
        port = server.sockets[0].getsockname()[1]
        agent.url = f"ws://127.0.0.1:{port}/agent?shop=7"
        yield agent


# -- over HTTP ---------------------------------------------------------------------------------------------------------


@dataclass
class Posted:
    """One request."""

    headers: dict[str, str]
    body: bytes
    #: Whom it came from.
    peer: object = None

    @property
    def events(self) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = json.loads(self.body)["events"]
        return events

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]


Answer: TypeAlias = Callable[[Posted, int], Awaitable[web.StreamResponse] | web.StreamResponse]


@dataclass
class HttpAgent:
    """A server that answers each request as its script says."""

    answer: Answer
    url: str = ""
    requests: list[Posted] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        posted = Posted(
            dict(request.headers),
            await request.read(),
            request.transport and request.transport.get_extra_info("peername"),
        )
        self.requests.append(posted)
        answer = self.answer(posted, len(self.requests) - 1)
        return answer if isinstance(answer, web.StreamResponse) else await answer


@asynccontextmanager
async def http_agent(answer: Answer, port: int | None = None) -> AsyncIterator[HttpAgent]:
    """Such a server, at work."""
    agent = HttpAgent(answer)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", agent.handle)
    async with TestServer(app, host="127.0.0.1", port=port) as server:
        agent.url = f"http://127.0.0.1:{server.port}/agent?shop=7"
        yield agent


async def for_ever(*_anything: object) -> web.StreamResponse:
    """An answer that does not come."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError("unreachable")
