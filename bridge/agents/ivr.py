"""The agent that plays a phone menu from ``config/flows``: it carries out on a call what the flow asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from bridge.config import AgentConfig
from bridge.flows.model import Flow
from bridge.problems import Problem

if TYPE_CHECKING:
    from bridge.call import Call


class IvrOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """``[agent.options]`` of the ivr."""

    #: The flow that callers get whose number is not among `numbers`; by default the only one there is.
    flow: str = ""
    #: The number that was called = the flow.
    numbers: dict[str, str] = {}


async def ivr(call: Call) -> None:
    """Play the flow of the number that was called."""
    raise NotImplementedError


#: Lets a wrong ``[agent.options]`` be refused at start instead of in the first call.
ivr.options_type = IvrOptions  # type: ignore[attr-defined]


def flow_problems(config: AgentConfig, flows: Mapping[str, Flow], source: str = "") -> list[Problem]:
    """What `config` wants of `flows` that is not there; nothing when the agent is another one."""
    raise NotImplementedError
