"""The `/waves/v1/tts/live` door: a synthesis is a message out and chunks back, on a socket of the pool.

Strategy:

- Once the request is out no task is left: the socket's reader hands on what comes, one timer looks after it.
- A reused socket may have been closed by the other end just before we wrote. Nothing has been heard then, so
  the request is made again on a fresh one, and nobody is told.
- Cancelled or failed: the socket is told to stop and never used again.
"""

from __future__ import annotations

from bridge.config import LightningConfig
from bridge.errors import Busy, LightningError, Unavailable
from bridge.lightning.connection import Link
from bridge.lightning.limits import Units
from bridge.lightning.messages import (
    Chunk,
    Complete,
    Failed,
    Message,
    SynthesisRequest,
    Word,
    encode_cancel,
    encode_request,
)
from bridge.lightning.pool import KEEPALIVE_S, Pool
from bridge.lightning.speech import PartSink, SpokenWord, Synthesis
from bridge.lightning.stats import LightningStats
from bridge.lightning.watched import WatchedSynthesis


class LightningLive:
    """A `Synthesizer` on warm WebSockets. One for a process.

    Args:
        config: address, key, deadlines, spares, concurrency.
        stats: where to count; shared by the doors of a process.
        units: the account's concurrency; shared by the doors of an account.
        keepalive_s: idle seconds after which a socket is pinged.
    """

    def __init__(
        self,
        config: LightningConfig,
        *,
        stats: LightningStats | None = None,
        units: Units | None = None,
        keepalive_s: float = KEEPALIVE_S,
    ) -> None:
        self.config = config
        self._stats = stats or LightningStats()
        self.units = units or Units(config.concurrency, self.stats)
        self.pool = Pool(config, self.stats, keepalive_s)
        self._active: set[Synthesis] = set()

    async def start(self) -> None:
        """Begin to open the spare connections. Does not wait for them, and does not fail without them."""
        self.pool.start()

    async def close(self) -> None:
        """Close every connection. What is being synthesised, or waits for it, fails."""
        for synthesis in list(self._active):
            synthesis.finish(Unavailable("the client is closed", code="closed"))
        await self.pool.close()

    async def __aenter__(self) -> LightningLive:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    @property
    def stats(self) -> LightningStats:
        """Where everything that goes other than well is counted."""
        return self._stats

    @property
    def last_error(self) -> LightningError | None:
        """Why Lightning cannot be reached; None when the last connection could be opened."""
        return self.pool.last_error

    def synthesize(
        self, request: SynthesisRequest, into: PartSink | None = None, *, wait_s: float | None = None
    ) -> Synthesis:
        """Ask for `request`. Returns at once; whatever goes wrong is told by the synthesis."""
        synthesis = _LiveSynthesis(self, request, into, wait_s)
        self._active.add(synthesis)
        return synthesis

    def forget(self, synthesis: Synthesis) -> None:
        """It is over."""
        self._active.discard(synthesis)


class _LiveSynthesis(WatchedSynthesis):
    """A synthesis on a socket."""

    def __init__(
        self, live: LightningLive, request: SynthesisRequest, into: PartSink | None, wait_s: float | None
    ) -> None:
        super().__init__(
            request,
            into,
            config=live.config,
            stats=live.stats,
            units=live.units,
            on_over=live.forget,
            wait_s=wait_s,
        )
        self._live = live
        self._link: Link | None = None
        self._resent = False

    async def _ask(self) -> None:
        message = encode_request(self.request)
        link = await self._live.pool.take(fresh=self._resent)
        self._link = link
        link.carry(self)
        self._sent()
        await link.send(message)

    # -- what the socket tells -------------------------------------------------------------------------

    def receive(self, message: Message) -> None:
        """Take a message that is for this synthesis."""
        if isinstance(message, Chunk):
            self._take_audio(message.audio)
        elif isinstance(message, Word):
            self.deliver(SpokenWord(message.word, message.start_ms, message.end_ms))
        elif isinstance(message, Complete):
            self._completed(message)
        elif isinstance(message, Failed):
            error = message.fault.as_error(self.request_id, secret=self._config.api_key.reveal())
            if message.fault.is_idle_timeout:
                self.dropped(error)
            else:
                self._stats.busy_answers += isinstance(error, Busy)
                self.finish(error)

    def dropped(self, error: LightningError) -> None:
        """The socket is gone, or as good as."""
        link = self._link
        if link is None or self.over:
            return
        if link.was_idle and not self.audio_bytes and not self._resent:
            self._stats.resends += 1
            self._resent = True
            self._leave(link)
            self._live.pool.retire(link)
            self._start_over()
        else:
            self.finish(error)

    def _completed(self, message: Complete) -> None:
        if not self.audio_bytes and message.request_id is None and self._link and self._link.was_idle:
            # It may as well be the belated end of what was on this socket before.
            self.dropped(self._unavailable("ended before it began", "no_audio"))
        else:
            self._complete()

    # -- the end ---------------------------------------------------------------------------------------

    def _hang_up(self) -> None:
        link = self._link
        if link is None:
            return
        self._leave(link)
        if self.cancelled or self.error:
            self._live.pool.retire(link, encode_cancel(self.request_id))
        else:
            self._live.pool.give_back(link)

    def _leave(self, link: Link) -> None:
        link.release()
        self._link = None
