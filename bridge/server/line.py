"""The carrier's socket, as a call sees it: what is sent goes out now, or not at all.

Strategy:

- What we send is written straight to the transport, several messages in one write: going through the library costs a
  coroutine and a flow-control check for every 20 ms of every call. The library still owns the handshake, reading,
  pings and closing, and it too writes whole frames only.
- A carrier that stops reading is noticed by what its socket has not taken; the kernel's share of that is kept small,
  or it would be noticed minutes later.
- Closing waits for what must be waited for, and no longer than the limits say.
"""

from __future__ import annotations

import asyncio
import socket as sockets
from collections.abc import Callable
from typing import TypeAlias

from aiohttp import ClientWebSocketResponse, web

from bridge.observe.stats import BridgeStats
from bridge.server.frames import frame
from bridge.server.limits import Limits

#: One that a carrier opened, or one that we did.
MediaSocket: TypeAlias = "web.WebSocketResponse | ClientWebSocketResponse[bool]"


class SocketLine:
    """`bridge.mouth.Line` over a WebSocket.

    Args:
        framed: a message as one frame: masked where we are the client.
    """

    def __init__(
        self,
        socket: MediaSocket,
        transport: asyncio.Transport,
        stats: BridgeStats,
        limits: Limits,
        framed: Callable[[bytes], bytes] = frame,
    ) -> None:
        self._socket, self._transport, self._framed = socket, transport, framed
        self._stats, self._limits = stats, limits
        self._closing: asyncio.Task[None] | None = None
        self._mute = False
        self._said_goodbye = asyncio.Event()
        #: Why it was cut from our side; empty when it was not.
        self.lost = ""
        kernel = transport.get_extra_info("socket")
        if kernel is not None:
            kernel.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, limits.kernel_bytes)

    def send(self, messages: list[bytes]) -> None:
        """Write `messages`, without waiting."""
        if self._mute or self._socket.closed or self._transport.is_closing():
            return
        framed = self._framed
        self._transport.write(b"".join([framed(message) for message in messages]))
        if self._transport.get_write_buffer_size() > self._limits.unsent_bytes:
            self._stats.slow_readers += 1
            self.lost = "slow_reader"
            self._transport.abort()

    def hang_up(self, code: int, reason: str, *, patient: bool = False) -> None:
        """Close the socket soon; what has been sent goes out first.

        Args:
            patient: wait for the carrier's goodbye before; its protocol may still be answered until then.
        """
        if self._closing is None:
            self._mute = not patient
            self._closing = asyncio.create_task(self._close(code, reason))

    def carrier_left(self) -> None:
        """The carrier has said its goodbye, or is gone: nobody need wait for it any more."""
        self._said_goodbye.set()

    async def closed(self) -> None:
        """Wait until a close that was asked for is through."""
        if self._closing is not None:
            await self._closing

    async def _close(self, code: int, reason: str) -> None:
        try:
            if not self._mute:
                await self._until_goodbye()
            async with asyncio.timeout(self._limits.close_within_s):
                await self._socket.close(code=code, message=reason.encode())
        except TimeoutError:
            self._transport.abort()
        if self._transport.get_write_buffer_size():
            self._transport.abort()  # nobody reads it, and closing would wait until somebody does

    async def _until_goodbye(self) -> None:
        try:
            async with asyncio.timeout(self._limits.close_within_s):
                await self._said_goodbye.wait()
        except TimeoutError:
            pass
        self._mute = True
