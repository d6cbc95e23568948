"""Asks the user's own API: the only I/O of flows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bridge.flows.actions import Fetch, Fetched
from bridge.observe.stats import FlowStats


class WebhookClient:
    """Carries out `Fetch`. Close it when done.

    Args:
        allowed: `flows.webhook_hosts`.
        environ: holds the bearer tokens.
        stats: `BridgeStats.flows`.
    """

    def __init__(self, allowed: Sequence[str], environ: Mapping[str, str], stats: FlowStats) -> None:
        raise NotImplementedError

    async def fetch(self, action: Fetch, *, call_id: str = "") -> Fetched:
        """Ask, and ask again where that is harmless. Never raises but CancelledError."""
        raise NotImplementedError

    async def close(self) -> None:
        """Let go of the connections."""
        raise NotImplementedError
