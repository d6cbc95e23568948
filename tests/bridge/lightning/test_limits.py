"""Units of concurrency: first come first served, freed at once, never lost."""

from __future__ import annotations

import asyncio
import random

import pytest

from bridge.errors import Busy
from bridge.lightning.limits import MAX_HOLD_S, QUEUE_TIMEOUT, Unit, Units
from bridge.lightning.stats import LightningStats
from tests.support.virtual_time import virtual

LONG_S = 60.0


async def waiting(units: Units) -> asyncio.Task[Unit]:
    task = asyncio.create_task(units.acquire(LONG_S))
    await asyncio.sleep(0)
    return task


async def test_as_many_as_there_are() -> None:
    units = Units(2)
    taken = [await units.acquire(LONG_S), await units.acquire(LONG_S)]
    assert (units.in_use, units.waiting) == (2, 0)
    taken[0].release()
    assert units.in_use == 1


async def test_released_twice_is_released_once() -> None:
    units = Units(2)
    first, _second = await units.acquire(LONG_S), await units.acquire(LONG_S)
    first.release()
    first.release()
    assert units.in_use == 1


async def test_first_come_first_served() -> None:
    units = Units(1)
    held = await units.acquire(LONG_S)
    tasks = [await waiting(units) for _ in range(3)]
    assert units.waiting == 3
    for task in tasks:
        held.release()
        held = await task
        assert units.in_use == 1
    assert units.waiting == 0


async def test_a_newcomer_does_not_overtake() -> None:
    units = Units(1)
    held = await units.acquire(LONG_S)
    first = await waiting(units)
    held.release()  # already the first one's, though it has not run yet
    newcomer = await waiting(units)
    assert (await first) is not None
    assert not newcomer.done()
    newcomer.cancel()


async def test_who_gives_up_takes_nothing_along() -> None:
    units = Units(1)
    held = await units.acquire(LONG_S)
    first, second = await waiting(units), await waiting(units)
    first.cancel()
    await asyncio.sleep(0)
    held.release()
    (await second).release()
    assert (units.in_use, units.waiting) == (0, 0)


async def test_who_gives_up_in_the_turn_in_which_a_unit_is_freed_gives_up_quietly() -> None:
    units = Units(1)
    held = await units.acquire(LONG_S)
    first, second = await waiting(units), await waiting(units)
    first.cancel()
    held.release()  # passes over the first one, which has not run yet
    with pytest.raises(asyncio.CancelledError):
        await first
    (await second).release()
    assert (units.in_use, units.waiting) == (0, 0)


async def test_a_unit_handed_to_who_gives_up_in_the_same_turn_goes_on() -> None:
    units = Units(1)
    held = await units.acquire(LONG_S)
    first, second = await waiting(units), await waiting(units)
    held.release()
    first.cancel()
    (await second).release()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert units.in_use == 0


async def test_a_deadline_is_busy_and_is_counted() -> None:
    stats = LightningStats()
    units = Units(1, stats)
    held = await units.acquire(LONG_S)
    with pytest.raises(Busy) as busy:
        await units.acquire(0.0)
    assert busy.value.code == QUEUE_TIMEOUT
    assert (stats.unit_waits, stats.unit_timeouts) == (1, 1)
    held.release()
    assert (units.in_use, units.waiting) == (0, 0)


async def test_a_storm_of_takers_and_quitters_loses_no_unit() -> None:
    units, chance = Units(3), random.Random(5)

    async def one() -> None:
        unit = await units.acquire(LONG_S)
        try:
            assert units.in_use <= 3
            await asyncio.sleep(0)
        finally:
            unit.release()

    tasks = [asyncio.create_task(one()) for _ in range(300)]
    while not all(task.done() for task in tasks):
        chance.choice(tasks).cancel()
        await asyncio.sleep(0)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (units.in_use, units.waiting) == (0, 0)


# -- told to come back later -------------------------------------------------------------------------------


@virtual
async def test_during_a_hold_nothing_starts_and_then_everybody_does_in_turn() -> None:
    units = Units(2)
    loop = asyncio.get_running_loop()
    running = await units.acquire(LONG_S)
    units.hold(3.0)
    assert not units.free
    began_s = loop.time()
    tasks = [await waiting(units) for _ in range(2)]
    running.release()
    await asyncio.sleep(2.9)
    assert [task.done() for task in tasks] == [False, False]
    await asyncio.gather(*tasks)
    assert loop.time() - began_s == pytest.approx(3.0)
    assert (units.in_use, units.waiting, units.held_s) == (2, 0, 0)


@virtual
async def test_who_could_not_wait_out_the_hold_is_told_at_once() -> None:
    units, loop = Units(2), asyncio.get_running_loop()
    units.hold(3.0)
    began_s = loop.time()
    with pytest.raises(Busy) as told:
        await units.acquire(2.9)
    assert loop.time() == began_s
    assert told.value.code == QUEUE_TIMEOUT
    assert told.value.retry_after_s == pytest.approx(3.0)
    assert units.in_use == 0


@virtual
async def test_a_longer_hold_counts_and_none_is_for_ever() -> None:
    units = Units(1)
    units.hold(1.0)
    units.hold(5.0)
    units.hold(2.0)
    assert units.held_s == pytest.approx(5.0)
    unit = await units.acquire(LONG_S)
    unit.release()
    units.hold(86_400.0)
    assert units.held_s == pytest.approx(MAX_HOLD_S)
    await units.acquire(LONG_S)
