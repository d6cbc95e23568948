"""What the carrier sends, on its way from the WebSocket's parser to the call.

Strategy:

- aiohttp puts each message into a queue and wakes a task to take it out again. For 50 messages a second and call that
  is a fifth of what a call costs (docs/decisions.md). So once a call is on, its text messages are handed over by a
  plain call from inside the parser; all else (close, errors, binary) goes the ordinary way.
- The hook is one private name of aiohttp. Where it is gone, everything comes the ordinary way and works as before; a
  test says so.
- What is called from inside the parser must not raise: an end, of whatever kind, is the result of a future.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from aiohttp import WSMsgType, web, web_ws
from aiohttp._websocket.reader import WebSocketDataQueue

from bridge.call import Call
from bridge.carriers.dialect import Audio, Dialect, Ignored, Stopped
from bridge.errors import ProtocolError
from bridge.server.runtime import Runtime

log = logging.getLogger(__name__)

DATA: Final = (WSMsgType.TEXT, WSMsgType.BINARY)


class DirectQueue(WebSocketDataQueue):
    """aiohttp's queue, but for messages while there is a `sink`: those go there, in the order they came."""

    sink: Callable[[bytes], None] | None = None

    def feed_data(self, data: Any, size: int) -> None:
        sink = self.sink
        if sink is not None and data.type in DATA:
            sink(data.data)
        else:
            super().feed_data(data, size)


setattr(web_ws, "WebSocketDataQueue", DirectQueue)  # noqa: B010 - a name that aiohttp does not export


class Inbound:
    """Feeds one call with its carrier's messages, until one of them ends it.

    `over` tells why: ``carrier`` or ``protocol_error``.
    """

    def __init__(self, runtime: Runtime, dialect: Dialect, call: Call) -> None:
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._runtime, self._call, self._broken = runtime, call, 0
        self._understand, self._hear = dialect.receive, call.ear.push

    def take(self, data: bytes) -> None:
        """Take one message. Does not raise."""
        call = self._call
        call.messages += 1
        try:
            event = self._understand(data)
            if isinstance(event, Audio):  # 50 times a second: straight to the detector
                self._hear(event.payload)
            elif isinstance(event, Ignored):
                self._runtime.stats.ignored_messages[event.kind] += 1
            elif isinstance(event, Stopped):
                self._end("carrier")
            else:
                call.receive(event)
        except ProtocolError as error:
            self._count_broken(error)
        except Exception:
            log.exception("call %s: a message could not be handled", call.id)
            self._end("error")

    def _count_broken(self, error: ProtocolError) -> None:
        self._runtime.stats.protocol_errors[error.kind] += 1
        self._broken += 1
        if error.close_code is None and self._broken <= self._runtime.limits.broken_messages:
            return
        log.warning("call %s: closed: %s", self._call.id, error.kind)
        self._call.drop(error.close_code or 1008, "protocol_error")
        self._end("protocol_error")

    def _end(self, reason: str) -> None:
        if not self.over.done():
            self.over.set_result(reason)


async def feed(inbound: Inbound, socket: web.WebSocketResponse) -> Any:
    """Let `inbound` have what comes, until it is over or the socket is.

    Returns:
        The message that ended the socket; None when `inbound` is over.
    """
    queue = getattr(socket, "_reader", None)
    direct = queue if isinstance(queue, DirectQueue) else None
    try:
        while not inbound.over.done():
            if direct is not None and not direct._buffer:  # what waits there is older than what comes
                direct.sink = inbound.take
            message = await _next(inbound, socket)
            if message is None or message.type not in DATA:
                return message
            inbound.take(message.data)
    finally:
        if direct is not None:
            direct.sink = None
    return None


async def _next(inbound: Inbound, socket: web.WebSocketResponse) -> Any:
    """The next message that comes the ordinary way; None when `inbound` is over first."""
    receiving = asyncio.create_task(socket.receive())
    try:
        waited_for: set[asyncio.Future[Any]] = {receiving, inbound.over}
        await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
        return receiving.result() if receiving.done() else None
    finally:
        if not receiving.done():
            receiving.cancel()
            await asyncio.wait({receiving})
