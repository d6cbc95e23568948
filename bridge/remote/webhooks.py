"""Plain HTTP requests to an agent elsewhere: what happened is posted, and the answer is what to do.

Strategy:

- One request at a time, so events come in order. What happens meanwhile goes with the next one, all in one.
- What is answered to a turn is an answer to that turn: void, when the caller has gone on. No command at all means that
  nothing is to be said.
- A request is made once more when the connection failed, or the answer was 502, 503 or 504: with the same
  ``X-Bridge-Delivery``, and within the same deadline. Then its events are lost, but for `start`: the turns that follow
  mean nothing without it.
- Redirects are not followed, no proxy is asked, nothing is unpacked, and no more is read than may be there.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace
from typing import Final
from uuid import uuid4

import aiohttp
import msgspec

from bridge.errors import ProtocolError
from bridge.remote.address import Address
from bridge.remote.door import CONNECT_WITHIN_S, Door, Reception, Trouble, trouble_of
from bridge.remote.protocol import (
    MAX_MESSAGE_BYTES,
    NEED_A_SOCKET,
    QUESTIONS,
    Command,
    Event,
    Listen,
    Refusal,
    SayMore,
    Start,
    Turn,
    decode,
    encode_all,
)
from bridge.tls import tls_context

_AGAIN: Final = frozenset({502, 503, 504})


class _NoUse(Exception):
    """No answer of use. `again`: another try may get one."""

    def __init__(self, trouble: Trouble, *, again: bool = False) -> None:
        super().__init__(trouble.detail)
        self.trouble, self.again = trouble, again


class Webhooks(Door):
    """A `Door` that is an address for POST requests.

    Args:
        start: the call.
        deadline_s: for an answer, both tries together.
    """

    def __init__(
        self, address: Address, start: Start, reception: Reception, *, deadline_s: float = 5.0
    ) -> None:
        super().__init__(start, reception)
        self._address, self._deadline_s = address, deadline_s
        #: Whether the agent knows of the call.
        self._started = False

    # -- asking --------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        async with _session() as session:
            while True:
                await self._tell(session, self._due())
                await self._until_news()

    def _due(self) -> list[Event]:
        events: list[Event] = [] if self._started else [self._outbox.open()]
        while (event := self._outbox.take()) is not None:
            events.append(event)
        return events

    async def _tell(self, session: aiohttp.ClientSession, events: list[Event]) -> None:
        try:
            async with asyncio.timeout(self._deadline_s):
                commands = await self._tries(session, encode_all(events))
        except TimeoutError:
            trouble = Trouble("hung", f"no answer within {self._deadline_s:g} s")
        except _NoUse as failure:
            trouble = failure.trouble
        else:
            self._started = True
            self._outbox.acknowledge(events[-1].seq)
            self._take(commands, events)
            return
        in_vain = not self._outbox.waiting and any(isinstance(event, QUESTIONS) for event in events)
        self._in_trouble(replace(trouble, in_vain=in_vain))

    async def _tries(self, session: aiohttp.ClientSession, body: bytes) -> list[Command | Refusal]:
        headers = self._address.headers(self._call_id, body) | {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "X-Bridge-Delivery": uuid4().hex,
        }
        try:
            return await self._ask(session, body, headers)
        except _NoUse as failure:
            if not failure.again:
                raise
        return await self._ask(session, body, headers)

    async def _ask(
        self, session: aiohttp.ClientSession, body: bytes, headers: dict[str, str]
    ) -> list[Command | Refusal]:
        failure: Exception
        try:
            async with session.post(
                self._address.url, data=body, headers=headers, allow_redirects=False
            ) as response:
                _require_good(response)
                return decode(await _body_of(response))
        except ProtocolError as error:
            raise _NoUse(Trouble("garbage", error.reason)) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = error
        raise _told(failure)  # outside: aiohttp's exceptions hold the headers, and so the signature

    # -- what is answered ----------------------------------------------------------------------------------------------

    def _take(self, commands: list[Command | Refusal], events: list[Event]) -> None:
        turn = max((event.number for event in events if isinstance(event, Turn)), default=0)
        if not commands and any(isinstance(event, QUESTIONS) for event in events):
            commands = [Listen()]
        for command in commands:
            self._reception.take(_belonging(command, turn))


def _belonging(command: Command | Refusal, turn: int) -> Command | Refusal:
    """`command`, with the turn that it answers; refused, if it has no place in an answer."""
    name = command.__struct_config__.tag
    if isinstance(command, SayMore) or name in NEED_A_SOCKET or getattr(command, "more", False):
        return Refusal(command.id, "unsupported", f"{name} goes on: that takes a WebSocket")
    if turn and getattr(command, "turn", None) == 0:
        return msgspec.structs.replace(command, turn=turn)
    return command


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls_context()),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_WITHIN_S),
    )


def _require_good(response: aiohttp.ClientResponse) -> None:
    if not 200 <= response.status < 300:
        raise _NoUse(trouble_of(response.status), again=response.status in _AGAIN)
    if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise _NoUse(Trouble("garbage", "the answer is compressed"))


async def _body_of(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    while more := await response.content.readany():
        body += more
        if len(body) > MAX_MESSAGE_BYTES:
            raise _NoUse(Trouble("flood", f"an answer of more than {MAX_MESSAGE_BYTES} bytes"))
    return bytes(body)


def _told(failure: Exception) -> _NoUse:
    """What went wrong, in words of our own."""
    if isinstance(failure, aiohttp.ClientSSLError | ssl.SSLError):
        return _NoUse(Trouble("unreachable", "its certificate is not trusted"))
    if isinstance(failure, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return _NoUse(Trouble("unreachable", "cannot connect"), again=True)
    if isinstance(failure, aiohttp.ServerConnectionError | aiohttp.ClientPayloadError | OSError):
        return _NoUse(Trouble("cut", "the connection was dropped"), again=True)
    return _NoUse(Trouble("request", f"it speaks no HTTP: {type(failure).__name__}"))
