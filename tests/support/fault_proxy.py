"""A network that fails on command: a TCP proxy on loopback, between a client and a server on this machine.

Strategy:

- Everything may be switched at any moment, for each way on its own: `up` is from the client to the server, `down`
  is back. What flows obeys from its next piece on; `cut` obeys at once.
- A fault counts the bytes of each connection, so it strikes in the same place of the stream however many
  connections there are, and whatever TCP makes of the pieces.
- Latency delays, it does not slow down: a piece waits for its own time and for nothing else.
- Bytes are forwarded, not read: it works for anything on TCP. Who counts bytes must use no compression.
"""

from __future__ import annotations

import asyncio
import math
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final
from urllib.parse import urlsplit

_READ_BYTES: Final = 65_536
#: Pieces that one way of a connection holds on to before the sender feels it.
_HELD_PIECES: Final = 64
#: A limited way gets through what it may in so many pieces a second.
_PIECES_PER_S: Final = 50
_LINGER_FOR_ZERO: Final = struct.pack("ii", 1, 0)


class Trouble(Enum):
    """What can happen to a connection."""

    STALL = auto()  #: nothing more is forwarded until the fault is taken away; then all of it is
    SWALLOW = auto()  #: half-open: what comes is lost, even the end of it, and nobody is told
    FIN = auto()  #: closed as if in good order
    RST = auto()  #: reset


@dataclass(eq=False)
class Fault:
    """What happens on one way.

    Args:
        trouble: what.
        after_bytes: bytes of a connection that are forwarded before; it strikes in mid-frame if need be.
        times: connections that it strikes; None: every one.
    """

    trouble: Trouble
    after_bytes: int = 0
    times: int | None = None
    #: Connections that it has struck.
    strikes: int = 0

    @property
    def spent(self) -> bool:
        """Whether no further connection need fear it."""
        return self.times is not None and self.strikes >= self.times


@dataclass
class Way:
    """One way of all connections. Change it at any moment."""

    #: How much later everything arrives.
    delay_s: float = 0.0
    #: Bytes that are written at once; 0: all that there are.
    slice_bytes: int = 0
    #: Of a connection, only so many are sliced: a slice takes a turn of the loop, and a busy machine has few.
    sliced_bytes: float = math.inf
    #: What gets through in a second; 0: everything.
    bytes_per_s: int = 0
    #: Bytes that have got through.
    forwarded_bytes: int = 0
    _fault: Fault | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def fault(self) -> Fault | None:
        """What is wrong with it."""
        return self._fault

    @fault.setter
    def fault(self, fault: Fault | None) -> None:
        self._fault = fault
        self._changed.set()
        self._changed = asyncio.Event()

    async def without(self, fault: Fault) -> None:
        """Wait until `fault` has been taken away."""
        while self._fault is fault:
            await self._changed.wait()


class FaultProxy:
    """A proxy to the server at `target`, a URL on this machine.

    async with FaultProxy(emulator.url) as proxy:
        proxy.down.fault = Fault(Trouble.RST, after_bytes=4000)
        ...  # connect to proxy.url
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        assert parts.hostname, "the target is a URL"
        assert parts.port, "the target's URL names its port"
        self._host, self._target_port = parts.hostname, parts.port
        self.up, self.down = Way(), Way()
        #: So many of the next connections are accepted only to be reset.
        self.reset_next = 0
        #: Connections that were accepted.
        self.connections = 0
        self._open: set[_Connection] = set()
        self._port = 0
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where the target can be reached by way of this proxy."""
        return f"http://{self._host}:{self._port}"

    @property
    def open_connections(self) -> int:
        """Connections that have not come to their end."""
        return len(self._open)

    async def __aenter__(self) -> FaultProxy:
        await self.listen()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.refuse()
        self.cut(Trouble.RST)
        if self._open:
            await asyncio.wait([connection.task for connection in self._open])

    async def listen(self) -> None:
        """Accept connections, again."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, self._host, self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Nobody listens any more: further connections are refused. Those that are open stay so."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def cut(self, trouble: Trouble) -> None:
        """End every open connection at once, with FIN or RST."""
        for connection in list(self._open):
            connection.cut(trouble)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.reset_next:
            self.reset_next -= 1
            _close(writer, Trouble.RST)
            return
        connection = _Connection(self, reader, writer)
        self._open.add(connection)
        connection.task.add_done_callback(lambda _: self._open.discard(connection))

    async def dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the target."""
        return await asyncio.open_connection(self._host, self._target_port)


