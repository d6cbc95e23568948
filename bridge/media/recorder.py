"""A message that the caller leaves: what of it is kept, and when it is over. Pure.

Strategy:

- Two things come in, and neither waits for the other: the caller's audio, and the detector's windows of that audio,
  which lag behind by a few packets. Audio is only kept; windows decide.
- When it is over is decided by counting windows and bytes, never by a clock: who has one minds lines that fall mute.
- Silence is cut at the end, and a little is left, so that no last word sounds clipped. In front it stays: where a voice
  begins the detector knows less well than where it ends. Without any speech there is nothing to keep.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from bridge.media.barge_in import SpeechStarted, TurnDetector, TurnPolicy
from bridge.media.vad import WINDOW_MS
from telephony_codecs.formats import MULAW_8K

#: How a message ends. A closed set.
EndedBy: TypeAlias = Literal["silence", "digit", "limit", "hang_up"]
#: Left of the silence behind the last word.
TAIL_MS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Recording:
    """What a caller said. `audio` is raw 8 kHz mu-law, `ms` its length; `by` is what ended it."""

    audio: bytes
    ms: int
    by: EndedBy


class Recorder:
    """Takes one message.

    Args:
        start_ms: where it begins in the audio that the detector has been given.
        max_s: no longer than this.
        silence_s: so much silence ends it, before the first word as well as after the last.
    """

    def __init__(self, *, start_ms: float, max_s: float, silence_s: float) -> None:
        self._start_ms, self._max_bytes = start_ms, MULAW_8K.bytes_in(max_s * 1000)
        self._silent_ms = silence_s * 1000
        self._turns = TurnDetector(TurnPolicy(hangover_ms=self._silent_ms))
        self._audio = bytearray()
        self._spoke = False
        #: What has ended it; None while it goes on. Whoever knows better than audio does may set it.
        self.by: EndedBy | None = None

    def feed(self, mulaw: bytes) -> None:
        """Take the caller's next audio, of any length."""
        if self.by is None:
            self._audio += mulaw[: self._max_bytes - len(self._audio)]
            if len(self._audio) >= self._max_bytes:
                self.by = "limit"

    def window(self, probability: float, level_dbfs: float, end_ms: float) -> None:
        """Take the detector's next window, which ends `end_ms` into the audio that it has been given."""
        if self.by is not None or end_ms <= self._start_ms:
            return
        self._spoke |= isinstance(self._turns.window(probability, level_dbfs, end_ms), SpeechStarted)
        if self._spoke:
            over = not self._turns.speaking
        else:
            self._silent_ms -= WINDOW_MS
            over = self._silent_ms <= 0
        if over:
            self.by = "silence"

    def take(self, by: EndedBy) -> Recording:
        """What has been recorded; `by` is what ended it, where nothing has yet. Nothing is kept after this."""
        self.by = self.by or by
        del self._audio[self._kept_bytes() :]
        audio = bytes(self._audio)
        self._audio = bytearray()
        return Recording(audio, round(MULAW_8K.ms_in(len(audio))), self.by)

    def _kept_bytes(self) -> int:
        spoken_ms = self._turns.last_speech_ms + TAIL_MS - self._start_ms if self._spoke else 0.0
        return MULAW_8K.bytes_in(max(0.0, spoken_ms))
