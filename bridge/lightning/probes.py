"""In the background: does an entry that was left alone speak again?

Only a synthesis proves that, so a probe is one, of a word; and it is made only when a unit of concurrency is free.
The task lives no longer than there is something to probe.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Final

from bridge.errors import Busy, LightningError
from bridge.lightning.entries import Entry
from bridge.lightning.stats import LightningStats

log = logging.getLogger(__name__)

PROBE_TEXT: Final = "Hello."


class Prober:
    """Probes the open breakers of `entries`."""

    def __init__(self, entries: Sequence[Entry], stats: LightningStats) -> None:
        self._entries, self._stats = entries, stats
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._closed = False

    def wake(self) -> None:
        """A breaker has opened."""
        if self._closed:
            return
        self._news.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop, for good."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _run(self) -> None:
        while due := [
            (at_s, entry) for entry in self._entries if (at_s := entry.breaker.probe_at_s) is not None
        ]:
            at_s, entry = min(due, key=lambda item: item[0])
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, at_s - asyncio.get_running_loop().time())):
                    await self._news.wait()
                    continue
            await self._probe(entry)

    async def _probe(self, entry: Entry) -> None:
        self._stats.probes += 1
        synthesis = entry.door.synthesize(entry.request(PROBE_TEXT, {}), lambda _part: None, wait_s=0.0)
        try:
            await synthesis.finished()
        except Busy:
            entry.breaker.postpone(asyncio.get_running_loop().time())
        except LightningError as error:
            entry.breaker.probed(asyncio.get_running_loop().time(), worked=False)
            log.info("voice %s still fails: %s: %s", entry, type(error).__name__, error)
        else:
            entry.breaker.probed(asyncio.get_running_loop().time(), worked=bool(synthesis.audio_bytes))
            if not entry.breaker.open:
                log.warning("voice %s works again", entry)
        finally:
            synthesis.cancel()
