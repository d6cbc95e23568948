"""Tasks are over before who started them goes on, and one that fails is heard of."""

from __future__ import annotations

import asyncio

import pytest

from bridge.tasks import end, until_one_is_over


class Part:
    """Something that runs until it is told to end, and takes a turn of the loop to do so."""

    def __init__(self) -> None:
        self.tidied = False

    async def run(self) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0)
            self.tidied = True


async def nothing() -> None:
    """Is over at once."""


async def fails() -> None:
    raise ValueError("why")


async def test_what_was_ended_is_over() -> None:
    part = Part()
    running, failing = asyncio.create_task(part.run()), asyncio.create_task(fails())
    await asyncio.sleep(0)
    await end(running, failing)
    assert part.tidied
    assert running.cancelled() and failing.done()


async def test_nothing_to_end() -> None:
    await end()


async def test_the_first_that_is_over_ends_the_others() -> None:
    part = Part()
    await until_one_is_over(part.run(), nothing())
    assert part.tidied


async def test_what_the_first_raised_is_raised() -> None:
    part = Part()
    with pytest.raises(ValueError, match="why"):
        await until_one_is_over(part.run(), fails())
    assert part.tidied


async def test_who_waits_for_one_may_be_cancelled() -> None:
    part = Part()
    waiting = asyncio.create_task(until_one_is_over(part.run()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await end(waiting)
    assert waiting.cancelled() and part.tidied
