"""The events that every carrier means, and the commands that every carrier obeys.

Strategy, the same for every dialect:

- A dialect is one call's wire protocol: bytes in, events out; commands in, bytes out. It never awaits, never
  reads a clock, never logs above debug.
- Wire data is hostile. Each message is decoded once, into typed structs, here at the edge. What cannot be
  decoded is a `ProtocolError`, never a KeyError; what is merely unknown is an `Ignored` event with a name to
  count it by.
- Order is held by a literal table (`phase x event`), so that media before start, a second start or media
  after stop have one place where they are judged.
- Audio on the bridge's side of a dialect is always the raw payload in `Dialect.audio_format`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from msgspec import Struct

from telephony_codecs.formats import AudioFormat


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


class Audio(Struct, frozen=True, gc=False):
    """What the caller said: raw payload in the dialect's `audio_format`.

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
    """All audio before the mark has been played, or a `clear` threw it away: the name alone cannot tell."""

    name: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The carrier ended the stream."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Ignored:
    """Well-formed, but unknown or out of place. Count it under `kind` and go on."""

    kind: str


Event: TypeAlias = Connected | Started | Audio | Digit | MarkPlayed | Stopped | Ignored


class Dialect(Protocol):
    """One call's wire protocol. Make a fresh one for every media socket."""

    carrier: str
    audio_format: AudioFormat

    def receive(self, message: bytes) -> Event:
        """What `message` (one WebSocket message) means.

        Raises:
            ProtocolError: it cannot be decoded, or breaks the order in a way that cannot be skipped. With
                `close_code` set the socket must be closed with it, else the message is counted and skipped.
        """

    def audio(self, payload: bytes) -> bytes:
        """The message that plays one packet. Valid once `Started` has been received."""

    def mark(self, name: str) -> bytes:
        """The message that asks to be told when everything before it has been played."""

    def clear(self) -> bytes:
        """The message that throws away what the carrier has buffered."""
