"""Tasks that are over together: the first that fails, or the one that leads, ends all."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from bridge.tasks import end


class Crew:
    """The tasks of one call. Whatever one of them raises, but for being cancelled, is what `lead` raises."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start(self, part: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `part` beside the others."""
        task = asyncio.create_task(part)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def lead(self, part: Coroutine[Any, Any, None]) -> None:
        """Run `part` to its end, and end the others with it.

        Raises:
            Exception: what one of them raised first.
        """
        leading = self.start(part)
        try:
            await asyncio.wait({leading, self._failed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._failed.cancel()
            await end(*self._tasks)
            error = None if self._failed.cancelled() else self._failed.exception()
        if error is not None:
            raise error

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not self._failed.done():
            self._failed.set_exception(error)
