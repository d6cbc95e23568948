"""One simulated call, from the webhook to the end: the I/O around an `Exchange`, its line and `CallerScript`.

Strategy:

- All that is decided is decided in pure modules: `Exchange` and `CarrierLine` are the carrier, `CallerScript` is the
  person. Here is only their I/O, in the order of a real call: webhook, answer, WebSocket, both voices, what is next.
- Time is absolute: slot n ends at start + n x 20 ms, however late slot n - 1 was. How late this simulation
  was is reported, so that a slow machine is not taken for a slow bridge.
- A caller never raises for what a bridge does: a refusal is an outcome, with the bridge's own words.
- What a hostile or broken carrier would do is a plain field of `Misbehaviour`; the default is none of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import Final

import aiohttp

from bridge.emulators.call_report import CallReport, Outcome
from bridge.emulators.caller_plan import CallPlan, Misbehaviour
from bridge.emulators.caller_script import CallerScript, Step
from bridge.emulators.caller_webhooks import Addresses, Answer, ask_webhook
from bridge.emulators.carrier_buffer import SLOT_MS
from bridge.emulators.carrier_line import CarrierLine, Message
from bridge.emulators.carrier_socket import CLOSE_TIMEOUT_S, CONNECT_TIMEOUT_S, Doorstep, Socket, connected
from bridge.emulators.exchange import HttpAsk, exchange_type
from bridge.emulators.recording import (
    BridgeClosed,
    CallRecording,
    Faulted,
    HungUp,
    StreamOpened,
    WebhookAnswered,
)
from bridge.emulators.rest_stand_in import EmulatedRest
from bridge.emulators.twiml import StreamOrder
from bridge.errors import ProtocolError
from telephony_codecs.formats import MULAW_8K

_SILENT_FRAME: Final = MULAW_8K.silence(SLOT_MS)


class CarrierCall:
    """One call, to be `run` once.

    Args:
        plan: who calls, and what to do.
        session: for the webhooks.
    """

    def __init__(self, plan: CallPlan, session: aiohttp.ClientSession) -> None:
        self._plan = plan
        self._session = session
        self._addresses = Addresses(plan.answer_url, plan.public_url)
        kind = plan.exchange or exchange_type(plan.carrier)
        self._exchange = kind(plan, self._addresses, plan.section)
        self._dialled_s = time.monotonic()
        self._recording = plan.recording or CallRecording()
        self._report = CallReport(self._exchange.call_id, recording=self._recording)
        self._callbacks: list[asyncio.Task[Answer]] = []

    async def run(self) -> CallReport:
        """Make the call, to its end."""
        if not self._exchange.waits_at:
            return await self._run(None)
        async with Doorstep(self._exchange) as doorstep:
            return await self._run(doorstep)

    async def _run(self, doorstep: Doorstep | None) -> CallReport:
        order = await self._ordered()
        if order is None:
            return self._report
        error = await self._stream(order, doorstep)
        await self._ask_what_is_next(order, error)
        await asyncio.gather(*self._callbacks)
        return self._report

    def _now_ms(self) -> float:
        return (time.monotonic() - self._dialled_s) * 1000

    def _ended(self, outcome: Outcome, detail: str) -> None:
        self._report.outcome, self._report.detail = outcome, detail

    def _fault(self, code: int, detail: str) -> None:
        self._recording.note(Faulted(at_ms=self._now_ms(), code=code, detail=detail))

    # -- webhooks --------------------------------------------------------------------------------------

    async def _ask(self, purpose: str, ask: HttpAsk) -> Answer:
        asked_ms = self._now_ms()
        answer = await ask_webhook(
            self._session,
            self._addresses.reach(ask.url),
            method=ask.method,
            headers=ask.headers,
            body=ask.body,
        )
        now_ms = self._now_ms()
        self._recording.note(
            WebhookAnswered(at_ms=now_ms, purpose=purpose, status=answer.status, took_ms=now_ms - asked_ms)
        )
        return answer

    async def _ordered(self) -> StreamOrder | None:
        """The stream that the bridge asks for; None when it asks for none, and then the call has ended."""
        announcement = self._exchange.announce()
        answer = None if announcement is None else await self._ask("answer", announcement)
        if answer is not None and not answer.ok:
            unreachable = f"the webhook got no answer: {answer.body}"
            refused = (Outcome.WEBHOOK_REFUSED, _refusal(answer))
            self._ended(*(refused if answer.status else (Outcome.UNREACHABLE, unreachable)))
            return None
        try:
            order = self._exchange.understand(answer)
            self._report.verbs = self._exchange.verbs(answer) if answer is not None else ()
        except ProtocolError as error:
            self._ended(Outcome.WEBHOOK_REFUSED, error.reason)
            return None
        if order is None and self._plan.api is not None:
            order = await self._commanded(self._plan.api)
        if order is None:
            verbs = " ".join(map(str, self._report.verbs)) or "nothing"
            self._ended(Outcome.NO_STREAM, f"the bridge answered with {verbs}")
            return None
        return self._tampered(order)

    async def _commanded(self, api: EmulatedRest) -> StreamOrder | None:
        with suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return await api.until_granted(self._exchange.commanded)
        return None

    def _tampered(self, order: StreamOrder) -> StreamOrder:
        misbehaviour = self._plan.misbehaviour
        if misbehaviour.token is not None:
            order = self._exchange.with_token(order, misbehaviour.token)
        if misbehaviour.omit_parameters:
            return replace(order, parameters={})
        return (
            order if misbehaviour.parameters is None else replace(order, parameters=misbehaviour.parameters)
        )

    def _call_back(self, order: StreamOrder, event: str, error: str = "") -> None:
        """Tell the bridge how its stream fares; as carriers do, without waiting for it."""
        ask = self._exchange.status(order, event, error)
        if ask is not None:
            self._callbacks.append(asyncio.create_task(self._ask("status", ask)))

    async def _ask_what_is_next(self, order: StreamOrder, error: str) -> None:
        hung_up = self._report.outcome is Outcome.HUNG_UP
        ask = self._exchange.ended(order, hung_up=hung_up, error=error)
        if ask is None:
            return
        answer = await self._ask("ended", ask)
        try:
            if not answer.ok:
                raise ProtocolError(_refusal(answer), peer="bridge", kind="webhook_refused")
            self._report.verbs = self._exchange.verbs(answer)
        except ProtocolError as refusal:
            self._report.verbs = ()
            self._fault(self._exchange.webhook_fault, refusal.reason)

    # -- the media stream ------------------------------------------------------------------------------

    async def _stream(self, order: StreamOrder, doorstep: Doorstep | None) -> str:
        """Connect, or be connected to, and talk. Returns the error that a status callback tells, or nothing."""
        asked_ms = self._now_ms()
        async with AsyncExitStack() as stack:
            try:
                if doorstep is not None:
                    socket = await doorstep.socket()
                else:
                    handshake = self._exchange.handshake(order)
                    url = self._addresses.reach(handshake.url)
                    socket = await stack.enter_async_context(connected(url, handshake))
            except (TimeoutError, aiohttp.ClientError, OSError) as failure:
                return self._not_connected(order, failure)
            now_ms = self._now_ms()
            self._recording.note(StreamOpened(at_ms=now_ms, took_ms=now_ms - asked_ms))
            await self._converse(socket, order)
        return ""

    def _not_connected(self, order: StreamOrder, failure: Exception) -> str:
        if isinstance(failure, aiohttp.WSServerHandshakeError):
            outcome, reason = Outcome.STREAM_REFUSED, f"the upgrade was answered with {failure.status}"
        else:
            outcome, reason = Outcome.UNREACHABLE, f"no media socket: {failure or type(failure).__name__}"
        self._ended(outcome, reason)
        code = self._exchange.handshake_fault
        self._fault(code, reason)
        error = f"{int(code)}: {reason}" if code else reason
        self._call_back(order, "error", error)
        return error

    async def _converse(self, socket: Socket, order: StreamOrder) -> None:
        line = self._exchange.line(order, self._recording)
        self._report.stream_sid = line.stream_id
        line.begin(self._now_ms())
        self._call_back(order, "started")
        listening = asyncio.create_task(self._listen(socket, line))
        try:
            async with asyncio.timeout(self._plan.hang_up_after_s + CLOSE_TIMEOUT_S):
                await self._talk(socket, line, listening)
        except TimeoutError:
            self._hang_up("the bridge has stopped reading")
        finally:
            await self._close(socket, line, listening)
        self._report.discarded_bytes = line.discarded_bytes
        self._call_back(order, "stopped")

    async def _talk(self, socket: Socket, line: CarrierLine, listening: asyncio.Task[None]) -> None:
        """The caller's half, in real time, until either side ends it."""
        plan = self._plan
        script = CallerScript(
            plan.actions,
            self._recording,
            noise_dbfs=plan.noise_dbfs,
            hang_up_after_s=plan.hang_up_after_s,
            hang_up_on_silence_s=plan.hang_up_on_silence_s,
            give_up_after_s=plan.give_up_after_s,
        )
        await _send(socket, _opening(line, plan.misbehaviour))
        slot_ms = self._recording.began_ms
        while not listening.done():
            step = script.step(slot_ms, line.spoken_ms, line.spoke_until_ms)
            if isinstance(step, str):
                self._hang_up(step)
                return
            if step.digit:
                await _send(socket, line.digit(slot_ms, step.digit))
            slot_ms += SLOT_MS  # a frame is on the wire when its sound is over
            await asyncio.wait([listening], timeout=max(0.0, slot_ms - self._now_ms()) / 1000)
            await self._end_slot(socket, line, step, slot_ms)

    async def _end_slot(self, socket: Socket, line: CarrierLine, step: Step, slot_ms: float) -> None:
        now_ms = self._now_ms()
        self._report.late_ms = max(self._report.late_ms, now_ms - slot_ms)
        messages = line.advance(now_ms)
        if not self._plan.misbehaviour.mute:
            messages += line.voice(step.frame)
        await _send(socket, messages)

    async def _listen(self, socket: Socket, line: CarrierLine) -> None:
        """The bridge's half, until the socket is closed, by it or, where the protocol has it so, by the carrier."""
        while not line.closing:
            message = await socket.receive()
            if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                await _send(socket, line.receive(self._now_ms(), message.data))
            elif message.type is aiohttp.WSMsgType.PING:
                line.pinged(self._now_ms())
                await socket.pong(message.data)
            elif message.type is not aiohttp.WSMsgType.PONG:
                if message.type is not aiohttp.WSMsgType.CLOSING:  # that one is our own `close`, at work
                    reason = message.extra if message.type is aiohttp.WSMsgType.CLOSE else ""
                    self._bridge_closed(socket.close_code or 1006, reason or "")
                return
        self._bridge_closed(line.closing_code, line.closing)

    def _bridge_closed(self, code: int, reason: str) -> None:
        if self._report.outcome is Outcome.HUNG_UP:
            return  # it only answers that
        self._recording.note(BridgeClosed(at_ms=self._now_ms(), code=code, reason=reason))
        self._ended(Outcome.BRIDGE_CLOSED, f"with {code}{f', {reason}' if reason else ''}")

    def _hang_up(self, reason: str) -> None:
        self._recording.note(HungUp(at_ms=self._now_ms(), reason=reason))
        self._ended(Outcome.HUNG_UP, reason)

    async def _close(self, socket: Socket, line: CarrierLine, listening: asyncio.Task[None]) -> None:
        hung_up = self._report.outcome is Outcome.HUNG_UP
        if line.closing or (hung_up and not self._plan.misbehaviour.vanish):
            with suppress(TimeoutError):  # a bridge that does not read cannot be told
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    if hung_up:
                        await self._say_goodbye(socket, line, listening)
                    await socket.close(code=line.closing_code)
        listening.cancel()
        await asyncio.wait([listening])
        self._report.close_code = socket.close_code

    async def _say_goodbye(self, socket: Socket, line: CarrierLine, listening: asyncio.Task[None]) -> None:
        await _send(socket, [*line.stop(), *self._plan.misbehaviour.after_stop])
        if line.waits_for_farewell:
            await asyncio.wait([listening])


def _opening(line: CarrierLine, misbehaviour: Misbehaviour) -> list[Message]:
    """What the carrier says first: greetings, and the start, which is the last of it."""
    opening = line.opening()
    messages = [] if misbehaviour.skip_connected else opening[:-1]
    for _ in range(misbehaviour.media_before_start):
        messages += line.voice(_SILENT_FRAME)
    if not misbehaviour.skip_start:
        messages += opening[-1:] * (1 + misbehaviour.repeat_start)
    return messages + list(misbehaviour.after_start)


async def _send(socket: Socket, messages: Sequence[Message]) -> None:
    """Send all, or, when the bridge has gone, as many as still went: the listener tells that it has."""
    try:
        for message in messages:
            if isinstance(message, str):
                await socket.send_str(message)
            else:
                await socket.send_bytes(message)
    except ConnectionError:
        return


def _refusal(answer: Answer) -> str:
    body = " ".join(answer.body.split())[:200]
    hint = ""
    if answer.status == 403:
        hint = " (is the secret the bridge's, and public_url its server.public_url?)"
    return f"the webhook was answered with {answer.status or 'nothing'}: {body}{hint}"
