"""The offline voice: eSpeak NG through ctypes.

Strategy:

- eSpeak NG is GPL-3.0. The library is loaded when the first `EspeakEngine` is made, into whatever process
  makes it, and importing this module loads nothing. Only the emulator's process and the simulated caller's
  may make one.
- The library is one global instance with one voice set at a time: everything that touches it holds one lock.
- It calls back, on the calling thread, with blocks of samples and the events in them; both are copied at
  once.
"""

from __future__ import annotations

import ctypes
import re
import threading
import unicodedata
from bisect import bisect_right
from functools import cache
from itertools import accumulate, pairwise, takewhile
from typing import Any, Final, NamedTuple

from bridge.emulators.speech_engine import Speech, TimedWord
from bridge.errors import ConfigError

# Names and values of espeak-ng's speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS: Final = 2
_INITIALIZE_DONT_EXIT: Final = 0x8000
_CHARS_UTF8: Final = 1
_POS_CHARACTER: Final = 1
_PARAMETER_RATE: Final = 1
_EVENT_LIST_TERMINATED, _EVENT_WORD, _EVENT_END = 0, 1, 5
_BUFFER_MS: Final = 20

_NORMAL_RATE_WPM: Final = 175
_RATE_LIMITS_WPM: Final = (80, 450)

#: Lightning's languages in eSpeak's names, where they differ.
_LANGUAGES: Final = {"en": "en-us", "no": "nb", "zh": "cmn"}
#: For ``auto``: the script of the text's first letter that is not Latin tells enough.
_SCRIPTS: Final = {
    "DEVANAGARI": "hi", "TAMIL": "ta", "BENGALI": "bn", "TELUGU": "te", "KANNADA": "kn", "MALAYALAM": "ml",
    "GUJARATI": "gu", "GURMUKHI": "pa", "ORIYA": "or", "CYRILLIC": "ru", "ARABIC": "ar", "HEBREW": "he",
    "GREEK": "el", "CJK": "cmn", "HIRAGANA": "ja", "KATAKANA": "ja", "HANGUL": "ko",
}  # fmt: skip
#: A throat for every voice of Lightning that is known by name; others get one by their letters.
_VARIANTS: Final = {
    "magnus": "m3", "sophia": "f3", "meher": "f2", "devansh": "m2", "kartik": "m4", "maithili": "f4",
    "liam": "m7", "avery": "f5", "kaitlyn": "f1", "rhea": "f2", "aviraj": "m1", "sophie": "f4", "sam": "m5",
}  # fmt: skip
_OTHER_VARIANTS: Final = ("m1", "f1", "m2", "f2", "m4", "f4", "m5", "f5")


class EspeakEngine:
    """A `SpeechEngine` that really speaks: 22 050 Hz, about a thousand times faster than real time.

    May be made as often as wanted and called from any thread: all of them share the one library.
    """

    name = "eSpeak NG"

    def __init__(self) -> None:
        """Loads the library, once per process.

        Raises:
            ConfigError: it is not installed, or cannot be loaded on this machine.
        """
        with _lock:
            self._library = _load()

    def speak(self, text: str, *, voice_id: str, language: str, speed: float) -> Speech:
        """See `SpeechEngine.speak`.

        Raises:
            RuntimeError: eSpeak has no such voice, or failed.
        """
        with _lock:
            return self._library.speak(text, espeak_voice(voice_id, language, text), speed)


def espeak_voice(voice_id: str, language: str, text: str) -> str:
    """eSpeak's name for a voice of Lightning's: language, plus, throat."""
    variant = _VARIANTS.get(voice_id) or _OTHER_VARIANTS[sum(map(ord, voice_id)) % len(_OTHER_VARIANTS)]
    if language == "auto":
        language = _language_of(text)
    return f"{_LANGUAGES.get(language, language)}+{variant}"


def _language_of(text: str) -> str:
    for letter in text:
        if letter.isalpha() and not letter.isascii():
            script = unicodedata.name(letter, "").partition(" ")[0]
            if script in _SCRIPTS:
                return _SCRIPTS[script]
    return "en"


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),  # in characters, counted from 1
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # in milliseconds
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


class _Heard(NamedTuple):
    """A word begins, or a clause ends: at which character of the text, and when."""

    is_word: bool
    character: int
    at_ms: float


_lock: Final = threading.Lock()


