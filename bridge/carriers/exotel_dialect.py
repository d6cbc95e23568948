"""The media socket of Exotel's Voicebot applet: linear audio in long messages, and strings for numbers.

Strategy, besides what `dialect` and `json_dialect` promise:

- Exotel spells the stream's id in two ways, and counts what it sends in strings. Both spellings are read, both are
  written, with the numbers that some of its streams want to see.
- A message of ours has a multiple of 320 bytes and no fewer than 3200, so how long it lasts depends on the rate:
  `message_ms`. What Exotel sends may have any size.
- Nobody says for sure what a `stop` holds, nor how a start names its format: what can be understood is.

Facts, from developer.exotel.com: agentstream/websocket-protocol, stream-voicebot-applet; support.exotel.com
3000108630; github.com/exotel/Agent-Stream.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from bridge.carriers.dialect import (
    Audio,
    Connected,
    Delivery,
    Digit,
    Event,
    MarkPlayed,
    Started,
    Stopped,
)
from bridge.carriers.json_dialect import (
    FOREIGN_STREAM,
    POLICY_VIOLATION,
    UNDECODABLE,
    JsonDialect,
    Kind,
    Phase,
    Wire,
)
from bridge.errors import ProtocolError
from bridge.plain_text import plain
from telephony_codecs.formats import AudioFormat, Encoding

NAME: Final = "exotel"
RATES_HZ: Final = (8_000, 16_000, 24_000)
#: What a message may hold, in bytes of audio.
MESSAGE_UNIT_BYTES: Final = 320
MIN_MESSAGE_BYTES: Final = 3_200
MAX_MESSAGE_BYTES: Final = 100_000
#: Of a number, a name or an account.
MAX_FIELD_CHARS: Final = 400

_MAX_REASON_CHARS: Final = 60
#: What the applets call linear audio; the ExoML verb can be told to stream mu-law.
_ENCODINGS: Final = {
    "": Encoding.PCM16,
    "raw": Encoding.PCM16,
    "audio/x-raw": Encoding.PCM16,
    "raw/slin": Encoding.PCM16,
    "audio/x-l16": Encoding.PCM16,
    "audio/x-mulaw": Encoding.MULAW,
}


def message_ms(audio: AudioFormat) -> int:
    """The shortest message, in milliseconds, that Exotel plays without a gap: a multiple of 20."""
    ms = 20
    while (size := audio.bytes_in(ms)) < MIN_MESSAGE_BYTES or size % MESSAGE_UNIT_BYTES:
        ms += 20
    return ms


# -- messages received -----------------------------------------------------------------------------

_Millis: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
_Id: TypeAlias = Annotated[str, Meta(pattern=r"\A[0-9A-Za-z_-]{0,64}\Z")]


class _OfStream(Wire, gc=False):
    stream_sid: str = ""
    streamSid: str = ""


class _Connected(Wire, tag="connected"):
    pass


class _MediaFormat(Struct):
    encoding: str = ""
    sample_rate: Annotated[int, Meta(ge=0, le=48_000)] = 0


class _StartBody(Struct):
    stream_sid: _Id = ""
    streamSid: _Id = ""
    call_sid: _Id = ""
    callSid: _Id = ""
    account_sid: str | None = None
    accountSid: str | None = None
    from_number: str | None = msgspec.field(name="from", default=None)
    to_number: str | None = msgspec.field(name="to", default=None)
    custom_parameters: dict[str, str] | None = None
    media_format: _MediaFormat | None = None


class _Start(Wire, tag="start"):
    start: _StartBody
    stream_sid: _Id = ""
    streamSid: _Id = ""


class _MediaBody(Struct, gc=False):
    payload: bytes
    timestamp: _Millis = 0


class _Media(_OfStream, kw_only=True, tag="media", gc=False):
    media: _MediaBody


class _DtmfBody(Struct):
    digit: Literal["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "#", "A", "B", "C", "D"]


class _Dtmf(_OfStream, kw_only=True, tag="dtmf"):
    dtmf: _DtmfBody


class _MarkBody(Struct):
    name: str


class _Mark(_OfStream, kw_only=True, tag="mark"):
    mark: _MarkBody


class _Stop(_OfStream, tag="stop"):
    #: Nobody says for sure what is in it: it must not keep a call from ending.
    stop: msgspec.Raw = msgspec.Raw()


class _StopBody(Struct):
    reason: str = ""


_STOP_BODY: Final = msgspec.json.Decoder(_StopBody)


# -- dialect ---------------------------------------------------------------------------------------


class ExotelDialect(JsonDialect):
    """The media socket of one Exotel call; see `bridge.carriers.dialect.Dialect`.

    Args:
        rate_hz: what the stream's URL asked for; a start that names a rate knows better.
    """

    carrier = NAME
    KINDS: ClassVar[Mapping[type[Struct], Kind]] = {
        _Media: Kind.MEDIA,
        _Dtmf: Kind.DTMF,
        _Mark: Kind.MARK,
        _Connected: Kind.CONNECTED,
        _Start: Kind.START,
        _Stop: Kind.STOP,
    }

    def __init__(self, rate_hz: int = RATES_HZ[0]) -> None:
        super().__init__()
        self._rate_hz = rate_hz
        self._stream_id = ""
        self._sample_bytes = 2
        self._message_ms = self._chunks = self._sent = 0
        self._ids = b""

    def audio(self, payload: bytes) -> bytes:
        """The message that plays `delivery.message_ms` of audio."""
        self._chunks += 1
        timestamp_ms = (self._chunks - 1) * self._message_ms
        numbers = b',"media":{"chunk":"%d","timestamp":"%d","payload":"' % (self._chunks, timestamp_ms)
        return b"".join((self._head(b"media"), numbers, b2a_base64(payload, newline=False), b'"}}'))

    def mark(self, name: str) -> Sequence[bytes]:
        """The message that asks for `MarkPlayed(name)` once everything before it is played."""
        return (self._head(b"mark") + b',"mark":{"name":' + msgspec.json.encode(name) + b"}}",)

    def clear(self) -> Sequence[bytes]:
        """The message that empties Exotel's buffer. What becomes of pending marks is not known."""
        return (self._head(b"clear") + b"}",)

    def _head(self, event: bytes) -> bytes:
        assert self._ids, f"{event.decode()} before start"
        self._sent += 1
        return b'{"event":"%b",%b,"sequence_number":"%d"' % (event, self._ids, self._sent)

    def _start(self, wire: _Start) -> Started:
        start = wire.start
        call_id = start.call_sid or start.callSid
        stream_id = start.stream_sid or start.streamSid or wire.stream_sid or wire.streamSid
        if not (call_id and stream_id):
            raise self._unfit("the start names no call, or no stream", "bad_start")
        self._format_of(start.media_format)
        return Started(
            call_id=call_id,
            stream_id=stream_id,
            account_id=plain(start.account_sid or start.accountSid or "", MAX_FIELD_CHARS),
            parameters=start.custom_parameters or {},
            from_number=plain(start.from_number or "", MAX_FIELD_CHARS),
            to_number=plain(start.to_number or "", MAX_FIELD_CHARS),
        )

    def _format_of(self, told: _MediaFormat | None) -> AudioFormat:
        media = told or _MediaFormat()
        encoding = _ENCODINGS.get(media.encoding.lower().partition(";")[0])
        rate_hz = media.sample_rate or self._rate_hz
        if encoding is None or rate_hz not in RATES_HZ or (encoding is Encoding.MULAW and rate_hz != 8_000):
            raise self._unfit("audio is served as 16-bit linear at 8000, 16000 or 24000 Hz", "bad_format")
        return AudioFormat(encoding, rate_hz)

    def _unfit(self, reason: str, kind: str) -> ProtocolError:
        hopeless = self.phase is Phase.OPENING
        return self._broken(reason, kind, POLICY_VIOLATION if hopeless else None)

    def _opened(self, wire: _Start, started: Started) -> None:
        self.inbound_format = self.outbound_format = audio = self._format_of(wire.start.media_format)
        self._sample_bytes = audio.sample_bytes
        self._message_ms = message_ms(audio)
        self.delivery = Delivery(message_ms=self._message_ms)
        self._stream_id = started.stream_id
        self._ids = b'"stream_sid":"%b","streamSid":"%b"' % ((started.stream_id.encode("ascii"),) * 2)

    def _event(self, wire: Any) -> Event:
        if isinstance(wire, _Connected):
            return Connected()
        if self._is_foreign(wire):
            return FOREIGN_STREAM
        if isinstance(wire, _Media):
            return self._sound(wire.media)
        if isinstance(wire, _Dtmf):
            return Digit(wire.dtmf.digit)
        return MarkPlayed(wire.mark.name) if isinstance(wire, _Mark) else Stopped(_reason(wire.stop))

    def _sound(self, media: _MediaBody) -> Event:
        if len(media.payload) % self._sample_bytes:
            raise self._broken("linear audio that ends in half a sample", "bad_audio")
        return Audio(media.payload, media.timestamp)

    def _is_foreign(self, wire: Any) -> bool:
        if not isinstance(wire, _OfStream):
            return False
        return (wire.stream_sid or wire.streamSid or self._stream_id) != self._stream_id


def _reason(stop: msgspec.Raw) -> str:
    try:
        return plain(_STOP_BODY.decode(stop).reason, _MAX_REASON_CHARS)
    except UNDECODABLE:
        return ""
