"""The caller's keys: which count, which are shown, and which are kept.

Strategy:

- A key comes by message or as tones in the caller's audio, and counts once whichever came first.
- What was pressed is kept until the agent asks for it, and no more of it than an agent could want.
- Who has typed all keys of a number often presses # as well, out of habit. That is no answer to what is asked next.
- While tones of our own go out, and shortly after, those that are heard are nobody's key.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from typing import Final

from bridge.media.keys import Presses, Source
from bridge.media.taps import Taps
from bridge.observe import timeline as tl
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


class Keypad:
    """The keys of one call.

    Args:
        clock: monotonic seconds.
        note: puts an entry into the timeline.
    """

    def __init__(self, clock: Callable[[], float], note: Callable[..., None]) -> None:
        self._clock, self._note = clock, note
        #: The keys pressed and not yet gathered.
        self.digits: deque[str] = deque(maxlen=MAX_DIGITS)
        #: Whether the timeline shows keys as `MASK`.
        self.masked = False
        #: Waits for keys that are masked whatever `masked` says.
        self._masking = 0
        self._habit = Habit()
        self._presses: Presses | None = None
        self._own_tones_until_s = 0.0

    def counts(self, digit: str, source: Source = "carrier") -> bool:
        """Whether `digit`, which the caller pressed, is one to be taken. It is noted, unless it is no new one."""
        if self._presses is not None and not self._presses.is_new(digit, source, self._clock()):
            return False
        self._note(tl.DigitPressed, digit=MASK if self.masked or self._masking else digit)
        return not self._habit.explains(digit, self._clock())

    async def collect(
        self,
        digits: int,
        finish_on: str,
        arrives: Callable[[float], Awaitable[bool]],
        timeouts_s: tuple[float, float],
    ) -> Keys:
        """Gather up to `digits` keys, or those before one of `finish_on`.

        Args:
            arrives: waits for a key, or for the caller to speak; False when none has come in so many seconds.
            timeouts_s: how long to wait for the first key, and for each further one.
        """
        keys, (timeout_s, next_timeout_s) = "", timeouts_s
        while len(keys) < digits:
            if not await arrives(timeout_s):
                return Keys(keys)
            if not self.digits:
                return Keys(keys, spoke=True)
            if (key := self.digits.popleft()) in finish_on:
                return Keys(keys, finished=True)
            keys, timeout_s = keys + key, next_timeout_s
        if digits > 1:  # an agent may well collect keys one by one, until # comes
            self._habit.expect(finish_on, self.digits, self._clock())
        return Keys(keys)

    @contextmanager
    def masking(self, masked: bool) -> Iterator[None]:
        """Meanwhile the timeline does not show what is pressed, if `masked`."""
        self._masking += masked
        try:
            yield
        finally:
            self._masking -= masked

    def detect_tones(self, detector: DtmfDetector, taps: Taps, press: Callable[[str, Source], None]) -> None:
        """From now on, `detector` finds keys in the caller's audio, besides those that the carrier tells of."""
        presses = self._presses = Presses()

        def listen(mulaw: bytes) -> None:
            if (keys := detector.feed(mulaw)) and self._clock() >= self._own_tones_until_s:
                for key in keys:
                    press(key, "tones")
            if detector.down:
                presses.is_held(detector.down, self._clock())

        taps.add(listen)

    @contextmanager
    def own_tones(self) -> Iterator[None]:
        """While tones go out to the caller: what comes back of them is no key of the caller's."""
        self._own_tones_until_s = inf
        try:
            yield
        finally:
            self._own_tones_until_s = self._clock() + OWN_TONES_S

    def close(self) -> None:
        """The call is over: let go of it."""
        self._note = tl.nobody
