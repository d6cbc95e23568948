"""Nobody is left in silence: what is said while an answer of Hydra's does not come, and while a caller says nothing.

Strategy:

- One wait at a time: begun when something is due, over when it is there. A filler first, then it is late.
- What has a deadline of its own (a tool at work, a connection) is waited for with fillers alone.
- A caller who is silent is asked whether they are there, and then said goodbye to. That Hydra hears them speak counts
  for a while only: a Hydra that hangs never says that they have ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from bridge.agents.courtesy import Courtesy
from bridge.agents.crew import Crew
from bridge.errors import ThinkerFailure

if TYPE_CHECKING:
    from bridge.agents.conversation import Manners
    from bridge.call import Call

#: Nobody speaks for longer without a pause that somebody hears.
SPEAKS_ON_S: Final = 30.0


class Waits:
    """The waits of one caller.

    Args:
        is_heard: whether something is being said, so that no filler is needed.
        late: told that what is waited for has not come.
    """

    def __init__(
        self,
        crew: Crew,
        courtesy: Courtesy,
        manners: Manners,
        is_heard: Callable[[], bool],
        late: Callable[[ThinkerFailure], Awaitable[None]],
    ) -> None:
        self._crew, self._courtesy, self._manners = crew, courtesy, manners
        self._is_heard, self._late = is_heard, late
        #: Set when the one that is on is over; None while there is none.
        self._over: asyncio.Event | None = None

    @property
    def on(self) -> bool:
        """Whether something is waited for."""
        return self._over is not None

    def begin(self, *, patient: bool = False) -> None:
        """Something is due; what was before is not waited for any more. `patient`: it is never late."""
        self.end()
        self._over = asyncio.Event()
        self._crew.start(self._mind(self._over, patient=patient))

    def end(self) -> None:
        """It is there. Harmless when nothing is waited for."""
        if self._over is not None:
            self._over.set()
            self._over = None

    async def _mind(self, over: asyncio.Event, *, patient: bool) -> None:
        manners, loop = self._manners, asyncio.get_running_loop()
        late_s = loop.time() + manners.apology_after_s
        filler_s = manners.filler_after_s
        while not await _comes(over, filler_s):
            if not self._is_heard():
                await self._courtesy.tell(manners.filler)
            if not patient:
                if not await _comes(over, max(0.0, late_s - loop.time())):
                    await self._late("hung")
                return
            filler_s = manners.filler_every_s


async def _comes(over: asyncio.Event, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            await over.wait()
    except TimeoutError:
        return False
    return True


class Company:
    """What a caller hears who is silent.

    Args:
        is_busy: whether the caller waits for something, or hears it.
    """

    def __init__(self, call: Call, courtesy: Courtesy, manners: Manners, is_busy: Callable[[], bool]) -> None:
        self._call, self._courtesy, self._manners, self._is_busy = call, courtesy, manners, is_busy
        self._caller_on = False
        self._stirred_s = asyncio.get_running_loop().time()

    def stir(self, *, caller_on: bool = False) -> None:
        """Somebody has said something. `caller_on`: the caller has begun to, and nobody has heard the end."""
        self._stirred_s, self._caller_on = asyncio.get_running_loop().time(), caller_on

    async def keep(self) -> None:
        """Ask a silent caller whether they are there, and then say goodbye."""
        manners, asked, since_s = self._manners, 0, self._stirred_s
        while True:
            await self._until_idle()
            asked = asked if self._stirred_s == since_s else 0
            if asked < manners.reprompts:
                await self._ask_whether_there(asked)
            elif not (await self._courtesy.tell(manners.goodbye)).interrupted:
                await self._call.hang_up()
                return
            asked += 1
            self.stir()
            since_s = self._stirred_s

    async def _ask_whether_there(self, asked: int) -> None:
        if reprompt := self._manners.reprompt:
            self._call.stats.agents.reprompts += 1
            await self._courtesy.tell(reprompt[asked % len(reprompt)])

    async def _until_idle(self) -> None:
        loop, idle_s = asyncio.get_running_loop(), self._manners.idle_s
        while True:
            patience_s = max(idle_s, SPEAKS_ON_S) if self._caller_on else idle_s
            left_s = idle_s if self._is_busy() else self._stirred_s + patience_s - loop.time()
            if left_s <= 0:
                return
            await asyncio.sleep(min(left_s, idle_s))
