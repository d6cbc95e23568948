"""A server in a thread of its own, for tests of commands that run an event loop themselves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def in_thread(server: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Enters `server` there, and leaves it when the block is left."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        entered = asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result()
        try:
            yield entered
        finally:
            asyncio.run_coroutine_threadsafe(_leave(server), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _leave(server: AbstractAsyncContextManager[object]) -> None:
    """Whoever connected before this is accepted first. A connection that is accepted in the very turn in which its
    server closes is half made, and nobody closes it (CPython before 3.12): the next test would be blamed for it."""
    for _ in range(3):  # the loop accepts in one turn, and an accepted socket is a connection two turns later
        await asyncio.sleep(0)
    await server.__aexit__(None, None, None)
