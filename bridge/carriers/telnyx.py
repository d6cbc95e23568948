"""Telnyx: TeXML and Call Control, `rtp` media both ways, Ed25519 on webhooks.

Strategy, besides what `dialect`, `json_dialect` and `carrier` promise:

- One webhook serves both APIs: a form is TeXML and is answered with XML; JSON is Call Control and is answered through
  REST, once the 200 is on its way.
- Telnyx does not promise the order of media: `Reorder` puts it right, and waits for 200 ms at most.
- The token travels in the path of the stream's address. Under which key parameters come back is not certain, and the
  command that answers a call takes none.
- Telnyx opens a dropped socket again, perhaps one that we closed: a call is ended through REST where there is a key.

Facts, from developers.telnyx.com: voice/programmable-voice/media-streaming, texml-verbs/stream, texml-verbs/connect,
api-reference/websockets/stream-call-media-over-websocket, call-commands, callbacks/texml-call-initiated; and the types
of the `telnyx` package.
"""

from __future__ import annotations

import re
from base64 import b64encode
from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from bridge.carriers.carrier import (
    Capabilities,
    Carrier,
    Direction,
    Ended,
    Ending,
    How,
    IncomingCall,
    Reply,
    Setting,
    StreamStatus,
    StreamUrls,
    Upgrade,
    Webhook,
    form_value,
)
from bridge.carriers.dialect import Audio, Connected, Digit, Event, Ignored, MarkPlayed, Started, Stopped
from bridge.carriers.ed25519 import require_signed
from bridge.carriers.json_dialect import POLICY_VIOLATION, JsonDialect, Kind, Wire
from bridge.carriers.markup import document, plain, response, verb
from bridge.carriers.reorder import Reorder
from bridge.carriers.rest import Plan, ask
from bridge.carriers.telnyx_api import CALL_CONTROL_APPLICATION, TEXML_APPLICATION, TelnyxApi, call_event
from bridge.config_tree import Section
from bridge.errors import ProtocolError
from bridge.secret import Secret
from telephony_codecs.formats import ALAW_8K, MULAW_8K, PCM16_8K, AudioFormat, Encoding

NAME: Final = "telnyx"
SIGNATURE_HEADER: Final = "telnyx-signature-ed25519"
TIMESTAMP_HEADER: Final = "telnyx-timestamp"
#: How old a signature may be, and how far ahead of our clock.
TOLERANCE_S: Final = 300

#: `IncomingCall.detail`: which of the two APIs the call is of.
TEXML: Final = "texml"
CALL_CONTROL: Final = "call_control"
#: The ``client_state`` of the calls that we place: how their events are told from those of others.
OUR_CALL: Final = b64encode(b"placed by the bridge").decode("ascii")
#: `<Parameter>` that says by which id the webhook knows the call; ``start`` may know it by another.
CALL_PARAMETER: Final = "call_id"

_CALL_ID: Final = r"\A[0-9A-Za-z:_.~+=-]{1,200}\Z"
_STREAM_ID: Final = r"\A[0-9A-Za-z_-]{1,64}\Z"
_MAX_FIELD_CHARS: Final = 400
_ENCODINGS: Final = {"PCMU": Encoding.MULAW, "PCMA": Encoding.ALAW, "L16": Encoding.PCM16}
_L16_RATES_HZ: Final = (8000, 16000, 24000, 48000)
_STREAM_EVENTS: Final[dict[str, StreamStatus]] = {
    "stream-started": "started",
    "stream-stopped": "stopped",
    "stream-failed": "error",  # one page has this name, another the next
    "stream-error": "error",
    "streaming.started": "started",
    "streaming.stopped": "stopped",
    "streaming.failed": "error",
}
_APOLOGY: Final = "We are sorry, the line failed on our side. Please call again in a moment."

# -- messages received -----------------------------------------------------------------------------

_Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]


class _OfStream(Wire, kw_only=True, gc=False):
    stream_id: str = ""


class _Connected(Wire, tag="connected"):
    pass


class _MediaFormat(Struct):
    encoding: str = "PCMU"
    sample_rate: int = 8000
    channels: Annotated[int, Meta(ge=1, le=1)] = 1


class _Pair(Struct):
    name: str
    value: str


_Parameters: TypeAlias = dict[str, str] | list[_Pair] | None


