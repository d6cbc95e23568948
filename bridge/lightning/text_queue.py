"""An agent's text on its way to a voice: read ahead of it, and not lost when a door fails half way.

Cancelling whoever waits for an async generator kills the generator, and with it all the text still to come. So a
task of its own reads it, and whoever speaks reads from here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import asynccontextmanager
from typing import Final, Self

from bridge.lightning.mailbox import Mailbox

log = logging.getLogger(__name__)

#: Text read ahead of the voice; then the iterator is not asked for more.
MAX_AHEAD_CHARS: Final = 4000
#: How long an agent's iterator may take to close.
CLOSING_S: Final = 1.0


class TextQueue:
    """The text of `source`, to iterate over; used as ``async with``.

    Raises, after the text that came before, what `source` raised.
    """

    def __init__(self, source: AsyncIterable[str]) -> None:
        self._source = source
        self._texts: Mailbox[str] = Mailbox()
        self._ahead_chars = 0
        self._room = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_exc: object) -> None:
        assert self._reader is not None
        self._reader.cancel()
        await _bounded(self._reader)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        text = await self._texts.get()
        self._ahead_chars -= len(text)
        self._room.set()
        return text

    @property
    def drained(self) -> bool:
        """Whether nothing more will come out of it, not even an error."""
        return self._texts.drained

    async def _read(self) -> None:
        try:
            async with closed_after(self._source):
                async for text in self._source:
                    await self._put(text)
        except Exception as error:  # the agent's own: whoever reads must know
            self._texts.close(error)
        except SystemExit as error:  # ... which must not take the process along
            self._texts.close(RuntimeError(f"what gave the text wanted to exit: {error}"))
        except asyncio.CancelledError:
            if self._reader is not None and self._reader.cancelling():
                raise
            self._texts.close(RuntimeError("what gave the text was cancelled"))
        finally:
            self._texts.close()

    async def _put(self, text: str) -> None:
        if text:
            self._texts.put(text)
            self._ahead_chars += len(text)
        while self._ahead_chars > MAX_AHEAD_CHARS:
            self._room.clear()
            await self._room.wait()


@asynccontextmanager
async def closed_after(text: AsyncIterable[str]) -> AsyncGenerator[None, None]:
    """Close a generator that is not read to its end: it may hold a connection to a model that goes on talking.

    One that will not be closed is left behind after `CLOSING_S`: the caller waits for what comes next.
    """
    try:
        yield
    finally:
        if isinstance(text, AsyncGenerator):
            await _bounded(asyncio.create_task(_close(text)))


async def _bounded(task: asyncio.Task[None]) -> None:
    """Wait for `task`, but not for ever."""
    await asyncio.wait([task], timeout=CLOSING_S)
    if not task.done():
        log.warning("an agent's iterator of text does not end when it is closed")
        task.cancel()


async def _close(text: AsyncGenerator[str, None]) -> None:
    with contextlib.suppress(Exception):  # what it says now is of no interest: somebody else has stopped it
        await text.aclose()
