"""When is a text spoken that was given bit by bit? Lightning does not say. No I/O, no clock: `now_s` comes in.

Strategy:

- Lightning speaks such a text in runs, each ended by a `complete`, and no `complete` says that it is the last one.
  So it is over when the text has ended, the last run is complete, and then nothing comes for a while.
- The while is short when what was heard can be all of the text: the words say so where Lightning times them; else it
  lasts about as long as the text should, and there were as many runs as fragments were given. It is long when that is
  in doubt, and when most of the text is clearly missing it is not the end but a silence, which is a fault.
- Fragments and their runs make a burst. When a burst is over the next fragment begins another one, judged by
  itself. Between bursts silence is no fault: whoever writes the text may think for as long as it likes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, TypeAlias

from bridge.lightning.pieces import rest_after_words

#: How long a text lasts in the voice that speaks it, in milliseconds.
ExpectedMs: TypeAlias = Callable[[str], float]

#: English at its usual pace and speed 1, in milliseconds; other voices and languages are learnt.
MS_PER_CHAR: Final = 65.0
#: Runs of one text follow each other without a pause; what is on its way from Lightning arrives within this.
GAP_S: Final = 0.3
#: A voice may be so much faster than expected and still have said everything.
COVERED_SHARE: Final = 0.75
#: No voice is so fast: when less than this has been heard, something is missing, whatever the number of runs.
UNSPOKEN_SHARE: Final = 0.5


class Verdict(Enum):
    """What to make of the silence, if there is one."""

    #: Nothing is owed: no text has been given, or all that was has been spoken. More may follow.
    QUIET = auto()
    #: Text is being spoken, or is about to be.
    SPEAKING = auto()
    #: The text has ended, and has been spoken.
    OVER = auto()
    #: Text is owed, and nothing has come for too long.
    SILENT = auto()


@dataclass(frozen=True, slots=True)
class Look:
    """A verdict, and when to look again; None when nothing changes by itself."""

    verdict: Verdict
    again_at_s: float | None = None
    #: The deadline that has passed, or will.
    limit_s: float = 0.0


class _Spoken(Enum):
    """How much of a burst has been spoken."""

    ALL = auto()
    PERHAPS_ALL = auto()
    NOT_ALL = auto()


@dataclass(slots=True)
class _Burst:
    """Fragments, and what was heard of them."""

    #: How many fragments came before it.
    number: int
    owed_since_s: float
    heard_at_s: float
    texts: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    expected_ms: float = 0.0
    audio_ms: float = 0.0
    audio_at_s: float | None = None
    runs: int = 0


class EndOfText:
    """What was given and what was heard of it, and what that means.

    Args:
        expected_ms: how long a text takes.
        first_audio_s: how long a burst may wait for its first audio.
        stall_s: and then for more.
    """

    def __init__(
        self, expected_ms: ExpectedMs, *, first_audio_s: float, stall_s: float, gap_s: float = GAP_S
    ) -> None:
        self._expected_ms = expected_ms
        self._first_audio_s, self._stall_s, self._gap_s = first_audio_s, stall_s, gap_s
        self._burst: _Burst | None = None
        self._given = 0
        self._ended = False
        #: Whether audio has come since the last `complete`.
        self.run_open = False
        #: Audio so far, and how much of it came before the current run: what the run's word times begin from.
        self.audio_ms = self.run_began_ms = 0.0

    # -- what happens ----------------------------------------------------------------------------------

    def gave(self, text: str, now_s: float) -> None:
        """A fragment has been sent."""
        burst = self._burst
        if burst is None or self.certain or self._burst_over(burst, now_s):
            burst = self._burst = _Burst(self._given, now_s, now_s)
        elif not self.run_open and burst.runs and _spoken(burst) is not _Spoken.NOT_ALL:
            burst.owed_since_s = now_s  # until now, all may have been spoken
        burst.texts.append(text)
        burst.expected_ms += self._expected_ms(text)
        self._given += 1

    def ended(self) -> None:
        """No more fragments will be sent."""
        self._ended = True

    def audio(self, ms: float, now_s: float) -> None:
        """Audio has come."""
        self.run_open = True
        self.audio_ms += ms
        if self._burst is not None:
            self._burst.audio_ms += ms
            self._burst.audio_at_s = self._burst.heard_at_s = now_s

    def word(self, word: str, now_s: float) -> None:
        """A word has been timed."""
        if self._burst is not None:
            self._burst.words.append(word)
            self._burst.heard_at_s = now_s

    def complete(self, now_s: float) -> None:
        """A run is over. Without audio it was none."""
        if self._burst is not None:
            self._burst.runs += self.run_open
            self._burst.heard_at_s = now_s
        self.run_open = False
        self.run_began_ms = self.audio_ms

    def forget_burst(self) -> None:
        """The current burst went unheard, and will be given again."""
        if self._burst is not None:
            self._given = self._burst.number
        self._burst, self._ended, self.run_open = None, False, False

    # -- what it means ---------------------------------------------------------------------------------

    def look(self, now_s: float) -> Look:
        """What the silence since the last event means."""
        burst = self._burst
        if burst is None:
            return Look(Verdict.OVER if self._ended else Verdict.QUIET)
        over_at_s = self._over_at_s(burst)
        if over_at_s is None:
            return self._owing(burst, now_s)
        if now_s < over_at_s:
            return Look(Verdict.SPEAKING, over_at_s)
        return Look(Verdict.OVER if self._ended else Verdict.QUIET)

    @property
    def certain(self) -> bool:
        """Whether all that was given has been spoken, as far as that can be known."""
        burst = self._burst
        return burst is None or (self._settled(burst) and _spoken(burst) is _Spoken.ALL)

    @property
    def nothing_owed(self) -> bool:
        """Whether the socket may go now without a word being lost."""
        burst = self._burst
        return burst is None or (self._settled(burst) and _share(burst) >= COVERED_SHARE)

    @property
    def unheard_from(self) -> int | None:
        """The number of the fragment that the current burst began with, if nothing of it has been heard."""
        burst = self._burst
        return burst.number if burst is not None and burst.audio_at_s is None else None

    def _settled(self, burst: _Burst) -> bool:
        return burst.runs > 0 and not self.run_open

    def _over_at_s(self, burst: _Burst) -> float | None:
        """When a burst is over, if nothing more comes; None when it cannot be."""
        if not self._settled(burst):
            return None
        spoken = _spoken(burst)
        if spoken is _Spoken.NOT_ALL:
            return None
        since_s = max(burst.heard_at_s, burst.owed_since_s)
        return since_s + (self._gap_s if spoken is _Spoken.ALL else self._stall_s)

    def _burst_over(self, burst: _Burst, now_s: float) -> bool:
        over_at_s = self._over_at_s(burst)
        return over_at_s is not None and now_s >= over_at_s

    def _owing(self, burst: _Burst, now_s: float) -> Look:
        heard = burst.audio_at_s is not None and burst.audio_at_s >= burst.owed_since_s
        limit_s = self._stall_s if heard else self._first_audio_s
        due_s = max(burst.heard_at_s, burst.owed_since_s) + limit_s
        return Look(Verdict.SILENT if now_s >= due_s else Verdict.SPEAKING, due_s, limit_s)


def _spoken(burst: _Burst) -> _Spoken:
    if burst.words and not rest_after_words(_text(burst), burst.words):
        return _Spoken.ALL
    share = _share(burst)
    # A run that is missing is a fragment that is still to come, unless two were spoken in one.
    enough_runs = burst.runs >= len(burst.texts)
    if share < (UNSPOKEN_SHARE if enough_runs else COVERED_SHARE):
        return _Spoken.NOT_ALL
    # Where words are timed they would have said so.
    sure = share >= COVERED_SHARE and enough_runs and not burst.words
    return _Spoken.ALL if sure else _Spoken.PERHAPS_ALL


def _share(burst: _Burst) -> float:
    """How much of the text has been spoken, about: 1 is all of it."""
    by_pace = burst.audio_ms / burst.expected_ms if burst.expected_ms else 1.0
    text = _text(burst)
    by_words = 1 - len(rest_after_words(text, burst.words)) / len(text) if burst.words else 0.0
    return max(by_pace, by_words)


def _text(burst: _Burst) -> str:
    return " ".join(burst.texts)
