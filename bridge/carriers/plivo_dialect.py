"""Plivo's media socket: what comes, what we send. See `bridge.carriers.plivo` for its rules and their sources."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from bridge.carriers.dialect import Audio, Digit, Event, Ignored, MarkPlayed, Started, Stopped
from bridge.carriers.json_dialect import (
    FOREIGN_STREAM,
    OUTBOUND_TRACK,
    POLICY_VIOLATION,
    JsonDialect,
    Kind,
    Wire,
)
from bridge.plain_text import plain
from telephony_codecs.formats import AudioFormat, Encoding

NAME: Final = "plivo"
#: How a call and a stream are named; both go into messages and addresses of ours.
ID: Final = r"\A[0-9A-Za-z_-]{1,64}\Z"

_MAX_REASON_CHARS: Final = 400
_ENCODINGS: Final = {"audio/x-mulaw": Encoding.MULAW, "audio/x-l16": Encoding.PCM16}
#: Milliseconds of unix time, not of a stream: some pages have the one, some the other.
_UNIX_MS: Final = 10**11

# -- messages received -----------------------------------------------------------------------------

_Millis: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]


class _OfStream(Wire, kw_only=True, gc=False):
    streamId: str = ""


class _MediaFormat(Struct):
    encoding: str = "audio/x-mulaw"
    sampleRate: int = 8000


class _StartBody(Struct):
    callId: Annotated[str, Meta(pattern=ID)]
    streamId: Annotated[str, Meta(pattern=ID)]
    mediaFormat: _MediaFormat = msgspec.field(default_factory=_MediaFormat)


class _Start(Wire, tag="start"):
    start: _StartBody


class _MediaBody(Struct, gc=False):
    payload: bytes
    track: str = "inbound"
    timestamp: _Millis = 0


class _Media(_OfStream, tag="media", kw_only=True, gc=False):
    media: _MediaBody


class _DtmfBody(Struct):
    digit: Literal["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "#", "A", "B", "C", "D"]


class _Dtmf(_OfStream, tag="dtmf", kw_only=True):
    dtmf: _DtmfBody


class _Played(_OfStream, tag="playedStream", kw_only=True):
    name: str


class _PlayedOfOld(_OfStream, tag="played", kw_only=True):
    name: str


class _Cleared(_OfStream, tag="clearedAudio"):
    pass


class _BadPayload(_OfStream, tag="incorrectPayload"):
    pass


class _Stop(_OfStream, tag="stop"):
    reason: str = ""


# -- dialect ---------------------------------------------------------------------------------------

_CLEARED: Final = Ignored("cleared_audio")
_INCORRECT_PAYLOAD: Final = Ignored("incorrect_payload")


class PlivoDialect(JsonDialect):
    """The media socket of one Plivo call; see `bridge.carriers.dialect.Dialect`."""

    carrier = NAME
    ends_by_closing = True
    KINDS: ClassVar[Mapping[type[Struct], Kind]] = {
        _Media: Kind.MEDIA,
        _Dtmf: Kind.DTMF,
        _Played: Kind.MARK,
        _PlayedOfOld: Kind.MARK,
        _Cleared: Kind.CONTROL,
        _BadPayload: Kind.CONTROL,
        _Start: Kind.START,
        _Stop: Kind.STOP,
    }

    def __init__(self) -> None:
        super().__init__()
        self._stream_id = ""
        self._began_ms: int | None = None
        self._audio_prefix = self._mark_prefix = self._clear = b""

    def audio(self, payload: bytes) -> bytes:
        """The message that plays one packet, in the stream's own format."""
        assert self._audio_prefix, "audio before start"
        return self._audio_prefix + b2a_base64(payload, newline=False) + b'"}}'

    def mark(self, name: str) -> Sequence[bytes]:
        """The message that asks for `MarkPlayed(name)` once everything before it is played; if cleared, never."""
        assert self._mark_prefix, "mark before start"
        return (self._mark_prefix + msgspec.json.encode(name) + b"}",)

    def clear(self) -> Sequence[bytes]:
        """The message that empties Plivo's buffer. Checkpoints that are pending never come back."""
        assert self._clear, "clear before start"
        return (self._clear,)

    def send_digits(self, digits: str) -> Sequence[bytes]:
        """The message that presses keys towards the caller."""
        return (b'{"event":"sendDTMF","dtmf":' + msgspec.json.encode(digits) + b"}",)

    def _start(self, wire: _Start) -> Started:
        start = wire.start
        self._format(start.mediaFormat)
        # `accountId` may be the subaccount, whose parent the webhook names: not to be held against it.
        return Started(call_id=start.callId, stream_id=start.streamId)

    def _opened(self, wire: _Start, started: Started) -> None:
        told = wire.start.mediaFormat
        self.inbound_format = self.outbound_format = self._format(told)
        self._stream_id = started.stream_id
        stream = started.stream_id.encode("ascii")
        self._audio_prefix = (
            b'{"event":"playAudio","media":{"contentType":"%b","sampleRate":%d,"payload":"'
            % (told.encoding.encode("ascii"), told.sampleRate)
        )
        self._mark_prefix = b'{"event":"checkpoint","streamId":"%b","name":' % stream
        self._clear = b'{"event":"clearAudio","streamId":"%b"}' % stream

    def _format(self, told: _MediaFormat) -> AudioFormat:
        encoding, rate_hz = _ENCODINGS.get(told.encoding), told.sampleRate
        if encoding is None or rate_hz not in ((8000, 16000) if encoding is Encoding.PCM16 else (8000,)):
            reason = f"the caller comes as {told.encoding[:20]!r} at {rate_hz} Hz"
            raise self._broken(reason, "bad_format", POLICY_VIOLATION)
        return AudioFormat(encoding, rate_hz)

    def _event(self, wire: Any) -> Event:
        if wire.streamId != self._stream_id and wire.streamId:
            return FOREIGN_STREAM
        if isinstance(wire, _Media):
            return self._media(wire.media)
        if isinstance(wire, _Dtmf):
            return Digit(wire.dtmf.digit)
        if isinstance(wire, _Played | _PlayedOfOld):
            return MarkPlayed(wire.name)
        if isinstance(wire, _Stop):
            return Stopped(plain(wire.reason, _MAX_REASON_CHARS))
        return _CLEARED if isinstance(wire, _Cleared) else _INCORRECT_PAYLOAD

    def _media(self, media: _MediaBody) -> Event:
        if media.track != "inbound":
            return OUTBOUND_TRACK
        if self._began_ms is None:
            self._began_ms = media.timestamp if media.timestamp > _UNIX_MS else 0
        return Audio(media.payload, max(0, media.timestamp - self._began_ms))

    def _is_foreign(self, wire: Any) -> bool:
        return isinstance(wire, _Stop) and bool(wire.streamId) and wire.streamId != self._stream_id
