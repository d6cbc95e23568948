"""What the log must never hold."""

from __future__ import annotations

import gc
import logging

import pytest


def tracebacks(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Every traceback that was logged in the test so far, and what asyncio has complained about."""
    gc.collect()  # exceptions that nobody has retrieved are told when their task goes
    records = {id(r): r for r in (*caplog.get_records("call"), *caplog.records)}.values()
    bad = [r for r in records if r.exc_info or (r.name == "asyncio" and r.levelno >= logging.WARNING)]
    formatter = logging.Formatter("%(name)s: %(message)s")
    return [formatter.format(record) for record in bad]
