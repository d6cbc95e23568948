"""The server under test as a process of its own: pinned to a core, watched through /proc, ended by us.

Strategy:

- CPU time is read from the process's own CPU clock, to the nanosecond and over all its threads; the ticks of
  /proc/PID/stat are 10 ms, 1 % of a short window.
- What the core was busy with besides is read too, and so is its speed, which on a virtual machine changes by a
  half from one minute to the next: without both, rows do not compare.
- Only the process started here is ever signalled.
"""

from __future__ import annotations

import math
import os
import resource
import signal
import statistics
import subprocess
import sys
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


class SpeedProbe:
    """How fast `core` is, moment by moment: `benchmarks.probe` beside the server. A context manager."""

    def __init__(self, core: int, *, cwd: Path, log: Path) -> None:
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                (sys.executable, "-m", "benchmarks.probe"),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                preexec_fn=lambda: os.sched_setaffinity(0, {core}),
            )

    def __enter__(self) -> SpeedProbe:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def pass_ns(self, since: float, until: float) -> float:
        """The median time of one pass of an empty loop between two monotonic times; NaN when nothing was measured."""
        lines = (line.split() for line in self._log.read_text().splitlines()[:-1])
        taken = [float(ns) for at, ns in lines if since <= float(at) < until]
        return statistics.median(taken) if taken else math.nan


def pin(core: int) -> None:
    """Have this process run on `core` alone, where the machine has it."""
    if (os.cpu_count() or 1) > core:
        os.sched_setaffinity(0, {core})


def core_busy_s(core: int) -> float:
    """Time that `core` has not been idle so far, whoever used it.

    Sampled by the kernel 100 times a second, so that work in step with its clock is missed: good to a tenth.
    """
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, line.split()[1:9])
            return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return math.nan


def cpu_s(pid: int) -> float:
    """CPU time that process `pid` has used so far, all its threads together."""
    return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)
