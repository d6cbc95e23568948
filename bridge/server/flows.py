"""The library of prompts and flows of a process, and the signal that has it read its files again."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from bridge.agents.ivr import flow_problems
from bridge.agents.loader import fault_of, load_agent, prepare
from bridge.config import AgentConfig, Config
from bridge.errors import ConfigError
from bridge.flows import steps
from bridge.flows.library import Library
from bridge.flows.model import Flow
from bridge.flows.values import Variables, filled_in
from bridge.lightning.voice import Voice
from bridge.observe.stats import BridgeStats
from bridge.surroundings import Surroundings
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


async def prepare_steps(flows: Mapping[str, Flow], surroundings: Surroundings) -> None:
    """Have the agents that flows name do at start what calls must not wait for.

    Raises:
        ConfigError: one cannot do its work.
    """
    for flow in flows.values():
        for name, step in flow.steps.items():
            if not isinstance(step, steps.Agent) or filled_in(step.options, Variables()) != step.options:
                continue  # what holds variables is known in a call alone
            config = AgentConfig(entrypoint=step.entrypoint, options=step.options)
            try:
                await prepare(load_agent(config), config, surroundings)
            except ConfigError as error:
                key = f"steps.{name}.{error.key.removeprefix('agent.')}"
                raise ConfigError(error.reason, key=key, source=flow.source) from error


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
