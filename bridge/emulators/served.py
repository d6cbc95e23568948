"""What the emulated services are around their protocols: a server on a port of this machine, and its end.

Strategy:

- A service says what it answers (`routes`); here it gets a port, a page that says how it is, and one thread for what
  takes its time. The thread begins with the first use of it.
- A client that leaves before it was answered is no error, and is not waited for.
- Everything that was opened is closed in `stop`: a socket with 1001, as its client shall know.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, Final, Self

from aiohttp import WSCloseCode, web
from aiohttp.typedefs import Handler

from bridge.config import API_KEY_VARIABLE
from bridge.emulators.open_socket import OpenSocket
from bridge.secret import Secret

#: How long a closing socket waits for the client's side of it.
CLOSE_TIMEOUT_S: Final = 1.0


class Served:
    """A service on a port of this machine. Use it as a context manager, or call `start` and `stop`."""

    #: What its page says that it is.
    emulates: ClassVar[str]
    #: The longest body that it reads, in bytes.
    max_body_bytes: ClassVar[int] = 1024**2
    #: How long its end waits for what is still answered.
    close_timeout_s: ClassVar[float] = CLOSE_TIMEOUT_S

    def __init__(self, host: str, port: int) -> None:
        """Port 0 takes a free one."""
        self._host, self._port = host, port
        self._connections: set[OpenSocket] = set()
        self._thread: ThreadPoolExecutor | None = None
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """What the `base_url` of a client must be to talk to it."""
        return f"http://{self._host}:{self._port}"

    def routes(self, router: web.UrlDispatcher) -> None:
        """For each to fill in: what it answers."""
        raise NotImplementedError

    def health(self) -> dict[str, str]:
        """What its page says besides."""
        return {}

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address cannot be had, mostly because the port is taken.
        """
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=self.emulates)
        app = web.Application(middlewares=[_may_leave], client_max_size=self.max_body_bytes)
        app.router.add_get("/", self._health)
        self.routes(app.router)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=self.close_timeout_s,
            handler_cancellation=True,  # a client that hangs up frees what it has taken at once
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port, backlog=1024).start()
        except OSError:
            await self.stop()
            raise
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close every socket with 1001, and the port. Harmless when it is not running."""
        await asyncio.gather(*(connection.close(WSCloseCode.GOING_AWAY) for connection in self._connections))
        if self._runner:
            await self._runner.cleanup()
            self._runner = None
        if self._thread:
            self._thread.shutdown(wait=False, cancel_futures=True)
            self._thread = None

    def drop_connections(self) -> None:
        """Cut every open socket without a goodbye, as a crash or a broken network would."""
        for connection in self._connections:
            connection.abort()

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "emulates": self.emulates, **self.health()})

    @contextlib.contextmanager
    def _open(self, connection: OpenSocket) -> Iterator[None]:
        """`connection` is open as long as the block runs."""
        self._connections.add(connection)
        try:
            yield
        finally:
            self._connections.discard(connection)


@web.middleware
async def _may_leave(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A client that leaves before its socket is open is no error of ours: a bridge that ends while it warms one up."""
    try:
        return await handler(request)
    except ConnectionError:
        return web.Response()


def own_key(given: Secret) -> Secret:
    """The key that a command's service accepts: `given`, or else the one in SMALLEST_API_KEY if there is one."""
    return given or Secret(os.environ.get(API_KEY_VARIABLE, ""))


async def serve_forever(service: Served) -> None:
    """Listen until cancelled, and print one line that says where and how.

    Raises:
        OSError: the address cannot be had.
    """
    async with service:
        print(service, flush=True)
        await asyncio.get_running_loop().create_future()
