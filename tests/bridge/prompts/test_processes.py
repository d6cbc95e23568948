"""Several processes and one cache: each piece is rendered once, and a process that is killed is in nobody's way."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from pathlib import Path

from bridge.emulators.lightning_options import EmulatorOptions
from bridge.prompts.cache import STALE_TEMP_S, PromptCache
from tests.support.lightning_thread import lightning_in_thread
from tests.support.prompt_processes import die_while_writing, render

#: Clean ones, as they are in life; and a fork of a test's threads and loops could do anything.
PROCESSES = multiprocessing.get_context("spawn")
KEY = "a1" * 32


def test_two_processes_render_a_piece_once(tmp_path: Path) -> None:
    texts = [f"This is prompt number {n}." for n in range(8)]
    with lightning_in_thread(EmulatorOptions(first_byte_ms=30.0)) as lightning:
        arguments = (lightning.url, tmp_path / "cache", texts)
        processes = [PROCESSES.Process(target=render, args=arguments) for _ in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0, 0]
        assert sorted(lightning.stats.texts) == texts
    cache = PromptCache(tmp_path / "cache")
    assert len([entry for entry in cache.entries() if cache.get(entry.key)]) == 8
    assert {path.suffix for path in cache.folder.iterdir()} == {".wav"}


def test_who_is_killed_half_way_leaves_nothing_that_is_believed_and_no_lock(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    process = PROCESSES.Process(target=die_while_writing, args=(folder, KEY, 5000))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGXFSZ
    cache = PromptCache(folder)
    (half,) = folder.glob(".*.tmp")
    assert half.stat().st_size == 5000
    assert cache.get(KEY) is None
    assert list(cache.entries()) == []

    async def mine() -> str:
        async with cache.lock(KEY, patience_s=0) as held:
            return held

    assert asyncio.run(mine()) == "ours"
    cache.prune((), now_s=half.stat().st_mtime + STALE_TEMP_S + 60)
    assert list(folder.iterdir()) == []
