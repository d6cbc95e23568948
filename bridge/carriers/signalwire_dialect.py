"""The media socket of SignalWire's ``<Stream>``: Twilio's messages, with less in them.

Strategy, besides what `dialect` and `json_dialect` promise:

- `media`, `mark` and `stop` name no stream: what names one all the same must name ours.
- Audio is mu-law or linear, as the start says, not as was asked for. Nobody says in which order the bytes of a linear
  sample are, so either can be configured; inside it is always little endian.
- Keys can be pressed towards the caller, a message each.

Facts, from signalwire.com/docs: cxml/voice/stream.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from bridge.carriers.dialect import Audio, Connected, Digit, Event, MarkPlayed, Started, Stopped
from bridge.carriers.json_dialect import (
    FOREIGN_STREAM,
    OUTBOUND_TRACK,
    POLICY_VIOLATION,
    JsonDialect,
    Kind,
    Phase,
    Wire,
)
from telephony_codecs.formats import MULAW_8K, AudioFormat, Encoding

NAME: Final = "signalwire"
CALL_ID: Final = r"\A[0-9A-Za-z_-]{1,64}\Z"  # a UUID, as far as anybody has seen

_STREAM_ID: Final = r"\A[0-9A-Za-z_-]{1,64}\Z"

# -- messages received -----------------------------------------------------------------------------

_Millis: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]


class _OfStream(Wire, gc=False):
    #: Only start names the stream, in its body; what names it all the same must name ours.
    streamSid: str = ""


class _Connected(Wire, tag="connected"):
    pass


class _MediaFormat(Struct):
    encoding: Literal["audio/x-mulaw", "audio/x-L16"] = "audio/x-mulaw"
    sampleRate: Literal[8000, 16000, 24000] = 8000
    channels: Annotated[int, Meta(ge=1, le=1)] = 1


class _StartBody(Struct):
    streamSid: Annotated[str, Meta(pattern=_STREAM_ID)]
    callSid: Annotated[str, Meta(pattern=CALL_ID)]
    accountSid: str = ""
    customParameters: dict[str, str] = {}
    mediaFormat: _MediaFormat = msgspec.field(default_factory=_MediaFormat)


class _Start(Wire, tag="start"):
    start: _StartBody


class _MediaBody(Struct, gc=False):
    payload: bytes
    track: str = "inbound"
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
    pass


# -- dialect ---------------------------------------------------------------------------------------


class SignalWireDialect(JsonDialect):
    """The media socket of one SignalWire call; see `bridge.carriers.dialect.Dialect`.

    Args:
        big_endian: whether linear audio is in network order on the wire.
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

    def __init__(self, *, big_endian: bool = False) -> None:
        super().__init__()
        self._big_endian = big_endian
        self._linear = self._swapped = False
        self._stream_id = ""
        self._audio_prefix = self._mark_prefix = self._digit_prefix = self._clear = b""

    def audio(self, payload: bytes) -> bytes:
        """The message that plays one packet in `outbound_format`."""
        assert self._audio_prefix, "audio before start"
        if self._swapped:
            payload = _other_order(payload)
        return self._audio_prefix + b2a_base64(payload, newline=False) + b'"}}'

    def mark(self, name: str) -> Sequence[bytes]:
        """The message that asks for `MarkPlayed(name)` once everything before it is played, or cleared."""
        assert self._mark_prefix, "mark before start"
        return (self._mark_prefix + msgspec.json.encode(name) + b"}}",)

    def clear(self) -> Sequence[bytes]:
        """The message that empties SignalWire's buffer. All marks that are pending come back at once."""
        assert self._clear, "clear before start"
        return (self._clear,)

    def send_digits(self, digits: str) -> Sequence[bytes]:
        """A message for each key."""
        assert self._digit_prefix, "digits before start"
        return [self._digit_prefix + msgspec.json.encode(digit) + b"}}" for digit in digits]

    def _start(self, wire: _Start) -> Started:
        start = wire.start
        if start.mediaFormat.encoding == "audio/x-mulaw" and start.mediaFormat.sampleRate != 8000:
            hopeless = self.phase is Phase.OPENING
            raise self._broken(
                "mu-law is served at 8000 Hz", "bad_format", POLICY_VIOLATION if hopeless else None
            )
        return Started(
            call_id=start.callSid,
            stream_id=start.streamSid,
            account_id=start.accountSid,
            parameters=start.customParameters,
        )

    def _opened(self, wire: _Start, started: Started) -> None:
        self.inbound_format = self.outbound_format = _audio_format(wire.start.mediaFormat)
        self._linear = self.inbound_format.encoding is Encoding.PCM16
        self._swapped = self._linear and self._big_endian
        self._stream_id = started.stream_id
        stream = started.stream_id.encode("ascii")
        self._audio_prefix = b'{"event":"media","streamSid":"%b","media":{"payload":"' % stream
        self._mark_prefix = b'{"event":"mark","streamSid":"%b","mark":{"name":' % stream
        self._digit_prefix = b'{"event":"dtmf","streamSid":"%b","dtmf":{"digit":' % stream
        self._clear = b'{"event":"clear","streamSid":"%b"}' % stream

    def _event(self, wire: Any) -> Event:
        if isinstance(wire, _Connected):
            return Connected()
        if self._is_foreign(wire):
            return FOREIGN_STREAM
        if isinstance(wire, _Media):
            return self._sound(wire.media)
        if isinstance(wire, _Dtmf):
            return Digit(wire.dtmf.digit)
        return MarkPlayed(wire.mark.name) if isinstance(wire, _Mark) else Stopped()

    def _sound(self, media: _MediaBody) -> Event:
        if media.track != "inbound":
            return OUTBOUND_TRACK
        if not self._linear:
            return Audio(media.payload, media.timestamp)
        if len(media.payload) % 2:
            raise self._broken("linear audio that ends in half a sample", "bad_audio")
        payload = _other_order(media.payload) if self._big_endian else media.payload
        return Audio(payload, media.timestamp)

    def _is_foreign(self, wire: Any) -> bool:
        return isinstance(wire, _OfStream) and wire.streamSid not in ("", self._stream_id)


def _audio_format(media: _MediaFormat) -> AudioFormat:
    return MULAW_8K if media.encoding == "audio/x-mulaw" else AudioFormat(Encoding.PCM16, media.sampleRate)


def _other_order(pcm: bytes) -> bytes:
    swapped = bytearray(len(pcm))
    swapped[0::2], swapped[1::2] = pcm[1::2], pcm[0::2]
    return bytes(swapped)
