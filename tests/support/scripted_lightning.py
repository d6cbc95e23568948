"""A Lightning that says exactly what a test tells it to: for what no well-behaved server does.

async def script(line: Line) -> None:
    asked = await line.request()
    await line.chunk(b"audio", asked)
    await line.complete(asked)

async with ScriptedLightning(script) as lightning:
    ...  # connect to lightning.url
"""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from tests.support.scripted_socket import Message, ScriptedLine, ScriptedServer


class Line(ScriptedLine):
    """The server's side of one connection."""

    def __init__(self, socket: ServerConnection, heard: list[Message]) -> None:
        super().__init__(socket)
        self._heard = heard

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


Script: TypeAlias = Callable[[Line], Awaitable[None]]


class ScriptedLightning(ScriptedServer[Line]):
    """A server that follows `scripts`."""

    def __init__(self, *scripts: Script, refuse: Callable[[Request], Response | None] | None = None) -> None:
        super().__init__(*scripts, refuse=refuse)
        #: Everything that was said to it, over all connections.
        self.heard: list[Message] = []

    def line(self, socket: ServerConnection) -> Line:
        return Line(socket, self.heard)

    @property
    def requests(self) -> list[Message]:
        """What was asked for, in order."""
        return [message for message in self.heard if "text" in message]


def _ids(asked: Message | None) -> Message:
    if asked is None:
        return {}
    return {"session_id": "ws_1", "request_id": "task_1", "external_request_id": asked["request_id"]}
