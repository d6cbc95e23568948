"""The caller's half of a conversation: keys, turns, and who has the floor.

Strategy:

- The detector's windows and the keys come in; barge-in decides whether the bridge falls silent for them, the turn
  detector whether the caller is done.
- What the caller said or pressed is kept until the agent asks for it, and no more of it than an agent could want.
- While a message is taken, the caller's audio goes to the recorder as well, and the keys that end it to nobody else.
- Who has typed all keys of a number often presses # as well, out of habit. That is no answer to what is asked next.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from typing import Final

from bridge.errors import CallEnded
from bridge.media.barge_in import BargeIn, SpeechEnded, SpeechStarted, TurnDetector, Verdict
from bridge.media.keys import Presses, Source
from bridge.media.recorder import EndedBy, Recorder, Recording
from bridge.media.taps import Taps
from bridge.media.vad import Window
from bridge.mouth import Mouth
from bridge.observe import timeline as tl
from bridge.observe.stats import BridgeStats
from bridge.transcribers.transcriber import Transcript, Transcription
from bridge.turns import Turn, Turns
from telephony_codecs.dtmf import DtmfDetector

MAX_DIGITS: Final = 64
#: What is shown instead of a key that is nobody's business.
MASK: Final = "•"
#: After tones of our own, those that we hear may be their echo.
OWN_TONES_S: Final = 0.4
#: A finishing key that comes this soon after input that was complete without it belongs to that input.
HABIT_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Keys:
    """What `collect` has collected. Its `repr` does not show the keys: they may be a secret.

    Attributes:
        keys: the keys, without the one that ended them.
        finished: whether such a key ended them.
        spoke: whether the caller's speech did.
    """

    keys: str = field(default="", repr=False)
    finished: bool = False
    spoke: bool = False


class Habit:
    """Tells a key that only finishes input which was complete without it. Clock-free."""

    def __init__(self) -> None:
        #: The keys that do, and until when.
        self._keys, self._until_s = "", 0.0

    def expect(self, finish_on: str, ahead: deque[str], now_s: float) -> None:
        """Input is complete: the next key is nobody's if it only finishes that. It may have been typed ahead, too."""
        if not ahead:
            self._keys, self._until_s = finish_on, now_s + HABIT_S
        elif ahead[0] in finish_on:
            ahead.popleft()

    def explains(self, key: str, now_s: float) -> bool:
        """Whether `key`, the next one that was pressed, is nobody's."""
        keys, self._keys = self._keys, ""
        return key in keys and now_s < self._until_s