class _Library:
    """The loaded library. Hold `_lock` around everything."""

    def __init__(self, library: ctypes.CDLL, data_path: str) -> None:
        self._library = library
        # The path compiled into the wheel is that of the machine it was built on: always tell it.
        self._rate_hz = library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, _BUFFER_MS, data_path.encode(), _INITIALIZE_DONT_EXIT
        )
        if self._rate_hz <= 0:
            raise ConfigError(f"eSpeak NG does not start: error {self._rate_hz}")
        self._pcm = bytearray()
        self._events: list[_Heard] = []
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))
        self._callback = kind(self._collect)  # kept: the library holds no reference that Python knows of
        library.espeak_SetSynthCallback(self._callback)
        self.speak(
            "warm", "en-us", 1.0
        )  # the first utterance of a process comes without its first word event

    def speak(self, text: str, voice: str, speed: float) -> Speech:
        self._pcm.clear()
        self._events.clear()
        self._set_up(voice, speed)
        raw = text.replace("\0", " ").encode(errors="replace")
        status = self._library.espeak_Synth(raw, len(raw) + 1, 0, _POS_CHARACTER, 0, _CHARS_UTF8, None, None)
        if status:
            raise RuntimeError(f"eSpeak NG failed with error {status}")
        pcm = bytes(self._pcm)
        return Speech(pcm, self._rate_hz, _timed_words(text, self._events, len(pcm) * 500 / self._rate_hz))

    def _set_up(self, voice: str, speed: float) -> None:
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise RuntimeError(f"eSpeak NG has no voice {voice}")
        slowest, fastest = _RATE_LIMITS_WPM
        rate_wpm = min(fastest, max(slowest, round(_NORMAL_RATE_WPM * speed)))
        self._library.espeak_SetParameter(_PARAMETER_RATE, rate_wpm, 0)

    def _collect(self, samples: int | None, count: int, events: Any) -> int:
        if samples and count > 0:
            self._pcm += ctypes.string_at(samples, count * 2)
        index = 0
        while (event := events[index]).type != _EVENT_LIST_TERMINATED:
            if event.type in (_EVENT_WORD, _EVENT_END):
                at_ms = float(event.audio_position)
                self._events.append(_Heard(event.type == _EVENT_WORD, event.text_position - 1, at_ms))
            index += 1
        return 0


@cache
def _load() -> _Library:
    try:
        import espeakng_loader
    except ImportError:
        hint = "pip install 'lightning-phone-bridge[demo]'"
        raise ConfigError(f"the offline voice is not installed: {hint}") from None
    try:
        library = ctypes.CDLL(espeakng_loader.get_library_path())
    except (OSError, RuntimeError) as error:
        raise ConfigError(f"eSpeak NG cannot be loaded: {error}") from error
    return _Library(library, espeakng_loader.get_data_path())


def _timed_words(text: str, events: list[_Heard], duration_ms: float) -> tuple[TimedWord, ...]:
    """The words of `text`, as written, with the times of eSpeak's events.

    eSpeak tells no end of a word: it lasts until the next event, be that a word or the end of a clause. What
    it reads as several words ($12.50) is one here; what it reads as one ("in the") is shared out by length;
    what it does not read at all (a dash) is left out.
    """
    spans = [match.span() for match in re.finditer(r"\S+", text)]
    intervals = _intervals(spans, events, duration_ms)
    words: list[TimedWord] = []
    for index, (start_ms, end_ms) in sorted(intervals.items()):
        following = takewhile(lambda later: later not in intervals, range(index + 1, len(spans)))
        group = [text[slice(*spans[n])] for n in (index, *following)]
        words += _shared_out([word for word in group if any(map(str.isalnum, word))], start_ms, end_ms)
    return tuple(words)


def _intervals(
    spans: list[tuple[int, int]], events: list[_Heard], duration_ms: float
) -> dict[int, tuple[float, float]]:
    """When each word that has an event is heard, by its index in `spans`."""
    stops = sorted(event.at_ms for event in events)
    found: dict[int, tuple[float, float]] = {}
    for event in events:
        index = bisect_right(spans, event.character, key=lambda span: span[0]) - 1
        if event.is_word and index >= 0:
            following = bisect_right(stops, event.at_ms)
            end_ms = stops[following] if following < len(stops) else duration_ms
            first_ms, last_ms = found.get(index, (event.at_ms, end_ms))
            found[index] = (min(first_ms, event.at_ms), max(last_ms, end_ms))
    return found


def _shared_out(words: list[str], start_ms: float, end_ms: float) -> list[TimedWord]:
    """`words` one after the other from `start_ms` to `end_ms`, by their length."""
    scale = (end_ms - start_ms) / max(1, sum(map(len, words)))
    edges = [start_ms + scale * chars for chars in accumulate(map(len, words), initial=0)]
    return [TimedWord(word, *edge) for word, edge in zip(words, pairwise(edges), strict=True)]
