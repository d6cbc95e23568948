"""Telephone keys as tones: made, and found in what a caller sends.

Strategy of the detector:

- Windows of 20 ms, one every 10 ms, under a Hann taper: so a tone of 40 ms fills two of them wherever it begins, and
  two tones of one key leave no leakage in each other's way.
- A window is a candidate when the strongest tone of each group holds most of its energy. Nearly all speech ends there.
- How far a tone is off its frequency is read from how its phase moved since the window before. 20 ms are too short to
  tell 697 from 721 Hz by strength; by phase they are 90 degrees apart.
- A key counts with the second window in a row that is right in share, twist and frequency. It is up when either tone
  has been gone for three windows: a hole of 20 ms, as a lost packet leaves it, never is, a pause of 40 ms always.
- Whole packets of 20 ms are looked at, whatever the chunks: how the audio is cut makes no difference.

Facts, from ITU-T Q.23 (frequencies) and Q.24, table A-1 (AT&T): tones of 40 ms and pauses of 40 ms count, tones under
23 ms and interruptions of 10 ms do not; off by 1.5 % counts, by 3.5 % does not; the high tone may be 4 dB stronger or
8 dB weaker than the low one; -25 dBm is loud enough; noise 15 dB below the tones does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import atan2, pi, remainder, sin
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from telephony_codecs.formats import MULAW_8K
from telephony_codecs.g711 import MULAW_TO_FLOAT, mulaw_encode
from telephony_codecs.reframer import Reframer
from telephony_codecs.tones import RATE_HZ, Samples, silence, tone

Floats: TypeAlias = NDArray[np.float32]
#: Indices into the eight tones, low group first: one of each group.
Tones: TypeAlias = tuple[int, int]

ROWS_HZ: Final = (697.0, 770.0, 852.0, 941.0)
COLUMNS_HZ: Final = (1209.0, 1336.0, 1477.0, 1633.0)
_KEYS: Final = ("123A", "456B", "789C", "*0#D")
#: All keys, row by row.
KEYS: Final = "".join(_KEYS)
PAUSE: Final = "w"


def digits_audio(
    digits: str, *, on_ms: float = 100, off_ms: float = 100, dbfs: float = -9.0, pause_ms: float = 500
) -> bytes:
    """Keys as 8 kHz mu-law, each with its pause behind it.

    Args:
        digits: ``0``-``9``, ``*``, ``#``, ``A``-``D``; ``w`` is `pause_ms` of silence.
        dbfs: of both tones together: each is as far below the loudest sine there is.

    Raises:
        ValueError: another character.
    """
    parts = [_sound_of(digit, on_ms, off_ms, dbfs, pause_ms) for digit in digits]
    return mulaw_encode(np.concatenate([silence(0), *parts]).astype("<i2").tobytes())


def frequencies_of(key: str) -> tuple[float, float]:
    """The low and the high tone of a key.

    Raises:
        ValueError: it is none.
    """
    at = KEYS.find(key)
    if len(key) != 1 or at < 0:
        raise ValueError(f"{key!r} is no key of a telephone: 0-9, *, #, A-D")
    return ROWS_HZ[at // 4], COLUMNS_HZ[at % 4]


def _sound_of(digit: str, on_ms: float, off_ms: float, dbfs: float, pause_ms: float) -> Samples:
    if digit == PAUSE:
        return silence(pause_ms)
    return np.concatenate([tone(frequencies_of(digit), on_ms, dbfs), silence(off_ms)])


# -- what is listened with ---------------------------------------------------------------------------------------------

HOP_S: Final = 0.010
_HOP: Final = int(RATE_HZ * HOP_S)
#: A window, and what is taken at a time: so every second window is a packet, and those between are of two halves.
_WINDOW: Final = 2 * _HOP
_TONES_HZ: Final = (*ROWS_HZ, *COLUMNS_HZ)
_HANN: Final = np.hanning(_WINDOW + 1)[:-1]
#: Scaled so that the squares of a tapered window sum up to its power.
_TAPER: Final = (_HANN / np.sqrt((_HANN**2).sum())).astype(np.float32)


def _kernels() -> Floats:
    """Tapered window to real parts of the eight tones, then imaginary parts; scaled to root mean square."""
    angles = 2 * np.pi * np.outer(np.arange(_WINDOW) / RATE_HZ, _TONES_HZ)
    scale = np.sqrt(2 * (_HANN**2).sum()) / _HANN.sum()
    kernels: Floats = (np.hstack([np.cos(angles), -np.sin(angles)]) * scale).astype(np.float32)
    return kernels


_KERNELS: Final = _kernels()
#: How far the phase of each tone moves from a window to the next.
_ADVANCE: Final = tuple(2 * pi * hz * HOP_S for hz in _TONES_HZ)

# -- what is believed --------------------------------------------------------------------------------------------------

#: A window in which each tone is softer than this holds none.
MIN_DBFS: Final = -42.0
#: Of the energy of a window, at least so much is the key's two tones, before and after they are set right for being
#: off their frequencies.
MIN_CANDIDATE_SHARE: Final = 0.45
MIN_SHARE: Final = 0.82
#: High tone over low tone; what Q.24 demands, and a little for noise and for the line's own slope.
TWIST_DB: Final = (-10.0, 6.0)
#: Between the 1.5 % that must be accepted and the 3.5 % that must not.
MAX_OFF: Final = 0.024
#: Windows in a row that are right.
CONFIRMED_BY: Final = 2
#: A tone this much softer than just before is gone; where the window still holds the key and little else, it may only
#: have been turned down, and is gone when it is much softer. So many windows without it, and the key is up.
GONE_DB: Final = 9.0
TURNED_DOWN_DB: Final = 18.0
UP_AFTER: Final = 3

_MIN_POWER: Final = 10 ** (MIN_DBFS / 10)
_MIN_TWIST, _MAX_TWIST = (10 ** (db / 10) for db in TWIST_DB)
_GONE: Final = 10 ** (-GONE_DB / 10)
_TURNED_DOWN: Final = 10 ** (-TURNED_DOWN_DB / 10)
_NO_POWERS: Final = (0.0,) * 8
_MAX_OFF_HZ: Final = tuple(hz * MAX_OFF for hz in _TONES_HZ)


class _Window:
    """What is in 20 ms: the power of each tone, and which two may be a key's."""

    __slots__ = ("high", "low", "parts", "power", "powers", "tones")

    def __init__(self, samples: Floats) -> None:
        tapered = samples * _TAPER
        self.powers: Sequence[float] = _NO_POWERS
        #: Of all there is.
        self.power = float(tapered.dot(tapered))
        self.tones: Tones | None = None
        if self.power < _MIN_POWER:
            return
        self.parts = tapered.dot(_KERNELS)
        squares = self.parts * self.parts
        self.powers = (squares[:8] + squares[8:]).tolist()
        self.low, self.high = max(self.powers[:4]), max(self.powers[4:])
        if (
            self.low + self.high >= MIN_CANDIDATE_SHARE * self.power
            and min(self.low, self.high) >= _MIN_POWER
        ):
            self.tones = self.powers.index(self.low), self.powers.index(self.high, 4)

    def phases(self, tones: Tones) -> tuple[float, float]:
        """Where two tones are in their periods."""
        low, high = (atan2(self.parts[8 + tone], self.parts[tone]) for tone in tones)
        return low, high


