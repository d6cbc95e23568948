"""An answer while it is thought of: words come in from a task of their own, utterances go out.

Strategy:

- Thinking never waits for speaking: a draft takes words as they come, up to a bound, and an eager one is thrown away
  without a sound.
- An answer is one utterance, or several where the thinker has something else to do in between (`Busy`).
- What goes wrong is told when what came before it has been said. A flood is an exception: what it left is dropped.
- Closing a draft ends the thinking, and waits until it has ended.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from bridge.errors import ThinkerError

#: Words that nobody has said yet, in characters: a quarter of an hour of speech.
MAX_UNSAID: Final = 15_000
#: A thinker that is told to stop gets so long for it.
CLOSE_WITHIN_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Busy:
    """The thinker is about to do something that may take as long as `deadline_s`, and is not thinking.

    What it said before is an utterance by itself, and is said meanwhile.
    """

    deadline_s: float


Thought: TypeAlias = str | Busy


class Draft:
    """One answer.

    Args:
        think: begins to think; what is closed when the draft is.
        stall_s: how long a word may take to follow another one.
        on_first: called when the first word comes.
    """

    def __init__(
        self,
        think: Callable[[], AsyncIterator[Thought]],
        *,
        stall_s: float,
        on_first: Callable[[], None] = lambda: None,
    ) -> None:
        self._think, self._stall_s, self._on_first = think, stall_s, on_first
        self._unsaid: deque[Thought] = deque()
        self._unsaid_chars = 0
        self._error: Exception | None = None
        self._news = asyncio.Event()
        #: Whether there was any word.
        self.spoke = False
        #: What the thinker is busy with, or was last: nothing of that can be undone.
        self.busy: Busy | None = None
        self._task = asyncio.create_task(self._take())

    async def ready(self) -> bool:
        """Wait for words. False when there are no more.

        Raises:
            Exception: what the thinker failed with, all words before it having been taken.
        """
        while True:
            while self._unsaid and not isinstance(self._unsaid[0], str):
                self._unsaid.popleft()
            if self._unsaid:
                return True
            if self._error is not None:
                raise self._error
            if self._task.done():
                return False
            await self._more()

    async def utterance(self) -> AsyncIterator[str]:
        """The words up to where the thinker is busy, or has nothing more to say. Does not raise what it fails with."""
        while True:
            if self._unsaid:
                thought = self._unsaid.popleft()
                if isinstance(thought, Busy):
                    return
                self._unsaid_chars -= len(thought)
                yield thought
            elif self._task.done():
                return
            else:
                await self._more(self._stall_s)

    async def close(self) -> None:
        """Think no more of it."""
        self._task.cancel()
        await asyncio.wait({self._task}, timeout=CLOSE_WITHIN_S)

    # -- how -----------------------------------------------------------------------------------------------

    async def _more(self, within_s: float | None = None) -> None:
        self._news.clear()
        try:
            async with asyncio.timeout(within_s):
                await self._news.wait()
        except TimeoutError:
            self._error = ThinkerError("hung", "no word followed in time")
            await self.close()

    async def _take(self) -> None:
        thoughts: Any = None
        try:
            thoughts = self._think()
            async for thought in thoughts:
                self._put(thought)
        except Exception as error:
            self._error = self._error or error
        finally:
            try:
                if hasattr(thoughts, "aclose"):  # where it is in the middle of something
                    await thoughts.aclose()
            finally:
                self._news.set()

    def _put(self, thought: Thought) -> None:
        if isinstance(thought, Busy):
            self.busy = thought
        elif not thought:
            return
        else:
            self._count(thought)
        self._unsaid.append(thought)
        self._news.set()

    def _count(self, words: str) -> None:
        if not self.spoke:
            self.spoke = True
            self._on_first()
        self._unsaid_chars += len(words)
        if self._unsaid_chars > MAX_UNSAID:
            self._unsaid.clear()
            raise ThinkerError("flood", f"more than {MAX_UNSAID} characters that nobody has said yet")
