"""The media socket that we open ourselves, because the carrier waits for it. From there on it is like any other.

Strategy:

- The webhook that asked for it was verified and names the call, and the address is our own configuration's: no token
  has to come back. What the other end sends is no more believed than anywhere.
- Who waits at the other end is told nothing of a failure: the dialplan notices that nobody came.
- The address holds the waiting channel's id, which is its secret: a failure is logged without it.
"""

from __future__ import annotations

import asyncio
import logging

import aiohttp

from bridge.carriers.carrier import IncomingCall, MediaSocket, Upgrade
from bridge.server.frames import masked_frame
from bridge.server.leg import Leg
from bridge.server.media import knock, see_through
from bridge.server.runtime import Runtime

log = logging.getLogger(__name__)


async def dial(runtime: Runtime, carrier: str, call: IncomingCall, to: MediaSocket) -> None:
    """Open the socket that `call` waits for, and serve the call on it to its end. Failures are logged and counted."""
    with runtime.holding_a_socket():
        async with aiohttp.ClientSession() as session:
            try:
                socket = await _open(runtime, session, to)
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                _count_failure(runtime, call, _why(error))
                return
            async with socket:
                await _serve(runtime, carrier, call, to, socket)


async def _open(
    runtime: Runtime, session: aiohttp.ClientSession, to: MediaSocket
) -> aiohttp.ClientWebSocketResponse[bool]:
    limits = runtime.limits
    async with asyncio.timeout(limits.start_within_s):
        return await session.ws_connect(
            to.url,
            headers=to.headers,
            protocols=to.subprotocols,
            max_msg_size=limits.message_bytes,
            decode_text=False,
            timeout=aiohttp.ClientWSTimeout(ws_close=limits.close_within_s),
        )


async def _serve(
    runtime: Runtime,
    carrier: str,
    call: IncomingCall,
    to: MediaSocket,
    socket: aiohttp.ClientWebSocketResponse[bool],
) -> None:
    connection = socket._response.connection
    transport = connection.transport if connection is not None else None
    if not isinstance(transport, asyncio.Transport):
        _count_failure(runtime, call, "it was closed at once")
        return
    dialect = runtime.carriers[carrier].dialect(Upgrade(url=to.url, now_s=runtime.unix_clock()))
    leg = Leg(socket, transport, dialect, runtime.stats, runtime.limits, masked_frame)
    let_in = await knock(carrier, leg, lambda _started: runtime.admission.admit(carrier, call))
    if let_in is not None:
        await see_through(runtime, carrier, leg, *let_in)


def _count_failure(runtime: Runtime, call: IncomingCall, why: str) -> None:
    runtime.stats.rest_failures["dial"] += 1
    log.error("call %s: its media socket cannot be opened: %s", call.call_id, why)


def _why(error: Exception) -> str:
    """What went wrong, without the address."""
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return f"HTTP {error.status}, {error.message}"
    return type(error).__name__
