"""The emulated `/waves/v1/lightning-v4/live`: one open socket, its session pumped, its turns on the loop's clock.

Strategy:

- What is said is decided by `V4Session`; here its actions are carried out, and nothing else.
- Audio goes out as binary frames, on the same absolute schedule as that of the other sockets: a frame that
  starts at `at_ms` is due at turn start + `EmulatorOptions.due_ms`.
- An interrupted turn may still send a few frames, and its acknowledgement may take its time: both are switches.
- A turn is a task of its own. It ends by itself, by an interrupt, or with its socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import WSMsgType, web

from bridge.emulators.lightning_audio import Emulator, Utterance
from bridge.emulators.lightning_faults import Faults, InducedError
from bridge.emulators.lightning_protocol import Account, Close, Send, idle_timeout_s
from bridge.emulators.lightning_v4_session import (
    BeginTurn,
    Rejection,
    StopTurn,
    Turn,
    V4Action,
    V4Session,
    settings_in,
)
from bridge.emulators.open_socket import OpenSocket

logger = logging.getLogger(__name__)

V4_PATH: Final = "/waves/v1/lightning-v4/live"


class V4Connection(OpenSocket):
    """One open socket on which a `V4Session` is held.

    Args:
        query: of its URL.
    """

    def __init__(
        self,
        emulator: Emulator,
        account: Account,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        *,
        session_id: str,
        query: Mapping[str, str],
    ) -> None:
        super().__init__(socket, transport)
        self.emulator = emulator
        self._account, self._session_id, self._query = account, session_id, query
        self._deliveries: dict[Turn, _Delivery] = {}

    async def serve(self) -> None:
        """Until the client, the session or a fault ends it."""
        with contextlib.suppress(ConnectionError):  # the client left; there is nobody to tell
            settings = settings_in(self._query, self.emulator.options)
            if isinstance(settings, Rejection):
                await self._reject(settings)
                return
            timeout_s = idle_timeout_s(self._query.get("timeout"), self.emulator.options.idle_timeout_s)
            now = self._loop.time()
            await self._pump(
                V4Session(self._account, self._session_id, settings, idle_timeout_s=timeout_s, now=now)
            )

    def forget(self, turn: Turn) -> None:
        """The delivery of `turn` has ended, one way or the other."""
        self._deliveries.pop(turn, None)

    async def do(self, actions: Sequence[V4Action]) -> None:
        """Carry out what the session says."""
        for action in actions:
            match action:
                case Send(message):
                    await self.send(message)
                case BeginTurn(turn):
                    self._deliveries[turn] = _Delivery(self, self._session, turn)
                case StopTurn(turn):
                    if delivery := self._deliveries.get(turn):
                        delivery.interrupt()
                case Close(code):
                    await self.close(code)

    async def _reject(self, rejection: Rejection) -> None:
        if rejection.message:
            self.emulator.stats.errors += 1
            await self.send(rejection.message)
        await self.close(rejection.close_code)

    async def _pump(self, session: V4Session) -> None:
        self._session = session
        try:
            await self.do(session.opened())
            while (actions := await self._next_actions(session)) is not None:
                await self.do(actions)
        finally:
            session.closed()
            for delivery in self._deliveries.values():
                delivery.task.cancel()

    async def _next_actions(self, session: V4Session) -> Sequence[V4Action] | None:
        """None: the socket is closed."""
        try:
            message = await self.next_message(session.deadline - self._loop.time())
        except TimeoutError:
            return session.expire(self._loop.time())
        return None if message is None else session.receive(message, self._loop.time())


class _Delivery:
    """One turn on its way out. Starts at once."""

    def __init__(self, connection: V4Connection, session: V4Session, turn: Turn) -> None:
        self._connection, self._session, self._turn = connection, session, turn
        self._options, self._stats = connection.emulator.options, connection.emulator.stats
        self._loop = asyncio.get_running_loop()
        self._asked_at = self._loop.time()
        self._sent = 0
        self._faults = Faults(self._options, self._stats, turn.number)
        #: Set by an interrupt: how many more frames go out.
        self._late_frames: int | None = None
        self._interrupted = asyncio.Event()
        self.task = asyncio.create_task(self._run())

    def interrupt(self) -> None:
        """Stop, after as many frames as the options let through."""
        self._late_frames = self._options.late_chunks_after_cancel
        self._interrupted.set()

    async def _run(self) -> None:
        try:
            await self._speak()
        except ConnectionError:
            pass  # the client left; the connection's own loop notices
        finally:
            self._connection.forget(self._turn)

    async def _speak(self) -> None:
        try:
            utterance = await self._connection.emulator.utterance(self._turn.request)
        except Exception:
            logger.exception("the speech engine failed")
            await self._connection.do(self._session.failed(self._turn, "The speech engine failed"))
            return
        try:
            await self._send_audio(utterance)
        except InducedError:
            code = self._options.error_code
            await self._connection.do(self._session.failed(self._turn, "The synthesis failed", code))
            return
        if self._interrupted.is_set():
            await asyncio.sleep(self._options.interrupted_after_ms / 1000)
            await self._connection.do(self._session.stopped(self._turn, self._sent))
        else:
            await self._connection.do(self._session.finished(self._turn, self._sent, self._loop.time()))

    async def _send_audio(self, utterance: Utterance) -> None:
        for chunk in utterance.chunks:
            await self._until_due(chunk.at_ms)
            await self._suffer_fault(chunk.at_ms)
            if self._late_frames == 0:
                return
            self._count()
            await self._connection.send(b64decode(chunk.audio_base64), WSMsgType.BINARY)

    async def _until_due(self, at_ms: float) -> None:
        wait_s = self._asked_at + self._options.due_ms(at_ms, self._turn.number) / 1000 - self._loop.time()
        if wait_s <= 0 or self._interrupted.is_set():
            await asyncio.sleep(0)  # at full speed too the loop gets its turn, or an interrupt would wait
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._interrupted.wait(), wait_s)

    async def _suffer_fault(self, at_ms: float) -> None:
        await self._faults.suffer(
            at_ms,
            garble=lambda: self._connection.send(b'{"event":"turn_'),
            cut=self._connection.abort,
            stall=self._interrupted.wait,
        )

    def _count(self) -> None:
        self._sent += 1
        self._stats.chunks += 1
        if self._late_frames is not None:
            self._late_frames -= 1
            self._stats.late_chunks += 1
