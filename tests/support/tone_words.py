"""The words in what a caller heard, when Lightning spoke them with the `ToneEngine`.

Strategy:

- There a word is a tone: its pitch tells the word and the voice that speaks it, its length whether it was said
  whole. What a word sounds like is measured on the engine's own speech, not computed a second time.
- Tones of one pitch that follow each other are one word: said once, only begun, begun and said again. That is the
  number `times`, whatever silence came between.
- Two words of one pitch cannot be told apart: such a vocabulary is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise, product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.emulators.speech_engine import ToneEngine
from telephony_codecs.formats import MULAW_8K, PCM16_8K, AudioFormat
from telephony_codecs.g711 import mulaw_decode
from telephony_codecs.transcoder import Transcoder

#: Pitches of the engine are whole periods of this: bins of a window of this length.
_WINDOW_MS: Final = 20
_HOP_MS: Final = 5
#: A hundredth of the engine's loudness.
_QUIET: Final = 80
#: What a measured length may be off by, at its two ends: a window with a seam in it belongs to one side of it.
_SLACK_MS: Final = 15.0
#: The loudest bin of a window with one tone in it holds all of its power; it holds this much with a seam.
_PURE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Tone:
    """A tone, in milliseconds from the first sample."""

    pitch_hz: int
    start_ms: float
    end_ms: float

    @property
    def ms(self) -> float:
        """How long it lasts."""
        return self.end_ms - self.start_ms


@dataclass(frozen=True, slots=True)
class SaidWord:
    """A word that was heard. `times` is 1 when it was said once and whole, less when it was only begun."""

    text: str
    voice: str
    times: float

    @property
    def whole(self) -> bool:
        """Whether all of it was heard."""
        return self.times >= 1


def spoken(text: str, voice: str = "magnus", format: AudioFormat = MULAW_8K, *, speed: float = 1.0) -> bytes:
    """What the engine says for `text`, in `format`."""
    speech = ToneEngine().speak(text, voice_id=voice, language="en", speed=speed)
    transcoder = Transcoder(PCM16_8K, format)
    return transcoder.feed(speech.pcm) + transcoder.flush()


def tones_in(mulaw: bytes) -> list[Tone]:
    """The tones in `mulaw`, 8 kHz, in order. What is no tone, such as a voice, gives many short ones or none."""
    samples = np.frombuffer(mulaw_decode(mulaw), "<i2").astype(np.float64)
    window, hop = (PCM16_8K.rate_hz * ms // 1000 for ms in (_WINDOW_MS, _HOP_MS))
    padded = np.pad(samples, window)
    windows = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    pitches = _pitches_hz(windows).tolist()
    tones: list[Tone] = []
    at = 0
    for pitch_hz, same in groupby(pitches):
        count = len(list(same))
        # A window counts for its middle, so their number is the length. One with the seam of two equal tones in it
        # looks like neither: such tones stay two.
        start_ms = (at * hop - window / 2) * 1000 / PCM16_8K.rate_hz
        if pitch_hz:
            tones.append(Tone(pitch_hz, start_ms, start_ms + count * _HOP_MS))
        at += count
    return [tone for tone in tones if tone.ms >= _SLACK_MS]


def longest_silence_ms(tones: Sequence[Tone]) -> float:
    """The longest time without a tone between the first and the last; 0 when there are not two."""
    return max((later.start_ms - sooner.end_ms for sooner, later in pairwise(tones)), default=0.0)


class Vocabulary:
    """Words that can be told by their sound.

    Args:
        texts: all that is said; a word may come in several.
        voices: who may say it.

    Raises:
        ValueError: two words of the same pitch.
    """

    def __init__(self, texts: Iterable[str], voices: Iterable[str]) -> None:
        self._words: dict[int, tuple[SaidWord, float]] = {}
        words = dict.fromkeys(word for text in texts for word in text.split())
        for word, voice in product(words, voices):
            (tone,) = tones_in(spoken(word, voice))
            if tone.pitch_hz in self._words:
                other = self._words[tone.pitch_hz][0]
                raise ValueError(
                    f"{voice}'s {word!r} sounds like {other.voice}'s {other.text!r}: choose another"
                )
            self._words[tone.pitch_hz] = SaidWord(word, voice, 1.0), tone.ms

    def words(self, tones: Iterable[Tone]) -> list[SaidWord]:
        """The words that `tones` are, in order.

        Raises:
            ValueError: a tone is none of them.
        """
        return list(self._words_of(tones))

    def _words_of(self, tones: Iterable[Tone]) -> Iterator[SaidWord]:
        for pitch_hz, same in groupby(tones, lambda tone: tone.pitch_hz):
            if pitch_hz not in self._words:
                raise ValueError(f"a tone of {pitch_hz} Hz, which is no word of this vocabulary")
            word, whole_ms = self._words[pitch_hz]
            lengths_ms = [tone.ms for tone in same]
            times = sum(lengths_ms) / whole_ms
            slack = len(lengths_ms) * _SLACK_MS / whole_ms
            yield replace(word, times=float(round(times)) if abs(times - round(times)) <= slack else times)


def _pitches_hz(windows: NDArray[np.float64]) -> NDArray[np.int64]:
    """The pitch of the tone in each of `windows`; 0 where there is none."""
    power = np.abs(np.fft.rfft(windows, axis=1)) ** 2
    loudest, whole = power.max(axis=1), power.sum(axis=1)
    is_tone = (loudest >= _PURE * whole) & ((windows**2).mean(axis=1) >= _QUIET**2)
    return np.where(is_tone, power.argmax(axis=1) * 1000 // _WINDOW_MS, 0)
