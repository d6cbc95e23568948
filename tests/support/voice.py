"""A voice of one entry, on a door that a test has made; and what is heard of a voice."""

from __future__ import annotations

from typing import Any

from bridge.config import LightningConfig
from bridge.lightning.breaker import Breaker
from bridge.lightning.entries import Entry
from bridge.lightning.live import LightningLive
from bridge.lightning.speech import Speech, SpeechAudio, SpeechPart, Synthesizer
from bridge.lightning.voice import Voice
from tests.support.bridge import Stage
from tests.support.waiting import until


def live_door(stage: Stage) -> LightningLive:
    """The first door of a bridge, which is the live one."""
    door = stage.server.runtime.voice.entries[0].door
    assert isinstance(door, LightningLive)
    return door


async def until_warm(stage: Stage) -> None:
    """Wait for the spare sockets, as a bridge has them long before a call comes."""
    await until(lambda: live_door(stage).pool.idle == stage.config.lightning.spare_connections)


def one_voice(door: Synthesizer, config: LightningConfig, **options: Any) -> Voice:
    """`options` are those of `Voice`."""
    entry = Entry(
        f"1-{config.door}", config, door, Breaker(config.breaker_failures), getattr(door, "units", None)
    )
    return Voice([entry], door.stats, **options)


async def heard(speech: Speech) -> tuple[list[SpeechPart], Exception | None]:
    """All parts of `speech`, and what it ended with."""
    parts: list[SpeechPart] = []
    try:
        async for part in speech:
            parts.append(part)
    except Exception as error:  # noqa: BLE001 - the test judges it
        return parts, error
    return parts, None


def audio_in(parts: list[SpeechPart]) -> bytes:
    """The audio in `parts`."""
    return b"".join(part.payload for part in parts if isinstance(part, SpeechAudio))
