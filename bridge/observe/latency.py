"""How long callers wait for an answer, part by part. Clock-free: times are milliseconds since the call began.

Strategy:

- One record at a time: it opens when a turn is given to the agent, and closes when the caller can hear the answer.
- What came before it opened (an eager agent's first token) is kept for it, unless the turn was not over after all.
- Each part is measured from where the one before it ended, so that the parts add up to what the caller waited.
- A record that was not answered says why, and counts in no histogram of answers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from bridge.observe.stats import AgentStats
from bridge.observe.timeline import TurnTimed

#: Records kept of one call, the newest ones.
MAX_RECORDS: Final = 200
#: More of an eager agent's tokens than come before a turn is certain.
MAX_EARLY: Final = 256


class CallTurns(Struct, frozen=True):
    """The turns of one call, oldest first. `ended` is why it is over; empty while it is on."""

    call_id: str
    carrier: str
    ended: str
    turns: list[TurnTimed]


class TurnClock:
    """The waits of one call.

    Args:
        stats: where they are counted.
        tell: takes each record that is complete.
    """

    def __init__(self, stats: AgentStats, tell: Callable[[TurnTimed], None]) -> None:
        self._stats, self._tell = stats, tell
        #: What is complete, oldest first.
        self.records: deque[TurnTimed] = deque(maxlen=MAX_RECORDS)
        self._count = 0
        self._open: TurnTimed | None = None
        #: When the open turn was given to the agent.
        self._given_ms = 0.0
        #: Tokens that came while no turn was open.
        self._early_ms: deque[float] = deque(maxlen=MAX_EARLY)

    @property
    def waiting(self) -> int:
        """The number of the turn that waits for its answer; 0 when none does."""
        return self._open.turn if self._open is not None else 0

    def turn(self, speech_end_ms: float, transcript_ms: float | None, now_ms: float) -> None:
        """A turn is given to the agent.

        One before it that was not answered was interrupted if the agent had something to say, else `unanswered`.

        Args:
            speech_end_ms: the caller's last sound.
            transcript_ms: when its words were final; None without words.
        """
        self._close("interrupted" if self._open and self._open.token_ms is not None else "unanswered", now_ms)
        self._count += 1
        # One from before the caller was done is of something else that the agent thought of.
        token_ms = next((at_ms for at_ms in self._early_ms if at_ms >= speech_end_ms), None)
        self._early_ms.clear()
        self._given_ms = now_ms
        self._open = TurnTimed(
            at_ms=now_ms,
            turn=self._count,
            speech_end_ms=speech_end_ms,
            transcript_ms=transcript_ms,
            token_ms=token_ms,
        )
        if transcript_ms is not None:
            self._stats.transcript.observe(_seconds(speech_end_ms, transcript_ms))

    def token(self, now_ms: float) -> None:
        """The agent has some of its answer. Only the first one counts."""
        if self._open is None:
            self._early_ms.append(now_ms)
        elif self._open.token_ms is None:
            self._open = replace(self._open, token_ms=now_ms)

    def went_on(self) -> None:
        """The turn was not over after all: what the eager agent has thought of is void."""
        self._early_ms.clear()

    def audio(self, now_ms: float) -> None:
        """Lightning's first audio of what the agent says has come."""
        if self._open is not None and self._open.audio_ms is None:
            self._open = replace(self._open, audio_ms=now_ms)

    def audible(self, now_ms: float) -> None:
        """From now on the caller hears it."""
        if self._open is None:
            return
        self._open = replace(self._open, audible_ms=now_ms)
        self._observe(self._open, now_ms)
        self._close("answered", now_ms)

    def interrupted(self, now_ms: float) -> None:
        """The caller went on before there was an answer."""
        self._close("interrupted", now_ms)

    def failed(self, now_ms: float) -> None:
        """There will be no answer to this one: an apology is said instead."""
        self._close("failed", now_ms)

    def close(self, now_ms: float) -> None:
        """The call is over."""
        self._close("unanswered", now_ms)
        self._tell = _nobody

    def _observe(self, turn: TurnTimed, audible_ms: float) -> None:
        stats, begun_ms = self._stats, self._given_ms
        stats.response.observe(_seconds(turn.speech_end_ms, audible_ms))
        if turn.token_ms is not None:
            stats.first_token.observe(_seconds(begun_ms, turn.token_ms))
            begun_ms = max(begun_ms, turn.token_ms)
        if turn.audio_ms is not None:
            stats.first_audio.observe(_seconds(begun_ms, turn.audio_ms))

    def _close(self, outcome: str, now_ms: float) -> None:
        if self._open is None:
            return
        record, self._open = replace(self._open, at_ms=now_ms, outcome=outcome), None
        self._stats.turns[outcome] += 1
        self.records.append(record)
        self._tell(record)


def in_words(turn: TurnTimed) -> str:
    """One line of a log: each part as milliseconds after the end of speech, and the outcome if it is no answer."""
    parts = [
        f"{name} {at_ms - turn.speech_end_ms:.0f}"
        for name, at_ms in (
            ("transcript", turn.transcript_ms),
            ("token", turn.token_ms),
            ("audio", turn.audio_ms),
            ("audible", turn.audible_ms),
        )
        if at_ms is not None
    ]
    line = ", ".join(["speech end +0", *parts])
    if parts:
        line += " ms"
    return line if turn.outcome == "answered" else f"{line}; {turn.outcome}"


def _seconds(from_ms: float, to_ms: float) -> float:
    """Never negative: an eager agent has its token before it is given the turn."""
    return max(0.0, to_ms - from_ms) / 1000


def _nobody(_turn: TurnTimed) -> None:
    """Who is told once the call is over."""
