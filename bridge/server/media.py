"""The media WebSocket: from the upgrade to the end of the call.

Strategy:

- Nothing that costs anything exists before admission has passed twice: the signature on the upgrade (before 101) and
  the one-time token in `start`. Until then a socket gets five seconds, few messages and no memory.
- One reader per socket and it never waits for the agent or for Lightning: a carrier whose messages are not read
  throws away what the caller says.
- What we send is written straight to the transport, several packets in one write. A server's frames are unmasked, so
  a text frame is two or four bytes and the message (RFC 6455, 5.2); going through the library costs a coroutine
  and a flow-control check for every 20 ms of every call. The library still owns the handshake, reading, pings and
  closing, and it too writes whole frames only.
- A carrier that stops reading is noticed by what its socket has not taken (the kernel's share of that is kept small,
  or it would be noticed minutes later); one that stops sending, by the runtime's watchdog: audio comes every 20 ms,
  so a silent line is found without the library's heartbeat, a timer per message.
- Every wait for the other end has its limit (`bridge.server.limits`), the last goodbye too.
"""

from __future__ import annotations

import asyncio
import logging
import socket as sockets

from aiohttp import WebSocketError, WSCloseCode, WSMessage, WSMsgType, web

from bridge.call import Call
from bridge.carriers.carrier import IncomingCall, Upgrade
from bridge.carriers.dialect import Dialect, Event, Ignored, Started
from bridge.errors import ProtocolError, Refused
from bridge.server.inbound import DATA, Inbound, feed
from bridge.server.runtime import Runtime
from bridge.server.webhooks import query_of

log = logging.getLogger(__name__)


