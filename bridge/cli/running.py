"""What commands share: how they run, log, and treat a file that they will write."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias, TypeVar

from cyclopts import Parameter

from bridge.errors import ConfigError

T = TypeVar("T")

#: A switch: on when it is named.
Flag: TypeAlias = Annotated[bool, Parameter(negative="", show_default=False)]

Text: TypeAlias = Annotated[str, Parameter(show_default=False)]
ConfigPath: TypeAlias = Annotated[Path | None, Parameter(alias="-c")]

_TERMINATED: Final = 128 + signal.SIGTERM


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end, on uvloop where it exists.

    SIGTERM cancels it like Ctrl-C does, so that what it has opened is closed and what it has started is ended.

    Raises:
        SystemExit: with 143, after SIGTERM.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        try:
            return runner.run(_until_terminated(main))
        except asyncio.CancelledError:
            raise SystemExit(_TERMINATED) from None


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        from uvloop import new_event_loop
    except ImportError:
        return asyncio.new_event_loop
    return new_event_loop


async def _until_terminated(main: Coroutine[Any, Any, T]) -> T:
    task = asyncio.current_task()
    assert task is not None
    with contextlib.suppress(NotImplementedError):  # Windows has no such signal
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await main


@contextlib.contextmanager
def reading(path: Path, key: str = "") -> Iterator[None]:
    """Within it, an error of the operating system means that `path` cannot be read. `key` is who named it.

    Raises:
        ConfigError: and says why.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", key=key, source=str(path)) from error


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[None]:
    """Within it, an error of the operating system means that nobody can listen on `host` and `port`.

    Raises:
        ConfigError: and says why.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}", key="--port") from error


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Within it, an error of the operating system means that `path` cannot be written.

    Raises:
        ConfigError: and says why.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror or error}", source=str(path)) from error


@contextlib.contextmanager
def reserved(path: Path) -> Iterator[None]:
    """Make sure that `path` can be written before the block spends time or money on what belongs there.

    A file that is there stays as it is until the block writes it; one that is not is left behind only when written.

    Raises:
        ConfigError: it cannot be written.
    """
    with writing(path):
        existed = path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()
    try:
        yield
    finally:
        if not existed and path.is_file() and not path.stat().st_size:
            path.unlink()


class _OneLine(logging.Formatter):
    """One event is one line: what a peer put into a message cannot forge another."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.exc_info or record.stack_info:
            return text  # a traceback of ours, in as many lines as it needs
        return text.encode("unicode_escape").decode("ascii")


def log_to_stderr(level: str = "info") -> None:
    """Log at `level` and above to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Says at INFO what it says at WARNING when it matters.
    logging.getLogger("websockets").setLevel(logging.WARNING)
