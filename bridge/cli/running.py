"""How commands run coroutines and log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end, on uvloop where it exists."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)


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
