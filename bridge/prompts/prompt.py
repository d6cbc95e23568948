"""Audio that is ready before anybody needs it: 8 kHz mu-law in memory, no network and no disk on the way out."""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from bridge.errors import PromptError
from telephony_codecs.formats import MULAW_8K
from telephony_codecs.transcoder import Transcoder
from telephony_codecs.wav import Wav, read_wav

#: A WAV whose audio begins later is none that anybody has.
_MOST_HEADER_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Prompt:
    """A recording. `audio` is raw 8 kHz mu-law; `text` is what it says, for `heard`."""

    audio: bytes
    text: str = ""

    @property
    def ms(self) -> float:
        """Its length."""
        return MULAW_8K.ms_in(len(self.audio))


def load_prompt(source: Path | str | bytes, text: str = "") -> Prompt:
    """A prompt from a WAV file (mono; PCM16, mu-law or A-law at any rate the resampler knows), or its bytes.

    Reads a file: load prompts at start, not while a call waits for them.

    Raises:
        PromptError: it cannot be read, or is not such a file.
    """
    name = "prompt" if isinstance(source, bytes) else str(source)
    try:
        return Prompt(mulaw_in(source if isinstance(source, bytes) else Path(source).read_bytes()), text)
    except OSError as error:
        raise PromptError(f"{name}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise PromptError(f"{name}: {error}") from error


def fault_of_recording(path: Path) -> str:
    """Why `path` would be refused by `load_prompt`; empty when it would not. Only its beginning is looked at."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe is to wait for whoever writes into it
            return "is no file"
        with path.open("rb") as file:
            _way_to_mulaw(read_wav(file.read(_MOST_HEADER_BYTES)))
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except ValueError as error:
        return str(error)
    return ""


def mulaw_in(content: bytes) -> bytes:
    """The audio of a WAV file that holds `content`, as 8 kHz mu-law.

    Raises:
        ValueError: it is no such file as `load_prompt` takes.
    """
    wav = read_wav(content)
    transcoder = _way_to_mulaw(wav)
    return transcoder.feed(wav.audio) + transcoder.flush()


def _way_to_mulaw(wav: Wav) -> Transcoder:
    if wav.channels != 1:
        raise ValueError(f"has {wav.channels} channels; a prompt must be mono")
    if not wav.audio:
        raise ValueError("holds no audio")
    return Transcoder(wav.format, MULAW_8K)


# -- bundled -----------------------------------------------------------------------------------------------------------


@cache
def one_moment() -> Prompt:
    """What the caller hears while the voice is late. Bundled, as the apology is."""
    return _bundled("one_moment.wav", "One moment, please.")


@cache
def apology() -> Prompt:
    """What the caller hears when the voice has failed. Bundled, so that it needs nothing that can fail too."""
    return _bundled("apology.wav", "I am sorry, I am having trouble speaking right now.")


@cache
def goodbye() -> Prompt:
    """What the caller hears when the call has cost what it may. Bundled: it costs nothing."""
    return _bundled("goodbye.wav", "I am sorry, I have to end this call now. Goodbye.")


def _bundled(file: str, text: str) -> Prompt:
    return load_prompt(files("bridge").joinpath("sounds", file).read_bytes(), text)


#: By the names that they are always played under.
BUNDLED: Final[Mapping[str, Callable[[], Prompt]]] = {"apology": apology, "one_moment": one_moment}
