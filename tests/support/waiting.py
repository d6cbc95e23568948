"""Waiting for what other tasks do, without guessing how long it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

#: Far more than anything on loopback takes; only a failing test waits so long.
PATIENCE_S = 10.0


async def until(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Let the other tasks run until `condition` holds.

    Raises:
        TimeoutError: it never did.
    """
    async with asyncio.timeout(patience_s):
        while not condition():  # noqa: ASYNC110 - a condition over plain counters has no event
            await asyncio.sleep(0.001)
