"""Somebody who speaks to an emulated Pulse: known recordings, and a client that is none of ours."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from bridge.emulators.pulse import LIVE_PATH, EmulatedPulse
from bridge.emulators.speech_engine import ToneEngine
from telephony_codecs.formats import MULAW_8K
from telephony_codecs.g711 import mulaw_encode

PHONE = {"model": "pulse", "language": "en", "encoding": "mulaw", "sample_rate": "8000"}

Socket = aiohttp.ClientWebSocketResponse


def spoken(text: str) -> bytes:
    """`text` as tones: 8 kHz mu-law."""
    return mulaw_encode(ToneEngine().speak(text, voice_id="caller", language="en", speed=1).pcm)


def silence(ms: float) -> bytes:
    """As it is on a line without noise."""
    return MULAW_8K.silence(ms)


@asynccontextmanager
async def pulse_client(
    emulator: EmulatedPulse, *, key: str = "any", path: str = LIVE_PATH, **query: str
) -> AsyncIterator[Socket]:
    """A socket for a phone's audio; `query` is added to what that takes."""
    headers = {"Authorization": f"Bearer {key}"}
    url = emulator.url + path
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.ws_connect(url, params=PHONE | query) as ws,
    ):
        yield ws


async def say(ws: Socket, audio: bytes, *, chunk_bytes: int = 800) -> None:
    """Send `audio` as fast as it goes."""
    for at in range(0, len(audio), chunk_bytes):
        await ws.send_bytes(audio[at : at + chunk_bytes])


async def ask(ws: Socket, kind: str) -> None:
    """Send a message of the client's, such as ``finalize``."""
    await ws.send_str(json.dumps({"type": kind}))


async def until_final(ws: Socket) -> list[dict[str, Any]]:
    """Messages up to and with the first that is final."""
    messages: list[dict[str, Any]] = []
    while not messages or not messages[-1].get("is_final"):
        messages.append(await ws.receive_json(timeout=5))
    return messages
