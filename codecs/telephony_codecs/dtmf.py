"""Telephone keys as tones: made, and found in what a caller sends.

Strategy of the detector:

- Windows of 20 ms, one every 10 ms, under a Hann taper: so a tone of 40 ms fills two of them wherever it begins, and
  two tones of one key leave no leakage in each other's way.
- A window is a candidate when the strongest tone of each group holds most of its energy. Nearly all speech ends there.
- How far a tone is off its frequency is read from how its phase moved since the window before. 20 ms are too short to
  tell 697 from 721 Hz by strength; by phase they are 90 degrees apart.
- A key counts with the second window in a row that is right in share, twist and frequency. It is up when either tone
  has been gone for two windows: a hole of 10 ms never is, a pause of 40 ms always.
- Whole packets of 20 ms are looked at, whatever the chunks: how the audio is cut makes no difference.

Facts, from ITU-T Q.23 (frequencies) and Q.24, table A-1 (AT&T): tones of 40 ms and pauses of 40 ms count, tones under
23 ms and interruptions of 10 ms do not; off by 1.5 % counts, by 3.5 % does not; the high tone may be 4 dB stronger or
8 dB weaker than the low one; -25 dBm is loud enough; noise 15 dB below the tones does not matter.
"""

from __future__ import annotations

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
_WINDOW: Final = 2 * _HOP
_PACKET: Final = 2 * _HOP
#: The end of the packet before, and a packet: two windows.
_SPAN: Final = _HOP + _PACKET
_TONES_HZ: Final = (*ROWS_HZ, *COLUMNS_HZ)
_TAPER: Final = np.hanning(_WINDOW + 1)[:-1]


