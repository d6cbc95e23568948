"""An agent's text survives whoever stops reading it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bridge.lightning.text_queue import MAX_AHEAD_CHARS, TextQueue
from tests.support.virtual_time import virtual


async def words(*texts: str, every_s: float = 0.1) -> AsyncIterator[str]:
    for text in texts:
        await asyncio.sleep(every_s)
        yield text


@virtual
async def test_in_order_and_to_the_end() -> None:
    async with TextQueue(words("one", "", " two")) as queue:
        assert [text async for text in queue] == ["one", " two"]
        assert queue.drained


@virtual
async def test_a_reader_that_is_cancelled_takes_nothing_with_it() -> None:
    async with TextQueue(words("one", " two", " three")) as queue:
        for _ in range(25):
            reader = asyncio.ensure_future(anext(queue))
            await asyncio.sleep(0.009)  # in the middle of a wait, or in the turn in which a text comes
            if reader.done():
                break
            reader.cancel()
        rest = [text async for text in queue]
    assert [reader.result(), *rest] == ["one", " two", " three"]


@virtual
async def test_what_the_source_raises_comes_after_its_text() -> None:
    async def failing() -> AsyncIterator[str]:
        yield "one"
        raise KeyError("of the agent")

    async with TextQueue(failing()) as queue:
        assert await anext(queue) == "one"
        assert not queue.drained
        with pytest.raises(KeyError):
            await anext(queue)
        assert queue.drained


@virtual
async def test_it_does_not_read_far_ahead() -> None:
    given = 0

    async def talkative() -> AsyncIterator[str]:
        nonlocal given
        while True:
            given += 100
            yield "x" * 100

    async with TextQueue(talkative()) as queue:
        await asyncio.sleep(1)
        assert given == MAX_AHEAD_CHARS + 100
        await anext(queue)
        await asyncio.sleep(1)
        assert given == MAX_AHEAD_CHARS + 200


@virtual
async def test_the_source_is_closed_when_it_is_not_read_to_its_end() -> None:
    closed = asyncio.Event()

    async def thinking() -> AsyncIterator[str]:
        try:
            yield "one"
            await asyncio.sleep(1000)
        finally:
            closed.set()

    async with TextQueue(thinking()) as queue:
        await anext(queue)
    assert closed.is_set()
