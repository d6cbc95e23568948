"""When to stop talking, and when the caller has finished.

Strategy:

- Time is the audio's own: a window is 32 ms of it. Nothing here reads a clock.
- Two steps. One window that may be speech holds the next packets: the carrier still has its lead to play,
  so a hold that turns out wrong is not heard. `onset_ms` of speech commits: whoever owns the call then
  clears and cancels.
- A hold ends: by a commit, by doubt (quiet windows), or by patience running out. After the last the caller
  must fall quiet before the next hold, so that a noisy line cannot make the voice stutter. Speech still
  commits.
- While the bridge talks, quiet sound is taken for its own echo.
- The state machines are the two tables below; the classes only count windows and look events up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Final

from bridge.media.vad import WINDOW_MS

if TYPE_CHECKING:
    from bridge.config import BargeInMode


class Verdict(StrEnum):
    """What to do with what the bridge is saying."""

    NONE = "none"  #: carry on as before
    HOLD = "hold"  #: send no more packets for now
    RELEASE = "release"  #: it was nothing: send on
    COMMIT = "commit"  #: the caller has the floor: clear and cancel


class Listening(Enum):
    """States of `BargeIn`."""

    CALM = "calm"
    HELD = "held"
    DISMISSED = "dismissed"  #: held too long without a commit; waiting for quiet


class Evidence(Enum):
    """What one window adds to what went before."""

    QUIET = "quiet"  #: no speech, or nobody to interrupt
    HINT = "hint"  #: may be speech
    SPEECH = "speech"  #: has lasted for `onset_ms`
    DOUBT = "doubt"  #: held, and quiet for `doubt_ms`
    IMPATIENCE = "impatience"  #: held for `hold_limit_ms`
    DEAF = "deaf"  #: the bridge is silent, or speech does not interrupt it


BARGE_IN_TABLE: Final[dict[tuple[Listening, Evidence], tuple[Listening, Verdict]]] = {
    (Listening.CALM, Evidence.QUIET): (Listening.CALM, Verdict.NONE),
    (Listening.CALM, Evidence.HINT): (Listening.HELD, Verdict.HOLD),
    (Listening.CALM, Evidence.SPEECH): (Listening.CALM, Verdict.COMMIT),
    (Listening.CALM, Evidence.DEAF): (Listening.CALM, Verdict.NONE),
    (Listening.HELD, Evidence.QUIET): (Listening.HELD, Verdict.NONE),
    (Listening.HELD, Evidence.HINT): (Listening.HELD, Verdict.NONE),
    (Listening.HELD, Evidence.SPEECH): (Listening.CALM, Verdict.COMMIT),
    (Listening.HELD, Evidence.DOUBT): (Listening.CALM, Verdict.RELEASE),
    (Listening.HELD, Evidence.IMPATIENCE): (Listening.DISMISSED, Verdict.RELEASE),
    (Listening.HELD, Evidence.DEAF): (Listening.CALM, Verdict.RELEASE),
    (Listening.DISMISSED, Evidence.QUIET): (Listening.CALM, Verdict.NONE),
    (Listening.DISMISSED, Evidence.HINT): (Listening.DISMISSED, Verdict.NONE),
    (Listening.DISMISSED, Evidence.SPEECH): (Listening.CALM, Verdict.COMMIT),
    (Listening.DISMISSED, Evidence.DEAF): (Listening.CALM, Verdict.NONE),
}


@dataclass(frozen=True, slots=True)
class BargeInPolicy:
    """What may interrupt the bridge.

    `threshold`, `onset_ms`, `gate_dbfs`, `mode` and `min_words` are the operator's (``[barge_in]``); the rest was
    measured (docs/barge-in.md).
    """

    mode: BargeInMode = "both"
    #: Fewer words do not interrupt, where words can be expected. 0: a voice does.
    min_words: int = 0
    #: Probability over which a window is speech. Windows running for `onset_ms` commit.
    threshold: float = 0.7
    onset_ms: float = 64
    #: While the bridge talks, quieter windows are taken for its echo.
    gate_dbfs: float = -45.0
    #: Probability over which a window holds the packets.
    hold_threshold: float = 0.5
    #: A hold is released after so much quiet, and in any case after `hold_limit_ms`.
    doubt_ms: float = 64
    hold_limit_ms: float = 160

    @property
    def hears_speech(self) -> bool:
        """Whether the caller's voice interrupts."""
        return self.mode in ("speech", "both")

    @property
    def hears_digits(self) -> bool:
        """Whether the caller's keys interrupt."""
        return self.mode in ("digits", "both")


class BargeIn:
    """Decides, window by window, whether the caller interrupts. One for each call."""

    def __init__(self, policy: BargeInPolicy) -> None:
        self._policy = policy
        self._hint_threshold = min(policy.hold_threshold, policy.threshold)
        self._state = Listening.CALM
        self._speech_ms = self._quiet_ms = self._held_ms = 0.0

    def set_mode(self, mode: BargeInMode) -> None:
        """Changes what may interrupt, as for one `say`. The next window ends a hold that no longer fits."""
        self._policy = replace(self._policy, mode=mode)

    @property
    def min_words(self) -> int:
        """Fewer words do not interrupt, where words can be expected."""
        return self._policy.min_words

    def window(
        self, probability: float, level_dbfs: float, *, talking: bool, by_words: bool = False
    ) -> Verdict:
        """Takes the detector's next window. Call it for every window, whether the bridge talks or not.

        Args:
            probability: of speech, 0 to 1.
            level_dbfs: of the window.
            talking: whether the caller is hearing the bridge; True during a hold as well.
            by_words: whether words alone may interrupt, see `words`: a voice does not, then.
        """
        if self._state is Listening.CALM and probability < self._hint_threshold:
            self._speech_ms = 0.0  # by far the most windows: the table would say the same
            return Verdict.NONE
        evidence = self._evidence(probability, level_dbfs, talking=talking and not by_words)
        self._state, verdict = BARGE_IN_TABLE[self._state, evidence]
        if verdict is Verdict.COMMIT:
            self.reset()
        return verdict

    def words(self, count: int, *, talking: bool) -> Verdict:
        """Takes how many words the caller has said: `COMMIT` if that interrupts, else `NONE`."""
        if not (talking and self._policy.hears_speech) or count < max(1, self._policy.min_words):
            return Verdict.NONE
        self.reset()
        return Verdict.COMMIT

    def digit(self, *, talking: bool) -> Verdict:
        """Takes a key that the caller pressed: `COMMIT` if that interrupts, else `NONE`."""
        if not (talking and self._policy.hears_digits):
            return Verdict.NONE
        self.reset()
        return Verdict.COMMIT

    def reset(self) -> None:
        """Forgets what it has heard, and any hold: for whoever stops talking for a reason of their own."""
        self._state = Listening.CALM
        self._speech_ms = self._quiet_ms = self._held_ms = 0.0

    def _evidence(self, probability: float, level_dbfs: float, *, talking: bool) -> Evidence:
        policy = self._policy
        if not (talking and policy.hears_speech):
            self._speech_ms = 0.0
            return Evidence.DEAF
        if level_dbfs < policy.gate_dbfs:
            probability = 0.0
        hint = probability >= self._hint_threshold
        self._speech_ms = self._speech_ms + WINDOW_MS if probability >= policy.threshold else 0.0
        self._quiet_ms = 0.0 if hint else self._quiet_ms + WINDOW_MS
        if self._speech_ms >= policy.onset_ms:
            return Evidence.SPEECH
        if self._state is Listening.HELD:
            self._held_ms += WINDOW_MS
            if self._quiet_ms >= policy.doubt_ms:
                return Evidence.DOUBT
            if self._held_ms >= policy.hold_limit_ms and not self._speech_ms:
                return Evidence.IMPATIENCE
        else:
            self._held_ms = 0.0
        return Evidence.HINT if hint else Evidence.QUIET


class Turn(Enum):
    """States of `TurnDetector`."""

    SILENT = "silent"
    SPEAKING = "speaking"


class Voice(Enum):
    """What one window says about the caller's turn."""

    UNCHANGED = "unchanged"
    ONSET = "onset"  #: speech has lasted for `onset_ms`
    HANGOVER = "hangover"  #: silence has lasted for `hangover_ms`


TURN_TABLE: Final[dict[tuple[Turn, Voice], Turn]] = {
    (Turn.SILENT, Voice.UNCHANGED): Turn.SILENT,
    (Turn.SILENT, Voice.ONSET): Turn.SPEAKING,
    (Turn.SPEAKING, Voice.UNCHANGED): Turn.SPEAKING,
    (Turn.SPEAKING, Voice.HANGOVER): Turn.SILENT,
}


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The caller began to speak, `at_ms` into the audio pushed."""

    at_ms: float


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The caller spoke from `start_ms` to `end_ms` and has been silent for `hangover_ms` since."""

    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class TurnPolicy:
    """Where the caller's turn starts and ends."""

    threshold: float = 0.6
    onset_ms: float = 64
    #: Below this a window is silence; between the two, speech goes on but does not start.
    end_threshold: float = 0.35
    #: How long the caller must be silent before the turn is over.
    hangover_ms: float = 600
    #: Quieter windows are silence: first while the bridge talks (its echo), then otherwise.
    talking_gate_dbfs: float = -45.0
    gate_dbfs: float = -60.0


class TurnDetector:
    """Notices when the caller begins and ceases to speak. One for each call."""

    def __init__(self, policy: TurnPolicy | None = None) -> None:
        self._policy = policy or TurnPolicy()
        self._state = Turn.SILENT
        self._speech_ms = 0.0
        self._start_ms = self._last_speech_ms = 0.0

    @property
    def speaking(self) -> bool:
        """Whether the caller has the floor; true until the hangover is over."""
        return self._state is Turn.SPEAKING

    @property
    def voiced_ms(self) -> float:
        """How long speech has lasted without a break, up to now; 0 while it is too short to be sure of."""
        return self._speech_ms if self._speech_ms >= self._policy.onset_ms else 0.0

    @property
    def last_speech_ms(self) -> float:
        """Where the newest speech ended, of this turn or the last one."""
        return self._last_speech_ms

    def window(
        self, probability: float, level_dbfs: float, end_ms: float, *, talking: bool = False
    ) -> SpeechStarted | SpeechEnded | None:
        """Takes the detector's next window, which ends `end_ms` into the call; `talking` as for `BargeIn`."""
        if self._state is Turn.SILENT and probability < self._policy.threshold:
            self._speech_ms = 0.0  # by far the most windows: the table would say the same
            return None
        voice = self._voice(probability, level_dbfs, end_ms, talking=talking)
        self._state = TURN_TABLE[self._state, voice]
        if voice is Voice.ONSET:
            return SpeechStarted(self._start_ms)
        if voice is Voice.HANGOVER:
            return SpeechEnded(self._start_ms, self._last_speech_ms)
        return None

    def _voice(self, probability: float, level_dbfs: float, end_ms: float, *, talking: bool) -> Voice:
        policy = self._policy
        if level_dbfs < (policy.talking_gate_dbfs if talking else policy.gate_dbfs):
            probability = 0.0
        self._speech_ms = self._speech_ms + WINDOW_MS if probability >= policy.threshold else 0.0
        if self._state is Turn.SPEAKING:
            if probability >= policy.end_threshold:
                self._last_speech_ms = end_ms
            return Voice.HANGOVER if end_ms - self._last_speech_ms >= policy.hangover_ms else Voice.UNCHANGED
        if self._speech_ms < policy.onset_ms:
            return Voice.UNCHANGED
        self._start_ms, self._last_speech_ms = end_ms - self._speech_ms, end_ms
        return Voice.ONSET
