"""A wait of the caller: begun when something is due, over when it is there."""

from __future__ import annotations

import asyncio


class Wait:
    """One wait of the caller.

    Attributes:
        patient: what is waited for has a deadline of its own, so only fillers are heard: a tool at work, a connection.
    """

    def __init__(self, *, patient: bool = False) -> None:
        self.patient = patient
        self._over = asyncio.Event()

    def end(self) -> None:
        """It is over."""
        self._over.set()

    async def over(self, within_s: float) -> bool:
        """Wait until it is over, for so long at most. Returns whether it is."""
        try:
            async with asyncio.timeout(within_s):
                await self._over.wait()
        except TimeoutError:
            return False
        return True
