"""A WebSocket to the address that is configured, and to no other.

Strategy: ``websockets`` follows redirects, to wherever they lead, with whatever signs us. Nobody whom we connect to
has a reason to send us on, so that is a refusal like any other.

Facts, from the source of ``websockets`` (asyncio/client.py, `connect.process_redirect`).
"""

from __future__ import annotations

from websockets.asyncio.client import connect


class StraightConnect(connect):
    """``websockets``' `connect` that follows no redirect: it raises `InvalidStatus`, with the status, instead."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Why there is no connection: never another address to try."""
        return exc
