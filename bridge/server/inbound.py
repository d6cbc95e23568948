"""What the carrier sends, on its way from the WebSocket's parser to the call.

Strategy:

- aiohttp puts each message into a queue and wakes a task to take it out again. For 50 messages a second and call that
  is a fifth of what a call costs (docs/decisions.md). So once a call is on, its messages are handed over by a plain
  call from inside the parser; all else (close, errors) goes the ordinary way.
- The hook is one private name of aiohttp. Where it is gone, and on a socket that we have opened ourselves, everything
  comes the ordinary way and works as before; a test says so.
- What is called from inside the parser must not raise: an end, of whatever kind, is the result of a future.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from aiohttp import WSMessage, WSMsgType, web_ws
from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.http import WSMessageTextBytes

from bridge.call import Call
from bridge.carriers.dialect import Audio, Binary, Event, Ignored, Respond, Several, Stopped
from bridge.errors import ProtocolError
from bridge.mouth import Line
from bridge.observe.stats import BridgeStats
from bridge.server.limits import Limits
from bridge.server.line import MediaSocket
from bridge.wire import Wire

log = logging.getLogger(__name__)

#: What `receive` gives, of either kind of socket.
Message: TypeAlias = WSMessage | WSMessageTextBytes

DATA: Final = (WSMsgType.TEXT, WSMsgType.BINARY)


class DirectQueue(WebSocketDataQueue):
    """aiohttp's queue, but for messages while there is a `sink`: those go there, in the order they came."""

    sink: Callable[[bytes], None] | None = None

    def feed_data(self, data: Any, size: int) -> None:
        sink = self.sink
        if sink is None:
            super().feed_data(data, size)
        elif data.type is WSMsgType.TEXT:
            sink(data.data)
        elif data.type is WSMsgType.BINARY:
            sink(Binary(data.data))
        else:
            super().feed_data(data, size)


setattr(web_ws, "WebSocketDataQueue", DirectQueue)  # noqa: B010 - a name that aiohttp does not export


def data_of(message: Message) -> bytes:
    """What a message that came the ordinary way holds, as dialects take it."""
    data: bytes = message.data
    return Binary(data) if message.type is WSMsgType.BINARY else data


class Inbound:
    """Feeds one call with the messages of one media socket, until something ends it.

    `over` tells why: ``carrier``, ``protocol_error``, ``error``, or what `end` was given.
    """

    def __init__(self, call: Call, line: Line, wire: Wire, stats: BridgeStats, limits: Limits) -> None:
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._call, self._line, self._stats, self._limits = call, line, stats, limits
        self._broken = 0
        self._understand, self._listener = wire.dialect.receive, wire.listener
        self._hear: Callable[[bytes], None]
        call.taps.follow(self._hear_into)

    def take(self, data: bytes) -> None:
        """Take one message. Does not raise."""
        self._call.messages += 1
        try:
            try:
                event = self._understand(data)
                if isinstance(event, Audio):  # 50 times a second: straight to the detector
                    self._hear(event.payload)
                else:
                    self.handle(event)
            except ProtocolError as error:
                self._count_broken(error)
        except Exception:
            log.exception("call %s: a message could not be handled", self._call.id)
            self.end("error")

    def handle(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, Ignored):
            self._stats.ignored_messages[event.kind] += 1
        elif isinstance(event, Audio):
            self._hear(event.payload)
        elif isinstance(event, Respond):
            self._line.send(list(event.messages))
        elif isinstance(event, Several):
            for one in event.events:
                self.handle(one)
        elif isinstance(event, Stopped):
            self.end("carrier")
        else:
            self._call.receive(event)

    def _hear_into(self, sink: Callable[[bytes], None]) -> None:
        """From now on the caller's audio goes to `sink`."""
        self._hear = self._listener(sink)

    def end(self, reason: str) -> None:
        """Take nothing more; the first reason stands."""
        if not self.over.done():
            self.over.set_result(reason)

    def _count_broken(self, error: ProtocolError) -> None:
        self._stats.protocol_errors[error.kind] += 1
        self._broken += 1
        if self.over.done() or (error.close_code is None and self._broken <= self._limits.broken_messages):
            return  # of those that came along with the last straw, each is counted and none is told
        log.warning("call %s: closed: %s", self._call.id, error.kind)
        self._call.drop(error.close_code or 1008, "protocol_error")
        self.end("protocol_error")


async def feed(inbound: Inbound, socket: MediaSocket) -> Any:
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
            inbound.take(data_of(message))
    finally:
        if direct is not None:
            direct.sink = None
    return None


async def _next(inbound: Inbound, socket: MediaSocket) -> Any:
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
