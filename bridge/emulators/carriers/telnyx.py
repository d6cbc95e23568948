"""Telnyx: its webhooks of both APIs, the messages it sends on a stream, what it does with those it gets. No I/O.

Strategy, besides what `exchange` and `carrier_line` promise:

- Nobody has Telnyx's private key, so this one has a pair of its own, the same for all: configure `PUBLIC_KEY` where you
  want its calls believed, and nowhere else.
- A message plays 20 ms to 30 s, in base64; anything else is answered with an `error` event and its number.
- A `clear` sends all pending marks back, and they look like those that were played.
- Media may come out of order: `swap_every` has every so many messages overtaken by the next one.

Facts, from developers.telnyx.com: media-streaming, texml-verbs/stream, stream-call-media-over-websocket.
"""

from __future__ import annotations

import hashlib
import json
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, ClassVar, Final
from urllib.parse import urlencode
from uuid import uuid4
from xml.etree import ElementTree

import msgspec
from msgspec import Struct

from bridge.carriers.rest import RestRequest
from bridge.carriers.telnyx import SIGNATURE_HEADER, SIMULATED_KEY, TIMESTAMP_HEADER, TelnyxConfig
from bridge.emulators.caller_webhooks import Answer, Signature
from bridge.emulators.carrier_buffer import SLOT_MS
from bridge.emulators.carrier_line import Message
from bridge.emulators.exchange import Exchange, HttpAsk
from bridge.emulators.json_line import JsonLine, Rejected, text
from bridge.emulators.recording import CallRecording, MarkEchoed
from bridge.emulators.twiml import StreamOrder, Verb, parse_twiml
from bridge.errors import ProtocolError
from telephony_codecs.formats import MULAW_8K, AudioFormat, Encoding

#: What the simulated Telnyx signs with belongs to this key.
PUBLIC_KEY: Final = SIMULATED_KEY
SOME_ACCOUNT: Final = "f5586561-8ff0-4291-a51b-c7dfe4139ff9"

_SEED: Final = hashlib.sha256(b"the simulated Telnyx").digest()
_CODECS: Final = {Encoding.MULAW: "PCMU", Encoding.ALAW: "PCMA", Encoding.PCM16: "L16"}
_ENCODINGS: Final = {name: encoding for encoding, name in _CODECS.items()}
_SHORTEST_MS: Final = 20
_LONGEST_MS: Final = 30_000


class Fault(IntEnum):
    """Telnyx's numbers for what can be wrong with a message."""

    UNKNOWN = 100002
    MALFORMED = 100003  #: not JSON, an unknown event, a field too many or too few
    INVALID_MEDIA = 100004  #: too little audio, too much, half a sample


_TITLES: Final = {
    Fault.UNKNOWN: "unknown_error",
    Fault.MALFORMED: "malformed_frame",
    Fault.INVALID_MEDIA: "invalid_media",
}


class _Payload(Struct, frozen=True, forbid_unknown_fields=True):
    payload: bytes


