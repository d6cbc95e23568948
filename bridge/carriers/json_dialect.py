"""What the dialects share whose control messages are JSON objects that name their event.

Strategy:

- One typed decode per message. Which types a phase allows is a literal table, `ORDER`, from which each dialect's
  own is drawn up once, when its class is made.
- A stranger gets no patience: before `start`, a message that names no event closes the socket (1008), and so
  does a `start` that cannot be read. During a call a person is listening: what is bad is counted and skipped.
- Binary messages are the dialect's own affair: see `_sound`. By default they are read as if they were text.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar, Final, TypeAlias

import msgspec
from msgspec import Struct

from bridge.carriers.dialect import Dialect, Event, Ignored, Started
from bridge.errors import ProtocolError

POLICY_VIOLATION: Final = 1008
#: All that decoding raises: not JSON or not of our types, not UTF-8 in a string, nested too deep.
UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_MAX_REASON_CHARS: Final = 200
_UNKNOWN_EVENT: Final = Ignored("unknown_event")
_DUPLICATE_START: Final = Ignored("duplicate_start")
#: What dialects say of a message of another stream, and of the voice that is ours.
FOREIGN_STREAM: Final = Ignored("foreign_stream")
OUTBOUND_TRACK: Final = Ignored("outbound_track")


class Wire(Struct, tag_field="event", gc=False):
    """What a carrier sends, as far as we read it. Each dialect's messages derive from it, with their own tags."""


class Phase(StrEnum):
    """Where a media socket is in its life."""

    OPENING = "opening"
    STREAMING = "streaming"
    STOPPED = "stopped"


class Kind(StrEnum):
    """What a message is for, whatever a carrier calls it; its value names it in counters."""

    CONNECTED = "connected"
    START = "start"
    MEDIA = "media"
    DTMF = "dtmf"
    MARK = "mark"
    CONTROL = "control"  #: anything else that belongs to a running stream: a report, an error, a ping
    STOP = "stop"


class _Again(StrEnum):
    START = "start"  #: never a second stream: `_again` judges the ids


Verdict: TypeAlias = Phase | Ignored | _Again

ORDER: Final[Mapping[Phase, Mapping[Kind, Verdict]]] = {
    Phase.OPENING: {
        Kind.CONNECTED: Phase.OPENING,
        Kind.START: Phase.STREAMING,
        Kind.MEDIA: Ignored("media_before_start"),
        Kind.DTMF: Ignored("dtmf_before_start"),
        Kind.MARK: Ignored("mark_before_start"),
        Kind.CONTROL: Ignored("control_before_start"),
        Kind.STOP: Ignored("stop_before_start"),
    },
    Phase.STREAMING: {
        Kind.CONNECTED: Ignored("connected_after_start"),
        Kind.START: _Again.START,
        Kind.MEDIA: Phase.STREAMING,
        Kind.DTMF: Phase.STREAMING,
        Kind.MARK: Phase.STREAMING,
        Kind.CONTROL: Phase.STREAMING,
        Kind.STOP: Phase.STOPPED,
    },
    Phase.STOPPED: {
        Kind.CONNECTED: Ignored("connected_after_stop"),
        Kind.START: Ignored("start_after_stop"),
        Kind.MEDIA: Ignored("media_after_stop"),
        Kind.DTMF: Ignored("dtmf_after_stop"),
        Kind.MARK: Ignored("mark_after_stop"),
        Kind.CONTROL: Ignored("control_after_stop"),
        Kind.STOP: Ignored("stop_after_stop"),
    },
}


