"""Twilio: its webhooks, the messages it sends on a stream, what it does with those it gets. No I/O.

Strategy, besides what `exchange` and `carrier_line` promise:

- What Twilio accepts is stated in types (the structs below), nothing else is accepted: Twilio's error pages
  call an unknown event, a missing or extra field and another stream's id a fault (31951), and so do we.
- A fault costs the bridge its message, not the call; it is noted under Twilio's own number for it.
- Twilio numbers all its messages in one sequence, as strings; `connected` alone has no number.
- Marks that a `clear` sends back look exactly like marks that were played.

Facts: Twilio's pages "Media Streams - WebSocket Messages" and its error dictionary, 31920 to 31951.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from typing import ClassVar, Final, TypeAlias

import msgspec
from msgspec import Struct

from bridge.carriers.twilio import TwilioConfig
from bridge.emulators.caller_plan import new_sid
from bridge.emulators.caller_webhooks import Answer, signed_headers
from bridge.emulators.carrier_buffer import SLOT_BYTES, SLOT_MS
from bridge.emulators.carrier_line import CarrierLine, Message
from bridge.emulators.exchange import Exchange, Handshake, HttpAsk, form_ask
from bridge.emulators.recording import CallRecording, ClearReceived, DigitPressed, MarkEchoed
from bridge.emulators.twiml import StreamOrder, Verb, parse_twiml

#: An account number for calls that need none in particular.
SOME_ACCOUNT: Final = "AC" + "0" * 32


class Fault(IntEnum):
    """Twilio's numbers for what can be wrong with a call."""

    WEBHOOK = 11200  #: a webhook that was answered with an error, or not at all
    HANDSHAKE = 31920  #: the upgrade was answered with something other than 101
    PROTOCOL = 31924  #: a message on a stream that only listens
    DISCARDED = 31931  #: more than ten minutes of audio queued; raised once per stream
    MALFORMED = 31950  #: a binary message
    INVALID = 31951  #: not JSON, an unknown event, a missing or extra field, another stream's id


@dataclass(frozen=True, slots=True)
class StreamIdentity:
    """Whose stream it is, and what the TwiML gave it along."""

    account_sid: str
    call_sid: str
    stream_sid: str = field(default_factory=lambda: new_sid("MZ"))
    parameters: Mapping[str, str] = field(default_factory=dict)
    tracks: tuple[str, ...] = ("inbound",)


class _FromBridge(Struct, frozen=True, forbid_unknown_fields=True, tag_field="event"):
    stream_sid: str = msgspec.field(name="streamSid")


class _Payload(Struct, frozen=True, forbid_unknown_fields=True):
    payload: bytes


