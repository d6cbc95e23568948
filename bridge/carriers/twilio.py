"""Twilio: ``<Connect><Stream>`` media, TwiML answers, `X-Twilio-Signature` on webhooks and upgrades.

Strategy, besides what `dialect` and `carrier` promise:

- `receive` is the hot path, 50 messages a second and call: a typed decode, a table look-up, a comparison.
- Every order that messages can come in is in `ORDER`. Only `start` needs a second look, at its ids.
- A stranger gets no patience: before `start`, a message that names no event closes the socket (1008), and so
  does a `start` that cannot be read. During a call a person is listening: what is bad is counted and skipped.
- TwiML is built as a tree, so no caller can write a verb into it, and ends in verbs that run when we cannot.

Facts, from twilio.com/docs: voice/media-streams/websocket-messages, voice/twiml/stream, voice/twiml/connect,
usage/webhooks/webhooks-security.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Final, Literal, TypeAlias
from xml.etree.ElementTree import Element

import msgspec
from msgspec import Meta, Struct

from bridge.carriers.carrier import (
    Ending,
    IncomingCall,
    Reply,
    StreamStatus,
    StreamUrls,
    form_value,
    header_values,
)
from bridge.carriers.dialect import Audio, Connected, Digit, Event, Ignored, MarkPlayed, Started, Stopped
from bridge.carriers.form_signature import require_signature, spellings
from bridge.carriers.markup import plain, response, verb
from bridge.config import TwilioConfig
from bridge.errors import ProtocolError, Refused
from telephony_codecs.formats import MULAW_8K

NAME: Final = "twilio"
SIGNATURE_HEADER: Final = "X-Twilio-Signature"
#: Present when a shared key signed instead of the auth token: ``key=<id>,algorithm=<HMAC_SHA1|HMAC_SHA256>``.
SIGNATURE_SETTINGS_HEADER: Final = "X-Twilio-Webhooks-Signature-Settings"

#: `<Parameter>` names; they come back in ``start.customParameters``.
TOKEN_PARAMETER: Final = "token"  # noqa: S105 - a name, not a token
DIRECTION_PARAMETER: Final = "direction"

POLICY_VIOLATION: Final = 1008

_CALL_ID: Final = r"\ACA[0-9a-fA-F]{32}\Z"
_STREAM_ID: Final = r"\A[0-9A-Za-z_-]{1,64}\Z"
_MAX_PARAMETER_CHARS: Final = 500  # name and value together
_MAX_FIELD_CHARS: Final = 400  # of a number, a name or a SIP address
_MAX_REASON_CHARS: Final = 200
_STREAM_EVENTS: Final[dict[str, StreamStatus]] = {
    "stream-started": "started",
    "stream-stopped": "stopped",
    "stream-error": "error",
}
_APOLOGY: Final = "We are sorry, the line failed on our side. Please call again in a moment."

# -- messages received -----------------------------------------------------------------------------

_Millis: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]


class _Wire(Struct, tag_field="event", gc=False):
    """What Twilio sends, as far as we read it. Numbers come as strings, or not: the decoder takes both."""


class _OfStream(_Wire, gc=False):
    streamSid: str


class _Connected(_Wire, tag="connected"):
    pass


class _MediaFormat(Struct):
    encoding: Literal["audio/x-mulaw"] = "audio/x-mulaw"
    sampleRate: Annotated[int, Meta(ge=8000, le=8000)] = 8000
    channels: Annotated[int, Meta(ge=1, le=1)] = 1


class _StartBody(Struct):
    streamSid: Annotated[str, Meta(pattern=_STREAM_ID)]
    callSid: Annotated[str, Meta(pattern=_CALL_ID)]
    accountSid: str = ""
    tracks: list[str] = []
    customParameters: dict[str, str] = {}
    mediaFormat: _MediaFormat = msgspec.field(default_factory=_MediaFormat)


class _Start(_Wire, tag="start"):
    start: _StartBody


class _MediaBody(Struct, gc=False):
    payload: bytes
    track: str = "inbound"
    timestamp: _Millis = 0


class _Media(_OfStream, tag="media", gc=False):
    media: _MediaBody


class _DtmfBody(Struct):
    digit: Literal["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "#", "A", "B", "C", "D"]


class _Dtmf(_OfStream, tag="dtmf"):
    dtmf: _DtmfBody


class _MarkBody(Struct):
    name: str


class _Mark(_OfStream, tag="mark"):
    mark: _MarkBody


class _Stop(_OfStream, tag="stop"):
    pass


class _Envelope(Struct):
    event: str


_Message: TypeAlias = _Media | _Dtmf | _Mark | _Connected | _Start | _Stop

_decode: Final = msgspec.json.Decoder(_Message, strict=False).decode
_decode_envelope: Final = msgspec.json.Decoder(_Envelope).decode
_KNOWN_EVENTS: Final = frozenset({"connected", "start", "media", "dtmf", "mark", "stop"})
#: All that decoding raises: not JSON or not of our types, not UTF-8 in a string, nested too deep.
_UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

# -- dialect ---------------------------------------------------------------------------------------


class Phase(StrEnum):
    """Where a media socket is in its life."""

    OPENING = "opening"
    STREAMING = "streaming"
    STOPPED = "stopped"


ORDER: Final[dict[Phase, dict[type[_Wire], Phase | Ignored]]] = {
    Phase.OPENING: {
        _Connected: Phase.OPENING,
        _Start: Phase.STREAMING,
        _Media: Ignored("media_before_start"),
        _Dtmf: Ignored("dtmf_before_start"),
        _Mark: Ignored("mark_before_start"),
        _Stop: Ignored("stop_before_start"),
    },
    Phase.STREAMING: {
        _Connected: Ignored("connected_after_start"),
        _Start: Phase.STREAMING,  # never a second stream: `_again` judges the ids
        _Media: Phase.STREAMING,
        _Dtmf: Phase.STREAMING,
        _Mark: Phase.STREAMING,
        _Stop: Phase.STOPPED,
    },
    Phase.STOPPED: {
        _Connected: Ignored("connected_after_stop"),
        _Start: Ignored("start_after_stop"),
        _Media: Ignored("media_after_stop"),
        _Dtmf: Ignored("dtmf_after_stop"),
        _Mark: Ignored("mark_after_stop"),
        _Stop: Ignored("stop_after_stop"),
    },
}

_FOREIGN_STREAM: Final = Ignored("foreign_stream")
_OUTBOUND_TRACK: Final = Ignored("outbound_track")
_DUPLICATE_START: Final = Ignored("duplicate_start")
_UNKNOWN_EVENT: Final = Ignored("unknown_event")


class TwilioDialect:
    """The media socket of one Twilio call; see `bridge.carriers.dialect.Dialect`."""

    carrier = NAME
    audio_format = MULAW_8K

    __slots__ = ("_allowed", "_audio_prefix", "_call_id", "_clear", "_mark_prefix", "_phase", "_stream_id")

    def __init__(self) -> None:
        self._call_id = self._stream_id = ""
        self._audio_prefix = self._mark_prefix = self._clear = b""
        self._enter(Phase.OPENING)

    def receive(self, message: bytes) -> Event:
        """What `message` means; raises ProtocolError as every dialect does."""
        try:
            wire = _decode(message)
        except _UNDECODABLE as error:
            return self._unreadable(message, error)
        verdict = self._allowed[type(wire)]
        if isinstance(verdict, Ignored):
            return verdict
        if isinstance(wire, _Media):
            if wire.streamSid != self._stream_id:
                return _FOREIGN_STREAM
            media = wire.media
            return Audio(media.payload, media.timestamp) if media.track == "inbound" else _OUTBOUND_TRACK
        return self._rare(wire, verdict)

    def audio(self, payload: bytes) -> bytes:
        """The message that plays one packet of mu-law."""
        assert self._audio_prefix, "audio before start"
        return self._audio_prefix + b2a_base64(payload, newline=False) + b'"}}'

    def mark(self, name: str) -> bytes:
        """The message that asks for `MarkPlayed(name)` once everything before it is played, or cleared."""
        assert self._mark_prefix, "mark before start"
        return self._mark_prefix + msgspec.json.encode(name) + b"}}"

    def clear(self) -> bytes:
        """The message that empties Twilio's buffer. All marks that are pending come back at once."""
        assert self._clear, "clear before start"
        return self._clear

    def _rare(self, wire: _Message, phase: Phase) -> Event:
        if isinstance(wire, _OfStream) and wire.streamSid != self._stream_id:
            return _FOREIGN_STREAM
        was = self._phase
        self._enter(phase)
        match wire:
            case _Start(start=body):
                return self._again(body) if was is Phase.STREAMING else self._begin(body)
            case _Dtmf(dtmf=key):
                return Digit(key.digit)
            case _Mark(mark=mark):
                return MarkPlayed(mark.name)
            case _Stop():
                return Stopped()
            case _:
                return Connected()

    def _enter(self, phase: Phase) -> None:
        self._phase, self._allowed = phase, ORDER[phase]

    def _begin(self, start: _StartBody) -> Started:
        self._call_id, self._stream_id = start.callSid, start.streamSid
        stream = start.streamSid.encode("ascii")
        self._audio_prefix = b'{"event":"media","streamSid":"%b","media":{"payload":"' % stream
        self._mark_prefix = b'{"event":"mark","streamSid":"%b","mark":{"name":' % stream
        self._clear = b'{"event":"clear","streamSid":"%b"}' % stream
        return Started(
            call_id=start.callSid,
            stream_id=start.streamSid,
            account_id=start.accountSid,
            bidirectional=_is_bidirectional(start),
            parameters=start.customParameters,
        )

    def _again(self, start: _StartBody) -> Ignored:
        if (start.callSid, start.streamSid) == (self._call_id, self._stream_id):
            return _DUPLICATE_START
        raise self._broken("a second start, of another stream", "second_start", POLICY_VIOLATION)

    def _unreadable(self, message: bytes, error: Exception) -> Event:
        """Tell an unknown event, which is no fault, from a message that nobody could read."""
        event = _event_of(message)
        if event is not None and event not in _KNOWN_EVENTS:
            return _UNKNOWN_EVENT
        kind = "bad_message" if isinstance(error, msgspec.ValidationError) else "bad_json"
        hopeless = self._phase is Phase.OPENING and event in (None, "start")
        reason = str(error)[:_MAX_REASON_CHARS]  # values in it are quoted and escaped, but of any length
        raise self._broken(reason, kind, POLICY_VIOLATION if hopeless else None) from None

    def _broken(self, reason: str, kind: str, close_code: int | None) -> ProtocolError:
        return ProtocolError(reason, peer=NAME, kind=kind, call_id=self._call_id, close_code=close_code)


