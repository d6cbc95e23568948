"""Asterisk's WebSocket channel: what its driver sends, and what it does with what it gets. No I/O.

Strategy, besides what `exchange` and `carrier_line` promise:

- The driver re-frames: a message is cut into frames, one is played each 20 ms, what is left over is dropped.
- The queue holds 1000 frames. At 900 the bridge is told to stop, below 800 to go on; a message that comes when it is
  full is ignored whole.
- FLUSH_MEDIA throws marks away with the sound, in silence, and leaves a paused queue paused.
- A command over 128 bytes is ignored, and a ping hangs up, as in every release before 22.8: both are faults.
- Control is plain text or JSON, by the dial string; a command in the other form is not understood.

Facts: channels/chan_websocket.c of Asterisk 22 and 23.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from bridge.carriers.asterisk import AsteriskConfig
from bridge.carriers.asterisk_dialect import FORMATS, SUBPROTOCOL
from bridge.carriers.rest import basic
from bridge.emulators.caller_webhooks import Answer, Signature
from bridge.emulators.carrier_buffer import SLOT_BYTES, SLOT_MS
from bridge.emulators.carrier_line import CarrierLine, Message
from bridge.emulators.exchange import Exchange, Handshake, HttpAsk, form_ask
from bridge.emulators.recording import CallRecording, ClearReceived, DigitPressed, MarkEchoed
from bridge.emulators.twiml import StreamOrder, Verb
from bridge.secret import Secret
from telephony_codecs.formats import MULAW_8K
from telephony_codecs.transcoder import Transcoder

MAX_COMMAND_BYTES: Final = 128
MAX_MESSAGE_BYTES: Final = 65_500
QUEUE_FRAMES: Final = 1000
XOFF_FRAMES: Final = 900
XON_FRAMES: Final = 800
#: The name of the section that a dial string names; the same for every call.
CONNECTION: Final = "bridge"

_TOO_BIG: Final = 1009
#: Known to the driver, never used by the bridge.
_NOT_SIMULATED: Final = frozenset({"START_MEDIA_BUFFERING", "STOP_MEDIA_BUFFERING", "SET_MEDIA_DIRECTION"})


@dataclass(frozen=True, slots=True)
class Channel:
    """One WebSocket channel, as its dial string has it.

    Attributes:
        codec: as in ``c(ulaw)``.
        json: whether control is JSON, as by ``f(json)``.
        odd_frames: cut every tenth frame in two, as was seen of a real one.
    """

    channel_id: str
    connection_id: str = CONNECTION
    codec: str = "ulaw"
    json: bool = True
    variables: Mapping[str, str] = field(default_factory=dict)
    odd_frames: bool = False


class _Command(Struct, frozen=True):
    command: str
    correlation_id: str = ""


_DECODER: Final = msgspec.json.Decoder(_Command)


class AsteriskLine(CarrierLine):
    """One WebSocket channel's driver.

    Args:
        channel: what was dialled.
        recording: takes both tracks and every event.
        buffer_ms: see `CarrierBuffer`.
    """

    def __init__(self, channel: Channel, recording: CallRecording, *, buffer_ms: float = 40.0) -> None:
        super().__init__(recording, buffer_ms=buffer_ms)
        self.channel = channel
        self.stream_id = channel.channel_id
        self._audio = FORMATS[channel.codec]
        self._frame_bytes = self._audio.bytes_in(SLOT_MS)
        self._from_caller = Transcoder(MULAW_8K, self._audio)
        self._to_caller = Transcoder(self._audio, MULAW_8K)
        self._unsent = bytearray()
        self._sent_frames = 0
        self._stopped_bridge = self._paused = self._tells_drained = False

    @property
    def queued_frames(self) -> int:
        """Frames waiting to be played."""
        return round(self._buffer.queued_ms / SLOT_MS)

    # -- what Asterisk sends ---------------------------------------------------------------------------------

    def opening(self) -> list[Message]:
        """MEDIA_START, which says what was dialled."""
        channel = self.channel
        fields: dict[str, object] = {
            "connection_id": channel.connection_id,
            "channel": f"WebSocket/{channel.connection_id}/0x7f1c2c0062a0",
            "channel_id": channel.channel_id,
            "format": channel.codec,
            "optimal_frame_size": self._frame_bytes,
            "ptime": SLOT_MS,
        }
        if channel.json:
            fields["channel_variables"] = dict(channel.variables)
        return [self._event("MEDIA_START", **fields)]

    def voice(self, frame: bytes) -> list[Message]:
        """The next 20 ms of the caller, in the channel's codec."""
        if len(frame) != SLOT_BYTES:
            raise ValueError(f"a frame has {SLOT_BYTES} bytes, not {len(frame)}")
        self.recording.said += frame
        self._unsent += self._from_caller.feed(frame)
        messages: list[Message] = []
        while len(self._unsent) >= self._frame_bytes:
            messages += self._cut(bytes(self._unsent[: self._frame_bytes]))
            del self._unsent[: self._frame_bytes]
        return messages

    def _cut(self, frame: bytes) -> list[Message]:
        self._sent_frames += 1
        if not self.channel.odd_frames or self._sent_frames % 10:
            return [frame]
        middle = (self._frame_bytes // 2 + 1) // self._audio.sample_bytes * self._audio.sample_bytes
        return [frame[:middle], frame[middle:]]

    def digit(self, now_ms: float, digit: str) -> list[Message]:
        """A key pressed by the caller."""
        self.recording.note(DigitPressed(at_ms=now_ms, digit=digit))
        return [self._event("DTMF_END", digit=digit, channel_id=self.stream_id)]

    def _told(self, name: str) -> str:
        """An event that says nothing but its name; in plain text not even whose it is."""
        return self._event(name, **({"channel_id": self.stream_id} if self.channel.json else {}))

    def _event(self, name: str, **fields: object) -> str:
        if self.channel.json:
            return json.dumps({"event": name, **fields}, separators=(",", ":"))
        return " ".join([name, *(f"{key}:{value}" for key, value in fields.items())])

    # -- what it does with what it gets ----------------------------------------------------------------------

    def advance(self, now_ms: float) -> list[Message]:
        """Play what is due by now. Returns the marks that were reached, and how the queue fares."""
        said: list[Message] = []
        self._buffer.advance(now_ms, lambda at_ms, name: said.append(self._marked(at_ms, name)))
        if self._stopped_bridge and self.queued_frames < XON_FRAMES:
            self._stopped_bridge = False
            said.append(self._told("MEDIA_XON"))
        if self._tells_drained and not self.queued_frames:
            self._tells_drained = False
            said.append(self._told("QUEUE_DRAINED"))
        return said

    def receive(self, now_ms: float, message: Message) -> list[Message]:
        """Queue sound, obey a command."""
        said = self.advance(now_ms)
        if isinstance(message, bytes):
            return said + self._sound(now_ms, message)
        size = len(message.encode("utf-8", "surrogatepass"))
        if not 0 < size <= MAX_COMMAND_BYTES:
            self.fault(now_ms, 0, f"a text message of {size} bytes is ignored")
            return said
        command = self._understand(now_ms, message)
        return said + (
            self._obey(now_ms, command) if command else [self._error("Unable to parse JSON command")]
        )

    def pinged(self, now_ms: float) -> None:
        """Every release before 22.8 hangs up."""
        self.fault(now_ms, 0, "a ping: releases before 20.18, 22.8 and 23.2 hang up on it")
        self.closing = "a ping"

    def _understand(self, now_ms: float, message: str) -> _Command | None:
        if not self.channel.json:
            name, _, rest = message.strip().partition(" ")
            return _Command(name, rest)
        try:
            return _DECODER.decode(message)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            self.fault(now_ms, 0, f"not a command: {error}")
            return None

    def _obey(self, now_ms: float, command: _Command) -> list[Message]:
        match command.command:
            case "ANSWER":
                pass
            case "HANGUP":
                self.closing = "HANGUP"
            case "MARK_MEDIA":
                reached = self._buffer.mark(command.correlation_id)
                return [self._marked(now_ms, command.correlation_id)] if reached else []
            case "FLUSH_MEDIA":
                self._flush(now_ms)
            case "PAUSE_MEDIA":
                self._paused = True
            case "CONTINUE_MEDIA":
                self._paused = False
            case "REPORT_QUEUE_DRAINED":
                self._tells_drained = True
            case "GET_STATUS":
                return [self._status()]
            case name:
                known = "is not simulated" if name in _NOT_SIMULATED else "is unknown"
                self.fault(now_ms, 0, f"the command {name!r} {known}")
        return []

    def _flush(self, now_ms: float) -> None:
        dropped_ms, names = self._buffer.clear(now_ms)
        self._to_caller = Transcoder(self._audio, MULAW_8K)
        self.recording.note(ClearReceived(at_ms=now_ms, dropped_ms=dropped_ms, marks=tuple(names)))

    def _sound(self, now_ms: float, message: bytes) -> list[Message]:
        if len(message) > MAX_MESSAGE_BYTES:
            self.fault(now_ms, 0, f"a message of {len(message)} bytes")
            self.closing, self.closing_code = "the message is too big", _TOO_BIG
            return []
        if self.queued_frames >= QUEUE_FRAMES:
            if not self.discarded_bytes:
                self.fault(now_ms, 0, f"{QUEUE_FRAMES} frames are queued already")
            self.discarded_bytes += len(message)
            return []
        if left := len(message) % self._frame_bytes:
            self.fault(now_ms, 0, f"{left} bytes beyond whole frames of {self._frame_bytes} are dropped")
            message = message[:-left]
        payload = self._to_caller.feed(message)
        self.recording.arrive(now_ms, payload)
        if self._paused:
            self.fault(now_ms, 0, "sound while the queue is paused: the caller hears nothing")
            return []
        self._buffer.push(now_ms, payload)
        return self._xoff()

    def _xoff(self) -> list[Message]:
        if self._stopped_bridge or self.queued_frames < XOFF_FRAMES:
            return []
        self._stopped_bridge = True
        return [self._told("MEDIA_XOFF")]

    def _marked(self, at_ms: float, name: str) -> str:
        self.recording.note(MarkEchoed(at_ms=at_ms, name=name))
        if self.channel.json:
            return self._event("MEDIA_MARK_PROCESSED", channel_id=self.stream_id, correlation_id=name)
        return f"MEDIA_MARK_PROCESSED {name}".strip()

    def _status(self) -> str:
        return self._event(
            "STATUS",
            channel_id=self.stream_id,
            queue_length=self.queued_frames,
            xon_level=XON_FRAMES,
            xoff_level=XOFF_FRAMES,
            queue_full=self._stopped_bridge,
            bulk_media=False,
            media_paused=self._paused,
        )

    def _error(self, text: str) -> str:
        return self._event("ERROR", channel_id=self.stream_id, error_text=text)


class AsteriskExchange(Exchange):
    """Asterisk that dials the bridge, by the dialplan of docs/carriers/asterisk.md."""

    name = "asterisk"
    section: AsteriskConfig
    codec: ClassVar[str] = "ulaw"
    json_control: ClassVar[bool] = True
    odd_frames: ClassVar[bool] = True

    def understand(self, answer: Answer | None) -> StreamOrder | None:
        """What websocket_client.conf and the dial string say."""
        plan = self.plan
        caller = plan.misbehaviour.start_call_sid or self.call_id
        query = urlencode({"caller": caller, "from": plan.from_number, "to": plan.to_number})
        return StreamOrder(
            url=f"{self.addresses.media_url}?{query}",
            headers=self._basic(plan.misbehaviour.upgrade_signature),
            subprotocols=(SUBPROTOCOL,),
            audio=FORMATS[self.codec],
        )

    def with_token(self, order: StreamOrder, token: str) -> StreamOrder:
        """There is no token: the password is the gate."""
        return order

    def line(self, order: StreamOrder, recording: CallRecording) -> AsteriskLine:
        """The driver of the channel that was dialled."""
        return AsteriskLine(self._channel(), recording, buffer_ms=self.plan.buffer_ms)

    def _channel(self) -> Channel:
        channel_id = f"{self.call_id}.2"
        return Channel(channel_id, codec=self.codec, json=self.json_control, odd_frames=self.odd_frames)

    def ended(self, order: StreamOrder, *, hung_up: bool, error: str = "") -> HttpAsk | None:
        """The dialplan asks whom to dial next, if its caller is still there."""
        if hung_up:
            return None
        url = self.addresses.answer_url.removesuffix("/answer") + "/ended"
        return form_ask(url, {"caller": self.call_id}, self._basic(self.plan.misbehaviour.webhook_signature))

    def verbs(self, answer: Answer) -> tuple[Verb, ...]:
        """``Dial``, if the answer names somebody."""
        to = answer.body.strip()
        return (Verb("Dial", text=to),) if answer.ok and to else ()

    def _basic(self, signature: Signature) -> dict[str, str]:
        if signature is Signature.ABSENT:
            return {}
        password = self.section.password
        known = password if signature is Signature.VALID else Secret(f"not {password.reveal()}")
        return basic(self.section.username, known)


class AsteriskIncomingExchange(AsteriskExchange):
    """Asterisk with a channel that waits for the bridge: ``WebSocket/INCOMING``, told to it by CURL()."""

    def __init__(self, *arguments: object, **keywords: object) -> None:
        super().__init__(*arguments, **keywords)  # type: ignore[arg-type]
        #: The channel's media id: a secret that only the webhook tells.
        self.connection_id = f"0a1b2c3d-{self.call_id[-24:]}"
        self._connected = False

    @property
    def waits_at(self) -> str:
        """Asterisk's web server."""
        return self.section.media_url

    def announce(self) -> HttpAsk:
        """The dialplan's CURL()."""
        plan = self.plan
        form = {
            "connection_id": self.connection_id,
            "caller": self.call_id,
            "from": plan.from_number,
            "to": plan.to_number,
        }
        return form_ask(self.addresses.answer_url, form, self._basic(plan.misbehaviour.webhook_signature))

    def judge(self, path: str, handshake: Handshake) -> int:
        """The HTTP status that Asterisk's web server answers a request for a media socket with: 101 lets it in."""
        if path != f"/media/{self.connection_id}":
            return 404
        if self._connected:
            return 409
        if SUBPROTOCOL not in handshake.subprotocols:
            return 400
        self._connected = True
        return 101

    def verbs(self, answer: Answer) -> tuple[Verb, ...]:
        """None of the answer to CURL(): it is not for the dialplan."""
        return () if answer.body.startswith("connecting") else super().verbs(answer)

    def _channel(self) -> Channel:
        inherited = {
            "BRIDGE_CALLER": self.call_id,
            "BRIDGE_FROM": self.plan.from_number,
            "BRIDGE_TO": self.plan.to_number,
        }
        return Channel(
            f"{self.call_id}.2",
            self.connection_id,
            self.codec,
            self.json_control,
            inherited,
            self.odd_frames,
        )


EXCHANGE = AsteriskExchange
