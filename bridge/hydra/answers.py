"""What Hydra says in one answer, on its way from the socket to the caller.

Strategy:

- Hydra is some ten times faster than real time, and the socket must be read all the while: the news that the caller
  speaks comes behind the sound. So the sound waits here, as mu-law, and what may wait is bounded.
- An answer that is not wanted any more is empty from that moment on, whatever still arrives of it.
- One that stops in the middle and never says that it is over is over all the same: nobody hears silence for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from bridge.errors import ThinkerError
from bridge.hydra.audio import Downward
from bridge.hydra.functions import FunctionCalls
from telephony_codecs.formats import MULAW_8K

#: Nobody listens longer to one answer; what makes more is broken.
MOST_MS: Final = 300_000.0
MOST_CHARACTERS: Final = 20_000


class Answer:
    """One answer of Hydra, as it comes. Iterate `parts` once.

    Args:
        response_id: Hydra's name of it.
        rate_hz: of its sound.
        stalls_after_s: when nothing more came for so long after it was asked for, nothing will. None: it is waited for.
    """

    def __init__(self, response_id: str, rate_hz: int, stalls_after_s: float | None = None) -> None:
        self.response_id = response_id
        self.functions = FunctionCalls()
        #: Whether any of its sound has come; and whether all has.
        self.sounded = self.sound_over = False
        #: Whether Hydra is done with it; and whether anybody still wants to hear it.
        self.over, self.wanted = False, True
        #: Whether its sound has ended because nothing more came.
        self.stalled = False
        self._stalls_after_s = stalls_after_s
        self._downward = Downward(rate_hz)
        self._parts: asyncio.Queue[bytes | str | None] = asyncio.Queue()
        self._bytes = self._characters = 0

    def sound(self, pcm: bytes) -> bool:
        """More of its sound: PCM16, cut anywhere. Whether it is the first of it that anybody wants.

        Raises:
            ThinkerError: there is no end of it.
        """
        if not self.wanted or self.sound_over:
            return False
        self._put(self._downward.feed(pcm))
        if MULAW_8K.ms_in(self._bytes) > MOST_MS:
            raise ThinkerError("flood", f"an answer of more than {MOST_MS / 60_000:g} minutes")
        first = bool(self._bytes) and not self.sounded
        self.sounded = self.sounded or first
        return first

    def words(self, text: str) -> None:
        """More of what it says.

        Raises:
            ThinkerError: there is no end of it.
        """
        self._characters += len(text)
        if self._characters > MOST_CHARACTERS:
            raise ThinkerError("flood", f"an answer of more than {MOST_CHARACTERS} characters")
        if self.wanted and not self.sound_over:
            self._parts.put_nowait(text)

    def end_sound(self) -> None:
        """That was all of its sound."""
        if not self.sound_over:
            self.sound_over = True
            if self.wanted:
                self._put(self._downward.flush())
            self._parts.put_nowait(None)

    def drop(self) -> None:
        """Nobody wants to hear any more of it."""
        if self.wanted:
            self.wanted = False
            while not self._parts.empty():
                self._parts.get_nowait()
            self._parts.put_nowait(None)

    async def parts(self) -> AsyncIterator[bytes | str]:
        """Its sound, 8 kHz mu-law, and its words where Hydra tells them."""
        while (part := await self._next()) is not None and self.wanted:
            yield part

    async def _next(self) -> bytes | str | None:
        try:
            async with asyncio.timeout(self._stalls_after_s):
                return await self._parts.get()
        except TimeoutError:
            self.stalled = True
            return None

    def _put(self, mulaw: bytes) -> None:
        if mulaw:
            self._bytes += len(mulaw)
            self._parts.put_nowait(mulaw)
