"""What the caller said and the agent has not taken yet, a turn at a time.

Strategy:

- A turn is kept until the agent asks for it, and no more of them than an agent could want.
- A turn that may not be over is on offer, one at a time. Whoever takes it is told once what became of it; one that
  nobody took is never heard of, and comes as a certain one when it is over.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from bridge.errors import CallEnded
from bridge.observe.stats import AgentStats

#: What the caller said and nobody asked for is forgotten beyond this.
MAX_TURNS: Final = 32


@dataclass(frozen=True, slots=True)
class Turn:
    """What the caller said, from `start_ms` to `end_ms` of the call.

    Attributes:
        text: the words; empty without a transcriber, and when it failed.
        language: as the transcriber names it; empty when it did not say.
        certain: False while the caller may not be done, see `settled`. Only who asks for eager turns gets those.
    """

    start_ms: float
    end_ms: float
    text: str = ""
    language: str = ""
    certain: bool = True
    _fate: asyncio.Future[bool | None] | None = field(default=None, repr=False, compare=False)

    async def settled(self) -> bool:
        """Wait until it is known whether the turn was over; a certain one was. Say nothing before.

        Returns:
            False when the caller went on: forget it, another turn follows with all the words.

        Raises:
            CallEnded: the call ended first.
        """
        if self._fate is None:
            return True
        if (was_over := await asyncio.shield(self._fate)) is None:
            raise CallEnded("the call ended before the turn did")
        return was_over


class Turns:
    """The turns of one call, on their way to its agent."""

    def __init__(self, stats: AgentStats) -> None:
        self._stats = stats
        self._over: deque[Turn] = deque(maxlen=MAX_TURNS)
        self._offer: Turn | None = None
        self._taken: asyncio.Future[bool | None] | None = None

    def wait(self, *, eager: bool = True) -> bool:
        """Whether there is one to take."""
        return bool(self._over) or (eager and self._offer is not None)

    def take(self) -> Turn:
        """The oldest one; the one on offer when there is no other."""
        if self._over:
            return self._over.popleft()
        assert self._offer is not None, "ask `wait` first"
        turn, self._offer = self._offer, None
        self._taken = turn._fate
        self._stats.eager += 1
        return turn

    def offer(self, start_ms: float, end_ms: float, text: str, language: str) -> None:
        """The caller may be done."""
        fate = asyncio.get_running_loop().create_future()
        self._offer = Turn(start_ms, end_ms, text, language, certain=False, _fate=fate)

    def withdraw(self) -> bool:
        """The caller was not done. Returns whether somebody had taken the offer."""
        self._offer = None
        taken = self._settle(False)
        self._stats.eager_wasted += taken
        return taken

    def add(self, turn: Turn) -> None:
        """The caller is done. Whoever has taken the offer has this turn already."""
        self._offer = None
        if not self._settle(True):
            self._over.append(turn)

    def close(self) -> None:
        """The call is over, and whoever waits for what becomes of a turn is told."""
        self._offer = None
        self._settle(None)

    def _settle(self, fate: bool | None) -> bool:
        taken, self._taken = self._taken, None
        if taken is not None:
            taken.set_result(fate)
        return taken is not None