class _Name(Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class _Media(Struct, frozen=True, forbid_unknown_fields=True, tag_field="event", tag="media"):
    media: _Payload


class _Mark(Struct, frozen=True, forbid_unknown_fields=True, tag_field="event", tag="mark"):
    mark: _Name


class _Clear(Struct, frozen=True, forbid_unknown_fields=True, tag_field="event", tag="clear"):
    pass


class TelnyxLine(JsonLine):
    """One media stream, seen from Telnyx.

    Args:
        call_id: the ``call_control_id``.
        recording: takes both tracks and every event.
        audio: what is on the wire, both ways.
        parameters: what the answer gave the stream along.
        buffer_ms: the line's jitter buffer, see `CarrierBuffer`.
        big_endian: the byte order of L16.
        swap_every: every so many messages of media are overtaken by the next one; 0: none.
        first_chunk: the number of the first message of media; another than 1 on a socket that was opened again.
    """

    COMMANDS = (_Media, _Mark, _Clear)
    unreadable = Fault.MALFORMED

    def __init__(
        self,
        call_id: str,
        recording: CallRecording,
        audio: AudioFormat = MULAW_8K,
        *,
        parameters: Mapping[str, str] | None = None,
        buffer_ms: float = 40.0,
        big_endian: bool = True,
        swap_every: int = 0,
        first_chunk: int = 1,
    ) -> None:
        super().__init__(recording, audio, buffer_ms=buffer_ms, big_endian=big_endian)
        self.call_id = call_id
        self.stream_id = str(uuid4())
        self.parameters = dict(parameters or {})
        self._swap_every = swap_every
        self._chunk, self._sequence = first_chunk - 1, 0
        self._overtaken: list[Message] = []

    # -- what Telnyx sends -----------------------------------------------------------------------------------

    def opening(self) -> list[Message]:
        """The greeting, and what binds the stream to its call."""
        return [text(event="connected", version="1.0.0"), self.start()]

    def start(self) -> str:
        """The message that binds the stream to its call."""
        start: dict[str, object] = {
            "user_id": "3e6f995f-85f7-4705-9741-53b116d28237",
            "call_control_id": self.call_id,
            "media_format": {
                "encoding": _CODECS[self.wire_format.encoding],
                "sample_rate": self.wire_format.rate_hz,
                "channels": 1,
            },
        }
        if self.parameters:
            start["custom_parameters"] = self.parameters
        return self._numbered("start", start=start)

    def voice(self, frame: bytes) -> list[Message]:
        """The next 20 ms of the caller, and what it overtook."""
        payload = self.encoded(frame)
        if not payload:
            return []
        self._chunk += 1
        media = {
            "track": "inbound",
            "chunk": str(self._chunk),
            "timestamp": str((self._chunk - 1) * SLOT_MS),
            "payload": payload,
        }
        message = self._numbered("media", media=media)
        if self._swap_every and self._chunk % self._swap_every == 0 and not self._overtaken:
            self._overtaken.append(message)
            return []
        overtaken, self._overtaken = self._overtaken, []
        return [message, *overtaken]

    def digit(self, now_ms: float, digit: str) -> list[Message]:
        """A key pressed by the caller."""
        self.press(now_ms, digit)
        return [self._numbered("dtmf", occurred_at=datetime.now(UTC).isoformat(), dtmf={"digit": digit})]

    def stop(self) -> list[Message]:
        """The end of the stream, because the caller hung up."""
        return [*self._overtaken, self._numbered("stop", stop={"call_control_id": self.call_id})]

    def _numbered(self, event: str, **body: object) -> str:
        self._sequence += 1
        head = {"event": event, "sequence_number": str(self._sequence), "stream_id": self.stream_id}
        return text(**head, **body)

    # -- what Telnyx does with what it gets ------------------------------------------------------------------

    def obey(self, now_ms: float, command: Any) -> list[Message]:
        """Play, remember a mark, or throw all away."""
        if isinstance(command, _Media):
            self._play(now_ms, command.media.payload)
            return []
        if isinstance(command, _Mark):
            return self.mark(now_ms, command.mark.name)
        return [self._echo(now_ms, name, cleared=True) for name in self.clear(now_ms)]

    def _play(self, now_ms: float, payload: bytes) -> None:
        ms = self.wire_format.ms_in(len(payload))
        if not _SHORTEST_MS <= ms <= _LONGEST_MS or len(payload) % self.wire_format.sample_bytes:
            raise Rejected(Fault.INVALID_MEDIA, f"{ms:g} ms of audio in one message")
        if not self.queue(now_ms, payload):
            raise Rejected(Fault.UNKNOWN, "more is queued than a line holds")

    def refused(self, now_ms: float, rejected: Rejected) -> list[Message]:
        """The error event."""
        fault = Fault(rejected.code)
        payload = {"code": int(fault), "title": _TITLES[fault], "detail": rejected.detail}
        return [text(event="error", stream_id=self.stream_id, payload=payload)]

    def played(self, at_ms: float, name: str) -> Message:
        """The mark, come back."""
        return self._echo(at_ms, name)

    def _echo(self, at_ms: float, name: str, *, cleared: bool = False) -> str:
        self.recording.note(MarkEchoed(at_ms=at_ms, name=name, cleared=cleared))
        return self._numbered("mark", mark={"name": name})


class TelnyxExchange(Exchange):
    """Telnyx, for the length of one call; `section` is a `TelnyxConfig` whose key is `PUBLIC_KEY`."""

    name = "telnyx"
    #: See `TelnyxLine`.
    swap_every: ClassVar[int] = 0
    section: TelnyxConfig
    _redirect = ""
    _stream_id = ""

    def announce(self) -> HttpAsk:
        """The webhook of a TeXML call; for one of Call Control see `call_initiated`."""
        return self._post(self.addresses.answer_url, {"CallStatus": "ringing"})

    def call_initiated(self) -> HttpAsk:
        """The webhook of a Call Control call. Its answer goes through REST: see `stream_order`."""
        payload = {
            "call_control_id": self.call_id,
            "connection_id": "1234567890",
            "direction": "incoming",
            "from": self.plan.from_number,
            "to": self.plan.to_number,
            "state": "parked",
            "client_state": None,
        }
        data = {"record_type": "event", "event_type": "call.initiated", "payload": payload}
        return self._signed(
            self.addresses.answer_url, json.dumps({"data": data}).encode(), "application/json"
        )

    def understand(self, answer: Answer | None) -> StreamOrder | None:
        """The stream in the TeXML, in the codec that it asks for."""
        if answer is None or (order := parse_twiml(answer.body).stream) is None:
            return None
        attributes = _stream_attributes(answer.body)
        if attributes.get("bidirectionalMode") != "rtp":
            raise ProtocolError(
                "without bidirectionalMode rtp nothing is played", peer="bridge", kind="bad_texml"
            )
        verbs = parse_twiml(answer.body).verbs
        self._redirect = next((verb.text for verb in verbs if verb.name == "Redirect"), "")
        codec = attributes.get("bidirectionalCodec", "PCMU")
        rate_hz = int(attributes.get("bidirectionalSamplingRate", "8000"))
        return replace(order, audio=_audio(codec, rate_hz))

    def verbs(self, answer: Answer) -> tuple[Verb, ...]:
        """The verbs after it."""
        return parse_twiml(answer.body).verbs

    def line(self, order: StreamOrder, recording: CallRecording) -> TelnyxLine:
        """Telnyx's end of the stream."""
        misbehaviour = self.plan.misbehaviour
        # The call is known by the parameter where there is one: a liar lies in both places.
        parameters = {**order.parameters}
        if misbehaviour.start_call_sid and "call_id" in parameters:
            parameters["call_id"] = misbehaviour.start_call_sid
        line = TelnyxLine(
            misbehaviour.start_call_sid or self.call_id,
            recording,
            order.audio,
            parameters=parameters,
            buffer_ms=self.plan.buffer_ms,
            big_endian=self.section.l16_byte_order == "big",
            swap_every=self.swap_every,
        )
        self._stream_id = line.stream_id
        return line

    def status(self, order: StreamOrder, event: str, error: str = "") -> HttpAsk | None:
        """The stream's status callback, if the TeXML asked for one."""
        if not order.status_callback:
            return None
        told = {"error": "stream-failed"}.get(event, f"stream-{event}")
        return self._post(order.status_callback, {"StreamEvent": told, "StreamSid": self._stream_id}, error)

    def ended(self, order: StreamOrder, *, hung_up: bool, error: str = "") -> HttpAsk | None:
        """The ``<Redirect>`` after ``<Connect>``: followed as long as there is a caller."""
        if not self._redirect or hung_up:
            return None
        return self._post(self._redirect, {"CallStatus": "in-progress"}, error)

    def _post(self, url: str, fields: Mapping[str, str], error: str = "") -> HttpAsk:
        form = self._form() | dict(fields) | ({"StreamError": error} if error else {})
        body = urlencode(form).encode("ascii")
        return self._signed(self.addresses.absolute(url), body, "application/x-www-form-urlencoded")

    def _signed(self, url: str, body: bytes, content_type: str) -> HttpAsk:
        headers = signed_headers(body, time.time(), self.plan.misbehaviour.webhook_signature)
        return HttpAsk(url, "POST", {**headers, "Content-Type": content_type}, body)

    def _form(self) -> dict[str, str]:
        plan = self.plan
        return {
            "AccountSid": SOME_ACCOUNT,
            "CallSid": self.call_id,
            "CallSidLegacy": self.call_id,
            "CallStatus": "in-progress",
            "ConnectionId": "1234567890",
            "Direction": "inbound",
            "From": plan.from_number,
            "To": plan.to_number,
        }


class TelnyxControlExchange(TelnyxExchange):
    """Telnyx with Call Control: the webhook is an event, and the bridge answers the call through REST."""

    def announce(self) -> HttpAsk:
        """``call.initiated``."""
        return self.call_initiated()

    def understand(self, answer: Answer | None) -> StreamOrder | None:
        """Nothing: the answer to an event is not read."""
        return None

    def verbs(self, answer: Answer) -> tuple[Verb, ...]:
        """None."""
        return ()

    def commanded(self, request: RestRequest) -> StreamOrder | None:
        """The stream of the command that answers the call."""
        return stream_order(request.body) if b'"stream_url"' in request.body else None


EXCHANGE = TelnyxExchange


class _Command(Struct):
    """What a command of Call Control says about a stream."""

    stream_url: str
    stream_bidirectional_mode: str = "mp3"
    stream_bidirectional_codec: str = "PCMU"
    stream_bidirectional_sampling_rate: int = 8000


def stream_order(body: bytes) -> StreamOrder:
    """The stream that a Call Control command (``answer``, ``streaming_start``) asks for.

    Raises:
        ProtocolError: Telnyx would refuse it, or play nothing.
    """
    try:
        command = msgspec.json.decode(body, type=_Command)
    except msgspec.DecodeError as error:
        raise ProtocolError(str(error), peer="bridge", kind="bad_command") from error
    if command.stream_bidirectional_mode != "rtp":
        raise ProtocolError("without mode rtp nothing is played", peer="bridge", kind="bad_command")
    audio = _audio(command.stream_bidirectional_codec, command.stream_bidirectional_sampling_rate)
    return StreamOrder(command.stream_url, audio=audio)


def signed_headers(body: bytes, now_s: float, signature: Signature = Signature.VALID) -> dict[str, str]:
    """The headers that prove to the bridge who is asking, or do not."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if signature is Signature.ABSENT:
        return {}
    seed = _SEED if signature is Signature.VALID else hashlib.sha256(_SEED).digest()
    signed_at = str(int(now_s))
    made = Ed25519PrivateKey.from_private_bytes(seed).sign(signed_at.encode("ascii") + b"|" + body)
    return {SIGNATURE_HEADER: b64encode(made).decode("ascii"), TIMESTAMP_HEADER: signed_at}


def _stream_attributes(body: str) -> dict[str, str]:
    stream = ElementTree.fromstring(body.strip()).find("Connect/Stream")  # noqa: S314 - expat bounds expansion
    return dict(stream.attrib) if stream is not None else {}


def _audio(codec: str, rate_hz: int) -> AudioFormat:
    if codec not in _ENCODINGS or (codec != "L16" and rate_hz != MULAW_8K.rate_hz):
        raise ProtocolError(f"{codec} at {rate_hz} Hz is not simulated", peer="bridge", kind="bad_codec")
    return AudioFormat(_ENCODINGS[codec], rate_hz)
