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
- A carrier that stops reading is noticed by what its socket has not taken; one that stops sending, by the runtime's
  watchdog: audio comes every 20 ms, so a silent line is found without the library's heartbeat, a timer per message.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Final

from aiohttp import WSMsgType, web

from bridge.call import Call
from bridge.carriers.carrier import IncomingCall
from bridge.carriers.dialect import Dialect, Ignored, Started, Stopped
from bridge.errors import ProtocolError, Refused
from bridge.server.runtime import AGENT_GRACE_S, Runtime

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES: Final = 64 * 1024
START_WITHIN_S: Final = 5.0
#: Messages before `start`: a carrier needs one.
MAX_EARLY_MESSAGES: Final = 8
#: Broken messages that one call may send before it is not worth listening to.
MAX_BROKEN_MESSAGES: Final = 50
#: Unsent bytes in our own buffer that mean the carrier has stopped reading: some 4 s of audio.
MAX_UNSENT_BYTES: Final = 64 * 1024
CLOSE_TIMEOUT_S: Final = 3.0


class SocketLine:
    """The carrier's socket, as a call sees it. `bridge.call.Line` is the contract."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport, runtime: Runtime) -> None:
        self._socket, self._transport, self._runtime = socket, transport, runtime
        self._closing: asyncio.Task[bool] | None = None
        self.lost = ""

    def send(self, messages: list[bytes]) -> None:
        """Write `messages` as text frames, without waiting."""
        if self._closing is not None or self._socket.closed or self._transport.is_closing():
            return
        self._transport.write(b"".join([text_frame(message) for message in messages]))
        if self._transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self._runtime.stats.slow_readers += 1
            self.lost = "slow_reader"
            self._transport.abort()

    def hang_up(self, code: int, reason: str) -> None:
        """Close the socket soon; what has been sent goes out first."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._socket.close(code=code, message=reason.encode()))

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
    with runtime.admission.upgrade(carrier, request.headers):
        socket = web.WebSocketResponse(
            compress=False,
            max_msg_size=MAX_MESSAGE_BYTES,
            decode_text=False,
            timeout=CLOSE_TIMEOUT_S,
            protocols=tuple(
                p.strip() for p in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if p
            ),
        )
        await socket.prepare(request)
        dialect = runtime.carriers[carrier].dialect()
        try:
            async with asyncio.timeout(START_WITHIN_S):
                started = await _until_started(runtime, socket, dialect)
            incoming = await runtime.admission.start(carrier, started)
            _refuse_twin(runtime, incoming)
        except (Refused, ProtocolError, TimeoutError) as error:
            await _turn_away(runtime, socket, carrier, error)
            return socket
    await _serve(runtime, carrier, socket, request, dialect, started, incoming)
    return socket


async def _until_started(runtime: Runtime, socket: web.WebSocketResponse, dialect: Dialect) -> Started:
    for _ in range(MAX_EARLY_MESSAGES):
        message = await socket.receive()
        if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            raise Refused("no_start", "the socket closed before a start")
        event = _decode(runtime, dialect, message.data)
        if isinstance(event, Started):
            return event
    raise Refused("no_start", f"no start within {MAX_EARLY_MESSAGES} messages")


def _refuse_twin(runtime: Runtime, incoming: IncomingCall) -> None:
    if incoming.call_id in runtime.calls:
        raise Refused("twin", "this call already has a stream")


def _decode(runtime: Runtime, dialect: Dialect, data: bytes) -> object:
    """The event in `data`; None when it was broken and may be skipped."""
    try:
        event = dialect.receive(data)
    except ProtocolError as error:
        runtime.stats.protocol_errors[error.kind] += 1
        if error.close_code is not None:
            raise
        return None
    if isinstance(event, Ignored):
        runtime.stats.ignored_messages[event.kind] += 1
    return event


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
    runtime: Runtime,
    carrier: str,
    socket: web.WebSocketResponse,
    request: web.Request,
    dialect: Dialect,
    started: Started,
    incoming: IncomingCall,
) -> None:
    assert request.transport is not None  # noqa: S101 - the upgrade has just been answered on it
    line = SocketLine(socket, request.transport, runtime)
    call = runtime.open_call(carrier, incoming, line, dialect, can_speak=started.bidirectional)
    agent = asyncio.create_task(runtime.run_agent(call), name=f"agent of {call.id}")
    reason = "carrier_lost"
    try:
        reason = await _read(runtime, socket, dialect, call)
    finally:
        runtime.close_call(call, line.lost or reason)
        await line.closed()
        await _let_go(agent)


async def _read(runtime: Runtime, socket: web.WebSocketResponse, dialect: Dialect, call: Call) -> str:
    """Feed the call until its socket ends; returns why."""
    receive, take = socket.receive, call.receive
    broken: Counter[str] = Counter()
    while True:
        message = await receive()
        if message.type is not WSMsgType.TEXT and message.type is not WSMsgType.BINARY:
            return "carrier_lost"
        call.messages += 1
        try:
            event = dialect.receive(message.data)
        except ProtocolError as error:
            runtime.stats.protocol_errors[error.kind] += 1
            broken[error.kind] += 1
            if error.close_code is not None or broken.total() > MAX_BROKEN_MESSAGES:
                log.warning("call %s: closed: %s", call.id, error.kind)
                call.drop(error.close_code or 1008, "protocol_error")
                return "protocol_error"
            continue
        if isinstance(event, Stopped):
            return "carrier"
        if isinstance(event, Ignored):
            runtime.stats.ignored_messages[event.kind] += 1
        else:
            take(event)


async def _let_go(agent: asyncio.Task[None]) -> None:
    """Give the agent its time to tidy up, then end it."""
    _done, pending = await asyncio.wait({agent}, timeout=AGENT_GRACE_S)
    if pending:
        agent.cancel()
        await asyncio.wait({agent})
