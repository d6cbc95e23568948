"""The emulated Pulse as a server: speech-to-text on a port of this machine, for bridges and the vendor's own clients.

Strategy:

- What may be asked is `pulse_query`, what is said is `pulse_session`, when it is sent is `pulse_connection`, and who
  recognises is given; here they get a port, a thread where they need one, and an end.
- A bad key and a bad query are refused at the handshake, with an HTTP status and a JSON body, before there is a socket.
- Everything that was opened is closed in `stop`.

Facts: lightning.md 9; what no source settles is said in `pulse_session` and `pulse_query`.
"""

from __future__ import annotations

import asyncio
import functools
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aiohttp import WSCloseCode, web

from bridge.config import API_KEY_VARIABLE, Secret
from bridge.emulators.leaving import may_leave
from bridge.emulators.lightning_http import refusal_response
from bridge.emulators.lightning_refusals import Refusal, account_error, refused
from bridge.emulators.pulse_connection import PulseConnection
from bridge.emulators.pulse_options import PulseEmulatorOptions, PulseEmulatorStats
from bridge.emulators.pulse_query import MODEL, PulseQuery, parse_query
from bridge.emulators.pulse_session import PulseSession
from bridge.emulators.recogniser import Recogniser

DEFAULT_PORT: Final = 9003
LIVE_PATH: Final = "/waves/v1/stt/live"
#: The older path, which needs no model in its query.
OLD_PATH: Final = "/waves/v1/pulse/get_text"
#: How long a closing socket waits for the client's side of it.
_CLOSE_TIMEOUT_S: Final = 1.0


class EmulatedPulse:
    """A Pulse on a port of this machine.

        async with EmulatedPulse(PulseEmulatorOptions(final_ms=60), KnownVoices({"Hello": mulaw})) as pulse:
            ...  # connect to pulse.url
            assert list(pulse.stats.transcripts) == ["Hello"]

    Fields of `options` may be changed while it runs.
    """

    def __init__(
        self,
        options: PulseEmulatorOptions | None,
        recogniser: Recogniser,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        stats: PulseEmulatorStats | None = None,
    ) -> None:
        """Port 0 takes a free one. `stats` is where it counts."""
        self.options = options or PulseEmulatorOptions()
        self.stats = stats or PulseEmulatorStats()
        self.recogniser = recogniser
        self._host, self._port = host, port
        self._connections: set[PulseConnection] = set()
        self._thread: ThreadPoolExecutor | None = None
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> EmulatedPulse:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """What ``pulse.base_url`` must be to talk to it."""
        return f"http://{self._host}:{self._port}"

    def __str__(self) -> str:
        key = "one key" if self.options.api_key else "any key"
        return f"Emulated Pulse on {self.url}: {key}, {self.recogniser.name}, {self.options.describe()}"

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address cannot be had, mostly because the port is taken.
        """
        if self.recogniser.blocks:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="recogniser")
        self._runner = web.AppRunner(
            self._app(),
            access_log=None,
            shutdown_timeout=_CLOSE_TIMEOUT_S,
            handler_cancellation=True,  # who does not wait for a slow handshake is not waited for either
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

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[may_leave])
        app.router.add_get("/", self._health)
        app.router.add_get(LIVE_PATH, functools.partial(self._live, ""))
        app.router.add_get(OLD_PATH, functools.partial(self._live, MODEL))
        return app

    async def _health(self, _request: web.Request) -> web.Response:
        told = {"status": "ok", "emulates": "pulse", "recogniser": self.recogniser.name}
        return web.json_response(told)

    async def _live(self, default_model: str, request: web.Request) -> web.StreamResponse:
        if not self._may_enter(request.headers.get("Authorization", "")):
            return self._refuse(account_error(401, "Invalid or missing API key"))
        query = parse_query(request.query, default_model=default_model)
        if isinstance(query, Refusal):
            return self._refuse(query)
        self.stats.handshakes += 1
        faulty = self.options.is_faulty(self.stats.handshakes)
        if faulty and self.options.refuse:
            self.stats.faults += 1
            return self._refuse(refused(self.options.refuse))
        if faulty:
            await asyncio.sleep(self.options.handshake_ms / 1000)
        self.stats.last_query = dict(request.query)
        return await self._serve(request, query, faulty=faulty)

    def _may_enter(self, authorization: str) -> bool:
        scheme, _, key = authorization.partition(" ")
        return scheme.lower() == "bearer" and bool(key.strip()) and self.options.accepts(key.strip())

    def _refuse(self, refusal: Refusal) -> web.Response:
        self.stats.refused_handshakes += 1
        return refusal_response(refusal)

    async def _serve(self, request: web.Request, query: PulseQuery, *, faulty: bool) -> web.StreamResponse:
        session_id = f"stt_{self.stats.connections + 1:08x}"
        socket = web.WebSocketResponse(timeout=_CLOSE_TIMEOUT_S, compress=False)
        socket.headers["x-trace-id"] = session_id
        await socket.prepare(request)
        session = PulseSession(
            self.options, self.stats, query, self.recogniser.open(), session_id=session_id, faulty=faulty
        )
        connection = PulseConnection(self.options, socket, request.transport, session, self._thread)
        self.stats.connections += 1
        self.stats.open_connections += 1
        self._connections.add(connection)
        try:
            await self._attend(connection, faulty=faulty)
        finally:
            self._connections.discard(connection)
            self.stats.open_connections -= 1
        return socket

    async def _attend(self, connection: PulseConnection, *, faulty: bool) -> None:
        limit = self.options.concurrency
        if limit and self.stats.open_connections > limit:
            self.stats.over_concurrency += 1
            await connection.close(WSCloseCode.POLICY_VIOLATION)
        elif faulty and self.options.close_at_once:
            self.stats.faults += 1
            await connection.close(WSCloseCode.POLICY_VIOLATION)
        elif faulty and self.options.hang:
            self.stats.faults += 1
            await connection.swallow()
        else:
            await connection.serve()


async def serve_forever(host: str, port: int, options: PulseEmulatorOptions, recogniser: Recogniser) -> None:
    """Listen until cancelled, and print one line that says where and how.

    Raises:
        OSError: the address cannot be had.
    """
    async with EmulatedPulse(options, recogniser, host=host, port=port) as emulator:
        print(emulator, flush=True)
        await asyncio.get_running_loop().create_future()


async def run(
    recogniser: Recogniser,
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    options: PulseEmulatorOptions | None = None,
) -> None:
    """``bridge emulate pulse``: the realistic pace, and the key in SMALLEST_API_KEY if there is one.

    Raises:
        OSError: the address cannot be had.
    """
    options = options or PulseEmulatorOptions.realistic()
    options.api_key = options.api_key or Secret(os.environ.get(API_KEY_VARIABLE, ""))
    await serve_forever(host, port, options, recogniser)
