"""Every carrier's wire, both ways: one table of cases each drives reading, order, commands, junk and fuzz."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from bridge.carriers.dialect import Binary, Event, Ignored
from bridge.carriers.registry import carrier_types
from tests.support.carrier_cases import Cases, all_cases
from tests.support.dialect_checks import (
    DEEP,
    JUNK,
    OrderKeeper,
    check_bad,
    check_commands,
    check_spelling,
    check_truncations,
    spoiled,
    verdict,
)
from tests.support.example_counts import at_most

TABLES = all_cases()
every_carrier = pytest.mark.parametrize("cases", TABLES.values(), ids=TABLES.keys())


def frames_of(cases: Cases) -> list[str]:
    """Names of all good messages of a table."""
    stop = [cases.stop] if cases.stop else []
    return list(
        dict.fromkeys([*cases.before, *cases.starts, *cases.early, *cases.on_stream, *stop, *cases.late])
    )


def each(*attributes: str, folders: tuple[str, ...] = ()) -> pytest.MarkDecorator:
    """Parameters `cases` and `name`: every frame of these attributes, and folders, of every table."""
    return pytest.mark.parametrize(
        ("cases", "name"),
        [
            pytest.param(cases, name, id=f"{carrier}-{name}")
            for carrier, cases in TABLES.items()
            for name in [
                *(name for attribute in attributes for name in getattr(cases, attribute)),
                *(name for folder in folders for name in cases.frames(folder)),
            ]
        ],
    )


def _texts() -> Iterator[Any]:
    for carrier, cases in TABLES.items():
        for name in frames_of(cases):
            if type(cases.frame(name)) is not Binary:
                yield pytest.param(cases, name, id=f"{carrier}-{name}")


#: Every good text message of every table.
TEXTS = list(_texts())


def test_every_carrier_has_a_table_with_something_in_it() -> None:
    assert sorted(TABLES) == sorted(carrier_types())
    for cases in TABLES.values():
        assert cases.starts and cases.on_stream and "audio" in cases.says
        assert cases.frames("broken") and cases.frames("hopeless")


@each("starts")
def test_a_start_binds_the_stream_to_its_call(cases: Cases, name: str) -> None:
    started = cases.after(*cases.before).receive(cases.frame(name))
    assert started == cases.starts[name]


@each("early")
def test_what_comes_before_the_start_is_judged(cases: Cases, name: str) -> None:
    assert cases.fresh().receive(cases.frame(name)) == cases.early[name]


@each("on_stream")
def test_messages_on_a_stream_become_events(cases: Cases, name: str) -> None:
    assert cases.streaming().receive(cases.frame(name)) == cases.on_stream[name]


@each("late")
def test_what_comes_after_the_end_is_ignored(cases: Cases, name: str) -> None:
    dialect = cases.streaming()
    dialect.receive(cases.frame(cases.stop))
    assert dialect.receive(cases.frame(name)) == cases.late[name]
    assert isinstance(cases.late[name], Ignored)


@every_carrier
def test_our_commands_are_what_the_table_says(cases: Cases) -> None:
    check_commands(cases)


@each(folders=("broken", "hopeless"))
def test_a_bad_message_is_skipped_during_a_call_and_ends_a_stranger(cases: Cases, name: str) -> None:
    check_bad(cases, name)


@pytest.mark.parametrize(("cases", "name"), TEXTS)
def test_every_truncation_is_told(cases: Cases, name: str) -> None:
    check_truncations(cases, name)


@pytest.mark.parametrize(("cases", "name"), TEXTS)
def test_trailing_junk_is_told(cases: Cases, name: str) -> None:
    for junk in JUNK:
        told = verdict(cases.streaming(), cases.frame(name) + junk)
        assert isinstance(told, str) or not cases.splits, junk


@pytest.mark.parametrize(
    ("cases", "name"), [p for p in TEXTS if p.values[0].frame(p.values[1]).startswith(b"{")]
)
def test_order_of_keys_white_space_and_quotes_around_numbers_mean_nothing(cases: Cases, name: str) -> None:
    check_spelling(cases, name)


@every_carrier
@pytest.mark.parametrize("message", DEEP.values(), ids=DEEP.keys())
def test_deep_nesting_is_told(cases: Cases, message: bytes) -> None:
    for dialect in (cases.fresh(), cases.streaming()):
        assert isinstance(verdict(dialect, message), str) or not cases.splits


# -- anything at all ---------------------------------------------------------------------------------------------------

ODD: list[Any] = [
    None, True, -1, 0, 2**31, 2**70, -(2**63), 1e308, "", "-1", "12", "x" * 5000, "\ud800", "\x00", "\n", [], {}, [[]],
]  # fmt: skip


@every_carrier
@settings(deadline=None)
@given(data=st.data())
def test_any_bytes_are_an_event_or_a_protocol_error(cases: Cases, data: st.DataObject) -> None:
    message = data.draw(st.binary())
    for made in (message, Binary(message)):
        verdict(cases.fresh(), made)
        verdict(cases.streaming(), made)


@every_carrier
@settings(deadline=None)
@given(data=st.data())
def test_any_patch_of_a_message_is_an_event_or_a_protocol_error(cases: Cases, data: st.DataObject) -> None:
    message = cases.frame(data.draw(st.sampled_from(frames_of(cases))))
    start, length = data.draw(st.integers(0, 600)), data.draw(st.integers(0, 12))
    patch = data.draw(
        st.binary(max_size=12)
        | st.sampled_from(
            [b"null", b"[]", b"{}", b"-1", b"1e999", b"\\ud800", b"\\ud83d\\u0041", b"\xed\xa0\x80"]
        )
    )
    patched = message[:start] + patch + message[start + length :]
    kind = Binary if type(message) is Binary else bytes
    verdict(cases.fresh(), kind(patched))
    verdict(cases.streaming(), kind(patched))


class Carrier(RuleBasedStateMachine):
    """A carrier out of its mind: messages doubled, left out, out of order, of another call, huge, negative."""

    cases: Cases

    def __init__(self) -> None:
        super().__init__()
        self.keeper = OrderKeeper(self.cases.fresh())
        self.last: bytes = b""

    def send(self, message: bytes) -> None:
        self.last = message
        self.keeper.receive(message)

    @rule(data=st.data())
    def anything_it_ever_sends(self, data: st.DataObject) -> None:
        self.send(self.cases.frame(data.draw(st.sampled_from(frames_of(self.cases)))))

    @rule()
    def a_proper_start(self) -> None:
        for name in (*self.cases.before, self.cases.start):
            self.send(self.cases.frame(name))

    @precondition(lambda self: self.last)
    @rule(times=st.integers(1, 3))
    def the_same_again(self, times: int) -> None:
        for _ in range(times):
            self.send(self.last)

    @rule(data=st.data(), place=st.integers(0, 60), odd=st.sampled_from(ODD))
    def one_value_replaced(self, data: st.DataObject, place: int, odd: Any) -> None:
        message = self.cases.frame(data.draw(st.sampled_from(frames_of(self.cases))))
        self.send(message if type(message) is Binary else spoiled(message, place, lambda _: odd))

    @rule(data=st.data(), place=st.integers(0, 60), step=st.sampled_from([-1, 1, 2, 1000, 2**40]))
    def one_number_moved(self, data: st.DataObject, place: int, step: int) -> None:
        def moved(value: Any) -> Any:
            if isinstance(value, str) and value.isascii() and value.isdigit():
                return str(int(value) + step)
            return value + step if isinstance(value, int) and not isinstance(value, bool) else value

        message = self.cases.frame(data.draw(st.sampled_from(frames_of(self.cases))))
        self.send(message if type(message) is Binary else spoiled(message, place, moved))

    @rule(
        size=st.sampled_from([0, 1, 2, 81, 160, 319, 320, 640, 960, 1600, 3200, 65_000]),
        code=st.integers(0, 255),
    )
    def sound_of_any_size(self, size: int, code: int) -> None:
        self.send(Binary(bytes([code]) * size))

    @precondition(lambda self: self.keeper.started)
    @rule(data=st.data())
    def we_speak_meanwhile(self, data: st.DataObject) -> None:
        dialect = self.keeper.dialect
        assert dialect.audio(self.cases.payload)
        if dialect.delivery.marks:
            dialect.mark(data.draw(st.sampled_from(["1.1000", "1.2000", "2.20"])))
        if dialect.delivery.clear and data.draw(st.booleans()):
            dialect.clear()


@every_carrier
def test_no_order_of_messages_breaks_the_order_of_events(cases: Cases) -> None:
    machine = type(f"{cases.name}Machine", (Carrier,), {"cases": cases})
    run_state_machine_as_test(
        machine, settings=settings(deadline=None, max_examples=at_most(60), stateful_step_count=30)
    )


@every_carrier
def test_an_event_may_be_told_twice_and_still_be_an_event(cases: Cases) -> None:
    """The frames of the table in their order, each twice: nothing but events and named errors."""
    keeper = OrderKeeper(cases.fresh())
    seen: list[Event | str] = []
    for name in frames_of(cases):
        seen += [keeper.receive(cases.frame(name)), keeper.receive(cases.frame(name))]
    assert keeper.started
    json.dumps([str(type(event)) for event in seen])
