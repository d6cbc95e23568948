"""A rehearsal as people read it."""

from __future__ import annotations

import pytest

from bridge.rehearsal.dialogue import dialogue, plain_lines, waited
from bridge.rehearsal.facts import Taken
from tests.support.rehearsal import SCRIPT, call, said, script, turn


def test_the_call_line_by_line() -> None:
    times = {"transcript_ms": 3100.0, "token_ms": 3400.0, "audio_ms": 3550.0}
    facts = call(turns=(turn(2900, 3650, **times),), notes=((3300.0, "tool find_table: done, 9 ms"),))
    assert plain_lines(dialogue(script(), facts)).splitlines() == [
        "  0.00 s  caller  dials",
        "  0.25 s  agent   “Hello.”",
        "  2.00 s  caller  “A table.”",
        "  3.30 s  agent   tool find_table: done, 9 ms",
        "  3.60 s  agent   “And when?”  (after 750 ms: words 200, agent 300, voice 150, line 100)",
        "  5.00 s  caller  “At eight.”",
        "  6.60 s  agent   “Fine. Goodbye.”",
        "  9.00 s          the caller hung up, as planned",
    ]


def test_who_interrupts_whom() -> None:
    cut = said("Hel", 500, 2200, "speech")
    lines = dialogue(script(SCRIPT), call(said=(cut,), taken=(Taken(2000, 3000, 2900),)))
    assert [(line.who, line.text, line.note) for line in lines] == [
        ("caller", "dials", ""),
        ("agent", "“Hel …”", "cut short after 1.7 s"),
        ("caller", "“A table.”", "interrupts"),
        ("", "the caller hung up, as planned", ""),
    ]


@pytest.mark.parametrize("late_ms, told", [(100.0, 0), (8000.0, 1)])
def test_latencies_that_prove_nothing_are_said_to(late_ms: float, told: int) -> None:
    lines = dialogue(script(), call(late_ms=late_ms))
    assert sum("late by up to 8000 ms" in line.text for line in lines) == told


@pytest.mark.parametrize("heard_as, note", [("", "no words in it"), ("A stable.", "heard as “A stable.”")])
def test_what_is_heard_as_something_else(heard_as: str, note: str) -> None:
    text = f'[[caller]]\nsay = "A table."\nheard_as = "{heard_as}"'
    assert dialogue(script(text), call(said=()))[1].note == note


def test_what_nobody_heard_is_not_told() -> None:
    lines = dialogue(script(), call(said=(said("", 500, 900),), taken=(), ending="", failure="no stream"))
    assert [line.text for line in lines] == ["dials", "no stream"]


def test_the_parts_of_a_wait_add_up_to_it() -> None:
    """An eager agent has its first token before the words are certain."""
    times = {"transcript_ms": 1300.0, "token_ms": 1250.0, "audio_ms": 1400.0}
    assert waited(turn(1000, 1450, **times)) == "after 450 ms: words 300, agent 0, voice 100, line 50"


@pytest.mark.parametrize(
    "record, told", [(turn(1000, 1450), "after 450 ms: line 450"), (turn(1000, None), "unanswered")]
)
def test_parts_that_are_not_known(record: object, told: str) -> None:
    assert waited(record) == told  # type: ignore[arg-type]
