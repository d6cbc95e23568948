"""The emulated Lightning as a server: one aiohttp application on a port of its own.

Strategy:

- The wire protocol is `lightning_protocol`, the pace and the faults are `lightning_connection`, the bytes are
  `lightning_audio`; here they are given a port, a thread for the engine, and an end.
- A bad key is refused at the handshake, with an HTTP status and a JSON body, before there is a socket.
- The engine speaks in one thread, once per script, so hundreds of calls can ask for the same words.
- Everything that was opened is closed in `stop`.
"""

from __future__ import annotations

import asyncio
import functools
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Literal, TypeAlias

from aiohttp import WSCloseCode, web

from bridge.config import API_KEY_VARIABLE, Secret
from bridge.emulators.espeak import EspeakEngine
from bridge.emulators.leaving import may_leave
from bridge.emulators.lightning_account import AccountRoutes
from bridge.emulators.lightning_audio import Studio, Utterance, script_of, wire_format_of
from bridge.emulators.lightning_connection import Connection
from bridge.emulators.lightning_dialects import DIALECTS, Dialect
from bridge.emulators.lightning_http import HttpDoors, refusal_response
from bridge.emulators.lightning_options import EmulatorOptions, EmulatorStats
from bridge.emulators.lightning_protocol import Account, handshake_refusal, idle_timeout_s
from bridge.emulators.lightning_refusals import retired
from bridge.emulators.lightning_requests import SpeechRequest
from bridge.emulators.lightning_session import LightningSession
from bridge.emulators.lightning_v4 import V4_PATH, V4Connection
from bridge.emulators.speech_engine import SpeechEngine, ToneEngine
from bridge.errors import ConfigError

DEFAULT_PORT: Final = 9001
#: How long a closing socket waits for the client's side of it.
_CLOSE_TIMEOUT_S: Final = 1.0

EngineName: TypeAlias = Literal["auto", "espeak", "tones"]


