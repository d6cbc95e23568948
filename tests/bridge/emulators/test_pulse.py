"""The emulated Pulse over real sockets, with a client that is none of ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import aiohttp
import pytest

from bridge.emulators.known_voices import KnownVoices
from bridge.emulators.pulse import LIVE_PATH, OLD_PATH, EmulatedPulse, run
from bridge.emulators.pulse_options import PulseEmulatorOptions
from bridge.emulators.recogniser import RecognisedWord
from bridge.emulators.served import serve_forever
from bridge.secret import Secret
from tests.support.log import tracebacks
from tests.support.pulse_client import PHONE, ask, pulse_client, say, silence, spoken, until_final
from tests.support.raw_upgrade import ask_and_leave
from tests.support.waiting import until

HELLO = spoken("Hello there.")
VOICES = KnownVoices({"Hello there.": HELLO})


def emulated(**options: Any) -> EmulatedPulse:
    return EmulatedPulse(PulseEmulatorOptions(**options), VOICES)


async def how_it_closes(ws: aiohttp.ClientWebSocketResponse) -> int | None:
    while (await ws.receive(timeout=5)).type == aiohttp.WSMsgType.TEXT:
        pass
    return ws.close_code


@pytest.mark.parametrize(("path", "query"), [(LIVE_PATH, {}), (OLD_PATH, {"model": "pulse"})])
async def test_words_of_a_call(path: str, query: dict[str, str]) -> None:
    async with emulated() as pulse, pulse_client(pulse, path=path, **query) as ws:
        await say(ws, HELLO)
        await ask(ws, "finalize")
        told = await until_final(ws)
        assert [message["transcript"] for message in told] == ["Hello", "Hello there.", "Hello there."]
        await ask(ws, "close_stream")
        assert (await until_final(ws))[-1]["is_last"]
        assert await how_it_closes(ws) == 1000
    assert list(pulse.stats.transcripts) == ["Hello there."]
    assert pulse.stats.last_query["encoding"] == "mulaw"
    assert pulse.stats.open_connections == 0


async def refusal(pulse: EmulatedPulse, url: str, **headers: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as http, http.get(pulse.url + url, headers=headers) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize(
    ("url", "authorization", "status", "told"),
    [
        (f"{LIVE_PATH}?model=pulse&language=en", "", 401, "API key"),
        (f"{LIVE_PATH}?model=pulse&language=en", "Bearer wrong", 401, "API key"),
        (f"{LIVE_PATH}?model=pulse&language=en", "Basic right", 401, "API key"),
        (f"{LIVE_PATH}?model=pulse-pro&language=en", "Bearer right", 400, "no streaming transport"),
        (f"{LIVE_PATH}?language=en", "Bearer right", 400, "model is required"),
        (f"{OLD_PATH}", "Bearer right", 400, "language is required"),
    ],
)
async def test_who_is_refused_at_the_door(url: str, authorization: str, status: int, told: str) -> None:
    async with emulated(api_key=Secret("right")) as pulse:
        answered, body = await refusal(pulse, url, Authorization=authorization)
        assert answered == status
        assert told in body["error"]
        assert "right" not in str(pulse)
    assert (pulse.stats.refused_handshakes, pulse.stats.handshakes) == (1, 0)


async def test_its_health() -> None:
    async with emulated() as pulse:
        status, told = await refusal(pulse, "/")
    assert (status, told) == (200, {"status": "ok", "emulates": "pulse", "recogniser": "known voices"})


async def test_answers_keep_their_order_and_their_delay() -> None:
    async with emulated(partial_ms=80, final_ms=20) as pulse, pulse_client(pulse) as ws:
        asked_at = asyncio.get_running_loop().time()
        await say(ws, HELLO)
        await ask(ws, "finalize")
        told = await until_final(ws)
        assert [message["is_final"] for message in told] == [False, False, True]
        assert asyncio.get_running_loop().time() - asked_at >= 0.08


async def test_over_its_concurrency() -> None:
    async with emulated(concurrency=1) as pulse, pulse_client(pulse) as first:
        async with pulse_client(pulse) as second:
            assert await how_it_closes(second) == 1008
        await ask(first, "finalize")
        await until_final(first)
        await ask(first, "close_stream")
        assert await how_it_closes(first) == 1000
        await until(lambda: not pulse.stats.open_connections)
        async with pulse_client(pulse) as third:
            await ask(third, "finalize")
            await until_final(third)
    assert pulse.stats.over_concurrency == 1


async def test_a_socket_on_which_nothing_is_said_is_closed() -> None:
    async with emulated(idle_timeout_s=0.05) as pulse, pulse_client(pulse) as ws:
        assert "inactivity" in (await ws.receive_json(timeout=5))["message"]
        assert await how_it_closes(ws) == 1000


async def test_when_it_stops_its_clients_know() -> None:
    pulse = emulated()
    await pulse.start()
    async with pulse_client(pulse) as ws:
        await until(lambda: pulse.stats.open_connections == 1)
        _, code = await asyncio.gather(pulse.stop(), how_it_closes(ws))
        assert code == 1001
    await pulse.stop()


async def test_a_port_that_is_taken() -> None:
    async with emulated() as pulse:
        port = int(pulse.url.rpartition(":")[2])
        with pytest.raises(OSError, match="address"):
            await serve_forever(EmulatedPulse(PulseEmulatorOptions(), VOICES, port=port))


async def test_what_the_command_prints(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMALLEST_API_KEY", "tops3cret")
    printed = ""
    task = asyncio.create_task(run(VOICES, port=0))

    def has_printed() -> bool:
        nonlocal printed
        printed += capsys.readouterr().out
        return printed.endswith("\n")

    await until(has_printed)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert printed.startswith("Emulated Pulse on http://127.0.0.1:")
    assert "one key, known voices, partial_ms 65, final_ms 65" in printed
    assert "tops3cret" not in printed


class Slow:
    """A recogniser that must not be fed in the event loop, and would notice."""

    name = "slow"
    blocks = True

    def open(self) -> Slow:
        return self

    def feed(self, mulaw: bytes) -> None:
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()

    def words(self) -> Sequence[RecognisedWord]:
        return []

    def finish(self) -> Sequence[RecognisedWord]:
        return [RecognisedWord("Slowly", 0, 500)]


async def test_a_recogniser_that_takes_its_time_is_in_a_thread() -> None:
    async with EmulatedPulse(None, Slow()) as pulse, pulse_client(pulse) as ws:
        await say(ws, silence(500))
        await ask(ws, "finalize")
        assert [message["transcript"] for message in await until_final(ws)] == ["Slowly"]
        assert pulse.stats.audio_ms == 500


# -- faults ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403, 500])
async def test_a_handshake_that_is_refused_twice(status: int) -> None:
    async with emulated(refuse=status, faulty_sockets=2) as pulse:
        for _ in range(2):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                async with pulse_client(pulse):
                    pass
            assert refused.value.status == status
        async with pulse_client(pulse) as ws:
            await ask(ws, "finalize")
            await until_final(ws)
    assert (pulse.stats.faults, pulse.stats.refused_handshakes, pulse.stats.connections) == (2, 2, 1)


async def test_a_slow_handshake() -> None:
    async with emulated(handshake_ms=60_000) as pulse:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), pulse_client(pulse):
                pass
    assert (pulse.stats.handshakes, pulse.stats.connections) == (1, 0)


async def test_closed_as_soon_as_it_is_open() -> None:
    async with emulated(close_at_once=True) as pulse, pulse_client(pulse) as ws:
        assert await how_it_closes(ws) == 1008


async def test_a_socket_that_hangs() -> None:
    async with emulated(hang=True) as pulse, pulse_client(pulse) as ws:
        await say(ws, HELLO)
        await ask(ws, "close_stream")
        with pytest.raises(TimeoutError):
            await ws.receive(timeout=0.1)
    assert (pulse.stats.faults, pulse.stats.finals) == (1, 0)


async def test_a_socket_that_is_dropped() -> None:
    async with emulated(drop_after_ms=100) as pulse, pulse_client(pulse) as ws:
        await say(ws, silence(100))
        assert await how_it_closes(ws) == 1006
    assert pulse.stats.faults == 1


async def test_all_sockets_are_dropped_by_hand() -> None:
    async with emulated() as pulse, pulse_client(pulse) as one, pulse_client(pulse) as other:
        await until(lambda: pulse.stats.open_connections == 2)
        pulse.drop_connections()
        assert [await how_it_closes(one), await how_it_closes(other)] == [1006, 1006]


async def test_garbage_and_a_flood_reach_the_client() -> None:
    async with emulated(garbage=True, flood=3) as pulse, pulse_client(pulse) as ws:
        await say(ws, silence(20))
        await ask(ws, "finalize")
        kinds: list[str | bytes] = []
        while not kinds or '"from_finalize":true' not in str(kinds[-1]):
            kinds.append((await ws.receive(timeout=5)).data)
        readable = [kind for kind in kinds if isinstance(kind, str) and kind.endswith("}")]
        assert sum(bool(json.loads(kind).get("session_id")) for kind in readable) == 4
        assert any(isinstance(kind, bytes) for kind in kinds)


async def test_a_client_that_leaves_before_its_socket_is_open(caplog: pytest.LogCaptureFixture) -> None:
    path = f"{LIVE_PATH}?{'&'.join(f'{name}={value}' for name, value in PHONE.items())}"
    async with emulated(handshake_ms=20) as pulse:
        await ask_and_leave(pulse.url + path, {"Authorization": "Bearer any"})
        await until(lambda: pulse.stats.handshakes == 1)
    assert tracebacks(caplog) == []
