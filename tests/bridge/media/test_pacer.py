"""The clock's core, stepped by hand."""

from __future__ import annotations

import logging

import pytest

from bridge.media.pacer import SLOTS, TICK_MS, Pacer


class Source:
    """Notes when it is ticked, and leaves after `lives` ticks."""

    def __init__(self, lives: int = 10**6) -> None:
        self.at_ms: list[float] = []
        self._lives = lives

    def tick(self, now_s: float) -> bool:
        self.at_ms.append(round(now_s * 1000, 3))
        return len(self.at_ms) < self._lives


class Broken:
    def tick(self, now_s: float) -> bool:
        raise ValueError("boom")


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def run(pacer: Pacer, clock: Clock, until_ms: float, step_ms: float = 1.0) -> None:
    while clock.now_s * 1000 < until_ms:
        clock.now_s = round(clock.now_s + step_ms / 1000, 6)
        pacer.step(clock.now_s)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pacer(clock: Clock) -> Pacer:
    return Pacer(clock)


def test_a_source_is_looked_at_once_every_20_ms(pacer: Pacer, clock: Clock) -> None:
    source = Source()
    pacer.add(source)
    run(pacer, clock, 100)
    assert source.at_ms == [5, 25, 45, 65, 85]


def test_sources_that_join_apart_are_spread_over_the_slots(pacer: Pacer, clock: Clock) -> None:
    sources = []
    for _ in range(SLOTS):
        sources.append(Source())
        pacer.add(sources[-1])
        run(pacer, clock, clock.now_s * 1000 + TICK_MS)
    run(pacer, clock, 60)
    assert {source.at_ms[-1] % 20 for source in sources} == {0, 5, 10, 15}


def test_adding_twice_ticks_once(pacer: Pacer, clock: Clock) -> None:
    source = Source()
    pacer.add(source)
    run(pacer, clock, 7)
    pacer.add(source)
    run(pacer, clock, 60)
    assert source.at_ms == [5, 25, 45]


def test_a_late_timer_ticks_each_source_once_not_once_per_missed_tick(pacer: Pacer, clock: Clock) -> None:
    source = Source()
    pacer.add(source)
    clock.now_s = 0.5
    pacer.step(0.5)
    assert len(source.at_ms) == 1
    assert pacer.missed_ticks == 500 // TICK_MS - SLOTS


def test_the_schedule_is_absolute_lateness_does_not_add_up(pacer: Pacer, clock: Clock) -> None:
    source = Source()
    pacer.add(source)
    run(pacer, clock, 1000, step_ms=7)
    assert len(source.at_ms) == 50


def test_a_source_that_is_done_or_removed_is_left_alone(pacer: Pacer, clock: Clock) -> None:
    done, removed = Source(lives=2), Source()
    pacer.add(done)
    pacer.add(removed)
    run(pacer, clock, 30)
    pacer.remove(removed)
    run(pacer, clock, 100)
    assert len(done.at_ms) == 2
    assert len(removed.at_ms) == 2


def test_a_broken_source_is_dropped_and_the_others_go_on(
    pacer: Pacer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    source = Source()
    pacer.add(Broken())
    pacer.add(source)
    with caplog.at_level(logging.ERROR):
        run(pacer, clock, 50)
    assert len(source.at_ms) == 3
    assert len(caplog.records) == 1


def test_beats_come_every_so_many_ticks_and_once_when_late(pacer: Pacer, clock: Clock) -> None:
    beats: list[float] = []
    pacer.every(2, lambda now_s: beats.append(round(now_s * 1000)))
    run(pacer, clock, 40)
    assert beats == [10, 20, 30, 40]
    clock.now_s = 0.5
    pacer.step(0.5)
    assert beats[4:] == [500]
