"""What the sockets of the emulated Lightning have in common: who may come in, units, actions, messages out.

Strategy:

- A session (`lightning_session`) turns messages into `Action`s; whoever holds the socket carries them out.
- An `Account` is what all sockets share: the units of concurrency, the ids, the counts.
- A `Synthesis` knows how its own messages are written, so that to deliver it takes no session.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import msgspec

from bridge.emulators.lightning_options import EmulatorOptions, EmulatorStats
from bridge.emulators.lightning_refusals import Refusal, refused
from bridge.emulators.lightning_requests import SpeechRequest
from bridge.emulators.speech_engine import TimedWord
from bridge.emulators.switches import bearer

MAX_IDLE_TIMEOUT_S: Final = 180.0


@dataclass(frozen=True, slots=True, eq=False)
class Synthesis:
    """One synthesis, and how each of its messages is written."""

    request: SpeechRequest
    #: Counted from 1 over the life of the emulator.
    number: int
    #: Whether the client asked for the words' times and this voice has them.
    timed: bool
    #: The ids that every message of it carries: a JSON object without its last brace.
    head: bytes
    #: Whether its end is told as older documentation has it.
    old_complete: bool = False

    def chunk(self, audio_base64: bytes) -> bytes:
        """The message with a piece of audio."""
        return b'%b,"status":"chunk","data":{"audio":"%b"}}' % (self.head, audio_base64)

    def word(self, index: int, word: TimedWord) -> bytes:
        """The message with the time of the word `index`, counted from 0."""
        start_s, end_s = round(word.start_ms / 1000, 3), round(word.end_ms / 1000, 3)
        data = msgspec.json.encode({"id": index, "word": word.text, "start": start_s, "end": end_s})
        return b'%b,"status":"word_timestamp","data":%b}' % (self.head, data)

    def complete(self) -> bytes:
        """The message that ends it."""
        more = b',"message":"All chunks sent","done":true' if self.old_complete else b""
        return b'%b,"status":"complete"%b}' % (self.head, more)

    def error(self, blame: Mapping[str, object]) -> bytes:
        """The message that ends it badly."""
        return b'%b,"status":"error",%b' % (self.head, msgspec.json.encode(blame)[1:])


@dataclass(frozen=True, slots=True)
class Send:
    """Send this text message."""

    message: bytes


@dataclass(frozen=True, slots=True)
class Begin:
    """Speak; report `finished` when `complete` is due, or `failed`."""

    synthesis: Synthesis
    #: How long it has waited for its turn already: its first byte is due so much earlier, but not before now.
    waited_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop speaking; nothing is to be reported any more."""

    synthesis: Synthesis


@dataclass(frozen=True, slots=True)
class Close:
    """Close the socket."""

    code: int = 1000


Action: TypeAlias = Send | Begin | Stop | Close


@dataclass(slots=True)
class Account:
    """What all sockets of an emulator share."""

    options: EmulatorOptions = field(default_factory=EmulatorOptions)
    stats: EmulatorStats = field(default_factory=EmulatorStats)

    def take_unit(self) -> bool:
        """Take a unit of concurrency, unless none is left."""
        limit, stats = self.options.concurrency, self.stats
        if limit and stats.active >= limit:
            stats.over_concurrency += 1
            return False
        stats.active += 1
        stats.max_active = max(stats.max_active, stats.active)
        return True

    def return_unit(self) -> None:
        """Give a unit back."""
        self.stats.active -= 1

    def began(self, text: str, fields: Mapping[str, object]) -> int:
        """Count a synthesis of `text`, asked for with `fields`; gives its number, counted from 1."""
        stats = self.stats
        stats.requests += 1
        stats.chars += len(text)
        stats.texts.append(text)
        stats.last_request = dict(fields)
        return stats.requests

    def has_room_for_socket(self) -> bool:
        """Whether one more open socket is within `sockets_per_unit`, counting it already."""
        limit = self.options.sockets_per_unit * self.options.concurrency
        return not limit or self.stats.open_connections <= limit


def idle_timeout_s(query: str | None, default_s: float) -> float:
    """What ``?timeout=`` asks for, in seconds: a positive whole number, at most 180; else the default."""
    asked = query or ""
    if not (asked.isascii() and asked.isdecimal() and int(asked[:9])):
        return default_s
    return min(float(asked[:9]), MAX_IDLE_TIMEOUT_S)


def handshake_refusal(authorization: str, options: EmulatorOptions) -> Refusal | None:
    """What a handshake, or a request over HTTP, is refused with, or None."""
    if options.refuse:
        return refused(options.refuse)
    return None if options.accepts(bearer(authorization)) else refused(401)
