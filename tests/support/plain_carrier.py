"""A carrier of our own making, with the plainest of protocols, and a bridge that serves it, on loopback.

A webhook may also say that a call is over, ``{"over": ID}``.

Text messages are words: ``start CALL TOKEN``, ``press KEY``, ``ping`` (answered with ``pong``), ``played MARK``,
``stop``; ours are ``opened``, ``mark NAME``, ``clear``, ``bye REASON``. Binary ones are mu-law, both ways.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import ClassVar, TypeAlias

import aiohttp
from aiohttp import web

from bridge.agents.loader import Agent
from bridge.call import Call
from bridge.carriers.carrier import (
    Capabilities,
    Carrier,
    How,
    IncomingCall,
    Reply,
    StreamStatus,
    StreamUrls,
    Upgrade,
    Webhook,
)
from bridge.carriers.dialect import (
    Audio,
    Binary,
    Connected,
    Delivery,
    Dialect,
    Digit,
    Event,
    Ignored,
    MarkPlayed,
    Respond,
    Several,
    Started,
    Stopped,
)
from bridge.carriers.rest import Plan
from bridge.config_tree import Section
from bridge.emulators.lightning import EmulatedLightning
from bridge.emulators.lightning_options import EmulatorOptions
from bridge.emulators.speech_engine import ToneEngine
from bridge.errors import ProtocolError, Refused
from bridge.server.app import build_app
from bridge.server.limits import Limits
from bridge.server.runtime import Runtime
from tests.support.bridge import make_config

Socket: TypeAlias = "aiohttp.ClientWebSocketResponse[bool]"

SIGNED = {"X-Plain": "signed"}


class PlainDialect(Dialect):
    """See above."""

    carrier = "plain"
    delivery = Delivery(message_ms=40)

    def __init__(
        self, *, patient: bool = False, wordless: bool = False, behind_start: tuple[Event, ...] = ()
    ) -> None:
        self._behind_start = behind_start
        self.ends_by_closing = wordless  # type: ignore[misc]
        self.carrier_closes = patient  # type: ignore[misc]
        self._started = False

    def receive(self, message: bytes) -> Event:
        if isinstance(message, Binary):
            return Audio(message) if self._started else Ignored("media_before_start")
        kind, _, rest = message.decode("ascii", "replace").partition(" ")
        match kind:
            case "start":
                return self._start(*rest.split(" ", 1))
            case "press":
                return Several(tuple(Digit(key) for key in rest))
            case "played":
                return MarkPlayed(rest)
            case "ping":
                return Respond((b"pong",))
            case "stop":
                return Several((Respond((b"stopped",)), Stopped()))
            case "hello":
                return Connected()
        raise ProtocolError("not a word", peer="plain", kind="bad_word")

    def _start(self, call_id: str, token: str = "") -> Event:
        self._started = True
        started = Started(call_id, "s", parameters={"token": token})
        return Several((Respond((b"welcome",)), started, *self._behind_start))

    def opened(self) -> Sequence[bytes]:
        return (b"opened",)

    def audio(self, payload: bytes) -> bytes:
        return Binary(payload)

    def mark(self, name: str) -> Sequence[bytes]:
        return (f"mark {name}".encode(),)

    def clear(self) -> Sequence[bytes]:
        return (b"clear",)

    def goodbye(self, reason: str) -> Sequence[bytes]:
        return (f"bye {reason}".encode(),)


class PlainCarrier(Carrier):
    """Announces calls as JSON, ``{"call": ID}``, and is answered with the token."""

    name = "plain"
    title = "Plain"
    section = Section
    capabilities = Capabilities(place_calls=How.REST, signed="a header")
    webhook_methods: ClassVar[tuple[str, ...]] = ("GET", "POST")

    def __init__(self, *, reconnects: bool = False, patient: bool = False, wordless: bool = False) -> None:
        super().__init__(None)
        self.reconnects = reconnects  # type: ignore[misc]
        self._patient, self._wordless = patient, wordless
        #: What is answered; the token takes the place of an empty body.
        self.reply = Reply("", "text/plain")
        #: How a call is placed.
        self.placing: Plan[str] | None = None
        #: The calls whose stream has failed, as they were given up.
        self.abandoned: list[str] = []
        #: What comes in one message with the start.
        self.behind_start: tuple[Event, ...] = ()
        self.webhooks: list[Webhook] = []
        self.upgrades: list[Upgrade] = []

    def missing(self) -> list[tuple[str, str]]:
        return []

    def verify_webhook(self, webhook: Webhook) -> None:
        self.webhooks.append(webhook)
        if webhook.headers.get("X-Plain") != "signed":
            raise Refused("signature", "not signed")

    def verify_upgrade(self, upgrade: Upgrade) -> None:
        self.upgrades.append(upgrade)

    def incoming(self, webhook: Webhook) -> IncomingCall | None:
        told = webhook.json() if webhook.is_json else {"call": webhook.value("call")}
        call_id = told.get("call")
        return IncomingCall(call_id, "", "", "", "inbound") if call_id else None

    def status(self, webhook: Webhook) -> StreamStatus:
        return "stopped"

    def over(self, webhook: Webhook) -> str:
        told = webhook.json() if webhook.is_json else {}
        return str(told.get("over", ""))

    def answer(self, call: IncomingCall, urls: StreamUrls, token: str) -> Reply:
        return replace(self.reply, body=self.reply.body or token)

    def dialect(self, upgrade: Upgrade) -> PlainDialect:
        return PlainDialect(patient=self._patient, wordless=self._wordless, behind_start=self.behind_start)

    def abandon(self, call: IncomingCall) -> None:
        self.abandoned.append(call.call_id)

    def place_call(self, to: str, from_number: str, urls: StreamUrls) -> Plan[str]:
        if self.placing is None:
            return super().place_call(to, from_number, urls)
        return self.placing


@dataclass
class PlainBridge:
    """A bridge with one carrier, and what its callers need."""

    runtime: Runtime
    url: str
    session: aiohttp.ClientSession
    ended: list[Call] = field(default_factory=list)

    async def token(self, call_id: str) -> str:
        """The token in the answer to a call's webhook."""
        async with self.session.post(
            f"{self.url}/carriers/plain/answer", json={"call": call_id}, headers=SIGNED
        ) as answer:
            assert answer.status == 200
            return await answer.text()

    def socket(self, path: str = "") -> AbstractAsyncContextManager[Socket]:
        """A media socket."""
        return self.session.ws_connect(f"{self.url}/carriers/plain/media{path}")

    @asynccontextmanager
    async def live(self, call_id: str = "call-1", token: str = "") -> AsyncIterator[Socket]:
        """A media socket whose stream has been let in."""
        token = token or await self.token(call_id)
        async with self.socket() as socket:
            await socket.send_str(f"start {call_id} {token}")
            await until_text(socket, "opened")
            yield socket


