"""The socket that the bridge opens to a waiting channel, down to its frames, and all the ways it cannot be opened."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

import aiohttp
import msgspec
import pytest

from bridge.carriers.rest import basic
from bridge.emulators.carriers.asterisk import MAX_COMMAND_BYTES
from bridge.server.limits import Limits
from tests.bridge.carriers.cases.asterisk import CALLER_ID, CASES, CONNECTION_ID, FORM, PASSWORD
from tests.support.bridge import Stage, free_port, stage
from tests.support.waiting import until

HANGS_UP: Final = "tests.support.agents:says_hello"
WAITS: Final = "tests.support.agents:waits_for_ever"
START: Final = CASES.frame("start_plain")

_TEXT, _BINARY, _CLOSE, _FINAL, _MASKED = 0x1, 0x2, 0x8, 0x80, 0x80
_ACCEPTED: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Handler: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def exchange(handler: Handler) -> AsyncIterator[str]:
    """Something that listens where Asterisk's web server would; its address."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@asynccontextmanager
async def asked_to_connect(media_url: str, agent: str = WAITS) -> AsyncIterator[Stage]:
    """A bridge that a dialplan has asked to connect to a channel at `media_url`."""
    section = msgspec.structs.replace(CASES.section, media_url=media_url)
    limits = Limits(start_within_s=0.3, close_within_s=0.3)
    async with stage(agent, carrier="asterisk", section=section, limits=limits) as s:
        url = f"{s.config.server.public_url}/carriers/asterisk/answer"
        headers = basic("asterisk", PASSWORD)
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=FORM, headers=headers) as answer,
        ):
            assert (answer.status, await answer.text()) == (200, "connecting\n")
        yield s


# -- it cannot be opened ---------------------------------------------------------------------------


async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


def answers(head: str) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head.replace("\n", "\r\n").encode())
        await writer.drain()

    return handle


@pytest.mark.parametrize(
    ("handler", "told"),
    [
        (answers("HTTP/1.1 404 Not Found\nContent-Length: 0\n\n"), "HTTP 404, "),
        (answers("HTTP/1.1 409 Conflict\nContent-Length: 0\n\n"), "HTTP 409, "),
        (answers("HTTP/1.1 401 Unauthorized\nContent-Length: 0\n\n"), "HTTP 401, "),
        (
            answers(
                "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\n"
                "Sec-WebSocket-Accept: x\n\n"
            ),
            "HTTP 101, ",
        ),
        (answers("SSH-2.0-nobody\n\n"), "Error"),
        (answers(""), "ServerDisconnectedError"),
        (hangs, "TimeoutError"),
    ],
)
async def test_why_it_cannot_be_opened_is_told_and_no_secret_with_it(
    handler: Handler, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with exchange(handler) as url, asked_to_connect(url) as s:
        await until(lambda: s.server.runtime.stats.rest_failures == {"dial": 1})
        await s.server.runtime.drained()
        assert not s.server.runtime.calls
        assert s.nothing_started
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert line.startswith(f"call {CALLER_ID}: its media socket cannot be opened: ")
    assert told in line
    secrets = (CONNECTION_ID, PASSWORD.reveal(), basic("asterisk", PASSWORD)["Authorization"].split()[1])
    assert not [secret for secret in secrets if secret in caplog.text]


async def test_nobody_listens_there(caplog: pytest.LogCaptureFixture) -> None:
    async with asked_to_connect(f"ws://127.0.0.1:{free_port()}") as s:
        await until(lambda: s.server.runtime.stats.rest_failures == {"dial": 1})
        await until(lambda: "ClientConnectorError" in caplog.text)
        await s.server.runtime.drained()


# -- its frames ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a client, unmasked."""

    head: int
    payload: bytes


async def next_frame(reader: asyncio.StreamReader) -> Frame:
    head, size = await reader.readexactly(2)
    assert size & _MASKED, "a client masks"
    size &= ~_MASKED
    assert size < 127, "and nothing is as long as that"
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2), "big")
    key = await reader.readexactly(4)
    masked = await reader.readexactly(size)
    return Frame(head, bytes(byte ^ key[place % 4] for place, byte in enumerate(masked)))


class Channel:
    """A waiting channel that speaks plain text; keeps the request, and all frames to the last."""

    def __init__(self) -> None:
        self.request = ""
        self.frames: list[Frame] = []
        self.closed = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.request = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = self.header("Sec-WebSocket-Key").encode()
        accept = base64.b64encode(hashlib.sha1(key + _ACCEPTED).digest()).decode()
        writer.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: media\r\n\r\n".encode()
        )
        writer.write(bytes([_FINAL | _TEXT, len(START)]) + START if len(START) < 126 else _long(START))
        while not self.frames or self.frames[-1].head != _FINAL | _CLOSE:
            self.frames.append(await next_frame(reader))
            if self.frames[-1].payload.startswith(b"MARK_MEDIA "):
                name = self.frames[-1].payload.partition(b" ")[2]
                echo = b"MEDIA_MARK_PROCESSED " + name
                writer.write(bytes([_FINAL | _TEXT, len(echo)]) + echo)
        self.closed.set()

    def header(self, name: str) -> str:
        lines = [line for line in self.request.split("\r\n") if line.lower().startswith(f"{name.lower()}:")]
        return lines[0].partition(":")[2].strip() if len(lines) == 1 else ""


def _long(text: bytes) -> bytes:
    return bytes([_FINAL | _TEXT, 126]) + len(text).to_bytes(2, "big") + text


async def test_what_a_waiting_channel_is_sent() -> None:
    channel = Channel()
    async with exchange(channel) as url, asked_to_connect(url, HANGS_UP) as s:
        await channel.closed.wait()
        await until(lambda: bool(s.ended))
    assert channel.request.startswith(f"GET /media/{CONNECTION_ID} HTTP/1.1\r\n")
    assert channel.header("Sec-WebSocket-Protocol") == "media"
    assert channel.header("Sec-WebSocket-Extensions") == "", "compressed frames are not understood"
    assert channel.header("Authorization") == basic("asterisk", PASSWORD)["Authorization"]

    kinds = {frame.head for frame in channel.frames}
    assert kinds == {_FINAL | _TEXT, _FINAL | _BINARY, _FINAL | _CLOSE}, "no ping, nothing in pieces"
    commands = [frame.payload for frame in channel.frames if frame.head == _FINAL | _TEXT]
    assert (commands[0], commands[-1]) == (b"ANSWER", b"HANGUP")
    assert max(map(len, commands)) <= MAX_COMMAND_BYTES
    sound = [frame.payload for frame in channel.frames if frame.head == _FINAL | _BINARY]
    assert sound and {len(payload) for payload in sound} == {160}
    assert channel.frames[-1].payload[:2] == (1000).to_bytes(2, "big")
    assert (s.the_call.id, s.the_call.ended) == (CALLER_ID, "agent")
