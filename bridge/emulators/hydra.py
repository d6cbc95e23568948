"""The emulated Hydra as a server: speech to speech on a port of this machine, by a script and without an account.

Strategy:

- What is said is `hydra_session`, when it is sent is `hydra_connection`; here they get a port, a voice and an end.
- A bad key is refused at the handshake, with 401, before there is a socket. The query holds it, and is not logged.
- The engine speaks in one thread, once per text, so that many calls can ask for the same words.

Facts, from the AsyncAPI contract `hydra-ws.yaml`; what it does not settle is said in `hydra_session`.
"""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from bridge.emulators.hydra_connection import OUTPUT, HydraConnection
from bridge.emulators.hydra_options import HydraEmulatorOptions, HydraEmulatorStats, HydraScript
from bridge.emulators.hydra_session import HydraEmulatorSession
from bridge.emulators.lightning_http import refusal_response
from bridge.emulators.lightning_refusals import Refusal, account_error, refused
from bridge.emulators.served import CLOSE_TIMEOUT_S, Served, own_key, serve_forever
from bridge.emulators.speech_engine import SpeechEngine, ToneEngine
from telephony_codecs.formats import AudioFormat, Encoding
from telephony_codecs.transcoder import Transcoder

DEFAULT_PORT: Final = 9005
PATH: Final = "/waves/v1/s2s"
MODELS: Final = ("hydra-v1.1", "hydra-v1.0", "hydra")


class EmulatedHydra(Served):
    """A Hydra on a port of this machine.

        async with EmulatedHydra(HydraEmulatorOptions(), HydraScript(greeting="Hello.")) as hydra:
            ...  # connect to hydra.url
            assert list(hydra.stats.said) == ["Hello."]

    Fields of `options` may be changed while it runs.
    """

    emulates = "hydra"

    def __init__(
        self,
        options: HydraEmulatorOptions | None = None,
        script: HydraScript | None = None,
        engine: SpeechEngine | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        stats: HydraEmulatorStats | None = None,
    ) -> None:
        """Without an `engine` it speaks in tones. Port 0 takes a free one. `stats` is where it counts."""
        super().__init__(host, port)
        self.options = options or HydraEmulatorOptions()
        self.script = script or HydraScript()
        self.stats = stats or HydraEmulatorStats()
        self.engine = engine or ToneEngine()
        self._spoken: dict[tuple[str, str], bytes] = {}

    def __str__(self) -> str:
        key = "one key" if self.options.api_key else "any key"
        return f"Emulated Hydra on {self.url}: {key}, {self.engine.name}, {self.options.describe()}"

    def routes(self, router: web.UrlDispatcher) -> None:
        """One path, for its sockets."""
        router.add_get(PATH, self._live)

    def health(self) -> dict[str, str]:
        """Who speaks."""
        return {"engine": self.engine.name}

    async def _live(self, request: web.Request) -> web.StreamResponse:
        if not self.options.accepts(request.query.get("api_key", "")):
            return self._refuse(account_error(401, "Invalid or missing API key"))
        if request.query.get("model") not in MODELS:
            return self._refuse(refused(400, "INVALID_MODEL", f"model must be one of {', '.join(MODELS)}"))
        self.stats.handshakes += 1
        faulty = self.options.is_faulty(self.stats.handshakes)
        if faulty and self.options.refuse:
            self.stats.faults += 1
            return self._refuse(refused(self.options.refuse))
        socket = web.WebSocketResponse(timeout=CLOSE_TIMEOUT_S, compress=False)
        await socket.prepare(request)
        await self._serve(self._connection(socket, request.transport, faulty=faulty), faulty=faulty)
        return socket

    def _refuse(self, refusal: Refusal) -> web.Response:
        self.stats.refused_handshakes += 1
        return refusal_response(refusal)

    def _connection(
        self, socket: web.WebSocketResponse, transport: asyncio.Transport | None, *, faulty: bool
    ) -> HydraConnection:
        options, stats = self.options, self.stats
        session_id = f"{stats.handshakes:04x}"
        session = HydraEmulatorSession(options, stats, self.script, session_id=session_id, faulty=faulty)
        return HydraConnection(options, stats, socket, transport, session, self._speak, faulty=faulty)

    async def _serve(self, connection: HydraConnection, *, faulty: bool) -> None:
        self.stats.open_sessions += 1
        try:
            with self._open(connection):
                await self._attend(connection, faulty=faulty)
        finally:
            self.stats.open_sessions -= 1

    async def _attend(self, connection: HydraConnection, *, faulty: bool) -> None:
        if faulty and self.options.full:
            self.stats.faults += 1
            await connection.refuse_for_room()
        elif self.options.concurrency and self.stats.open_sessions > self.options.concurrency:
            self.stats.over_concurrency += 1
            await connection.refuse_for_room()
        else:
            await connection.serve()

    async def _speak(self, text: str, voice: str) -> bytes:
        """`text` as PCM16 at 48 kHz."""
        if not text.strip():
            return b""
        if (text, voice) not in self._spoken:
            loop = asyncio.get_running_loop()
            self._spoken[text, voice] = await loop.run_in_executor(self._thread, self._render, text, voice)
        return self._spoken[text, voice]

    def _render(self, text: str, voice: str) -> bytes:
        speech = self.engine.speak(text, voice_id=voice, language="en", speed=1.0)
        transcoder = Transcoder(AudioFormat(Encoding.PCM16, speech.rate_hz), OUTPUT)
        return transcoder.feed(speech.pcm) + transcoder.flush()


async def run(
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    options: HydraEmulatorOptions | None = None,
    script: HydraScript | None = None,
    engine: SpeechEngine | None = None,
) -> None:
    """``bridge emulate hydra``: the realistic pace, and the key in SMALLEST_API_KEY if there is one.

    Raises:
        OSError: the address cannot be had.
    """
    options = options or HydraEmulatorOptions.realistic()
    options.api_key = own_key(options.api_key)
    await serve_forever(EmulatedHydra(options, script, engine, host=host, port=port))
