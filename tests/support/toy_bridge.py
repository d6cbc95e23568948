"""A bridge of few words, to call: greets with so many packets, and does as its handler says."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

#: Loud enough to be heard: a square wave of mu-law.
PACKET = (b"\x20" * 4 + b"\xa0" * 4) * 20

Handler = Callable[["Line"], Awaitable[None]]


@dataclass
class Line:
    """The bridge's end of one media socket."""

    socket: web.WebSocketResponse
    stream_sid: str = ""
    received: list[dict[str, Any]] = field(default_factory=list)

    async def read(self) -> dict[str, Any] | None:
        """The next message, None when the socket is closed."""
        message = await self.socket.receive()
        if not isinstance(message.data, str):
            return None
        event: dict[str, Any] = json.loads(message.data)
        self.received.append(event)
        self.stream_sid = event.get("streamSid", self.stream_sid)
        return event

    async def until(self, *wanted: str) -> dict[str, Any] | None:
        """Read on to the next event of these kinds; None when the socket is closed before."""
        while (event := await self.read()) is not None and event["event"] not in wanted:
            pass
        return event

    async def to_the_end(self) -> None:
        """Read until the socket is closed."""
        while await self.read() is not None:
            pass

    async def send(self, event: str, **body: Any) -> None:
        """Send one message of this stream."""
        await self.socket.send_str(json.dumps({"event": event, "streamSid": self.stream_sid} | body))

    async def speak(self, packets: int, packet: bytes = PACKET) -> None:
        """Send so many packets in one burst."""
        for _ in range(packets):
            await self.send("media", media={"payload": b64encode(packet).decode()})

    def voice(self) -> bytes:
        """What the caller has said so far."""
        media = (event["media"]["payload"] for event in self.received if event["event"] == "media")
        return b"".join(map(b64decode, media))

    def kinds(self) -> list[str]:
        """The kinds of what came, in order, audio left out."""
        return [event["event"] for event in self.received if event["event"] != "media"]


@dataclass
class Posted:
    """A webhook as it came."""

    path: str
    url: str
    form: dict[str, str]
    signature: str | None


@dataclass
class ToyBridge:
    """A running one, and all that it was told."""

    handler: Handler
    twiml: str = (
        '<Response><Connect action="{http}/ended">'
        '<Stream url="{ws}/media?gone=1" statusCallback="{http}/status">'
        '<Parameter name="token" value="t0"/></Stream></Connect><Say>sorry</Say></Response>'
    )
    ended: str = "<Response><Hangup/></Response>"
    answer_status: int = 200
    upgrade_status: int = 101
    public_url: str = ""
    url: str = ""
    posted: list[Posted] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    upgrades: list[tuple[str, str | None]] = field(default_factory=list)

    def posts(self, path: str) -> list[Posted]:
        """The webhooks to one path."""
        return [post for post in self.posted if post.path == path]

    async def webhook(self, request: web.Request) -> web.Response:
        """Any of the three."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        signature = request.headers.get("X-Twilio-Signature")
        self.posted.append(Posted(request.path, self.base + request.path_qs, form, signature))
        if request.path == "/answer":
            body = self.twiml.format(http=self.base, ws=self.base.replace("http", "ws", 1))
            return web.Response(text=body, status=self.answer_status, content_type="text/xml")
        return web.Response(text=self.ended if request.path == "/ended" else "", content_type="text/xml")

    async def media(self, request: web.Request) -> web.StreamResponse:
        """The media socket."""
        self.upgrades.append((request.path_qs, request.headers.get("X-Twilio-Signature")))
        if self.upgrade_status != 101:
            return web.Response(status=self.upgrade_status)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        line = Line(socket)
        self.lines.append(line)
        await self.handler(line)
        return socket

    @property
    def base(self) -> str:
        """The beginning of every URL that it gives out."""
        return self.public_url or self.url


@asynccontextmanager
async def toy_bridge(handler: Handler, **options: Any) -> AsyncIterator[ToyBridge]:
    """Run one on a free port of this machine."""
    bridge = ToyBridge(handler, **options)
    app = web.Application()
    app.router.add_get("/media", bridge.media)
    app.router.add_post("/{name}", bridge.webhook)
    async with TestServer(app, host="127.0.0.1") as server:
        bridge.url = str(server.make_url("")).rstrip("/")
        yield bridge
