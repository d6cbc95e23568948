"""The emulated Hydra over a real socket: who gets in, how sound comes, and its faults."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from bridge.emulators.hydra import PATH, EmulatedHydra
from bridge.emulators.hydra_connection import OUTPUT
from bridge.emulators.hydra_options import HydraEmulatorOptions, HydraScript
from bridge.secret import Secret
from tests.support.waiting import until

SCRIPT = HydraScript(greeting="Good evening.")


@asynccontextmanager
async def client(hydra: EmulatedHydra) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with aiohttp.ClientSession() as http, http.ws_connect(url(hydra)) as socket:
        yield socket


def url(hydra: EmulatedHydra, model: str = "hydra-v1.1", key: str = "k") -> str:
    return f"{hydra.url}{PATH}?model={model}&api_key={key}"


async def greeted(socket: aiohttp.ClientWebSocketResponse) -> list[dict[str, Any]]:
    """All that it says up to the end of its greeting, or of the socket."""
    await socket.send_json({"type": "session.configure", "session": {"generate_initial_response": True}})
    said = []
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.TEXT:
            break
        said.append(json.loads(message.data))
        if said[-1]["type"] in ("response.done", "error"):
            break
    return said


def sound(said: list[dict[str, Any]]) -> list[bytes]:
    return [b64decode(each["delta"]) for each in said if each["type"] == "response.output_audio.delta"]


@pytest.mark.parametrize(
    ("model", "key", "status"),
    [
        ("hydra-v1.1", "", 401),
        ("hydra-v1.1", "wrong", 401),
        ("hydra-v9", "right", 400),
        ("hydra", "right", 0),
    ],
)
async def test_who_gets_in(model: str, key: str, status: int) -> None:
    options = HydraEmulatorOptions(api_key=Secret("right"))
    async with EmulatedHydra(options) as hydra, aiohttp.ClientSession() as http:
        if not status:
            async with http.ws_connect(url(hydra, model, key)) as socket:
                assert (await socket.receive_json())["type"] == "session.created"
        else:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await http.ws_connect(url(hydra, model, key))
            assert refused.value.status == status
            assert hydra.stats.refused_handshakes == 1


@pytest.mark.parametrize("odd", [False, True])
async def test_its_voice_is_48_khz_and_whole(odd: bool) -> None:
    options = HydraEmulatorOptions(odd_chunks=odd, transcripts=True)
    async with EmulatedHydra(options, SCRIPT) as hydra, client(hydra) as socket:
        said = await greeted(socket)
    chunks = sound(said)
    engine = hydra.engine.speak("Good evening.", voice_id="", language="en", speed=1.0)
    assert sum(map(len, chunks)) == len(engine.pcm) * 6
    assert any(len(chunk) % 2 for chunk in chunks) == odd
    assert [each["delta"] for each in said if "transcript" in each["type"]] == ["Good evening."]
    assert said[-1]["response"]["status"] == "completed"


async def test_it_is_as_fast_as_it_is_told() -> None:
    async with (
        EmulatedHydra(HydraEmulatorOptions(realtime_factor=20.0), SCRIPT) as hydra,
        client(hydra) as socket,
    ):
        loop = asyncio.get_running_loop()
        began = loop.time()
        ms = OUTPUT.ms_in(sum(map(len, sound(await greeted(socket)))))
        assert (loop.time() - began) * 1000 >= (ms - 100) / 20


@pytest.mark.parametrize("how", ["full", "concurrency"])
async def test_one_that_is_full_says_so_and_closes(how: str) -> None:
    options = HydraEmulatorOptions(full=how == "full", concurrency=1 if how == "concurrency" else 0)
    async with EmulatedHydra(options) as hydra, client(hydra) as first, client(hydra) as second:
        socket = first if how == "full" else second
        said = [json.loads(message.data) async for message in socket]
        assert said[-1]["error"]["code"] == "server_full"
        assert socket.close_code == 1013


async def test_who_says_nothing_is_closed() -> None:
    async with EmulatedHydra(HydraEmulatorOptions(idle_timeout_s=0.05)) as hydra, client(hydra) as socket:
        assert [json.loads(message.data)["type"] async for message in socket] == ["session.created"]
        assert socket.close_code == 1000
        assert hydra.stats.idle_closed == 1


async def test_it_drops_the_line_in_the_middle_of_an_answer_and_only_as_often_as_it_is_told() -> None:
    options = HydraEmulatorOptions(drop_after_ms=200, faulty_sessions=1)
    async with EmulatedHydra(options, SCRIPT) as hydra:
        for complete in (False, True):
            async with client(hydra) as socket:
                said = await greeted(socket)
                assert (said[-1]["type"] == "response.done") == complete
        assert hydra.stats.faults == 1


@pytest.mark.parametrize("fault", ["garbage", "flood", "mute"])
async def test_it_says_nonsense_or_nothing(fault: str) -> None:
    options = HydraEmulatorOptions(**{fault: 3 if fault == "flood" else True})  # type: ignore[arg-type]
    async with EmulatedHydra(options, SCRIPT) as hydra, client(hydra) as socket:
        await socket.send_json({"type": "session.configure", "session": {"generate_initial_response": True}})
        await until(lambda: hydra.stats.faults == 1)
        assert hydra.stats.completed == 0


async def test_the_end_of_the_server_is_the_end_of_its_sockets() -> None:
    hydra = EmulatedHydra()
    await hydra.start()
    async with client(hydra) as socket:
        await socket.receive()
        stopping = asyncio.create_task(hydra.stop())
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        await stopping


@pytest.mark.parametrize(
    "switches", [{"answer_ms": -1}, {"chunk_ms": 0}, {"refuse": 200}, {"faulty_sessions": -1}]
)
def test_what_makes_no_sense(switches: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(switches))):
        HydraEmulatorOptions(**switches)


def test_its_line_says_what_differs_and_no_key() -> None:
    hydra = EmulatedHydra(HydraEmulatorOptions(api_key=Secret("canary"), hang=True, answer_ms=20.0))
    assert str(hydra) == "Emulated Hydra on http://127.0.0.1:0: one key, tones, answer_ms 20, hang"