class _Connection:
    """One connection of a client's, and the one to the server that belongs to it."""

    def __init__(self, proxy: FaultProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._reader, self._writers = reader, [writer]
        self.task = asyncio.create_task(self._run())

    def cut(self, trouble: Trouble) -> None:
        """End it now."""
        for writer in self._writers:
            _close(writer, trouble)
        self.task.cancel()

    async def _run(self) -> None:
        try:
            reader, writer = await self._proxy.dial()
            self._writers.append(writer)
            up = _Pipe(self._proxy.up, self._reader, writer, self.cut)
            down = _Pipe(self._proxy.down, reader, self._writers[0], self.cut)
            async with asyncio.TaskGroup() as group:
                for job in (up.read(), up.write(), down.read(), down.write()):
                    group.create_task(job)
        except* OSError:
            self.cut(Trouble.RST)  # what one side has done to us, we do to the other
        else:
            self.cut(Trouble.FIN)


class _Pipe:
    """One way of one connection."""

    def __init__(
        self,
        way: Way,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        cut: Callable[[Trouble], None],
    ) -> None:
        self._way, self._reader, self._writer, self._cut = way, reader, writer, cut
        self._pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_HELD_PIECES)
        self._forwarded_bytes = 0
        #: What has struck this connection.
        self._fault: Fault | None = None

    async def read(self) -> None:
        """Take what comes, to its end. Raises OSError when there is no orderly one."""
        loop = asyncio.get_running_loop()
        while piece := await self._reader.read(_READ_BYTES):
            await self._pieces.put((loop.time(), piece))
        await self._pieces.put((loop.time(), b""))

    async def write(self) -> None:
        """Forward it, as far as the faults let it. Raises OSError when nobody is there to take it."""
        while piece := await self._next():
            await self._forward(piece)
        if self._fault is not None:
            await self._way.without(self._fault)
        self._writer.write_eof()

    async def _next(self) -> bytes:
        read_at_s, piece = await self._pieces.get()
        await asyncio.sleep(read_at_s + self._way.delay_s - asyncio.get_running_loop().time())
        return piece

    async def _forward(self, piece: bytes) -> None:
        fault = self._struck_within(len(piece))
        if fault is None:
            await self._put_through(piece)
            return
        at = max(0, fault.after_bytes - self._forwarded_bytes)
        await self._put_through(piece[:at])
        if fault.trouble is Trouble.STALL:
            await self._way.without(fault)
            await self._forward(piece[at:])
        elif fault.trouble is not Trouble.SWALLOW:
            self._cut(fault.trouble)

    def _struck_within(self, more_bytes: int) -> Fault | None:
        """The fault that holds once so many more bytes have been forwarded."""
        fault = self._way.fault
        if fault is None or fault is self._fault:
            return fault
        if fault.spent or self._forwarded_bytes + more_bytes < fault.after_bytes:
            return None
        fault.strikes += 1
        self._fault = fault
        return fault

    async def _put_through(self, piece: bytes) -> None:
        way, at = self._way, 0
        while at < len(piece):
            part = piece[at : at + self._most_at_once(len(piece))]
            self._writer.write(part)
            await self._writer.drain()
            at += len(part)
            self._forwarded_bytes += len(part)
            way.forwarded_bytes += len(part)
            await asyncio.sleep(len(part) / way.bytes_per_s if way.bytes_per_s else 0)

    def _most_at_once(self, size: int) -> int:
        way = self._way
        if way.slice_bytes and self._forwarded_bytes < way.sliced_bytes:
            return way.slice_bytes
        return max(1, way.bytes_per_s // _PIECES_PER_S) if way.bytes_per_s else size


def _close(writer: asyncio.StreamWriter, trouble: Trouble) -> None:
    if trouble is Trouble.FIN:
        writer.close()
        return
    if not writer.is_closing():
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_FOR_ZERO)
    writer.transport.abort()
