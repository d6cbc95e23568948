"""The emulated Pulse as a server: speech-to-text on a port of this machine, for bridges and the vendor's own clients.

Strategy:

- What may be asked is `pulse_query`, what is said is `pulse_session`, when it is sent is `pulse_connection`, and who
  recognises is given; here they get a port, a thread where they need one, and an end.
- A bad key and a bad query are refused at the handshake, with an HTTP status and a JSON body, before there is a socket.

Facts: lightning.md 9; what no source settles is said in `pulse_session` and `pulse_query`.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Final

from aiohttp import WSCloseCode, web

from bridge.emulators.lightning_http import refusal_response
from bridge.emulators.lightning_refusals import Refusal, account_error, refused
from bridge.emulators.pulse_connection import PulseConnection
from bridge.emulators.pulse_options import PulseEmulatorOptions, PulseEmulatorStats
from bridge.emulators.pulse_query import MODEL, PulseQuery, parse_query
from bridge.emulators.pulse_session import PulseSession
from bridge.emulators.recogniser import Recogniser
from bridge.emulators.served import CLOSE_TIMEOUT_S, Served, own_key, serve_forever
from bridge.emulators.switches import bearer

DEFAULT_PORT: Final = 9003
LIVE_PATH: Final = "/waves/v1/stt/live"
#: The older path, which needs no model in its query.
OLD_PATH: Final = "/waves/v1/pulse/get_text"


class EmulatedPulse(Served):
    """A Pulse on a port of this machine.

        async with EmulatedPulse(PulseEmulatorOptions(final_ms=60), KnownVoices({"Hello": mulaw})) as pulse:
            ...  # connect to pulse.url
            assert list(pulse.stats.transcripts) == ["Hello"]

    Fields of `options` may be changed while it runs.
    """

    emulates = "pulse"

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
        super().__init__(host, port)
        self.options = options or PulseEmulatorOptions()
        self.stats = stats or PulseEmulatorStats()
        self.recogniser = recogniser

    def __str__(self) -> str:
        key = "one key" if self.options.api_key else "any key"
        return f"Emulated Pulse on {self.url}: {key}, {self.recogniser.name}, {self.options.describe()}"

    def routes(self, router: web.UrlDispatcher) -> None:
        """Two paths for its sockets: of the older one the model is known."""
        router.add_get(LIVE_PATH, functools.partial(self._live, ""))
        router.add_get(OLD_PATH, functools.partial(self._live, MODEL))

    def health(self) -> dict[str, str]:
        """Who hears."""
        return {"recogniser": self.recogniser.name}

    async def _live(self, default_model: str, request: web.Request) -> web.StreamResponse:
        if not self.options.accepts(bearer(request.headers.get("Authorization", ""))):
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

    def _refuse(self, refusal: Refusal) -> web.Response:
        self.stats.refused_handshakes += 1
        return refusal_response(refusal)

    async def _serve(self, request: web.Request, query: PulseQuery, *, faulty: bool) -> web.StreamResponse:
        session_id = f"stt_{self.stats.connections + 1:08x}"
        socket = web.WebSocketResponse(timeout=CLOSE_TIMEOUT_S, compress=False)
        socket.headers["x-trace-id"] = session_id
        await socket.prepare(request)
        session = PulseSession(
            self.options, self.stats, query, self.recogniser.open(), session_id=session_id, faulty=faulty
        )
        thread = self._thread if self.recogniser.blocks else None
        connection = PulseConnection(self.options, socket, request.transport, session, thread)
        self.stats.connections += 1
        self.stats.open_connections += 1
        try:
            with self._open(connection):
                await self._attend(connection, faulty=faulty)
        finally:
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
    options.api_key = own_key(options.api_key)
    await serve_forever(EmulatedPulse(options, recogniser, host=host, port=port))
