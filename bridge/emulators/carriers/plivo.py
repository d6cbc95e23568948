"""Plivo: its webhooks, the messages it sends on a stream, what it does with those it gets. No I/O.

Strategy, besides what `exchange` and `carrier_line` promise:

- A message plays 20 ms at most, in the format of the stream, and says so; a larger one is an `incorrectPayload`, as
  Plivo's own example has it.
- A checkpoint comes back when it was played. One that a `clearAudio` threw away never does.
- Closing the socket is the end of a stream: there is no message for it.

Facts, from plivo.com/docs: voice/xml/audio-stream, voice/xml/stream/*; plivo-stream-sdk-java.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, ClassVar, Final
from urllib.parse import urlencode
from uuid import uuid4
from xml.etree import ElementTree

from msgspec import Struct

from bridge.carriers.plivo import NONCE_HEADER, SIGNATURE_HEADERS, PlivoConfig, sign
from bridge.emulators.caller_webhooks import Answer, Signature
from bridge.emulators.carrier_buffer import SLOT_MS
from bridge.emulators.carrier_line import Message
from bridge.emulators.exchange import Exchange, HttpAsk
from bridge.emulators.json_line import JsonLine, Rejected, text
from bridge.emulators.recording import CallRecording, MarkEchoed
from bridge.emulators.twiml import StreamOrder, Verb
from bridge.errors import ProtocolError
from telephony_codecs.formats import MULAW_8K, AudioFormat, Encoding

SOME_ACCOUNT: Final = "MA" + "0" * 18
#: Of every request for a call: it is not the call's own.
REQUEST_ID: Final = "9834029e-58b6-11e1-b8b7-a5bd0e4e126f"

_FORMATS: Final = {
    "audio/x-mulaw;rate=8000": MULAW_8K,
    "audio/x-l16;rate=8000": AudioFormat(Encoding.PCM16, 8000),
    "audio/x-l16;rate=16000": AudioFormat(Encoding.PCM16, 16000),
}
_CONTENT_TYPES: Final = {Encoding.MULAW: "audio/x-mulaw", Encoding.PCM16: "audio/x-l16"}
_BEGAN_MS: Final = 1_705_312_200_000  # of unix time, as the newer pages have it


class _Audio(Struct, frozen=True, forbid_unknown_fields=True):
    contentType: str
    sampleRate: int
    payload: bytes


class _PlayAudio(Struct, frozen=True, forbid_unknown_fields=True, tag_field="event", tag="playAudio"):
    media: _Audio
    streamId: str = ""


class _Checkpoint(Struct, frozen=True, forbid_unknown_fields=True, tag_field="event", tag="checkpoint"):
    streamId: str
    name: str


class _ClearAudio(Struct, frozen=True, forbid_unknown_fields=True, tag_field="event", tag="clearAudio"):
    streamId: str


class _SendDtmf(Struct, frozen=True, forbid_unknown_fields=True, tag_field="event", tag="sendDTMF"):
    dtmf: str


class PlivoLine(JsonLine):
    """One media stream, seen from Plivo.

    Args:
        call_id: the ``CallUUID``.
        recording: takes both tracks and every event.
        audio: what is on the wire, both ways.
        account_id: whose call it is.
        buffer_ms: the line's jitter buffer, see `CarrierBuffer`.
    """

    COMMANDS = (_PlayAudio, _Checkpoint, _ClearAudio, _SendDtmf)

    def __init__(
        self,
        call_id: str,
        recording: CallRecording,
        audio: AudioFormat = MULAW_8K,
        *,
        account_id: str = SOME_ACCOUNT,
        buffer_ms: float = 40.0,
    ) -> None:
        super().__init__(recording, audio, buffer_ms=buffer_ms)
        self.call_id, self.account_id = call_id, account_id
        self.stream_id = str(uuid4())
        #: Keys that the bridge pressed towards the caller.
        self.digits_sent = ""
        self._sequence = self._chunk = 0

    # -- what Plivo sends ------------------------------------------------------------------------------------

    def opening(self) -> list[Message]:
        """What binds the stream to its call; no greeting comes before it."""
        start = {
            "callId": self.call_id,
            "streamId": self.stream_id,
            "accountId": self.account_id,
            "tracks": ["inbound"],
            "mediaFormat": {
                "encoding": _CONTENT_TYPES[self.wire_format.encoding],
                "sampleRate": self.wire_format.rate_hz,
            },
        }
        return [text(event="start", sequenceNumber=self._count(), start=start, extra_headers="{}")]

    def voice(self, frame: bytes) -> list[Message]:
        """The next 20 ms of the caller."""
        payload = self.encoded(frame)
        if not payload:
            return []
        self._chunk += 1
        media = {
            "track": "inbound",
            "timestamp": str(_BEGAN_MS + (self._chunk - 1) * SLOT_MS),
            "chunk": self._chunk,
            "payload": payload,
        }
        return [self._of_stream("media", media=media, extra_headers="{}")]

    def digit(self, now_ms: float, digit: str) -> list[Message]:
        """A key pressed by the caller."""
        self.press(now_ms, digit)
        dtmf = {"track": "inbound", "digit": digit, "timestamp": str(_BEGAN_MS + int(now_ms))}
        return [self._of_stream("dtmf", dtmf=dtmf)]

    def _of_stream(self, event: str, **body: object) -> str:
        return text(event=event, sequenceNumber=self._count(), streamId=self.stream_id, **body)

    def _count(self) -> int:
        self._sequence += 1
        return self._sequence

    # -- what Plivo does with what it gets -------------------------------------------------------------------

    def obey(self, now_ms: float, command: Any) -> list[Message]:
        """Play, remember a checkpoint, throw all away, or press keys."""
        if getattr(command, "streamId", "") not in ("", self.stream_id):
            raise Rejected(self.unreadable, "the streamId is of another stream")
        if isinstance(command, _PlayAudio):
            self._play(now_ms, command.media)
            return []
        if isinstance(command, _Checkpoint):
            return self.mark(now_ms, command.name)
        if isinstance(command, _SendDtmf):
            self.digits_sent += command.dtmf
            return []
        self.clear(now_ms)
        return [text(event="clearedAudio", sequenceNumber=0, streamId=self.stream_id)]

    def _play(self, now_ms: float, media: _Audio) -> None:
        wire = self.wire_format
        if (media.contentType, media.sampleRate) != (_CONTENT_TYPES[wire.encoding], wire.rate_hz):
            raise Rejected(0, f"{media.contentType} at {media.sampleRate} Hz on a stream of {wire}")
        if not 0 < len(media.payload) <= wire.bytes_in(SLOT_MS):
            raise Rejected(0, f"{len(media.payload)} bytes of audio in one message", "incorrectPayload")
        if not self.queue(now_ms, media.payload):
            raise Rejected(0, "more is queued than a line holds")

    def refused(self, now_ms: float, rejected: Rejected) -> list[Message]:
        """The one complaint that Plivo is known to make."""
        return [self._of_stream(rejected.name)] if rejected.name else []

    def played(self, at_ms: float, name: str) -> Message:
        """The checkpoint, reached."""
        self.recording.note(MarkEchoed(at_ms=at_ms, name=name))
        return self._of_stream("playedStream", name=name)


class PlivoExchange(Exchange):
    """Plivo, for the length of one call; `section` is a `PlivoConfig`."""

    name = "plivo"
    section: PlivoConfig
    _redirect = ""
    _stream_id = ""

    @property
    def account_id(self) -> str:
        """Who is called."""
        return self.section.auth_id or SOME_ACCOUNT

    def announce(self) -> HttpAsk:
        """The call's webhook."""
        return self._post(self.addresses.answer_url, {"CallStatus": "ringing", "Event": "StartApp"})

    def announce_by_get(self) -> HttpAsk:
        """The same of an application whose answer method is GET."""
        url = f"{self.addresses.answer_url}?{urlencode(self._form() | {'Event': 'StartApp'})}"
        return HttpAsk(url, "GET", self._headers("GET", url, {}))

    def understand(self, answer: Answer | None) -> StreamOrder | None:
        """The stream in the XML."""
        root = _document(answer.body) if answer is not None else None
        if root is None or (stream := root.find("Stream")) is None:
            return None
        self._redirect = (root.findtext("Redirect") or "").strip()
        return _order(stream)

    def verbs(self, answer: Answer) -> tuple[Verb, ...]:
        """The verbs after it."""
        return tuple(
            Verb(e.tag, dict(e.attrib), (e.text or "").strip())
            for e in _document(answer.body)
            if e.tag != "Stream"
        )

    def line(self, order: StreamOrder, recording: CallRecording) -> PlivoLine:
        """Plivo's end of the stream."""
        call_id = self.plan.misbehaviour.start_call_sid or self.call_id
        line = PlivoLine(
            call_id, recording, order.audio, account_id=self.account_id, buffer_ms=self.plan.buffer_ms
        )
        self._stream_id = line.stream_id
        return line

    def status(self, order: StreamOrder, event: str, error: str = "") -> HttpAsk | None:
        """The stream's status callback, if the XML asked for one."""
        if not order.status_callback:
            return None
        told = {"started": "StartStream", "stopped": "StopStream", "error": "DroppedStream"}[event]
        return self._post(order.status_callback, {"Event": told, "StreamID": self._stream_id})

    def ended(self, order: StreamOrder, *, hung_up: bool, error: str = "") -> HttpAsk | None:
        """The ``<Redirect>`` after the stream: followed as long as there is a caller."""
        if not self._redirect or hung_up:
            return None
        return self._post(self._redirect, {"CallStatus": "in-progress", "Event": "Redirect"})

    def _post(self, url: str, fields: Mapping[str, str]) -> HttpAsk:
        url, form = self.addresses.absolute(url), self._form() | dict(fields)
        headers = self._headers("POST", url, form) | {"Content-Type": "application/x-www-form-urlencoded"}
        return HttpAsk(url, "POST", headers, urlencode(form).encode("ascii"))

    def _headers(self, method: str, url: str, form: Mapping[str, str]) -> dict[str, str]:
        return signed_headers(
            self.section.auth_token.reveal(), method, url, form, self.plan.misbehaviour.webhook_signature
        )

    def _form(self) -> dict[str, str]:
        plan = self.plan
        return {
            "CallStatus": "in-progress",
            "CallUUID": self.call_id,
            "Direction": "inbound",
            "From": plan.from_number,
            "ParentAuthID": self.account_id,
            "To": plan.to_number,
        }


