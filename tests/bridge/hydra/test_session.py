"""A session with Hydra over a real socket: how it opens, what it makes of faults, and that nobody ever sees the key."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve

from bridge.emulators.hydra import EmulatedHydra
from bridge.emulators.hydra_options import HydraEmulatorOptions, HydraScript
from bridge.errors import ThinkerError
from bridge.hydra import messages as m
from bridge.hydra import session as hydra_session
from bridge.hydra.audio import Uplink
from bridge.hydra.session import HydraSession, HydraSettings, open_session
from bridge.observe.stats import HydraStats
from bridge.secret import Secret
from tests.support.bridge import free_port
from tests.support.waiting import until

KEY = "sk-the-canary+/ &?"
CREATED, CONFIGURED = b'{"type":"session.created"}', b'{"type":"session.configured"}'


def settings(url: str, key: str = KEY) -> HydraSettings:
    return HydraSettings(url, Secret(key), "hydra-v1.1", "maya", "Be brief.")


@asynccontextmanager
async def opened(url: str, **changes: str) -> AsyncIterator[tuple[HydraSession, Uplink, HydraStats]]:
    stats = HydraStats()
    uplink = Uplink(stats)
    session = await open_session(settings(url, **changes), uplink, stats)
    try:
        yield session, uplink, stats
    finally:
        await session.close()


async def failure_of(opening: Awaitable[object]) -> ThinkerError:
    with pytest.raises(ThinkerError) as failed:
        await opening
    return failed.value


async def failure_at(url: str) -> ThinkerError:
    stats = HydraStats()
    return await failure_of(open_session(settings(url), Uplink(stats), stats))


Play = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def played(play: Play) -> AsyncIterator[str]:
    """A server that says what the test wants. Yields its URL."""
    async with serve(play, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"http://127.0.0.1:{port}"


async def configure(socket: ServerConnection) -> None:
    await socket.send(CREATED.decode())
    await socket.recv()
    await socket.send(CONFIGURED.decode())


async def test_a_host_may_be_called_http(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def connect(url: str, **_options: object) -> None:
        asked.append(url.partition("?")[0])
        raise OSError

    monkeypatch.setattr(hydra_session, "StraightConnect", connect)
    for url in ("ws://http.example", "https://http.example/"):
        await failure_at(url)
    assert asked == [f"ws://http.example{hydra_session.PATH}", f"wss://http.example{hydra_session.PATH}"]


# -- as it should be ---------------------------------------------------------------------------------------------------


async def test_it_is_configured_and_then_hears_the_caller() -> None:
    options = HydraEmulatorOptions(api_key=Secret(KEY))
    async with EmulatedHydra(options, HydraScript(greeting="Hello.")) as hydra:
        async with opened(hydra.url) as (session, uplink, stats):
            for _ in range(12):
                uplink.push(b"\x80" * 160)
            await until(lambda: hydra.stats.audio_ms >= 200)
            kinds = []
            async for message in session:
                kinds.append(type(message))
                if isinstance(message, m.ResponseDone) or len(kinds) > 3:
                    break
                for _ in range(30):
                    uplink.push(b"\xff" * 160)
        assert kinds[0] is m.SpeechStarted
        assert (stats.sessions, hydra.stats.early_audio, hydra.stats.odd_sizes) == (1, 0, 0)
        assert hydra.stats.session == {
            "instructions": "Be brief.",
            "voice": "maya",
            "tools": [],
            "generate_initial_response": False,
        }


@pytest.mark.parametrize(
    ("words", "instructions", "speaks_first"),
    [("", "Be brief.", False), ("Hi.", "Be brief.\n\nBegin the conversation with: Hi.", True)],
)
def test_who_is_to_greet(words: str, instructions: str, speaks_first: bool) -> None:
    greeting = settings("http://h").greeting(words)
    assert (greeting.instructions, greeting.speaks_first) == (instructions, speaks_first)


async def test_a_close_for_idleness_ends_it_without_an_error() -> None:
    options = HydraEmulatorOptions(idle_timeout_s=0.05)
    async with EmulatedHydra(options) as hydra, opened(hydra.url) as (session, _, stats):
        assert [message async for message in session] == []
        assert stats.idle_closes == 1


async def test_our_own_close_ends_it_and_is_no_idleness() -> None:
    async with EmulatedHydra() as hydra, opened(hydra.url) as (session, _, stats):
        await session.close()
        assert [message async for message in session] == []
        session.send(m.CREATE_RESPONSE)
        assert stats.idle_closes == 0


# -- faults ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (HydraEmulatorOptions(api_key=Secret("another")), "unauthorized"),
        (HydraEmulatorOptions(refuse=429), "busy"),
        (HydraEmulatorOptions(refuse=500), "server"),
        (HydraEmulatorOptions(refuse=404), "request"),
        (HydraEmulatorOptions(full=True), "busy"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_why_it_cannot_be_opened(options: HydraEmulatorOptions, kind: str) -> None:
    async with EmulatedHydra(options) as hydra:
        assert (await failure_at(hydra.url)).kind == kind


async def test_nobody_there() -> None:
    assert (await failure_at(f"http://127.0.0.1:{free_port()}")).kind == "unreachable"


async def test_somebody_who_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hydra_session, "OPEN_TIMEOUT_S", 0.1)
    async with EmulatedHydra(HydraEmulatorOptions(mute=True)) as hydra:
        assert (await failure_at(hydra.url)).kind == "hung"
        await until(lambda: hydra.stats.open_sessions == 0)


async def test_a_rate_that_nothing_can_be_made_of() -> None:
    async def play(socket: ServerConnection) -> None:
        await socket.send(CREATED.decode())
        await socket.recv()
        await socket.send('{"type":"session.configured","session":{"output_audio_sample_rate":7}}')
        await socket.wait_closed()

    async with played(play) as url:
        assert (await failure_at(url)).kind == "garbage"


async def plays_garbage(socket: ServerConnection) -> None:
    await configure(socket)
    for _ in range(3):
        await socket.send("{")
    await socket.wait_closed()


async def floods(socket: ServerConnection) -> None:
    await configure(socket)
    for _ in range(hydra_session.MAX_MESSAGES_PER_S + 100):
        await socket.send('{"type":"conversation.item.added"}')
    await socket.wait_closed()


async def drops(socket: ServerConnection) -> None:
    await configure(socket)
    socket.transport.abort()


async def closes_with_an_error(socket: ServerConnection) -> None:
    await configure(socket)
    await socket.close(1011, f"because of {KEY}")


async def says_full(socket: ServerConnection) -> None:
    await configure(socket)
    await socket.send('{"type":"error","error":{"code":"server_full"}}')
    await socket.close(1013)


@pytest.mark.parametrize(
    ("play", "kind"),
    [(plays_garbage, "garbage"), (floods, "flood"), (drops, "cut"), (closes_with_an_error, "cut"), (says_full, "busy")],
)  # fmt: skip
async def test_how_one_that_is_open_breaks(play: Play, kind: str) -> None:
    async with played(play) as url, opened(url) as (session, _, _stats):
        with pytest.raises(ThinkerError) as broken:
            async for _message in session:
                pass
        assert broken.value.kind == kind
        assert KEY not in str(broken.value)


async def test_a_broken_message_among_good_ones_is_skipped() -> None:
    async def play(socket: ServerConnection) -> None:
        await configure(socket)
        for message in ("{", "[]", '{"type":"new"}', "{", "[]", '{"type":"newer"}'):
            await socket.send(message)
        await socket.close()

    async with played(play) as url, opened(url) as (session, _, stats):
        assert [message async for message in session] == [m.Unused("new"), m.Unused("newer")]
        assert stats.malformed_messages == 4


async def test_what_hydra_does_not_take_is_dropped_and_counted_and_news_is_not() -> None:
    async with EmulatedHydra() as hydra, opened(hydra.url) as (session, uplink, stats):
        for _ in range(hydra_session.MAX_WAITING + 30):  # in one turn of the loop: nothing is sent meanwhile
            uplink.push(b"\x80" * 160)
        session.send(m.CREATE_RESPONSE)
        await until(lambda: hydra.stats.errors == 1)
        assert stats.unsent_ms == pytest.approx(580, abs=45)
        assert hydra.stats.audio_ms + stats.unsent_ms == pytest.approx(1596, abs=1)


# -- the key -----------------------------------------------------------------------------------------------------------


def chain_of(error: BaseException) -> list[BaseException]:
    """It, and all that it carries along."""
    found, left = [], [error]
    while left:
        each = left.pop()
        found.append(each)
        left += [
            other for other in (each.__cause__, each.__context__) if other is not None and other not in found
        ]
    return found


@pytest.mark.parametrize(
    "options",
    [
        HydraEmulatorOptions(api_key=Secret("another")),
        HydraEmulatorOptions(refuse=503),
        HydraEmulatorOptions(full=True),
    ],
    ids=["401", "503", "full"],
)
async def test_the_key_is_in_no_log_and_no_error_of_a_refusal(
    options: HydraEmulatorOptions, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with EmulatedHydra(options) as hydra:
        no_secret_in(await failure_at(hydra.url), caplog)


async def test_nor_of_nobody_there_or_a_place_that_is_none(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for url in (f"http://127.0.0.1:{free_port()}", "http://127.0.0.1:99999"):
        no_secret_in(await failure_at(url), caplog)


async def test_nor_when_somebody_else_sends_us_on_or_answers_no_http(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    for answer in (
        b"HTTP/1.1 302 Found\r\nLocation: ftp://x/y\r\nContent-Length: 0\r\n\r\n",
        b"nonsense\r\n\r\n",
    ):

        async def talk(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, say: bytes = answer
        ) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(say)
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            no_secret_in(await failure_at(f"http://127.0.0.1:{port}"), caplog)


async def test_nobody_sends_us_on_with_a_caller(caplog: pytest.LogCaptureFixture) -> None:
    async with EmulatedHydra() as elsewhere:
        location = f"{elsewhere.url}{hydra_session.PATH}?model=hydra&api_key=any".replace("http", "ws", 1)

        async def send_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 307 No\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        async with await asyncio.start_server(send_on, "127.0.0.1", 0) as server:
            refused = await failure_at(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert (refused.kind, elsewhere.stats.handshakes) == ("request", 0)
    no_secret_in(refused, caplog)


async def test_nor_of_a_session_that_runs_and_breaks(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with played(plays_garbage) as url, opened(url) as (session, _, _stats):
        with pytest.raises(ThinkerError) as broken:
            async for _message in session:
                pass
    caplog.handler.records[:] = [r for r in caplog.records if r.name != "websockets.server"]  # the test's own
    no_secret_in(broken.value, caplog)
    assert KEY not in repr(settings("http://h"))


def no_secret_in(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    told = [str(record.__dict__) + record.getMessage() for record in caplog.records]
    for each in chain_of(error):
        told += [str(each), repr(each), repr(vars(each))]
        told += traceback.format_exception(each)
    for text in told:
        assert "canary" not in text
