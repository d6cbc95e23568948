"""What listening for keys costs, and how often a voice or music is taken for one.

    python -m benchmarks.dtmf [--folder .cache/speech]

Cost: CPU of one packet of 20 ms, the median of runs over ten seconds each. Talk-off: every recording there is (the
tests' own and `fetch_speech.py --voices`), as it is and at four other speeds, which makes other voices of it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from telephony_codecs.dtmf import KEYS, DtmfDetector, digits_audio
from telephony_codecs.g711 import mulaw_encode
from telephony_codecs.wav import read_wav

PACKET = 160
SECONDS = 10
RUNS = 15
SPEEDS = (1.0, 0.88, 0.94, 1.07, 1.15)
#: Not voices, nor music.
LEFT_OUT = ("tt-monkeys", "beep", "2tone")


def microseconds(mulaw: bytes) -> float:
    """CPU of one packet."""
    packets = [mulaw[at : at + PACKET] for at in range(0, len(mulaw), PACKET)]
    runs = []
    for _ in range(RUNS):
        detector, began = DtmfDetector(), time.process_time()
        for packet in packets:
            detector.feed(packet)
        runs.append((time.process_time() - began) / len(packets) * 1e6)
    return median(runs)


def as_mulaw(signal: NDArray[np.float64]) -> bytes:
    return mulaw_encode(np.rint(signal).clip(-32768, 32767).astype("<i2").tobytes())


def recordings(folder: Path) -> Iterator[tuple[Path, NDArray[np.float64]]]:
    """All of 8 kHz, on the scale of 16 bits."""
    for path in sorted(folder.rglob("*.wav")):
        wav = read_wav(path)
        if (
            wav.format.rate_hz == 8000
            and len(wav.audio) > PACKET
            and not any(n in path.stem for n in LEFT_OUT)
        ):
            yield path, np.frombuffer(wav.audio, "<i2").astype(np.float64)


def measure_cost(voices: Sequence[NDArray[np.float64]]) -> None:
    noise = np.random.default_rng(0).standard_normal(SECONDS * 8000) * 32768
    sounds = {
        "silence": b"\xff" * (SECONDS * 8000),
        "noise at -45 dBFS": as_mulaw(noise * 10 ** (-45 / 20)),
        "a key held down": digits_audio("5", on_ms=SECONDS * 1000, off_ms=0),
        "keys of 50 ms": digits_audio(KEYS * 7, on_ms=50, off_ms=50)[: SECONDS * 8000],
    }
    if voices:
        sounds["voices"] = as_mulaw(np.concatenate(voices)[: SECONDS * 8000])
    print("CPU of one packet of 20 ms")
    for name, audio in sounds.items():
        print(f"  {name:20} {microseconds(audio):5.1f} us")


def measure_talk_off(folder: Path) -> int:
    minutes, wrong = 0.0, 0
    for path, signal in recordings(folder):
        for speed in SPEEDS:
            heard = np.interp(np.arange(0, signal.size - 1, speed), np.arange(signal.size), signal)
            minutes += heard.size / 8000 / 60
            if keys := DtmfDetector().feed(as_mulaw(heard)):
                wrong += len(keys)
                print(f"  {path.name} at {speed:g}: {keys}")
    print(f"Talk-off: {wrong} keys in {minutes:.0f} minutes of voices and music")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.dtmf", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--folder", type=Path, default=Path(__file__).parents[1] / ".cache" / "speech")
    folder = parser.parse_args().folder
    measure_cost([signal for _, (_, signal) in zip(range(20), recordings(folder), strict=False)])
    return 1 if measure_talk_off(folder) else 0


if __name__ == "__main__":
    sys.exit(main())
