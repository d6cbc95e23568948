"""What a store must do for the one-time tokens of media streams."""

from __future__ import annotations

from typing import Protocol


class TokenStore(Protocol):
    """Short-lived entries, each read at most once. Every operation is atomic, also across processes."""

    async def put(self, key: str, value: str, ttl_s: float) -> None:
        """Keep `value` for `ttl_s` seconds, in place of what was there.

        Raises:
            Refused: the store is full.
        """

    async def take(self, key: str) -> str | None:
        """Remove and return the value: of several takers one gets it. None when absent or expired."""

    async def claim(self, key: str, ttl_s: float) -> bool:
        """True for the first to claim `key` within `ttl_s` seconds, False for everybody after.

        Raises:
            Refused: the store is full.
        """

    async def release(self, key: str) -> None:
        """Give a claim back: the next to claim `key` is the first again."""
