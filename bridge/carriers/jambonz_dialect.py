"""The media socket of jambonz' `listen` verb: raw L16 both ways, JSON beside it.

Strategy, besides what `dialect` promises:

- The first text message has no name: it is the call's attributes with our metadata among them. Later ones are named by
  `event` (keys) or `type` (marks). Binary ones are sound.
- jambonz keeps marks among the samples, as -1: a -1 of ours would be taken for one. Ours are written as 0.
- It starts to play once 80 ms are there (its sample counts look like twice that), and what is less stays: each
  utterance ends in so much silence. It holds 30 marks and drops more: we stop asking before that.
- Both directions have one rate, so that nothing is resampled on its side, which would smear those marks.

Facts, from docs.jambonz.org: verbs/listen; and from the sources of jambonz-feature-server (listen.js) and of
mod_audio_fork as of 2024.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, NoReturn, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct

from bridge.carriers.dialect import (
    Audio,
    Binary,
    Delivery,
    Dialect,
    Digit,
    Event,
    Ignored,
    MarkPlayed,
    Started,
)
from bridge.carriers.json_dialect import POLICY_VIOLATION, UNDECODABLE, reason_of
from bridge.errors import ProtocolError
from bridge.plain_text import plain
from telephony_codecs.formats import AudioFormat, Encoding

NAME: Final = "jambonz"
#: It drops marks beyond 30; ours are a second apart, so as many are never out in a call that goes well.
MAX_PENDING_MARKS: Final = 25
TAIL_MS: Final = 160
FORMATS: Final = {rate_hz: AudioFormat(Encoding.PCM16, rate_hz) for rate_hz in (8000, 16000, 24000, 48000)}
CALL_ID: Final = r"\A[0-9A-Za-z-]{8,64}\Z"

_MAX_FIELD_CHARS: Final = 200

# -- messages received -----------------------------------------------------------------------------

T = TypeVar("T")

_Key: TypeAlias = Literal["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "#", "A", "B", "C", "D"]
_Id: TypeAlias = Annotated[str, Meta(pattern=CALL_ID)]


class _Named(Struct):
    event: str = ""
    type: str = ""


class _Attributes(Struct):
    """The first message. Its source writes the names in camel case; hooks write them in snake case."""

    callSid: _Id | None = None
    call_sid: _Id | None = None
    accountSid: str = ""
    account_sid: str = ""
    sampleRate: int = 8000
    mixType: str = "mono"
    token: str = ""
    # Not every call has both, and what is not text is of no use.
    from_: Any = msgspec.field(name="from", default="")
    to: Any = ""


class _Dtmf(Struct):
    dtmf: _Key


class _MarkBody(Struct):
    name: str
    event: Literal["playout", "cleared"]


class _Mark(Struct):
    data: _MarkBody


_NAMED: Final = msgspec.json.Decoder(_Named)
_ATTRIBUTES: Final = msgspec.json.Decoder(_Attributes, strict=False)
_DTMF: Final = msgspec.json.Decoder(_Dtmf, strict=False)
_MARK: Final = msgspec.json.Decoder(_Mark)

# -- dialect ---------------------------------------------------------------------------------------

_SENTINEL: Final = b"\xff\xff"
_KILL_AUDIO: Final = b'{"type":"killAudio"}'
_DISCONNECT: Final = b'{"type":"disconnect"}'
_EARLY: Final = Ignored("media_before_start")
_NO_SOUND: Final = Ignored("empty_media")
_CLEARED: Final = Ignored("mark_cleared")


class JambonzDialect(Dialect):
    """The media socket of one jambonz call; see `bridge.carriers.dialect.Dialect`."""

    carrier = NAME
    ends_by_closing = True
    delivery = Delivery(tail_ms=TAIL_MS)

    def __init__(self) -> None:
        self._started: Started | None = None
        self._received_bytes = 0
        self._bytes_per_s = 0
        self._pending_marks: set[str] = set()

    def receive(self, message: bytes) -> Event:
        """What `message` means; raises ProtocolError as every dialect does."""
        if isinstance(message, Binary):
            return self._sound(message)
        named = self._decoded(_NAMED, message)
        if named.event == "dtmf":
            return self._dtmf(message)
        if named.type == "mark":
            return self._mark(message)
        if named.event or named.type:
            return Ignored("play_done" if named.type == "playDone" else "unknown_event")
        return self._start(message)

    def audio(self, payload: bytes) -> bytes:
        """20 ms of L16, with no sample in it that jambonz would take for a mark."""
        assert self._started, "audio before start"
        return Binary(payload if _SENTINEL not in payload else _without_sentinels(payload))

    def mark(self, name: str) -> Sequence[bytes]:
        """The message that asks for `MarkPlayed(name)`; none while too many are out."""
        assert self._started, "mark before start"
        if len(self._pending_marks) >= MAX_PENDING_MARKS:
            return ()
        self._pending_marks.add(name)
        return (b'{"type":"mark","data":{"name":' + msgspec.json.encode(name) + b"}}",)

    def clear(self) -> Sequence[bytes]:
        """The message that empties the buffer. Marks that are pending come back as cleared."""
        assert self._started, "clear before start"
        self._pending_marks.clear()
        return (_KILL_AUDIO,)

    def goodbye(self, reason: str) -> Sequence[bytes]:
        """The message that ends the verb."""
        return (_DISCONNECT,)

    def _sound(self, message: bytes) -> Event:
        if self._started is None:
            return _EARLY
        if not message:
            return _NO_SOUND  # how it takes leave
        if len(message) % 2:
            raise self._broken(f"{len(message)} bytes of audio are not whole samples", "bad_frame")
        timestamp_ms = self._received_bytes * 1000 // self._bytes_per_s
        self._received_bytes += len(message)
        return Audio(message, timestamp_ms)

    def _dtmf(self, message: bytes) -> Event:
        digit = self._decoded(_DTMF, message).dtmf
        return Digit(digit) if self._started else Ignored("dtmf_before_start")

    def _mark(self, message: bytes) -> Event:
        mark = self._decoded(_MARK, message).data
        if self._started is None:
            return Ignored("mark_before_start")
        self._pending_marks.discard(mark.name)
        return MarkPlayed(mark.name) if mark.event == "playout" else _CLEARED

    def _start(self, message: bytes) -> Event:
        attributes = self._decoded(_ATTRIBUTES, message, is_start=True)
        call_id = attributes.callSid or attributes.call_sid
        if call_id is None:
            self._reject("the attributes name no call", "bad_message")
        if self._started is not None:
            return self._again(call_id)
        audio_format = FORMATS.get(attributes.sampleRate)
        if audio_format is None or attributes.mixType != "mono":
            self._reject("the stream has a format that we never ask for", "format")
        self.inbound_format = self.outbound_format = audio_format
        self._bytes_per_s = audio_format.bytes_in(1000)
        self._started = _started(call_id, attributes)
        return self._started

    def _again(self, call_id: str) -> Event:
        if self._started is not None and call_id == self._started.call_id:
            return Ignored("duplicate_start")
        raise self._broken("a second start, of another stream", "second_start", POLICY_VIOLATION)

    def _decoded(self, decoder: msgspec.json.Decoder[T], message: bytes, *, is_start: bool = False) -> T:
        try:
            return decoder.decode(message)
        except UNDECODABLE as error:
            kind = "bad_message" if isinstance(error, msgspec.ValidationError) else "bad_json"
            reason = reason_of(error)
            if is_start or decoder is _NAMED:
                self._reject(reason, kind)
            raise self._broken(reason, kind) from None

    def _reject(self, reason: str, kind: str) -> NoReturn:
        """What could not be a start: a stranger gets no patience, a caller in a call does."""
        raise self._broken(reason, kind, None if self._started else POLICY_VIOLATION) from None

    def _broken(self, reason: str, kind: str, close_code: int | None = None) -> ProtocolError:
        call_id = self._started.call_id if self._started else ""
        return ProtocolError(reason, peer=NAME, kind=kind, call_id=call_id, close_code=close_code)


def _started(call_id: str, attributes: _Attributes) -> Started:
    return Started(
        call_id=call_id,
        stream_id=call_id,
        account_id=attributes.accountSid or attributes.account_sid,
        parameters={"token": attributes.token} if attributes.token else {},
        from_number=text_of(attributes.from_),
        to_number=text_of(attributes.to),
    )


def _without_sentinels(payload: bytes) -> bytes:
    # 0xFFFF is -1 in either order of bytes.
    return array("h", [0 if sample == -1 else sample for sample in array("h", payload)]).tobytes()


def text_of(value: object) -> str:
    """A value of a call's attributes, if it is text: without control characters, and not too long."""
    return plain(value, _MAX_FIELD_CHARS) if isinstance(value, str) else ""
