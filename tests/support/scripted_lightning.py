"""A Lightning that says exactly what a test tells it to: for what no well-behaved server does.

    async def script(line: Line) -> None:
        asked = await line.request()
        await line.chunk(b"audio", asked)
        await line.complete(asked)

    async with ScriptedLightning(script) as lightning:
        ...  # connect to lightning.url

Each connection follows the next script; the last one serves all that come after.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

Message: TypeAlias = dict[str, Any]

# It would log the handshake, key included, where tests look whether the client does.
_quiet = logging.getLogger("scripted_lightning")
_quiet.setLevel(logging.ERROR)


class Line:
    """The server's side of one connection."""

    def __init__(self, socket: ServerConnection, heard: list[Message]) -> None:
        self.socket, self._heard = socket, heard

    async def receive(self) -> Message:
        """The next message of the client, whatever it is."""
        message: Message = json.loads(await self.socket.recv())
        self._heard.append(message)
        return message

    async def request(self) -> Message:
        """The next message that asks for speech."""
        while "text" not in (message := await self.receive()):
            pass
        return message

    async def send(self, message: Message | str | bytes) -> None:
        """Say `message`; a dictionary as JSON."""
        await self.socket.send(json.dumps(message) if isinstance(message, dict) else message, text=True)

    async def chunk(self, audio: bytes, asked: Message | None = None) -> None:
        """A piece of audio, in answer to `asked`; without ids when that is None."""
        data = {"audio": base64.b64encode(audio).decode()}
        await self.send({**_ids(asked), "status": "chunk", "data": data})

    async def word(self, word: str, start_s: float, end_s: float, asked: Message | None = None) -> None:
        """When a word is spoken."""
        data = {"id": 1, "word": word, "start": start_s, "end": end_s}
        await self.send({**_ids(asked), "status": "word_timestamp", "data": data})

    async def complete(self, asked: Message | None = None) -> None:
        """The end of an answer."""
        await self.send({**_ids(asked), "status": "complete"})

    async def error(self, asked: Message | None = None, **fields: Any) -> None:
        """An error in any shape."""
        await self.send({**_ids(asked), "status": "error", **fields})

    def drop(self) -> None:
        """Vanish without a goodbye."""
        self.socket.transport.abort()

    async def silent(self) -> None:
        """Say nothing any more, but listen until the client goes."""
        while True:
            await self.receive()


Script: TypeAlias = Callable[[Line], Awaitable[None]]


class ScriptedLightning:
    """A server on a loopback port that follows `scripts`.

    Args:
        refuse: answers a handshake instead of a socket; None lets it in.
    """

    def __init__(self, *scripts: Script, refuse: Callable[[Request], Response | None] | None = None) -> None:
        self._scripts = list(scripts)
        self._refuse = refuse
        self._server: Server | None = None
        #: Handshakes that asked to come in.
        self.handshakes: list[Request] = []
        #: Everything that was said to it, over all connections.
        self.heard: list[Message] = []
        self.open = 0

    @property
    def url(self) -> str:
        """What ``lightning.base_url`` must be to talk to it."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def requests(self) -> list[Message]:
        """What was asked for, in order."""
        return [message for message in self.heard if "text" in message]

    async def __aenter__(self) -> ScriptedLightning:
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
            await script(Line(socket, self.heard))
        except ConnectionClosed:
            pass
        finally:
            self.open -= 1


def _ids(asked: Message | None) -> Message:
    if asked is None:
        return {}
    return {"session_id": "ws_1", "request_id": "task_1", "external_request_id": asked["request_id"]}
