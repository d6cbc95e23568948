"""A live door connected to a scripted Lightning, and the two scripts that most tests want."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from bridge.config import LightningConfig, Secret
from bridge.errors import LightningError
from bridge.lightning.live import LightningLive
from bridge.lightning.speech import Synthesis, SynthesisPart
from tests.support.scripted_lightning import Line, Script, ScriptedLightning

KEY = "sk_5ecret_key"


def config(url: str, **changes: Any) -> LightningConfig:
    fields: dict[str, Any] = {
        "base_url": url,
        "api_key": Secret(KEY),
        "spare_connections": 0,
        "concurrency": 2,
    }
    return LightningConfig(**(fields | changes))


@asynccontextmanager
async def talking(
    *scripts: Script, keepalive_s: float = 25.0, queue_timeout_s: float = 10.0, **changes: Any
) -> AsyncIterator[tuple[LightningLive, ScriptedLightning]]:
    async with ScriptedLightning(*scripts) as lightning:
        wanted = config(lightning.url, queue_timeout_s=queue_timeout_s, **changes)
        async with LightningLive(wanted, keepalive_s=keepalive_s) as live:
            yield live, lightning


async def parts_of(synthesis: Synthesis) -> tuple[list[SynthesisPart], LightningError | None]:
    parts: list[SynthesisPart] = []
    try:
        async for part in synthesis:
            parts.append(part)
    except LightningError as error:
        return parts, error
    return parts, None


async def well_behaved(line: Line) -> None:
    while True:
        asked = await line.request()
        await line.chunk(asked["text"].encode(), asked)
        await line.complete(asked)


async def mute(line: Line) -> None:
    await line.silent()


def refusing(status: HTTPStatus, body: bytes, **headers: str) -> Callable[[Request], Response]:
    """Answers every handshake with `status`."""
    headers |= {"Content-Length": str(len(body))}
    return lambda _request: Response(status.value, status.phrase, Headers(headers), body)
