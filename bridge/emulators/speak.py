"""The offline voice as a program: text on standard input, a WAV on standard output.

    echo "Hello." | python -m bridge.emulators.speak --language en > hello.wav

It is what the door `local` runs when no command is configured: eSpeak NG is GPL, so it speaks in a process of its
own, never in that of the bridge. A caller waits for all that is imported here, so the WAV is written by the standard
library: our own codecs bring numpy, which takes longer than everything else together.
"""

from __future__ import annotations

import argparse
import sys

from bridge.emulators.espeak import EspeakEngine
from bridge.errors import ConfigError


def main(arguments: list[str] | None = None) -> int:
    """Speak. Exit code 1, and the reason in the last line of standard error, when that cannot be."""
    options = _parser().parse_args(arguments)
    text = sys.stdin.buffer.read().decode("utf-8", errors="replace")
    if not text.strip():
        return _failed("nothing to say: standard input is empty")
    try:
        speech = EspeakEngine().speak(
            text, voice_id=options.voice_id, language=options.language, speed=options.speed
        )
    except (ConfigError, RuntimeError) as error:
        return _failed(str(error))
    sys.stdout.buffer.write(speech.wav())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bridge.emulators.speak", description="Speak offline.")
    parser.add_argument("--language", default="auto", help="a language code, or auto")
    parser.add_argument("--voice-id", default="magnus", help="which throat; any name will do")
    parser.add_argument("--speed", type=float, default=1.0, help="1 is the voice's own pace")
    return parser


def _failed(reason: str) -> int:
    print(reason, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
