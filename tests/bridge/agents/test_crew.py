"""Tasks that are over together."""

from __future__ import annotations

import asyncio

import pytest

from bridge.agents.crew import Crew
from tests.support.virtual_time import virtual


async def for_ever(ended: list[str], name: str) -> None:
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        ended.append(name)


async def fails(after_s: float) -> None:
    await asyncio.sleep(after_s)
    raise ZeroDivisionError(f"after {after_s:g}")


@virtual
async def test_the_end_of_who_leads_is_everybodys() -> None:
    ended: list[str] = []
    crew = Crew()
    crew.start(for_ever(ended, "other"))
    await crew.lead(asyncio.sleep(1))
    assert ended == ["other"]


@virtual
async def test_the_first_failure_is_everybodys_end_and_is_raised() -> None:
    ended: list[str] = []
    crew = Crew()
    crew.start(fails(2))
    crew.start(fails(1))
    with pytest.raises(ZeroDivisionError, match="after 1"):
        await crew.lead(for_ever(ended, "leader"))
    assert ended == ["leader"]


@virtual
async def test_who_leads_may_fail() -> None:
    with pytest.raises(ZeroDivisionError):
        await Crew().lead(fails(0))


@virtual
async def test_who_is_cancelled_takes_all_along() -> None:
    ended: list[str] = []
    crew = Crew()
    crew.start(for_ever(ended, "other"))
    task = asyncio.create_task(crew.lead(for_ever(ended, "leader")))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == ["leader", "other"]


@virtual
async def test_one_that_is_cancelled_is_no_failure() -> None:
    crew = Crew()
    crew.start(for_ever([], "other")).cancel()
    await crew.lead(asyncio.sleep(1))
