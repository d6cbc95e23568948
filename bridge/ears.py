"""The caller's half of a conversation: keys, turns, and who has the floor.

Strategy:

- The detector's windows and the keys come in; barge-in decides whether the bridge falls silent for them, the turn
  detector whether the caller is done.
- What the caller said or pressed is kept until the agent asks for it, and no more of it than an agent could want.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from bridge.errors import CallEnded
from bridge.media.barge_in import BargeIn, SpeechEnded, TurnDetector, Verdict
from bridge.media.vad import Window
from bridge.mouth import Mouth
from bridge.observe import timeline as tl
from bridge.observe.stats import BridgeStats

#: What the caller said and nobody asked for is forgotten beyond this.
MAX_TURNS: Final = 32
MAX_DIGITS: Final = 64


@dataclass(frozen=True, slots=True)
class Turn:
    """What the caller said, from `start_ms` to `end_ms` of the call. `text` is empty without a transcriber."""

    start_ms: float
    end_ms: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class Keys:
    """What was collected: the keys, whether a finishing key ended them, whether the caller spoke instead."""

    keys: str = ""
    finished: bool = False
    spoke: bool = False


class Ears:
    """What one call hears.

    Args:
        mouth: what is silenced when the caller takes the floor.
        note: puts an entry into the timeline.
    """

    def __init__(
        self,
        *,
        mouth: Mouth,
        barge_in: BargeIn,
        turn_detector: TurnDetector,
        stats: BridgeStats,
        clock: Callable[[], float],
        note: Callable[..., None],
    ) -> None:
        self._mouth, self._barge_in, self._turn_detector = mouth, barge_in, turn_detector
        self._stats, self._clock, self._note = stats, clock, note
        #: Why nothing more will be heard; empty while something may.
        self._over = ""
        self._digits: deque[str] = deque(maxlen=MAX_DIGITS)
        self._turns: deque[Turn] = deque(maxlen=MAX_TURNS)
        self._news = asyncio.Event()  # a digit, a turn, or the end

    # -- what the agent asks for -----------------------------------------------------------------------------

    @property
    def digits(self) -> str:
        """The keys pressed and not yet gathered."""
        return "".join(self._digits)

    async def gather(self, digits: int, timeout_s: float, finish_on: str) -> str:
        """See `bridge.call.Call.gather`."""
        collected = ""
        while len(collected) < digits:
            if not self._digits and not await self._wait_for_news(lambda: bool(self._digits), timeout_s):
                break
            digit = self._digits.popleft()
            if digit in finish_on:
                break
            collected += digit
        return collected

    async def turns(self, timeout_s: float | None) -> AsyncIterator[Turn]:
        """See `bridge.call.Call.turns`."""
        while True:
            try:
                self._check()
                arrived = await self._wait_for_news(lambda: bool(self._turns), timeout_s)
            except CallEnded:
                return
            if arrived:
                yield self._turns.popleft()
            elif not self._turn_detector.speaking:
                return

    def close(self, why: str) -> None:
        """The call is over, and whoever waits is told `why`. Lets go of it, as the mouth does."""
        self._over, self._note = why, _nobody
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

    def press(self, digit: str) -> None:
        """The caller pressed a key."""
        self._note(tl.DigitPressed, digit=digit)
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
        if isinstance(turn, SpeechEnded):
            self._end_turn(turn)

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
        self._turns.append(Turn(turn.start_ms, turn.end_ms))
        self._note(tl.CallerSpoke, start_ms=turn.start_ms, end_ms=turn.end_ms)
        self._news.set()


def _nobody(*_entry: object, **_fields: object) -> None:
    """Who is told once the call is over."""
