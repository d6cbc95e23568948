"""One open socket of the emulated Lightning: pumps its session, delivers each synthesis on the loop's clock.

Strategy:

- What is said is decided by `LightningSession`; here its actions are carried out, and nothing else.
- Delivery is on an absolute schedule: a chunk that starts at `at_ms` is due at request + `first_byte_ms` +
  `at_ms` / `realtime_factor`, plus its jitter. A late chunk delays the next only where they would change
  places.
- A synthesis is a task of its own. It ends by itself, by `stop`, or with its socket; nothing outlives the
  socket.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Iterator

from aiohttp import web

from bridge.emulators.lightning_audio import Chunk, Emulator, Utterance
from bridge.emulators.lightning_faults import Faults, InducedError
from bridge.emulators.lightning_protocol import Action, Begin, Close, Send, Stop, Synthesis
from bridge.emulators.lightning_session import LightningSession
from bridge.emulators.open_socket import OpenSocket
from bridge.emulators.speech_engine import TimedWord

logger = logging.getLogger(__name__)


class Connection(OpenSocket):
    """One open socket on which a `LightningSession` is held."""

    def __init__(
        self,
        emulator: Emulator,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        session: LightningSession,
    ) -> None:
        super().__init__(socket, transport)
        self.emulator, self._session = emulator, session
        self._deliveries: dict[Synthesis, Delivery] = {}

    async def serve(self) -> None:
        """Until the client, the session or a fault ends it."""
        try:
            while (actions := await self._next_actions()) is not None:
                await self._do(actions)
        except ConnectionError:
            pass  # the client left; there is nobody to tell
        finally:
            self._session.closed()
            for delivery in self._deliveries.values():
                delivery.task.cancel()

    async def finished(self, synthesis: Synthesis) -> None:
        """All audio of `synthesis` is out and its `complete` is due."""
        await self._do(self._session.finished(synthesis, self._loop.time()))

    async def failed(self, synthesis: Synthesis, reason: str, code: str = "INTERNAL_ERROR") -> None:
        """It could not be spoken, or not to its end."""
        await self._do(self._session.failed(synthesis, reason, self._loop.time(), code))

    def forget(self, synthesis: Synthesis) -> None:
        """The delivery of `synthesis` has ended, one way or the other."""
        self._deliveries.pop(synthesis, None)

    async def _next_actions(self) -> list[Action] | None:
        """None: the socket is closed."""
        try:
            message = await self.next_message(self._session.deadline - self._loop.time())
        except TimeoutError:
            return self._session.expire(self._loop.time())
        return None if message is None else self._session.receive(message, self._loop.time())

    async def _do(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Send(message):
                    await self.send(message)
                case Begin(synthesis, waited_s):
                    ahead_s = min(waited_s, self.emulator.options.first_byte_of(synthesis.number) / 1000)
                    self._deliveries[synthesis] = Delivery(self, synthesis, self._loop.time() - ahead_s)
                case Stop(synthesis):
                    if delivery := self._deliveries.get(synthesis):
                        delivery.stop(self.emulator.options.late_chunks_after_cancel)
                case Close(code):
                    await self.close(code)


class Delivery:
    """One synthesis on its way out."""

    def __init__(self, connection: Connection, synthesis: Synthesis, asked_at: float) -> None:
        """Starts at once. `asked_at` is the loop's time of the request."""
        self._connection, self._synthesis, self._asked_at = connection, synthesis, asked_at
        self._options, self._stats = connection.emulator.options, connection.emulator.stats
        #: Chunks that a cancel still lets through; None while it was not cancelled.
        self._late_chunks: int | None = None
        self._faults = Faults(self._options, self._stats, synthesis.number)
        self.task = asyncio.create_task(self._run())

    def stop(self, late_chunks: int) -> None:
        """Stop sending, after `late_chunks` more."""
        self._late_chunks = late_chunks
        if not late_chunks:
            self.task.cancel()

    async def _run(self) -> None:
        try:
            await self._speak()
        except ConnectionError:
            pass  # the client left; the connection's own loop notices
        finally:
            self._connection.forget(self._synthesis)

    async def _speak(self) -> None:
        try:
            utterance = await self._connection.emulator.utterance(self._synthesis.request)
        except Exception:
            logger.exception("the speech engine failed")
            await self._connection.failed(self._synthesis, "The speech engine failed")
            return
        try:
            await self._send_audio(utterance)
        except InducedError:
            await self._connection.failed(self._synthesis, "The synthesis failed", self._options.error_code)
            return
        await asyncio.sleep(self._synthesis.request.complete_backoff_ms / 1000)
        await self._connection.finished(self._synthesis)  # of a cancelled one the session makes nothing

    async def _send_audio(self, utterance: Utterance) -> None:
        for at_ms, _, index, part in _timeline(utterance, timed=self._synthesis.timed):
            await self._until_due(at_ms)
            await self._suffer_fault(at_ms)
            if self._late_chunks == 0:
                return
            if isinstance(part, Chunk):
                self._count_chunk()
                await self._connection.send(self._synthesis.chunk(part.audio_base64))
            else:
                await self._connection.send(self._synthesis.word(index, part))

    async def _until_due(self, at_ms: float) -> None:
        due = self._asked_at + self._options.due_ms(at_ms, self._synthesis.number) / 1000
        # At full speed too the loop gets its turn, or a cancel would wait for the whole utterance.
        await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))

    async def _suffer_fault(self, at_ms: float) -> None:
        await self._faults.suffer(
            at_ms,
            garble=lambda: self._connection.send(self._synthesis.chunk(b"AAAA")[:-9]),
            cut=self._connection.abort,
            stall=asyncio.get_running_loop().create_future,  # until it is cancelled, or its socket ends
        )

    def _count_chunk(self) -> None:
        self._stats.chunks += 1
        if self._late_chunks is not None:
            self._late_chunks -= 1
            self._stats.late_chunks += 1


def _timeline(utterance: Utterance, *, timed: bool) -> Iterator[tuple[float, int, int, Chunk | TimedWord]]:
    """Chunks and words in the order they are heard, each word after the chunk that it begins with.

    Gives (at_ms, kind, index, part): the first three are never all equal, so parts are never compared.
    """
    chunks = ((chunk.at_ms, 0, index, chunk) for index, chunk in enumerate(utterance.chunks))
    words = ((word.start_ms, 1, index, word) for index, word in enumerate(utterance.words if timed else ()))
    return heapq.merge(chunks, words)
