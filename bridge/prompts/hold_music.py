"""Music for whoever waits: eight bars of our own, so nobody has to be asked or paid for it. Pure.

Strategy:

- Struck strings that ring out, like a soft electric piano: each note a few partials that swell in 12 ms and die away,
  the higher the sooner. Slow, without words or drums: a detector of speech has nothing to take for a voice.
- The notes lie where a telephone is good, and no partial above what it carries.
- The end rings on into the beginning, so the loop has no seam. It is a whole number of packets.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from telephony_codecs.tones import FULL_SCALE, RATE_HZ, Samples, Signal, quantised

LEVEL_DBFS: Final = -26.0
#: 0.7 s, 35 packets.
_BEAT: Final = 5600
_BEATS_IN_A_BAR: Final = 4
#: Eight chords, from the lowest note up, and the tune above them: (beat, note), by MIDI's numbers of the notes.
_BARS: Final = (
    ((53, 60, 64, 67), ((0.0, 69), (2.0, 72), (3.0, 69))),
    ((55, 60, 64, 67), ((0.0, 74), (2.0, 72))),
    ((57, 62, 65, 69), ((0.0, 72), (2.0, 69), (3.0, 65))),
    ((57, 60, 64, 67), ((0.0, 76), (2.0, 72))),
    ((58, 62, 65, 69), ((0.0, 72), (2.0, 74), (3.0, 72))),
    ((57, 60, 65, 69), ((0.0, 77), (2.0, 72))),
    ((55, 58, 62, 65), ((0.0, 70), (2.0, 69), (3.0, 67))),
    ((55, 60, 65, 70), ((0.0, 67), (2.0, 64))),
)
#: A chord is rolled: each note so many beats after the one below; its upper notes come back softly, one by one.
_ROLL_BEATS: Final = 0.08
_ECHO_BEATS: Final = (1.0, 1.5, 2.5)
_CHORD, _ECHO, _TUNE = 0.5, 0.28, 0.8

#: Strength of each partial, and how long the first takes to fall to a third.
_PARTIALS: Final = (1.0, 0.25, 0.08)
_DECAY_S: Final = 1.1
_ATTACK_S: Final = 0.012
_RING_S: Final = 5.0
_HIGHEST_HZ: Final = 3400.0


def hold_music() -> Samples:
    """22.4 s of it, to be looped. Takes some 15 ms to make."""
    track = np.zeros(len(_BARS) * _BEATS_IN_A_BAR * _BEAT)
    notes: dict[int, Signal] = {}
    for beat, pitch, strength in _score():
        if pitch not in notes:
            notes[pitch] = _note(440 * 2 ** ((pitch - 69) / 12))
        _add(track, round(beat * _BEAT), notes[pitch] * strength)
    return quantised(track * (FULL_SCALE * 10 ** (LEVEL_DBFS / 20) / np.sqrt(np.mean(track**2))))


def _score() -> list[tuple[float, int, float]]:
    """All notes: at which beat, which, how strong."""
    score: list[tuple[float, int, float]] = []
    for bar, (chord, tune) in enumerate(_BARS):
        first = float(bar * _BEATS_IN_A_BAR)
        score += [(first + n * _ROLL_BEATS, pitch, _CHORD) for n, pitch in enumerate(chord)]
        score += [(first + beat, pitch, _ECHO) for beat, pitch in zip(_ECHO_BEATS, chord[1:], strict=True)]
        score += [(first + beat, pitch, _TUNE) for beat, pitch in tune]
    return score


def _note(hz: float) -> Signal:
    """A string that is struck and rings out."""
    note = np.zeros(int(_RING_S * RATE_HZ))
    for number, strength in enumerate(_PARTIALS, 1):
        if hz * number < _HIGHEST_HZ:
            # One number that turns and shrinks from sample to sample: a tenth of the work of sine and exponential.
            step = np.exp(complex(-number / _DECAY_S, 2 * np.pi * hz * number) / RATE_HZ)
            note += strength * np.multiply.accumulate(np.full(note.size, step)).imag
    attack = int(_ATTACK_S * RATE_HZ)
    note[:attack] *= 0.5 - 0.5 * np.cos(np.pi * np.arange(attack) / attack)
    # After five seconds a hundredth is left: it fades instead of stopping.
    note[-RATE_HZ:] *= np.linspace(1, 0, RATE_HZ)
    return note


def _add(track: Signal, at: int, note: Signal) -> None:
    """Mix `note` in; what rings beyond the end rings at the beginning."""
    head = track[at : at + note.size]
    head += note[: head.size]
    rest = note[head.size :]
    track[: rest.size] += rest
