"""What the codecs cost and how good the resampler is: the figures of docs/decisions.md.

    python -m benchmarks.codecs

Costs are CPU time of one thread, median of the runs with the lowest and the highest. Levels are measured on tones
of whole periods at -1 dBFS; what lies more than 95 dB under them is the rounding to 16 bits.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import partial
from math import ceil
from statistics import median

import numpy as np
from numpy.typing import NDArray

from telephony_codecs import (
    MULAW_TO_FLOAT,
    Resampler,
    alaw_decode,
    alaw_encode,
    mulaw_decode,
    mulaw_encode,
    mulaw_to_alaw,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

FRAME_MS = 20
RUNS, FRAMES_A_RUN = 15, 5000
RATES_HZ = (16000, 22050, 24000, 44100, 48000)
TONE_S, MARGIN_S = 0.2, 0.01

Signal = NDArray[np.float64]


def cpu_s(work: Callable[[], object]) -> float:
    """CPU seconds that one run of `work` takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def spread(values: list[float], unit: str) -> str:
    return f"{median(values):6.2f} {unit} ({min(values):.2f} to {max(values):.2f})"


def frame_costs() -> None:
    pcm = np.random.default_rng(0).integers(-8000, 8000, 160).astype("<i2").tobytes()
    mulaw, alaw = mulaw_encode(pcm), alaw_encode(pcm)
    operations: list[tuple[str, Callable[[], object]]] = [
        ("mu-law encode, table", partial(mulaw_encode, pcm)),
        ("mu-law encode, audioop (inexact)", partial(audioop.lin2ulaw, pcm, 2)),
        ("mu-law decode", partial(mulaw_decode, mulaw)),
        ("A-law encode", partial(alaw_encode, pcm)),
        ("A-law decode", partial(alaw_decode, alaw)),
        ("mu-law to A-law", partial(mulaw_to_alaw, mulaw)),
        ("mu-law to floats", lambda: MULAW_TO_FLOAT.take(np.frombuffer(mulaw, np.uint8))),
    ]
    print("G.711, CPU per frame of 20 ms")
    for name, operation in operations:
        runs = [cpu_s(lambda: [operation() for _ in range(FRAMES_A_RUN)]) for _ in range(RUNS)]  # noqa: B023
        print(f"  {name:34}{spread([run / FRAMES_A_RUN * 1e6 for run in runs], 'us')}")


def resampler_table() -> None:
    print("\nResampler, streamed in chunks of 20 ms")
    print("     from      to  CPU per s of audio               delay  from 4.3 kHz up  300-3400 Hz")
    for from_hz in RATES_HZ:
        cost, delay_ms = spread(streaming_costs(from_hz, 8000), "ms"), Resampler(from_hz, 8000).delay_ms
        worst, ripple = alias_db(from_hz), ripple_db(from_hz, 8000)
        print(f"  {from_hz:7}    8000  {cost:31} {delay_ms:4.1f} ms  {worst:11.1f} dB  {ripple:8.4f} dB")
    for to_hz in RATES_HZ:
        cost, delay_ms = spread(streaming_costs(8000, to_hz), "ms"), Resampler(8000, to_hz).delay_ms
        print(f"     8000 {to_hz:7}  {cost:31} {delay_ms:4.1f} ms  {'':14}  {ripple_db(8000, to_hz):8.4f} dB")


def streaming_costs(from_hz: int, to_hz: int) -> list[float]:
    """CPU milliseconds per second of audio, run by run."""
    pcm = np.random.default_rng(0).integers(-8000, 8000, from_hz).astype("<i2").tobytes()
    size = from_hz * FRAME_MS // 1000 * 2
    chunks = [pcm[at : at + size] for at in range(0, len(pcm), size)]
    resampler = Resampler(from_hz, to_hz)
    return [cpu_s(lambda: [resampler.feed(chunk) for chunk in chunks]) * 1000 for _ in range(RUNS)]


def gain_db(hz: float, from_hz: int, to_hz: int) -> float:
    """Level of a tone behind the resampler, relative to before."""
    times = np.arange(ceil((TONE_S + 2 * MARGIN_S) * from_hz)) / from_hz
    tone = 29204 * np.sin(2 * np.pi * hz * times)
    resampler = Resampler(from_hz, to_hz)
    pcm = resampler.feed(np.rint(tone).astype("<i2").tobytes()) + resampler.flush()
    heard = np.frombuffer(pcm, "<i2").astype(np.float64)[ceil(MARGIN_S * to_hz) :][: round(TONE_S * to_hz)]
    return float(10 * np.log10(np.mean(heard**2) / (29204**2 / 2) + 1e-20))


def alias_db(from_hz: int) -> float:
    """The loudest that anything from 4.3 kHz up comes through to 8 kHz."""
    return max(gain_db(hz, from_hz, 8000) for hz in range(4300, from_hz // 2 - 50, 25))


def ripple_db(from_hz: int, to_hz: int) -> float:
    gains = [gain_db(hz, from_hz, to_hz) for hz in range(300, 3401, 25)]
    return max(gains) - min(gains)


if __name__ == "__main__":
    frame_costs()
    resampler_table()
