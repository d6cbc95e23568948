"""Doors that are a POST and its answer: what `sse` and `rest` share.

Strategy:

- A request waits for its connection up to `connect_timeout_s`; only when it is about to be written does the deadline
  for its first audio begin.
- An idle connection may have been closed by the other end just before we wrote. Nothing has been heard then, so the
  request is made again, and nobody is told.
- Cancelled or failed: the connection is closed, which is all that stops Lightning. Complete: what is left of the
  body is read, for a second at most, and the connection serves the next request.
- A first byte costs a round trip for TCP and one or two for TLS more where no connection is warm. So as many as
  there are `spare_connections` are kept warm, by asking for Lightning's health, which costs nothing: before they
  fall asleep, and when a barge-in has closed one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import ClassVar, Final

import aiohttp

from bridge.config import LightningConfig
from bridge.errors import Busy, InvalidRequest, LightningError, client_closed
from bridge.lightning.door import Door
from bridge.lightning.faults import Fault, with_mend
from bridge.lightning.http_client import (
    FAILURES,
    TextGuard,
    fault_in,
    headers_of,
    open_session,
    told,
    url_of,
)
from bridge.lightning.limits import Units
from bridge.lightning.messages import SynthesisRequest
from bridge.lightning.speech import PartSink
from bridge.lightning.stats import LightningStats
from bridge.lightning.watched import WatchedSynthesis
from bridge.lightning.wire import Wire

logger = logging.getLogger(__name__)

HEALTH_PATH: Final = "/waves/v1/health"
#: Connections are used this often at least, so that none falls asleep. Balancers close after 60 s.
KEEPALIVE_S: Final = 25.0
FIRST_BACKOFF_S: Final = 0.5
WARM_TIMEOUT_S: Final = 5.0
#: How long the end of a body may take once all that counts has come.
REST_TIMEOUT_S: Final = 1.0


class HttpDoor(Door):
    """A `Synthesizer` over HTTP. One for a process and entry of the configuration.

    Args:
        config: address, key, deadlines, spares, concurrency.
        stats: where to count; shared by the doors of a process.
        units: the account's concurrency; shared by the doors of an account.
        keepalive_s: seconds after which idle connections are used, so that they stay.
    """

    def __init__(
        self,
        config: LightningConfig,
        *,
        stats: LightningStats | None = None,
        units: Units | None = None,
        keepalive_s: float = KEEPALIVE_S,
    ) -> None:
        super().__init__(config, stats=stats, units=units)
        self._keepalive_s = keepalive_s
        self._tails: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._session: aiohttp.ClientSession | None = None
        self._closed = False
        #: Set while the spare connections have been seen to, with success or not.
        self.tended = asyncio.Event()

    async def start(self) -> None:
        """Begin to warm the spare connections. Does not wait for them, and does not fail without them."""
        if self._keeper is None and self.config.spare_connections:
            _ = self.session
            self._keeper = asyncio.create_task(self._keep_warm())

    async def close(self) -> None:
        """Close every connection. What is being synthesised, or waits for it, fails."""
        self._closed = True
        await super().close()
        tasks = [task for task in (self._keeper, *self._tails) if task]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._session is not None:
            await self._session.close()

    # -- for its syntheses -----------------------------------------------------------------------------

    @property
    def session(self) -> aiohttp.ClientSession:
        """Where requests are made; opened with the first.

        Raises:
            Unavailable: the door is closed.
        """
        if self._closed:
            raise client_closed()
        if self._session is None:
            self._session = open_session(self.config, traces=[_tracing(self._stats)])
        return self._session

    def reached(self, error: LightningError | None = None) -> None:
        """Lightning answered; or `error` is how it did not, or what it said."""
        wrong = isinstance(error, LightningError) and not isinstance(error, InvalidRequest | Busy)
        self._last_error = error if wrong else None

    def connection_lost(self) -> None:
        """There is one connection less: see to a new spare."""
        self.tended.clear()
        self._wake.set()

    def read_tail(self, answer: aiohttp.ClientResponse) -> None:
        """Read what is left of `answer`, so that its connection may serve again."""
        task = asyncio.create_task(_read_tail(answer))
        self._tails.add(task)
        task.add_done_callback(self._tails.discard)
        # Not at the end of the task itself: one that is cancelled before it begins has no end.
        task.add_done_callback(lambda _: answer.release())

    # -- warmth ----------------------------------------------------------------------------------------

    async def _keep_warm(self) -> None:
        backoff_s = 0.0
        while True:
            self._wake.clear()
            # All at once: one after the other would all use the same connection.
            await asyncio.gather(*(self._warm() for _ in range(self.config.spare_connections)))
            self.tended.set()
            backoff_s = self._backoff_after(backoff_s)
            if backoff_s:
                await asyncio.sleep(min(backoff_s, self._keepalive_s))
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._keepalive_s):
                    await self._wake.wait()

    def _backoff_after(self, before_s: float) -> float:
        """How long to wait after an attempt: 0 when Lightning was reached."""
        error = self._last_error
        if error is None:
            if before_s:
                logger.info("Lightning can be reached again")
            return 0.0
        if not before_s:
            logger.warning("no warm connection to Lightning: %s: %s", type(error).__name__, error)
        return max(FIRST_BACKOFF_S, 2 * min(before_s, self._keepalive_s))

    async def _warm(self) -> None:
        url, headers = url_of(self.config, HEALTH_PATH), headers_of(self.config)
        try:
            async with asyncio.timeout(WARM_TIMEOUT_S):
                async with self.session.get(url, headers=headers, allow_redirects=False) as answer:
                    fault = await fault_in(answer) if answer.status >= 400 else None
                    self.reached(fault.as_error(secret=self.config.api_key.reveal()) if fault else None)
                    await _read_tail(answer)
        except FAILURES as failure:
            self._stats.connect_failures += 1
            self.reached(told(failure, self.config))


class HttpSynthesis(WatchedSynthesis):
    """A synthesis that is a POST and its answer. A door's own says what to send and what the body means."""

    #: What it accepts for an answer.
    accept: ClassVar[str]

    def __init__(
        self,
        request: SynthesisRequest,
        into: PartSink | None,
        door: HttpDoor,
        wire: Wire,
        wait_s: float | None,
    ) -> None:
        super().__init__(request, into, door, wait_s)
        self._door, self._wire = door, wire
        self._guard = TextGuard()
        self._answer: aiohttp.ClientResponse | None = None
        self._was_idle = False

    # -- what a door adds ------------------------------------------------------------------------------

    def _take(self, chunk: bytes) -> None:
        """Take a part of the body; `_complete` or `finish` when no more of it counts."""
        raise NotImplementedError

    def _body_ended(self) -> None:
        """All of the body has come, and it was no text."""
        raise NotImplementedError

    # -- for the door ----------------------------------------------------------------------------------

    def _refused(self, fault: Fault) -> None:
        """Lightning says what is wrong."""
        fault = with_mend(fault, self._wire.path)
        error = fault.as_error(self.request_id, secret=self._config.api_key.reveal())
        self._door.reached(error)
        self._stats.busy_answers += isinstance(error, Busy)
        self.finish(error)

    # -- from the request to the end of the body -------------------------------------------------------

    def on_connection(self, *, idle: bool) -> None:
        """The request has a connection, and is about to go out on it."""
        self._was_idle = idle
        self._sent()

    async def _ask(self) -> None:
        body = self._wire.encode(self.request, self._config)
        answer = await self._answered(body)
        try:
            if not 200 <= answer.status < 300:
                self._refused(await fault_in(answer))
                return
            self._door.reached()
            if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
                self.finish(
                    self._unavailable("the answer is packed, though nobody asked for that", "protocol")
                )
                return
            async for chunk in answer.content.iter_any():
                self._take(self._guard.feed(chunk))
                if self.over:
                    return
        except FAILURES as failure:
            error = self._lost(failure)
        else:
            self._body_over()
            return
        self.finish(error)

    def _body_over(self) -> None:
        if fault := self._guard.fault:
            self._refused(fault)
            return
        self._take(self._guard.flush())
        if not self.over:
            self._body_ended()

    async def _answered(self, body: bytes) -> aiohttp.ClientResponse:
        """The answer, whose body has yet to come.

        Raises:
            LightningError: there is none.
        """
        url = url_of(self._config, self._wire.path)
        headers = headers_of(self._config, Accept=self.accept) | {"Content-Type": "application/json"}
        while True:
            try:
                self._answer = await self._door.session.post(
                    url, data=body, headers=headers, allow_redirects=False, trace_request_ctx=self
                )
                return self._answer
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as failure:
                error, again = self._lost(failure), self._was_idle
            except FAILURES as failure:
                error, again = self._lost(failure), False
            if not again:
                raise error
            self._stats.resends += 1
            self._was_idle = False

    def _lost(self, failure: BaseException) -> LightningError:
        error = told(failure, self._config)
        if error.code in ("connect", "connect_timeout"):
            self._stats.connect_failures += 1
            self._door.reached(error)
        self._stats.dropped_sockets += error.code == "dropped"
        return type(error)(error.message, code=error.code, request_id=self.request_id)

    def _hang_up(self) -> None:
        answer, self._answer = self._answer, None
        if self.cancelled or self.error:
            if answer is not None:
                answer.close()
            self._door.connection_lost()
        elif answer is not None:
            self._door.read_tail(answer)