def _event_of(message: bytes) -> str | None:
    try:
        return _decode_envelope(message).event
    except _UNDECODABLE:
        return None


def _is_bidirectional(start: _StartBody) -> bool:
    # `start` does not say which verb opened the stream; only <Start> can listen to what the caller hears.
    return (
        "outbound" not in start.tracks and start.customParameters.get(DIRECTION_PARAMETER) != "unidirectional"
    )


# -- carrier ---------------------------------------------------------------------------------------


class Twilio:
    """Twilio as a `bridge.carriers.carrier.Carrier`."""

    name = NAME

    def __init__(self, config: TwilioConfig) -> None:
        self._config = config

    def verify_webhook(self, url: str, headers: Mapping[str, str], form: Mapping[str, str]) -> None:
        """Raises Refused unless Twilio signed this form for `url`."""
        self._verify(spellings(url), headers, form)

    def verify_upgrade(self, url: str, headers: Mapping[str, str]) -> None:
        """Raises Refused unless Twilio signed an upgrade of `url` (ws:// or wss://, as the TwiML gave it)."""
        # Reported, never documented: the slash at the end of a path may be added or dropped before signing.
        self._verify(spellings(url, any_slash=True), headers, {})

    def incoming(self, form: Mapping[str, str]) -> IncomingCall:
        """The call that the answer webhook announces."""
        call_id, account_id = form_value(form, "CallSid"), form_value(form, "AccountSid")
        if not re.match(_CALL_ID, call_id):
            raise ProtocolError("CallSid is missing, repeated or malformed", peer=NAME, kind="bad_webhook")
        if self._config.account_sid and account_id != self._config.account_sid:
            raise Refused("account", "the call is not of carriers.twilio.account_sid")
        return IncomingCall(
            call_id=call_id,
            account_id=plain(account_id, _MAX_FIELD_CHARS),
            from_number=plain(form_value(form, "From"), _MAX_FIELD_CHARS),
            to_number=plain(form_value(form, "To"), _MAX_FIELD_CHARS),
            direction="outbound" if form_value(form, "Direction").startswith("outbound") else "inbound",
        )

    def answer(self, call: IncomingCall, urls: StreamUrls, token: str) -> Reply:
        """TwiML that opens the stream, and says sorry if it cannot be opened or breaks."""
        connect = verb("Connect", action=urls.ended)
        stream = verb("Stream", url=urls.media, statusCallback=urls.status)
        parameters = {
            TOKEN_PARAMETER: token,
            "from": call.from_number,
            "to": call.to_number,
            DIRECTION_PARAMETER: "bidirectional",
        }
        for name, value in parameters.items():
            stream.append(verb("Parameter", name=name, value=plain(value, _MAX_PARAMETER_CHARS - len(name))))
        connect.append(stream)
        return response(connect, *_sorry())

    def busy(self) -> Reply:
        """TwiML that gives the caller the busy tone, unanswered and unbilled."""
        return response(verb("Reject", reason="busy"))

    def ended(self, form: Mapping[str, str], ending: Ending = Ending.FINISHED) -> Reply:
        """TwiML for the time after the stream: hang up, after an apology if it did not end well."""
        failed = bool(form_value(form, "StreamError")) or self.status(form) == "error"
        return response(*_sorry()) if failed or ending is Ending.LOST else response(verb("Hangup"))

    def status(self, form: Mapping[str, str]) -> StreamStatus:
        """What the stream's status callback reports."""
        return _STREAM_EVENTS.get(form_value(form, "StreamEvent"), "unknown")

    def token_of(self, started: Started) -> str:
        """The one-time token out of the `<Parameter>`; empty when there is none."""
        return started.parameters.get(TOKEN_PARAMETER, "")

    def dialect(self) -> TwilioDialect:
        """A fresh dialect, for one media socket."""
        return TwilioDialect()

    def _verify(self, urls: Iterable[str], headers: Mapping[str, str], form: Mapping[str, str]) -> None:
        given = header_values(headers, SIGNATURE_HEADER)
        require_signature(self._config.auth_token, given, urls, form, _algorithm(headers))


def _sorry() -> tuple[Element, Element]:
    return verb("Say", _APOLOGY), verb("Hangup")


def _algorithm(headers: Mapping[str, str]) -> str:
    for part in ",".join(header_values(headers, SIGNATURE_SETTINGS_HEADER)).split(","):
        name, _, value = part.partition("=")
        if name.strip() == "algorithm" and value.strip():
            return value.strip().upper()
    return "HMAC_SHA1"
