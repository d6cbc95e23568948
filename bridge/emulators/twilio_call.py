"""One simulated call, from the webhook to the end: the I/O around `TwilioLine` and `CallerScript`.

Strategy:

- All that is decided is decided in pure modules: `TwilioLine` is Twilio, `CallerScript` is the person. Here
  is only their I/O, in the order of a real call: webhook, TwiML, WebSocket, both voices, `action`.
- Time is absolute: slot n ends at start + n x 20 ms, however late slot n - 1 was. How late this simulation
  was is reported, so that a slow machine is not taken for a slow bridge.
- A caller never raises for what a bridge does: a refusal is an outcome, with the bridge's own words.
- What a hostile or broken carrier would do is a plain field of `Misbehaviour`; the default is none of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import aiohttp

from bridge.emulators.call_report import CallReport, Outcome
from bridge.emulators.caller_plan import CallPlan, Misbehaviour
from bridge.emulators.caller_script import CallerScript, Step
from bridge.emulators.caller_webhooks import Addresses, Answer, post_webhook, signed_headers
from bridge.emulators.carrier_buffer import SLOT_MS
from bridge.emulators.recording import (
    BridgeClosed,
    CallRecording,
    Faulted,
    HungUp,
    StreamOpened,
    WebhookAnswered,
)
from bridge.emulators.twilio_line import Fault, StreamIdentity, TwilioLine
from bridge.emulators.twiml import StreamOrder, Twiml, parse_twiml
from bridge.errors import ProtocolError
from telephony_codecs.formats import MULAW_8K

CONNECT_TIMEOUT_S: Final = 5.0
CLOSE_TIMEOUT_S: Final = 2.0
#: Twilio's number for a webhook that was answered with an error, or not at all.
HTTP_FAILURE: Final = 11200

_SILENT_FRAME: Final = MULAW_8K.silence(SLOT_MS)
_NORMAL_CLOSURE: Final = 1000


class TwilioCall:
    """One call, to be `run` once.

    Args:
        plan: what to do.
        session: for the webhooks.
    """

    def __init__(self, plan: CallPlan, session: aiohttp.ClientSession) -> None:
        self._plan = plan
        self._session = session
        self._addresses = Addresses(plan.answer_url, plan.public_url)
        self._dialled_s = time.monotonic()
        self._recording = CallRecording()
        self._report = CallReport(plan.call_sid, recording=self._recording)
        self._callbacks: list[asyncio.Task[Answer]] = []

    async def run(self) -> CallReport:
        """Make the call, to its end."""
        answer = await self._post("answer", self._addresses.answer_url, {"CallStatus": "ringing"})
        twiml = self._understand(answer)
        if twiml is None:
            return self._report
        self._report.verbs = twiml.verbs
        if twiml.stream is None:
            verbs = " ".join(map(str, twiml.verbs)) or "nothing"
            return self._ended(Outcome.NO_STREAM, f"the bridge answered with {verbs}")
        error = await self._stream(twiml.stream)
        if twiml.stream.action:
            await self._ask_what_is_next(twiml.stream.action, error)
        await asyncio.gather(*self._callbacks)
        return self._report

    def _now_ms(self) -> float:
        return (time.monotonic() - self._dialled_s) * 1000

    def _ended(self, outcome: Outcome, detail: str) -> CallReport:
        self._report.outcome, self._report.detail = outcome, detail
        return self._report

    # -- webhooks --------------------------------------------------------------------------------------

    async def _post(self, purpose: str, url: str, fields: Mapping[str, str]) -> Answer:
        form = self._form() | dict(fields)
        signature = self._plan.misbehaviour.webhook_signature
        headers = signed_headers(self._plan.auth_token, url, form, signature)
        asked_ms = self._now_ms()
        answer = await post_webhook(self._session, self._addresses.reach(url), form, headers)
        now_ms = self._now_ms()
        self._recording.note(
            WebhookAnswered(at_ms=now_ms, purpose=purpose, status=answer.status, took_ms=now_ms - asked_ms)
        )
        return answer

    def _form(self) -> dict[str, str]:
        plan = self._plan
        return {
            "AccountSid": plan.account_sid,
            "ApiVersion": "2010-04-01",
            "CallSid": plan.call_sid,
            "CallStatus": "in-progress",
            "Called": plan.to_number,
            "Caller": plan.from_number,
            "Direction": "inbound",
            "From": plan.from_number,
            "To": plan.to_number,
        }

    def _understand(self, answer: Answer) -> Twiml | None:
        if not answer.status:
            self._ended(Outcome.UNREACHABLE, f"the webhook got no answer: {answer.body}")
        elif not answer.ok:
            self._ended(Outcome.WEBHOOK_REFUSED, _refusal(answer))
        else:
            try:
                return parse_twiml(answer.body)
            except ProtocolError as error:
                self._ended(Outcome.WEBHOOK_REFUSED, error.reason)
        return None

    def _call_back(self, order: StreamOrder, event: str, error: str = "") -> None:
        """Tell the bridge how its stream fares; like Twilio, without waiting for it."""
        if not order.status_callback:
            return
        fields = {
            "StreamEvent": event,
            "StreamName": order.name,
            "StreamSid": self._report.stream_sid,
            "Timestamp": datetime.now(UTC).isoformat(),
        }
        if error:
            fields["StreamError"] = error
        url = self._addresses.absolute(order.status_callback)
        self._callbacks.append(asyncio.create_task(self._post("status", url, fields)))

    async def _ask_what_is_next(self, action: str, error: str) -> None:
        hung_up = self._report.outcome is Outcome.HUNG_UP
        fields = {
            "CallStatus": "completed" if hung_up else "in-progress",
            "StreamSid": self._report.stream_sid,
        }
        if error:
            fields["StreamError"] = error
        answer = await self._post("ended", self._addresses.absolute(action), fields)
        try:
            if not answer.ok:
                raise ProtocolError(_refusal(answer), peer="bridge", kind="webhook_refused")
            self._report.verbs = parse_twiml(answer.body).verbs
        except ProtocolError as refusal:
            self._report.verbs = ()
            self._recording.note(Faulted(at_ms=self._now_ms(), code=HTTP_FAILURE, detail=refusal.reason))

    # -- the media stream ------------------------------------------------------------------------------

    async def _stream(self, order: StreamOrder) -> str:
        """Connect and talk. Returns the error that a status callback tells, or nothing."""
        misbehaviour = self._plan.misbehaviour
        headers = signed_headers(self._plan.auth_token, order.url, None, misbehaviour.upgrade_signature)
        asked_ms = self._now_ms()
        # A session of its own: closing it is the only way to break a connection without a close frame.
        async with aiohttp.ClientSession() as session:
            try:
                socket = await self._connect(session, self._addresses.reach(order.url), headers)
            except (TimeoutError, aiohttp.ClientError, OSError) as failure:
                return self._not_connected(order, failure)
            now_ms = self._now_ms()
            self._recording.note(StreamOpened(at_ms=now_ms, took_ms=now_ms - asked_ms))
            await self._converse(socket, order)
        return ""

    async def _connect(
        self, session: aiohttp.ClientSession, url: str, headers: Mapping[str, str]
    ) -> aiohttp.ClientWebSocketResponse:
        timeout = aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S)
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return await session.ws_connect(url, headers=headers, compress=0, timeout=timeout)

    def _not_connected(self, order: StreamOrder, failure: Exception) -> str:
        if isinstance(failure, aiohttp.WSServerHandshakeError):
            outcome, reason = Outcome.STREAM_REFUSED, f"the upgrade was answered with {failure.status}"
        else:
            outcome, reason = Outcome.UNREACHABLE, f"no media socket: {failure or type(failure).__name__}"
        self._ended(outcome, reason)
        self._recording.note(Faulted(at_ms=self._now_ms(), code=Fault.HANDSHAKE, detail=reason))
        error = f"{int(Fault.HANDSHAKE)}: {reason}"
        self._call_back(order, "stream-error", error)
        return error

    async def _converse(self, socket: aiohttp.ClientWebSocketResponse, order: StreamOrder) -> None:
        line = self._line(order)
        self._report.stream_sid = line.identity.stream_sid
        line.begin(self._now_ms())
        self._call_back(order, "stream-started")
        listening = asyncio.create_task(self._listen(socket, line))
        try:
            async with asyncio.timeout(self._plan.hang_up_after_s + CLOSE_TIMEOUT_S):
                await self._talk(socket, line, listening)
        except TimeoutError:
            self._hang_up("the bridge has stopped reading")
        finally:
            await self._close(socket, line, listening)
        self._report.discarded_bytes = line.discarded_bytes
        self._call_back(order, "stream-stopped")

    def _line(self, order: StreamOrder) -> TwilioLine:
        plan, misbehaviour = self._plan, self._plan.misbehaviour
        parameters = order.parameters if misbehaviour.parameters is None else misbehaviour.parameters
        identity = StreamIdentity(
            account_sid=plan.account_sid,
            call_sid=misbehaviour.start_call_sid or plan.call_sid,
            parameters={} if misbehaviour.omit_parameters else parameters,
            tracks=order.tracks,
        )
        return TwilioLine(
            identity, self._recording, buffer_ms=plan.buffer_ms, bidirectional=order.bidirectional
        )

    async def _talk(
        self, socket: aiohttp.ClientWebSocketResponse, line: TwilioLine, listening: asyncio.Task[None]
    ) -> None:
        """The caller's half, in real time, until either side ends it."""
        plan = self._plan
        script = CallerScript(
            plan.actions,
            self._recording,
            noise_dbfs=plan.noise_dbfs,
            hang_up_after_s=plan.hang_up_after_s,
            hang_up_on_silence_s=plan.hang_up_on_silence_s,
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

    async def _end_slot(
        self, socket: aiohttp.ClientWebSocketResponse, line: TwilioLine, step: Step, slot_ms: float
    ) -> None:
        now_ms = self._now_ms()
        self._report.late_ms = max(self._report.late_ms, now_ms - slot_ms)
        texts = line.advance(now_ms)
        if not self._plan.misbehaviour.mute:
            texts.append(line.voice(step.frame))
        await _send(socket, texts)

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse, line: TwilioLine) -> None:
        """The bridge's half, until the socket is closed."""
        while True:
            message = await socket.receive()
            if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                await _send(socket, line.receive(self._now_ms(), message.data))
                continue
            if message.type is not aiohttp.WSMsgType.CLOSING:  # that one is our own `close`, at work
                reason = message.extra if message.type is aiohttp.WSMsgType.CLOSE else ""
                self._bridge_closed(socket.close_code or 1006, reason or "")
            return

    def _bridge_closed(self, code: int, reason: str) -> None:
        self._recording.note(BridgeClosed(at_ms=self._now_ms(), code=code, reason=reason))
        self._ended(Outcome.BRIDGE_CLOSED, f"with {code}{f', {reason}' if reason else ''}")

    def _hang_up(self, reason: str) -> None:
        self._recording.note(HungUp(at_ms=self._now_ms(), reason=reason))
        self._ended(Outcome.HUNG_UP, reason)

    async def _close(
        self, socket: aiohttp.ClientWebSocketResponse, line: TwilioLine, listening: asyncio.Task[None]
    ) -> None:
        misbehaviour = self._plan.misbehaviour
        if self._report.outcome is Outcome.HUNG_UP and not misbehaviour.vanish:
            with suppress(TimeoutError):  # a bridge that does not read cannot be told
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await _send(socket, [line.stop(), *misbehaviour.after_stop])
                    await socket.close(code=_NORMAL_CLOSURE)
        listening.cancel()
        await asyncio.wait([listening])
        self._report.close_code = socket.close_code


def _opening(line: TwilioLine, misbehaviour: Misbehaviour) -> list[str | bytes]:
    messages: list[str | bytes] = [] if misbehaviour.skip_connected else [line.connected()]
    messages += [line.voice(_SILENT_FRAME) for _ in range(misbehaviour.media_before_start)]
    if not misbehaviour.skip_start:
        messages += [line.start() for _ in range(1 + misbehaviour.repeat_start)]
    return messages + list(misbehaviour.after_start)


async def _send(socket: aiohttp.ClientWebSocketResponse, messages: Sequence[str | bytes]) -> None:
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
        hint = " (is the auth token the bridge's, and public_url its server.public_url?)"
    return f"the webhook was answered with {answer.status or 'nothing'}: {body}{hint}"
