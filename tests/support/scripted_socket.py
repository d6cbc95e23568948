"""A WebSocket server that says exactly what a test tells it to: for what no well-behaved server does.

    async def script(line: Line) -> None:
        await line.receive()
        await line.send({"status": "complete"})

    async with ScriptedServer(script) as server:
        ...  # connect to server.url

Each connection follows the next script; the last one serves all that come after.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Generic, Self, TypeAlias, TypeVar

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

Message: TypeAlias = dict[str, Any]

# It would log the handshake, key included, where tests look whether the client does.
_quiet = logging.getLogger("scripted_server")
_quiet.setLevel(logging.ERROR)


class ScriptedLine:
    """The server's side of one connection."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket

    async def receive(self) -> object:
        """Whatever the client says next."""
        return await self.socket.recv()

    async def send(self, message: Message | str | bytes) -> None:
        """Say `message`; a dictionary as JSON."""
        await self.socket.send(json.dumps(message) if isinstance(message, dict) else message, text=True)

    def drop(self) -> None:
        """Vanish without a goodbye."""
        self.socket.transport.abort()

    async def silent(self) -> None:
        """Say nothing any more, but listen until the client goes."""
        while True:
            await self.receive()


LineT = TypeVar("LineT", bound=ScriptedLine)


class ScriptedServer(Generic[LineT]):
    """A server on a loopback port that follows `scripts`.

    Args:
        refuse: answers a handshake instead of a socket; None lets it in.
    """

    def __init__(
        self,
        *scripts: Callable[[LineT], Awaitable[None]],
        refuse: Callable[[Request], Response | None] | None = None,
    ) -> None:
        self._scripts = list(scripts)
        self._refuse = refuse
        self._server: Server | None = None
        #: Handshakes that asked to come in.
        self.handshakes: list[Request] = []
        self.open = 0

    def line(self, socket: ServerConnection) -> LineT:
        """For each to fill in: what a script is given."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """What the `base_url` of a client must be to talk to it."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._follow, "127.0.0.1", 0, process_request=self._gate, close_timeout=1, logger=_quiet
        )
        return self

    async def __aexit__(self, *_exc: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    def _gate(self, _socket: ServerConnection, request: Request) -> Response | None:
        self.handshakes.append(request)
        return self._refuse(request) if self._refuse else None

    async def _follow(self, socket: ServerConnection) -> None:
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        self.open += 1
        try:
            await script(self.line(socket))
        except ConnectionClosed:
            pass
        finally:
            self.open -= 1
