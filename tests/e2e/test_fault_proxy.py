"""The network that fails on command does so where and how it was told, and otherwise changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from tests.support.fault_proxy import Fault, FaultProxy, Trouble
from tests.support.waiting import until

#: Longer than anything here takes unless it hangs.
PATIENCE_S = 10.0
MESSAGE = bytes(range(256)) * 4


@dataclass
class Line:
    """A client's connection by way of the proxy to a server that echoes."""

    proxy: FaultProxy
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def echoed(self, message: bytes) -> bytes:
        self.writer.write(message)
        return await self.read(len(message))

    async def read(self, size: int) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readexactly(size)

    async def rest(self) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.read()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while message := await reader.read(1000):
            writer.write(message)
        writer.close()
    except ConnectionError:
        writer.transport.abort()


@asynccontextmanager
async def proxied() -> AsyncIterator[FaultProxy]:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with FaultProxy(f"http://127.0.0.1:{port}") as proxy:
            yield proxy
        assert proxy.open_connections == 0
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def connected(proxy: FaultProxy) -> AsyncIterator[Line]:
    host, port = proxy.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Line(proxy, reader, writer)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def line() -> AsyncIterator[Line]:
    async with proxied() as proxy, connected(proxy) as made:
        yield made


async def test_without_a_fault_it_is_a_cable() -> None:
    async with line() as it:
        assert await it.echoed(MESSAGE) == MESSAGE
        assert it.proxy.up.forwarded_bytes == it.proxy.down.forwarded_bytes == len(MESSAGE)
        assert (it.proxy.connections, it.proxy.open_connections) == (1, 1)
        it.writer.write_eof()
        assert await it.rest() == b""
        await until(lambda: it.proxy.open_connections == 0)


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param({"slice_bytes": 1}, id="slices of one byte"),
        pytest.param({"slice_bytes": 1, "sliced_bytes": 100}, id="slices of one byte, at first"),
        pytest.param({"slice_bytes": 7, "delay_s": 0.01}, id="slices, late"),
        pytest.param({"bytes_per_s": 20_000}, id="a narrow way"),
    ],
)
async def test_what_only_slows_down_loses_nothing(harm: dict[str, float]) -> None:
    async with line() as it:
        for name, value in harm.items():
            setattr(it.proxy.up, name, value)
            setattr(it.proxy.down, name, value)
        assert await it.echoed(MESSAGE) == MESSAGE


async def test_latency_is_the_same_for_every_piece_and_they_do_not_add_up() -> None:
    loop = asyncio.get_running_loop()
    async with line() as it:
        it.proxy.down.delay_s = 0.2
        began_s = loop.time()
        for piece in (MESSAGE[:500], MESSAGE[500:]):
            it.writer.write(piece)
            await until(lambda: it.proxy.up.forwarded_bytes >= 500)
        assert await it.read(len(MESSAGE)) == MESSAGE
        assert loop.time() - began_s >= 0.2  # never sooner; how much later is the machine's affair


async def test_a_narrow_way_takes_its_time() -> None:
    loop = asyncio.get_running_loop()
    async with line() as it:
        it.proxy.up.bytes_per_s = 10_000
        began_s = loop.time()
        await it.echoed(MESSAGE)
        assert loop.time() - began_s >= 0.09  # the last of the slices need not be waited for


async def test_a_stall_keeps_everything_and_gives_it_back() -> None:
    async with line() as it:
        it.proxy.down.fault = Fault(Trouble.STALL, after_bytes=300)
        it.writer.write(MESSAGE)
        assert await it.read(300) == MESSAGE[:300]
        await until(lambda: it.proxy.up.forwarded_bytes == len(MESSAGE))
        assert it.proxy.down.forwarded_bytes == 300
        it.proxy.down.fault = None
        assert await it.read(len(MESSAGE) - 300) == MESSAGE[300:]


async def test_half_open_loses_everything_even_the_end() -> None:
    async with line() as it:
        it.proxy.down.fault = Fault(Trouble.SWALLOW, after_bytes=300)
        it.writer.write(MESSAGE)
        it.writer.write_eof()  # the server answers with its own end
        assert await it.read(300) == MESSAGE[:300]
        await until(lambda: it.proxy.up.forwarded_bytes == len(MESSAGE))
        assert (it.proxy.down.forwarded_bytes, it.proxy.open_connections) == (300, 1)
        it.proxy.down.fault = None
        assert await it.rest() == b"", "the end is told when the fault is taken away, the bytes are gone"


async def test_cut_in_mid_frame_with_fin() -> None:
    async with line() as it:
        it.proxy.down.fault = Fault(Trouble.FIN, after_bytes=300)
        it.writer.write(MESSAGE)
        assert await it.rest() == MESSAGE[:300]
        await until(lambda: it.proxy.open_connections == 0)


async def test_cut_in_mid_frame_with_rst() -> None:
    async with line() as it:
        it.proxy.down.fault = Fault(Trouble.RST, after_bytes=300)
        it.writer.write(MESSAGE)
        with pytest.raises(ConnectionResetError):
            await it.rest()
        await until(lambda: it.proxy.open_connections == 0)


async def test_bytes_are_counted_for_each_connection_and_a_fault_can_run_out() -> None:
    async with proxied() as proxy:
        fault = proxy.down.fault = Fault(Trouble.FIN, after_bytes=300, times=1)
        async with connected(proxy) as short, connected(proxy) as hit, connected(proxy) as spared:
            assert await short.echoed(MESSAGE[:299]) == MESSAGE[:299]
            hit.writer.write(MESSAGE)
            assert await hit.rest() == MESSAGE[:300]
            assert (fault.strikes, fault.spent) == (1, True)
            assert await spared.echoed(MESSAGE) == MESSAGE


@pytest.mark.parametrize("trouble", [Trouble.FIN, Trouble.RST])
async def test_every_open_connection_can_be_cut_at_once(trouble: Trouble) -> None:
    async with line() as it:
        assert await it.echoed(MESSAGE) == MESSAGE
        it.proxy.cut(trouble)
        if trouble is Trouble.FIN:
            assert await it.rest() == b""
        else:
            with pytest.raises(ConnectionResetError):
                await it.rest()


def refuse(proxy: FaultProxy) -> None:
    proxy.refuse()


def reset(proxy: FaultProxy) -> None:
    proxy.reset_next = 1


def no_target(proxy: FaultProxy) -> None:
    proxy._target_port = 1


@pytest.mark.parametrize("say_no", [refuse, reset, no_target])
async def test_further_connections_are_refused_and_open_ones_are_not(
    say_no: Callable[[FaultProxy], None],
) -> None:
    async with line() as it:
        assert await it.echoed(b"before") == b"before"
        say_no(it.proxy)
        with pytest.raises((ConnectionRefusedError, ConnectionResetError)):
            async with connected(it.proxy) as another:
                await another.rest()
        assert await it.echoed(b"after") == b"after"


async def test_who_refused_can_listen_again_in_the_same_place() -> None:
    async with proxied() as proxy:
        url = proxy.url
        proxy.refuse()
        await proxy.listen()
        assert proxy.url == url
        async with connected(proxy) as it:
            assert await it.echoed(b"again") == b"again"
