"""A token store for one process: a dictionary, and a heap that knows what expires next.

Expired entries are swept whenever something is written, so nothing has to run in the background. The bound
is on the heap, which keeps what was taken until it would have expired: puts and takes in a loop are bounded
as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from heapq import heappop, heappush
from typing import NamedTuple

from bridge.errors import Refused


class _Entry(NamedTuple):
    value: str
    expires_at_s: float


class MemoryTokenStore:
    """A `TokenStore` in memory.

    Args:
        clock: monotonic seconds.
        max_entries: how many may be alive at once; beyond it, writing is refused.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, max_entries: int = 100_000) -> None:
        self._clock, self._max_entries = clock, max_entries
        self._entries: dict[str, _Entry] = {}
        self._expiries: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._entries)

    async def put(self, key: str, value: str, ttl_s: float) -> None:
        """Keep `value` for `ttl_s` seconds, in place of what was there."""
        self._insert(key, value, ttl_s)

    async def take(self, key: str) -> str | None:
        """Remove and return the value; None when absent or expired."""
        entry = self._entries.pop(key, None)
        return entry.value if entry and entry.expires_at_s > self._clock() else None

    async def claim(self, key: str, ttl_s: float) -> bool:
        """True for the first to claim `key` within `ttl_s` seconds."""
        self._sweep()
        if key in self._entries:
            return False
        self._insert(key, "", ttl_s)
        return True

    async def release(self, key: str) -> None:
        """Give a claim back."""
        self._entries.pop(key, None)

    def _insert(self, key: str, value: str, ttl_s: float) -> None:
        self._sweep()
        if len(self._expiries) >= self._max_entries:
            raise Refused("store_full", f"{self._max_entries} entries are alive", status=503)
        entry = _Entry(value, self._clock() + ttl_s)
        self._entries[key] = entry
        heappush(self._expiries, (entry.expires_at_s, key))

    def _sweep(self) -> None:
        now_s = self._clock()
        while self._expiries and self._expiries[0][0] <= now_s:
            expires_at_s, key = heappop(self._expiries)
            entry = self._entries.get(key)
            if entry and entry.expires_at_s == expires_at_s:  # else it was taken, or put again since
                del self._entries[key]
