"""An answer while it is thought of: what becomes of what a thinker leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from bridge.agents.drafts import Draft, Thought
from tests.support.virtual_time import virtual


class Tidies:
    """Has one word, and takes its time to tidy up after it."""

    def __init__(self) -> None:
        self._words: list[Thought] = ["Yes."]
        self.tidy = False

    def __aiter__(self) -> AsyncIterator[Thought]:
        return self

    async def __anext__(self) -> Thought:
        if not self._words:
            raise StopAsyncIteration
        return self._words.pop()

    async def aclose(self) -> None:
        await asyncio.sleep(0.2)
        self.tidy = True


@virtual
async def test_a_thinker_that_tidies_up_has_still_ended() -> None:
    thinker = Tidies()
    draft = Draft(lambda: thinker, stall_s=5.0)
    assert await draft.ready()
    assert [words async for words in draft.utterance()] == ["Yes."]
    async with asyncio.timeout(1.0):
        assert not await draft.ready()
    assert thinker.tidy
