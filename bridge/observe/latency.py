"""How long callers wait for an answer, part by part. Clock-free: times are milliseconds since the call began.

Strategy:

- One record at a time: it opens when a turn is given to the agent, and closes when the caller can hear the answer.
- What came before it opened (an eager agent's first token) is kept for it, unless the turn was not over after all.
"""

from __future__ import annotations

from collections.abc import Callable

from bridge.observe.stats import AgentStats
from bridge.observe.timeline import TurnTimed


class TurnClock:
    """The waits of one call.

    Args:
        stats: where they are counted.
        tell: takes each record that is complete.
    """

    def __init__(self, stats: AgentStats, tell: Callable[[TurnTimed], None]) -> None:
        self._stats, self._tell = stats, tell

    def turn(self, speech_end_ms: float, transcript_ms: float | None, now_ms: float) -> None:
        """A turn is given to the agent. One before it that was not answered is `unanswered`."""

    def token(self, now_ms: float) -> None:
        """The agent has some of its answer. Only the first one counts."""

    def went_on(self) -> None:
        """The turn was not over after all: what the eager agent has thought of is void."""

    def audio(self, now_ms: float) -> None:
        """Lightning's first audio of what the agent says has come."""

    def audible(self, now_ms: float) -> None:
        """From now on the caller hears it."""

    def interrupted(self, now_ms: float) -> None:
        """The caller went on before there was an answer."""

    def failed(self, now_ms: float) -> None:
        """There will be no answer to this one: an apology is said instead."""

    def close(self, now_ms: float) -> None:
        """The call is over."""
