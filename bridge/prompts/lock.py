"""Who renders a piece: one process of all that want to.

Strategy:

- The lock is a file that the kernel locks. A process that is killed holds nothing; one that hangs is waited for no
  longer than the caller's patience.
- Who lets go removes the file while it is still locked, so that a cache is not littered. Whoever opened it meanwhile
  sees that what it has locked is no longer there, and tries again.
- A disk that takes no lock is no reason to wait: then everybody may go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from filelock import FileLock

POLL_S: Final = 0.05

#: ``ours``; ``theirs``: somebody else has had it for all our patience; ``none``: there are no locks to be had.
Held: TypeAlias = Literal["ours", "theirs", "none"]


class PieceLock:
    """The lock at `path`. One task uses it, once: `acquire`, and in any case `release`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: FileLock | None = None
        self._given_up = False
        #: A task may be cancelled while its thread is still trying.
        self._turn = threading.Lock()

    async def acquire(self, patience_s: float) -> Held:
        """Wait for it, for `patience_s` at most; 0 is one try."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + patience_s
        while True:
            held = await asyncio.to_thread(self.try_now)
            if held != "theirs" or loop.time() + POLL_S > until_s:
                return held
            await asyncio.sleep(POLL_S)

    async def release(self) -> None:
        """Let go of it, if it is ours."""
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, self.let_go))

    def try_now(self) -> Held:
        """Try once. Blocks, though hardly ever for long."""
        from filelock import FileLock, Timeout

        with self._turn:
            if self._given_up:
                return "none"
            lock = FileLock(self._path, thread_local=False)
            try:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                lock.acquire(blocking=False)
            except Timeout:
                return "theirs"
            except (OSError, NotImplementedError):
                return "none"
            self._lock = lock
            return "ours"

    def let_go(self) -> None:
        """As `release`. Blocks."""
        with self._turn:
            self._given_up = True
            lock, self._lock = self._lock, None
            if lock is not None:
                with contextlib.suppress(OSError):  # where a file that is open cannot be removed
                    self._path.unlink()
                with contextlib.suppress(OSError):
                    lock.release()


def clear(path: Path) -> None:
    """Remove the lock at `path`, unless somebody holds it."""
    lock = PieceLock(path)
    lock.try_now()
    lock.let_go()
