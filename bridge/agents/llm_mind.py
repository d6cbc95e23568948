"""What the calls of an LLM agent have in common: its options, its prompt, its tools, its connection to the model.

Strategy: everything that can be wrong is found when it is made, at start, and told by the key that is wrong.

The prompt may hold ``{caller}``, ``{called}``, ``{carrier}`` and ``{now}``, and nothing else of a call: these are
facts. A caller's number is what somebody else's network says, so what is no number is not told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from bridge.agents.conversation import Manners, Seconds
from bridge.agents.options import check_targets, functions_of, text_of
from bridge.call import Call
from bridge.errors import ConfigError
from bridge.llm.chat import Chat
from bridge.llm.history import CONTEXT_TOKENS, tokens_in
from bridge.secret import Secret

if TYPE_CHECKING:
    from bridge.surroundings import Surroundings

#: Electron's, less those for the call itself.
MAX_FUNCTIONS: Final = 60
#: The least that must be left for the conversation.
MIN_HISTORY_TOKENS: Final = 2000
#: What no further field of a request may be.
OURS: Final = frozenset({"model", "messages", "stream", "stream_options", "tools", "tool_choice", "n"})
FACTS: Final = ("caller", "called", "carrier", "now")
_FACT: Final = re.compile(r"\{(\w+)\}")
_NUMBER: Final = re.compile(r"\+?[0-9]{1,20}")
_HEADER: Final = re.compile(r"[!-~]+")
#: What the model is where no prompt is given.
PROMPT: Final = (
    "You are a friendly assistant on the telephone. What you write is spoken: use short, plain sentences, no lists, "
    "no markup, no emoji. Answer in one to three sentences, and ask when something is not clear."
)


class LlmAgentOptions(Manners, frozen=True, kw_only=True):
    """``[agent.options]`` of the LLM agent, and the manners of every agent that thinks."""

    #: What comes before /chat/completions, of any endpoint that is compatible with OpenAI's.
    base_url: Annotated[str, Meta(min_length=1)] = "https://api.smallest.ai/waves/v1"
    #: Empty: that of [lightning], where the endpoint is Smallest AI's, or on this machine; elsewhere none.
    api_key: Secret = msgspec.field(default_factory=Secret)
    model: Annotated[str, Meta(min_length=1)] = "electron"
    #: What the model is told to be; a file beside the configuration's. Empty: a friendly assistant.
    prompt_file: str = ""
    #: The time zone of {now}.
    timezone: str = "UTC"
    #: The language it is to answer in, such as "Hindi". Empty: as the prompt has it.
    language: str = ""
    #: Functions that it may call: "module:function".
    tools: Annotated[list[str], Meta(max_length=MAX_FUNCTIONS)] = []
    tool_deadline_s: Seconds = 15.0
    #: How often in a row it may call tools before it has to answer in words.
    tool_rounds: Annotated[int, Meta(ge=0, le=20)] = 4
    #: Whom it may hand callers on to: name = number.
    transfer_to: dict[str, str] = {}
    #: Said before it hangs up without a word.
    farewell: Annotated[str, Meta(min_length=1)] = "Goodbye."
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    #: Of one answer.
    max_tokens: Annotated[int, Meta(ge=1, le=32_000)] = 400
    #: That the model can take, in and out.
    context_tokens: Annotated[int, Meta(ge=3000, le=2_000_000)] = CONTEXT_TOKENS
    #: Further fields of each request, as the endpoint has them.
    parameters: dict[str, Any] = {}

    @property
    def room_for_history(self) -> int:
        """In tokens, the prompt included: what is left beside the answer, and beside what describes the tools."""
        return self.context_tokens - self.max_tokens - 200 * (len(self.tools) + 3)


class Mind:
    """What calls share. Close it when there are no more of them.

    Args:
        open_chat: of an address and a key makes who is asked.

    Raises:
        ConfigError: something of the options cannot be used; its key is relative to ``[agent.options]``.
    """

    def __init__(
        self,
        options: LlmAgentOptions,
        surroundings: Surroundings,
        open_chat: Callable[[str, Secret], Chat] = Chat,
    ) -> None:
        self._template = _prompt(options, surroundings.folder)
        self.functions = functions_of(options.tools)
        self._zone = _zone(options.timezone)
        self.chat = open_chat(options.base_url, _key(options, surroundings))

    async def close(self) -> None:
        """Close the connections."""
        await self.chat.close()

    def prompt_for(self, call: Call, options: LlmAgentOptions) -> str:
        """The prompt, the facts of `call` filled in."""
        facts = {
            "caller": _number(call.from_number),
            "called": _number(call.to_number),
            "carrier": call.carrier,
            "now": f"{call.edition.now().astimezone(self._zone):%A, %d %B %Y, %H:%M}",
        }
        prompt = filled(self._template, facts)
        return f"{prompt}\n\nAnswer in {options.language}." if options.language else prompt


def mind_of(options: LlmAgentOptions, surroundings: Surroundings) -> Mind:
    """The one that is shared; made when it is the first time.

    Raises:
        ConfigError: as `Mind`.
    """
    check(options)
    same = (options.base_url, options.api_key, options.prompt_file, options.timezone, *options.tools)
    return surroundings.shared((__name__, *same), lambda: Mind(options, surroundings))


def filled(template: str, facts: Mapping[str, str]) -> str:
    """`template` with `facts` in the place of their names in braces. Nothing that a fact holds is looked at again."""
    return _FACT.sub(lambda name: facts.get(name[1], name[0]), template)


# -- what may be wrong -------------------------------------------------------------------------------------------------


def check(options: LlmAgentOptions) -> None:
    """Refuse what the options alone show to be wrong.

    Raises:
        ConfigError: something is.
    """
    check_targets(options.transfer_to, options.failure_transfer)
    if ours := OURS.intersection(options.parameters):
        raise ConfigError(f"cannot set {min(ours)}: the agent does", key="parameters")
    if options.room_for_history < MIN_HISTORY_TOKENS:
        raise ConfigError("leaves no room for the conversation beside max_tokens", key="context_tokens")
    parts = urlsplit(options.base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or "@" in parts.netloc:
        raise ConfigError("must be http:// or https://host[:port]/path", key="base_url")
    if options.api_key and not _HEADER.fullmatch(options.api_key.reveal()):
        raise ConfigError("holds a blank or another character that no HTTP header can carry", key="api_key")


def _prompt(options: LlmAgentOptions, folder: Path) -> str:
    if not options.prompt_file:
        return PROMPT
    path = folder / options.prompt_file
    text = text_of(path)
    if unknown := [name for name in _FACT.findall(text) if name not in FACTS]:
        there = ", ".join(f"{{{fact}}}" for fact in FACTS)
        raise ConfigError(f"{path} has {{{unknown[0]}}}; there is {there}", key="prompt_file")
    if tokens_in([{"content": text}]) > options.room_for_history - MIN_HISTORY_TOKENS:
        raise ConfigError(f"{path} is too long for context_tokens", key="prompt_file")
    return text


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise ConfigError(f'there is no time zone "{name}", such as Asia/Kolkata', key="timezone") from None


def _key(options: LlmAgentOptions, surroundings: Surroundings) -> Secret:
    key = surroundings.key_for(options.base_url, options.api_key)
    if not key and (urlsplit(options.base_url).hostname or "").endswith("smallest.ai"):
        raise ConfigError("is missing, and [lightning] has none either", key="api_key")
    return key


def _number(text: str) -> str:
    return text if _NUMBER.fullmatch(text) else "unknown"
