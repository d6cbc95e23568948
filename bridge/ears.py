"""The caller's half of a conversation: keys, turns, and who has the floor.

Strategy:

- The detector's windows, the transcriber's words and the keys come in. The floor decides whether the bridge falls
  silent for them, the turn's end whether the caller is done; this one only carries what they say.
- What the caller said or pressed is kept until the agent asks for it, and no more of it than an agent could want.
- While a message is taken, the caller's audio goes to the recorder as well, and the keys that end it to nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Protocol

from bridge.config_agents import TurnsConfig
from bridge.errors import CallEnded
from bridge.floor import Caller, Floor
from bridge.keypad import Keypad, Keys
from bridge.media import turn_end
from bridge.media.barge_in import BargeIn, SpeechStarted, TurnDetector
from bridge.media.keys import Source
from bridge.media.recorder import EndedBy, Recorder, Recording
from bridge.media.taps import Taps
from bridge.media.turn_end import TurnEnd, TurnEndPolicy
from bridge.media.vad import WINDOW_MS, Window
from bridge.mouth import Mouth
from bridge.observe import timeline as tl
from bridge.observe.latency import TurnClock
from bridge.observe.stats import BridgeStats
from bridge.transcribers.transcriber import Transcript, Transcription
from bridge.turns import Turn, Turns
from telephony_codecs.dtmf import DtmfDetector


class TurnJudge(Protocol):
    """Tells by the sound of it whether what the caller said is complete."""

    def ask(self, then: Callable[[bool], None]) -> None:
        """Judge what was heard up to now, and call `then` from the event loop. It may never be called."""

    def close(self) -> None:
        """The call is over: nobody is called any more."""


class Ears:
    """What one call hears.

    Args:
        mouth: what is silenced when the caller takes the floor.
        taps: where else the caller's audio can go.
        turns: how patient the bridge is.
        turn_clock: told of each turn that the agent is given.
        started_s: when the call began, in seconds of `clock`.
        note: puts an entry into the timeline.
    """

    def __init__(
        self,
        *,
        mouth: Mouth,
        barge_in: BargeIn,
        turn_detector: TurnDetector,
        taps: Taps,
        turns: TurnsConfig,
        turn_clock: TurnClock,
        stats: BridgeStats,
        clock: Callable[[], float],
        started_s: float,
        note: Callable[..., None],
    ) -> None:
        self._mouth, self._turn_detector, self._taps = mouth, turn_detector, taps
        self._stats, self._clock, self._note = stats, clock, note
        self._turn_clock, self._started_s = turn_clock, started_s
        self._finalize_after_ms, self._eager = turns.finalize_after_ms, turns.eager
        self.keypad = Keypad(clock, note)
        self._floor = Floor(
            mouth=mouth,
            barge_in=barge_in,
            caller=self._caller,
            stats=stats,
            clock=clock,
            note=note,
            resume_after_ms=turns.resume_after_ms,
        )
        self._turn_end = TurnEnd(_policy(turns, barge_in.min_words))
        self._turns = Turns(stats.agents)
        #: The caller's words, and whether they sound complete; None where nobody tells.
        self.transcription: Transcription | None = None
        self.judge: TurnJudge | None = None
        #: Whether the waits for answers begin with the turns that are found here.
        self.times_turns = True
        #: Why nothing more will be heard; empty while something may.
        self._over = ""
        #: Turns that began, by now.
        self._onsets = 0
        #: When the newest words of this turn came that will not change, in ms of the call; when the bridge fell silent.
        self._told_ms: float | None = None
        self._quiet_since_s = 0.0
        self._news = asyncio.Event()  # a digit, speech, words, silence, the end of a message, or of the call
        #: Ends it between two windows.
        self._patience: asyncio.TimerHandle | None = None
        self._recorder: Recorder | None = None
        self._finish_on = ""

    # -- what the agent asks for -----------------------------------------------------------------------------

    @property
    def digits(self) -> str:
        """The keys pressed and not yet gathered."""
        return "".join(self.keypad.digits)

    def forget_digits(self) -> None:
        """See `bridge.call.Call.forget_digits`."""
        self.keypad.digits.clear()

    async def collect(
        self,
        digits: int,
        *,
        first_timeout_s: float,
        next_timeout_s: float,
        finish_on: str,
        masked: bool,
        until_speech: bool,
    ) -> Keys:
        """See `bridge.call.Call.collect`."""
        keypad, onsets = self.keypad, self._onsets - self._turn_detector.speaking

        def arrived() -> bool:
            return bool(keypad.digits) or (until_speech and self._onsets > onsets)

        with keypad.masking(masked):
            return await keypad.collect(
                digits, finish_on, partial(self._wait_for_news, arrived), (first_timeout_s, next_timeout_s)
            )

    async def record(self, recorder: Recorder, finish_on: str, within_s: float) -> Recording:
        """Have `recorder` take a message, until it is over, or `within_s` are, or the call."""
        if self._recorder is not None:
            raise RuntimeError("a message is being recorded already: await that first")
        self._recorder, self._finish_on = recorder, finish_on
        self._taps.add(recorder.feed)
        by: EndedBy = "limit"
        try:
            await self._wait_for_news(lambda: recorder.by is not None, within_s)
        except CallEnded:
            by = "hang_up"
        finally:
            self._taps.remove(recorder.feed)
            self._recorder = None
        return recorder.take(by)

    @property
    def hears(self) -> bool:
        """See `bridge.call.Call.hears`."""
        return self.transcription is not None and self.transcription.able

    async def caller_speaks(self) -> None:
        """See `bridge.call.Call.caller_speaks`."""
        self._check()
        await self._wait_for_news(lambda: self._turn_end.going_on or self._turns.wait(), None)

    async def turns(self, timeout_s: float | None, *, eager: bool) -> AsyncIterator[Turn]:
        """See `bridge.call.Call.turns`."""
        while True:
            try:
                self._check()
                if not await self._turn_comes(timeout_s, eager=eager):
                    return
            except CallEnded:
                return
            yield self._turns.take()

    def close(self, why: str) -> None:
        """The call is over, and whoever waits is told `why`. Lets go of it, as the mouth does."""
        self._over, self._note = why, tl.nobody
        self._taps.close()
        self.keypad.close()
        self._floor.close()
        self._turns.close()
        if self._patience is not None:
            self._patience.cancel()
        for each in (self.transcription, self.judge):
            if each is not None:
                each.close()
        self._news.set()

    def _check(self) -> None:
        if self._over:
            raise CallEnded(self._over)

    async def _turn_comes(self, timeout_s: float | None, *, eager: bool) -> bool:
        """Wait until there is a turn; False when nobody has said anything for `timeout_s`."""
        asked_s = self._clock()

        def arrived() -> bool:
            return self._turns.wait(eager=eager)

        while timeout_s is not None:
            left_s = max(asked_s, self._quiet_since_s) + timeout_s - self._clock()
            if await self._wait_for_news(arrived, max(0.0, left_s)):
                return True
            if self._somebody_speaks():
                await self._wait_for_news(lambda: arrived() or not self._somebody_speaks(), None)
            elif max(asked_s, self._quiet_since_s) + timeout_s <= self._clock():
                return arrived()
        return await self._wait_for_news(arrived, None)

    def _somebody_speaks(self) -> bool:
        utterance = self._mouth.utterance
        return not self._turn_end.idle or (utterance is not None and not utterance.aside)

    async def _wait_for_news(self, arrived: Callable[[], bool], timeout_s: float | None) -> bool:
        """Wait until `arrived()`; False when time runs out.

        Raises:
            CallEnded: the call ended first.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while not arrived():
                    self._check()
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    # -- what comes in ---------------------------------------------------------------------------------------

    def detect_tones(self, detector: DtmfDetector) -> None:
        """From now on, `detector` finds keys in the caller's audio, besides those that the carrier tells of."""
        self.keypad.detect_tones(detector, self._taps, self.press)

    def own_tones(self) -> AbstractContextManager[None]:
        """While tones go out to the caller: what comes back of them is no key of the caller's."""
        return self.keypad.own_tones()

    def press(self, digit: str, source: Source = "carrier") -> None:
        """The caller pressed a key."""
        if not self.keypad.counts(digit, source):
            return
        if self._recorder is not None and digit in self._finish_on:
            self._recorder.by = self._recorder.by or "digit"
        else:
            self.keypad.digits.append(digit)
        self._floor.key()
        self._news.set()

    def listen(self, window: Window) -> None:
        """Take one window of the detector: the caller's last 32 ms."""
        talking, detector, caller = self._floor.talking, self._turn_detector, self._turn_end
        if talking:
            self._floor.window(window)
        turn = detector.window(window.probability, window.level_dbfs, window.end_ms, talking=talking)
        if isinstance(turn, SpeechStarted):
            self._onsets += 1
            self._news.set()
        caller.window(
            window.end_ms,
            voiced_ms=detector.voiced_ms,
            last_speech_ms=detector.last_speech_ms,
            able=self.hears,
            talking=talking,
        )
        if not caller.idle:
            self._decide()
        self._wait_for_patience(window)
        if self._recorder is not None:
            self._recorder.window(window.probability, window.level_dbfs, window.end_ms)
            if self._recorder.by is not None:
                self._news.set()

    def transcript(self, transcript: Transcript) -> None:
        """Take words of the caller."""
        if self._over:
            return
        self._turn_end.transcript(transcript, able=self.hears)
        if transcript.final:
            self._told_ms = self._now_ms()
        if self._turn_end.voiced:
            self._floor.words()
        self._decide()
        self._news.set()

    def bridge_fell_silent(self, *, counts: bool) -> None:
        """What the bridge said is over, for whatever reason; `counts`: it was said to somebody, as music is not."""
        self._floor.over()
        if counts:
            self._quiet_since_s = self._clock()
            self._news.set()

    # -- what follows from it --------------------------------------------------------------------------------

    def _caller(self) -> Caller:
        caller = self._turn_end
        voiced = caller.voiced and caller.silent_ms < self._finalize_after_ms
        return Caller(self.hears, voiced, turn_end.count_words(caller.text))

    def _decide(self) -> None:
        for outcome in self._turn_end.decide(talking=self._floor.talking):
            self._heed(outcome)
            self._news.set()
        if self._turn_end.idle:
            self._told_ms = None
            self._floor.turn_over()

    def _wait_for_patience(self, window: Window) -> None:
        """Patience may end between two windows: who waits for an answer need not wait for the second one as well."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        left_ms = self._turn_end.due_in_ms
        if left_ms is not None and 0 < left_ms < WINDOW_MS:
            behind_ms = max(0.0, window.stream.pushed_ms - window.end_ms)
            in_s = max(0.0, left_ms - behind_ms) / 1000
            self._patience = asyncio.get_running_loop().call_later(in_s, self._patience_ends, left_ms)

    def _patience_ends(self, left_ms: float) -> None:
        if not self._over and self._turn_end.due_in_ms is not None:
            self._turn_end.be_silent(left_ms)
            self._decide()

    def _heed(self, outcome: turn_end.Outcome) -> None:
        match outcome:
            case turn_end.Finalize(pause):
                self._ask(pause)
            case turn_end.Likely(start_ms, end_ms, text, language):
                if self._eager:
                    self._turns.offer(start_ms, end_ms, text, language)
            case turn_end.WentOn():
                if self._turns.withdraw():
                    self._turn_clock.went_on()
            case turn_end.Over(start_ms, end_ms, text, language):
                self._end_turn(Turn(start_ms, end_ms, text, language))
            case turn_end.Backchannel(text):
                self._stats.agents.backchannels += 1
                self._note(tl.Backchannel, text=text)
            case turn_end.Wordless():
                self._stats.agents.wordless += 1

    def _ask(self, pause: int) -> None:
        if self.transcription is not None:
            self.transcription.finalize()
        if self.judge is not None:
            self.judge.ask(partial(self._judged, pause))

    def _judged(self, pause: int, complete: bool) -> None:
        if not self._over:
            self._turn_end.judge(complete, pause)
            self._decide()

    def _end_turn(self, turn: Turn) -> None:
        now_ms = self._now_ms()
        speech_end_ms = now_ms - (self._turn_end.now_ms - turn.end_ms)
        self._turns.add(turn)
        if self.times_turns:
            self._turn_clock.turn(speech_end_ms, self._told_ms if turn.text else None, now_ms)
        self._note(tl.CallerSpoke, start_ms=turn.start_ms, end_ms=turn.end_ms, text=turn.text)

    def _now_ms(self) -> float:
        return (self._clock() - self._started_s) * 1000


def _policy(turns: TurnsConfig, min_words: int) -> TurnEndPolicy:
    return TurnEndPolicy(
        patience_ms=turns.patience_ms,
        unfinished_patience_ms=turns.unfinished_patience_ms,
        finalize_after_ms=turns.finalize_after_ms,
        words_within_ms=turns.words_within_ms,
        min_words=min_words,
    )
