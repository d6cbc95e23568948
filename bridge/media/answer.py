"""One utterance as the answer to a turn: when the caller hears the first sound of it. Pure.

Strategy:

- It is told what is written to the playout, and looks at the playout's clock to see what the caller has reached: the
  silence that a voice begins with is waited through, and a filler before it is no answer.
- Told to the call's `TurnClock` when it has happened, with the very time of it: cut short before, it was no answer.
"""

from __future__ import annotations

from bridge.media.first_sound import FirstSound
from bridge.media.playout import Playout
from bridge.observe.latency import TurnClock


class Answer:
    """What an utterance that answers a turn has come to.

    Args:
        turns: of the call.
        started_s: when the call began, in the seconds that `now_s` is.
    """

    def __init__(self, turns: TurnClock, started_s: float) -> None:
        self._turns, self._started_s = turns, started_s
        self._turn = turns.waiting
        self._looks_for: FirstSound | None = FirstSound()
        #: Where its first audio was written, and where its first sound is, in ms of the utterance.
        self._begins_ms: float | None = None
        self._sounds_ms: float | None = None
        self._told = False

    @property
    def over(self) -> bool:
        """Whether nothing more is to be told: it is heard, or the caller has gone on to another turn."""
        return self._told or self._turns.waiting != self._turn

    def token(self, now_s: float) -> None:
        """The agent has some of it."""
        if not self.over:
            self._turns.token(self._ms(now_s))

    def written(self, mulaw: bytes, at_ms: float, now_s: float, *, made: bool) -> None:
        """`mulaw` is about to be written at `at_ms` of the utterance; `made`: Lightning has just made it."""
        if self._looks_for is None or self.over:
            return
        if self._begins_ms is None:
            self._begins_ms = at_ms
            if made:
                self._turns.audio(self._ms(now_s))
        found_ms = self._looks_for.feed(mulaw)
        if found_ms is not None:
            self._sounds_ms, self._looks_for = self._begins_ms + found_ms, None

    def heed(self, playout: Playout, now_s: float) -> None:
        """Tell that it is heard, as soon as it is."""
        if self.over or self._sounds_ms is None:
            return
        heard_at_s = playout.plays_at_s(self._sounds_ms)
        if heard_at_s is not None and heard_at_s <= now_s:
            self._told = True
            self._turns.audible(self._ms(heard_at_s))

    def stopped(self, playout: Playout, now_s: float) -> None:
        """The caller has cut it short."""
        self.heed(playout, now_s)
        if not self.over:
            self._told = True
            self._turns.interrupted(self._ms(now_s))

    def failed(self, now_s: float) -> None:
        """There is none: an apology is said instead."""
        if not self.over:
            self._told = True
            self._turns.failed(self._ms(now_s))

    def _ms(self, at_s: float) -> float:
        return (at_s - self._started_s) * 1000
