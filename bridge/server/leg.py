"""One media socket: its first words, before anybody knows whether it may come in, and its last.

Strategy:

- A stranger gets seconds, few messages and no memory. The exception is sound: a carrier may be talking before it says
  about what, and is not to be blamed for that.
- What the protocol itself wants answered is answered, at any time.
- Every wait for the other end has its limit (`bridge.server.limits`), the last goodbye too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Final

from aiohttp import WebSocketError, WSCloseCode, WSMsgType

from bridge.carriers.dialect import Dialect, Event, Ignored, Respond, Several, Started
from bridge.errors import ProtocolError, Refused
from bridge.observe.stats import BridgeStats
from bridge.server.frames import frame
from bridge.server.inbound import DATA, Message, data_of
from bridge.server.limits import Limits
from bridge.server.line import MediaSocket, SocketLine
from bridge.wire import Wire

log = logging.getLogger(__name__)

#: What dialects call the sound that comes before a start.
EARLY_MEDIA: Final = "media_before_start"


class Leg:
    """One media socket, open.

    Args:
        framed: a message as one frame: masked where we are the client.
    """

    def __init__(
        self,
        socket: MediaSocket,
        transport: asyncio.Transport,
        dialect: Dialect,
        stats: BridgeStats,
        limits: Limits,
        framed: Callable[[bytes], bytes] = frame,
    ) -> None:
        self.socket, self.dialect = socket, dialect
        self.line = SocketLine(socket, transport, stats, limits, framed)
        #: What came along with the start, behind it.
        self.behind_start: tuple[Event, ...] = ()
        #: Set when whoever reads it has done so to its end.
        self.over = asyncio.Event()
        self._stats, self._limits = stats, limits
        self._started = False

    async def started(self) -> Started:
        """The start of its stream.

        Raises:
            Refused: none came, in time or among the first messages.
            ProtocolError: the socket must be closed.
        """
        try:
            async with asyncio.timeout(self._limits.start_within_s):
                return await self._until_started()
        except TimeoutError:
            raise Refused("no_start", f"no start within {self._limits.start_within_s:g} s") from None

    def wire(self) -> Wire:
        """What is between it and the call.

        Raises:
            Refused: the stream's audio cannot be converted.
        """
        try:
            return Wire(self.dialect)
        except ValueError as error:
            raise Refused("format", str(error)) from None

    async def turn_away(self, carrier: str, error: Refused | ProtocolError) -> None:
        """Count why it may not come in, and close it."""
        refused = isinstance(error, Refused)
        reason = error.reason if isinstance(error, Refused) else error.kind
        self._stats.media_refused[reason] += 1
        log.warning("media socket of %s refused: %s", carrier, reason)
        if refused and self._started and (goodbye := self.dialect.goodbye(reason)):
            self.line.send(list(goodbye))
            if self.dialect.carrier_closes:
                await self.hear_out()
        self.line.hang_up(error.close_code or 1008, reason)
        await self.line.closed()

    def is_broken(self, last: Message) -> bool:
        """Whether it ended with a frame that no WebSocket may send, or one that is too big: counted."""
        if last.type is not WSMsgType.ERROR:
            return False
        error = last.data
        too_big = isinstance(error, WebSocketError) and error.code == WSCloseCode.MESSAGE_TOO_BIG
        self._stats.protocol_errors["too_big" if too_big else "bad_frame"] += 1
        return True

    async def hear_out(self) -> None:
        """After its `stop` the carrier closes the socket. Until then, what still comes is answered and counted."""
        try:
            async with asyncio.timeout(self._limits.close_within_s):
                while (message := await self.socket.receive()).type in DATA:
                    for event in self._events(data_of(message)):
                        self._take_note(event)
        except (TimeoutError, ProtocolError):
            pass
        self.line.carrier_left()

    async def _until_started(self) -> Started:
        messages, sounds = self._limits.early_messages, self._limits.early_sounds
        while messages and sounds:
            message = await self.socket.receive()
            if message.type not in DATA:
                self.is_broken(message)
                raise Refused("no_start", "the socket closed before a start")
            events = tuple(self._events(data_of(message)))
            for position, event in enumerate(events):
                if isinstance(event, Started):
                    self.behind_start, self._started = events[position + 1 :], True
                    return event
                self._take_note(event)
            if events == (Ignored(EARLY_MEDIA),):
                sounds -= 1
            else:
                messages -= 1
        raise Refused("no_start", "no start among the first messages")

    def _events(self, data: bytes) -> Iterator[Event]:
        """What a message means, one by one; nothing when it is broken, which is counted.

        Raises:
            ProtocolError: the socket must be closed.
        """
        try:
            event = self.dialect.receive(data)
        except ProtocolError as error:
            self._stats.protocol_errors[error.kind] += 1
            if error.close_code is not None:
                raise
            return
        yield from _one_by_one(event)

    def _take_note(self, event: Event) -> None:
        """Outside a call an event is counted if it is of no use, and answered if the protocol says so."""
        if isinstance(event, Ignored):
            self._stats.ignored_messages[event.kind] += 1
        elif isinstance(event, Respond):
            self.line.send(list(event.messages))


def _one_by_one(event: Event) -> Iterator[Event]:
    if isinstance(event, Several):
        for one in event.events:
            yield from _one_by_one(one)
    else:
        yield event
