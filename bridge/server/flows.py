"""The library of prompts and flows of a process, and the signal that has it read its files again."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from bridge.agents.ivr import flow_problems
from bridge.agents.loader import fault_of
from bridge.config import Config
from bridge.flows.library import Library
from bridge.lightning.voice import Voice
from bridge.observe.stats import BridgeStats
from bridge.transcribers.open import listener

log = logging.getLogger(__name__)


def open_library(config: Config, source: str, voice: Voice, stats: BridgeStats) -> Library:
    """The library of a process, empty until it is loaded."""
    return Library(
        config,
        source,
        voice=voice,
        stats=stats,
        agent_fault=partial(fault_of, heard=bool(listener(config))),
        wanted=lambda flows: flow_problems(config.agent, flows, source),
    )


@contextmanager
def reloading_on_hangup(library: Library) -> Iterator[None]:
    """Within it SIGHUP reads prompts and flows again, where there is such a signal."""
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is None:
        yield
        return
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    def asked() -> None:
        task = loop.create_task(_reload_for_nobody(library))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    loop.add_signal_handler(hangup, asked)
    try:
        yield
    finally:
        loop.remove_signal_handler(hangup)
        for task in tasks:
            task.cancel()


async def _reload_for_nobody(library: Library) -> None:
    log.info("SIGHUP: prompts and flows are read again")
    try:
        await library.reload()
    except Exception:  # a signal has nobody to raise it to
        log.exception("prompts and flows could not be read again")
