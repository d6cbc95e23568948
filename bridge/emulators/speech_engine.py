"""What the emulated Lightning speaks with, and the plainest thing that can be spoken with: tones.

Strategy:

- An engine is one blocking method, `SpeechEngine.speak`: text in, linear PCM and the times of the words out.
  The emulator calls it in one thread of its own and caches what it returns, so an engine may be slow and need
  not be thread-safe.
- `ToneEngine` needs nothing installed and is deterministic: the same text gives the same bytes on every
  machine, another word sounds different, and a word's length tells how long its tone lasts.
"""

from __future__ import annotations

import io
import math
import wave
from array import array
from dataclasses import dataclass
from functools import cache
from typing import Protocol


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word as it stands in the text, and when it is heard, in milliseconds from the first sample."""

    text: str
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class Speech:
    """One utterance: `pcm` is int16, little endian, mono, at `rate_hz`."""

    pcm: bytes
    rate_hz: int
    words: tuple[TimedWord, ...] = ()

    @property
    def duration_ms(self) -> float:
        """How long it lasts."""
        return len(self.pcm) * 500 / self.rate_hz

    def wav(self) -> bytes:
        """The bytes of a WAV file. No codecs of ours: they bring numpy, and a caller may be waiting."""
        file = io.BytesIO()
        with wave.open(file, "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(self.rate_hz)
            out.writeframes(self.pcm)
        return file.getvalue()


class SpeechEngine(Protocol):
    """Whatever can speak. Never called from two threads at once by the emulator."""

    #: Short name for the line that says what is listening.
    name: str

    def speak(self, text: str, *, voice_id: str, language: str, speed: float) -> Speech:
        """Speak `text`, which is not blank.

        Args:
            voice_id: a Lightning voice; what it does not know, the engine speaks in some voice of its own.
            language: a language code of Lightning's, or ``auto``.
            speed: 1 is the voice's own pace, 2 twice as fast.

        Raises:
            RuntimeError: the engine failed. The emulator answers with an error and lives on.
        """


class ToneEngine:
    """Every word is a tone: its pitch comes from its letters, its length from their number."""

    name = "tones"

    BLOCK_MS = 20
    MS_PER_LETTER = 60
    GAP_MS = 40
    AMPLITUDE = 8231  # -12 dBFS peak

    def __init__(self, rate_hz: int = 8000) -> None:
        """`rate_hz` must hold whole 20 ms blocks: any multiple of 50."""
        if rate_hz <= 0 or rate_hz % 50:
            raise ValueError(f"rate_hz must be a positive multiple of 50, not {rate_hz}")
        self._rate_hz = rate_hz

    def speak(self, text: str, *, voice_id: str, language: str, speed: float) -> Speech:
        """See `SpeechEngine.speak`; `language` changes nothing, `voice_id` shifts the pitch."""
        pcm = bytearray()
        words = []
        gap = bytes(self._bytes(self.GAP_MS))
        for word in text.split():
            tone = self._tone(word, voice_id, speed)
            words.append(TimedWord(word, self._ms(len(pcm)), self._ms(len(pcm) + len(tone))))
            pcm += tone + gap
        return Speech(bytes(pcm), self._rate_hz, tuple(words))

    def _tone(self, word: str, voice_id: str, speed: float) -> bytes:
        # A multiple of 50 Hz fits a block in whole periods: blocks join without a click.
        pitch_hz = 200 + 50 * (sum(map(ord, word + voice_id)) % 40)
        blocks = max(1, round(len(word) * self.MS_PER_LETTER / speed / self.BLOCK_MS))
        return _block(pitch_hz, self._rate_hz, self.AMPLITUDE) * blocks

    def _bytes(self, ms: int) -> int:
        return self._rate_hz * ms // 1000 * 2

    def _ms(self, size_bytes: int) -> float:
        return size_bytes * 500 / self._rate_hz


@cache
def _block(pitch_hz: int, rate_hz: int, amplitude: int) -> bytes:
    step = 2 * math.pi * pitch_hz / rate_hz
    samples = array("h", (round(amplitude * math.sin(step * n)) for n in range(rate_hz // 50)))
    if array("h", [1]).tobytes() != b"\1\0":
        samples.byteswap()
    return samples.tobytes()
