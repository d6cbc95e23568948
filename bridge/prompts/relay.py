"""Sound that comes from elsewhere, as it comes, as one speech.

Strategy:

- To whoever hears it, it is a `Speech` like any other: what interrupts, cancels or holds up one does so here.
- Whoever makes the sound may be faster than real time. No more is taken from it than `AHEAD_MS` before it is heard; so
  what an interruption throws away is little, and a producer that never ends costs no memory.
- What the producer raises ends the speech, and is raised to whoever waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from typing import Final

from bridge.lightning.speech import MoreText, PieceEnded, PieceStarted, Speech, SpeechAudio

#: Enough to bridge a producer that stalls.
AHEAD_MS: Final = 2000.0


def relay(audio: AsyncIterable[bytes | str], text: str = "") -> Speech:
    """Say `audio`: 8 kHz mu-law of any size, and among it, as str, more of the text that it speaks. Returns at once."""
    return _Relay(audio, text)


class _Relay(Speech):
    """The speech of a producer, and the task that takes from it."""

    def __init__(self, audio: AsyncIterable[bytes | str], text: str) -> None:
        super().__init__(self._stop)
        self._audio, self._text = audio, text
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(lambda _: self.finish())  # also when it was cancelled before it began

    def _stop(self) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        try:
            await self._take_all()
        except Exception as error:  # the reader must know
            self.finish(error)

    async def _take_all(self) -> None:
        self.deliver(PieceStarted(self._text))
        audio = aiter(self._audio)
        try:
            async for part in audio:
                if isinstance(part, str):
                    self.deliver(MoreText(part))
                elif part:
                    self.deliver(SpeechAudio(part))
                    await self.room(AHEAD_MS)
        finally:
            if isinstance(audio, AsyncGenerator):
                await audio.aclose()  # it may hold a connection, and is not asked any more
        self.deliver(PieceEnded())
