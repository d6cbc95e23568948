"""Plain HTTP requests to an agent elsewhere: what happened is posted, and the answer is what to do.

Strategy:

- One request at a time, so events come in order. What happens meanwhile goes with the next one, all in one.
- What is answered to a turn is an answer to that turn: void, when the caller has gone on. No command at all means that
  nothing is to be said.
- No more than `BURST` in `BURST_S`, and what is refused in an answer to nothing but refusals is not told: an agent that
  answers everything with the same nonsense, or with what fails at once, is not asked without end.
- A request is made once more when the connection failed, or the answer was 502, 503 or 504: with the same
  ``X-Bridge-Delivery``, and within the same deadline. Then its events are lost, but for `start`: the turns that follow
  mean nothing without it. It is `resumed` when the agent may have had it.
- Connections are shared by the calls of a process, and outlive them.
- Redirects are not followed, no proxy is asked, nothing is unpacked, and no more is read than may be there.
"""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
from typing import Final
from uuid import uuid4

import aiohttp
from msgspec.structs import replace

from bridge.errors import ProtocolError
from bridge.remote.address import Address
from bridge.remote.door import CONNECT_WITHIN_S, Door, Reception, Trouble, trouble_of
from bridge.remote.protocol import (
    MAX_MESSAGE_BYTES,
    NEED_A_SOCKET,
    QUESTIONS,
    Command,
    Event,
    Failed,
    Listen,
    Refusal,
    SayMore,
    Set,
    Start,
    Stop,
    Turn,
    decode,
    encode_all,
)
from bridge.tls import tls_context

#: Requests of one call, and for so long there are no more. What happens meanwhile is gathered.
BURST: Final = 5
BURST_S: Final = 0.25

_AGAIN: Final = frozenset({502, 503, 504})


class _NoUse(Exception):
    """No answer of use. `again`: another try may get one."""

    def __init__(self, trouble: Trouble, *, again: bool = False) -> None:
        super().__init__(trouble.detail)
        self.trouble, self.again = trouble, again


class Connections:
    """Those to agents elsewhere, kept open from one request to the next."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """Made where a loop runs, which is where it is first wanted."""
        if self._session is None:
            self._session = _session()
        return self._session

    async def close(self) -> None:
        """Close them."""
        if self._session is not None:
            await self._session.close()


class Webhooks(Door):
    """A `Door` that is an address for POST requests.

    Args:
        start: the call.
        connections: those that are used; closed by whoever made them.
        deadline_s: for an answer, both tries together.
    """

    def __init__(
        self,
        address: Address,
        start: Start,
        reception: Reception,
        connections: Connections,
        *,
        deadline_s: float = 5.0,
    ) -> None:
        super().__init__(start, reception)
        self._address, self._connections, self._deadline_s = address, connections, deadline_s
        #: Whether the agent may know of the call, and whether it does.
        self._reached = self._started = False

    # -- asking --------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        began_s, requests = clock(), 0
        while True:
            if requests == BURST:
                await asyncio.sleep(began_s + BURST_S - clock())
            if requests == BURST or clock() - began_s >= BURST_S:
                began_s, requests = clock(), 0
            requests += 1
            await self._tell(self._due())
            await self._until_news()

    def _due(self) -> list[Event]:
        events: list[Event] = []
        if not self._started:
            events.append(replace(self._outbox.open(), resumed=self._reached))
        while (event := self._outbox.take()) is not None:
            events.append(event)
        return events

    async def _tell(self, events: list[Event]) -> None:
        try:
            async with asyncio.timeout(self._deadline_s):
                commands = await self._tries(encode_all(events))
        except TimeoutError:
            trouble = Trouble("hung", f"no answer within {self._deadline_s:g} s")
        except _NoUse as failure:
            trouble = failure.trouble
        else:
            self._started = True
            self._outbox.acknowledge(events[-1].seq)
            self._take(commands, events)
            return
        self._reached = self._reached or trouble.kind != "unreachable"
        in_vain = not self._outbox.waiting and any(isinstance(event, QUESTIONS) for event in events)
        self._in_trouble(dataclasses.replace(trouble, in_vain=in_vain))

    async def _tries(self, body: bytes) -> list[Command | Refusal]:
        headers = self._address.headers(self._call_id, body) | {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "X-Bridge-Delivery": uuid4().hex,
        }
        try:
            return await self._ask(body, headers)
        except _NoUse as failure:
            if not failure.again:
                raise
        return await self._ask(body, headers)

    async def _ask(self, body: bytes, headers: dict[str, str]) -> list[Command | Refusal]:
        failure: Exception
        try:
            async with self._connections.session.post(
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
        commands = [_belonging(command, turn) for command in commands]
        if all(isinstance(event, Failed) for event in events):
            commands = [command for command in commands if not isinstance(command, Refusal)]
        elif any(isinstance(event, QUESTIONS) for event in events) and not any(map(_answers, commands)):
            commands.append(Listen(turn=turn))
        for command in commands:
            self._reception.take(command)


def _answers(command: Command | Refusal) -> bool:
    """Whether it does something about a question, or ought to. `stop` alone says that there is nothing to be said."""
    return not isinstance(command, Stop | Set)


def _belonging(command: Command | Refusal, turn: int) -> Command | Refusal:
    """`command`, with the turn that it answers; refused, if it has no place in an answer."""
    name = command.__struct_config__.tag
    if isinstance(command, SayMore) or name in NEED_A_SOCKET or getattr(command, "more", False):
        return Refusal(command.id, "unsupported", f"{name} goes on: that takes a WebSocket")
    if turn and getattr(command, "turn", None) == 0:
        return replace(command, turn=turn)
    return command


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls_context(), limit=0),
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
