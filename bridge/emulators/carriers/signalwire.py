"""SignalWire: its webhooks, the messages it sends on a stream, what it does with those it gets. No I/O.

Strategy, besides what `exchange` and `carrier_line` promise:

- It looks like Twilio, and is told apart by what it leaves out: `start` has no stream id at its top, `media` has none
  at all, `stop` is bare.
- What SignalWire accepts is stated in types, nothing else is accepted. It has no numbers for what is wrong: 0.
- Marks that a `clear` sends back look exactly like marks that were played.
- The verbs after ``<Connect>`` are run once the stream is over, unless the caller is gone: a ``<Redirect>`` is asked.

Facts, from signalwire.com/docs: cxml/voice/stream, webhook-security.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, TypeAlias
from uuid import uuid4
from xml.etree import ElementTree

import msgspec
from msgspec import Struct

from bridge.carriers.signalwire import SIGNATURE_HEADER, TOKEN_PARAMETER, SignalWireConfig, sign_form
from bridge.emulators.caller_webhooks import Answer, Signature
from bridge.emulators.carrier_buffer import SLOT_BYTES, SLOT_MS
from bridge.emulators.carrier_line import CarrierLine, Message
from bridge.emulators.exchange import Exchange, Handshake, HttpAsk, form_ask
from bridge.emulators.recording import CallRecording, ClearReceived, DigitPressed, MarkEchoed
from bridge.emulators.twiml import StreamOrder, Verb, parse_twiml
from bridge.errors import ProtocolError
from telephony_codecs.formats import MULAW_8K, AudioFormat, Encoding
from telephony_codecs.pcm import swap_bytes
from telephony_codecs.transcoder import Transcoder

#: A project number for calls that need none in particular.
SOME_PROJECT: Final = "00000000-0000-4000-8000-000000000000"
#: How long the caller holds a key, as far as the bridge is told.
KEY_MS: Final = 200

_CODECS: Final = {
    "": MULAW_8K,
    "PCMU@8000h": MULAW_8K,
    "L16@16000h": AudioFormat(Encoding.PCM16, 16_000),
    "L16@24000h": AudioFormat(Encoding.PCM16, 24_000),
}
_NO_NUMBER: Final = 0


class _FromBridge(Struct, frozen=True, forbid_unknown_fields=True, tag_field="event"):
    stream_sid: str = msgspec.field(name="streamSid")


class _Payload(Struct, frozen=True, forbid_unknown_fields=True):
    payload: bytes


class _Name(Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class _Digit(Struct, frozen=True, forbid_unknown_fields=True):
    digit: str


class _Media(_FromBridge, frozen=True, tag="media"):
    media: _Payload


class _Mark(_FromBridge, frozen=True, tag="mark"):
    mark: _Name


class _Dtmf(_FromBridge, frozen=True, tag="dtmf"):
    dtmf: _Digit


class _Clear(_FromBridge, frozen=True, tag="clear"):
    pass


_Accepted: TypeAlias = _Media | _Mark | _Dtmf | _Clear

_DECODER: Final[msgspec.json.Decoder[_Accepted]] = msgspec.json.Decoder(_Accepted)


class _Rejected(Exception):
    """What the bridge sent is not for SignalWire; the message says why."""


class SignalWireLine(CarrierLine):
    """One media stream, seen from SignalWire.

    Args:
        order: the stream that the cXML asked for: its audio, its parameters.
        recording: takes both tracks and every event.
        account_id, call_id: what `start` says.
        buffer_ms: the line's jitter buffer, see `CarrierBuffer`.
        big_endian: linear audio is in network order on the wire.
    """

    def __init__(
        self,
        order: StreamOrder,
        recording: CallRecording,
        *,
        account_id: str = SOME_PROJECT,
        call_id: str,
        buffer_ms: float = 40.0,
        big_endian: bool = False,
    ) -> None:
        super().__init__(recording, buffer_ms=buffer_ms)
        self.stream_id = str(uuid4())
        #: Keys that the bridge pressed towards the caller.
        self.digits_heard = ""
        self._order, self._account_id, self._call_id = order, account_id, call_id
        self._swapped = big_endian and order.audio.encoding is Encoding.PCM16
        self._to_bridge = Transcoder(MULAW_8K, order.audio)
        self._from_bridge = Transcoder(order.audio, MULAW_8K)
        self._sequence = self._chunk = 0

    # -- what SignalWire sends -------------------------------------------------------------------------------

    def opening(self) -> list[Message]:
        """The greeting, and what binds the stream to its call."""
        greeting = {"event": "connected", "protocol": "Call", "version": "0.2.0"}
        return [json.dumps(greeting), self._numbered("start", start=self._start())]

    def _start(self) -> dict[str, object]:
        audio = self._order.audio
        linear = audio.encoding is Encoding.PCM16
        return {
            "streamSid": self.stream_id,
            "accountSid": self._account_id,
            "callSid": self._call_id,
            "tracks": ["inbound"],
            "customParameters": dict(self._order.parameters),
            "mediaFormat": {
                "encoding": "audio/x-L16" if linear else "audio/x-mulaw",
                "sampleRate": audio.rate_hz,
                "channels": 1,
            },
        }

    def voice(self, frame: bytes) -> list[Message]:
        """The next 20 ms of the caller: 160 bytes of mu-law."""
        if len(frame) != SLOT_BYTES:
            raise ValueError(f"a frame has {SLOT_BYTES} bytes, not {len(frame)}")
        self.recording.said += frame
        sound = self._to_bridge.feed(frame)
        media = {
            "track": "inbound",
            "chunk": str(self._chunk + 1),
            "timestamp": str(self._chunk * SLOT_MS),
            "payload": b64encode(swap_bytes(sound) if self._swapped else sound).decode("ascii"),
        }
        self._chunk += 1
        return [self._numbered("media", media=media)]

    def digit(self, now_ms: float, digit: str) -> list[Message]:
        """A key pressed by the caller."""
        self.recording.note(DigitPressed(at_ms=now_ms, digit=digit))
        return [self._numbered("dtmf", dtmf={"digit": digit, "duration": KEY_MS})]

    def stop(self) -> list[Message]:
        """The end of the stream, because the caller hung up."""
        return [self._numbered("stop")]

    def _numbered(self, event: str, **body: object) -> str:
        self._sequence += 1
        return json.dumps({"event": event, "sequenceNumber": str(self._sequence)} | body)

    # -- what SignalWire does with what it gets --------------------------------------------------------------

    def advance(self, now_ms: float) -> list[Message]:
        """Play what is due by now. Returns the marks that were reached."""
        echoes: list[Message] = []
        self._buffer.advance(now_ms, lambda at_ms, name: echoes.append(self._echo(at_ms, name)))
        return echoes

    def receive(self, now_ms: float, message: Message) -> list[Message]:
        """Obey one message of the bridge. Returns what SignalWire answers at once."""
        answers = self.advance(now_ms)
        try:
            return answers + self._obey(now_ms, self._accept(message))
        except _Rejected as rejected:
            self.fault(now_ms, _NO_NUMBER, str(rejected))
            return answers

    def _accept(self, message: Message) -> _Accepted:
        if isinstance(message, bytes):
            raise _Rejected("a binary message")
        try:
            command = _DECODER.decode(message)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            raise _Rejected(str(error)) from error
        if command.stream_sid != self.stream_id:
            raise _Rejected("the streamSid is of another stream")
        return command

    def _obey(self, now_ms: float, command: _Accepted) -> list[Message]:
        if isinstance(command, _Media):
            self._queue(now_ms, command.media.payload)
            return []
        if isinstance(command, _Mark):
            reached = self._buffer.mark(command.mark.name)
            return [self._echo(now_ms, command.mark.name)] if reached else []
        if isinstance(command, _Dtmf):
            return self._hear_digit(command.dtmf.digit)
        return self._clear(now_ms)

    def _queue(self, now_ms: float, payload: bytes) -> None:
        if len(payload) % self._order.audio.sample_bytes:
            raise _Rejected("audio that ends in half a sample")
        sound = self._from_bridge.feed(swap_bytes(payload) if self._swapped else payload)
        self.recording.arrive(now_ms, sound)
        if not self._buffer.push(now_ms, sound):
            self.discarded_bytes += len(sound)

    def _hear_digit(self, digit: str) -> list[Message]:
        if digit not in tuple("0123456789*#ABCD"):
            raise _Rejected(f"{digit!r} is no key")
        self.digits_heard += digit
        return []

    def _clear(self, now_ms: float) -> list[Message]:
        self._from_bridge.flush()
        dropped_ms, names = self._buffer.clear(now_ms)
        self.recording.note(ClearReceived(at_ms=now_ms, dropped_ms=dropped_ms, marks=tuple(names)))
        return [self._echo(now_ms, name, cleared=True) for name in names]

    def _echo(self, at_ms: float, name: str, *, cleared: bool = False) -> str:
        self.recording.note(MarkEchoed(at_ms=at_ms, name=name, cleared=cleared))
        return self._numbered("mark", mark={"name": name})


class SignalWireExchange(Exchange):
    """SignalWire, for the length of one call; `section` is a `SignalWireConfig`."""

    name = "signalwire"
    section: SignalWireConfig
    _stream_id = ""

    @property
    def account_id(self) -> str:
        """Who is called."""
        return self.section.project_id or SOME_PROJECT

    def announce(self) -> HttpAsk:
        """The call's webhook."""
        return self._post(self.addresses.answer_url, {"CallStatus": "ringing"})

    def understand(self, answer: Answer | None) -> StreamOrder | None:
        """The stream in the cXML, with what Twilio's has not: a codec, a bearer token, a redirect after it."""
        document = parse_twiml(answer.body) if answer is not None else None
        if answer is None or document is None or document.stream is None:
            return None
        stream = ElementTree.fromstring(answer.body.strip()).find("./*/Stream")  # noqa: S314 - parsed before
        attributes = stream.attrib if stream is not None else {}
        codec, bearer = attributes.get("codec", ""), attributes.get("authBearerToken", "")
        if codec not in _CODECS:
            raise ProtocolError(f"codec_error: {codec!r} is none", peer="bridge", kind="bad_cxml")
        first = document.verbs[0] if document.verbs else Verb("")
        return replace(
            document.stream,
            audio=_CODECS[codec],
            headers={"Authorization": f"Bearer {bearer}"} if bearer else {},
            action=first.text if first.name == "Redirect" else "",
        )

    def verbs(self, answer: Answer) -> tuple[Verb, ...]:
        """The verbs after it."""
        return parse_twiml(answer.body).verbs

    def with_token(self, order: StreamOrder, token: str) -> StreamOrder:
        """The token is in two places."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        parameters = {name: value for name, value in order.parameters.items() if name != TOKEN_PARAMETER}
        if token:
            parameters[TOKEN_PARAMETER] = token
        return replace(order, headers=headers, parameters=parameters)

    def handshake(self, order: StreamOrder) -> Handshake:
        """An upgrade, which is not signed, and brings the bearer token along."""
        signature = self.plan.misbehaviour.upgrade_signature
        if signature is Signature.VALID:
            return Handshake(order.url, order.headers)
        forged = {"Authorization": "Bearer forged"} if signature is Signature.FORGED else {}
        return Handshake(order.url, forged)

    def line(self, order: StreamOrder, recording: CallRecording) -> SignalWireLine:
        """SignalWire's end of the stream."""
        line = SignalWireLine(
            order,
            recording,
            account_id=self.account_id,
            call_id=self.plan.misbehaviour.start_call_sid or self.call_id,
            buffer_ms=self.plan.buffer_ms,
            big_endian=self.section.l16_byte_order == "big",
        )
        self._stream_id = line.stream_id
        return line

    def status(self, order: StreamOrder, event: str, error: str = "") -> HttpAsk | None:
        """The stream's status callback, if the cXML asked for one."""
        if not order.status_callback:
            return None
        fields = {
            "StreamEvent": f"stream-{event}",
            "StreamName": order.name,
            "StreamSid": self._stream_id,
            "StreamTrack": "inbound_track",
            "Timestamp": datetime.now(UTC).isoformat(),
        }
        return self._post(order.status_callback, fields, error and "general_error")

    def ended(self, order: StreamOrder, *, hung_up: bool, error: str = "") -> HttpAsk | None:
        """The ``<Redirect>`` after the stream, which says nothing of errors. Nobody is left to be redirected when the
        caller has hung up.
        """
        if hung_up or not order.action:
            return None
        return self._post(order.action, {"CallStatus": "in-progress"})

    def _post(self, url: str, fields: Mapping[str, str], error: str = "") -> HttpAsk:
        url = self.addresses.absolute(url)
        form = self._form() | dict(fields) | ({"StreamError": error} if error else {})
        return form_ask(url, form, self._signed(url, form))

    def _signed(self, url: str, form: Mapping[str, str]) -> dict[str, str]:
        signature = self.plan.misbehaviour.webhook_signature
        if signature is Signature.ABSENT:
            return {}
        key = self.section.signing_key.reveal()
        key = key if signature is Signature.VALID else f"not {key}"
        return {SIGNATURE_HEADER: sign_form(key, url, form.items())}

    def _form(self) -> dict[str, str]:
        plan = self.plan
        return {
            "AccountSid": self.account_id,
            "ApiVersion": "2010-04-01",
            "CallSid": self.call_id,
            "CallStatus": "in-progress",
            "Direction": "inbound",
            "From": plan.from_number,
            "To": plan.to_number,
        }


EXCHANGE = SignalWireExchange
