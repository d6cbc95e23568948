"""One open socket of the emulated Pulse: pumps its session, and sends each answer as late as the options say.

Strategy:

- What is said is decided by `PulseSession`; here its actions are carried out, and nothing else.
- Answers leave in the order in which they were made, each no earlier than it is due, from a task of its own: the
  client's audio is heard meanwhile. The task ends with its socket.
- A recogniser that takes its time is fed in a thread, a message at a time: a session is never in two threads at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import Executor

from aiohttp import WSMsgType, web

from bridge.emulators.open_socket import OpenSocket
from bridge.emulators.pulse_options import PulseEmulatorOptions
from bridge.emulators.pulse_session import Action, Answer, Close, Drop, PulseSession
from bridge.tasks import end


class PulseConnection(OpenSocket):
    """One open socket on which a `PulseSession` is held."""

    def __init__(
        self,
        options: PulseEmulatorOptions,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        session: PulseSession,
        thread: Executor | None = None,
    ) -> None:
        """`thread`: where the session is fed; None: here."""
        super().__init__(socket, transport)
        self._options, self._session, self._thread = options, session, thread
        #: With the loop's time at which each is due.
        self._outbox: asyncio.Queue[tuple[float, Action]] = asyncio.Queue()

    async def serve(self) -> None:
        """Until the client, the session or a fault ends it."""
        sender = asyncio.create_task(self._send())
        try:
            while (actions := await self._next_actions()) is not None:
                self._take(actions)
        finally:
            await end(sender)

    async def _next_actions(self) -> list[Action] | None:
        """None: the socket is closed."""
        try:
            message = await self.next_message(self._options.idle_timeout_s)
        except TimeoutError:
            return self._session.expire()
        if message is None:
            return None
        if self._thread is None:
            return self._session.receive(message)
        return await self._loop.run_in_executor(self._thread, self._session.receive, message)

    def _take(self, actions: list[Action]) -> None:
        now = self._loop.time()
        for action in actions:
            late_ms = action.late_ms if isinstance(action, Answer) else 0.0
            self._outbox.put_nowait((now + late_ms / 1000, action))

    async def _send(self) -> None:
        with contextlib.suppress(ConnectionError):  # the client left; there is nobody to tell
            while True:
                due, action = await self._outbox.get()
                await asyncio.sleep(max(0.0, due - self._loop.time()))
                await self._do(action)

    async def _do(self, action: Action) -> None:
        match action:
            case Answer(message):
                kind = WSMsgType.TEXT if isinstance(message, str) else WSMsgType.BINARY
                await self.send(message.encode() if isinstance(message, str) else message, kind)
            case Close(code):
                await self._socket.close(code=code)
            case Drop():
                self.abort()
