"""One socket: what it takes for whom, and how it is opened."""

from __future__ import annotations

import asyncio

import pytest

from bridge.errors import LightningError, Unavailable
from bridge.lightning.connection import Dialer, Link
from bridge.lightning.messages import Chunk, Message
from bridge.lightning.stats import LightningStats
from bridge.lightning.wire import LIVE
from tests.support.lightning_live import config, mute
from tests.support.scripted_lightning import Line, ScriptedLightning
from tests.support.waiting import until


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://api.smallest.ai", "wss://api.smallest.ai/waves/v1/tts/live"),
        ("http://127.0.0.1:9001/", "ws://127.0.0.1:9001/waves/v1/tts/live"),
        ("https://proxy.example/http/", "wss://proxy.example/http/waves/v1/tts/live"),
    ],
)
def test_the_address(base_url: str, url: str) -> None:
    assert Dialer(config(base_url), LightningStats(), LIVE.path).url == url


def test_tls_is_made_once_and_only_where_it_is_wanted() -> None:
    secure = Dialer(config("https://api.smallest.ai"), LightningStats(), LIVE.path)
    assert secure.tls is not None
    assert secure.tls is secure.tls
    assert Dialer(config("http://127.0.0.1"), LightningStats(), LIVE.path).tls is None


@pytest.mark.parametrize("host", ["two..dots", "x" * 64 + ".example", "[::1%nowhere]"])
async def test_a_host_that_has_no_address_is_an_error_of_lightnings(host: str) -> None:
    stats = LightningStats()
    with pytest.raises(Unavailable, match="cannot connect"):
        await Dialer(config(f"http://{host}:9"), stats, LIVE.path).dial()
    assert stats.connect_failures == 1


class Passenger:
    """A rider that only remembers."""

    request_id = "r1"

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.errors: list[LightningError] = []

    def receive(self, message: Message) -> None:
        self.messages.append(message)

    def dropped(self, error: LightningError) -> None:
        self.errors.append(error)


class Chattering:
    """A server that sends a chunk whenever the client has said something."""

    async def __call__(self, line: Line) -> None:
        while True:
            await line.receive()
            await line.chunk(b"ab")


async def linked(lightning: ScriptedLightning, stats: LightningStats, closed: list[Link]) -> Link:
    return Link(await Dialer(config(lightning.url), stats, LIVE.path).dial(), stats, closed.append)


async def test_what_comes_while_nothing_is_on_it_is_stale() -> None:
    stats, closed, rider = LightningStats(), list[Link](), Passenger()
    async with ScriptedLightning(Chattering()) as lightning:
        link = await linked(lightning, stats, closed)
        link.carry(rider)
        assert await link.send(b"{}")
        await until(lambda: rider.messages == [Chunk(b"ab", None)])
        link.release()
        assert await link.send(b"{}")
        await until(lambda: stats.stale_chunks == 1)
        assert len(rider.messages) == 1
        await link.close()
    assert (closed, link.closed, rider.errors) == ([link], True, [])


async def test_a_socket_that_is_gone_is_told_to_its_rider_and_once() -> None:
    stats, closed, rider = LightningStats(), list[Link](), Passenger()

    async def leaving(line: Line) -> None:
        await line.receive()
        line.drop()

    async with ScriptedLightning(leaving) as lightning:
        link = await linked(lightning, stats, closed)
        link.carry(rider)
        await link.send(b"{}")
        await until(lambda: link.closed)
        assert await link.send(b"{}") is False
        await link.close()
    assert [error.code for error in rider.errors] == ["dropped"]
    assert (closed, stats.dropped_sockets) == ([link], 1)


async def test_closing_a_peer_that_does_not_answer_takes_no_longer_than_it_must() -> None:
    """Its close handshake is never answered: ours must end by itself."""
    stats, closed = LightningStats(), list[Link]()
    stuck = asyncio.Event()

    async def deaf(line: Line) -> None:
        line.socket.transport.pause_reading()
        await stuck.wait()

    async with ScriptedLightning(deaf) as lightning:
        link = await linked(lightning, stats, closed)
        await until(lambda: lightning.open == 1)
        await link.close(b"{}")
        assert link.closed
        stuck.set()


async def test_one_synthesis_at_a_time() -> None:
    async with ScriptedLightning(mute) as lightning:
        link = await linked(lightning, LightningStats(), [])
        link.carry(Passenger())
        with pytest.raises(AssertionError):
            link.carry(Passenger())
        await link.close()
