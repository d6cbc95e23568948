"""What holds of every carrier's dialect, as checks on one table of cases. Each raises AssertionError."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import pytest

from bridge.carriers.dialect import (
    Audio,
    Binary,
    Dialect,
    Digit,
    Event,
    FlowResumed,
    FlowStopped,
    Ignored,
    MarkPlayed,
    Several,
    Started,
    Stopped,
)
from bridge.errors import ProtocolError
from tests.support.carrier_cases import Cases

MAX_REASON_CHARS: Final = 200
#: A message is cut at each of so many places; further on it is the payload, where one place is like another.
EVERY_CUT: Final = 600
JUNK: Final = (b"x", b"}", b"{}", b"\0", b'{"event":"stop"}')
DEEP: Final = {
    "brackets": b"[" * 200_000,
    "brackets in a field": b'{"event":"media","x":' + b"[" * 200_000,
    "braces in a field": b'{"type":"open","x":' + b'{"x":' * 40_000,
    "brackets in the payload": b'{"event":"media","media":{"payload":' + b"[" * 200_000,
    "closed brackets in a field": b'{"event":"stop","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}

Verdict = Event | str


def verdict(dialect: Dialect, message: bytes) -> Verdict:
    """What a dialect says of a message: an event, or the kind of its ProtocolError; nothing else may be raised."""
    try:
        event = dialect.receive(message)
        for one in events_of(event):
            _check_event(one)
        return event
    except ProtocolError as error:
        assert error.peer == dialect.carrier
        assert len(error.reason) <= MAX_REASON_CHARS
        assert error.reason.isprintable()
        return error.kind


def _check_event(event: Event) -> None:
    """What every part of the bridge may take for granted of an event."""
    match event:
        case Started():
            assert event.call_id.isprintable() and event.call_id.isascii()
            (event.from_number + event.to_number).encode()
        case MarkPlayed(name):
            name.encode()  # a lone surrogate would raise here, and in every log
        case Audio(_, timestamp_ms):
            assert timestamp_ms >= 0
        case Digit(digit):
            assert digit in tuple("0123456789*#ABCD")
        case Ignored(kind):
            assert kind.isidentifier()
        case _:
            pass


def events_of(event: Event) -> Iterator[Event]:
    """The event, or those that it stands for."""
    if isinstance(event, Several):
        for one in event.events:
            yield from events_of(one)
    else:
        yield event


def command(cases: Cases, dialect: Dialect, name: str) -> list[bytes]:
    """What a command is on the wire. For the names, see `Cases.says`."""
    arguments: dict[str, tuple[Any, ...]] = {
        "audio": (cases.payload,),
        "mark": ("1.1000",),
        "send_digits": ("12#",),
        "goodbye": ("agent",),
    }
    said = getattr(dialect, name)(*arguments.get(name, ()))
    return [said] if isinstance(said, bytes) else list(said)


def check_commands(cases: Cases) -> None:
    """Each command is what the table says, of the kind (text, binary) that it says."""
    for name, wanted in cases.says.items():
        said = command(cases, cases.streaming(), name)
        assert said == list(wanted), name
        assert [type(message) is Binary for message in said] == [type(m) is Binary for m in wanted], name


def check_bad(cases: Cases, name: str) -> None:
    """A message of ``broken/`` or ``hopeless/``: skipped during a call; the hopeless one closes on a stranger."""
    dialect = cases.streaming()
    with pytest.raises(ProtocolError) as caught:
        dialect.receive(cases.frame(name))
    assert caught.value.peer == cases.name
    if name.startswith("broken/"):
        assert caught.value.close_code is None
        follows, event = next(iter(cases.on_stream.items()))
        assert dialect.receive(cases.frame(follows)) == event, "a bad message spoils nothing"
    else:
        with pytest.raises(ProtocolError) as stranger:
            cases.after(*cases.before).receive(cases.frame(name))
        assert stranger.value.close_code is not None


def check_truncations(cases: Cases, name: str) -> None:
    """Every cut of a text message is a ProtocolError where messages are JSON; an event of some sort elsewhere."""
    message, dialect = cases.frame(name), cases.streaming()
    for end in (*range(min(len(message), EVERY_CUT)), *range(EVERY_CUT, len(message), 29)):
        cut = verdict(dialect, message[:end])
        assert isinstance(cut, str) or not cases.splits
        if not isinstance(cut, str):  # it may have changed something
            dialect = cases.streaming()


def check_spelling(cases: Cases, name: str) -> None:
    """Order of keys, white space, and numbers written as strings mean nothing."""
    parsed = json.loads(cases.frame(name))
    spread = json.dumps(dict(reversed(parsed.items())), indent=3).encode()
    worded = json.dumps(numbers_as_strings(parsed)).encode()
    for make in (partial(cases.after, *cases.before), cases.streaming):
        wanted = verdict(make(), cases.frame(name))
        assert verdict(make(), spread) == wanted
        assert verdict(make(), worded) == wanted


def numbers_as_strings(value: Any) -> Any:
    """The same JSON with every number in quotes."""
    if isinstance(value, dict):
        return {key: numbers_as_strings(item) for key, item in value.items()}
    if isinstance(value, list):
        return [numbers_as_strings(item) for item in value]
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


class OrderKeeper:
    """Holds a dialect to the order that every carrier's events come in."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.started = self.stopped = False

    def receive(self, message: bytes) -> Verdict:
        """Hand on a message, and judge what comes of it."""
        told = verdict(self.dialect, message)
        if not isinstance(told, str):
            for event in events_of(told):
                self._judge(event)
        return told

    def _judge(self, event: Event) -> None:
        if isinstance(event, Started):
            assert not self.started, "a stream starts once"
            self.started = True
        elif isinstance(event, Audio | Digit | MarkPlayed | FlowStopped | FlowResumed):
            assert self.started and not self.stopped, f"{event} out of place"
            assert not isinstance(event, Audio) or isinstance(event.payload, bytes)
        elif isinstance(event, Stopped):
            assert self.started, "nothing has started"
            self.stopped = True


# -- spoiling messages -------------------------------------------------------------------------------------------------


def spoiled(message: bytes, place: int, how: Callable[[Any], Any]) -> bytes:
    """A JSON message with one of its values changed: the one at `place`, counted through the tree."""
    try:
        parsed = json.loads(message)
    except ValueError:
        return message
    places = list(_places(parsed))
    if not places:
        return message
    holder, key = places[place % len(places)]
    holder[key] = how(holder[key])
    return json.dumps(parsed).encode("utf-8", "surrogatepass")


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = (
        list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    )
    for key in keys:
        yield value, key
        yield from _places(value[key])
