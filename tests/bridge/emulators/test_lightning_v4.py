"""The emulated v4 over real sockets, with a client that is none of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from bridge.emulators.lightning import EmulatedLightning
from bridge.emulators.lightning_options import EmulatorOptions
from bridge.emulators.lightning_v4 import V4_PATH
from bridge.emulators.speech_engine import Speech, ToneEngine
from tests.support.waiting import until

HELLO = "Hello there, this is Lightning."
SPOKEN = ToneEngine().speak(HELLO, voice_id="brannock", language="en", speed=1)
Socket = aiohttp.ClientWebSocketResponse


@asynccontextmanager
async def client(emulator: EmulatedLightning, query: str = "?sample_rate=8000") -> AsyncIterator[Socket]:
    headers = {"Authorization": "Bearer any"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.ws_connect(emulator.url + V4_PATH + query) as socket,
    ):
        yield socket


@asynccontextmanager
async def ready(emulator: EmulatedLightning) -> AsyncIterator[Socket]:
    async with client(emulator) as socket:
        await told(socket)
        await told(socket)
        yield socket


async def told(socket: Socket) -> dict[str, Any]:
    message: dict[str, Any] = await socket.receive_json(timeout=5)
    return message


async def speak(socket: Socket, turn_id: str = "a", text: str = HELLO) -> None:
    await socket.send_json({"event": "speak", "turn_id": turn_id, "text": text})


async def audio_up_to(socket: Socket, event: str) -> tuple[bytes, dict[str, Any], int]:
    """All audio before `event`, that event, and in how many frames the audio came."""
    frames = []
    while (message := await socket.receive(timeout=5)).type is aiohttp.WSMsgType.BINARY:
        frames.append(message.data)
    found: dict[str, Any] = message.json()
    assert found["event"] == event, found
    return b"".join(frames), found, len(frames)


async def test_turns_follow_each_other_in_binary_frames() -> None:
    async with EmulatedLightning() as emulator, ready(emulator) as socket:
        await speak(socket, "a")
        await speak(socket, "b", "Bye.")
        assert await told(socket) == {"event": "turn_start", "turn_id": "a"}
        audio, end, frames = await audio_up_to(socket, "turn_end")
        assert audio == SPOKEN.pcm
        assert end == {"event": "turn_end", "turn_id": "a", "chunks": frames}
        assert await told(socket) == {"event": "turn_start", "turn_id": "b"}
        await audio_up_to(socket, "turn_end")
        assert (emulator.stats.completed, emulator.stats.active, emulator.stats.max_active) == (2, 0, 1)


async def test_an_interrupt_and_the_next_turn() -> None:
    async with EmulatedLightning(EmulatorOptions(realtime_factor=1)) as emulator, ready(emulator) as socket:
        await speak(socket, "a")
        await told(socket)
        await socket.receive_bytes(timeout=5)
        await socket.send_json({"event": "interrupt"})
        audio, end, _ = await audio_up_to(socket, "interrupted")
        assert end == {"event": "interrupted", "turn_id": "a", "chunks": 1}
        assert audio == b""
        emulator.options.realtime_factor = 0
        await speak(socket, "b")
        assert await told(socket) == {"event": "turn_start", "turn_id": "b"}
        assert (await audio_up_to(socket, "turn_end"))[0] == SPOKEN.pcm


async def test_frames_may_come_late_and_so_may_the_acknowledgement() -> None:
    options = EmulatorOptions(realtime_factor=1, late_chunks_after_cancel=2, interrupted_after_ms=1)
    async with EmulatedLightning(options) as emulator, ready(emulator) as socket:
        await speak(socket)
        await told(socket)
        await socket.receive_bytes(timeout=5)
        await socket.send_json({"event": "interrupt"})
        _, end, frames = await audio_up_to(socket, "interrupted")
        assert (frames, end["chunks"], emulator.stats.late_chunks) == (2, 3, 2)


@pytest.mark.parametrize(
    ("query", "code"),
    [("?voice_id=magnus", "invalid_voice"), ("?language=hi", "invalid_query"), ("?sample_rate=9000", "")],
)
async def test_what_the_query_gets_wrong_is_told_and_the_socket_closed(query: str, code: str) -> None:
    async with EmulatedLightning() as emulator, client(emulator, query) as socket:
        if code:
            assert (await told(socket))["error"]["code"] == code
        assert (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 1008


async def test_a_bad_key_is_refused_at_the_handshake() -> None:
    async with EmulatedLightning() as emulator, aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(emulator.url + V4_PATH)
        assert refused.value.status == 401


async def test_the_faults_of_the_other_sockets() -> None:
    async with EmulatedLightning() as emulator:
        emulator.options.error_after_ms = 100
        async with ready(emulator) as socket:
            await speak(socket)
            await told(socket)
            _, error, frames = await audio_up_to(socket, "error")
            assert (error["code"], error["turn_id"], frames) == ("INTERNAL_ERROR", "a", 1)
        emulator.options.error_after_ms, emulator.options.fail_after_ms = None, 100
        async with ready(emulator) as socket:
            await speak(socket)
            await told(socket)
            await socket.receive_bytes(timeout=5)
            assert (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSED
        emulator.options.fail_after_ms, emulator.options.stall_after_ms = None, 100
        async with ready(emulator) as socket:
            await speak(socket)
            await told(socket)
            await socket.receive_bytes(timeout=5)
            await until(lambda: emulator.stats.faults == 3)
            await socket.send_json({"event": "interrupt"})
            assert (await told(socket))["event"] == "interrupted"
        await until(lambda: not emulator.stats.open_connections)
        assert emulator.stats.active == 0


class Broken(ToneEngine):
    def speak(self, text: str, *, voice_id: str, language: str, speed: float) -> Speech:
        raise RuntimeError("no voice today")


async def test_an_engine_that_fails_is_an_error_of_the_turn() -> None:
    async with EmulatedLightning(engine=Broken()) as emulator, ready(emulator) as socket:
        await speak(socket)
        await told(socket)
        assert (await told(socket))["code"] == "internal_error"
        await socket.send_json({"event": "end"})
        assert (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
