"""Tasks that nobody waits for any more, and tasks of which one is enough. It imports nothing of ours: all may have it.

Strategy: a task that was started is over before who started it goes on. What it ends with, when it was told to end, is
nobody's news.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def end(*tasks: asyncio.Future[Any]) -> None:
    """Cancel `tasks`, and wait until they are over, whatever they end with."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def until_one_is_over(*parts: Coroutine[Any, Any, None]) -> None:
    """Run `parts` beside each other until one of them is over, and end the others with it.

    Raises:
        Exception: what that one raised.
    """
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end(*tasks)
    for task in done:
        task.result()