class Ears:
    """What one call hears.

    Args:
        mouth: what is silenced when the caller takes the floor.
        taps: where else the caller's audio can go.
        note: puts an entry into the timeline.
    """

    def __init__(
        self,
        *,
        mouth: Mouth,
        barge_in: BargeIn,
        turn_detector: TurnDetector,
        taps: Taps,
        stats: BridgeStats,
        clock: Callable[[], float],
        note: Callable[..., None],
    ) -> None:
        self._mouth, self._barge_in, self._turn_detector = mouth, barge_in, turn_detector
        self._taps, self._stats, self._clock, self._note = taps, stats, clock, note
        #: Why nothing more will be heard; empty while something may.
        self._over = ""
        self._digits: deque[str] = deque(maxlen=MAX_DIGITS)
        self._turns = Turns(stats.agents)
        #: The caller's words; None where nobody transcribes.
        self.transcription: Transcription | None = None
        #: Turns that began, by now.
        self._onsets = 0
        self._habit = Habit()
        self._news = asyncio.Event()  # a digit, speech, the end of a message, or of the call
        #: Whether the timeline shows keys as `MASK`.
        self.masked = False
        #: Waits for keys that are masked whatever `masked` says.
        self._masking = 0
        self._presses: Presses | None = None
        self._own_tones_until_s = 0.0
        self._recorder: Recorder | None = None
        self._finish_on = ""

    # -- what the agent asks for -----------------------------------------------------------------------------

    @property
    def digits(self) -> str:
        """The keys pressed and not yet gathered."""
        return "".join(self._digits)

    def forget_digits(self) -> None:
        """See `bridge.call.Call.forget_digits`."""
        self._digits.clear()

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
        onsets = self._onsets - self._turn_detector.speaking

        def spoke() -> bool:
            return until_speech and self._onsets > onsets

        self._masking += masked
        try:
            keys, timeout_s = "", first_timeout_s
            while len(keys) < digits:
                if not await self._wait_for_news(lambda: bool(self._digits) or spoke(), timeout_s):
                    break
                if not self._digits:
                    return Keys(keys, spoke=True)
                if (key := self._digits.popleft()) in finish_on:
                    return Keys(keys, finished=True)
                keys, timeout_s = keys + key, next_timeout_s
            if len(keys) == digits > 1:  # an agent may well collect keys one by one, until # comes
                self._habit.expect(finish_on, self._digits, self._clock())
            return Keys(keys)
        finally:
            self._masking -= masked

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
        onsets = self._onsets - self._turn_detector.speaking
        await self._wait_for_news(lambda: self._onsets > onsets or self._turns.wait(), None)

    async def turns(self, timeout_s: float | None, *, eager: bool) -> AsyncIterator[Turn]:
        """See `bridge.call.Call.turns`."""
        while True:
            try:
                self._check()
                arrived = await self._wait_for_news(lambda: self._turns.wait(eager=eager), timeout_s)
            except CallEnded:
                return
            if arrived:
                yield self._turns.take()
            elif not self._turn_detector.speaking:
                return

    def close(self, why: str) -> None:
        """The call is over, and whoever waits is told `why`. Lets go of it, as the mouth does."""
        self._over, self._note = why, _nobody
        self._taps.close()
        self._turns.close()
        if self.transcription is not None:
            self.transcription.close()
        self._news.set()

    def _check(self) -> None:
        if self._over:
            raise CallEnded(self._over)

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
        presses = self._presses = Presses()

        def listen(mulaw: bytes) -> None:
            if (keys := detector.feed(mulaw)) and self._clock() >= self._own_tones_until_s:
                for key in keys:
                    self.press(key, "tones")
            if detector.down:
                presses.is_held(detector.down, self._clock())

        self._taps.add(listen)

    @contextmanager
    def own_tones(self) -> Iterator[None]:
        """While tones go out to the caller: what comes back of them is no key of the caller's."""
        self._own_tones_until_s = inf
        try:
            yield
        finally:
            self._own_tones_until_s = self._clock() + OWN_TONES_S

    def press(self, digit: str, source: Source = "carrier") -> None:
        """The caller pressed a key."""
        if self._presses is not None and not self._presses.is_new(digit, source, self._clock()):
            return
        self._note(tl.DigitPressed, digit=MASK if self.masked or self._masking else digit)
        if self._habit.explains(digit, self._clock()):
            return
        if self._recorder is not None and digit in self._finish_on:
            self._recorder.by = self._recorder.by or "digit"
        else:
            self._digits.append(digit)
        if self._barge_in.digit(talking=self._mouth.utterance is not None) is Verdict.COMMIT:
            self._give_floor("digit", None)
        self._news.set()

    def listen(self, window: Window) -> None:
        """Take one window of the detector: the caller's last 32 ms."""
        talking = self._mouth.utterance is not None
        if talking:
            self._mind(self._barge_in.window(window.probability, window.level_dbfs, talking=True), window)
        turn = self._turn_detector.window(
            window.probability, window.level_dbfs, window.end_ms, talking=talking
        )
        if isinstance(turn, SpeechStarted):
            self._onsets += 1
            self._news.set()
        elif isinstance(turn, SpeechEnded):
            self._end_turn(turn)
        if self._recorder is not None:
            self._recorder.window(window.probability, window.level_dbfs, window.end_ms)
            if self._recorder.by is not None:
                self._news.set()

    def transcript(self, transcript: Transcript) -> None:
        """Take words of the caller."""

    def _mind(self, verdict: Verdict, window: Window) -> None:
        if verdict is Verdict.COMMIT:
            self._give_floor("speech", window.end_ms)
        elif verdict is Verdict.HOLD:
            self._stats.holds += 1
            self._mouth.playout.hold(self._clock())
        elif verdict is Verdict.RELEASE:
            self._stats.false_holds += 1
            self._mouth.playout.release()

    def _give_floor(self, by: str, onset_ms: float | None) -> None:
        utterance = self._mouth.utterance
        if utterance is None:
            return
        self._stats.barge_ins[by] += 1
        self._mouth.stop(utterance, by)
        heard = utterance.heard
        self._note(tl.BargeIn, by=by, dropped_ms=heard.total_ms - heard.ms, onset_ms=onset_ms)

    def _end_turn(self, turn: SpeechEnded) -> None:
        self._turns.add(Turn(turn.start_ms, turn.end_ms))
        self._note(tl.CallerSpoke, start_ms=turn.start_ms, end_ms=turn.end_ms)
        self._news.set()


def _nobody(*_entry: object, **_fields: object) -> None:
    """Who is told once the call is over."""
