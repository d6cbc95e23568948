"""Who has the floor: the bridge, the caller, or nobody knows yet.

Strategy:

- A key that interrupts takes the floor at once, and so does a voice where no words can be expected.
- Where they can, a voice only pauses what is said: silence comes just as soon, and the first word takes the floor. No
  word for `resume_after_ms`, and the rest is said from where it was heard; not while somebody is still to be heard,
  but no caller waits for more than twice as long.
- What was resumed once is interrupted by words alone, so that a noisy line cannot make the voice stutter. With
  `min_words` that is so from the beginning, and nothing is paused.
- A transcriber that fails in the middle of a pause leaves us with the voice alone: that takes the floor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bridge.media.barge_in import BargeIn, Verdict
from bridge.media.vad import Window
from bridge.mouth import Mouth, Utterance
from bridge.observe import timeline as tl
from bridge.observe.stats import BridgeStats

#: How often it is looked whether somebody is still to be heard.
_LOOK_AGAIN_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class _Doubt:
    """`utterance` is paused since `since_s`; `onset_ms` is when the voice was heard that paused it."""

    utterance: Utterance
    since_s: float
    onset_ms: float


@dataclass(frozen=True, slots=True)
class Caller:
    """What is known of the caller right now.

    Attributes:
        hears: whether words can be expected.
        voiced: whether a voice is being heard.
        words: said since the last turn.
    """

    hears: bool = False
    voiced: bool = False
    words: int = 0


class Floor:
    """Of one call.

    Args:
        mouth: what is silenced when the caller takes the floor.
        caller: tells what is known of the caller.
        note: puts an entry into the timeline.
        resume_after_ms: how long a word is waited for before the rest is said; 0: nothing is paused.
    """

    def __init__(
        self,
        *,
        mouth: Mouth,
        barge_in: BargeIn,
        caller: Callable[[], Caller],
        stats: BridgeStats,
        clock: Callable[[], float],
        note: Callable[..., None],
        resume_after_ms: float,
    ) -> None:
        self._mouth, self._barge_in, self._caller = mouth, barge_in, caller
        self._stats, self._clock, self._note = stats, clock, note
        self._resume_after_s = resume_after_ms / 1000
        self._doubt: _Doubt | None = None
        self._timer: asyncio.TimerHandle | None = None
        #: Numbers of the utterances seen last and resumed last, and the words of this turn said before the former.
        self._seen = self._resumed = self._words_before = 0

    @property
    def talking(self) -> bool:
        """Whether the caller is hearing the bridge, or is about to."""
        return self._mouth.utterance is not None and self._doubt is None

    # -- what comes in ---------------------------------------------------------------------------------------

    def window(self, window: Window) -> None:
        """Take one window of the detector."""
        utterance = self._mouth.utterance
        if utterance is None or self._doubt is not None:
            return
        if utterance.number != self._seen:
            self._seen, self._words_before = utterance.number, self._caller().words
        verdict = self._barge_in.window(
            window.probability, window.level_dbfs, talking=True, by_words=self._by_words(utterance)
        )
        if verdict is Verdict.COMMIT:
            self._interrupted(utterance, window.end_ms)
        elif verdict is Verdict.HOLD:
            self._stats.holds += 1
            self._mouth.playout.hold(self._clock())
        elif verdict is Verdict.RELEASE:
            self._stats.false_holds += 1
            self._mouth.playout.release()

    def words(self) -> None:
        """The caller's words have changed."""
        utterance = self._mouth.utterance
        if utterance is None:
            return
        if self._doubt is not None:
            if self._new_words():
                self._take("speech", self._doubt.onset_ms)
        elif self._by_words(utterance):
            verdict = self._barge_in.words(self._new_words(), talking=True)
            if verdict is Verdict.COMMIT:
                self._take("speech", None)

    def turn_over(self) -> None:
        """The words of the caller are counted from none again."""
        self._words_before = 0

    def key(self) -> None:
        """The caller pressed a key."""
        if self._barge_in.digit(talking=self._mouth.utterance is not None) is Verdict.COMMIT:
            self._take("digit", None)

    def over(self) -> None:
        """What was said is over, for whatever reason."""
        self._barge_in.reset()
        self._settle()

    def close(self) -> None:
        """The call is over: let go of it, as the mouth does."""
        self._settle()
        self._note, self._caller = tl.nobody, Caller

    # -- how -------------------------------------------------------------------------------------------------

    def _by_words(self, utterance: Utterance) -> bool:
        """Whether words alone may interrupt."""
        wanted = self._barge_in.min_words > 0 or utterance.number == self._resumed
        return wanted and self._caller().hears

    def _new_words(self) -> int:
        """How many the caller has said since the bridge began to speak."""
        words = self._caller().words
        self._words_before = min(self._words_before, words)
        return words - self._words_before

    def _interrupted(self, utterance: Utterance, onset_ms: float) -> None:
        """A voice interrupts. Whether the caller has anything to say is not known yet."""
        waits = self._resume_after_s > 0 and self._caller().hears and not self._new_words()
        if waits and self._mouth.pause():
            self._doubt = _Doubt(utterance, self._clock(), onset_ms)
            self._look_again(self._resume_after_s)
        else:
            self._take("speech", onset_ms)

    def _look_again(self, in_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(in_s, self._decide)

    def _decide(self) -> None:
        """No word has come for so long."""
        if (doubt := self._doubt) is None:
            return
        caller = self._caller()
        if not caller.hears:
            self._take("speech", doubt.onset_ms)
        elif caller.voiced and self._clock() - doubt.since_s < 2 * self._resume_after_s:
            self._look_again(_LOOK_AGAIN_S)
        else:
            self._resume(doubt.utterance)

    def _resume(self, utterance: Utterance) -> None:
        self.over()
        self._resumed = utterance.number
        self._stats.agents.resumed += 1
        self._note(
            tl.Resumed, utterance=utterance.number, heard_ms=self._mouth.playout.heard_ms(self._clock())
        )
        self._mouth.go_on()

    def _settle(self) -> None:
        self._doubt = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _take(self, by: str, onset_ms: float | None) -> None:
        """The caller has the floor."""
        utterance = self._mouth.utterance
        if utterance is None:
            return
        self._settle()
        self._stats.barge_ins[by] += 1
        self._mouth.stop(utterance, by)
        heard = utterance.heard
        self._note(tl.BargeIn, by=by, dropped_ms=heard.total_ms - heard.ms, onset_ms=onset_ms)
