"""The command line: in this process, or as one of its own with an environment that only the test decides."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Final, TypeAlias

ROOT: Final = Path(__file__).parents[2]
#: Nothing here takes so long, however busy the machine is.
PATIENCE_S: Final = 90


@dataclass(frozen=True)
class Done:
    """How a command ended that ran in this process."""

    code: int
    out: str
    err: str


#: What the fixture `invoke` is: arguments in, end out.
Invoke: TypeAlias = Callable[..., Done]


@contextmanager
def patience() -> Iterator[None]:
    """Within it, a command that should end and does not gets a Ctrl-C: its exit code will be 130, and wrong."""
    before = signal.signal(signal.SIGALRM, lambda _number, _frame: signal.raise_signal(signal.SIGINT))
    signal.alarm(PATIENCE_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def environment(**changes: str) -> dict[str, str]:
    """The process's own, without what configures a bridge, and with `changes`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("BRIDGE_") and k != "SMALLEST_API_KEY"}
    path = os.pathsep.join((str(ROOT), str(ROOT / "codecs")))
    return {**kept, "PYTHONPATH": path, "COLUMNS": "100", **changes}


def command(*arguments: object) -> list[str]:
    # -P: a folder that happens to hold a bridge.py must not be where `bridge` comes from.
    return [sys.executable, "-P", "-m", "bridge", *map(str, arguments)]


def bridge(*arguments: object, cwd: Path, stdin: bytes = b"", **env: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    done = subprocess.run(
        command(*arguments),
        cwd=cwd,
        env=environment(**env),
        input=stdin,
        capture_output=True,
        timeout=PATIENCE_S,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@contextmanager
def started(*arguments: object, cwd: Path, **env: str) -> Iterator[subprocess.Popen[str]]:
    """A command that runs as long as the block does, in a process group of its own."""
    process = subprocess.Popen(
        command(*arguments),
        cwd=cwd,
        env=environment(**env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()  # harmless when it has ended; a drain would make us wait


def next_line(process: subprocess.Popen[str]) -> str:
    """The next line that it prints.

    Raises:
        AssertionError: none came; with what it complained of.
    """
    assert process.stdout is not None
    assert process.stderr is not None
    impatient = Timer(PATIENCE_S, process.kill)
    impatient.start()
    try:
        line = process.stdout.readline()
    finally:
        impatient.cancel()
    assert line, process.stderr.read() if process.poll() is not None else "nothing was printed"
    return line
