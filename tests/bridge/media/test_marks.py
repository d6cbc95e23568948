"""What marks tell of what was heard: those that came back, those that are out, and those that mean nothing."""

from __future__ import annotations

import pytest

from bridge.media.marks import Mark, Marks
from bridge.observe.stats import PlayoutStats

AT_S = 1000.0


def out(*positions_ms: int) -> Marks:
    """These are set, in utterance 3."""
    marks = Marks(PlayoutStats())
    for position_ms in positions_ms:
        marks.set(3, position_ms, 0)
    return marks


@pytest.mark.parametrize(("pauses", "name"), [(0, "3.1000"), (1, "3.1000.1"), (2, "3.1000.2")])
def test_a_mark_is_named_after_its_place_and_its_stretch(pauses: int, name: str) -> None:
    assert out().set(3, 1000, pauses) == Mark(name)


def test_without_an_answer_the_clock_is_believed() -> None:
    assert out(1000, 2000).corrected(1500.0, AT_S) == 1500.0


@pytest.mark.parametrize(
    ("by_clock_ms", "after_s", "heard_ms"),
    [
        (500.0, 0.0, 1000.0),  # the clock was behind
        (1500.0, 0.2, 1200.0),  # no more than has passed since
        (2500.0, 1.5, 2000.0),  # the next one is still out
        (1100.0, 0.5, 1100.0),
    ],
)
def test_one_that_came_back_corrects_the_clock_and_so_does_the_next_one(
    by_clock_ms: float, after_s: float, heard_ms: float
) -> None:
    marks = out(1000, 2000)
    marks.answered("3.1000", 3, AT_S)
    assert marks.corrected(by_clock_ms, AT_S + after_s) == pytest.approx(heard_ms)


def test_one_that_came_back_stands_for_those_before_it() -> None:
    marks = out(1000, 2000)
    marks.answered("3.2000", 3, AT_S)
    assert not marks.pending


@pytest.mark.parametrize(
    ("name", "stale", "unknown"),
    [
        ("3.1000.1", 1, 0),
        ("2.1000", 1, 0),
        ("4.1000", 0, 1),
        ("", 0, 1),
        ("\u0663.1", 0, 1),
        ("9" * 99, 0, 1),
    ],
)
def test_what_is_none_of_ours_is_counted_and_tells_nothing(name: str, stale: int, unknown: int) -> None:
    stats = PlayoutStats()
    marks = Marks(stats)
    marks.set(3, 1000, 0)
    marks.answered(name, 3, AT_S)
    assert (stats.stale_marks, stats.unknown_marks) == (stale, unknown)
    assert marks.pending
    assert marks.corrected(5000.0, AT_S) == 5000.0


def test_those_that_were_thrown_away_hold_nothing_back() -> None:
    marks = out(1000, 2000)
    marks.answered("3.1000", 3, AT_S)
    marks.forget()
    assert marks.corrected(5000.0, AT_S + 10) == 5000.0
