"""A carrier played by hand: signed or forged webhooks, a media socket, one message at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType

import aiohttp

from bridge.config import Config, Secret
from bridge.emulators.caller_plan import new_sid
from bridge.emulators.caller_webhooks import Answer, Signature, ask_webhook, signed_headers
from bridge.emulators.carriers.twilio import SOME_ACCOUNT, StreamIdentity, TwilioLine
from bridge.emulators.exchange import form_ask
from bridge.emulators.recording import CallRecording
from bridge.emulators.twiml import parse_twiml
from tests.support.bridge import AUTH_TOKEN

SILENCE = b"\xff" * 160
#: What a carrier says first.
HELLO = '{"event":"connected","protocol":"Call","version":"1.0.0"}'
#: Every wait for the bridge ends here at the latest: no call may hang.
PATIENCE_S = 10.0

Socket = aiohttp.ClientWebSocketResponse


@dataclass
class Stranger:
    """Somebody who calls the bridge at `config`. Use it as an async context manager."""

    config: Config
    auth_token: Secret = AUTH_TOKEN
    call_sid: str = field(default_factory=lambda: new_sid("CA"))
    from_number: str = "+15550100001"

    async def __aenter__(self) -> Stranger:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_S))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()

    async def vanish(self) -> None:
        """Break every connection without a goodbye."""
        await self._session.close()

    def url(self, path: str) -> str:
        return f"{self.config.server.public_url}{path}"

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        async with self._session.get(self.url(path), headers=headers) as response:
            return Answer(response.status, await response.text())

    @property
    def form(self) -> dict[str, str]:
        return {
            "AccountSid": SOME_ACCOUNT,
            "CallSid": self.call_sid,
            "Direction": "inbound",
            "From": self.from_number,
            "To": "+15550100002",
        }

    async def post(self, endpoint: str, signature: Signature = Signature.VALID, **fields: str) -> Answer:
        """One webhook."""
        url, form = self.url(f"/carriers/twilio/{endpoint}"), self.form | fields
        headers = signed_headers(self.auth_token, url, form, signature)
        return await post_form(self._session, url, form, headers)

    async def invitation(self) -> dict[str, str]:
        """The parameters that the answer to the call's webhook puts into the stream, the token among them."""
        stream = parse_twiml((await self.post("answer")).body).stream
        assert stream is not None
        return dict(stream.parameters)

    @asynccontextmanager
    async def socket(self, signature: Signature = Signature.VALID) -> AsyncIterator[Socket]:
        """An open media socket.

        Raises:
            aiohttp.WSServerHandshakeError: the upgrade was refused.
        """
        url = self.url("/carriers/twilio/media").replace("http", "ws", 1)
        headers = signed_headers(self.auth_token, url, None, signature)
        async with self._session.ws_connect(url, headers=headers, autoping=False) as socket:
            yield socket

    def line(self, parameters: Mapping[str, str], call_sid: str = "") -> TwilioLine:
        """What writes this call's messages."""
        identity = StreamIdentity(SOME_ACCOUNT, call_sid or self.call_sid, parameters=parameters)
        return TwilioLine(identity, CallRecording())

    @asynccontextmanager
    async def live(self) -> AsyncIterator[tuple[Socket, TwilioLine]]:
        """A media socket that has been let in."""
        line = self.line(await self.invitation())
        async with self.socket() as socket:
            await socket.send_str(line.connected())
            await socket.send_str(line.start())
            yield socket, line


async def post_form(
    session: aiohttp.ClientSession, url: str, form: Mapping[str, str], headers: Mapping[str, str]
) -> Answer:
    """Post a form."""
    ask = form_ask(url, form, headers)
    return await ask_webhook(session, url, headers=ask.headers, body=ask.body)


async def closed_with(socket: Socket) -> int:
    """Read on until the bridge closes the socket; the code it closes with.

    Raises:
        TimeoutError: it does not.
    """
    async with asyncio.timeout(PATIENCE_S):
        async for _ in socket:
            pass
    assert socket.close_code is not None
    return socket.close_code


async def send(socket: Socket, *messages: str | bytes) -> None:
    """Send `messages`; `bytes` go out as binary ones."""
    for message in messages:
        if isinstance(message, str):
            await socket.send_str(message)
        else:
            await socket.send_bytes(message)
