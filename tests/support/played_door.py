"""Doors for voices in virtual time: each synthesis follows a script, and says what came of it.

A sound tells who made it: entry and place in time are in the bytes, so that a test can read off the audio who spoke
which letter of which text. One letter lasts `LETTER_MS`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias

from bridge.config import LightningConfig
from bridge.errors import LightningError
from bridge.lightning.breaker import Breaker
from bridge.lightning.door import Door
from bridge.lightning.entries import Entry
from bridge.lightning.limits import Units
from bridge.lightning.messages import SynthesisRequest
from bridge.lightning.speech import PartSink, SpokenWord, Synthesis
from bridge.lightning.stats import LightningStats
from bridge.lightning.voice import Voice
from bridge.lightning.watched import WatchedSynthesis
from telephony_codecs.formats import MULAW_8K

LETTER_MS: Final = 65
LETTER_BYTES: Final = MULAW_8K.bytes_in(LETTER_MS)


def spoken(text: str) -> bytes:
    """`text` as audio: each letter lasts as long, and is its own code."""
    return b"".join(bytes([ord(letter)]) * LETTER_BYTES for letter in text)


def read_back(audio: bytes) -> str:
    """The letters in `audio`; one that was cut off counts when half of it was heard."""
    letters = []
    at = 0
    while at < len(audio):
        run = at
        while run < len(audio) and audio[run] == audio[at]:
            run += 1
        letters.append(chr(audio[at]) * round((run - at) / LETTER_BYTES))
        at = run
    return "".join(letters)


class PlayedSynthesis(WatchedSynthesis):
    """A synthesis that follows its door's script."""

    door: PlayedDoor

    async def _ask(self) -> None:
        number = len(self.door.syntheses)
        self.door.syntheses.append(self)
        self._sent()
        await self.door.script(self, number)

    def speak(self, text: str | None = None) -> None:
        """Say `text` at once; by default all that was asked for."""
        self._take_audio(spoken(self.request.text if text is None else text))

    def time(self, *words: str) -> None:
        """Say when `words`, the first of the text, are spoken."""
        at = 0
        for word in words:
            at = self.request.text.index(word, at)
            self.deliver(SpokenWord(word, at * LETTER_MS, (at + len(word)) * LETTER_MS))
            at += len(word)

    def done(self) -> None:
        """That was all."""
        self._complete()


Script: TypeAlias = Callable[[PlayedSynthesis, int], Awaitable[None]]


async def well(synthesis: PlayedSynthesis, _number: int) -> None:
    """Say all of it after 100 ms."""
    await asyncio.sleep(0.1)
    synthesis.speak()
    synthesis.done()


async def mute(_synthesis: PlayedSynthesis, _number: int) -> None:
    """Say nothing, for ever."""


def failing(error: LightningError, after: str = "", *, timed: bool = False, after_s: float = 0.1) -> Script:
    """Fail with `error` after so much of the text; `timed` tells when its words are."""

    async def script(synthesis: PlayedSynthesis, _number: int) -> None:
        await asyncio.sleep(after_s)
        if after:
            if timed:
                synthesis.time(*after.split())
            synthesis.speak(after)
        synthesis.finish(error)

    return script


def in_turn(*scripts: Script) -> Script:
    """The first synthesis follows the first script; the last one serves all that come after."""

    async def script(synthesis: PlayedSynthesis, number: int) -> None:
        await scripts[min(number, len(scripts) - 1)](synthesis, number)

    return script


class PlayedDoor(Door):
    """A `Synthesizer`."""

    last_error: LightningError | None = None

    def __init__(self, script: Script, stats: LightningStats, units: Units, config: LightningConfig) -> None:
        super().__init__(config, stats=stats, units=units)
        self.script = script
        self.syntheses: list[PlayedSynthesis] = []
        self.running = False

    async def start(self) -> None:
        self.running = True

    async def close(self) -> None:
        await super().close()
        self.running = False

    def _synthesis(self, request: SynthesisRequest, into: PartSink | None, wait_s: float | None) -> Synthesis:
        synthesis = PlayedSynthesis(request, into, self, wait_s)
        synthesis.door = self
        return synthesis

    @property
    def texts(self) -> list[str]:
        """What was asked for and reached the door, in order."""
        return [synthesis.request.text for synthesis in self.syntheses]


def played_voice(
    *scripts: Script,
    units: Sequence[int] = (),
    configs: Sequence[dict[str, Any]] = (),
    **options: Any,
) -> tuple[Voice, list[PlayedDoor]]:
    """A voice with an entry for each script.

    Args:
        units: of each entry; by default, all share four.
        configs: what each entry has otherwise than the default.
        options: of `Voice`.
    """
    stats = LightningStats()
    shared = Units(4, stats)
    doors, entries = [], []
    for number, script in enumerate(scripts):
        changes = configs[number] if number < len(configs) else {}
        config = LightningConfig(voice_id="magnus", **changes)
        own = Units(units[number], stats) if number < len(units) else shared
        door = PlayedDoor(script, stats, own, config)
        entry = Entry(f"{number + 1}-live", config, door, Breaker(config.breaker_failures), own)
        entry.answer_format = MULAW_8K  # so that no audio is held back to be guessed at
        doors.append(door)
        entries.append(entry)
    return Voice(entries, stats, **options), doors
