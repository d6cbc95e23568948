"""The agent that is all Hydra's: the caller's voice goes to Smallest AI's speech to speech, its voice comes back.

Strategy:

- Here is who Hydra is to be, from ``[agent.options]``; what happens on a call is `hydra_dialogue`.
- What can be wrong is told at start: the key, the voice, the file of the prompt, the tools.
- The instructions are the operator's, word for word. Nothing of a caller, or of a call, is put into them.

Facts, from the AsyncAPI contract `hydra-ws.yaml`: what a session is configured with. That Hydra falls silent when that
is more than some 18 KB is from a public bridge to it (EVA-Bench).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from bridge.agents.call_tools import call_tools
from bridge.agents.conversation import Manners
from bridge.agents.hydra_dialogue import Dialogue
from bridge.agents.loader import options_of
from bridge.agents.options import check_targets, functions_of, text_of
from bridge.call import Call
from bridge.errors import ConfigError
from bridge.hydra.messages import VOICES, Function
from bridge.hydra.session import HydraSettings
from bridge.nearest import meant
from bridge.secret import Secret
from bridge.tools import Tool, Toolbox, tool_of

if TYPE_CHECKING:
    from bridge.surroundings import Surroundings

log = logging.getLogger(__name__)

#: The model whose voices are known.
MODEL: Final = "hydra-v1.1"
#: What a session is configured with should be less.
MOST_BYTES: Final = 18_000


class HydraOptions(Manners, frozen=True, kw_only=True):
    """``[agent.options]`` of Hydra: who it is to be, and the manners of every agent that thinks."""

    base_url: Annotated[str, Meta(pattern=r"^(https?|wss?)://[^/?#\s]+/?$", description="https://host")] = (
        "https://api.smallest.ai"
    )
    #: Empty: that of ``[lightning]``.
    api_key: Secret = msgspec.field(default_factory=Secret)
    model: Annotated[str, Meta(min_length=1)] = MODEL
    voice: Annotated[str, Meta(min_length=1)] = "maya"
    #: Who Hydra is and what it is to do; or the file that says so, beside the configuration's.
    instructions: str = ""
    prompt_file: str = ""
    #: What Hydra is told to begin with. Empty: the caller speaks first.
    greeting: str = "Hello! How can I help you?"
    #: Functions that Hydra may call, "module:function".
    tools: list[str] = []
    #: Whom the caller may be handed on to: name = number.
    transfer_to: dict[str, str] = {}

    def __post_init__(self) -> None:
        if self.model == MODEL and self.voice not in VOICES:
            hint = meant(self.voice, VOICES)
            known = f"voice: {self.voice!r} is none of {', '.join(VOICES)}"
            raise ValueError(f"{known}; {hint}" if hint else known)
        if self.instructions and self.prompt_file:
            raise ValueError("give either instructions or prompt_file, not both")


async def agent(call: Call) -> None:
    """Have Hydra hold the conversation."""
    options = options_of(call.options, HydraOptions)
    target = options.transfer_to.get(options.failure_transfer, "")
    dialogue = Dialogue(call, replace(options, failure_transfer=target))
    tools = [
        *call_tools(call, options.transfer_to, dialogue.all_heard),
        *own_tools(options, call),
    ]
    settings = settings_of(options, call.surroundings, tools)
    await dialogue.hold(settings, Toolbox(tools, call.stats.agents, call.note))


async def prepare(options: HydraOptions, surroundings: Surroundings) -> None:
    """Refuse at start what no call could make good.

    Raises:
        ConfigError: there is no key, the prompt cannot be read, a tool is none, or a target nobody.
    """
    check_targets(options.transfer_to, options.failure_transfer)
    settings = settings_of(options, surroundings, own_tools(options, None))
    size = len(settings.instructions.encode()) + len(msgspec.json.encode(settings.tools))
    if size > MOST_BYTES:
        log.warning(
            "hydra: instructions and tools are %d bytes; it may fall silent over %d", size, MOST_BYTES
        )


agent.options_type = HydraOptions  # type: ignore[attr-defined]
agent.prepare = prepare  # type: ignore[attr-defined]


def settings_of(options: HydraOptions, surroundings: Surroundings, tools: Sequence[Tool]) -> HydraSettings:
    """Who Hydra is to be.

    Raises:
        ConfigError: there is no key, or the prompt cannot be read.
    """
    api_key = surroundings.key_for(options.base_url, options.api_key)
    if not api_key:
        raise ConfigError("is missing: set it, or SMALLEST_API_KEY", key="api_key")
    prompt = options.prompt_file
    return HydraSettings(
        base_url=options.base_url,
        api_key=api_key,
        model=options.model,
        voice=options.voice,
        instructions=text_of(surroundings.folder / prompt) if prompt else options.instructions,
        tools=[_function(tool) for tool in tools],
    )


def own_tools(options: HydraOptions, call: Call | None) -> list[Tool]:
    """The operator's own functions; without a `call`, to be told of only.

    Raises:
        ConfigError: one cannot be found, or no model can be told of it.
    """
    functions = functions_of(options.tools)
    return [tool_of(function, {Call: call}, known=known) for function, known in functions]


def _function(tool: Tool) -> Function:
    return Function(tool.name, tool.description, dict(tool.parameters))
