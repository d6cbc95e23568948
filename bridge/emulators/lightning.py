"""The emulated Lightning as a server: one aiohttp application on a port of its own.

Strategy:

- The wire protocol is `lightning_protocol`, the pace and the faults are `lightning_connection`, the bytes are
  `lightning_audio`; here they are given a port, a thread for the engine, and an end.
- A bad key is refused at the handshake, with an HTTP status and a JSON body, before there is a socket.
- The engine speaks in one thread, once per script, so hundreds of calls can ask for the same words.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Final, Literal, TypeAlias

from aiohttp import WSCloseCode, web

from bridge.emulators.espeak import EspeakEngine
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
from bridge.emulators.served import CLOSE_TIMEOUT_S, Served, own_key, serve_forever
from bridge.emulators.speech_engine import SpeechEngine, ToneEngine
from bridge.errors import ConfigError

DEFAULT_PORT: Final = 9001

EngineName: TypeAlias = Literal["auto", "espeak", "tones"]


class EmulatedLightning(Served):
    """A Lightning on a port of this machine.

        async with EmulatedLightning(EmulatorOptions(first_byte_ms=150)) as emulator:
            ...  # connect to emulator.url
            assert emulator.stats.completed == 1

    Fields of `options` may be changed while it runs.
    """

    emulates = "lightning"

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
        super().__init__(host, port)
        self.options = options or EmulatorOptions()
        self.stats = stats or EmulatorStats()
        self.engine = engine or ToneEngine()
        self._account = Account(self.options, self.stats)
        self._studio = Studio(self.engine)
        self._http_doors = HttpDoors(self, self._account, self._refusal)

    def __str__(self) -> str:
        key = "one key" if self.options.api_key else "any key"
        return f"Emulated Lightning on {self.url}: {key}, {self.engine.name}, {self.options.describe()}"

    async def stop(self) -> None:
        """Close every socket with 1001, cut every answer, and close the port. Harmless when it is not running."""
        self._http_doors.abort()
        await super().stop()

    def drop_connections(self) -> None:
        """Cut every open socket and every answer without a goodbye, as a crash or a broken network would."""
        super().drop_connections()
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
        return await loop.run_in_executor(self._thread, self._studio.render, script, wire)

    def routes(self, router: web.UrlDispatcher) -> None:
        """A path for the sockets of each dialect, and the HTTP doors."""
        for dialect in DIALECTS:
            router.add_get(dialect.path, functools.partial(self._live, dialect))
        router.add_get(V4_PATH, self._live_v4)
        self._http_doors.add_routes(router)
        AccountRoutes(self._refusal).add_routes(router)

    def health(self) -> dict[str, str]:
        """Who speaks."""
        return {"engine": self.engine.name}

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
        socket = web.WebSocketResponse(timeout=CLOSE_TIMEOUT_S, compress=False)
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
        try:
            with self._open(connection):
                if self._account.has_room_for_socket():
                    await connection.serve()
                else:
                    await connection.close(WSCloseCode.POLICY_VIOLATION)
        finally:
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
    options.api_key = own_key(options.api_key)
    await serve_forever(EmulatedLightning(options, engine_named(engine), host=host, port=port))
