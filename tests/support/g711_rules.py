"""The segment rules of ITU-T G.711 (11/1988), written out: slow, plain, and independent of what they check.

Both laws cut the range of magnitudes into eight segments of sixteen steps each. A code is a sign, a segment
and a step, and decodes to the middle of its step. Tables 1a and 1b of the standard are A-law's, 2a and 2b
mu-law's.
"""

from __future__ import annotations

from typing import NamedTuple


class Segment(NamedTuple):
    start: int
    step: int

    @property
    def end(self) -> int:
        return self.start + 16 * self.step

    def middle(self, step_index: int) -> int:
        return self.start + step_index * self.step + self.step // 2


#: Magnitudes of 14-bit samples. The very first step begins below zero: it is half as wide as its neighbours.
MULAW_SEGMENTS = (
    Segment(-1, 2),
    Segment(31, 4),
    Segment(95, 8),
    Segment(223, 16),
    Segment(479, 32),
    Segment(991, 64),
    Segment(2015, 128),
    Segment(4063, 256),
)
#: Magnitudes of 13-bit samples.
ALAW_SEGMENTS = (
    Segment(0, 2),
    Segment(32, 2),
    Segment(64, 4),
    Segment(128, 8),
    Segment(256, 16),
    Segment(512, 32),
    Segment(1024, 64),
    Segment(2048, 128),
)


def _magnitude(sample: int) -> int:
    """Negative samples count from -1: -1 is as small as 0, and -32768 as large as 32767."""
    return sample if sample >= 0 else -1 - sample


def _place(magnitude: int, segments: tuple[Segment, ...]) -> tuple[int, int]:
    """Segment and step of a magnitude; beyond the last segment, its last step."""
    for number, segment in enumerate(segments):
        if magnitude < segment.end:
            return number, (magnitude - segment.start) // segment.step
    return 7, 15


def mulaw_code(sample: int) -> int:
    """Sixteen bits to 14; all bits but the sign are sent inverted."""
    segment, step = _place(_magnitude(sample) // 4, MULAW_SEGMENTS)
    sign = 0x80 if sample >= 0 else 0x00
    return sign + 16 * (7 - segment) + (15 - step)


def mulaw_sample(code: int) -> int:
    inverted = 0x7F - code % 0x80
    middle = MULAW_SEGMENTS[inverted // 16].middle(inverted % 16)
    return 4 * (middle if code >= 0x80 else -middle)


def alaw_code(sample: int) -> int:
    """Sixteen bits to 13; every other bit is sent inverted."""
    segment, step = _place(_magnitude(sample) // 8, ALAW_SEGMENTS)
    sign = 0x80 if sample >= 0 else 0x00
    return (sign + 16 * segment + step) ^ 0x55


def alaw_sample(code: int) -> int:
    plain = code ^ 0x55
    middle = ALAW_SEGMENTS[plain % 0x80 // 16].middle(plain % 16)
    return 8 * (middle if plain >= 0x80 else -middle)
