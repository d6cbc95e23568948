"""What agents that think have in common in their options, and what of it can be wrong.

Strategy: all of it is found at start, and told by the key that is wrong, relative to ``[agent.options]``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from bridge.agents.call_tools import NAMES
from bridge.call import Call
from bridge.entrypoint import found
from bridge.errors import ConfigError
from bridge.tools.schema import Description, describe

Function: TypeAlias = tuple[Callable[..., object], Description]


def check_targets(transfer_to: Mapping[str, str], failure_transfer: str) -> None:
    """Whom callers may be handed on to, and who it is when there are no answers.

    Raises:
        ConfigError: somebody has no name or no number, or `failure_transfer` is nobody of them.
    """
    for name, number in transfer_to.items():
        if not (name.strip() and name.isprintable() and number.strip() and number.isprintable()):
            raise ConfigError(
                'each is a name and a number, such as { sales = "+15550001234" }', key="transfer_to"
            )
    if failure_transfer and failure_transfer not in transfer_to:
        known = ", ".join(transfer_to) or "nobody"
        raise ConfigError(f"is nobody of transfer_to, which has {known}", key="failure_transfer")


def text_of(path: Path) -> str:
    """What the file of a prompt says.

    Raises:
        ConfigError: it cannot be read, or says nothing.
    """
    try:
        text = path.read_text("utf-8-sig").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigError(f"{path} cannot be read: {reason}", key="prompt_file") from None
    if not text:
        raise ConfigError(f"{path} is empty", key="prompt_file")
    return text


def functions_of(entrypoints: Sequence[str]) -> list[Function]:
    """The operator's own functions, and what a model is told of them.

    Raises:
        ConfigError: one cannot be found, or no model can be told of it, or it has the name of another tool.
    """
    functions, taken = [], set(NAMES)
    for entrypoint in entrypoints:
        function, known = _function(entrypoint)
        if known.name in taken:
            raise ConfigError(f"{entrypoint}: another tool is called {known.name}; rename it", key="tools")
        taken.add(known.name)
        functions.append((function, known))
    return functions


def _function(entrypoint: str) -> Function:
    function = found(entrypoint, key="tools")
    if not callable(function):
        raise ConfigError(f"{entrypoint} is no function", key="tools")
    try:
        return function, describe(function, (Call,))
    except ConfigError as error:
        raise ConfigError(f"{entrypoint}: {error.reason}", key="tools") from None