class DtmfDetector:
    """Finds keys in 8 kHz mu-law."""

    __slots__ = ("_before", "_down", "_missing", "_phases", "_reframer", "_right", "_strengths", "_tones")

    def __init__(self) -> None:
        self._reframer = Reframer(_WINDOW)
        self._before = np.zeros(_WINDOW, np.float32)
        #: Of the window before, if it was a candidate: which tones, their phases; and how many in a row were right.
        self._tones: Tones | None = None
        self._phases = (0.0, 0.0)
        self._right = 0
        #: The key that is down, how strong its tones were when last there, and for how many windows they are gone.
        self._down: Tones | None = None
        self._strengths = (0.0, 0.0)
        self._missing = 0

    def feed(self, mulaw: bytes) -> str:
        """The keys that `mulaw` confirms, one for each press; mostly none. Chunks may be of any size."""
        return "".join(map(self._packet, self._reframer.feed(mulaw)))

    @property
    def down(self) -> str:
        """The key that is being pressed; empty when none is."""
        return _key_of(self._down) if self._down is not None else ""

    def flush(self) -> str:
        """The keys that are confirmed by what was left at the end. What is fed next is another stream."""
        rest = self._reframer.flush(MULAW_8K.silent_sample)
        keys = self._packet(rest) if rest else ""
        DtmfDetector.__init__(self)
        return keys

    def _packet(self, codes: bytes) -> str:
        samples = MULAW_TO_FLOAT.take(np.frombuffer(codes, np.uint8))
        before, self._before = self._before, samples
        window = _Window(samples)
        if window.tones is None and self._tones is None and self._down is None:
            return ""  # a lone candidate between two windows that are none comes to nothing
        between = _Window(np.concatenate((before[_HOP:], samples[:_HOP])))
        return self._take(between) + self._take(window)

    def _take(self, window: _Window) -> str:
        if self._down is not None and not self._is_up(self._down, window):
            return ""
        tones = window.tones
        if tones is None:
            self._tones = None
            return ""
        phases = window.phases(tones)
        right = tones == self._tones and _is_key(window, tones, _off_hz(tones, self._phases, phases))
        self._right = self._right + 1 if right else 0
        self._tones, self._phases = tones, phases
        return self._press(window, tones) if self._right == CONFIRMED_BY else ""

    def _press(self, window: _Window, tones: Tones) -> str:
        self._tones = None
        self._down, self._strengths, self._missing = tones, (window.low, window.high), 0
        return _key_of(tones)

    def _is_up(self, down: Tones, window: _Window) -> bool:
        """Whether the key that was down no longer is. Its strength is followed: a line's level may drift."""
        low, high = window.powers[down[0]], window.powers[down[1]]
        gone = _TURNED_DOWN if window.tones == down else _GONE
        if low < self._strengths[0] * gone or high < self._strengths[1] * gone:
            self._missing += 1
        else:
            self._strengths, self._missing = (low, high), 0
        if self._missing < UP_AFTER:
            return False
        self._down = None
        return True


