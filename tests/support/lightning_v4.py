"""The v4 door connected to a scripted Lightning, and what most scripts of it say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from bridge.config import LightningConfig
from bridge.lightning.v4 import LightningV4
from tests.support import lightning_live
from tests.support.scripted_lightning import Line, Script, ScriptedLightning
from tests.support.scripted_socket import Message

#: What a request has otherwise than one to `/tts/live`.
V4: Final[dict[str, Any]] = {"voice_id": "brannock", "model": "lightning_v4", "output_format": "pcm"}
#: Longer than any test takes.
NEVER_S: Final = 600.0


def config(url: str, **changes: Any) -> LightningConfig:
    """Of a v4 door without spares."""
    wanted = {"door": "v4", "voice_id": "brannock", "model": "lightning_v4"}
    return lightning_live.config(url, **(wanted | changes))


@asynccontextmanager
async def talking(
    *scripts: Script, interrupt_timeout_s: float = NEVER_S, keepalive_s: float = 25.0, **changes: Any
) -> AsyncIterator[tuple[LightningV4, ScriptedLightning]]:
    """A door, and the Lightning that it talks to."""
    async with ScriptedLightning(*scripts) as lightning:
        wanted = config(lightning.url, **changes)
        async with LightningV4(
            wanted, interrupt_timeout_s=interrupt_timeout_s, keepalive_s=keepalive_s
        ) as door:
            yield door, lightning


def session(script: Callable[[Line], Awaitable[None]], sample_rate: int = 8000) -> Script:
    """`script`, once the session is ready."""

    async def begun(line: Line) -> None:
        await get_ready(line, sample_rate)
        await script(line)

    return begun


async def get_ready(line: Line, sample_rate: int = 8000) -> None:
    """What a session says first."""
    await line.send({"event": "ready", "session_id": "s1"})
    await line.send({"event": "ready", "sample_rate": sample_rate})


async def event_of(line: Line, event: str) -> Message:
    """The next event of that name from the client."""
    while (message := await line.receive()).get("event") != event:
        pass
    return message


async def start(line: Line, *frames: bytes) -> str:
    """Wait to be asked for a turn, begin it, and send `frames`. Gives the turn's id."""
    asked = await event_of(line, "speak")
    await line.send({"event": "turn_start", "turn_id": asked["turn_id"]})
    for frame in frames:
        await audio(line, frame)
    turn_id: str = asked["turn_id"]
    return turn_id


async def audio(line: Line, frame: bytes) -> None:
    """A frame of audio, which does not say of what."""
    await line.socket.send(frame)


async def end(line: Line, turn_id: str | None) -> None:
    """The end of a turn."""
    await line.send({"event": "turn_end", "turn_id": turn_id, "chunks": 1})


async def interrupted(line: Line, turn_id: str | None) -> None:
    """The acknowledgement of an interrupt."""
    await line.send({"event": "interrupted", "turn_id": turn_id, "chunks": 1})


async def well_behaved(line: Line) -> None:
    """Speaks every turn in one frame: its text."""
    await get_ready(line)
    while True:
        asked = await event_of(line, "speak")
        await line.send({"event": "turn_start", "turn_id": asked["turn_id"]})
        await audio(line, asked["text"].encode())
        await end(line, asked["turn_id"])
