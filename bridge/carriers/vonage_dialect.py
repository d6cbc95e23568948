"""The media socket of Vonage Voice: raw L16 both ways, JSON beside it.

Strategy, besides what `dialect` and `json_dialect` promise:

- What we send is exactly one 20 ms frame a message: Vonage drops a socket for any other size. What it sends may have
  any size that is whole samples, for to us it is a stream; half a sample is counted and skipped.
- Nothing in-band names the call but what our own NCCO put there: the socket's headers bring call and token back.
- There is no stop: the socket is closed.

Facts, from developer.vonage.com: voice/voice-api/concepts/websockets. Uncertain: whether a `clear` sends pending
notifies back (either will do), and 24 kHz in every region.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from bridge.carriers.dialect import Audio, Binary, Digit, Event, Ignored, MarkPlayed, Started
from bridge.carriers.json_dialect import POLICY_VIOLATION, JsonDialect, Kind, Phase, Wire
from telephony_codecs.formats import AudioFormat, Encoding

NAME: Final = "vonage"
FRAME_MS: Final = 20
FORMATS: Final = {rate_hz: AudioFormat(Encoding.PCM16, rate_hz) for rate_hz in (8000, 16000, 24000)}
CALL_ID: Final = r"\A[0-9A-Za-z-]{8,64}\Z"

_CONTENT_TYPE: Final = re.compile(r"\Aaudio/l16\s*;\s*rate=(\d{4,5})\Z", re.IGNORECASE | re.ASCII)

# -- messages received -----------------------------------------------------------------------------

_Key: TypeAlias = Literal["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "#", "A", "B", "C", "D"]


class _Connected(Wire, tag="websocket:connected"):
    """The first message; the headers of our NCCO stand beside its own fields."""

    call: Annotated[str, Meta(pattern=CALL_ID)]
    token: str = ""
    content_type: str = msgspec.field(name="content-type", default="audio/l16;rate=8000")


class _DtmfBody(Struct):
    digit: _Key


class _Dtmf(Wire, tag="websocket:dtmf"):
    digit: _Key | None = None
    dtmf: _DtmfBody | None = None  #: where some have seen it


class _NotifyPayload(Struct):
    mark: str


class _Notify(Wire, tag="websocket:notify"):
    payload: _NotifyPayload


class _Cleared(Wire, tag="websocket:cleared"):
    pass


# -- dialect ---------------------------------------------------------------------------------------

_CLEAR: Final = b'{"action":"clear"}'
_CLEARED: Final = Ignored("cleared")
_EARLY: Final = Ignored("media_before_start")


class VonageDialect(JsonDialect):
    """The media socket of one Vonage call; see `bridge.carriers.dialect.Dialect`."""

    carrier = NAME
    ends_by_closing = True
    KINDS: ClassVar[Mapping[type[Struct], Kind]] = {
        _Connected: Kind.START,
        _Dtmf: Kind.DTMF,
        _Notify: Kind.MARK,
        _Cleared: Kind.CONTROL,
    }

    def __init__(self) -> None:
        super().__init__()
        self._frame_bytes = 0
        self._received_bytes = 0

    def receive(self, message: bytes) -> Event:
        """What `message` means; a binary one is sound."""
        return self._sound(message) if isinstance(message, Binary) else super().receive(message)

    def audio(self, payload: bytes) -> bytes:
        """One frame of 20 ms, as it is: of `delivery.message_ms`, as the contract has it, and never less or more."""
        assert self._frame_bytes, "audio before start"
        return Binary(payload)

    def mark(self, name: str) -> Sequence[bytes]:
        """The message that asks for `MarkPlayed(name)` once everything before it is played."""
        assert self._frame_bytes, "mark before start"
        return (b'{"action":"notify","payload":{"mark":' + msgspec.json.encode(name) + b"}}",)

    def clear(self) -> Sequence[bytes]:
        """The message that empties Vonage's buffer."""
        assert self._frame_bytes, "clear before start"
        return (_CLEAR,)

    def _sound(self, message: bytes) -> Event:
        if self._phase is not Phase.STREAMING:
            return _EARLY
        if len(message) % 2:
            raise self._broken(f"{len(message)} bytes of audio are not whole samples", "bad_frame")
        timestamp_ms = self._received_bytes * FRAME_MS // self._frame_bytes
        self._received_bytes += len(message)
        return Audio(message, timestamp_ms)

    def _start(self, wire: _Connected) -> Started:
        self._format_of(wire)
        parameters = {"token": wire.token} if wire.token else {}
        return Started(call_id=wire.call, stream_id=wire.call, parameters=parameters)

    def _opened(self, wire: _Connected, started: Started) -> None:
        self.inbound_format = self.outbound_format = self._format_of(wire)
        self._frame_bytes = self.outbound_format.bytes_in(FRAME_MS)

    def _format_of(self, wire: _Connected) -> AudioFormat:
        found = _CONTENT_TYPE.match(wire.content_type)
        if found is None or int(found[1]) not in FORMATS:
            raise self._broken(
                "the stream has a content type that we never ask for", "format", POLICY_VIOLATION
            )
        return FORMATS[int(found[1])]

    def _event(self, wire: Any) -> Event:
        if isinstance(wire, _Notify):
            return MarkPlayed(wire.payload.mark)
        if isinstance(wire, _Cleared):
            return _CLEARED
        digit = wire.digit or (wire.dtmf and wire.dtmf.digit)
        if not digit:
            raise self._broken("a key was pressed, but not which", "bad_message")
        return Digit(digit)
