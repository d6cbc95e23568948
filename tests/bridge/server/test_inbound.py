"""Messages straight from aiohttp's parser: the hook holds, and what does not take it comes the ordinary way."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from typing import cast

import pytest
from aiohttp import ClientSession, web
from aiohttp.pytest_plugin import AiohttpClient

from bridge.carriers.dialect import Audio, Dialect, Event
from bridge.errors import ProtocolError
from bridge.media.taps import Taps
from bridge.mouth import Line
from bridge.observe.stats import BridgeStats
from bridge.server.inbound import DirectQueue, Inbound, feed
from bridge.server.limits import Limits
from bridge.wire import Wire
from telephony_codecs.formats import MULAW_8K, AudioFormat, Encoding
from telephony_codecs.transcoder import Transcoder


class Taken:
    """An `Inbound` that only notes what it is given, and is over at `last`."""

    def __init__(self, last: bytes) -> None:
        self.messages: list[bytes] = []
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._last = last

    def take(self, data: bytes) -> None:
        self.messages.append(data)
        if data == self._last and not self.over.done():
            self.over.set_result("carrier")


def media(n: int) -> str:
    return json.dumps({"n": n, "payload": b64encode(bytes(160)).decode()})


async def test_the_hook_holds_and_no_message_is_lost_or_moved(aiohttp_client: AiohttpClient) -> None:
    taken: list[bytes] = []
    queues: list[object] = []
    left: list[str | bytes] = []

    async def handler(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(decode_text=False)
        await socket.prepare(request)
        await socket.receive()  # a start; more may already wait behind it
        inbound = Taken(media(200).encode())
        assert await feed(inbound, socket) is None  # type: ignore[arg-type]
        taken.extend(inbound.messages)
        queues.append(socket._reader)
        left.append((await socket.receive()).data)
        return socket

    app = web.Application()
    app.router.add_get("/", handler)
    client = await aiohttp_client(app)
    async with client.ws_connect("/") as socket:
        for n in range(201):
            await (socket.send_bytes(media(n).encode()) if n % 50 == 49 else socket.send_str(media(n)))
        await socket.send_str("behind the end")
        await socket.receive()
    assert isinstance(queues[0], DirectQueue), "aiohttp has moved the name that the hook needs"
    assert [json.loads(message)["n"] for message in taken] == list(range(1, 201)), "text and binary, in order"
    assert left == [b"behind the end"]


async def test_the_end_of_the_socket_is_told() -> None:
    ends: list[object] = []
    told = asyncio.Event()

    async def handler(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(decode_text=False)
        await socket.prepare(request)
        inbound = Taken(b"never")
        ends.append(await feed(inbound, socket))  # type: ignore[arg-type]
        ends.append(inbound.messages)
        told.set()
        return socket

    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app)  # aiohttp's test server would cancel a handler whose client has gone
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with (
            ClientSession() as session,
            session.ws_connect(f"http://127.0.0.1:{runner.addresses[0][1]}/") as socket,
        ):
            await socket.send_str("one")
        async with asyncio.timeout(5):
            await told.wait()
    finally:
        await runner.cleanup()
    assert ends[1] == [b"one"]
    assert ends[0].type.name in ("CLOSE", "CLOSING", "CLOSED")  # type: ignore[attr-defined]


# -- what must not come out of the parser ------------------------------------------------------------------------


class Broken(Dialect):
    """Every message is one that the socket must be closed for."""

    carrier = "broken"

    def receive(self, message: bytes) -> Event:
        raise ProtocolError("not a word", peer="broken", kind="bad_word", close_code=1007)


class Spoken(Dialect):
    """Every message is what the caller said."""

    carrier = "spoken"

    def __init__(self, inbound_format: AudioFormat) -> None:
        self.inbound_format = inbound_format

    def receive(self, message: bytes) -> Event:
        return Audio(message)


@pytest.mark.parametrize("encoding", [Encoding.MULAW, Encoding.ALAW])
async def test_a_tap_hears_what_the_ear_hears_while_it_is_there(encoding: Encoding) -> None:
    ear, tapped = bytearray(), bytearray()
    call = Ended(raises=False)
    call.taps = Taps(ear.extend)
    said = bytes(range(256)) * 2
    ours = Transcoder(AudioFormat(encoding, 8000), MULAW_8K).feed(said)
    inbound = listener(call, BridgeStats(), Spoken(AudioFormat(encoding, 8000)))
    into_tap = tapped.extend
    inbound.take(said[:100])
    call.taps.add(into_tap)
    inbound.take(said[100:300])
    call.taps.remove(into_tap)
    inbound.take(said[300:])
    assert bytes(ear) == ours
    assert bytes(tapped) == ours[100:300]


class Ended:
    """A call that can be dropped, or not even that."""

    def __init__(self, *, raises: bool) -> None:
        self.id, self.messages, self.taps, self._raises = "call-1", 0, Taps(self.push), raises
        self.drops: list[tuple[int, str]] = []

    def push(self, payload: bytes) -> None:
        raise AssertionError("nothing is heard")

    def drop(self, code: int, reason: str) -> None:
        self.drops.append((code, reason))
        if self._raises:
            raise OSError("the goodbye cannot be said")


def listener(call: Ended, stats: BridgeStats, dialect: Dialect | None = None) -> Inbound:
    return Inbound(call, cast(Line, None), Wire(dialect or Broken()), stats, Limits())  # type: ignore[arg-type]


async def test_what_came_along_with_the_last_straw_is_counted_and_nobody_told_again() -> None:
    call, stats = Ended(raises=False), BridgeStats()
    inbound = listener(call, stats)
    for _ in range(3):
        inbound.take(b"junk")
    assert call.drops == [(1007, "protocol_error")]
    assert stats.protocol_errors == {"bad_word": 3}
    assert inbound.over.result() == "protocol_error"


async def test_nothing_is_raised_into_the_parser_even_if_the_call_cannot_be_dropped() -> None:
    inbound = listener(Ended(raises=True), BridgeStats())
    inbound.take(b"junk")
    assert inbound.over.result() == "error"
