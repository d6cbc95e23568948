"""Twilio's end of a media stream: the messages it sends, what it does with those it gets. Clock-free, no I/O.

Strategy:

- Text in, texts out. Every method that can make Twilio speak returns the messages to send, in order.
- What Twilio accepts is stated in types (the structs below), nothing else is accepted: Twilio's error pages
  call an unknown event, a missing or extra field and another stream's id a fault (31951), and so do we.
- A fault costs the bridge its message, not the call; it is noted under Twilio's own number for it.
- Twilio numbers all its messages in one sequence, as strings; `connected` alone has no number.
- Marks that a `clear` sends back look exactly like marks that were played.

Facts: Twilio's pages "Media Streams - WebSocket Messages" and its error dictionary, 31920 to 31951.
"""

from __future__ import annotations

import json
import secrets
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from bridge.emulators.carrier_buffer import SLOT_BYTES, SLOT_MS, CarrierBuffer
from bridge.emulators.recording import CallRecording, ClearReceived, DigitPressed, Faulted, MarkEchoed


class Fault(IntEnum):
    """Twilio's numbers for what can be wrong with a stream."""

    HANDSHAKE = 31920  #: the upgrade was answered with something other than 101
    PROTOCOL = 31924  #: a message on a stream that only listens
    DISCARDED = 31931  #: more than ten minutes of audio queued; raised once per stream
    MALFORMED = 31950  #: a binary message
    INVALID = 31951  #: not JSON, an unknown event, a missing or extra field, another stream's id


def new_sid(prefix: str) -> str:
    """A fresh identifier as Twilio writes them: two letters and 32 hexadecimal digits."""
    return prefix + secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class StreamIdentity:
    """Whose stream it is, and what the TwiML gave it along."""

    account_sid: str
    call_sid: str
    stream_sid: str = field(default_factory=lambda: new_sid("MZ"))
    parameters: Mapping[str, str] = field(default_factory=dict)
    tracks: tuple[str, ...] = ("inbound",)


class _FromBridge(Struct, frozen=True, forbid_unknown_fields=True, tag_field="event"):
    stream_sid: str = msgspec.field(name="streamSid")


class _Payload(Struct, frozen=True, forbid_unknown_fields=True):
    payload: bytes


