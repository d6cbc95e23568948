"""One socket to Hydra, from its handshake to its end.

Strategy:

- The key rides in the URL, so nothing here ever shows one: not our errors, which name what went wrong and quote nobody;
  not the library's, which are left behind with their handlers; and the library gets a logger that nobody can turn on.
- Messages are read by whoever iterates, and no faster. Who sends never waits: a writer does, and while Hydra takes
  nothing, the caller's newest audio is dropped and counted.
- Audio flows from the moment that Hydra says that it listens. Before that it would be lost without a word.
- Garbage is skipped; garbage in a row, or far more than anybody can say, ends the session.

Facts, from the AsyncAPI contract `hydra-ws.yaml`: 401 at the handshake for a bad key; `server_full`, then 1013; 1000
after some 30 s without traffic.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, TypeAlias, TypeVar
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from bridge import __version__
from bridge.errors import ProtocolError, ThinkerError
from bridge.hydra.audio import Downward, Uplink
from bridge.hydra.messages import (
    OUTPUT_HZ,
    Configured,
    Created,
    Failed,
    Function,
    Message,
    decode,
    encode_audio,
    encode_configure,
)
from bridge.observe.stats import HydraStats
from bridge.secret import Secret
from bridge.straight import StraightConnect
from bridge.tls import tls_context

log = logging.getLogger(__name__)

M = TypeVar("M", Created, Configured)

PATH: Final = "/waves/v1/s2s"
#: For the socket, and for each of the two messages that it begins with.
OPEN_TIMEOUT_S: Final = 5.0
CLOSE_TIMEOUT_S: Final = 1.0
PING_INTERVAL_S: Final = 10.0
PING_TIMEOUT_S: Final = 10.0
#: 8 s of sound in one message; what more takes to resample, other calls would feel.
MAX_MESSAGE_BYTES: Final = 2**20
#: So many broken messages in a row are a broken peer.
MAX_MALFORMED: Final = 3
#: Ten times real time in messages of 5 ms.
MAX_MESSAGES_PER_S: Final = 2000
#: Messages that wait to be sent; about a second of audio.
MAX_WAITING: Final = 50
#: What `server_full` closes with.
_TRY_AGAIN_LATER: Final = 1013
_NORMAL: Final = 1000


def _mute_logger() -> logging.Logger:
    """Not one of `logging`'s tree, so that no configuration finds it: at debug level the library prints the URL."""
    logger = logging.Logger("hydra.wire", level=logging.CRITICAL + 1)
    logger.disabled = True
    logger.propagate = False
    return logger


_MUTE: Final = _mute_logger()


@dataclass(frozen=True, slots=True)
class HydraSettings:
    """Where Hydra is, and who it is to be.

    Attributes:
        base_url: ``https://...``; the path is added.
        tools: what it may call.
        speaks_first: whether it greets the caller.
    """

    base_url: str
    api_key: Secret
    model: str
    voice: str
    instructions: str
    tools: Sequence[Function] = field(default=())
    speaks_first: bool = False

    def greeting(self, words: str) -> HydraSettings:
        """The same, but Hydra begins with `words`; when there are none, the caller begins."""
        if not words:
            return self
        instructions = f"{self.instructions}\n\nBegin the conversation with: {words}".strip()
        return replace(self, instructions=instructions, speaks_first=True)


class Session(Protocol):
    """An open session: iterate it for what Hydra says."""

    @property
    def output_hz(self) -> int:
        """The rate of Hydra's sound."""

    @property
    def closed(self) -> bool:
        """Whether we have closed it."""

    def send(self, message: bytes) -> None:
        """Send a message that is no audio. Does not wait; a socket that is gone takes nothing."""

    def __aiter__(self) -> AsyncIterator[Message]:
        """Ends when Hydra closes the session for idleness.

        Raises:
            ThinkerError: it is gone, full, or talks nonsense.
        """

    async def close(self) -> None:
        """Close it; iterating it ends."""


OpenSession: TypeAlias = Callable[["HydraSettings", Uplink, HydraStats], Awaitable[Session]]