async def _read_tail(answer: aiohttp.ClientResponse) -> None:
    """Who releases `answer` after it closes the connection when the end of the body has not come."""
    with contextlib.suppress(*FAILURES):
        async with asyncio.timeout(REST_TIMEOUT_S):
            async for _ in answer.content.iter_any():
                pass


def _tracing(stats: LightningStats) -> aiohttp.TraceConfig:
    """Tells a synthesis when its request gets a connection, and counts those that are opened."""

    async def waits(_session: object, context: object, _event: object) -> None:
        stats.waited_for_connect += _synthesis_of(context) is not None

    async def has_new(_session: object, context: object, _event: object) -> None:
        stats.connects += 1
        if synthesis := _synthesis_of(context):
            synthesis.on_connection(idle=False)

    async def has_idle(_session: object, context: object, _event: object) -> None:
        if synthesis := _synthesis_of(context):
            synthesis.on_connection(idle=True)

    tracing = aiohttp.TraceConfig()
    tracing.on_connection_create_start.append(waits)
    tracing.on_connection_create_end.append(has_new)
    tracing.on_connection_reuseconn.append(has_idle)
    return tracing


def _synthesis_of(context: object) -> HttpSynthesis | None:
    """Whose request it is; None for those that only keep a connection warm."""
    asker = getattr(context, "trace_request_ctx", None)
    return asker if isinstance(asker, HttpSynthesis) else None
