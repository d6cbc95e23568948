"""Where webhooks may go: the allow-list of origins, and which addresses are anybody's. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def allowed_host(url: str, allowed: Sequence[str]) -> str:
    """Why `url` may not be asked; empty when it may. ``{variables}`` after the host do not matter."""
    raise NotImplementedError


def problem_of_entry(entry: str) -> str:
    """Why `entry` is no good in `flows.webhook_hosts`; empty when it is."""
    raise NotImplementedError
