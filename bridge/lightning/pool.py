"""The sockets to Lightning: warm spares, serial reuse, keepalive, reconnects.

Strategy:

- A synthesis takes the socket that has lain idle longest, so that one which the other side is about to close
  after its `complete` has had time to tell. Only when none is idle does a synthesis wait for a handshake.
- After `complete` a socket is idle again. After anything else (cancel, error, silence) it is never used
  again: what still comes on it is for nobody.
- One keeper task per process opens the missing spares, pings the idle ones before Lightning's 60 s are over,
  and lets go of those that nobody needs any more. While Lightning cannot be reached it tries ever more
  rarely.
- The account allows five open sockets for each unit of concurrency. Spares stay within that.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections import deque
from typing import Final

from bridge.config import LightningConfig
from bridge.errors import LightningError, Unavailable, client_closed
from bridge.lightning.connection import Dialer, Link
from bridge.lightning.stats import LightningStats
from bridge.lightning.wire import Wire

logger = logging.getLogger(__name__)

#: Idle for so long, a socket is pinged; Lightning closes it after 60 s.
KEEPALIVE_S: Final = 25.0
#: Others recycle at this age. Whether Lightning has a limit of its own is unknown.
MAX_AGE_S: Final = 3600.0
SOCKETS_PER_UNIT: Final = 5
DIALS_AT_ONCE: Final = 8
#: A spare that is closed so soon after it was opened was not wanted there.
REJECTED_WITHIN_S: Final = 2.0
FIRST_BACKOFF_S: Final = 0.5
MAX_BACKOFF_S: Final = 30.0


class Pool:
    """All sockets of a process.

    Args:
        config: address, key, how many spares.
        keepalive_s: idle seconds after which a socket is pinged; or replaced, where there is no ping.
        wire: where the sockets go, and what is said on them.
    """

    def __init__(
        self,
        config: LightningConfig,
        stats: LightningStats,
        keepalive_s: float,
        wire: Wire,
    ) -> None:
        self._config, self._stats, self.keepalive_s, self.wire = config, stats, keepalive_s, wire
        self._dialer = Dialer(config, stats, wire.path)
        self._idle: deque[Link] = deque()
        self._lent: set[Link] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._closed = False
        self._backoff_s = 0.0
        self._retry_at_s = 0.0
        self._rejected_at_s = -math.inf
        #: Why the last connection could not be opened; None after one that could.
        self.last_error: LightningError | None = None

    @property
    def idle(self) -> int:
        """Sockets that are open with nothing on them."""
        return len(self._idle)

    @property
    def lent(self) -> int:
        """Sockets with a synthesis on them."""
        return len(self._lent)

    def start(self) -> None:
        """Begin to open the spares. Does not wait for them."""
        if self._keeper is None:
            _ = self._dialer.tls  # before anybody waits for a socket
            self._keeper = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Close every socket. Syntheses on them fail."""
        self._closed = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
            self._keeper = None
        for link in [*self._idle, *self._lent]:
            self.retire(link)
        while self._closing:
            await asyncio.wait(self._closing)

    async def take(self, *, fresh: bool = False) -> Link:
        """A socket for one synthesis. The caller's next duty: `give_back` or `retire` it.

        Args:
            fresh: open a new one, because an idle one has just disappointed.

        Raises:
            LightningError: none is idle and none can be opened.
        """
        if self._closed:
            raise client_closed()
        link = None if fresh else self._pop_idle()
        if link is None:
            self._stats.waited_for_connect += 1
            link = await self._dial()
        self._lent.add(link)
        self._wake.set()
        return link

    def give_back(self, link: Link) -> None:
        """The synthesis on `link` is complete: keep it for the next."""
        if self._closed or link.closed or self.idle >= self._most_idle:
            self.retire(link)
            return
        self._lent.discard(link)
        self._idle.append(link)

    def retire(self, link: Link, farewell: bytes = b"") -> None:
        """Close `link` in the background, with a last message if there is one, and see to a new spare."""
        self._forget(link)
        task = asyncio.create_task(link.close(farewell))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _pop_idle(self) -> Link | None:
        while self._idle:
            link = self._idle.popleft()
            if not link.closed:
                link.was_idle = True
                return link
        return None

    async def _dial(self) -> Link:
        try:
            link = await self._open()
        except LightningError as error:
            self.last_error = error
            raise
        self.last_error = None
        return link

    async def _open(self) -> Link:
        """A new socket, ready for a synthesis."""
        socket = await self._dialer.dial()
        return Link(socket, self._stats, self._on_closed, self._config.api_key.reveal())

    def _forget(self, link: Link) -> None:
        self._lent.discard(link)
        if link in self._idle:
            self._idle.remove(link)
        self._wake.set()

    def _on_closed(self, link: Link) -> None:
        if link in self._idle:
            self._stats.idle_closes += 1
            if time.monotonic() - link.opened_at_s < REJECTED_WITHIN_S:
                self._rejected_at_s = time.monotonic()
                self._pause_after(Unavailable("spares are closed as soon as they are open", code="rejected"))
        self._forget(link)

    # -- the keeper ------------------------------------------------------------------------------------

    @property
    def _most_idle(self) -> int:
        # A socket that comes back finds its place taken by a new spare. It is kept for the next burst of calls;
        # the keeper lets go of it when none comes.
        most = self._config.spare_connections + self._config.concurrency
        return min(most, SOCKETS_PER_UNIT * self._config.concurrency)

    @property
    def _spares_wanted(self) -> int:
        room = SOCKETS_PER_UNIT * self._config.concurrency - len(self._lent)
        return max(0, min(self._config.spare_connections, room))

    async def _keep(self) -> None:
        while True:
            self._wake.clear()
            await self._replenish()
            await self._tend()
            try:
                async with asyncio.timeout(self._next_look_s()):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _replenish(self) -> None:
        missing = min(self._spares_wanted - self.idle, DIALS_AT_ONCE)
        if missing <= 0 or time.monotonic() < self._retry_at_s:
            return
        errors = await asyncio.gather(*(self._add_spare() for _ in range(missing)))
        failed = next((error for error in errors if error), None)
        # Being let in proves little to one who has just been thrown out.
        if failed or time.monotonic() - self._rejected_at_s > MAX_BACKOFF_S:
            self._pause_after(failed)
        if failed is None:
            self._wake.set()  # there may be more to open

    async def _add_spare(self) -> LightningError | None:
        try:
            self._idle.append(await self._dial())
        except LightningError as error:
            return error
        return None

    def _pause_after(self, error: LightningError | None) -> None:
        if error is None:
            if self._backoff_s:
                logger.info("Lightning can be reached again")
            self._backoff_s = 0.0
            return
        if not self._backoff_s:
            logger.warning("no spare connection to Lightning: %s: %s", type(error).__name__, error)
        self._backoff_s = min(MAX_BACKOFF_S, max(FIRST_BACKOFF_S, 2 * self._backoff_s))
        # Spread out, so that many processes do not knock at the same moment.
        self._retry_at_s = time.monotonic() + self._backoff_s * random.uniform(0.5, 1.0)  # noqa: S311

    async def _tend(self) -> None:
        """Ping the idle sockets that are due; let go of old and surplus ones."""
        now_s = time.monotonic()
        for link in [link for link in self._idle if now_s - link.used_at_s >= self.keepalive_s]:
            surplus = self.idle > self._spares_wanted or now_s - link.opened_at_s > MAX_AGE_S
            if surplus or not self.wire.ping:
                self.retire(link)
            else:
                await link.send(self.wire.ping)

    def _next_look_s(self) -> float:
        now_s = time.monotonic()
        looks = [link.used_at_s + self.keepalive_s for link in self._idle]
        if self._retry_at_s > now_s and self.idle < self._spares_wanted:
            looks.append(self._retry_at_s)
        return max(0.0, min(looks, default=now_s + self.keepalive_s) - now_s)