class _Name(Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class _Media(_FromBridge, frozen=True, tag="media"):
    media: _Payload


class _Mark(_FromBridge, frozen=True, tag="mark"):
    mark: _Name


class _Clear(_FromBridge, frozen=True, tag="clear"):
    pass


_Accepted: TypeAlias = _Media | _Mark | _Clear

_DECODER: Final[msgspec.json.Decoder[_Accepted]] = msgspec.json.Decoder(_Accepted)


class _Rejected(Exception):
    def __init__(self, fault: Fault, detail: str) -> None:
        self.fault, self.detail = fault, detail
        super().__init__(detail)


class TwilioLine(CarrierLine):
    """One media stream, seen from Twilio.

    Args:
        identity: what `start` says.
        recording: takes both tracks and every event.
        buffer_ms: the line's jitter buffer, see `CarrierBuffer`.
        bidirectional: False for a stream opened by ``<Start>``, which only listens.
    """

    def __init__(
        self,
        identity: StreamIdentity,
        recording: CallRecording,
        *,
        buffer_ms: float = 40.0,
        bidirectional: bool = True,
    ) -> None:
        super().__init__(recording, buffer_ms=buffer_ms)
        self.identity = identity
        self.stream_id = identity.stream_sid
        self.bidirectional = bidirectional
        self._sequence = self._chunk = 0

    # -- what Twilio sends -----------------------------------------------------------------------------------

    def opening(self) -> list[Message]:
        """The greeting, and what binds the stream to its call."""
        return [self.connected(), self.start()]

    def connected(self) -> str:
        """The greeting, before anything is known."""
        return json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})

    def start(self) -> str:
        """The message that binds the stream to its call."""
        identity = self.identity
        details = {
            "accountSid": identity.account_sid,
            "streamSid": identity.stream_sid,
            "callSid": identity.call_sid,
            "tracks": list(identity.tracks),
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": dict(identity.parameters),
        }
        return self._numbered("start", start=details)

    def voice(self, frame: bytes) -> list[Message]:
        """The next 20 ms of the caller: 160 bytes of mu-law."""
        if len(frame) != SLOT_BYTES:
            raise ValueError(f"a frame has {SLOT_BYTES} bytes, not {len(frame)}")
        self.recording.said += frame
        media = {
            "track": "inbound",
            "chunk": str(self._chunk + 1),
            "timestamp": str(self._chunk * SLOT_MS),
            "payload": b64encode(frame).decode("ascii"),
        }
        self._chunk += 1
        return [self._numbered("media", media=media)]

    def digit(self, now_ms: float, digit: str) -> list[Message]:
        """A key pressed by the caller. A stream that only listens is not told."""
        self.recording.note(DigitPressed(at_ms=now_ms, digit=digit))
        if not self.bidirectional:
            return []
        return [self._numbered("dtmf", dtmf={"track": "inbound_track", "digit": digit})]

    def stop(self) -> list[Message]:
        """The end of the stream, because the caller hung up."""
        body = {"accountSid": self.identity.account_sid, "callSid": self.identity.call_sid}
        return [self._numbered("stop", stop=body)]

    def _numbered(self, event: str, **body: object) -> str:
        self._sequence += 1
        head = {"event": event, "sequenceNumber": str(self._sequence), "streamSid": self.identity.stream_sid}
        return json.dumps(head | body)

    # -- what Twilio does with what it gets ------------------------------------------------------------------

    def advance(self, now_ms: float) -> list[Message]:
        """Play what is due by now. Returns the marks that were reached."""
        echoes: list[Message] = []
        self._buffer.advance(now_ms, lambda at_ms, name: echoes.append(self._echo(at_ms, name)))
        return echoes

    def receive(self, now_ms: float, message: Message) -> list[Message]:
        """Obey one message of the bridge. Returns what Twilio answers at once."""
        answers = self.advance(now_ms)
        try:
            command = self._accept(message)
        except _Rejected as rejected:
            self.fault(now_ms, rejected.fault, rejected.detail)
            return answers
        return answers + self._obey(now_ms, command)

    def _accept(self, message: Message) -> _Accepted:
        if not self.bidirectional:
            raise _Rejected(Fault.PROTOCOL, "a message on a stream that only listens")
        if isinstance(message, bytes):
            raise _Rejected(Fault.MALFORMED, "a binary message")
        try:
            command = _DECODER.decode(message)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            raise _Rejected(Fault.INVALID, str(error)) from error
        if command.stream_sid != self.identity.stream_sid:
            raise _Rejected(Fault.INVALID, "the streamSid is of another stream")
        return command

    def _obey(self, now_ms: float, command: _Accepted) -> list[Message]:
        if isinstance(command, _Media):
            self._queue(now_ms, command.media.payload)
            return []
        if isinstance(command, _Mark):
            reached = self._buffer.mark(command.mark.name)
            return [self._echo(now_ms, command.mark.name)] if reached else []
        return self._clear(now_ms)

    def _queue(self, now_ms: float, payload: bytes) -> None:
        self.recording.arrive(now_ms, payload)
        if self._buffer.push(now_ms, payload):
            return
        if not self.discarded_bytes:
            self.fault(now_ms, Fault.DISCARDED, "ten minutes of audio are queued already")
        self.discarded_bytes += len(payload)

    def _clear(self, now_ms: float) -> list[Message]:
        dropped_ms, names = self._buffer.clear(now_ms)
        self.recording.note(ClearReceived(at_ms=now_ms, dropped_ms=dropped_ms, marks=tuple(names)))
        return [self._echo(now_ms, name, cleared=True) for name in names]

    def _echo(self, at_ms: float, name: str, *, cleared: bool = False) -> str:
        self.recording.note(MarkEchoed(at_ms=at_ms, name=name, cleared=cleared))
        return self._numbered("mark", mark={"name": name})


