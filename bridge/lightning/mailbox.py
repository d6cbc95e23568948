"""Items from callbacks to one async reader, in order, with an end that may be an error.

Less than `asyncio.Queue` on purpose: nothing is scheduled for an item that nobody waits for, and `drop` takes
effect at once, also for a reader that has been woken but has not run yet.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """One writer that never waits, one reader that does."""

    __slots__ = ("_closed", "_error", "_items", "_waiter")

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False
        self._error: Exception | None = None

    def put(self, item: T) -> None:
        """Add an item. Ignored once the mailbox is closed."""
        if not self._closed:
            self._items.append(item)
            self._wake()

    def close(self, error: Exception | None = None) -> None:
        """End it: the reader gets what is left, then the end, or `error`. Only the first call counts."""
        if not self._closed:
            self._closed, self._error = True, error
            self._wake()

    def drop(self) -> None:
        """End it now: what is left is thrown away and the reader gets the plain end."""
        self._items.clear()
        self._closed, self._error = True, None
        self._wake()

    @property
    def drained(self) -> bool:
        """Whether nothing more will come out of it, not even an error."""
        return self._closed and not self._items and self._error is None

    async def get(self) -> T:
        """The next item. One reader only.

        Raises:
            StopAsyncIteration: no more will come.
            Exception: what `close` was told, once, after the last item.
        """
        while not self._items:
            if self._closed:
                error, self._error = self._error, None
                raise error or StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._items.popleft()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
