"""One open socket of the emulated Lightning, whichever protocol is spoken on it: messages in, frames out, its end.

Strategy:

- Here is only what aiohttp wants to be asked. What is said is the business of the connections that derive from it.
- A client that has left is no error to whoever listens, and a `ConnectionError` to whoever sends.
"""

from __future__ import annotations

import asyncio
import contextlib

from aiohttp import WSMsgType, web

from bridge.emulators.lightning_audio import Emulator


class OpenSocket:
    """One open socket of `emulator`."""

    def __init__(
        self, emulator: Emulator, socket: web.WebSocketResponse, transport: asyncio.Transport | None
    ) -> None:
        self.emulator = emulator
        self._socket, self._transport = socket, transport
        self._loop = asyncio.get_running_loop()

    async def send(self, frame: bytes, kind: WSMsgType = WSMsgType.TEXT) -> None:
        """Send text, or audio. Raises ConnectionError when the client is gone."""
        await self._socket.send_frame(frame, kind)

    async def next_message(self, deadline: float) -> str | bytes | None:
        """What the client says next; None: it is gone, or the socket was closed from here.

        Raises:
            TimeoutError: it said nothing until the loop's time was `deadline`.
        """
        if self._socket.closed:
            return None
        wait_s = max(0.001, deadline - self._loop.time())  # 0 would mean for ever
        message = await self._socket.receive(timeout=wait_s)
        if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            return None
        said: str | bytes = message.data
        return said

    async def close(self, code: int) -> None:
        """Close it in good manners, but do not wait long for the client's."""
        with contextlib.suppress(ConnectionError):
            await self._socket.close(code=code)

    def abort(self) -> None:
        """Cut it without a goodbye."""
        if self._transport:
            self._transport.abort()