class JsonDialect(Dialect):
    """A dialect whose messages are listed in `KINDS`.

    A carrier's dialect fills in `carrier`, `KINDS`, `_start` and `_event`, and sets `_opened` up where its own
    messages depend on the start. Make the decoder with `decoder_of(KINDS)`.
    """

    #: Each type of message that is read, and what it is for.
    KINDS: ClassVar[Mapping[type[Struct], Kind]]
    #: The field that names a message's event.
    EVENT_FIELD: ClassVar[str] = "event"

    _decoder: ClassVar[msgspec.json.Decoder[Any]]
    _orders: ClassVar[Mapping[Phase, Mapping[type[Struct], Verdict]]]
    _known: ClassVar[frozenset[str]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "KINDS" not in cls.__dict__:
            return
        cls._decoder = decoder_of(cls.KINDS)
        cls._orders = {
            phase: {wire: row[kind] for wire, kind in cls.KINDS.items()} for phase, row in ORDER.items()
        }
        cls._known = frozenset(str(wire.__struct_config__.tag) for wire in cls.KINDS)

    def __init__(self) -> None:
        self._started: Started | None = None
        self._decode = self._decoder.decode
        self._enter(Phase.OPENING)

    def receive(self, message: bytes) -> Event:
        """What `message` means; raises ProtocolError as every dialect does."""
        try:
            wire = self._decode(message)
        except UNDECODABLE as error:
            return self._unreadable(message, error)
        verdict = self._allowed[type(wire)]
        if verdict is self._phase:
            return self._event(wire)
        if isinstance(verdict, Ignored):
            return verdict
        if self._is_foreign(wire):
            return FOREIGN_STREAM
        if isinstance(verdict, _Again):
            return self._again(wire)
        if verdict is Phase.STREAMING:
            return self._begin(wire)
        self._enter(verdict)
        return self._event(wire)

    # -- for each carrier to fill in -----------------------------------------------------------------------

    def _start(self, wire: Any) -> Started:
        """What a start says. Keeps nothing: it is asked again when a second one comes.

        Raises:
            ProtocolError: it cannot be served; make it with `_broken` and a close code.
        """
        raise NotImplementedError

    def _opened(self, wire: Any, started: Started) -> None:
        """The stream is bound: prepare the messages of ours that depend on it."""

    def _event(self, wire: Any) -> Event:
        """What any other message means, in a phase that allows it. The hot path: look for audio first."""
        raise NotImplementedError

    def _is_foreign(self, wire: Any) -> bool:
        """Whether a rare message (a start, a stop) is of another stream than ours."""
        return False

    # -- for them to use -----------------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        """Where the socket is in its life."""
        return self._phase

    @property
    def call_id(self) -> str:
        """The call, once it is known."""
        return self._started.call_id if self._started is not None else ""

    def _broken(self, reason: str, kind: str, close_code: int | None = None) -> ProtocolError:
        """The error that says what is wrong with a message; with `close_code` the socket cannot go on."""
        return ProtocolError(
            reason, peer=self.carrier, kind=kind, call_id=self.call_id, close_code=close_code
        )

    def _enter(self, phase: Phase) -> None:
        self._phase, self._allowed = phase, self._orders[phase]

    # -- the rest is the same for all ----------------------------------------------------------------------

    def _begin(self, wire: Any) -> Event:
        started = self._start(wire)
        self._started = started
        self._enter(Phase.STREAMING)
        self._opened(wire, started)
        return started

    def _again(self, wire: Any) -> Ignored:
        second, first = self._start(wire), self._started
        if first is not None and (second.call_id, second.stream_id) == (first.call_id, first.stream_id):
            return _DUPLICATE_START
        raise self._broken("a second start, of another stream", "second_start", POLICY_VIOLATION)

    def _unreadable(self, message: bytes, error: Exception) -> Event:
        """Tell an unknown event, which is no fault, from a message that nobody could read."""
        event = event_of(message, self.EVENT_FIELD)
        if event is not None and event not in self._known:
            return _UNKNOWN_EVENT
        kind = "bad_message" if isinstance(error, msgspec.ValidationError) else "bad_json"
        hopeless = self._phase is Phase.OPENING and (event is None or self._is_start(event))
        raise self._broken(reason_of(error), kind, POLICY_VIOLATION if hopeless else None) from None

    def _is_start(self, event: str) -> bool:
        return any(
            kind is Kind.START and wire.__struct_config__.tag == event for wire, kind in self.KINDS.items()
        )


def decoder_of(kinds: Mapping[type[Struct], Kind]) -> msgspec.json.Decoder[Any]:
    """One message to one of the types in `kinds`; numbers may come as strings, or not."""
    union: Any = None
    for wire in kinds:
        union = wire if union is None else union | wire
    return msgspec.json.Decoder(union, strict=False)


def reason_of(error: Exception) -> str:
    """Why a message cannot be decoded, for people to read: values from the wire stand in it, of any length."""
    return "".join(c if c.isprintable() else "?" for c in str(error)[:_MAX_REASON_CHARS])


_envelopes: Final[dict[str, msgspec.json.Decoder[Any]]] = {}


def event_of(message: bytes, field: str = "event") -> str | None:
    """What a message calls itself; None when it has no name that can be read."""
    decoder = _envelopes.get(field)
    if decoder is None:
        envelope = msgspec.defstruct("Envelope", [("name", str, msgspec.field(name=field))])
        decoder = _envelopes[field] = msgspec.json.Decoder(envelope)
    try:
        return str(decoder.decode(message).name)
    except UNDECODABLE:
        return None
