"""The agent that a language model thinks for: it listens, asks the model, has it run tools, and says what it answers.

Strategy:

- The conversation has the manners, the model the words. This is between them: what the model is told, what it may do,
  and what of its words the caller has heard.
- The prompt is a file of the operator's. Facts of the call are filled in; what the caller says never is.
- A model may think about a turn that is not over. It may do nothing about one: tools run when the turn is settled.
- What a model says before it calls a tool is heard while the tool runs. What it says before it hangs up is heard first.

Facts, from the shared reference on Lightning, section 10 (Electron), and on reliability, threats T9 and T13.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from bridge.agents.call_tools import HANG_UP, NEED_NO_WORDS, call_tools
from bridge.agents.conversation import Busy, converse
from bridge.agents.llm_mind import LlmAgentOptions, Mind, mind_of
from bridge.agents.loader import options_of
from bridge.call import Call
from bridge.errors import BudgetSpent, ThinkerError
from bridge.llm import chat
from bridge.llm.answer import Done, Token, ToolCalls, sendable
from bridge.llm.history import History, ToolCall, tokens_in
from bridge.tools import Tool, Toolbox, tool_of

if TYPE_CHECKING:
    from bridge.call import Heard, Turn
    from bridge.surroundings import Surroundings


async def agent(call: Call) -> None:
    """Hold a conversation with a language model's words."""
    options = options_of(call.options, LlmAgentOptions)
    await chat.load()
    await hold(call, mind_of(options, call.surroundings), options)


async def hold(call: Call, mind: Mind, options: LlmAgentOptions) -> None:
    """Hold the conversation; ends and raises as `converse`."""
    thinker = LlmThinker(call, mind, options)
    target = options.transfer_to.get(options.failure_transfer, options.failure_transfer)
    await converse(call, thinker, replace(options, failure_transfer=target))


async def prepare(options: LlmAgentOptions, surroundings: Surroundings) -> None:
    """Read and check what calls need, and open a connection to the model.

    Raises:
        ConfigError: something is missing or wrong.
    """
    await chat.load()
    mind = mind_of(options, surroundings)
    await mind.chat.warm()


agent.options_type = LlmAgentOptions  # type: ignore[attr-defined]
agent.prepare = prepare  # type: ignore[attr-defined]
#: Lets it be refused at start where nobody transcribes what callers say.
agent.needs_words = True  # type: ignore[attr-defined]


class LlmThinker:
    """A `Thinker` for one call."""

    def __init__(self, call: Call, mind: Mind, options: LlmAgentOptions) -> None:
        self._call, self._mind, self._options = call, mind, options
        self._history = History(mind.prompt_for(call, options), max_tokens=options.room_for_history)
        self._toolbox = Toolbox(self._tools(), call.stats.agents, call.note)
        #: What the model is told of them.
        self._told = [_told(tool) for tool in self._toolbox.tools.values()]
        #: Utterances that were begun, and of which nobody knows yet what was heard.
        self._unheard = 0
        self._all_heard = asyncio.Event()
        self._all_heard.set()

    def _tools(self) -> list[Tool]:
        deadline_s = self._options.tool_deadline_s
        own = [
            tool_of(function, {Call: self._call}, deadline_s=deadline_s, known=known)
            for function, known in self._mind.functions
        ]
        return [*own, *call_tools(self._call, self._options.transfer_to, self._when_heard)]

    async def answer(self, turn: Turn) -> AsyncIterator[str | Busy]:
        """See `Thinker.answer`."""
        self._history.begin(turn.text)
        self._forget_unheard()
        ran: set[str] = set()
        for left in range(self._options.tool_rounds, -1, -1):
            calls: list[ToolCall] = []
            spoke = False
            async with contextlib.aclosing(self._round(calls, may_call=left > 0)) as answer:
                async for words in answer:
                    spoke = True
                    yield words
            if not calls or not await turn.settled():
                break
            if not left:
                raise ThinkerError("garbage", "the model calls tools though it may not")
            yield Busy(
                sum(self._toolbox.deadline_of(each.name) for each in calls) + self._options.apology_after_s
            )
            await self._run(calls)
            if self._call.ended:
                return
            ran |= {each.name for each in calls}
        if not spoke and (not ran or ran - NEED_NO_WORDS):
            raise ThinkerError("empty")

    def heard(self, heard: Heard) -> None:
        """See `Thinker.heard`."""
        self._history.heard(heard.text, interrupted=heard.interrupted)
        self._unheard = max(0, self._unheard - 1)
        if not self._unheard:
            self._all_heard.set()

    async def _run(self, calls: Sequence[ToolCall]) -> None:
        self._history.called([ToolCall(each.id, each.name, sendable(each.arguments)) for each in calls])
        for each in calls:
            result = await self._toolbox.run(each.name, each.arguments)
            self._history.ran(each.id, result.text)

    # -- one answer of the model's ---------------------------------------------------------------------------

    async def _round(self, calls: list[ToolCall], *, may_call: bool) -> AsyncGenerator[str, None]:
        """The words of one answer; the tools that it wants to be run come into `calls`."""
        question = self._question(may_call)
        text, cost = "", 0
        try:
            async with contextlib.aclosing(self._mind.chat.ask(question)) as events:
                async for event in events:
                    if isinstance(event, Token):
                        before, text = text, text + event.text
                        if text.strip():
                            yield event.text if before.strip() else text.lstrip()
                    elif isinstance(event, ToolCalls):
                        calls += event.calls
                    elif isinstance(event, Done):
                        cost = event.tokens_in + event.tokens_out
            if not text.strip() and any(each.name == HANG_UP for each in calls):
                text = self._options.farewell
                yield text
        finally:
            self._note(text.strip())
            with contextlib.suppress(BudgetSpent):  # said below, where it does not hide why this ends
                self._call.budget.spend("tokens", cost or _estimate(question, text))
        self._call.budget.spend("tokens", 0)

    def _question(self, may_call: bool) -> chat.Question:
        options = self._options
        return chat.Question(
            options.model,
            self._history.messages(),
            tools=self._told,
            may_call=may_call,
            temperature=options.temperature,
            max_tokens=options.max_tokens,
            extra=options.parameters,
            deadline_s=options.apology_after_s,
        )

    def _note(self, text: str) -> None:
        self._history.said(text)
        if text:
            self._unheard += 1
            self._all_heard.clear()

    async def _when_heard(self) -> None:
        await self._all_heard.wait()

    def _forget_unheard(self) -> None:
        self._unheard = 0
        self._all_heard.set()


def _told(tool: Tool) -> dict[str, object]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def _estimate(question: chat.Question, text: str) -> int:
    """What it cost where the endpoint did not say: an answer that was not waited for to its end."""
    return tokens_in(question.messages) + len(text.encode()) // 3
