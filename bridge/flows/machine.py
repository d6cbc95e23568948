"""What happens next in a flow. Pure: a generator of actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from bridge.flows.actions import Running
from bridge.flows.model import Flow, Value

if TYPE_CHECKING:
    from datetime import datetime

#: Notes besides the names of steps: why a flow ended that no step of it had end.
GAVE_UP: Final = "(gave up)"  # all tries of a step were over, and it has no `otherwise`
FAILED: Final = "(failed)"  # a webhook or a transfer failed, and it has no `otherwise`
STUCK: Final = "(stuck)"  # `MAX_STEPS_WITHOUT_WAIT`


def run(
    flow: Flow, variables: Mapping[str, Value], now: Callable[[], datetime], note: Callable[[str], None]
) -> Running:
    """Go through `flow` from its start.

    Args:
        variables: ``caller``, ``called``, ``carrier`` and ``language``; they win over the file's, unless empty.
        now: the time with its zone, for business hours.
        note: told each step's name when it is entered, and at most one of `GAVE_UP`, `FAILED`, `STUCK`.
    """
    raise NotImplementedError
    yield
