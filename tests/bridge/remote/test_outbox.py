"""Events on their way, over connections that break."""

from __future__ import annotations

import pytest

from bridge.remote.outbox import Outbox
from bridge.remote.protocol import Digits, Start


def outbox(events: int = 0, most: int = 64) -> Outbox:
    made = Outbox(Start(call_id="CA1"), most)
    for number in range(events):
        made.add(Digits(digits=str(number)))
    return made


def taken(box: Outbox) -> list[int]:
    """The numbers of all that is due."""
    numbers = []
    while (event := box.take()) is not None:
        numbers.append(event.seq)
        assert event.call_id == "CA1"
    return numbers


def test_events_are_numbered_from_the_start_on() -> None:
    box = outbox(2)
    assert box.open() == Start(call_id="CA1", seq=1)
    assert box.waiting
    assert taken(box) == [2, 3]
    assert not box.waiting
    assert taken(box) == []


#: Of four events, with numbers 2 to 5, three were sent when the connection broke: acknowledged up to, due again.
BREAKS = [(0, [5]), (1, [2, 3, 4, 5]), (3, [4, 5]), (4, [5]), (99, [5])]


@pytest.mark.parametrize("acknowledged, due", BREAKS)
def test_what_was_not_acknowledged_is_sent_again(acknowledged: int, due: list[int]) -> None:
    box = outbox(3)
    box.open()
    assert taken(box) == [2, 3, 4]
    box.acknowledge(acknowledged)
    box.add(Digits())
    box.lost()
    assert box.open() == Start(call_id="CA1", seq=1, resumed=True, acknowledged=min(acknowledged, 4))
    assert taken(box) == due


def test_what_could_not_be_sent_is_due_again() -> None:
    box = outbox(2)
    box.open()
    box.take()
    event = box.take()
    box.lost(event)
    assert taken(box) == [3]


def test_an_old_acknowledgement_takes_nothing_back() -> None:
    box = outbox(3)
    box.open()
    taken(box)
    box.acknowledge(4)
    box.acknowledge(2)
    assert box.acknowledged == 4


def test_the_oldest_are_dropped_and_counted_and_the_gap_shows() -> None:
    box = outbox(5, most=2)
    box.open()
    assert box.dropped == 3
    assert taken(box) == [5, 6]
