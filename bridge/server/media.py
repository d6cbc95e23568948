"""The media WebSocket that a carrier opens: from the upgrade to the end of the call.

Strategy:

- Nothing that costs anything exists before admission has passed twice: the upgrade (before 101) and the stream's
  start, which brings the one-time token where the carrier can carry one.
- The library owns the handshake, reading, pings and closing; what we send goes past it (`bridge.server.line`).
- A line that is silent on the wire is found by the runtime's watchdog: audio comes every 20 ms, so the library's
  heartbeat, a timer per message, is not needed.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from bridge.carriers.carrier import Upgrade
from bridge.carriers.dialect import Started
from bridge.errors import ProtocolError, Refused
from bridge.server.admission import Admitted
from bridge.server.leg import Leg
from bridge.server.runtime import Runtime
from bridge.server.session import resume, serve
from bridge.server.webhooks import query_of, remote_of

log = logging.getLogger(__name__)


async def media(runtime: Runtime, carrier: str, request: web.Request) -> web.StreamResponse:
    """Serve one media socket of `carrier`, from upgrade to end."""
    upgrade = read_upgrade(runtime, carrier, request)
    with runtime.holding_a_socket():
        with runtime.admission.upgrade(carrier, upgrade):
            socket = _socket(runtime, request)
            await socket.prepare(request)
            if request.transport is None:  # the carrier left before the upgrade was through
                return socket
            dialect = runtime.carriers[carrier].dialect(upgrade)
            leg = Leg(socket, request.transport, dialect, runtime.stats, runtime.limits)
            let_in = await knock(
                carrier, leg, lambda started: runtime.admission.start(carrier, started, upgrade)
            )
        if let_in is not None:
            await see_through(runtime, carrier, leg, *let_in)
    return socket


def read_upgrade(runtime: Runtime, carrier: str, request: web.Request) -> Upgrade:
    """The request for a media socket, as the carrier's own code sees it."""
    token = request.match_info.get("token", "")
    rest = "/" + request.rel_url.raw_path.rpartition("/")[2] if token else ""
    return Upgrade(
        url=runtime.admission.url_of(carrier, "media", rest + query_of(request)),
        headers=request.headers,
        token=token,
        remote=remote_of(runtime, request),
        now_s=runtime.unix_clock(),
    )


async def knock(
    carrier: str, leg: Leg, admit: Callable[[Started], Awaitable[Admitted]]
) -> tuple[Started, Admitted] | None:
    """Wait for the stream's start and ask for admission. None when it was turned away."""
    try:
        started = await leg.started()
        return started, await admit(started)
    except (Refused, ProtocolError) as error:
        await leg.turn_away(carrier, error)
        return None


async def see_through(runtime: Runtime, carrier: str, leg: Leg, started: Started, admitted: Admitted) -> None:
    """Serve what was let in, to its end."""
    try:
        if admitted.resumed:
            await resume(runtime, leg, admitted.call)
        else:
            await serve(runtime, carrier, leg, started, admitted.call)
    except Refused as error:
        await leg.turn_away(carrier, error)


def _socket(runtime: Runtime, request: web.Request) -> web.WebSocketResponse:
    offered = request.headers.get("Sec-WebSocket-Protocol", "")
    return web.WebSocketResponse(
        compress=False,
        max_msg_size=runtime.limits.message_bytes,
        decode_text=False,
        timeout=runtime.limits.close_within_s,
        protocols=tuple(name.strip() for name in offered.split(",") if name),
    )
