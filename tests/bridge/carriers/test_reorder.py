"""Numbered audio out of order: what is heard, in which order, and when a gap is given up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.carriers.dialect import Audio, Event
from bridge.carriers.reorder import DOUBLE, EARLY, FAR, LATE, LOST, WINDOW, Reorder
from tests.support.dialect_checks import events_of


def audio(number: int) -> Audio:
    return Audio(f"{number}".encode(), number * 20)


def told(numbers: list[int], window: int = WINDOW) -> list[list[int | str]]:
    """What each message leads to: numbers that are heard, names that are counted."""
    order = Reorder(window)
    return [[_name(event) for event in events_of(order.take(n, audio(n)))] for n in numbers]


def _name(event: Event) -> int | str:
    if isinstance(event, Audio):
        return int(event.payload)
    return {EARLY: "early", LATE: "late", DOUBLE: "double", LOST: "lost"}[event]  # type: ignore[index]


@pytest.mark.parametrize(
    ("numbers", "heard"),
    [
        ([1, 2, 3], [[1], [2], [3]]),
        ([1, 3, 2, 4], [[1], ["early"], [2, 3], [4]]),
        ([1, 4, 3, 2, 5], [[1], ["early"], ["early"], [2, 3, 4], [5]]),
        ([7, 8], [[7], [8]]),
        ([5, 4], [[5], ["late"]]),
        ([1, 1, 2], [[1], ["late"], [2]]),
        ([1, 3, 3, 2], [[1], ["early"], ["double"], [2, 3]]),
        ([1, 3, 4, 5, 6], [[1], ["early"], ["early"], ["early"], ["lost", 3, 4, 5, 6]]),
        (
            [1, 3, 5, 6, 7, 8],
            [[1], ["early"], ["early"], ["lost", 3], ["early"], ["lost", 5, 6, 7, 8]],
        ),
        ([1, 9], [[1], ["lost", 9]]),
        ([1, 3, 4, 1000, 1001], [[1], ["early"], ["early"], [3, 4, 1000], [1001]]),
        ([1000, 1, 2], [[1000], [1], [2]]),
        ([2**53, 1, 2], [[2**53], [1], [2]]),
    ],
)
def test_order_is_restored_within_the_window(numbers: list[int], heard: list[list[int | str]]) -> None:
    assert told(numbers, window=4) == heard


@given(st.permutations(range(20)), st.integers(2, 6))
def test_a_message_displaced_by_less_than_the_window_is_never_lost(order: list[int], window: int) -> None:
    """Sorted in blocks of the window's size, as a network that holds messages back for a moment would have them."""
    numbers = [0] + [
        1 + start + place
        for start in range(0, 20, window)
        for place in order
        if place < min(window, 20 - start)
    ]
    heard = [n for step in told(numbers, window=window + 1) for n in step if isinstance(n, int)]
    assert heard == sorted(set(numbers))


@given(st.lists(st.integers(0, 2 * FAR)), st.integers(2, WINDOW))
def test_whatever_the_numbers_nothing_is_heard_that_was_not_said_and_nothing_waits_for_ever(
    numbers: list[int], window: int
) -> None:
    order = Reorder(window)
    waiting = 0
    for number in numbers:
        events = list(events_of(order.take(number, audio(number))))
        heard = [event for event in events if isinstance(event, Audio)]
        waiting += (EARLY in events) - max(0, len(heard) - (EARLY not in events))
        assert 0 <= waiting < window
        assert all(int(event.payload) in numbers for event in heard)
