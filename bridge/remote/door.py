"""Where an agent elsewhere is reached, whichever way that is: what a WebSocket and webhooks have in common.

Strategy: events go in and never wait; commands come out by plain calls, as does trouble. A door is open from ``async
with`` to its end; what was told until then is still handed over, for as long as `CLOSE_WITHIN_S`.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from bridge.errors import ThinkerFailure
from bridge.remote.outbox import Outbox
from bridge.remote.protocol import Command, Event, Refusal, Start

log = logging.getLogger(__name__)

CONNECT_WITHIN_S: Final = 5.0
CLOSE_WITHIN_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """The agent could not be reached, or is gone, or made no sense. The door tries again by itself.

    Attributes:
        kind: as the counters have it.
        detail: for the log: no secret, and nothing that the agent wrote.
        in_vain: whether what was asked last will not be answered any more.
    """

    kind: ThinkerFailure
    detail: str
    in_vain: bool = False


@dataclass(frozen=True, slots=True)
class Reception:
    """Who is told what comes in. Both return at once and do not raise."""

    take: Callable[[Command | Refusal], None]
    trouble: Callable[[Trouble], None]


class Door(ABC):
    """The way to an agent, for one call.

    Args:
        start: the call.
    """

    #: So long it takes at the end to hand over what was told; and as long again to part.
    close_within_s = CLOSE_WITHIN_S

    def __init__(self, start: Start, reception: Reception) -> None:
        self._call_id, self._reception = start.call_id, reception
        self._outbox = Outbox(start)
        self._news, self._all_told = asyncio.Event(), asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def tell(self, event: Event) -> None:
        """Something has happened. Does not wait."""
        self._outbox.add(event)
        self._all_told.clear()
        self._news.set()

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run_to_the_end())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        running = self._running
        assert running is not None
        try:
            async with asyncio.timeout(self.close_within_s):
                await self._all_told.wait()
        except TimeoutError:
            log.warning("call %s: the agent was not told all that happened", self._call_id)
        finally:
            running.cancel()
            await asyncio.wait({running})

    async def _run_to_the_end(self) -> None:
        try:
            await self._run()
        except Exception as error:  # ours: the call goes on without the agent. The text may hold the address.
            self._in_trouble(Trouble("error", type(error).__name__, in_vain=True))

    @abstractmethod
    async def _run(self) -> None:
        """Carry events and commands, until cancelled."""

    async def _until_news(self) -> None:
        """Wait until there is something to be told."""
        while not self._outbox.waiting:
            self._all_told.set()
            self._news.clear()
            await self._news.wait()

    def _in_trouble(self, trouble: Trouble) -> None:
        log.warning("call %s: the agent is of no use: %s: %s", self._call_id, trouble.kind, trouble.detail)
        self._reception.trouble(trouble)


def trouble_of(status: int, *, in_vain: bool = False) -> Trouble:
    """What an HTTP status means that is no good one."""
    kinds: dict[int, ThinkerFailure] = {401: "unauthorized", 403: "unauthorized", 429: "busy", 503: "busy"}
    kind = kinds.get(status, "server" if status >= 500 else "request")
    why = ": redirects are not followed" if 300 <= status < 400 else ""
    return Trouble(kind, f"HTTP {status}{why}", in_vain)
