"""What the door `local` runs in tests: text on standard input, a WAV of tones on standard output, at a voice's pace.

    echo "ten eleven" | python -P tests/support/speak_tones.py magnus 2

The arguments are the voice and how much faster than real time it writes. Like the program that a bridge runs without
being told another, it needs no numpy: a caller would hear how long that takes to import.
"""

from __future__ import annotations

import sys
import time
from typing import Final

from bridge.emulators.speech_engine import ToneEngine

CHUNK_MS: Final = 100


def main(voice: str, realtime_factor: float) -> None:
    """Speak."""
    speech = ToneEngine().speak(sys.stdin.read(), voice_id=voice, language="en", speed=1.0)
    file, began_s = speech.wav(), time.monotonic()
    size = speech.rate_hz * 2 * CHUNK_MS // 1000
    for at in range(0, len(file), size):
        due_s = began_s + at / (speech.rate_hz * 2) / realtime_factor
        time.sleep(max(0.0, due_s - time.monotonic()))
        sys.stdout.buffer.write(file[at : at + size])
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
