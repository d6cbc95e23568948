"""What the log must never hold."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest


def tracebacks(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Every traceback that was logged in the test so far, and what asyncio has complained about."""
    gc.collect()  # exceptions that nobody has retrieved are told when their task goes
    return _bad({id(r): r for r in (*caplog.get_records("call"), *caplog.records)}.values())


@contextmanager
def no_tracebacks() -> Iterator[None]:
    """The same for what is done within, where there is no `caplog`: none may be logged."""
    handler = _Keeping()
    logging.getLogger().addHandler(handler)
    try:
        yield
        gc.collect()
    finally:
        logging.getLogger().removeHandler(handler)
    if bad := _bad(handler.records):
        raise AssertionError("was logged:\n" + "\n".join(bad))  # pytest explains no assert of this module


class _Keeping(logging.Handler):
    """Keeps every record."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def _bad(records: Iterable[logging.LogRecord]) -> list[str]:
    bad = [r for r in records if r.exc_info or (r.name == "asyncio" and r.levelno >= logging.WARNING)]
    formatter = logging.Formatter("%(name)s: %(message)s")
    return [formatter.format(record) for record in bad]
