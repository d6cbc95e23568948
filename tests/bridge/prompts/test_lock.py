"""The lock of a piece: one owner, patience with an end, and nothing left of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bridge.prompts.lock import POLL_S, PieceLock, clear


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_there_is_one_owner_and_then_the_next(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    first, second = PieceLock(path), PieceLock(path)
    assert await first.acquire(0) == "ours"
    assert await second.acquire(0) == "theirs"
    waiting = asyncio.create_task(second.acquire(60))
    await first.release()
    assert await waiting == "ours"
    await second.release()
    assert files_in(tmp_path) == [], "whoever lets go cleans up"


async def test_patience_has_an_end(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    hanging, waiting = PieceLock(path), PieceLock(path)
    await hanging.acquire(0)
    assert await waiting.acquire(2 * POLL_S) == "theirs"
    await waiting.release()
    assert await PieceLock(path).acquire(0) == "theirs", "it lets go of what is its own"
    await hanging.release()


async def test_where_there_are_no_locks_nobody_waits(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    lock = PieceLock(tmp_path / "file" / "a.lock")
    assert await lock.acquire(60) == "none"
    await lock.release()


async def test_the_folder_that_it_makes_is_for_nobody_else(tmp_path: Path) -> None:
    lock = PieceLock(tmp_path / "cache" / "a.lock")
    assert await lock.acquire(0) == "ours"
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0
    await lock.release()


async def test_who_is_cancelled_keeps_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    lock = PieceLock(path)
    task = asyncio.create_task(lock.acquire(60))
    await asyncio.sleep(0)  # its thread may be trying by now
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await lock.release()
    assert await PieceLock(path).acquire(0) == "ours"


async def test_who_has_let_go_does_not_get_it_any_more(tmp_path: Path) -> None:
    """As when a thread is late."""
    lock = PieceLock(tmp_path / "a.lock")
    await lock.release()
    assert lock.try_now() == "none"
    assert files_in(tmp_path) == []


async def test_only_what_nobody_holds_is_cleared(tmp_path: Path) -> None:
    path, idle = tmp_path / "a.lock", tmp_path / "b.lock"
    idle.touch()
    lock = PieceLock(path)
    await lock.acquire(0)
    clear(path)
    clear(idle)
    assert files_in(tmp_path) == [path]
    await lock.release()
