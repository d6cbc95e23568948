"""The token store of one process, on a clock that the test turns."""

from __future__ import annotations

import asyncio

import pytest

from bridge.errors import Refused
from bridge.store.base import TokenStore
from bridge.store.memory import MemoryTokenStore


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryTokenStore:
    return MemoryTokenStore(clock, max_entries=3)


def test_it_is_a_token_store(store: MemoryTokenStore) -> None:
    kept: TokenStore = store
    assert len(store) == 0 and kept is store


async def test_what_was_put_can_be_taken_once(store: MemoryTokenStore) -> None:
    await store.put("key", "value", 120)
    assert await store.take("key") == "value"
    assert await store.take("key") is None


async def test_of_several_takers_one_gets_it(store: MemoryTokenStore) -> None:
    await store.put("key", "value", 120)
    taken = await asyncio.gather(*(store.take("key") for _ in range(5)))
    assert sorted(taken, key=str) == [None, None, None, None, "value"]


async def test_of_several_claims_one_wins(store: MemoryTokenStore) -> None:
    assert sorted(await asyncio.gather(*(store.claim("key", 120) for _ in range(5)))) == [False] * 4 + [True]


@pytest.mark.parametrize(("later_s", "value"), [(0, "value"), (119.9, "value"), (120, None), (5000, None)])
async def test_an_entry_lasts_as_long_as_it_was_given(
    store: MemoryTokenStore, clock: Clock, later_s: float, value: str | None
) -> None:
    await store.put("key", "value", 120)
    clock.now_s += later_s
    assert await store.take("key") == value


@pytest.mark.parametrize(("later_s", "again"), [(119.9, False), (120, True)])
async def test_a_claim_lasts_as_long_as_it_was_given(
    store: MemoryTokenStore, clock: Clock, later_s: float, again: bool
) -> None:
    assert await store.claim("key", 120)
    clock.now_s += later_s
    assert await store.claim("key", 120) is again


async def test_putting_again_replaces_value_and_time(store: MemoryTokenStore, clock: Clock) -> None:
    await store.put("key", "old", 10)
    await store.put("key", "new", 120)
    clock.now_s += 60
    await store.put("other", "", 1)  # sweeps: the first put's expiry must not take the second's entry along
    assert await store.take("key") == "new"


async def test_a_claim_that_was_given_back_can_be_made_again(store: MemoryTokenStore, clock: Clock) -> None:
    assert await store.claim("call", 10)
    await store.release("call")
    clock.now_s += 5
    assert await store.claim("call", 10)
    clock.now_s += 5
    assert not await store.claim("call", 10), "the first claim's expiry does not end the second"
    await store.release("nobody's")


async def test_what_is_over_makes_room(store: MemoryTokenStore, clock: Clock) -> None:
    for number, ttl_s in enumerate([300, 10, 200]):
        await store.put(str(number), "", ttl_s)
    clock.now_s += 10
    await store.put("new", "", 10)
    assert len(store) == 3
    assert [await store.take(key) for key in ("0", "1", "2", "new")] == ["", None, "", ""]


async def test_a_full_store_refuses_and_keeps_what_it_has(store: MemoryTokenStore) -> None:
    for number in range(3):
        await store.put(str(number), "kept", 120)
    for write in (store.put("more", "", 120), store.claim("more", 120)):
        with pytest.raises(Refused) as caught:
            await write
        assert (caught.value.reason, caught.value.status) == ("store_full", 503)
    assert [await store.take(str(number)) for number in range(3)] == ["kept"] * 3


async def test_taking_does_not_open_the_bound(store: MemoryTokenStore) -> None:
    for number in range(3):
        await store.put(str(number), "", 120)
        await store.take(str(number))
    with pytest.raises(Refused):
        await store.put("more", "", 120)


async def test_nothing_is_left_of_many_that_are_over(clock: Clock) -> None:
    store = MemoryTokenStore(clock)
    for number in range(1000):
        await store.put(str(number), "", 120)
        clock.now_s += 1
    assert len(store) == 120
    clock.now_s += 120
    await store.claim("last", 1)
    assert len(store) == 1