class HydraSession:
    """An open session. Iterate it for what Hydra says; that ends when Hydra closes it for idleness.

    Args:
        socket: just opened; the session closes it.
    """

    def __init__(self, socket: ClientConnection, uplink: Uplink, stats: HydraStats) -> None:
        self._socket, self._uplink, self._stats = socket, uplink, stats
        self._outbox: asyncio.Queue[bytes] = asyncio.Queue()
        self._malformed = 0
        self._window_s, self._in_window = time.monotonic(), 0
        self._full = self.closed = False
        self._writer = asyncio.create_task(self._write())
        self._output_hz = OUTPUT_HZ

    @property
    def output_hz(self) -> int:
        """The rate of Hydra's sound."""
        return self._output_hz

    async def configure(self, settings: HydraSettings) -> None:
        """Say who Hydra is to be, and have it listen.

        Raises:
            ThinkerError: it does not answer, or not with what it should.
        """
        message = encode_configure(
            settings.instructions, settings.voice, settings.tools, speaks_first=settings.speaks_first
        )
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await self._until(Created)
                self.send(message)
                self._output_hz = _known_rate((await self._until(Configured)).output_hz)
        except TimeoutError:
            raise ThinkerError("hung", f"not configured within {OPEN_TIMEOUT_S:g} s") from None
        self._uplink.open(self._send_audio)
        self._stats.sessions += 1

    def send(self, message: bytes) -> None:
        """Send a message that is no audio. Does not wait; a socket that is gone takes nothing."""
        self._outbox.put_nowait(message)

    def __aiter__(self) -> HydraSession:
        return self

    async def __anext__(self) -> Message:
        """What Hydra says next.

        Raises:
            ThinkerError: it is gone, full, or talks nonsense.
            StopAsyncIteration: it has closed the session because nobody said anything; or we have.
        """
        while True:
            try:
                raw = await self._socket.recv(decode=False)
            except ConnectionClosed as closed:
                error = _why(closed, full=self._full)
                break
            if (message := self._decoded(raw)) is not None:
                return message
        if error is not None:
            raise error
        self._stats.idle_closes += not self.closed
        raise StopAsyncIteration

    async def close(self) -> None:
        """Close it. Returns within a few `CLOSE_TIMEOUT_S`."""
        self.closed = True
        self._uplink.close()
        self._writer.cancel()
        try:
            async with asyncio.timeout(3 * CLOSE_TIMEOUT_S):
                await self._socket.close()
        except TimeoutError:
            self._socket.transport.abort()
        await asyncio.gather(self._writer, return_exceptions=True)

    async def _until(self, kind: type[M]) -> M:
        async for message in self:
            if isinstance(message, kind):
                return message
        raise ThinkerError("cut", "closed before it was configured")

    # -- what comes in -----------------------------------------------------------------------------------------

    def _decoded(self, raw: bytes) -> Message | None:
        self._count()
        try:
            message = decode(raw)
        except ProtocolError as broken:
            self._count_malformed(broken)
            return None
        self._malformed = 0
        if isinstance(message, Failed):
            self._stats.error_messages += 1
            self._full = self._full or message.code == "server_full"
        return message

    def _count(self) -> None:
        now_s = time.monotonic()
        if now_s - self._window_s >= 1.0:
            self._window_s, self._in_window = now_s, 0
        self._in_window += 1
        if self._in_window > MAX_MESSAGES_PER_S:
            raise ThinkerError("flood", f"more than {MAX_MESSAGES_PER_S} messages in a second")

    def _count_malformed(self, broken: ProtocolError) -> None:
        self._stats.malformed_messages += 1
        self._malformed += 1
        log.debug("skipped a message: %s", broken)
        if self._malformed >= MAX_MALFORMED:
            raise ThinkerError("garbage", f"{self._malformed} broken messages in a row")

    # -- what goes out -----------------------------------------------------------------------------------------

    def _send_audio(self, pcm: bytes) -> None:
        if self._outbox.qsize() < MAX_WAITING:
            self._outbox.put_nowait(encode_audio(pcm))
        else:
            self._stats.unsent_ms += len(pcm) / 32

    async def _write(self) -> None:
        try:
            while True:
                await self._socket.send(await self._outbox.get(), text=True)
        except ConnectionClosed:
            return  # whoever reads is told


async def open_session(settings: HydraSettings, uplink: Uplink, stats: HydraStats) -> HydraSession:
    """A session in which Hydra listens.

    Raises:
        ThinkerError: refused, full, unreachable, or not there in time.
    """
    session = HydraSession(await _connect(settings), uplink, stats)
    try:
        await session.configure(settings)
    except BaseException:
        await session.close()
        raise
    return session


async def _connect(settings: HydraSettings) -> ClientConnection:
    base = re.sub("^http", "ws", settings.base_url).rstrip("/")
    query = urlencode({"model": settings.model, "api_key": settings.api_key.reveal()})
    try:
        return await StraightConnect(
            f"{base}{PATH}?{query}",
            user_agent_header=f"lightning-phone-bridge/{__version__}",
            compression=None,
            proxy=None,
            ssl=tls_context() if base.startswith("wss:") else None,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=PING_INTERVAL_S,
            ping_timeout=PING_TIMEOUT_S,
            max_size=MAX_MESSAGE_BYTES,
            logger=_MUTE,
        )
    except (WebSocketException, OSError, EOFError, ValueError) as failure:
        # A ValueError is the URL's or the resolver's: a port, or a name, that nobody can have.
        error = _refusal(failure)
    raise error  # outside the handler, so that the library's error, which may hold the URL, is not its context


def _refusal(failure: Exception) -> ThinkerError:
    if isinstance(failure, InvalidStatus):
        status = failure.response.status_code
        if status in (401, 403):
            return ThinkerError("unauthorized", f"HTTP {status}: check hydra's api_key")
        if status in (429, 503):
            return ThinkerError("busy", f"HTTP {status}")
        return ThinkerError("server" if status >= 500 else "request", f"HTTP {status}")
    if isinstance(failure, TimeoutError):
        return ThinkerError("hung", f"no connection within {OPEN_TIMEOUT_S:g} s")
    reason = failure.strerror if isinstance(failure, OSError) else None
    return ThinkerError("unreachable", reason or type(failure).__name__)


def _known_rate(rate_hz: int) -> int:
    try:
        Downward(rate_hz)
    except ValueError as error:
        raise ThinkerError("garbage", str(error)) from None
    return rate_hz


def _why(closed: ConnectionClosed, *, full: bool = False) -> ThinkerError | None:
    """Why the socket is closed; None for the close that idleness ends with."""
    frame = closed.rcvd
    if frame is None:
        return ThinkerError("cut", "the connection was lost")
    if full or frame.code == _TRY_AGAIN_LATER:
        return ThinkerError("busy", "server_full")
    return None if frame.code == _NORMAL else ThinkerError("cut", f"closed with {frame.code}")
