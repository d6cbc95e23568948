"""One call, from its first media socket to its last.

Strategy:

- One reader per socket and it never waits for the agent or for Lightning: a carrier whose messages are not read
  throws away what the caller says.
- One task owns the call for all its life: the handler of its first socket. A later socket of the same call is handed
  over to it, and that socket's own handler only waits until it is done with.
- A carrier that opens lost sockets again is given a while to do so. Any other loses its call with its socket.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from aiohttp import WSMsgType

from bridge.call import Call
from bridge.carriers.carrier import IncomingCall
from bridge.carriers.dialect import Started
from bridge.errors import Refused
from bridge.server.inbound import Inbound, feed
from bridge.server.leg import Leg
from bridge.server.runtime import Runtime
from bridge.wire import Wire

log = logging.getLogger(__name__)

_REPLACED: Final = "replaced"
_LOST: Final = "carrier_lost"


class Session:
    """A call that was let in, and the socket that it is on.

    Args:
        call: fresh, of `Runtime.open_call`.
        leg: its first socket.
        reconnects: whether the carrier opens another socket when it has lost one.
    """

    def __init__(self, runtime: Runtime, call: Call, leg: Leg, wire: Wire, *, reconnects: bool) -> None:
        self.call = call
        self._runtime, self._leg, self._wire, self._reconnects = runtime, leg, wire, reconnects
        self._inbound = self._listener()
        self._next: tuple[Leg, Wire] | None = None
        self._arrived = asyncio.Event()

    async def run(self) -> None:
        """Serve the call to its end."""
        runtime, call = self._runtime, self.call
        agent = asyncio.create_task(runtime.run_agent(call), name=f"agent of {call.id}")
        reason = _LOST
        try:
            reason = await self._read()
        finally:
            runtime.close_call(call, self._leg.line.lost or reason)
            try:
                await runtime.admission.release(call.carrier, call.id)
                await self._say_goodbye()
            finally:
                await _let_go(agent, runtime.limits.agent_grace_s)

    async def resume(self, leg: Leg) -> None:
        """Go on over `leg`; returns when that one is done with.

        Raises:
            Refused: the call is over, or wants audio in another shape than this socket.
        """
        wire = leg.wire()
        if self.call.ended:
            raise Refused("call_over", "the call that the stream goes on with is over")
        if leg.dialect.delivery != self._wire.dialect.delivery:
            raise Refused("format", "the stream is of another shape than the one before")
        if self._next is not None:
            _discard(self._next[0])
        self._next = leg, wire
        self._arrived.set()
        self._inbound.end(_REPLACED)
        await leg.over.wait()
        await leg.line.closed()

    # -- reading -------------------------------------------------------------------------------------------

    def _listener(self) -> Inbound:
        runtime = self._runtime
        return Inbound(self.call, self._leg.line, self._wire, runtime.stats, runtime.limits)

    async def _read(self) -> str:
        """Feed the call from one socket after the other; returns why it is over."""
        while True:
            reason = await self._read_leg()
            if reason == _LOST and not self.call.ended and self._may_come_back():
                reason = await self._wait_for_next()
            if reason != _REPLACED or not self._move():
                return reason

    async def _read_leg(self) -> str:
        leg, inbound = self._leg, self._inbound
        if opened := leg.dialect.opened():
            leg.line.send(list(opened))
        for event in leg.behind_start:
            inbound.handle(event)
        last = await feed(inbound, leg.socket)
        if inbound.over.done():
            return inbound.over.result()
        if leg.is_broken(last):
            return "protocol_error"
        return "carrier" if leg.dialect.ends_by_closing and last.type is WSMsgType.CLOSE else _LOST

    def _may_come_back(self) -> bool:
        return self._reconnects and not self._leg.line.lost

    async def _wait_for_next(self) -> str:
        """The socket is gone: be silent until the carrier opens another one, or the call is over."""
        self.call.suspend()
        waits = [asyncio.create_task(event.wait()) for event in (self._arrived, self.call.over)]
        try:
            await asyncio.wait(
                waits,
                timeout=self._runtime.limits.reconnect_within_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            for wait in waits:
                wait.cancel()
        return _REPLACED if self._arrived.is_set() else _LOST

    def _move(self) -> bool:
        """Leave the old socket for the next one; False when the call has ended meanwhile."""
        if self._next is None or self.call.ended:
            return False
        _discard(self._leg)
        (self._leg, self._wire), self._next = self._next, None
        self._arrived.clear()
        self._inbound = self._listener()
        self.call.move(self._leg.line, self._wire)
        log.info("call %s goes on over another socket", self.call.id)
        return True

    # -- ending --------------------------------------------------------------------------------------------

    async def _say_goodbye(self) -> None:
        if self._next is not None:
            _discard(self._next[0])
        try:
            await self._leg.hear_out()
            await self._leg.line.closed()
        finally:
            self._leg.over.set()


def _discard(leg: Leg) -> None:
    """Nobody reads it any more."""
    leg.line.hang_up(1000, _REPLACED)
    leg.over.set()


async def _let_go(agent: asyncio.Task[None], grace_s: float) -> None:
    """Give the agent its time to tidy up, then end it."""
    try:
        await asyncio.wait({agent}, timeout=grace_s)
    finally:
        if not agent.done():
            log.warning("%s still ran %g s after its call and was cancelled", agent.get_name(), grace_s)
            agent.cancel()
            await asyncio.wait({agent}, timeout=grace_s)


async def serve(runtime: Runtime, carrier: str, leg: Leg, started: Started, incoming: IncomingCall) -> None:
    """Serve an admitted call from its first socket to its end.

    Raises:
        Refused: there is a call of this name already, or the stream's audio cannot be converted.
    """
    try:
        if incoming.call_id in runtime.calls:
            raise Refused("twin", "this call already has a stream")
        wire = leg.wire()
        call = runtime.open_call(carrier, incoming, leg.line, wire, can_speak=started.bidirectional)
    except BaseException:
        await runtime.admission.release(carrier, incoming.call_id)
        raise
    session = Session(runtime, call, leg, wire, reconnects=runtime.carriers[carrier].reconnects)
    runtime.sessions[call.id] = session
    await session.run()


async def resume(runtime: Runtime, leg: Leg, incoming: IncomingCall) -> None:
    """Go on with a call over another socket, until that one is done with.

    Raises:
        Refused: the call is over, or wants audio in another shape than this socket.
    """
    session = runtime.sessions.get(incoming.call_id)
    if session is None:
        raise Refused("call_over", "the call that the stream goes on with is over")
    await session.resume(leg)
