"""From ``module:function`` to an agent, with every mistake told at start instead of in the first call."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from bridge.config import AgentConfig
from bridge.config_tree import convert
from bridge.entrypoint import found
from bridge.errors import ConfigError

if TYPE_CHECKING:
    from bridge.call import Call
    from bridge.flows import model

Agent: TypeAlias = "Callable[[Call], Awaitable[None]]"

_KEY: Final = "agent.entrypoint"


def load_agent(config: AgentConfig, source: str = "") -> Agent:
    """The agent that ``[agent]`` names.

    A function may carry `options_type`, a msgspec Struct that ``[agent.options]`` must fit.

    Raises:
        ConfigError: no such module or function, not an async function of one argument, or options that it
            does not take.
    """
    agent = found(config.entrypoint, key=_KEY, source=source)
    if not inspect.iscoroutinefunction(agent) or not _takes_one(agent):
        raise ConfigError(
            f"{config.entrypoint} must be an `async def` of one argument, the call", key=_KEY, source=source
        )
    _check_options(agent, config, source)
    return agent  # type: ignore[no-any-return]


def fault_of(step: model.Agent) -> str:
    """Why the agent that a flow's step names cannot be run; empty when it can. Imports it."""
    try:
        load_agent(AgentConfig(entrypoint=step.entrypoint, options=step.options))
    except ConfigError as error:
        where = f"{error.key.removeprefix('agent.')}: " if error.key != _KEY else ""
        return f"{where}{error.reason}"
    return ""


def _takes_one(agent: Callable[..., object]) -> bool:
    try:
        inspect.signature(agent).bind(None)
    except TypeError:
        return False
    return True


def _check_options(agent: object, config: AgentConfig, source: str) -> None:
    wanted = getattr(agent, "options_type", None)
    if wanted is None:
        return
    try:
        convert(config.options, wanted, source)
    except ConfigError as error:
        raise ConfigError(error.reason, key=f"agent.options.{error.key}", source=source) from None
