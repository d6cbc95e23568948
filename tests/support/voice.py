"""A voice of one entry, on a door that a test has made."""

from __future__ import annotations

from typing import Any

from bridge.config import LightningConfig
from bridge.lightning.breaker import Breaker
from bridge.lightning.entries import Entry
from bridge.lightning.live import LightningLive
from bridge.lightning.speech import Synthesizer
from bridge.lightning.voice import Voice
from tests.support.bridge import Stage


def live_door(stage: Stage) -> LightningLive:
    """The door of a bridge that has the live one only."""
    (entry,) = stage.server.runtime.voice.entries
    assert isinstance(entry.door, LightningLive)
    return entry.door


def one_voice(door: Synthesizer, config: LightningConfig, **options: Any) -> Voice:
    """`options` are those of `Voice`."""
    entry = Entry(
        f"1-{config.door}", config, door, Breaker(config.breaker_failures), getattr(door, "units", None)
    )
    return Voice([entry], door.stats, **options)
