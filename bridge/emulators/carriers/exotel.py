"""Exotel: the Voicebot applet of a flow, the messages it sends and takes, the Passthru applet after it. No I/O.

Strategy, besides what `exchange` and `carrier_line` promise:

- There is no webhook: the flow holds the stream's address, and its credentials go along as HTTP Basic.
- Every number is a string, and the caller comes in messages of 100 ms.
- A message of audio is a multiple of 320 bytes, from 3200 to 100 000: any other is a fault. It is played all the
  same, as it would be, except for one that is too long. Exotel has no numbers for what is wrong: 0.
- Marks that a `clear` throws away never come back. Nobody says so; it is the harder of the two for a bridge.

Facts, from developer.exotel.com: agentstream/websocket-protocol, stream-voicebot-applet, passthru.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Final, TypeAlias
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from bridge.carriers.exotel import RATE_FIELD, ExotelConfig
from bridge.carriers.exotel_dialect import MAX_MESSAGE_BYTES, MESSAGE_UNIT_BYTES, MIN_MESSAGE_BYTES
from bridge.carriers.rest import basic
from bridge.emulators.caller_plan import new_sid
from bridge.emulators.caller_webhooks import Answer, Signature
from bridge.emulators.carrier_buffer import SLOT_BYTES, SLOT_MS
from bridge.emulators.carrier_line import CarrierLine, Message
from bridge.emulators.exchange import Exchange, Handshake, HttpAsk
from bridge.emulators.recording import CallRecording, ClearReceived, DigitPressed, MarkEchoed
from bridge.emulators.twiml import StreamOrder
from bridge.secret import Secret
from telephony_codecs.formats import MULAW_8K, AudioFormat, Encoding
from telephony_codecs.transcoder import Transcoder

#: An account for calls that need none in particular.
SOME_ACCOUNT: Final = "exotel1"
#: The caller's voice goes out in messages of this length.
VOICE_MS: Final = 100

_NO_NUMBER: Final = 0


class _FromBridge(Struct, frozen=True, forbid_unknown_fields=True, tag_field="event"):
    stream_sid: str = ""
    stream_sid_too: str = msgspec.field(name="streamSid", default="")
    sequence_number: str = ""


class _Payload(Struct, frozen=True, forbid_unknown_fields=True):
    payload: bytes
    chunk: str = ""
    timestamp: str = ""


class _Name(Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class _Media(_FromBridge, frozen=True, kw_only=True, tag="media"):
    media: _Payload


class _Mark(_FromBridge, frozen=True, kw_only=True, tag="mark"):
    mark: _Name


class _Clear(_FromBridge, frozen=True, tag="clear"):
    pass


_Accepted: TypeAlias = _Media | _Mark | _Clear

_DECODER: Final[msgspec.json.Decoder[_Accepted]] = msgspec.json.Decoder(_Accepted)


class _Rejected(Exception):
    """What the bridge sent is not for Exotel; the message says why."""


class ExotelLine(CarrierLine):
    """One media stream, seen from Exotel.

    Args:
        audio: what is on the wire.
        recording: takes both tracks and every event.
        call_id, account_id, from_number, to_number, parameters: what `start` says.
        buffer_ms: the line's jitter buffer, see `CarrierBuffer`.
    """

    def __init__(
        self,
        audio: AudioFormat,
        recording: CallRecording,
        *,
        call_id: str,
        account_id: str = SOME_ACCOUNT,
        from_number: str = "",
        to_number: str = "",
        parameters: Mapping[str, str] | None = None,
        buffer_ms: float = 40.0,
    ) -> None:
        super().__init__(recording, buffer_ms=buffer_ms)
        self.stream_id = new_sid("")
        self._audio = audio
        self._call = {"call_sid": call_id, "account_sid": account_id}
        self._numbers = {"from": from_number, "to": to_number}
        self._parameters = dict(parameters or {})
        self._to_bridge = Transcoder(MULAW_8K, audio)
        self._from_bridge = Transcoder(audio, MULAW_8K)
        self._waiting = bytearray()  # of the caller's, in mu-law
        self._sequence = self._chunk = self._voiced_ms = 0

    # -- what Exotel sends -----------------------------------------------------------------------------------

    def opening(self) -> list[Message]:
        """The greeting, and what binds the stream to its call."""
        audio_format = {
            "encoding": "audio/x-raw",
            "sample_rate": str(self._audio.rate_hz),
            "bit_rate": "16",
        }
        start = {
            "stream_sid": self.stream_id,
            **self._call,
            **self._numbers,
            "custom_parameters": self._parameters,
            "media_format": audio_format,
        }
        return [json.dumps({"event": "connected"}), self._numbered("start", start=start)]

    def voice(self, frame: bytes) -> list[Message]:
        """The next 20 ms of the caller; every fifth time they are sent."""
        if len(frame) != SLOT_BYTES:
            raise ValueError(f"a frame has {SLOT_BYTES} bytes, not {len(frame)}")
        self.recording.said += frame
        self._waiting += frame
        return self._heard() if len(self._waiting) >= MULAW_8K.bytes_in(VOICE_MS) else []

    def _heard(self) -> list[Message]:
        """What has been waiting, as a message."""
        if not self._waiting:
            return []
        sound, frames = self._to_bridge.feed(bytes(self._waiting)), len(self._waiting) // SLOT_BYTES
        self._waiting.clear()
        self._chunk += 1
        media = {
            "chunk": str(self._chunk),
            "timestamp": str(self._voiced_ms),
            "payload": b64encode(sound).decode("ascii"),
        }
        self._voiced_ms += frames * SLOT_MS
        return [self._numbered("media", media=media)]

    def digit(self, now_ms: float, digit: str) -> list[Message]:
        """A key pressed by the caller."""
        self.recording.note(DigitPressed(at_ms=now_ms, digit=digit))
        return [self._numbered("dtmf", dtmf={"digit": digit, "duration": "100"})]

    def stop(self) -> list[Message]:
        """The end of the stream, because the caller hung up."""
        return [*self._heard(), self._numbered("stop", stop={**self._call, "reason": "callended"})]

    def _numbered(self, event: str, **body: object) -> str:
        self._sequence += 1
        head = {"event": event, "sequence_number": str(self._sequence), "stream_sid": self.stream_id}
        return json.dumps(head | body)

    # -- what Exotel does with what it gets ------------------------------------------------------------------

    def advance(self, now_ms: float) -> list[Message]:
        """Play what is due by now. Returns the marks that were reached."""
        echoes: list[Message] = []
        self._buffer.advance(now_ms, lambda at_ms, name: echoes.append(self._echo(at_ms, name)))
        return echoes

    def receive(self, now_ms: float, message: Message) -> list[Message]:
        """Obey one message of the bridge. Returns what Exotel answers at once."""
        answers = self.advance(now_ms)
        try:
            return answers + self._obey(now_ms, self._accept(message))
        except _Rejected as rejected:
            self.fault(now_ms, _NO_NUMBER, str(rejected))
            return answers

    def _accept(self, message: Message) -> _Accepted:
        if isinstance(message, bytes):
            raise _Rejected("a binary message")
        try:
            command = _DECODER.decode(message)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            raise _Rejected(str(error)) from error
        named = {command.stream_sid, command.stream_sid_too} - {""}
        if named != {self.stream_id}:
            raise _Rejected("the stream's id is missing, or of another stream")
        return command

    def _obey(self, now_ms: float, command: _Accepted) -> list[Message]:
        if isinstance(command, _Media):
            self._queue(now_ms, command.media.payload)
            return []
        if isinstance(command, _Mark):
            reached = self._buffer.mark(command.mark.name)
            return [self._echo(now_ms, command.mark.name)] if reached else []
        self._clear(now_ms)
        return []

    def _queue(self, now_ms: float, payload: bytes) -> None:
        size = len(payload)
        if size > MAX_MESSAGE_BYTES:
            raise _Rejected(f"a message of {size} bytes; {MAX_MESSAGE_BYTES} at most")
        if size % self._audio.sample_bytes:
            raise _Rejected("audio that ends in half a sample")
        if size < MIN_MESSAGE_BYTES:
            self.fault(now_ms, _NO_NUMBER, f"a message of {size} bytes; {MIN_MESSAGE_BYTES} at least")
        elif size % MESSAGE_UNIT_BYTES:
            detail = f"a message of {size} bytes; it must be a multiple of {MESSAGE_UNIT_BYTES}"
            self.fault(now_ms, _NO_NUMBER, detail)
        sound = self._from_bridge.feed(payload)
        self.recording.arrive(now_ms, sound)
        if not self._buffer.push(now_ms, sound):
            self.discarded_bytes += len(sound)

    def _clear(self, now_ms: float) -> None:
        self._from_bridge.flush()
        dropped_ms, names = self._buffer.clear(now_ms)
        self.recording.note(ClearReceived(at_ms=now_ms, dropped_ms=dropped_ms, marks=tuple(names)))

    def _echo(self, at_ms: float, name: str) -> str:
        self.recording.note(MarkEchoed(at_ms=at_ms, name=name, cleared=False))
        return self._numbered("mark", mark={"name": name})


class ExotelExchange(Exchange):
    """Exotel, for the length of one call; `section` is an `ExotelConfig`."""

    name = "exotel"
    section: ExotelConfig
    _stream_id = ""

    def understand(self, answer: Answer | None) -> StreamOrder:
        """What the Voicebot applet of the flow says."""
        rate_hz = self.section.sample_rate_hz
        url = f"{self.addresses.media_url}?{RATE_FIELD}={rate_hz}"
        return StreamOrder(url, audio=AudioFormat(Encoding.PCM16, rate_hz))

    def handshake(self, order: StreamOrder) -> Handshake:
        """An upgrade, with the credentials of the applet's URL."""
        return Handshake(order.url, self._credentials(self.plan.misbehaviour.upgrade_signature))

    def line(self, order: StreamOrder, recording: CallRecording) -> ExotelLine:
        """Exotel's end of the stream."""
        plan = self.plan
        line = ExotelLine(
            order.audio,
            recording,
            call_id=plan.misbehaviour.start_call_sid or self.call_id,
            account_id=self.section.account_sid or SOME_ACCOUNT,
            from_number=plan.from_number,
            to_number=plan.to_number,
            parameters=order.parameters,
            buffer_ms=plan.buffer_ms,
        )
        self._stream_id = line.stream_id
        return line

    def ended(self, order: StreamOrder, *, hung_up: bool, error: str = "") -> HttpAsk:
        """The Passthru applet after the stream."""
        fields = {
            "CallSid": self.call_id,
            "Direction": "incoming",
            "From": self.plan.from_number,
            "To": self.plan.to_number,
            "Stream[StreamSID]": self._stream_id,
            "Stream[Status]": "failed" if error else "completed",
            "Stream[DisconnectedBy]": "user" if hung_up else "bot",
        }
        url = f"{self.addresses.absolute('ended')}?{urlencode(fields)}"
        return HttpAsk(url, "GET", self._credentials(self.plan.misbehaviour.webhook_signature))

    def _credentials(self, signature: Signature) -> dict[str, str]:
        if signature is Signature.ABSENT or not self.section.username:
            return {}
        password = self.section.password
        if signature is Signature.FORGED:
            password = Secret(f"not {password.reveal()}")
        return basic(self.section.username, password)


EXCHANGE = ExotelExchange