class TwilioExchange(Exchange):
    """Twilio, for the length of one call; `section` is a `TwilioConfig`."""

    name = "twilio"
    webhook_fault: ClassVar[int] = Fault.WEBHOOK
    handshake_fault: ClassVar[int] = Fault.HANDSHAKE
    section: TwilioConfig
    _stream_id = ""

    @property
    def account_id(self) -> str:
        """Who is called."""
        return self.section.account_sid or SOME_ACCOUNT

    def announce(self) -> HttpAsk:
        """The call's webhook."""
        return self._post(self.addresses.answer_url, {"CallStatus": "ringing"})

    def understand(self, answer: Answer | None) -> StreamOrder | None:
        """The stream in the TwiML."""
        return parse_twiml(answer.body).stream if answer is not None else None

    def verbs(self, answer: Answer) -> tuple[Verb, ...]:
        """The verbs after it."""
        return parse_twiml(answer.body).verbs

    def handshake(self, order: StreamOrder) -> Handshake:
        """An upgrade, signed like a webhook without a form."""
        signature = self.plan.misbehaviour.upgrade_signature
        return Handshake(order.url, signed_headers(self.section.auth_token, order.url, None, signature))

    def line(self, order: StreamOrder, recording: CallRecording) -> TwilioLine:
        """Twilio's end of the stream."""
        identity = StreamIdentity(
            account_sid=self.account_id,
            call_sid=self.plan.misbehaviour.start_call_sid or self.call_id,
            parameters=order.parameters,
            tracks=order.tracks,
        )
        self._stream_id = identity.stream_sid
        return TwilioLine(
            identity, recording, buffer_ms=self.plan.buffer_ms, bidirectional=order.bidirectional
        )

    def status(self, order: StreamOrder, event: str, error: str = "") -> HttpAsk | None:
        """The stream's status callback, if the TwiML asked for one."""
        if not order.status_callback:
            return None
        fields = {
            "StreamEvent": f"stream-{event}",
            "StreamName": order.name,
            "StreamSid": self._stream_id,
            "Timestamp": datetime.now(UTC).isoformat(),
        }
        return self._post(order.status_callback, fields, error)

    def ended(self, order: StreamOrder, *, hung_up: bool, error: str = "") -> HttpAsk | None:
        """The ``action`` of ``<Connect>``, if it has one."""
        if not order.action:
            return None
        fields = {"CallStatus": "completed" if hung_up else "in-progress", "StreamSid": self._stream_id}
        return self._post(order.action, fields, error)

    def _post(self, url: str, fields: Mapping[str, str], error: str = "") -> HttpAsk:
        url = self.addresses.absolute(url)
        form = self._form() | dict(fields) | ({"StreamError": error} if error else {})
        signature = self.plan.misbehaviour.webhook_signature
        return form_ask(url, form, signed_headers(self.section.auth_token, url, form, signature))

    def _form(self) -> dict[str, str]:
        plan = self.plan
        return {
            "AccountSid": self.account_id,
            "ApiVersion": "2010-04-01",
            "CallSid": self.call_id,
            "CallStatus": "in-progress",
            "Called": plan.to_number,
            "Caller": plan.from_number,
            "Direction": "inbound",
            "From": plan.from_number,
            "To": plan.to_number,
        }


EXCHANGE = TwilioExchange