def _key_of(tones: Tones) -> str:
    return KEYS[tones[0] * 4 + tones[1] - 4]


def _off_hz(tones: Tones, before: tuple[float, float], now: tuple[float, float]) -> tuple[float, float]:
    """How far either tone is off its frequency, from how its phase moved over a hop; up to 50 Hz either way."""
    low, high = (
        remainder(now[n] - before[n] - _ADVANCE[tone], 2 * pi) / (2 * pi * HOP_S)
        for n, tone in enumerate(tones)
    )
    return low, high


def _is_key(window: _Window, tones: Tones, off_hz: tuple[float, float]) -> bool:
    """Whether a candidate is one."""
    if any(abs(off) > _MAX_OFF_HZ[tone] for off, tone in zip(off_hz, tones, strict=True)):
        return False
    low, high = window.low / _passed(off_hz[0]), window.high / _passed(off_hz[1])
    return low + high >= MIN_SHARE * window.power and _MIN_TWIST * low <= high <= _MAX_TWIST * low


def _passed(off_hz: float) -> float:
    """What the taper lets through of the power of a tone that is off its frequency."""
    bins = off_hz * _WINDOW / RATE_HZ
    if abs(bins) < 1e-3:
        return 1.0
    return (sin(pi * bins) / (pi * bins * (1 - bins * bins))) ** 2
