"""Items from callbacks to one reader."""

from __future__ import annotations

import asyncio

import pytest

from bridge.lightning.mailbox import Mailbox


async def test_items_come_in_order_and_then_the_end() -> None:
    box: Mailbox[int] = Mailbox()
    box.put(1)
    box.put(2)
    box.close()
    box.put(3)
    assert [await box.get(), await box.get()] == [1, 2]
    for _ in range(2):
        with pytest.raises(StopAsyncIteration):
            await box.get()


async def test_an_error_comes_after_the_items_and_once() -> None:
    box: Mailbox[int] = Mailbox()
    box.put(1)
    box.close(ValueError("first"))
    box.close(ValueError("second"))
    assert await box.get() == 1
    assert not box.drained
    with pytest.raises(ValueError, match="first"):
        await box.get()
    assert box.drained
    with pytest.raises(StopAsyncIteration):
        await box.get()


async def test_a_reader_that_waits_is_woken() -> None:
    box: Mailbox[int] = Mailbox()
    reader = asyncio.create_task(box.get())
    await asyncio.sleep(0)
    box.put(1)
    assert await reader == 1


async def test_a_drop_beats_an_item_that_woke_the_reader_but_was_not_read() -> None:
    box: Mailbox[int] = Mailbox()
    reader = asyncio.create_task(_all(box))
    await asyncio.sleep(0)
    box.put(1)
    box.drop()
    box.put(2)
    assert await reader == []


async def test_a_drop_silences_an_error() -> None:
    box: Mailbox[int] = Mailbox()
    box.close(ValueError())
    box.drop()
    assert await _all(box) == []


async def test_a_reader_that_gives_up_loses_nothing() -> None:
    box: Mailbox[int] = Mailbox()
    reader = asyncio.create_task(box.get())
    await asyncio.sleep(0)
    box.put(1)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert await box.get() == 1


async def _all(box: Mailbox[int]) -> list[int]:
    items = []
    try:
        while True:
            items.append(await box.get())
    except StopAsyncIteration:
        return items