def _in_both_windows(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """For a span: `columns` for its first window, then for its second."""
    late = np.zeros((_SPAN - _WINDOW, columns.shape[1]))
    return np.hstack([np.vstack([columns, late]), np.vstack([late, columns])])


def _kernels() -> Floats:
    """Span to real parts of the eight tones in either window, then imaginary parts; scaled to root mean square."""
    angles = 2 * np.pi * np.outer(np.arange(_WINDOW) / RATE_HZ, _TONES_HZ)
    taper = (_TAPER * np.sqrt(2) / _TAPER.sum())[:, None]
    parts = [_in_both_windows(part * taper) for part in (np.cos(angles), -np.sin(angles))]
    return np.ascontiguousarray(np.hstack(parts), np.float32)


_KERNELS: Final = _kernels()
#: Squares of a span to the mean square of either window, weighted as the tones are.
_WEIGHTS: Final = _in_both_windows((_TAPER**2 / (_TAPER**2).sum())[:, None]).astype(np.float32)
#: How far the phase of each tone moves from a window to the next.
_ADVANCE: Final = tuple(2 * pi * hz * HOP_S for hz in _TONES_HZ)

# -- what is believed --------------------------------------------------------------------------------------------------

#: A window in which each tone is softer than this holds none.
MIN_DBFS: Final = -42.0
#: Of the energy of a window, at least so much is the key's two tones, before and after they are set right for being
#: off their frequencies.
MIN_CANDIDATE_SHARE: Final = 0.35
MIN_SHARE: Final = 0.70
#: High tone over low tone; what Q.24 demands, and a little for noise and for the line's own slope.
TWIST_DB: Final = (-10.0, 6.0)
#: Between the 1.5 % that must be accepted and the 3.5 % that must not.
MAX_OFF: Final = 0.024
#: Windows in a row that are right.
CONFIRMED_BY: Final = 2
#: A tone this much softer than just before is gone; so many windows without it, and the key is up.
GONE_DB: Final = 9.0
UP_AFTER: Final = 2

_MIN_POWER: Final = 10 ** (MIN_DBFS / 10)
_MIN_TWIST, _MAX_TWIST = (10 ** (db / 10) for db in TWIST_DB)
_GONE: Final = 10 ** (-GONE_DB / 10)
_MAX_OFF_HZ: Final = tuple(hz * MAX_OFF for hz in _TONES_HZ)


class DtmfDetector:
    """Finds keys in 8 kHz mu-law."""

    __slots__ = ("_down", "_missing", "_phases", "_reframer", "_right", "_span", "_strengths", "_tones")

    def __init__(self) -> None:
        self._reframer = Reframer(_PACKET)
        self._span = np.zeros(_SPAN, np.float32)
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

    def flush(self) -> str:
        """The keys that are confirmed by what was left at the end. What is fed next is another stream."""
        rest = self._reframer.flush(MULAW_8K.silent_sample)
        keys = self._packet(rest) if rest else ""
        DtmfDetector.__init__(self)
        return keys

    def _packet(self, codes: bytes) -> str:
        span = self._span
        span[:_HOP] = span[_PACKET:]
        span[_HOP:] = MULAW_TO_FLOAT.take(np.frombuffer(codes, np.uint8))
        if span.dot(span) < _MIN_POWER * _HOP:
            self._silent()
            return ""
        parts = span.dot(_KERNELS)
        squares = parts * parts
        powers: list[float] = (squares[:16] + squares[16:]).tolist()
        first, second = (span * span).dot(_WEIGHTS).tolist()
        return self._window(powers[:8], first, parts[0:]) + self._window(powers[8:], second, parts[8:])

    def _silent(self) -> None:
        """Two windows with nothing in them."""
        self._down = self._tones = None

    def _window(self, powers: list[float], energy: float, parts: Floats) -> str:
        """Take one window: the power of each tone, that of all there is, and where the tones' phases are read."""
        if self._down is not None and not self._is_up(self._down, powers):
            return ""
        low, high = max(powers[:4]), max(powers[4:])
        if low + high < MIN_CANDIDATE_SHARE * energy or low < _MIN_POWER or high < _MIN_POWER:
            self._tones = None
            return ""
        tones = powers.index(low), powers.index(high, 4)
        phases = (_phase(parts, tones[0]), _phase(parts, tones[1]))
        if tones != self._tones:
            self._right = 0
        elif _is_key(_off_hz(tones, self._phases, phases), tones, low, high, energy):
            self._right += 1
        else:
            self._right = 0
        self._tones, self._phases = tones, phases
        return self._press(tones, low, high) if self._right == CONFIRMED_BY else ""

    def _press(self, tones: Tones, low: float, high: float) -> str:
        self._down, self._strengths, self._missing, self._tones = tones, (low, high), 0, None
        return KEYS[tones[0] * 4 + tones[1] - 4]

    def _is_up(self, down: Tones, powers: list[float]) -> bool:
        """Whether the key that was down no longer is. Its strength is followed: a line's level may drift."""
        low, high = powers[down[0]], powers[down[1]]
        if low < self._strengths[0] * _GONE or high < self._strengths[1] * _GONE:
            self._missing += 1
        else:
            self._strengths, self._missing = (low, high), 0
        if self._missing < UP_AFTER:
            return False
        self._down = None
        return True


def _phase(parts: Floats, tone: int) -> float:
    return atan2(parts[16 + tone], parts[tone])


def _off_hz(tones: Tones, before: tuple[float, float], now: tuple[float, float]) -> tuple[float, float]:
    """How far either tone is off its frequency, from how its phase moved over a hop; up to 50 Hz either way."""
    low, high = (
        remainder(now[n] - before[n] - _ADVANCE[tone], 2 * pi) / (2 * pi * HOP_S)
        for n, tone in enumerate(tones)
    )
    return low, high


def _is_key(off_hz: tuple[float, float], tones: Tones, low: float, high: float, energy: float) -> bool:
    """Whether a window that may hold the two `tones` does."""
    if abs(off_hz[0]) > _MAX_OFF_HZ[tones[0]] or abs(off_hz[1]) > _MAX_OFF_HZ[tones[1]]:
        return False
    low, high = low / _passed(off_hz[0]), high / _passed(off_hz[1])
    return low + high >= MIN_SHARE * energy and _MIN_TWIST * low <= high <= _MAX_TWIST * low


def _passed(off_hz: float) -> float:
    """What a window lets through of the power of a tone that is off its frequency."""
    bins = off_hz * _WINDOW / RATE_HZ
    if abs(bins) < 1e-3:
        return 1.0
    return (sin(pi * bins) / (pi * bins * (1 - bins * bins))) ** 2
