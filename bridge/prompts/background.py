"""What goes on behind calls for their prompts: writing what they had spoken, rendering what was interrupted.

Strategy:

- Nothing here is waited for by a call, and nothing that fails here is more than a line in the log and a count.
- A piece is rendered once, however many calls missed it. One that Lightning refuses is not asked for again.
- There is one task, and one door, for as long as there is something to render.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from bridge.errors import LightningError
from bridge.lightning.voice import Voice
from bridge.observe.stats import PromptStats
from bridge.prompts.cache import PromptCache
from bridge.prompts.key import Keys
from bridge.prompts.renderer import Renderer, about
from bridge.prompts.template import Piece

log = logging.getLogger(__name__)


class Background:
    """What one shelf has going on.

    Args:
        keys: of the configuration that speaks.
        voice: the calls' own, whose account renders what they leave units for; None renders nothing.
        cache: None keeps nothing on disk.
        rendered: given what has been rendered.
    """

    def __init__(
        self,
        keys: Keys,
        voice: Voice | None,
        cache: PromptCache | None,
        stats: PromptStats,
        rendered: Callable[[str, Piece, bytes], None],
    ) -> None:
        self._keys, self._voice, self._cache, self._stats = keys, voice, cache, stats
        self._rendered = rendered
        self._closed = False
        self._wanted: dict[str, Piece] = {}
        self._hopeless: set[str] = set()
        self._rendering: asyncio.Task[None] | None = None
        self._writes: set[asyncio.Task[Any]] = set()

    def write(self, key: str, piece: Piece, audio: bytes) -> None:
        """Have `audio` written to the cache."""
        if self._cache is not None and not self._closed:
            put = asyncio.to_thread(self._cache.put, key, audio, about(piece, self._keys.config))
            self._note(put)

    def _note(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(work)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    def render(self, key: str, piece: Piece) -> None:
        """Have `piece` rendered when calls leave a unit for it, unless it is going to be already."""
        if self._voice is None or self._closed or key in self._hopeless:
            return
        self._wanted.setdefault(key, piece)
        if self._rendering is None or self._rendering.done():
            self._rendering = asyncio.create_task(self._render_wanted(self._voice))

    async def _render_wanted(self, voice: Voice) -> None:
        renderer = Renderer(
            self._keys.config,
            self._cache,
            self._stats,
            units=voice.entries[0].units,
            normalise=self._keys.normalise,
            behind_calls=True,
            lightning_stats=voice.stats,
        )
        async with renderer:
            while self._wanted:
                key, piece = next(iter(self._wanted.items()))
                try:
                    self._rendered(key, piece, await renderer.have(piece))
                except LightningError as error:
                    self._failed(key, error)
                finally:
                    self._wanted.pop(key, None)

    def _failed(self, key: str, error: LightningError) -> None:
        if not error.retryable:
            self._hopeless.add(key)
        log.warning("a piece of a prompt could not be rendered: %s: %s", type(error).__name__, error)

    async def close(self) -> None:
        """End it. What is being written is waited for."""
        self._closed = True
        if self._rendering is not None:
            self._rendering.cancel()
            await asyncio.wait([self._rendering])
        if self._writes:
            await asyncio.wait(self._writes)
