"""What a language model is told of the conversation so far: what was heard, not what was meant.

Strategy:

- An exchange is what the caller said and all that came of it: words, calls of tools with their results, more words.
  It is kept or dropped whole, so a tool's result is never without its call.
- An utterance stands in it as the caller heard it. One that was cut short ends in a dash; one of which nothing was
  heard is left out.
- An exchange of which nothing was heard, and that did nothing, never was: its words come again with the next turn.
- The caller's words are data. They are the content of messages of the user and nothing else, ever.
- It is bounded by messages and by an estimate of tokens: the oldest exchanges go first, the prompt never.

Facts, from the shared reference on Lightning, section 10 (Electron): 32,768 tokens of context, 200 messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from bridge.plain_text import one_line

Message: TypeAlias = dict[str, Any]

#: Electron's.
MAX_MESSAGES: Final = 200
CONTEXT_TOKENS: Final = 32_768
#: What of a caller's turn is kept, in characters: four minutes of fast speech.
MAX_WORDS: Final = 4000
#: Where an utterance was cut short.
CUT: Final = "\u2014"
#: The result of a tool that was running when the caller took the floor.
UNKNOWN: Final = "interrupted: whether it was done is not known"
#: Roles, names and separators of a message, in tokens.
_OVERHEAD: Final = 8


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model wants to be run, with its arguments as JSON."""

    id: str
    name: str
    arguments: str


@dataclass(slots=True)
class _Round:
    """One answer of the model's: words, then calls of tools with their results."""

    #: As they were meant; as they were heard, once that is known.
    text: str = ""
    heard: str | None = None
    calls: Sequence[ToolCall] = ()
    results: dict[str, str] = field(default_factory=dict)

    def messages(self, *, live: bool) -> Iterator[Message]:
        text = self.text if self.heard is None and live else self.heard
        if self.calls:
            yield {"role": "assistant", "content": text or None, "tool_calls": [_told(c) for c in self.calls]}
        elif text:
            yield {"role": "assistant", "content": text}
        for call in self.calls:
            result = self.results.get(call.id, UNKNOWN)
            yield {"role": "tool", "tool_call_id": call.id, "content": result}


@dataclass(slots=True)
class _Exchange:
    user: str = ""
    rounds: list[_Round] = field(default_factory=list)

    @property
    def matters(self) -> bool:
        """Whether anything of it was heard, or done."""
        return any(each.heard or each.calls for each in self.rounds)

    @property
    def calls_alone(self) -> bool:
        """Whether something was done, and nothing heard of it."""
        return self.matters and not any(each.heard for each in self.rounds)

    def messages(self, *, live: bool = False) -> Iterator[Message]:
        if self.user:
            yield {"role": "user", "content": self.user}
        for each in self.rounds:
            yield from each.messages(live=live)


class History:
    """One conversation.

    Args:
        prompt: what the model is to be; sent first, always.
        max_messages: how many may be sent.
        max_tokens: how many tokens they may be, by estimate.
    """

    def __init__(
        self, prompt: str, *, max_messages: int = MAX_MESSAGES, max_tokens: int = CONTEXT_TOKENS
    ) -> None:
        self._prompt = prompt
        self._max_messages, self._max_tokens = max_messages, max_tokens
        self._exchanges: list[_Exchange] = []
        #: The last of them, while it goes on.
        self._live: _Exchange | None = None

    def begin(self, words: str) -> None:
        """The caller said `words`. An exchange before of which nothing came is forgotten.

        Where nothing was heard of one that did something, `words` may begin with its words: those are not told twice,
        or what was done would be done again.
        """
        words = one_line(words)[:MAX_WORDS]
        before = self._live
        self._settle()
        if before is not None and before.calls_alone and words.startswith(before.user):
            words = words[len(before.user) :].lstrip()
        self._live = _Exchange(words)
        self._exchanges.append(self._live)

    def said(self, text: str) -> None:
        """The model answered `text`, which is being said."""
        if self._live is not None and text:
            self._live.rounds.append(_Round(text))

    def called(self, calls: Sequence[ToolCall]) -> None:
        """The tools that the model wanted with its last words are about to be run."""
        if self._live is None:
            return
        if not self._live.rounds or self._live.rounds[-1].calls:  # it said nothing with them
            self._live.rounds.append(_Round(heard=""))
        self._live.rounds[-1].calls = calls

    def ran(self, call_id: str, result: str) -> None:
        """What came of a tool."""
        if self._live is not None and self._live.rounds:
            self._live.rounds[-1].results[call_id] = result

    def heard(self, text: str, *, interrupted: bool = False) -> None:
        """What the caller heard of the first utterance of which that is not known yet; or of one that is no answer."""
        heard = f"{text}{CUT}" if text and interrupted else text
        if self._live is None:
            self._exchanges.append(_Exchange(rounds=[_Round(text, heard)]))
            return
        for each in self._live.rounds:
            if each.heard is None:
                each.heard = heard
                return
        if heard:
            self._live.rounds.append(_Round(text, heard))

    def messages(self) -> list[Message]:
        """What to send, the prompt first. It fits, unless what is going on now is too much by itself."""
        self._drop_oldest()
        messages = [{"role": "system", "content": self._prompt}]
        for exchange in self._exchanges:
            messages += exchange.messages(live=exchange is self._live)
        return messages

    def _settle(self) -> None:
        if self._live is not None and not self._live.matters:
            self._exchanges.remove(self._live)
        self._live = None

    def _drop_oldest(self) -> None:
        counted = [list(each.messages(live=each is self._live)) for each in self._exchanges]
        many = 1 + sum(map(len, counted))
        tokens = tokens_in([{"content": self._prompt}]) + sum(map(tokens_in, counted))
        dropped = 0
        while (many > self._max_messages or tokens > self._max_tokens) and dropped < len(counted) - 1:
            many -= len(counted[dropped])
            tokens -= tokens_in(counted[dropped])
            dropped += 1
        del self._exchanges[:dropped]


def tokens_in(messages: Sequence[Mapping[str, Any]]) -> int:
    """How many tokens messages are, estimated on the high side: one for every three bytes."""
    return sum(_OVERHEAD + _bytes_in(message) // 3 for message in messages)


def _bytes_in(message: Mapping[str, Any]) -> int:
    texts = [message.get("content") or ""]
    texts += [f"{call['id']}{call['function']}" for call in message.get("tool_calls", ())]
    return sum(len(text.encode(errors="replace")) for text in texts)


def _told(call: ToolCall) -> dict[str, Any]:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }
