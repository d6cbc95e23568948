"""What a simulated caller does, and when: speak, press keys, wait, hang up. Clock-free, no I/O.

Strategy:

- A script is a list of actions in order. The cue of an action is judged from the moment the one before it
  ended, so that "after two seconds of the bridge" means two seconds of what it says now.
- `step` is asked once for each slot of 20 ms and says what is on the caller's line in it. Between utterances
  that is comfort noise, because a line of digital silence flatters every speech detector.
- Every call ends: `hang_up_after_s` holds whatever the bridge does, and a caller who waits for it in vain gives up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from bridge.emulators.carrier_buffer import SLOT_BYTES, SLOT_MS
from bridge.emulators.recording import CallerStarted, CallerStopped, CallRecording, DigitPressed
from telephony_codecs.dtmf import digits_audio
from telephony_codecs.formats import MULAW_8K
from telephony_codecs.g711 import mulaw_decode, mulaw_encode
from telephony_codecs.pcm import level_dbfs, saturated
from telephony_codecs.reframer import Reframer
from telephony_codecs.transcoder import Transcoder
from telephony_codecs.wav import read_wav

#: A recording is taken to speak from its first slot that is this loud.
SPEECH_DBFS: Final = -45.0
DIGITS: Final = frozenset("0123456789*#ABCD")
#: A person presses keys about this fast, and holds each so long.
DIGIT_GAP_MS: Final = 160.0
DIGIT_MS: Final = 100.0

_NOISE_MS: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """When an action begins. Give exactly one, and `once` with it where that is not enough.

    Attributes:
        at_s: at this second of the media stream; at once if that is past.
        after_s: so long after the action before ended, whatever the bridge does.
        after_bridge_speaks_ms: once this much of the bridge was heard since the action before: the way to
            interrupt it.
        after_bridge_silent_ms: once the bridge has spoken since the action before, and then been silent for
            this long: the way to take turns.
        once: and not before this holds. It is asked for each slot, and must not wait.

    Raises:
        ValueError: none was given, or more than one.
    """

    at_s: float | None = None
    after_s: float | None = None
    after_bridge_speaks_ms: float | None = None
    after_bridge_silent_ms: float | None = None
    once: Callable[[], bool] | None = None

    def __post_init__(self) -> None:
        given = (self.at_s, self.after_s, self.after_bridge_speaks_ms, self.after_bridge_silent_ms)
        if sum(value is not None for value in given) != 1:
            raise ValueError(
                "a cue is one of at_s, after_s, after_bridge_speaks_ms and after_bridge_silent_ms"
            )

    @property
    def of_the_bridge(self) -> bool:
        """Whether it may never come, because it depends on what the bridge does."""
        timed = self.at_s is not None or self.after_s is not None
        return not timed or self.once is not None


@dataclass(frozen=True)
class Utterance:
    """Something the caller says: mu-law at 8 kHz, and when it begins."""

    audio: bytes
    cue: Cue

    @classmethod
    def from_wav(cls, wav: Path | str | bytes, cue: Cue) -> Utterance:
        """Of a WAV file or the bytes of one, of any rate and encoding; of stereo the left channel.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is not a WAV, or one of an encoding that is not understood.
        """
        sound = read_wav(wav)
        transcoder = Transcoder(sound.format, MULAW_8K)
        return cls(transcoder.feed(sound.channel(0)) + transcoder.flush(), cue)

    @cached_property
    def frames(self) -> list[bytes]:
        """It in slots of 160 bytes, the last one filled with silence."""
        reframer = Reframer(SLOT_BYTES)
        frames = reframer.feed(self.audio)
        tail = reframer.flush(MULAW_8K.silent_sample)
        return [*frames, tail] if tail else frames

    @cached_property
    def onset(self) -> int:
        """Index of the first frame loud enough to be speech; 0 when none is."""
        levels = (level_dbfs(mulaw_decode(frame)) for frame in self.frames)
        return next((n for n, level in enumerate(levels) if level >= SPEECH_DBFS), 0)


@dataclass(frozen=True)
class Press:
    """Keys the caller presses, one after the other, and when the first one is.

    Attributes:
        in_band: the keys are heard as tones in the caller's audio, and the carrier tells nothing of them.

    Raises:
        ValueError: a key is not one of a telephone's.
    """

    digits: str
    cue: Cue
    in_band: bool = False

    def __post_init__(self) -> None:
        if not self.digits or set(self.digits) - DIGITS:
            raise ValueError(f"{self.digits!r} are not keys of a telephone: 0-9, *, #, A-D")


@dataclass(frozen=True)
class Pause:
    """The caller does nothing, for `ms`, and when that begins."""

    ms: float
    cue: Cue


@dataclass(frozen=True)
class HangUp:
    """The caller hangs up, and when."""

    cue: Cue


Action: TypeAlias = Utterance | Press | Pause | HangUp


@dataclass(frozen=True, slots=True)
class Step:
    """One slot of the caller's line."""

    #: 160 bytes of mu-law.
    frame: bytes
    #: The key pressed at its beginning, or nothing.
    digit: str = ""


class CallerScript:
    """Plays `actions` against what the bridge says.

    Args:
        actions: what the caller does, in order.
        recording: notes when the caller speaks.
        noise_dbfs: comfort noise on the line between utterances; None is digital silence.
        hang_up_after_s: the call lasts no longer than this.
        hang_up_on_silence_s: hang up when all is done and the bridge is silent for this long; None: never.
        give_up_after_s: hang up when the bridge is silent for this long, and the next action waits for it; None: never.
    """

    def __init__(
        self,
        actions: Sequence[Action],
        recording: CallRecording,
        *,
        noise_dbfs: float | None = -65.0,
        hang_up_after_s: float = 30.0,
        hang_up_on_silence_s: float | None = None,
        give_up_after_s: float | None = None,
    ) -> None:
        self._actions = list(actions)
        self._recording = recording
        self._noise = _comfort_noise(noise_dbfs)
        self._hang_up_after_ms = hang_up_after_s * 1000
        self._hang_up_on_silence_ms = None if hang_up_on_silence_s is None else hang_up_on_silence_s * 1000
        self._give_up_after_ms = None if give_up_after_s is None else give_up_after_s * 1000
        self._spoken = 0  # utterances so far
        self._doing: Iterator[Step] | None = None
        self._since_ms: float | None = None  # when the newest action ended
        self._heard_by_then_ms = 0.0

    def step(self, at_ms: float, heard_ms: float, heard_until_ms: float) -> Step | str:
        """What happens in the slot that begins at `at_ms`: a `Step`, or the reason why the caller hangs up.

        Args:
            at_ms: on the axis of the recording, whose `began_ms` must be set.
            heard_ms: sound of the bridge heard so far.
            heard_until_ms: when it was last heard.
        """
        since_ms = self._recording.began_ms if self._since_ms is None else self._since_ms
        if reason := self._hangs_up(at_ms, max(since_ms, heard_until_ms)):
            return reason
        if self._doing is None and self._actions and self._due(at_ms, since_ms, heard_ms, heard_until_ms):
            self._recording.begin_action(at_ms)
            action = self._actions.pop(0)
            if isinstance(action, HangUp):
                return "as planned"
            self._doing = self._begin(action, at_ms)
        if self._doing is not None:
            if (step := next(self._doing, None)) is not None:
                return step
            self._recording.end_action(at_ms)
            self._doing, self._since_ms, self._heard_by_then_ms = None, at_ms, heard_ms
        return Step(next(self._noise))

    def _hangs_up(self, at_ms: float, quiet_since_ms: float) -> str:
        if at_ms - self._recording.began_ms >= self._hang_up_after_ms:
            return f"{self._hang_up_after_ms / 1000:g} s are over"
        limit_ms = self._patience_ms()
        if limit_ms is not None and at_ms - quiet_since_ms >= limit_ms:
            return f"the bridge was silent for {limit_ms / 1000:g} s"
        return ""

    def _patience_ms(self) -> float | None:
        """How long the bridge may be silent now; None: as long as it wants to."""
        if self._doing is not None:
            return None
        if not self._actions:
            return self._hang_up_on_silence_ms
        return self._give_up_after_ms if self._actions[0].cue.of_the_bridge else None

    def _due(self, at_ms: float, since_ms: float, heard_ms: float, heard_until_ms: float) -> bool:
        cue = self._actions[0].cue
        come = self._has_come(cue, at_ms, since_ms, heard_ms - self._heard_by_then_ms, heard_until_ms)
        return come and (cue.once is None or cue.once())

    def _has_come(
        self, cue: Cue, at_ms: float, since_ms: float, heard_since_ms: float, heard_until_ms: float
    ) -> bool:
        if cue.at_s is not None:
            return at_ms - self._recording.began_ms >= cue.at_s * 1000
        if cue.after_s is not None:
            return at_ms - since_ms >= cue.after_s * 1000
        if cue.after_bridge_speaks_ms is not None:
            return heard_since_ms >= cue.after_bridge_speaks_ms
        silent_ms = at_ms - max(since_ms, heard_until_ms)
        return heard_since_ms > 0 and silent_ms >= (cue.after_bridge_silent_ms or 0)

    def _begin(self, action: Utterance | Press | Pause, at_ms: float) -> Iterator[Step]:
        if isinstance(action, Press):
            return self._sound_keys(action, at_ms) if action.in_band else self._press(action)
        if isinstance(action, Pause):
            return self._wait(action)
        return self._speak(action, at_ms)

    def _wait(self, pause: Pause) -> Iterator[Step]:
        for _ in range(round(pause.ms / SLOT_MS)):
            yield Step(next(self._noise))

    def _speak(self, utterance: Utterance, at_ms: float) -> Iterator[Step]:
        number, self._spoken = self._spoken, self._spoken + 1
        for position, frame in enumerate(utterance.frames):
            if position == utterance.onset:
                self._recording.note(CallerStarted(at_ms=at_ms + position * SLOT_MS, utterance=number))
            yield Step(frame)
        self._recording.note(CallerStopped(at_ms=at_ms + len(utterance.frames) * SLOT_MS, utterance=number))

    def _press(self, press: Press) -> Iterator[Step]:
        for digit in press.digits:
            yield Step(next(self._noise), digit)
            for _ in range(int(DIGIT_GAP_MS / SLOT_MS) - 1):
                yield Step(next(self._noise))

    def _sound_keys(self, press: Press, at_ms: float) -> Iterator[Step]:
        for number, digit in enumerate(press.digits):
            self._recording.note(DigitPressed(at_ms=at_ms + number * DIGIT_GAP_MS, digit=digit))
            yield from map(Step, Reframer(SLOT_BYTES).feed(digits_audio(digit, on_ms=DIGIT_MS, off_ms=0)))
            for _ in range(int((DIGIT_GAP_MS - DIGIT_MS) / SLOT_MS)):
                yield Step(next(self._noise))


def _comfort_noise(level_dbfs: float | None) -> Iterator[bytes]:
    """Slots of white noise, for ever: the same two seconds over and over, and the same in every run."""
    if level_dbfs is None:
        return cycle([MULAW_8K.silence(SLOT_MS)])
    samples = np.random.default_rng(0).normal(
        0, 32768 * 10 ** (level_dbfs / 20), MULAW_8K.bytes_in(_NOISE_MS)
    )
    return cycle(Reframer(SLOT_BYTES).feed(mulaw_encode(saturated(samples))))
