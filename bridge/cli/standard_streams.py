"""Standard input and output beside an event loop: neither may make it wait.

Strategy:

- Whoever writes text writes it when it pleases, and a player reads no faster than it plays. So every read and every
  write waits in a thread, while the loop goes on with the network and its deadlines.
- These threads are daemons: a Ctrl-C does not wait for the next line or for the player.
- The descriptors are left as they are. To make one non-blocking would make it so for every process that shares it.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
from collections.abc import AsyncGenerator
from queue import SimpleQueue
from threading import Thread
from typing import Final

from bridge.errors import BridgeError, ConfigError

_STDIN: Final = "standard input"
_STDOUT: Final = "standard output"
_MOST_READ_BYTES: Final = 65_536
_BYTE_ORDER_MARK: Final = "\ufeff"


async def text_from(fd: int) -> AsyncGenerator[str, None]:
    """The UTF-8 text that arrives at `fd`, each bit as soon as it is there.

    Raises:
        ConfigError: it is not UTF-8, or cannot be read.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    read_bytes = 0
    while True:
        data = await _read(fd)
        held_bytes = len(decoder.getstate()[0])
        try:
            text = decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            at = read_bytes - held_bytes + error.start
            raise ConfigError(f"byte {at} is not UTF-8", source=_STDIN) from error
        if not data:
            return
        if read_bytes - held_bytes == 0:
            text = text.removeprefix(_BYTE_ORDER_MARK)
        read_bytes += len(data)
        if text:
            yield text


async def _read(fd: int) -> bytes:
    """What is there, once something is; nothing at the end."""
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[bytes | OSError] = loop.create_future()

    def tell(found: bytes | OSError) -> None:
        if not arrived.done():
            arrived.set_result(found)

    def read() -> None:
        found: bytes | OSError
        try:
            found = os.read(fd, _MOST_READ_BYTES)
        except OSError as error:
            found = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, found)

    Thread(target=read, daemon=True).start()
    found = await arrived
    if isinstance(found, OSError):
        raise ConfigError(f"cannot be read: {found.strerror}", source=_STDIN) from found
    return found


class PipeWriter:
    """Bytes on their way to a descriptor; used as ``async with``, which waits at its end until they are written.

    So it does when an error of ours ends it, but not when it is cancelled.

    Args:
        most_bytes: whoever writes waits while more than this is unwritten.

    Raises, from any of its methods:
        BrokenPipeError: nobody reads any more.
        ConfigError: it cannot be written for another reason.
    """

    def __init__(self, fd: int, most_bytes: int) -> None:
        self._fd, self._most_bytes = fd, most_bytes
        self._loop = asyncio.get_running_loop()
        self._chunks: SimpleQueue[bytes] = SimpleQueue()
        self._unwritten_bytes = 0
        self._error: OSError | None = None
        self._news = asyncio.Event()

    async def __aenter__(self) -> PipeWriter:
        Thread(target=self._write_all, daemon=True).start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_exc: object) -> None:
        self._chunks.put(b"")
        if kind is None or issubclass(kind, BridgeError):  # what came before an error is heard
            await self._until_at_most(0)

    async def write(self, data: bytes) -> None:
        """Have `data` written."""
        if data:
            self._chunks.put(data)
            self._unwritten_bytes += len(data)
        await self._until_at_most(self._most_bytes)

    async def until_broken(self) -> None:
        """Wait until it cannot be written any more, which is an error; for ever if that does not happen."""
        while True:
            await self._until_at_most(-1)

    async def _until_at_most(self, size_bytes: int) -> None:
        while self._unwritten_bytes > size_bytes and self._error is None:
            news = self._news
            await news.wait()
        if isinstance(self._error, BrokenPipeError):
            raise self._error
        if self._error is not None:
            reason = f"cannot be written: {self._error.strerror}"
            raise ConfigError(reason, source=_STDOUT) from self._error

    def _tell(self, written_bytes: int, error: OSError | None) -> None:
        self._unwritten_bytes -= written_bytes
        self._error = error
        self._news.set()  # to all who wait; who comes later waits for the next
        self._news = asyncio.Event()

    # -- in the thread ---------------------------------------------------------------------------------

    def _write_all(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            while data := self._chunks.get():
                try:
                    self._write(data)
                except OSError as error:
                    self._loop.call_soon_threadsafe(self._tell, 0, error)
                    return
                self._loop.call_soon_threadsafe(self._tell, len(data), None)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._fd, rest) :]
