"""What other processes do with a cache of prompts. Called by `multiprocessing`, in a process of its own."""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import Sequence
from pathlib import Path

from bridge.config import LightningConfig, Secret
from bridge.observe.stats import PromptStats
from bridge.prompts.cache import PromptCache
from bridge.prompts.lock import PieceLock
from bridge.prompts.renderer import Renderer
from bridge.prompts.template import Piece


def render(url: str, folder: Path, texts: Sequence[str]) -> None:
    """Render `texts` with the Lightning at `url`."""

    async def main() -> None:
        config = LightningConfig(base_url=url, api_key=Secret("key"), concurrency=2)
        async with Renderer(config, PromptCache(folder), PromptStats()) as renderer:
            report = await renderer.render([Piece(text, {}) for text in texts])
        assert (report.total, report.failures) == (len(texts), [])

    asyncio.run(main())


def die_while_writing(folder: Path, key: str, at_bytes: int) -> None:
    """Hold the lock of `key`, write its audio, and be killed by the kernel after `at_bytes` of it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = PieceLock(folder / f"{key}.lock")
    assert lock.try_now() == "ours"
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (at_bytes, at_bytes))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    PromptCache(folder).put(key, bytes(10 * at_bytes), {})
