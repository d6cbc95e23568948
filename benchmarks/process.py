"""The server under test as a process of its own: pinned to a core, watched through /proc, ended by us.

Strategy:

- CPU time is read from the process's own CPU clock, to the nanosecond and over all its threads; the ticks of
  /proc/PID/stat are 10 ms, 1 % of a short window.
- Time spent ready to run but not running is read too: when it is long, a neighbour had the core.
- Only the process started here is ever signalled.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

_CPUCLOCK_SCHED = 2  # of clock_getcpuclockid(3): the scheduler's own count


class Server:
    """A server pinned to `core`; a context manager that ends it.

    Args:
        command: what to run, in `cwd`.
        environ: on top of our own.
        log: where its output goes.
        ready_url: answers 200 when it may be called.
    """

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        *,
        cwd: Path,
        core: int,
        log: Path,
        ready_url: str,
    ) -> None:
        self.ready_url = ready_url
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                cwd=cwd,
                env={**os.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=lambda: os.sched_setaffinity(0, {core}),
            )

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.alive:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def is_ready(self) -> bool:
        """Whether it may be called.

        Raises:
            ChildProcessError: it has ended; the tail of its log is in the message.
        """
        if not self.alive:
            raise ChildProcessError(f"the server ended: {self.log.read_text(errors='replace')[-2000:]}")
        try:
            with urllib.request.urlopen(self.ready_url, timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def resident_mb(self) -> float:
        """Resident memory, in units of 1 000 000 bytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6


def loop_ms(core: int) -> float:
    """How long a million passes of an empty loop take on `core` just now, at best: the speed of the machine.

    Virtual machines change theirs by a half within the hour; without it, rows of different runs do not compare.
    """
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        return min(_time_a_loop() for _ in range(5)) * 10
    finally:
        os.sched_setaffinity(0, own)


def _time_a_loop() -> float:
    begun = time.perf_counter()
    for _ in range(100_000):
        pass
    return 1000 * (time.perf_counter() - begun)


def cpu_s(pid: int) -> float:
    """CPU time that process `pid` has used so far, all its threads together."""
    return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)


def waited_s(pid: int) -> float:
    """Time that the living threads of `pid` have waited for a core so far."""
    waits = (task / "schedstat" for task in Path(f"/proc/{pid}/task").iterdir())
    return sum(int(path.read_text().split()[1]) for path in waits) / 1e9
