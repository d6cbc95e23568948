"""Makes the golden files beside it: a sweep, and its mu-law and A-law by the written-out rules.

    python -m tests.data.g711.make_sweep

One second at 8 kHz from 300 to 3400 Hz, swelling from -60 dBFS to past full scale: every segment is met.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path

from tests.support.g711_rules import alaw_code, mulaw_code

RATE_HZ = 8000


def sweep() -> list[int]:
    samples = []
    for n in range(RATE_HZ):
        at = n / RATE_HZ
        phase = 2 * math.pi * 300 * (math.exp(at * math.log(3400 / 300)) - 1) / math.log(3400 / 300)
        loudness = 32768 * 10 ** (-60 * (1 - at) / 20 + 1 / 20)
        samples.append(max(-32768, min(32767, round(loudness * math.sin(phase)))))
    return samples


def main() -> None:
    here, samples = Path(__file__).parent, sweep()
    (here / "sweep.s16le").write_bytes(struct.pack(f"<{len(samples)}h", *samples))
    (here / "sweep.ulaw").write_bytes(bytes(map(mulaw_code, samples)))
    (here / "sweep.alaw").write_bytes(bytes(map(alaw_code, samples)))


if __name__ == "__main__":
    main()
