"""A WebSocket to an agent elsewhere, for as long as a call lasts.

Strategy:

- We connect, when the call begins; the agent is a server. It is sent an event a message, and sends commands.
- A socket that breaks, is closed or cannot be opened is opened again, with pauses that grow, while the call goes on.
  Each begins with `start`; what the agent may not have had follows.
- Whoever floods, or sends nothing but garbage, is disconnected and tried again: the call does not suffer from it.
- No redirect, no proxy, no compression; nothing of a handshake is in a log or an error.

Facts, from RFC 6455 (7.4.1 close codes), and the reference of ``websockets``.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from typing import Final

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from bridge.errors import ProtocolError
from bridge.remote.address import Address
from bridge.remote.door import CONNECT_WITHIN_S, Door, Reception, Trouble, trouble_of
from bridge.remote.protocol import MAX_MESSAGE_BYTES, Ack, Refusal, Start, decode, encode
from bridge.straight import StraightConnect
from bridge.tasks import until_one_is_over
from bridge.tls import tls_context

_wire_log = logging.getLogger(f"{__name__}.wire")
_wire_log.setLevel(logging.INFO)  # at debug level the library prints the handshake, signature included

PING_INTERVAL_S: Final = 10.0
PING_TIMEOUT_S: Final = 5.0
#: The first pause before connecting again; each further one is twice as long.
PAUSE_S: Final = 0.1
MAX_PAUSE_S: Final = 2.0
#: A connection that lasted so long was a good one.
STEADY_S: Final = 5.0
#: A fast model writes a hundred tokens a second.
MAX_MESSAGES_PER_S: Final = 500
#: So many messages in a row that are none.
MAX_GARBAGE: Final = 20


class _Hopeless(Exception):
    """The agent makes no sense on this socket."""

    def __init__(self, trouble: Trouble, close_code: int) -> None:
        super().__init__(trouble.detail)
        self.trouble, self.close_code = trouble, close_code


class Link(Door):
    """A `Door` that is a WebSocket.

    Args:
        start: the call.
        pause_s: before connecting for the second time.
    """

    def __init__(
        self, address: Address, start: Start, reception: Reception, *, pause_s: float = PAUSE_S
    ) -> None:
        super().__init__(start, reception)
        self._address, self._pause_s = address, pause_s
        #: What was wrong with the last connection, if nothing came over it.
        self._known: Trouble | None = None

    # -- connecting ----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        clock, short = asyncio.get_running_loop().time, 0
        while True:
            began_s = clock()
            trouble = await self._connected()
            short = 0 if clock() - began_s >= STEADY_S else short
            self._outbox.lost()
            if trouble != self._known:  # once, not every two seconds of a call
                self._known = trouble
                self._in_trouble(trouble)
            longest_s = min(self._pause_s * 2 ** min(short, 10), MAX_PAUSE_S)
            short += 1
            await asyncio.sleep(random.uniform(longest_s / 2, longest_s))  # noqa: S311 - so that calls part

    async def _connected(self) -> Trouble:
        """Talk over one connection, to its end. Returns why it ended, or why there was none."""
        try:
            socket = await self._open()
        except (WebSocketException, OSError, EOFError, UnicodeError) as error:
            return _told(error)
        try:
            await until_one_is_over(self._read(socket), self._write(socket))
        except ConnectionClosed as closed:
            return _told_of_end(closed)
        except _Hopeless as hopeless:
            await self._close(socket, hopeless.close_code)
            return hopeless.trouble
        finally:
            await self._close(socket, 1000)
        raise AssertionError("unreachable")

    async def _open(self) -> ClientConnection:
        address = self._address
        return await StraightConnect(
            address.url,
            additional_headers=address.headers(self._call_id, address.path.encode()),
            user_agent_header=None,
            compression=None,
            proxy=None,
            ssl=tls_context() if address.scheme == "wss" else None,
            open_timeout=CONNECT_WITHIN_S,
            close_timeout=self.close_within_s / 2,
            ping_interval=PING_INTERVAL_S,
            ping_timeout=PING_TIMEOUT_S,
            max_size=MAX_MESSAGE_BYTES,
            logger=_wire_log,
        )

    async def _close(self, socket: ClientConnection, code: int) -> None:
        try:
            async with asyncio.timeout(self.close_within_s):
                await socket.close(code)
        except TimeoutError:
            socket.transport.abort()

    # -- talking -------------------------------------------------------------------------------------------------------

    async def _write(self, socket: ClientConnection) -> None:
        await socket.send(encode(self._outbox.open()), text=True)
        while True:
            while (event := self._outbox.take()) is not None:
                try:
                    await socket.send(encode(event), text=True)
                except BaseException:
                    self._outbox.lost(event)
                    raise
            await self._until_news()

    async def _read(self, socket: ClientConnection) -> None:
        clock, began_s, messages, garbage = asyncio.get_running_loop().time, 0.0, 0, 0
        while True:
            raw = await socket.recv(decode=False)
            now_s = clock()
            if now_s - began_s >= 1.0:
                began_s, messages = now_s, 0
            messages += 1
            if messages > MAX_MESSAGES_PER_S:
                raise _Hopeless(
                    Trouble("flood", f"more than {MAX_MESSAGES_PER_S} messages in a second"), 1008
                )
            garbage = 0 if self._take(raw) else garbage + 1
            if garbage >= MAX_GARBAGE:
                raise _Hopeless(Trouble("garbage", f"{garbage} broken messages in a row"), 1007)

    def _take(self, raw: bytes) -> bool:
        """Take a message. False when it was none."""
        try:
            commands = decode(raw)
        except ProtocolError as error:
            self._reception.take(Refusal("", "bad_command", error.reason))
            return False
        self._known = None
        for command in commands:
            if isinstance(command, Ack):
                self._outbox.acknowledge(command.seq)
            else:
                self._reception.take(command)
        return True


def _told(failure: Exception) -> Trouble:
    """Why there is no connection. The library's own texts may quote a header; its class names do not."""
    if isinstance(failure, InvalidStatus):
        return trouble_of(failure.response.status_code)
    if isinstance(failure, ssl.SSLError):
        return Trouble("unreachable", "its certificate is not trusted")
    if isinstance(failure, TimeoutError):
        return Trouble("unreachable", f"no connection within {CONNECT_WITHIN_S:g} s")
    if isinstance(failure, WebSocketException):
        return Trouble("request", f"it speaks no WebSocket: {type(failure).__name__}")
    return Trouble("unreachable", "cannot connect")


def _told_of_end(closed: ConnectionClosed) -> Trouble:
    if closed.sent is not None and closed.sent.code == 1009:
        return Trouble("flood", f"a message of more than {MAX_MESSAGE_BYTES} bytes")
    code = closed.rcvd.code if closed.rcvd is not None else 1006
    return Trouble("cut", f"the connection was closed with {code}")