class SocketLine:
    """The carrier's socket, as a call sees it. `bridge.mouth.Line` is the contract."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport, runtime: Runtime) -> None:
        self._socket, self._transport = socket, transport
        self._stats, self._limits = runtime.stats, runtime.limits
        self._closing: asyncio.Task[None] | None = None
        #: Why it was cut from our side; empty when it was not.
        self.lost = ""
        kernel = transport.get_extra_info("socket")
        if kernel is not None:
            kernel.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, self._limits.kernel_bytes)

    def send(self, messages: list[bytes]) -> None:
        """Write `messages` as text frames, without waiting."""
        if self._closing is not None or self._socket.closed or self._transport.is_closing():
            return
        self._transport.write(b"".join([text_frame(message) for message in messages]))
        if self._transport.get_write_buffer_size() > self._limits.unsent_bytes:
            self._stats.slow_readers += 1
            self.lost = "slow_reader"
            self._transport.abort()

    def hang_up(self, code: int, reason: str) -> None:
        """Close the socket soon; what has been sent goes out first."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(code, reason))

    async def _close(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(self._limits.close_within_s):
                await self._socket.close(code=code, message=reason.encode())
        except TimeoutError:
            self._transport.abort()
        if self._transport.get_write_buffer_size():
            self._transport.abort()  # nobody reads it, and closing would wait until somebody does

    async def closed(self) -> None:
        """Wait until a close that was asked for is through."""
        if self._closing is not None:
            await self._closing


def text_frame(message: bytes) -> bytes:
    """`message` as one unmasked, final text frame (RFC 6455, 5.2)."""
    size = len(message)
    if size < 126:
        return b"\x81" + size.to_bytes(1, "big") + message
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + message
    return b"\x81\x7f" + size.to_bytes(8, "big") + message


async def media(runtime: Runtime, carrier: str, request: web.Request) -> web.StreamResponse:
    """Serve one media socket of `carrier`, from upgrade to end."""
    limits = runtime.limits
    with runtime.holding_a_socket():
        upgrade = read_upgrade(runtime, carrier, request)
        with runtime.admission.upgrade(carrier, upgrade):
            socket = web.WebSocketResponse(
                compress=False,
                max_msg_size=limits.message_bytes,
                decode_text=False,
                timeout=limits.close_within_s,
                protocols=tuple(
                    p.strip() for p in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if p
                ),
            )
            await socket.prepare(request)
            transport = request.transport
            dialect = runtime.carriers[carrier].dialect(upgrade)
            try:
                async with asyncio.timeout(limits.start_within_s):
                    started = await _until_started(runtime, socket, dialect)
                incoming = (await runtime.admission.start(carrier, started, upgrade)).call
                _refuse_twin(runtime, incoming)
            except (Refused, ProtocolError, TimeoutError) as error:
                await _turn_away(runtime, socket, carrier, error)
                return socket
        if transport is not None:  # else the carrier left before the upgrade was through
            line = SocketLine(socket, transport, runtime)
            call = runtime.open_call(carrier, incoming, line, dialect, can_speak=started.bidirectional)
            await _serve(runtime, socket, line, dialect, call)
    return socket


def read_upgrade(runtime: Runtime, carrier: str, request: web.Request) -> Upgrade:
    """The request for a media socket, as the carrier's own code sees it."""
    token = request.match_info.get("token", "")
    rest = "/" + request.rel_url.raw_path.rpartition("/")[2] if token else ""
    return Upgrade(
        url=runtime.admission.url_of(carrier, "media", rest + query_of(request)),
        headers=request.headers,
        token=token,
        remote=request.remote or "",
        now_s=runtime.unix_clock(),
    )


async def _until_started(runtime: Runtime, socket: web.WebSocketResponse, dialect: Dialect) -> Started:
    for _ in range(runtime.limits.early_messages):
        message = await socket.receive()
        if message.type not in DATA:
            _count_unreadable(runtime, message)
            raise Refused("no_start", "the socket closed before a start")
        event = _event(runtime, dialect, message.data)
        if isinstance(event, Started):
            return event
    raise Refused("no_start", f"no start within {runtime.limits.early_messages} messages")


def _refuse_twin(runtime: Runtime, incoming: IncomingCall) -> None:
    if incoming.call_id in runtime.calls:
        raise Refused("twin", "this call already has a stream")


def _event(runtime: Runtime, dialect: Dialect, data: bytes) -> Event | None:
    """The event in `data`; None when it is of no use: that is counted.

    Raises:
        ProtocolError: the socket must be closed.
    """
    try:
        event = dialect.receive(data)
    except ProtocolError as error:
        runtime.stats.protocol_errors[error.kind] += 1
        if error.close_code is not None:
            raise
        return None
    if isinstance(event, Ignored):
        runtime.stats.ignored_messages[event.kind] += 1
        return None
    return event


def _count_unreadable(runtime: Runtime, message: WSMessage) -> bool:
    """Whether the socket ended with a frame that no WebSocket may send, or one that is too big."""
    if message.type is not WSMsgType.ERROR:
        return False
    error = message.data
    too_big = isinstance(error, WebSocketError) and error.code == WSCloseCode.MESSAGE_TOO_BIG
    runtime.stats.protocol_errors["too_big" if too_big else "bad_frame"] += 1
    return True


async def _turn_away(runtime: Runtime, socket: web.WebSocketResponse, carrier: str, error: Exception) -> None:
    if isinstance(error, Refused):
        reason, code = error.reason, error.close_code
    elif isinstance(error, ProtocolError):
        reason, code = error.kind, error.close_code or 1008
    else:
        reason, code = "no_start", 1008
    runtime.stats.media_refused[reason] += 1
    log.warning("media socket of %s refused: %s", carrier, reason)
    await socket.close(code=code, message=reason.encode())


async def _serve(
    runtime: Runtime, socket: web.WebSocketResponse, line: SocketLine, dialect: Dialect, call: Call
) -> None:
    agent = asyncio.create_task(runtime.run_agent(call), name=f"agent of {call.id}")
    reason = "carrier_lost"
    try:
        reason = await _read(runtime, socket, dialect, call)
    finally:
        runtime.close_call(call, line.lost or reason)
        try:
            await _hear_out(runtime, socket, dialect)
            await line.closed()
        finally:
            await _let_go(agent, runtime.limits.agent_grace_s)


async def _read(runtime: Runtime, socket: web.WebSocketResponse, dialect: Dialect, call: Call) -> str:
    """Feed the call until its socket ends; returns why."""
    inbound = Inbound(runtime, dialect, call)
    last = await feed(inbound, socket)
    if inbound.over.done():
        return inbound.over.result()
    return "protocol_error" if _count_unreadable(runtime, last) else "carrier_lost"


async def _hear_out(runtime: Runtime, socket: web.WebSocketResponse, dialect: Dialect) -> None:
    """After its `stop` the carrier closes the socket. Until then, what still comes is only counted."""
    try:
        async with asyncio.timeout(runtime.limits.close_within_s):
            while (message := await socket.receive()).type in DATA:
                _event(runtime, dialect, message.data)
    except (TimeoutError, ProtocolError):
        return


async def _let_go(agent: asyncio.Task[None], grace_s: float) -> None:
    """Give the agent its time to tidy up, then end it."""
    try:
        await asyncio.wait({agent}, timeout=grace_s)
    finally:
        if not agent.done():
            log.warning("%s still ran %g s after its call and was cancelled", agent.get_name(), grace_s)
            agent.cancel()
            await asyncio.wait({agent}, timeout=grace_s)
