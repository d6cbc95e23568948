"""The sounds that are always there: no file, no network, no licence. Made when first asked for, and kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

from bridge.errors import PromptError
from bridge.prompts.hold_music import hold_music
from bridge.prompts.prompt import Prompt
from telephony_codecs import tones
from telephony_codecs.g711 import mulaw_encode

#: Long enough that nobody hears the noise repeat.
_NOISE_MS: Final = 8000
_SILENCE_MS: Final = 1000

_MAKERS: Final[dict[str, Callable[[], tones.Samples]]] = {
    "beep": tones.beep,
    "comfort_noise": lambda: tones.comfort_noise(_NOISE_MS),
    "hold_music": hold_music,
    "ringback": tones.ringback,
    "silence": lambda: tones.silence(_SILENCE_MS),
}
#: Their names. No prompt of a file may have one of them.
SOUNDS: Final = frozenset(_MAKERS)


@cache
def sound(name: str) -> Prompt:
    """One of `SOUNDS`, to be played once or over and over: each goes on at its beginning without a click.

    The first time takes some 15 ms (hold music): ask for them at start, not while a call waits.

    Raises:
        PromptError: there is no such sound.
    """
    if name not in _MAKERS:
        raise PromptError(f"{name!r} is none of {', '.join(sorted(SOUNDS))}")
    return Prompt(mulaw_encode(_MAKERS[name]().astype("<i2").tobytes()))
