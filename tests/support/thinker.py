"""A thinker that answers from a script, and notes what it was asked and told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from bridge.agents.conversation import Busy
from bridge.call import Heard, Turn

#: Words; a wait in seconds (`HANGS` is for ever); something to do; or what it fails with.
Step: TypeAlias = str | float | Busy | Exception

HANGS = float("inf")


@dataclass
class ScriptedThinker:
    """Its n-th answer is the n-th script; after the last one, that again."""

    scripts: Sequence[Sequence[Step]]
    asked: list[str] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)
    #: How each answer ended: ``whole`` or ``void``.
    ends: list[str] = field(default_factory=list)

    async def answer(self, turn: Turn) -> AsyncIterator[str | Busy]:
        number = min(len(self.asked), len(self.scripts) - 1)
        self.asked.append(turn.text)
        end = "void"
        try:
            for step in self.scripts[number]:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, float):
                    await asyncio.sleep(10_000 if step == HANGS else step)
                else:
                    yield step
            end = "whole"
        finally:
            self.ends.append(end)

    def heard(self, heard: Heard) -> None:
        self.told.append((heard.text, heard.by))
