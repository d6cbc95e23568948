"""A language model without a network: it answers by the emulator's rules, and refuses what endpoints refuse."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from bridge.emulators.llm_rules import Rule, reply_to, request_in
from bridge.llm.answer import Done, Event, Token, ToolCalls
from bridge.llm.chat import Chat, Question
from bridge.llm.history import ToolCall


class RuledChat(Chat):
    """Its first token takes `first_s`, and each one `token_s` after that."""

    def __init__(self, rules: Sequence[Rule], first_s: float = 0.0, token_s: float = 0.0) -> None:
        self.rules, self.first_s, self.token_s = rules, first_s, token_s
        #: What it was asked, oldest first.
        self.requests: list[dict[str, Any]] = []

    async def close(self) -> None:
        """Nothing is open."""

    async def ask(self, question: Question) -> AsyncGenerator[Event, None]:
        """See `Chat.ask`."""
        body = question.fields()
        self.requests.append(body)
        assert not isinstance(why := request_in(json.dumps(body).encode(), ""), str), why
        json.dumps(body, ensure_ascii=False).encode()  # as the client of `openai` does
        await asyncio.sleep(self.first_s)
        reply = reply_to(self.rules, question.messages)
        for word in re.findall(r"\s*\S+\s*", reply.text):
            yield Token(word)
            await asyncio.sleep(self.token_s)
        if reply.call:
            yield ToolCalls((ToolCall("call_0", reply.call, reply.arguments),))
        yield Done(10, 10)
