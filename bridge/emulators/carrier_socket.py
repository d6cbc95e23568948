"""The media socket of a simulated carrier: it connects to the bridge, or waits for the bridge to connect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from bridge.emulators.exchange import Exchange, Handshake

CONNECT_TIMEOUT_S: Final = 5.0
CLOSE_TIMEOUT_S: Final = 2.0

#: Pings are not answered by themselves: the line is told of them.
Socket: TypeAlias = aiohttp.ClientWebSocketResponse | web.WebSocketResponse


@asynccontextmanager
async def connected(url: str, handshake: Handshake) -> AsyncIterator[Socket]:
    """A media socket that is opened at `url`, where the bridge can be reached. Leaving breaks it, if it is open.

    Raises:
        TimeoutError, aiohttp.ClientError, OSError: it could not be opened.
    """
    # A session of its own: closing it is the only way to break a connection without a close frame.
    async with aiohttp.ClientSession() as session:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            socket = await session.ws_connect(
                url,
                headers=handshake.headers,
                protocols=handshake.subprotocols,
                autoping=False,
                compress=0,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S),
            )
        yield socket


class Doorstep:
    """The carrier's own web server, where the bridge comes for the media socket. An async context manager.

    Args:
        exchange: it says where, and lets in one.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._arrived: asyncio.Future[web.WebSocketResponse] = asyncio.get_running_loop().create_future()
        self._over = asyncio.Event()
        app = web.Application()
        app.router.add_get("/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None)

    async def __aenter__(self) -> Doorstep:
        address = urlsplit(self._exchange.waits_at)
        await self._runner.setup()
        await web.TCPSite(self._runner, address.hostname, address.port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await self._runner.cleanup()

    async def socket(self) -> Socket:
        """The one that was let in.

        Raises:
            TimeoutError: nobody came.
        """
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return await asyncio.shield(self._arrived)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        offered = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
        subprotocols = tuple(name.strip() for name in offered if name.strip())
        asked = Handshake(str(request.rel_url), dict(request.headers), subprotocols)
        if (status := self._exchange.judge(request.path, asked)) != 101:
            return web.Response(status=status)
        socket = web.WebSocketResponse(
            autoping=False, compress=False, protocols=subprotocols, timeout=CLOSE_TIMEOUT_S
        )
        await socket.prepare(request)
        self._arrived.set_result(socket)
        await self._over.wait()
        if not socket.closed and request.transport is not None:
            request.transport.abort()
        return socket