class _StartBody(Struct):
    call_control_id: Annotated[str, Meta(pattern=_CALL_ID)]
    media_format: _MediaFormat = msgspec.field(default_factory=_MediaFormat)
    custom_parameters: _Parameters = None
    customParameters: _Parameters = None


class _Start(_OfStream, tag="start", kw_only=True):
    stream_id: Annotated[str, Meta(pattern=_STREAM_ID)]
    start: _StartBody


class _MediaBody(Struct, gc=False):
    payload: bytes
    track: str = "inbound"
    chunk: _Count = -1  # not told
    timestamp: _Count = 0


class _Media(_OfStream, tag="media", kw_only=True, gc=False):
    media: _MediaBody


class _DtmfBody(Struct):
    digit: Literal["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "#", "A", "B", "C", "D"]


class _Dtmf(_OfStream, tag="dtmf", kw_only=True):
    dtmf: _DtmfBody


class _MarkBody(Struct):
    name: str


class _Mark(_OfStream, tag="mark", kw_only=True):
    mark: _MarkBody


class _ErrorBody(Struct):
    code: int = 0


class _Error(_OfStream, tag="error", kw_only=True):
    payload: _ErrorBody = msgspec.field(default_factory=_ErrorBody)


class _Stop(_OfStream, tag="stop"):
    pass


# -- dialect ---------------------------------------------------------------------------------------

_FOREIGN_STREAM: Final = Ignored("foreign_stream")
_OUTBOUND_TRACK: Final = Ignored("outbound_track")
_UNKNOWN_ERROR: Final = Ignored("error_unknown")
#: Unknown fault, malformed frame, not base64, too many messages.
_ERRORS: Final = {code: Ignored(f"error_{code}") for code in (100002, 100003, 100004, 100005)}


class TelnyxDialect(JsonDialect):
    """The media socket of one Telnyx call; see `bridge.carriers.dialect.Dialect`.

    Args:
        outbound: what we send, as the answer asked for it; what Telnyx sends is told in ``start``.
        big_endian: the byte order of L16 on the wire.
    """

    carrier = NAME
    KINDS: ClassVar[Mapping[type[Struct], Kind]] = {
        _Media: Kind.MEDIA,
        _Dtmf: Kind.DTMF,
        _Mark: Kind.MARK,
        _Connected: Kind.CONNECTED,
        _Start: Kind.START,
        _Error: Kind.CONTROL,
        _Stop: Kind.STOP,
    }

    def __init__(self, outbound: AudioFormat = MULAW_8K, *, big_endian: bool = True) -> None:
        super().__init__()
        self.outbound_format = outbound
        self._big_endian = big_endian
        self._swap_in = False
        self._swap_out = big_endian and outbound.encoding is Encoding.PCM16
        self._stream_id = ""
        self._in_order = Reorder()

    def audio(self, payload: bytes) -> bytes:
        """The message that plays one packet."""
        payload = _swapped(payload) if self._swap_out else payload
        return b'{"event":"media","media":{"payload":"' + b2a_base64(payload, newline=False) + b'"}}'

    def mark(self, name: str) -> Sequence[bytes]:
        """The message that asks for `MarkPlayed(name)` once everything before it is played, or cleared."""
        return (b'{"event":"mark","mark":{"name":' + msgspec.json.encode(name) + b"}}",)

    def clear(self) -> Sequence[bytes]:
        """The message that empties Telnyx's buffer. All marks that are pending come back at once."""
        return (b'{"event":"clear"}',)

    def _start(self, wire: _Start) -> Started:
        start = wire.start
        self._format(start.media_format)
        parameters = _pairs(start.custom_parameters) | _pairs(start.customParameters)
        told = parameters.get(CALL_PARAMETER, "")
        # `user_id` is neither the AccountSid of TeXML nor the connection_id of Call Control: not to be held against it.
        return Started(
            call_id=told if re.match(_CALL_ID, told) else start.call_control_id,
            stream_id=wire.stream_id,
            parameters=parameters,
        )

    def _opened(self, wire: _Start, started: Started) -> None:
        self._stream_id = started.stream_id
        self.inbound_format = self._format(wire.start.media_format)
        self._swap_in = self._big_endian and self.inbound_format.encoding is Encoding.PCM16

    def _format(self, told: _MediaFormat) -> AudioFormat:
        encoding, rate_hz = _ENCODINGS.get(told.encoding), told.sample_rate
        if encoding is None or rate_hz not in (_L16_RATES_HZ if encoding is Encoding.PCM16 else (8000,)):
            raise self._broken(
                f"the caller comes as {told.encoding[:20]!r} at {rate_hz} Hz; allow PCMU and PCMA alone on the number's"
                " connection",
                "bad_format",
                POLICY_VIOLATION,
            )
        return AudioFormat(encoding, rate_hz)

    def _event(self, wire: Any) -> Event:
        if isinstance(wire, _Connected):
            return Connected()
        if wire.stream_id != self._stream_id and wire.stream_id:
            return _FOREIGN_STREAM
        if isinstance(wire, _Media):
            return self._media(wire.media)
        if isinstance(wire, _Dtmf):
            return Digit(wire.dtmf.digit)
        if isinstance(wire, _Mark):
            return MarkPlayed(wire.mark.name)
        return _ERRORS.get(wire.payload.code, _UNKNOWN_ERROR) if isinstance(wire, _Error) else Stopped()

    def _media(self, media: _MediaBody) -> Event:
        if media.track != "inbound":
            return _OUTBOUND_TRACK
        payload = media.payload
        if self._swap_in:
            if len(payload) % 2:
                raise self._broken("half a sample of L16", "bad_message")
            payload = _swapped(payload)
        audio = Audio(payload, media.timestamp)
        return audio if media.chunk < 0 else self._in_order.take(media.chunk, audio)

    def _is_foreign(self, wire: Any) -> bool:
        return isinstance(wire, _Stop) and bool(wire.stream_id) and wire.stream_id != self._stream_id


def _swapped(pcm: bytes) -> bytes:
    from telephony_codecs.pcm import swap_bytes  # needs numpy, which only L16 is worth

    return swap_bytes(pcm)


def _pairs(parameters: _Parameters) -> dict[str, str]:
    if isinstance(parameters, list):
        return {pair.name: pair.value for pair in parameters}
    return parameters or {}


# -- carrier ---------------------------------------------------------------------------------------


class TelnyxConfig(Section, frozen=True):
    """``[carriers.telnyx]``."""

    #: No secret, but what everything is believed by. Base64 of 32 bytes.
    public_key: Secret = msgspec.field(default_factory=Secret)
    #: Of the REST API: for Call Control, hanging up, transfers, keys, calls that we place.
    api_key: Secret = msgspec.field(default_factory=Secret)
    #: The Call Control application, by its id.
    connection_id: str = ""
    #: The TeXML application, by its id.
    texml_application_id: str = ""
    #: What we send, and ask to be sent.
    codec: Literal["PCMU", "PCMA", "L16"] = "PCMU"
    #: Of L16 alone.
    rate_hz: Literal[8000, 16000] = 8000
    #: Of L16 alone: network order is what others report, no page says so.
    l16_byte_order: Literal["big", "little"] = "big"
    #: Where REST requests go; a stand-in's.
    api_url: str = "https://api.telnyx.com"

    @property
    def audio(self) -> AudioFormat:
        """What we send."""
        return AudioFormat(_ENCODINGS[self.codec], self.rate_hz if self.codec == "L16" else 8000)


class Telnyx(Carrier):
    """Telnyx as a `bridge.carriers.carrier.Carrier`."""

    name = NAME
    title = "Telnyx"
    section = TelnyxConfig
    capabilities = Capabilities(
        formats=(MULAW_8K, ALAW_8K, PCM16_8K, AudioFormat(Encoding.PCM16, 16000)),
        send_digits=How.REST,
        hang_up=How.REST,
        transfer=How.REST,
        place_calls=How.REST,
        token="path",  # noqa: S106 - a place, not a token
        signed="Ed25519 over time and body, webhooks",
    )
    reconnects = True

    _config: TelnyxConfig

    def __init__(self, config: TelnyxConfig) -> None:
        super().__init__(config)
        self._api = TelnyxApi(config.api_url, config.api_key)

    def missing(self) -> list[tuple[str, str]]:
        """Without the public key nothing can be verified."""
        return (
            []
            if self._config.public_key
            else [("public_key", "without it no call can be told from a forgery.")]
        )

    # -- the gate --------------------------------------------------------------------------------------

    def verify_webhook(self, webhook: Webhook) -> None:
        """Raises Refused unless Telnyx signed this body within the last five minutes."""
        require_signed(
            self._config.public_key,
            webhook,
            signature_header=SIGNATURE_HEADER,
            timestamp_header=TIMESTAMP_HEADER,
            tolerance_s=TOLERANCE_S,
            setting="carriers.telnyx.public_key",
        )

    def verify_upgrade(self, upgrade: Upgrade) -> None:
        """Telnyx signs no upgrades: the token in the path must do."""

    # -- webhooks --------------------------------------------------------------------------------------

    def incoming(self, webhook: Webhook) -> IncomingCall | None:
        """The call that a TeXML form or a Call Control event announces; None of any other event."""
        if webhook.is_json:
            return _announced(webhook.body)
        form = webhook.form
        return IncomingCall(
            call_id=_checked(form_value(form, "CallSid"), "CallSid"),
            account_id=plain(form_value(form, "AccountSid"), _MAX_FIELD_CHARS),
            from_number=plain(form_value(form, "From"), _MAX_FIELD_CHARS),
            to_number=plain(form_value(form, "To"), _MAX_FIELD_CHARS),
            direction="outbound" if form_value(form, "Direction").startswith("outbound") else "inbound",
            detail=TEXML,
        )

    def answer(self, call: IncomingCall, urls: StreamUrls, token: str) -> Reply:
        """TeXML that opens the stream and then asks us what is next; of Call Control a command, after the 200."""
        if call.detail == CALL_CONTROL:
            return Reply("", "text/plain", then=self._take(call, urls, token))
        config = self._config
        stream = verb(
            "Stream",
            url=f"{urls.media}/{token}",
            track="inbound_track",
            codec=config.codec,
            bidirectionalMode="rtp",  # else it would be mp3, and what we send silence
            bidirectionalCodec=config.codec,
            bidirectionalSamplingRate=str(config.audio.rate_hz),
            enableReconnect="true",
            statusCallback=urls.status,
            statusCallbackMethod="POST",
        )
        stream.append(verb("Parameter", name=CALL_PARAMETER, value=call.call_id))
        connect = verb("Connect")
        connect.append(stream)
        return response(connect, verb("Redirect", urls.ended, method="POST"))

    def _take(self, call: IncomingCall, urls: StreamUrls, token: str) -> Plan[None]:
        """Answer the call with a stream; one that we placed has been answered, and is given its stream."""
        audio = self._config.audio
        body: dict[str, object] = {
            "stream_url": f"{urls.media}/{token}",
            "stream_track": "inbound_track",
            "stream_codec": self._config.codec,
            "stream_bidirectional_mode": "rtp",
            "stream_bidirectional_codec": self._config.codec,
            "stream_bidirectional_sampling_rate": audio.rate_hz,
            # The same webhook may come twice: the same command twice is obeyed once.
            "command_id": f"stream-{call.call_id}"[-64:],
        }
        if call.direction == "outbound":
            yield from ask(self._api.action(call.call_id, "start the stream", "streaming_start", body))
        else:
            yield from ask(
                self._api.action(
                    call.call_id, "answer the call", "answer", body | {"webhook_url": urls.status}
                )
            )

    def busy(self) -> Reply:
        """TeXML that gives the caller the busy tone. A Call Control call rings on until Telnyx gives it up."""
        return response(verb("Reject", reason="busy"))

    def ended(self, webhook: Webhook, ended: Ended) -> Reply:
        """TeXML for the time after the stream: connect to somebody else, or hang up, after an apology if need be."""
        if ended.ending is Ending.TRANSFERRED:
            return response(*_dialled(ended.transfer_to))
        lost = ended.ending is Ending.LOST or self.status(webhook) == "error"
        return response(verb("Say", _APOLOGY), verb("Hangup")) if lost else response(verb("Hangup"))

    def status(self, webhook: Webhook) -> StreamStatus:
        """What a status callback, or an event of Call Control, says of the stream."""
        told = (
            call_event(webhook.body).event_type
            if webhook.is_json
            else form_value(webhook.form, "StreamEvent")
        )
        return _STREAM_EVENTS.get(told, "unknown")

    def dialect(self, upgrade: Upgrade) -> TelnyxDialect:
        """A fresh dialect, for one media socket."""
        return TelnyxDialect(self._config.audio, big_endian=self._config.l16_byte_order == "big")

    # -- call control ----------------------------------------------------------------------------------

    def hang_up(self, call: IncomingCall) -> Plan[None] | None:
        """Through REST; by closing alone a TeXML call without an API key, which Telnyx may take for a fault."""
        if call.detail == CALL_CONTROL:
            return self._api.end(self._api.action(call.call_id, "hang up", "hangup", {}))
        if not self._config.api_key:
            return None
        return self._api.end(self._api.texml(call, "hang up", {"Status": "completed"}))

    def transfer(self, call: IncomingCall, to: str, urls: StreamUrls) -> Plan[None] | None:
        """A command, or new TeXML; without an API key by the answer to ``ended``."""
        if call.detail == CALL_CONTROL:
            return self._api.do(self._api.action(call.call_id, "transfer the call", "transfer", {"to": to}))
        if not self._config.api_key:
            return None
        texml = document(*_dialled(to))
        return self._api.do(self._api.texml(call, "transfer the call", {"Texml": texml}))

    def send_digits(self, call: IncomingCall, digits: str) -> Plan[None]:
        """A command, for calls of both APIs."""
        return self._api.do(self._api.action(call.call_id, "send keys", "send_dtmf", {"digits": digits}))

    def place_call(self, to: str, from_number: str, urls: StreamUrls) -> Plan[str]:
        """A call through the Call Control application; its stream is opened when it has been answered."""
        call = {"to": to, "from": from_number, "webhook_url": urls.answer, "client_state": OUR_CALL}
        return self._api.dial(self._config.connection_id, call)

    # -- installation ----------------------------------------------------------------------------------

    def settings(self, number: str, urls: StreamUrls) -> Sequence[Setting]:
        """An application with our webhook, and the number on it."""
        config = self._config
        texml = bool(config.texml_application_id) or not config.connection_id
        kind = "TeXML application" if texml else "Call Control application"
        return (
            Setting(f"Voice > {kind} > Webhook URL", f"{urls.answer}, POST, API v2"),
            Setting(f"Voice > {kind} > Inbound > Codecs", "G711U and G711A alone"),
            Setting(f"Numbers > My Numbers > {number} > Connection or application", f"that {kind}"),
        )

    def set_up(self, number: str, urls: StreamUrls) -> Plan[list[str]]:
        """Give the application our webhook, and the number to the application."""
        if application_id := self._config.texml_application_id:
            yield from self._api.set_webhook(TEXML_APPLICATION, application_id, urls.answer)
        else:
            application_id = self._config.connection_id
            yield from self._api.set_webhook(CALL_CONTROL_APPLICATION, application_id, urls.answer)
        yield from self._api.assign(number, application_id)
        return [
            f"application {application_id}: a call that comes in is answered by {urls.answer}",
            f"{number}: belongs to application {application_id}",
        ]

    def check(self) -> Plan[str] | None:
        """Ask for the balance: there is nothing smaller that needs the key."""
        return self._api.balance() if self._config.api_key else None


CARRIER = Telnyx


def _announced(body: bytes) -> IncomingCall | None:
    event = call_event(body)
    payload = event.payload
    placed = event.event_type == "call.answered" and payload.client_state == OUR_CALL
    came_in = event.event_type == "call.initiated" and payload.direction != "outgoing"
    if not (placed or came_in):
        return None
    direction: Direction = "outbound" if placed else "inbound"
    return IncomingCall(
        call_id=_checked(payload.call_control_id, "call_control_id"),
        account_id=plain(payload.connection_id or "", _MAX_FIELD_CHARS),
        from_number=plain(payload.from_ or "", _MAX_FIELD_CHARS),
        to_number=plain(payload.to or "", _MAX_FIELD_CHARS),
        direction=direction,
        detail=CALL_CONTROL,
    )


def _checked(call_id: str, field: str) -> str:
    if not re.match(_CALL_ID, call_id):
        raise ProtocolError(f"{field} is missing, repeated or malformed", peer=NAME, kind="bad_webhook")
    return call_id


def _dialled(to: str) -> tuple[Any, Any]:
    return verb("Dial", plain(to, _MAX_FIELD_CHARS)), verb("Hangup")
