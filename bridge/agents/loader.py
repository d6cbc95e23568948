"""From ``module:function`` to an agent, with every mistake told at start instead of in the first call."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from msgspec import Struct

from bridge.config import AgentConfig
from bridge.config_tree import convert
from bridge.entrypoint import found
from bridge.errors import ConfigError

if TYPE_CHECKING:
    from bridge.call import Call
    from bridge.flows import model
    from bridge.surroundings import Surroundings

log = logging.getLogger(__name__)

S = TypeVar("S", bound=Struct)

Agent: TypeAlias = "Callable[[Call], Awaitable[None]]"

_KEY: Final = "agent.entrypoint"


def load_agent(config: AgentConfig, source: str = "") -> Agent:
    """The agent that ``[agent]`` names.

    A function may carry `options_type`, a msgspec Struct that ``[agent.options]`` must fit; and `prepare`, see there.

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
    return agent


async def prepare(agent: Agent, config: AgentConfig, surroundings: Surroundings, source: str = "") -> None:
    """Have `agent` do at start what calls must not wait for.

    Its options may have a `check` of the `Surroundings`. A function may carry `prepare`, an ``async def`` of its
    `options_type` and the `Surroundings`: it opens connections, reads files, and refuses what types cannot.

    Raises:
        ConfigError: the agent cannot do its work with these options.
    """
    kind = getattr(agent, "options_type", None)
    if kind is None:
        return
    options = options_of(config.options, kind, source)
    try:
        if hasattr(options, "check"):
            options.check(surroundings)
        if hasattr(agent, "prepare"):
            await agent.prepare(options, surroundings)
    except ConfigError as error:
        key = error.key if error.key.startswith("agent.") else f"agent.options.{error.key}"
        raise ConfigError(error.reason, key=key, source=error.source or source) from error


async def prepare_quietly(agent: Agent, config: AgentConfig, surroundings: Surroundings) -> None:
    """As `prepare`, while nobody waits for it: what is wrong is in the log, and in the calls."""
    try:
        await prepare(agent, config, surroundings)
    except ConfigError as error:
        log.warning("%s cannot do its work: %s", config.entrypoint, error)


def require_words(agent: Agent, config: AgentConfig, source: str = "", *, heard: bool) -> None:
    """Refuse an agent that carries `needs_words` where nothing transcribes callers: words are `heard`, or not.

    Raises:
        ConfigError: they are not, and it needs them.
    """
    if not heard and getattr(agent, "needs_words", False):
        reason = f"{config.entrypoint} listens to words: add a [pulse] section, or name another [transcriber]"
        raise ConfigError(reason, key=_KEY, source=source)


def options_of(options: Mapping[str, Any], wanted: type[S], source: str = "") -> S:
    """`Call.options`, or the table ``[agent.options]``, as a struct of type `wanted`.

    Raises:
        ConfigError: a key is unknown, of the wrong type or out of bounds; its key has no ``agent.options`` before it.
    """
    return convert(dict(options), wanted, source)


def fault_of(step: model.Agent, *, heard: bool) -> str:
    """Why the agent that a flow's step names cannot be run; empty when it can. Imports it.

    Args:
        heard: whether anything transcribes callers, see `require_words`.
    """
    config = AgentConfig(entrypoint=step.entrypoint, options=step.options)
    try:
        require_words(load_agent(config), config, heard=heard)
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
        options_of(config.options, wanted, source)
    except ConfigError as error:
        raise ConfigError(error.reason, key=f"agent.options.{error.key}", source=source) from None