async def until_text(socket: Socket, text: str) -> list[str | bytes]:
    """Read up to the text message `text`; what came before it."""
    before: list[str | bytes] = []
    while (got := await socket.receive(timeout=10)).data != text:
        assert got.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), (got, before)
        before.append(got.data)
    return before


@asynccontextmanager
async def plain_bridge(
    agent: Agent, carrier: PlainCarrier, *, limits: Limits | None = None
) -> AsyncIterator[PlainBridge]:
    """Serve `carrier` on loopback, with a tone for a voice."""
    async with EmulatedLightning(EmulatorOptions(), ToneEngine()) as lightning:
        config = make_config(lightning.url, "tests.support.agents:says_hello")
        runtime = Runtime(config, agent, limits=limits)
        runtime.carriers.clear()
        runtime.carriers[carrier.name] = carrier
        await runtime.start()
        runner = web.AppRunner(build_app(runtime), handle_signals=False, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", config.server.port).start()
        try:
            async with aiohttp.ClientSession() as session:
                bridge = PlainBridge(runtime, config.server.public_url, session)
                runtime.on_ended.append(bridge.ended.append)
                yield bridge
            for call in list(runtime.calls.values()):
                call.drop(1001, "drained")
            await runtime.drained()
        finally:
            await runner.cleanup()
            await runtime.close()