class _Name(Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class _Media(_FromBridge, frozen=True, tag="media"):
    media: _Payload


class _Mark(_FromBridge, frozen=True, tag="mark"):
    mark: _Name


class _Clear(_FromBridge, frozen=True, tag="clear"):
    pass


_Accepted: TypeAlias = _Media | _Mark | _Clear

_DECODER: Final[msgspec.json.Decoder[_Accepted]] = msgspec.json.Decoder(_Accepted)


class _Rejected(Exception):
    def __init__(self, fault: Fault, detail: str) -> None:
        self.fault, self.detail = fault, detail
        super().__init__(detail)


class TwilioLine:
    """One media stream, seen from Twilio.

    Call `begin` once, then `voice` for each slot of the caller's sound, `advance` whenever time has passed
    and `receive` for each message of the bridge; send whatever they return.

    Args:
        identity: what `start` says.
        recording: takes both tracks and every event.
        buffer_ms: the line's jitter buffer, see `CarrierBuffer`.
        bidirectional: False for a stream opened by ``<Start>``, which only listens.
    """

    def __init__(
        self,
        identity: StreamIdentity,
        recording: CallRecording,
        *,
        buffer_ms: float = 40.0,
        bidirectional: bool = True,
    ) -> None:
        self.identity = identity
        self.recording = recording
        self.bidirectional = bidirectional
        self._buffer_ms = buffer_ms
        self._buffer = CarrierBuffer(recording, 0.0, buffer_ms=buffer_ms)
        self._sequence = self._chunk = 0
        #: Audio thrown away because ten minutes were queued already.
        self.discarded_bytes = 0

    @property
    def spoken_ms(self) -> float:
        """Milliseconds of the bridge's sound, silence not counted, that the caller has heard."""
        return self._buffer.spoken_ms

    @property
    def spoke_until_ms(self) -> float:
        """When the caller last heard the bridge; when the stream began, if never."""
        return self._buffer.spoke_until_ms

    def begin(self, now_ms: float) -> None:
        """Both tracks begin now."""
        self.recording.began_ms = now_ms
        self._buffer = CarrierBuffer(self.recording, now_ms, buffer_ms=self._buffer_ms)

    # -- what Twilio sends -----------------------------------------------------------------------------------

    def connected(self) -> str:
        """The greeting, before anything is known."""
        return json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})

    def start(self) -> str:
        """The message that binds the stream to its call."""
        identity = self.identity
        details = {
            "accountSid": identity.account_sid,
            "streamSid": identity.stream_sid,
            "callSid": identity.call_sid,
            "tracks": list(identity.tracks),
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": dict(identity.parameters),
        }
        return self._numbered("start", start=details)

    def voice(self, frame: bytes) -> str:
        """The next 20 ms of the caller: 160 bytes of mu-law."""
        if len(frame) != SLOT_BYTES:
            raise ValueError(f"a frame has {SLOT_BYTES} bytes, not {len(frame)}")
        self.recording.said += frame
        media = {
            "track": "inbound",
            "chunk": str(self._chunk + 1),
            "timestamp": str(self._chunk * SLOT_MS),
            "payload": b64encode(frame).decode("ascii"),
        }
        self._chunk += 1
        return self._numbered("media", media=media)

    def digit(self, now_ms: float, digit: str) -> list[str]:
        """A key pressed by the caller. A stream that only listens is not told."""
        self.recording.note(DigitPressed(at_ms=now_ms, digit=digit))
        if not self.bidirectional:
            return []
        return [self._numbered("dtmf", dtmf={"track": "inbound_track", "digit": digit})]

    def stop(self) -> str:
        """The end of the stream, because the caller hung up."""
        identity = self.identity
        return self._numbered("stop", stop={"accountSid": identity.account_sid, "callSid": identity.call_sid})

    def _numbered(self, event: str, **body: object) -> str:
        self._sequence += 1
        head = {"event": event, "sequenceNumber": str(self._sequence), "streamSid": self.identity.stream_sid}
        return json.dumps(head | body)

    # -- what Twilio does with what it gets ------------------------------------------------------------------

    def advance(self, now_ms: float) -> list[str]:
        """Play what is due by now. Returns the marks that were reached."""
        echoes: list[str] = []
        self._buffer.advance(now_ms, lambda at_ms, name: echoes.append(self._echo(at_ms, name)))
        return echoes

    def receive(self, now_ms: float, message: str | bytes) -> list[str]:
        """Obey one message of the bridge. Returns what Twilio answers at once."""
        answers = self.advance(now_ms)
        try:
            command = self._accept(message)
        except _Rejected as rejected:
            self._note_fault(now_ms, rejected.fault, rejected.detail)
            return answers
        return answers + self._obey(now_ms, command)

    def _accept(self, message: str | bytes) -> _Accepted:
        if not self.bidirectional:
            raise _Rejected(Fault.PROTOCOL, "a message on a stream that only listens")
        if isinstance(message, bytes):
            raise _Rejected(Fault.MALFORMED, "a binary message")
        try:
            command = _DECODER.decode(message)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            raise _Rejected(Fault.INVALID, str(error)) from error
        if command.stream_sid != self.identity.stream_sid:
            raise _Rejected(Fault.INVALID, "the streamSid is of another stream")
        return command

    def _obey(self, now_ms: float, command: _Accepted) -> list[str]:
        if isinstance(command, _Media):
            self._queue(now_ms, command.media.payload)
            return []
        if isinstance(command, _Mark):
            reached = self._buffer.mark(command.mark.name)
            return [self._echo(now_ms, command.mark.name)] if reached else []
        return self._clear(now_ms)

    def _note_fault(self, now_ms: float, fault: Fault, detail: str) -> None:
        self.recording.note(Faulted(at_ms=now_ms, code=fault, detail=detail))

    def _queue(self, now_ms: float, payload: bytes) -> None:
        self.recording.arrive(now_ms, payload)
        if self._buffer.push(now_ms, payload):
            return
        if not self.discarded_bytes:
            self._note_fault(now_ms, Fault.DISCARDED, "ten minutes of audio are queued already")
        self.discarded_bytes += len(payload)

    def _clear(self, now_ms: float) -> list[str]:
        dropped_ms, names = self._buffer.clear(now_ms)
        self.recording.note(ClearReceived(at_ms=now_ms, dropped_ms=dropped_ms, marks=tuple(names)))
        return [self._echo(now_ms, name, cleared=True) for name in names]

    def _echo(self, at_ms: float, name: str, *, cleared: bool = False) -> str:
        self.recording.note(MarkEchoed(at_ms=at_ms, name=name, cleared=cleared))
        return self._numbered("mark", mark={"name": name})
