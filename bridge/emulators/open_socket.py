"""One open socket of an emulated service, whichever protocol is spoken on it: messages in, frames out, its end.

Strategy:

- Here is only what aiohttp wants to be asked. What is said is the business of the connections that derive from it.
- A client that has left is no error to whoever listens, and a `ConnectionError` to whoever sends.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from aiohttp import WSMsgType, web

#: The shortest wait for a message: 0 would mean for ever.
_SHORTEST_WAIT_S: Final = 0.001


class OpenSocket:
    """One open socket, and the transport below it."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        self._socket, self._transport = socket, transport
        self._loop = asyncio.get_running_loop()

    async def send(self, frame: bytes, kind: WSMsgType = WSMsgType.TEXT) -> None:
        """Send text, or audio. Raises ConnectionError when the client is gone."""
        await self._socket.send_frame(frame, kind)

    async def next_message(self, timeout_s: float | None) -> str | bytes | None:
        """What the client says next; None: it is gone, or the socket was closed from here.

        Raises:
            TimeoutError: it said nothing for `timeout_s`.
        """
        if self._socket.closed:
            return None
        message = await self._socket.receive(
            timeout=None if timeout_s is None else max(_SHORTEST_WAIT_S, timeout_s)
        )
        if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            return None
        said: str | bytes = message.data
        return said

    async def swallow(self) -> None:
        """Hear all and answer nothing, until the client leaves."""
        while await self.next_message(None) is not None:
            pass

    async def close(self, code: int) -> None:
        """Close it in good manners, but do not wait long for the client's."""
        with contextlib.suppress(ConnectionError):
            await self._socket.close(code=code)

    def abort(self) -> None:
        """Cut it without a goodbye."""
        if self._transport:
            self._transport.abort()
