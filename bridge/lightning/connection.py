"""One socket to Lightning: how it is opened, and what comes in on it.

Strategy:

- One synthesis at a time per socket. What arrives while none is on it is stale; what names another one is
  foreign. Both are counted and dropped here, so that nobody above can hear them.
- Nothing that a handshake says to us or we to it (headers, key, proxy) ends up in an error: our exceptions
  are raised outside the handlers of the library's, so they do not even carry them as context.
- The wire log of the library stays off: at debug level it prints the handshake, key included.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from typing import Final, Protocol

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from bridge import __version__
from bridge.config import LightningConfig
from bridge.errors import LightningError, ProtocolError, TimedOut, Unavailable
from bridge.lightning.faults import fault_of_close, fault_of_http, with_mend
from bridge.lightning.messages import MAX_MALFORMED, Chunk, Complete, Failed, Message, Unknown, Word, decode
from bridge.lightning.stats import LightningStats
from bridge.straight import StraightConnect
from bridge.tls import tls_context

logger = logging.getLogger(__name__)
_wire_logger = logging.getLogger(f"{__name__}.wire")
_wire_logger.setLevel(logging.INFO)  # see the strategy above

#: A chunk is a few kilobytes; this is 80 s of 8 kHz PCM in one message.
MAX_MESSAGE_BYTES: Final = 2**21
CLOSE_TIMEOUT_S: Final = 1.0
#: Protocol pings tell a dead peer; whether they keep Lightning's idle timer from running out is unknown.
PING_INTERVAL_S: Final = 20.0
PING_TIMEOUT_S: Final = 10.0


class Rider(Protocol):
    """The synthesis on a socket."""

    @property
    def request_id(self) -> str:
        """Our id of it."""

    def receive(self, message: Message) -> None:
        """Take a message that is for it."""

    def dropped(self, error: LightningError) -> None:
        """The socket is gone."""


class Dialer:
    """Opens sockets to `path`, all with the same settings."""

    def __init__(self, config: LightningConfig, stats: LightningStats, path: str) -> None:
        self._config, self._stats, self._path = config, stats, path
        self.url = config.base_url.replace("http", "ws", 1).rstrip("/") + path

    @property
    def tls(self) -> ssl.SSLContext | None:
        """What the other end is checked with; None where it is not."""
        return tls_context() if self.url.startswith("wss:") else None

    async def dial(self) -> ClientConnection:
        """An open socket.

        Raises:
            LightningError: refused, unreachable, or not open within `connect_timeout_s`.
        """
        config = self._config
        try:
            socket = await StraightConnect(
                self.url,
                additional_headers={"Authorization": f"Bearer {config.api_key.reveal()}"},
                user_agent_header=f"lightning-phone-bridge/{__version__}",
                compression=None,
                proxy=config.proxy.reveal() or None,
                ssl=self.tls,
                open_timeout=config.connect_timeout_s,
                close_timeout=CLOSE_TIMEOUT_S,
                ping_interval=PING_INTERVAL_S,
                ping_timeout=PING_TIMEOUT_S,
                max_size=MAX_MESSAGE_BYTES,
                logger=_wire_logger,
            )
        except (WebSocketException, OSError, EOFError, UnicodeError) as failure:
            # A UnicodeError is the resolver's: the host has a label that no name can have.
            error = self._told(failure)
        else:
            self._stats.connects += 1
            return socket
        self._stats.connect_failures += 1
        raise error

    def _told(self, failure: Exception) -> LightningError:
        if isinstance(failure, InvalidStatus):
            self._stats.handshakes_refused += 1
            answer = failure.response
            retry_after = answer.headers.get("Retry-After")
            fault = fault_of_http(answer.status_code, bytes(answer.body), retry_after, now_s=time.time())
            return with_mend(fault, self._path).as_error(secret=self._config.api_key.reveal())
        if isinstance(failure, TimeoutError):
            limit_s = self._config.connect_timeout_s
            return TimedOut(f"no connection within {limit_s:g} s", code="connect_timeout")
        reason = failure.strerror if isinstance(failure, OSError) else None
        # The library's own texts may quote a header or the proxy's address; its class names do not.
        return Unavailable(f"cannot connect: {reason or type(failure).__name__}", code="connect")


class Link:
    """One open socket, and the synthesis on it.

    Args:
        socket: open; the link closes it.
        on_closed: called once, when the socket is gone, whoever closed it.
        secret: what must not be quoted from the other side.
    """

    def __init__(
        self,
        socket: ClientConnection,
        stats: LightningStats,
        on_closed: Callable[[Link], None],
        secret: str = "",
    ) -> None:
        self._socket, self._stats, self._on_closed, self._secret = socket, stats, on_closed, secret
        self.opened_at_s = self.used_at_s = time.monotonic()
        #: Whether it lay idle before, so that its other end may have closed it unnoticed.
        self.was_idle = False
        self.closed = False
        self._rider: Rider | None = None
        self._malformed = 0
        self._reader = asyncio.create_task(self._read())

    def carry(self, rider: Rider) -> None:
        """From now on, what arrives is for `rider`."""
        assert self._rider is None, "one synthesis at a time per socket"
        self._rider = rider

    def release(self) -> None:
        """From now on, what arrives is stale."""
        self._rider = None
        self.used_at_s = time.monotonic()

    async def send(self, message: bytes) -> bool:
        """Send a text message. False when the socket is gone; its rider has been told then, or will be."""
        self.used_at_s = time.monotonic()
        try:
            await self._socket.send(message, text=True)
        except ConnectionClosed:
            return False
        return True

    async def close(self, farewell: bytes = b"") -> None:
        """Close it, with a last message if there is one. Returns within a few `CLOSE_TIMEOUT_S`."""
        try:
            async with asyncio.timeout(3 * CLOSE_TIMEOUT_S):
                if farewell:
                    await self.send(farewell)
                await self._socket.close()
        except TimeoutError:
            self._socket.transport.abort()
        await self._reader

    async def _read(self) -> None:
        try:
            await self._listen()
        except ConnectionClosed as closed:
            error = self._why(closed)
        self._gone(error)

    async def _listen(self) -> None:
        while True:
            self._take(await self._socket.recv(decode=False))

    def _gone(self, error: LightningError) -> None:
        self.closed = True
        self._on_closed(self)
        if self._rider is not None:
            self._stats.dropped_sockets += 1
            self._rider.dropped(error)

    def _take(self, raw: bytes) -> None:
        try:
            message = decode(raw)
        except ProtocolError as broken:
            self._count_malformed(broken)
            return
        self._malformed = 0
        if isinstance(message, Chunk | Word | Complete | Failed):
            self._hand_on(message)
        elif isinstance(message, Unknown):
            self._stats.unknown_messages += 1

    def _hand_on(self, message: Chunk | Word | Complete | Failed) -> None:
        rider = self._rider
        if rider is None:
            self._stats.stale_chunks += isinstance(message, Chunk)
        elif message.request_id is not None and message.request_id != rider.request_id:
            self._stats.foreign_chunks += isinstance(message, Chunk)
        else:
            rider.receive(message)

    def _count_malformed(self, broken: ProtocolError) -> None:
        self._stats.malformed_messages += 1
        self._malformed += 1
        logger.debug("skipped a message: %s", broken)
        if self._malformed >= MAX_MALFORMED and self._rider is not None:
            self._rider.dropped(Unavailable(f"{self._malformed} broken messages in a row", code="protocol"))

    def _why(self, closed: ConnectionClosed) -> LightningError:
        frame = closed.rcvd
        if frame is None:
            return Unavailable("the connection was lost", code="dropped")
        return fault_of_close(frame.code, frame.reason).as_error(secret=self._secret)
