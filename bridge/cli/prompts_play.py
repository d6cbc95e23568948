"""``bridge prompts play``: a prompt as a caller hears it, made whole and played by whatever is installed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bridge.cli.try_world import Spoken
from bridge.errors import BridgeError, ConfigError
from bridge.prompts.prompt import Prompt
from telephony_codecs.formats import MULAW_8K
from telephony_codecs.wav import wav_bytes

if TYPE_CHECKING:
    from bridge.cli.edition import Files

#: Programs that play a WAV, with what makes them do only that.
PLAYERS: Final = {
    "ffplay": ("-nodisp", "-autoexit", "-loglevel", "error"),
    "aplay": ("-q",),
    "afplay": (),
    "paplay": (),
}


async def rendered_wav(files: Files, prompt: str, values: Mapping[str, str], language: str) -> bytes:
    """The prompt `prompt` as a WAV; what is missing is spoken now.

    Raises:
        LightningError: it could not be had.
        ConfigError: something has to be spoken, and there is no key.
    """
    rendition = files.shelf.rendition(prompt, values, language=language)
    audio = b""
    async with Spoken(files.config.lightning, normalise=files.normalise is not None) as speaker:
        for part in rendition.parts:
            audio += part.audio if isinstance(part, Prompt) else await speaker.speak(part)
    await files.shelf.close()
    return wav_bytes(MULAW_8K, audio)


def require_player() -> list[str]:
    """The command that plays a file named behind it.

    Raises:
        ConfigError: nothing is installed that could.
    """
    for name, options in PLAYERS.items():
        if path := shutil.which(name):
            return [path, *options]
    raise ConfigError(f"is needed: none of {', '.join(PLAYERS)} is installed to play it", key="--out")


def play_wav(wav: bytes) -> None:
    """Play it to its end.

    Raises:
        BridgeError: the player says no.
    """
    command = require_player()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "prompt.wav")
        file.write_bytes(wav)
        done = subprocess.run([*command, str(file)], stdin=subprocess.DEVNULL, check=False)  # noqa: S603 - a list above, and our file
    if done.returncode:
        raise BridgeError(
            f"{Path(command[0]).name} could not play it (exit code {done.returncode}): write it with -o"
        )
