"""A session with Lightning v4: one socket, and which turn the audio on it is of.

Strategy:

- A session may be spoken to once it has said `ready` with a rate. Until then nothing of it is handed out.
- Audio says not which turn it is of. So it counts only between the `turn_start` and the `turn_end` that name the
  turn of the synthesis on the socket; the rest is dropped and counted.
- After an `interrupt` the socket is quarantined until that is acknowledged, or the turn has ended by itself. Then
  it serves the next turn: a barge-in costs no handshake. Without an answer within the deadline it is closed.
- Every session is of one voice, so each has a pool of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from bridge.config import LightningConfig
from bridge.errors import LightningError, ProtocolError, TimedOut
from bridge.lightning.connection import Link
from bridge.lightning.faults import Fault
from bridge.lightning.messages import Chunk, Complete, Failed, Unknown
from bridge.lightning.pool import Pool
from bridge.lightning.stats import LightningStats
from bridge.lightning.v4_messages import (
    END,
    INTERRUPT,
    Interrupted,
    Ready,
    TurnEnd,
    TurnStart,
    V4Event,
    decode_event,
    refused_rate,
)
from bridge.lightning.wire import Wire

#: How long an `interrupt` may go unanswered: it is one round trip, and whatever is slower is worth replacing.
INTERRUPT_TIMEOUT_S: Final = 0.5
_POLICY_VIOLATION: Final = 1008


class V4Link(Link):
    """One session. See `Link`."""

    def __init__(
        self,
        socket: ClientConnection,
        stats: LightningStats,
        on_closed: Callable[[Link], None],
        secret: str = "",
    ) -> None:
        #: What the session says it will send, in hertz; it need not be what was asked.
        self.sample_rate: int | None = None
        self._opened: asyncio.Future[LightningError | None] = asyncio.get_running_loop().create_future()
        #: The turn that the audio is of, as far as has been said.
        self._turn_id: str | None = None
        self._speaking = False
        self._interrupted_id = ""
        self._when_calm: Callable[[bool], None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._interrupting: asyncio.Task[bool] | None = None
        super().__init__(socket, stats, on_closed, secret)

    async def ready(self, timeout_s: float, began_s: float) -> None:
        """Wait until it may be spoken to.

        Raises:
            LightningError: it was refused, or is not ready `timeout_s` after `began_s`, in `time.monotonic` seconds.
        """
        try:
            async with asyncio.timeout(began_s + timeout_s - time.monotonic()):
                error = await asyncio.shield(self._opened)
        except TimeoutError:
            error = TimedOut(f"a session, but not ready within {timeout_s:g} s", code="connect_timeout")
        if error is not None:
            raise error

    def interrupt(self, turn_id: str, timeout_s: float, then: Callable[[bool], None]) -> None:
        """Stop `turn_id`, whose synthesis has left.

        Args:
            timeout_s: how long to wait for the acknowledgement.
            then: told once whether the socket is good for the next turn; never when it is closed meanwhile.
        """
        self._interrupted_id, self._when_calm = turn_id, then
        self._deadline = asyncio.get_running_loop().call_later(timeout_s, self._settle, False)
        self._interrupting = asyncio.create_task(self.send(INTERRUPT))

    async def _listen(self) -> None:
        while True:
            frame = await self._socket.recv()
            if isinstance(frame, bytes):
                self._hear(frame)
            else:
                self._read_event(frame)

    def _hear(self, audio: bytes) -> None:
        rider = self._rider
        if rider is None or not self._speaking:
            self._stats.stale_chunks += 1
        elif self._turn_id not in (None, rider.request_id):
            self._stats.foreign_chunks += 1
        else:
            rider.receive(Chunk(audio, rider.request_id))

    def _read_event(self, frame: str) -> None:
        try:
            event = decode_event(frame)
        except ProtocolError as broken:
            self._count_malformed(broken)
            return
        self._malformed = 0
        self._take_event(event)

    def _take_event(self, event: V4Event) -> None:
        match event:
            case Ready(sample_rate):
                self._take_ready(sample_rate)
            case TurnStart(turn_id):
                self._speaking, self._turn_id = True, turn_id
            case TurnEnd(turn_id):
                self._speaking = False
                self._turn_over(turn_id, Complete(turn_id))
            case Interrupted(turn_id):
                self._speaking = False
                self._take_interrupted(turn_id)
            case Failed():
                self._take_error(event)
            case Unknown():
                self._stats.unknown_messages += 1

    def _take_ready(self, sample_rate: int | None) -> None:
        if sample_rate is not None:
            self.sample_rate = sample_rate
            self._answer(None)

    def _take_interrupted(self, turn_id: str | None) -> None:
        if self._when_calm is not None and turn_id in (None, "", self._interrupted_id):
            self._settle(True)
        elif turn_id:  # without a name it is the belated answer to an interrupt that came too late
            self._turn_over(turn_id, Failed(Fault("Lightning interrupted the turn"), turn_id))

    def _turn_over(self, turn_id: str | None, message: Complete | Failed) -> None:
        if self._rider is not None and turn_id in (None, self._rider.request_id):
            self._rider.receive(message)
        elif self._when_calm is not None and turn_id == self._interrupted_id:
            self._settle(True)

    def _take_error(self, failed: Failed) -> None:
        self._answer(failed.fault.as_error(secret=self._secret))
        if self._rider is not None and failed.request_id in (None, self._rider.request_id):
            self._rider.receive(failed)

    def _answer(self, error: LightningError | None) -> None:
        if not self._opened.done():
            self._opened.set_result(error)

    def _settle(self, calm: bool) -> None:
        """End the quarantine."""
        then, self._when_calm = self._when_calm, None
        if self._deadline is not None:
            self._deadline.cancel()
        if then is not None:
            then(calm)

    def _why(self, closed: ConnectionClosed) -> LightningError:
        frame = closed.rcvd
        refused = frame is not None and frame.code == _POLICY_VIOLATION and not frame.reason
        return refused_rate() if refused and not self._opened.done() else super()._why(closed)

    def _gone(self, error: LightningError) -> None:
        self._when_calm = None
        self._settle(False)
        self._answer(error)
        super()._gone(error)


class V4Pool(Pool):
    """The sessions of one voice. See `Pool`.

    Args:
        interrupt_timeout_s: how long a socket may take to acknowledge an interrupt.
    """

    def __init__(
        self,
        config: LightningConfig,
        stats: LightningStats,
        wire: Wire,
        *,
        keepalive_s: float,
        interrupt_timeout_s: float,
    ) -> None:
        super().__init__(config, stats, keepalive_s, wire)
        self._interrupt_timeout_s = interrupt_timeout_s
        self._interrupted: set[Link] = set()

    def interrupt(self, link: Link, turn_id: str) -> None:
        """Stop `turn_id` on `link`, and keep the socket for the next turn if it does stop."""
        assert isinstance(link, V4Link)
        self._interrupted.add(link)
        link.interrupt(turn_id, self._interrupt_timeout_s, lambda calm: self._take_back(link, calm))

    def retire(self, link: Link, farewell: bytes = END) -> None:
        """See `Pool.retire`."""
        super().retire(link, farewell)

    @property
    def _spares_wanted(self) -> int:
        # A socket that is being interrupted is back within a round trip. It needs no successor.
        return max(0, super()._spares_wanted - len(self._interrupted))

    def _take_back(self, link: Link, calm: bool) -> None:
        self._interrupted.discard(link)
        if calm:
            self.give_back(link)
        else:
            self.retire(link)

    def _forget(self, link: Link) -> None:
        self._interrupted.discard(link)
        super()._forget(link)

    async def _open(self) -> Link:
        began_s = time.monotonic()
        socket = await self._dialer.dial()
        link = V4Link(socket, self._stats, self._on_closed, self._config.api_key.reveal())
        try:
            await link.ready(self._config.connect_timeout_s, began_s)
        except BaseException as error:
            self._stats.connect_failures += isinstance(error, LightningError)
            self.retire(link)
            raise
        return link
