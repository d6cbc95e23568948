"""The events that every carrier means, and the commands that every carrier obeys.

Strategy, the same for every dialect:

- A dialect is one call's wire protocol: bytes in, events out; commands in, bytes out. It never awaits, never
  reads a clock, never logs above debug.
- Wire data is hostile. Each message is decoded once, into typed structs, here at the edge. What cannot be
  decoded is a `ProtocolError`, never a KeyError; what is merely unknown is an `Ignored` event with a name to
  count it by.
- Order is held by a literal table (`phase x event`), so that media before start, a second start or media
  after stop have one place where they are judged.
- Audio on the bridge's side of a dialect is always the raw payload: the caller's in `inbound_format`, ours in
  `outbound_format`.
- A message is `bytes` when it is text (UTF-8) on the wire and `Binary` when it is binary, both ways.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from msgspec import Struct

from telephony_codecs.formats import MULAW_8K, AudioFormat


class Binary(bytes):
    """A binary WebSocket message; plain `bytes` are a text message."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Connected:
    """The carrier said hello; nothing is known about the call yet."""


@dataclass(frozen=True, slots=True)
class Started:
    """The stream is bound to a call. Admission must hold before anything is done with it."""

    call_id: str
    stream_id: str
    account_id: str = ""
    #: False when the carrier only listens in: nothing may be sent back.
    bidirectional: bool = True
    #: What our own answer put into the stream, the one-time token among it: kept out of the repr.
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: Who talks to whom, of carriers that tell it here and have no webhook to tell it in.
    from_number: str = field(default="", repr=False)
    to_number: str = field(default="", repr=False)


class Audio(Struct, frozen=True, gc=False):
    """What the caller said: raw payload in the dialect's `inbound_format`.

    A struct because there are 50 a second and call: a frozen dataclass takes as long to make as the whole
    message takes to decode.
    """

    payload: bytes
    #: Milliseconds since the stream began, by the carrier's clock.
    timestamp_ms: int = 0


@dataclass(frozen=True, slots=True)
class Digit:
    """The caller pressed a key: one of 0-9, *, #, A-D."""

    digit: str


@dataclass(frozen=True, slots=True)
class MarkPlayed:
    """All audio before the mark has been played, or a `clear` threw it away: the name alone cannot tell.

    Of a carrier that can tell, a mark that was thrown away is `Ignored("mark_cleared")`.
    """

    name: str


@dataclass(frozen=True, slots=True)
class FlowStopped:
    """The carrier wants no more audio for now: until `FlowResumed`, or for `for_s` seconds when it said so."""

    for_s: float = 0.0


@dataclass(frozen=True, slots=True)
class FlowResumed:
    """The carrier takes audio again."""


@dataclass(frozen=True, slots=True)
class Respond:
    """The protocol itself wants an answer, at once: a pong, a farewell. Send `messages` in this order."""

    messages: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Stopped:
    """The carrier ended the stream."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Ignored:
    """Well-formed, but unknown or out of place. Count it under `kind` and go on."""

    kind: str


@dataclass(frozen=True, slots=True)
class Several:
    """One message that means more than one thing, in this order: late ones that were waited for, say."""

    events: tuple[Event, ...]


Event: TypeAlias = (
    Connected
    | Started
    | Audio
    | Digit
    | MarkPlayed
    | FlowStopped
    | FlowResumed
    | Respond
    | Stopped
    | Ignored
    | Several
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """How audio must be handed to a carrier.

    Attributes:
        message_ms: audio in one message; a multiple of 20. The end of an utterance is padded to it.
        tail_ms: silence after each utterance, for a carrier that keeps the last of its buffer back.
        marks: whether it tells when a mark has been played.
        clear: whether it can throw away what it has buffered. If not, what was sent will be heard.
    """

    message_ms: int = 20
    tail_ms: int = 0
    marks: bool = True
    clear: bool = True


class Dialect:
    """One call's wire protocol. Make a fresh one for every media socket.

    `inbound_format`, `outbound_format` and `delivery` hold once `Started` has been received; so do the commands.
    """

    carrier: ClassVar[str]
    inbound_format: AudioFormat = MULAW_8K
    outbound_format: AudioFormat = MULAW_8K
    delivery: Delivery = Delivery()
    #: After `goodbye` it is the carrier that closes the socket, once it has said its own: wait for `Stopped`.
    carrier_closes: ClassVar[bool] = False
    #: The carrier has no message for the end of a stream: closing the socket, in good order, is how it says so.
    ends_by_closing: ClassVar[bool] = False

    def receive(self, message: bytes) -> Event:
        """What `message` (one WebSocket message) means.

        Raises:
            ProtocolError: it cannot be decoded, or breaks the order in a way that cannot be skipped. With
                `close_code` set the socket must be closed with it, else the message is counted and skipped.
        """
        raise NotImplementedError

    def opened(self) -> Sequence[bytes]:
        """What to send once the stream is admitted, before anything else."""
        return ()

    def audio(self, payload: bytes) -> bytes:
        """The message that plays `payload`: `delivery.message_ms` of audio in `outbound_format`."""
        raise NotImplementedError

    def mark(self, name: str) -> Sequence[bytes]:
        """What asks to be told when everything before it has been played. Never called without `delivery.marks`."""
        raise NotImplementedError

    def clear(self) -> Sequence[bytes]:
        """What throws away the carrier's buffer. Never called without `delivery.clear`."""
        raise NotImplementedError

    def send_digits(self, digits: str) -> Sequence[bytes]:
        """What presses keys towards the caller. Only of carriers whose `Capabilities.send_digits` is ``message``."""
        raise NotImplementedError

    def transfer(self, to: str) -> Sequence[bytes]:
        """What hands the caller on to `to`. Only of carriers whose `Capabilities.transfer` is ``message``.

        It takes the place of `goodbye`, which then has nothing left to say: close the socket as after that.
        """
        raise NotImplementedError

    def probe(self) -> Sequence[bytes]:
        """What makes the carrier say that it is still there, if it sends nothing while the caller is silent."""
        return ()

    def goodbye(self, reason: str) -> Sequence[bytes]:
        """What to send before the socket is closed from our side. `reason` is ``agent`` or a fault's name."""
        return ()
