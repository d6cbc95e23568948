"""The caller's part: what is said and heard on the line at each step of a script, before the call is made.

Strategy:

- Words are spoken by the offline voice through the door `local`: a program of its own for each, because it is GPL.
- The silence that a voice leaves at both ends is cut off, so that the end of the sound is the end of the words.
- The audio of a step is all that it depends on: the same script makes the same bytes, and a recogniser that knows them
  hears the same words.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from bridge.config import LightningConfig
from bridge.emulators.caller_script import SPEECH_DBFS
from bridge.errors import ConfigError, LightningError
from bridge.lightning.clip import ClipFormat, synthesise_clip
from bridge.rehearsal.noises import noise, under
from bridge.rehearsal.script import Head, Rehearsal, Step
from telephony_codecs.formats import MULAW_8K, PCM16_8K
from telephony_codecs.g711 import mulaw_encode
from telephony_codecs.pcm import level_dbfs

#: Programs that speak at the same time.
_VOICES_AT_ONCE: Final = 4
#: What is kept before the first sound of the words and behind the last.
_EDGE_MS: Final = 20
_SLOT_BYTES: Final = PCM16_8K.bytes_in(20)


@dataclass(frozen=True, slots=True)
class Part:
    """What is on the line at one step.

    Attributes:
        audio: 8 kHz mu-law; empty for a step without sound.
        words: what a recogniser should make of it; empty for what is no speech.
        onset_ms, speech_end_ms: where the words begin and end in it; 0 for what is no speech.
    """

    audio: bytes = b""
    words: str = ""
    onset_ms: float = 0.0
    speech_end_ms: float = 0.0


def require_voice(rehearsal: Rehearsal) -> None:
    """Refuse a script with words in it where nothing can speak them.

    Raises:
        ConfigError: the offline voice is not installed.
    """
    if find_spec("espeakng_loader") is None and any(step.say is not None for step in rehearsal.script.caller):
        raise ConfigError("the caller's voice is not installed: pip install 'lightning-phone-bridge[demo]'")


async def cast(rehearsal: Rehearsal) -> list[Part]:
    """The part of each step.

    Raises:
        ConfigError: the offline voice is not installed, or cannot say something; names the step.
    """
    require_voice(rehearsal)
    script, turn = rehearsal.script, asyncio.Semaphore(_VOICES_AT_ONCE)

    async def part(number: int, step: Step) -> Part:
        async with turn:
            try:
                return await _part(step, script.rehearsal)
            except (LightningError, ValueError) as error:
                raise rehearsal.fault(f"caller[{number}].say", f"cannot be said: {error}") from error

    made = await asyncio.gather(
        *(part(number, step) for number, step in enumerate(script.caller)), return_exceptions=True
    )
    parts = [each for each in made if isinstance(each, Part)]
    for error in made:
        if isinstance(error, BaseException):
            raise error
    return parts


def vocabulary(parts: Sequence[Part]) -> dict[str, bytes]:
    """What is said, and the sound of it: for a recogniser that knows it."""
    known: dict[str, bytes] = {}
    for audio, words in {part.audio: part.words for part in parts if part.words}.items():
        while words in known:  # said in two ways; blanks are no words
            words += " "
        known[words] = audio
    return known


async def _part(step: Step, head: Head) -> Part:
    if step.noise is not None:
        return Part(noise(step.noise, step.for_ms, step.dbfs, head.seed))
    if step.say is None:
        return Part()
    voice = LightningConfig(door="local", voice_id=step.voice, language=step.language, speed=step.speed)
    clip = await synthesise_clip(step.say, ClipFormat("pcm", MULAW_8K.rate_hz), voice)
    words = step.say if step.heard_as is None else step.heard_as
    return spoken(clip.audio, words, head)


def spoken(pcm: bytes, words: str, head: Head) -> Part:
    """The part of who says `pcm` (PCM16 at 8 kHz).

    Raises:
        ValueError: nothing in it is loud enough to be speech.
    """
    loud = [
        at for at in range(0, len(pcm), _SLOT_BYTES) if level_dbfs(pcm[at : at + _SLOT_BYTES]) >= SPEECH_DBFS
    ]
    if not loud:
        raise ValueError("no sound came of it")
    edge = PCM16_8K.bytes_in(_EDGE_MS)
    first, last = max(0, loud[0] - edge), loud[-1] + _SLOT_BYTES
    kept = pcm[first : last + edge]
    noisy = under(kept, head.noise_dbfs, zlib.crc32(kept) ^ head.seed)
    return Part(mulaw_encode(noisy), words, PCM16_8K.ms_in(loud[0] - first), PCM16_8K.ms_in(last - first))
