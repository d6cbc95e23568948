"""The media socket of Asterisk's WebSocket channel: sound as it is, control as a line of plain text or as JSON.

Strategy, besides what `dialect` and `json_dialect` promise:

- Plain text is put into JSON and read as that; our commands go out in the form that MEDIA_START came in.
- A call is named by the channel that dialled (`caller`), where the dialplan tells it: that is what a transfer and a
  placed call know it by. Failing that, by the WebSocket's own channel; never by `connection_id`, the section's name.
- The driver drops what is no whole frame, and throws queued marks away with what it flushes: messages are whole
  frames, and no mark is waited for after a clear.
- A command over 128 bytes is ignored by Asterisk: ours are short, by pattern.

Facts, from docs.asterisk.org (WebSocket channel driver), channels/chan_websocket.c and main/json.c in the sources of
Asterisk 20 to 23, and a run against Asterisk's master of August 2026.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
from msgspec import Meta, Struct

from bridge.carriers.dialect import (
    Audio,
    Binary,
    Delivery,
    Digit,
    Event,
    FlowResumed,
    FlowStopped,
    Ignored,
    MarkPlayed,
    Started,
)
from bridge.carriers.json_dialect import POLICY_VIOLATION, JsonDialect, Kind, Phase, Wire
from bridge.errors import ProtocolError
from bridge.plain_text import plain
from telephony_codecs.formats import ALAW_8K, MULAW_8K, PCM16_8K, AudioFormat, Encoding

NAME: Final = "asterisk"
#: What Asterisk asks for in ``Sec-WebSocket-Protocol``, and we of it.
SUBPROTOCOL: Final = "media"

#: Asterisk's names of formats that need no codec of their own.
FORMATS: Final[Mapping[str, AudioFormat]] = {
    "ulaw": MULAW_8K,
    "alaw": ALAW_8K,
    "slin": PCM16_8K,
    **{f"slin{khz}": AudioFormat(Encoding.PCM16, khz * 1000) for khz in (12, 16, 24, 32, 48)},
}

# A channel's unique id: "1795260005.2", with the system's name before it, or what ARI was told to call it.
CHANNEL_ID: Final = r"\A[0-9A-Za-z][0-9A-Za-z_.@;+-]{0,148}\Z"
# Its name, "WebSocket/bridge/0x7f1c2c0062a0": all that releases before 22.8 tell of it. No two live ones share it.
_CHANNEL: Final = r"\AWebSocket/[0-9A-Za-z_.-]{1,80}/0x[0-9a-f]{1,16}\Z"
_MARK_NAME: Final = re.compile(r"\A[0-9A-Za-z_.-]{1,64}\Z")
_EVENT_NAME: Final = re.compile(rb"\A[A-Z][A-Z_]{2,40}\Z")
MAX_FIELD_CHARS: Final = 400
_LONGEST_MESSAGE_MS: Final = 200
_STEP_MS: Final = 20  # the playout's clock
_ECHOES: Final = ("MEDIA_MARK_PROCESSED", "MEDIA_BUFFERING_COMPLETED")

# -- messages received -----------------------------------------------------------------------------

_Digit = Literal["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "#", "A", "B", "C", "D"]


class _Start(Wire, tag="MEDIA_START"):
    format: str
    #: 0 where the driver cannot cut frames, in passthrough mode.
    optimal_frame_size: Annotated[int, Meta(ge=0, le=65_536)]
    channel: str = ""
    channel_id: Annotated[str, Meta(pattern=CHANNEL_ID)] | None = None
    channel_variables: dict[str, object] = {}


class _Dtmf(Wire, tag="DTMF_END"):
    digit: _Digit


class _Mark(Wire, tag="MEDIA_MARK_PROCESSED"):
    correlation_id: str = ""


#: What says nothing but its own name, as far as we read it.
_TELLING: Final[Mapping[str, Event]] = {
    "MEDIA_XOFF": FlowStopped(),
    "MEDIA_XON": FlowResumed(),
    "STATUS": Ignored("status"),
    "QUEUE_DRAINED": Ignored("queue_drained"),
    "MEDIA_BUFFERING_COMPLETED": Ignored("buffering_completed"),
    "ERROR": Ignored("carrier_error"),
}
_EVENTS: Final[Mapping[type[Struct], Event]] = {
    msgspec.defstruct(name, [], bases=(Wire,), tag=name): event for name, event in _TELLING.items()
}


def in_json(line: bytes) -> bytes:
    """A line of plain-text control as the JSON that says the same; as it stands when it is no such line.

    ``EVENT name:value name:value``; the two events that echo an id of ours have it alone, and the text of an error
    may hold spaces.
    """
    name, _, rest = line.strip().partition(b" ")
    if not _EVENT_NAME.match(name):
        return line
    fields = {"event": name.decode("ascii")}
    try:
        text = rest.decode("utf-8")
    except UnicodeDecodeError:
        return line
    if fields["event"] in _ECHOES:
        return msgspec.json.encode({**fields, "correlation_id": text})
    for word in text.split():
        key, colon, value = word.partition(":")
        if colon:
            fields.setdefault(key, value)
    return msgspec.json.encode(fields)


# -- dialect ---------------------------------------------------------------------------------------

_MEDIA_BEFORE_START: Final = Ignored("media_before_start")


class AsteriskDialect(JsonDialect):
    """The media socket of one WebSocket channel; see `bridge.carriers.dialect.Dialect`.

    Args:
        told: what the dialplan wrote into the address (`caller`, `from`, `to`), stronger than channel variables.
    """

    carrier = NAME
    ends_by_closing = True
    KINDS: ClassVar[Mapping[type[Struct], Kind]] = {
        _Start: Kind.START,
        _Dtmf: Kind.DTMF,
        _Mark: Kind.MARK,
        **dict.fromkeys(_EVENTS, Kind.CONTROL),
    }

    def __init__(self, told: Mapping[str, str]) -> None:
        super().__init__()
        self._told = told
        self._json = False
        self._received_bytes = 0

    def receive(self, message: bytes) -> Event:
        """What `message` means; raises ProtocolError as every dialect does."""
        if type(message) is Binary:
            return self._sound(message)
        is_json = message.lstrip().startswith(b"{")
        event = super().receive(message if is_json else in_json(message))
        if isinstance(event, Started):
            self._json = is_json
        return event

    def _sound(self, message: bytes) -> Event:
        if self._phase is not Phase.STREAMING:  # some come early under load, and mean nothing yet
            return _MEDIA_BEFORE_START
        audio = self.inbound_format
        if (
            len(message) % audio.sample_bytes
        ):  # frames of odd sizes do come; half a sample must not turn what follows
            message = message[:-1]
        timestamp_ms = int(audio.ms_in(self._received_bytes))
        self._received_bytes += len(message)
        return Audio(message, timestamp_ms)

    # -- what we say -----------------------------------------------------------------------------------

    def opened(self) -> Sequence[bytes]:
        """Answer the channel, for a dialplan that left it to us (option ``n``); harmless if it is answered."""
        return (self._command("ANSWER"),)

    def audio(self, payload: bytes) -> bytes:
        """Whole frames, as they are."""
        return Binary(payload)

    def mark(self, name: str) -> Sequence[bytes]:
        """The command that asks for `MarkPlayed(name)` when it gets to the head of the queue; never, once flushed."""
        assert _MARK_NAME.match(name), "a mark's name that Asterisk would not take"
        if self._json:
            return (b'{"command":"MARK_MEDIA","correlation_id":"%b"}' % name.encode("ascii"),)
        return (b"MARK_MEDIA " + name.encode("ascii"),)

    def clear(self) -> Sequence[bytes]:
        """Empty the queue; what is flushed while it was paused would stay paused, whatever the documents say."""
        return (self._command("FLUSH_MEDIA"), self._command("CONTINUE_MEDIA"))

    def probe(self) -> Sequence[bytes]:
        """A muted phone may send no packets, and then the driver sends none; but it tells its status when asked."""
        return (self._command("GET_STATUS"),)

    def goodbye(self, reason: str) -> Sequence[bytes]:
        """Hang up our channel; the dialplan goes on with the caller's."""
        return (self._command("HANGUP"),)

    def _command(self, name: str) -> bytes:
        return (f'{{"command":"{name}"}}' if self._json else name).encode("ascii")

    # -- what Asterisk says ----------------------------------------------------------------------------

    def _start(self, wire: _Start) -> Started:
        self._served(wire)
        told = {**_inherited(wire.channel_variables), **self._told}
        caller, channel_id = told.get("caller", ""), self._channel_id(wire)
        return Started(
            call_id=caller if re.match(CHANNEL_ID, caller) else channel_id,
            stream_id=channel_id,
            parameters=told,
            from_number=told.get("from", ""),
            to_number=told.get("to", ""),
        )

    def _opened(self, wire: _Start, started: Started) -> None:
        audio, message_ms = self._served(wire)
        self.inbound_format = self.outbound_format = audio
        # Releases that tell no id do not know marks either: waiting for one would cost a second an utterance.
        self.delivery = Delivery(message_ms=message_ms, marks=wire.channel_id is not None)

    def _channel_id(self, wire: _Start) -> str:
        if wire.channel_id is not None:
            return wire.channel_id
        if not re.match(_CHANNEL, wire.channel):
            raise self._refused("neither channel_id nor channel names the call", "bad_message")
        return wire.channel.replace("/", "-")

    def _served(self, wire: _Start) -> tuple[AudioFormat, int]:
        """The stream's format, and how much audio a message must hold to be of whole frames.

        Raises:
            ProtocolError: it is a codec that is not spoken here, or its frames do not go into the playout's.
        """
        audio = FORMATS.get(wire.format)
        if audio is None:
            known = ", ".join(FORMATS)
            reason = f"format {plain(wire.format, 20)!r} is not spoken here; dial c(ulaw), or one of {known}"
            raise self._refused(reason, "bad_format")
        frame_bytes = wire.optimal_frame_size
        for message_ms in range(_STEP_MS, _LONGEST_MESSAGE_MS + 1, _STEP_MS):
            if frame_bytes and audio.bytes_in(message_ms) % frame_bytes == 0:
                return audio, message_ms
        raise self._refused(f"no message of whole frames of {frame_bytes} bytes", "bad_format")

    def _refused(self, reason: str, kind: str) -> ProtocolError:
        return self._broken(reason, kind, POLICY_VIOLATION if self._phase is Phase.OPENING else None)

    def _event(self, wire: Any) -> Event:
        if isinstance(wire, _Mark):
            return MarkPlayed(wire.correlation_id)
        return Digit(wire.digit) if isinstance(wire, _Dtmf) else _EVENTS[type(wire)]


def _inherited(variables: Mapping[str, object]) -> dict[str, str]:
    """What the dialplan gave our channel along: ``Set(__BRIDGE_CALLER=${UNIQUEID})`` and the like.

    A variable that goes on being inherited keeps its underscores in MEDIA_START.
    """
    bare = {name.lstrip("_"): value for name, value in variables.items()}
    told = {name: bare.get(f"BRIDGE_{name.upper()}") for name in ("caller", "from", "to")}
    return {name: plain(value, MAX_FIELD_CHARS) for name, value in told.items() if isinstance(value, str)}