class PlivoPlacedExchange(PlivoExchange):
    """Plivo, when it was asked to place the call: that request has an id of its own, which the webhooks tell."""

    #: What the answer to the request says; `bridge.emulators.carriers.plivo_rest` always the same.
    request_id: ClassVar[str] = REQUEST_ID

    def announce(self) -> HttpAsk:
        """The webhook of a call that the callee has answered."""
        return self._post(self.addresses.answer_url, {"CallStatus": "in-progress", "Event": "StartApp"})

    def _form(self) -> dict[str, str]:
        return super()._form() | {"Direction": "outbound", "ALegRequestUUID": self.request_id}


EXCHANGE = PlivoExchange


def signed_headers(
    token: str, method: str, url: str, form: Mapping[str, str], signature: Signature = Signature.VALID
) -> dict[str, str]:
    """The headers that prove to the bridge who is asking, or do not: two signatures, of which the second is right."""
    if signature is Signature.ABSENT:
        return {}
    key, nonce = token if signature is Signature.VALID else f"not {token}", secrets.token_hex(10)
    older, newer = (sign(k, method, url, form.items(), nonce) for k in (f"the former {key}", key))
    return {SIGNATURE_HEADERS[0]: f"{older},{newer}", NONCE_HEADER: nonce}


def _document(body: str) -> ElementTree.Element:
    try:
        root = ElementTree.fromstring(body.strip())  # noqa: S314 - expat bounds entity expansion itself
    except ElementTree.ParseError as error:
        raise _refused(f"the answer is not XML: {error}") from error
    if root.tag != "Response":
        raise _refused(f"the answer begins with <{root.tag}>, not <Response>")
    return root


def _order(stream: ElementTree.Element) -> StreamOrder:
    content_type, url = stream.get("contentType", ""), (stream.text or "").strip()
    if content_type not in _FORMATS:
        raise _refused(f"contentType {content_type!r}")
    if not url.startswith(("wss://", "ws://")):
        raise _refused(f"a stream goes to wss://, not to {url!r}")
    if stream.get("bidirectional") != "true" or stream.get("keepCallAlive") != "true":
        raise _refused("a stream that plays nothing, or does not hold the call")
    return StreamOrder(url, status_callback=stream.get("statusCallbackUrl", ""), audio=_FORMATS[content_type])


def _refused(reason: str) -> ProtocolError:
    return ProtocolError(reason, peer="bridge", kind="bad_answer")
