"""From ``module:function`` to an agent, with every mistake told at start."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from bridge.config import AgentConfig
from bridge.errors import ConfigError

if TYPE_CHECKING:
    from bridge.call import Call

Agent: TypeAlias = "Callable[[Call], Awaitable[None]]"


def load_agent(config: AgentConfig, source: str = "") -> Agent:
    """The agent that ``[agent]`` names.

    A function may carry `options_type`, a msgspec Struct that ``[agent.options]`` must fit.

    Raises:
        ConfigError: no such module or function, not an async function, or options it does not take.
    """
    module_name, _, name = config.entrypoint.partition(":")
    try:
        agent = getattr(importlib.import_module(module_name), name)
    except ImportError as error:
        raise ConfigError(
            f"cannot import {module_name!r}: {error}", key="agent.entrypoint", source=source
        ) from error
    except AttributeError:
        raise ConfigError(f"{module_name} has no {name!r}", key="agent.entrypoint", source=source) from None
    if not inspect.iscoroutinefunction(agent):
        raise ConfigError("must name an `async def` function", key="agent.entrypoint", source=source)
    _check_options(agent, config, source)
    return agent  # type: ignore[no-any-return]


def _check_options(agent: object, config: AgentConfig, source: str) -> None:
    wanted = getattr(agent, "options_type", None)
    if wanted is None:
        return
    try:
        msgspec.convert(config.options, wanted)
    except msgspec.ValidationError as error:
        message, _, at = str(error).partition(" - at `$")
        key = f"agent.options{at.rstrip('`')}"
        if unknown := re.search(r"unknown field `(\w+)`", message):
            key, message = f"{key}.{unknown[1]}", "is not an option of this agent"
        raise ConfigError(message, key=key, source=source) from None