class EmulatedLightning:
    """A Lightning on a port of this machine.

        async with EmulatedLightning(EmulatorOptions(first_byte_ms=150)) as emulator:
            ...  # connect to emulator.url
            assert emulator.stats.completed == 1

    Fields of `options` may be changed while it runs.
    """

    def __init__(
        self,
        options: EmulatorOptions | None = None,
        engine: SpeechEngine | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        stats: EmulatorStats | None = None,
    ) -> None:
        """Without an `engine` it speaks in tones. Port 0 takes a free one. `stats` is where it counts."""
        self.options = options or EmulatorOptions()
        self.stats = stats or EmulatorStats()
        self.engine = engine or ToneEngine()
        self._host, self._port = host, port
        self._account = Account(self.options, self.stats)
        self._studio = Studio(self.engine)
        self._connections: set[Connection | V4Connection] = set()
        self._http_doors = HttpDoors(self, self._account, self._refusal)
        self._engine_thread: ThreadPoolExecutor | None = None
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> EmulatedLightning:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """What ``lightning.base_url`` must be to talk to it."""
        return f"http://{self._host}:{self._port}"

    def __str__(self) -> str:
        key = "one key" if self.options.api_key else "any key"
        return f"Emulated Lightning on {self.url}: {key}, {self.engine.name}, {self.options.describe()}"

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address cannot be had, mostly because the port is taken.
        """
        self._engine_thread = ThreadPoolExecutor(1, thread_name_prefix="speech-engine")
        self._runner = web.AppRunner(
            self._app(),
            access_log=None,
            shutdown_timeout=_CLOSE_TIMEOUT_S,
            handler_cancellation=True,  # an HTTP client that hangs up frees its unit at once
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
        self._http_doors.abort()
        await asyncio.gather(*(connection.close(WSCloseCode.GOING_AWAY) for connection in self._connections))
        if self._runner:
            await self._runner.cleanup()
            self._runner = None
        if self._engine_thread:
            self._engine_thread.shutdown(wait=False, cancel_futures=True)
            self._engine_thread = None

    def drop_connections(self) -> None:
        """Cut every open socket and every answer without a goodbye, as a crash or a broken network would."""
        for connection in self._connections:
            connection.abort()
        self._http_doors.abort()

    async def utterance(self, request: SpeechRequest) -> Utterance:
        """What is sent for `request`, out of the cache or out of the engine.

        Raises:
            RuntimeError: the engine failed.
        """
        script, wire = script_of(request), wire_format_of(request, self.options)
        if ready := self._studio.ready(script, wire):
            return ready
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._engine_thread, self._studio.render, script, wire)

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[may_leave])
        app.router.add_get("/", self._health)
        for dialect in DIALECTS:
            app.router.add_get(dialect.path, functools.partial(self._live, dialect))
        app.router.add_get(V4_PATH, self._live_v4)
        self._http_doors.add_routes(app.router)
        AccountRoutes(self._refusal).add_routes(app.router)
        return app

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "emulates": "lightning", "engine": self.engine.name})

    async def _live(self, dialect: Dialect, request: web.Request) -> web.StreamResponse:
        if refusal := self._refusal(request):
            return refusal
        if dialect.is_v2 and self.options.v2_retired:
            self.stats.refused_handshakes += 1
            return refusal_response(retired("Lightning v2"))
        session_id, socket = await self._open_socket(request)
        session = self._session(dialect, request, session_id)
        await self._serve(Connection(self, socket, request.transport, session))
        return socket

    async def _live_v4(self, request: web.Request) -> web.StreamResponse:
        if refusal := self._refusal(request):
            return refusal
        session_id, socket = await self._open_socket(request)
        session = V4Connection(
            self, self._account, socket, request.transport, session_id=session_id, query=request.query
        )
        await self._serve(session)
        return socket

    async def _open_socket(self, request: web.Request) -> tuple[str, web.WebSocketResponse]:
        session_id = f"ws_{self.stats.connections + 1:08x}"
        socket = web.WebSocketResponse(timeout=_CLOSE_TIMEOUT_S, compress=False)
        socket.headers["x-trace-id"] = session_id
        await socket.prepare(request)
        return session_id, socket

    def _refusal(self, request: web.Request) -> web.Response | None:
        refusal = handshake_refusal(request.headers.get("Authorization", ""), self.options)
        if refusal is None:
            return None
        self.stats.refused_handshakes += 1
        return refusal_response(refusal)

    def _session(self, dialect: Dialect, request: web.Request, session_id: str) -> LightningSession:
        timeout_s = idle_timeout_s(request.query.get("timeout"), self.options.idle_timeout_s)
        now = asyncio.get_running_loop().time()
        return LightningSession(self._account, session_id, idle_timeout_s=timeout_s, now=now, dialect=dialect)

    async def _serve(self, connection: Connection | V4Connection) -> None:
        self.stats.connections += 1
        self.stats.open_connections += 1
        self._connections.add(connection)
        try:
            if self._account.has_room_for_socket():
                await connection.serve()
            else:
                await connection.close(WSCloseCode.POLICY_VIOLATION)
        finally:
            self._connections.discard(connection)
            self.stats.open_connections -= 1


def engine_named(name: EngineName) -> SpeechEngine:
    """An engine; ``auto`` is the offline voice where it is installed, else tones.

    Raises:
        ConfigError: eSpeak NG was asked for and is not installed.
    """
    if name == "tones":
        return ToneEngine()
    try:
        return EspeakEngine()
    except ConfigError:
        if name == "espeak":
            raise
        return ToneEngine()


async def serve_forever(
    host: str, port: int, options: EmulatorOptions, engine: SpeechEngine | None = None
) -> None:
    """Listen until cancelled, and print one line that says where and how.

    Raises:
        OSError: the address cannot be had.
    """
    async with EmulatedLightning(options, engine, host=host, port=port) as emulator:
        print(emulator, flush=True)
        await asyncio.get_running_loop().create_future()


async def run(
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    options: EmulatorOptions | None = None,
    engine: EngineName = "auto",
) -> None:
    """``bridge emulate lightning``: the realistic pace, and the key in SMALLEST_API_KEY if there is one.

    Raises:
        ConfigError: `engine` is not installed.
        OSError: the address cannot be had.
    """
    options = options or EmulatorOptions.realistic()
    options.api_key = options.api_key or Secret(os.environ.get(API_KEY_VARIABLE, ""))
    await serve_forever(host, port, options, engine_named(engine))
