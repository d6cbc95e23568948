"""Telnyx's media socket: what comes, what we send. See `bridge.carriers.telnyx` for its rules and their sources."""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from bridge.carriers.dialect import Audio, Connected, Digit, Event, Ignored, MarkPlayed, Started, Stopped
from bridge.carriers.json_dialect import (
    FOREIGN_STREAM,
    OUTBOUND_TRACK,
    POLICY_VIOLATION,
    JsonDialect,
    Kind,
    Wire,
)
from bridge.carriers.reorder import Reorder
from telephony_codecs.formats import MULAW_8K, AudioFormat, Encoding

NAME: Final = "telnyx"
#: How a call is named by both APIs.
CALL_ID: Final = r"\A[0-9A-Za-z:_.~+=-]{1,200}\Z"
#: `<Parameter>` that says by which id the webhook knows the call; ``start`` may know it by another.
CALL_PARAMETER: Final = "call_id"
ENCODINGS: Final = {"PCMU": Encoding.MULAW, "PCMA": Encoding.ALAW, "L16": Encoding.PCM16}

_STREAM_ID: Final = r"\A[0-9A-Za-z_-]{1,64}\Z"
_L16_RATES_HZ: Final = (8000, 16000, 24000, 48000)

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
    call_control_id: Annotated[str, Meta(pattern=CALL_ID)]
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
            call_id=told if re.match(CALL_ID, told) else start.call_control_id,
            stream_id=wire.stream_id,
            parameters=parameters,
        )

    def _opened(self, wire: _Start, started: Started) -> None:
        self._stream_id = started.stream_id
        self.inbound_format = self._format(wire.start.media_format)
        self._swap_in = self._big_endian and self.inbound_format.encoding is Encoding.PCM16

    def _format(self, told: _MediaFormat) -> AudioFormat:
        encoding, rate_hz = ENCODINGS.get(told.encoding), told.sample_rate
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
            return FOREIGN_STREAM
        if isinstance(wire, _Media):
            return self._media(wire.media)
        if isinstance(wire, _Dtmf):
            return Digit(wire.dtmf.digit)
        if isinstance(wire, _Mark):
            return MarkPlayed(wire.mark.name)
        return _ERRORS.get(wire.payload.code, _UNKNOWN_ERROR) if isinstance(wire, _Error) else Stopped()

    def _media(self, media: _MediaBody) -> Event:
        if media.track != "inbound":
            return OUTBOUND_TRACK
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
