"""Is it alive, may it be given calls, and how does it fare."""

from __future__ import annotations

import hmac
import secrets
from ipaddress import ip_address
from typing import Final

from aiohttp import web

from bridge.errors import Refused
from bridge.names import INSTANCE_HEADER, UPGRADE_HEADER
from bridge.observe.metrics import exposition
from bridge.server.runtime import Runtime

#: Which process this is, by chance: `bridge doctor` sees by it whether the public address leads here.
INSTANCE: Final = secrets.token_hex(8)


async def livez(_runtime: Runtime, request: web.Request) -> web.Response:
    """200 while the event loop turns. Overload and draining are no reason to restart, so they do not show here."""
    headers = {INSTANCE_HEADER: INSTANCE}
    if "upgrade" in request.headers.get("Connection", "").lower() and "Upgrade" in request.headers:
        headers[UPGRADE_HEADER] = "passed"
    return web.Response(text="ok\n", headers=headers)


async def readyz(runtime: Runtime, _request: web.Request) -> web.Response:
    """200 when new calls may be sent here, else 503 and the reason."""
    if runtime.draining:
        return web.Response(status=503, text="draining\n")
    if not runtime.voice.able:
        return web.Response(status=503, text="no voice: see bridge_lightning_circuit_open in /metrics\n")
    if limit := runtime.spending.budget.spent:
        return web.Response(status=503, text=f"budget.{limit} is spent\n")
    return web.Response(text="ready\n")


def for_operators(runtime: Runtime, request: web.Request) -> None:
    """Let in who has ``server.admin_token``; where none is configured, who is on this machine.

    Raises:
        Refused: anybody else.
    """
    configured = bool(runtime.config.server.admin_token)
    if not (_has_token(runtime, request) if configured else _from_loopback(request)):
        raise Refused(
            "operator", "server.admin_token is needed; without one, only this machine may", status=403
        )


async def metrics(runtime: Runtime, request: web.Request) -> web.Response:
    """Prometheus text, for loopback or with ``server.admin_token``.

    Raises:
        Refused: neither holds.
    """
    if not (_from_loopback(request) or _has_token(runtime, request)):
        raise Refused("metrics", "metrics are for loopback, or for who has server.admin_token", status=403)
    body, content_type = exposition(runtime)
    return web.Response(body=body, headers={"Content-Type": content_type})


def _from_loopback(request: web.Request) -> bool:
    # A proxy on this machine comes from loopback with somebody else's request; such a request says so.
    if any(name in request.headers for name in ("Forwarded", "X-Forwarded-For", "Via")):
        return False
    peer: tuple[str, int] | None = request.transport.get_extra_info("peername") if request.transport else None
    return peer is not None and ip_address(peer[0]).is_loopback


def _has_token(runtime: Runtime, request: web.Request) -> bool:
    token = runtime.config.server.admin_token
    # Bytes that are not UTF-8 come as lone surrogates: they must not match, and not raise.
    offered = request.headers.get("Authorization", "").encode("utf-8", "surrogatepass")
    return bool(token) and hmac.compare_digest(offered, f"Bearer {token.reveal()}".encode())
