"""A synthesis on a socket of the pool: how it gets on, what it makes of an error, how it gets off.

Strategy:

- Once the request is out no task is left: the socket's reader hands on what comes, one timer looks after it.
- A reused socket may have been closed by the other end just before we wrote. Nothing has been heard then, so
  the request is made again on a fresh one, and nobody is told.
- Cancelled or failed: the socket is told to stop and never used again.
"""

from __future__ import annotations

from bridge.errors import Busy, LightningError
from bridge.lightning.connection import Link
from bridge.lightning.door import Door
from bridge.lightning.faults import with_mend
from bridge.lightning.messages import Chunk, Complete, Failed, Message, SynthesisRequest, Word
from bridge.lightning.pool import Pool
from bridge.lightning.speech import PartSink, SpokenWord
from bridge.lightning.watched import WatchedSynthesis


class RidingSynthesis(WatchedSynthesis):
    """What every synthesis on a socket has in common. A subclass says what to `_ask`, and what `complete` means."""

    def __init__(
        self,
        request: SynthesisRequest,
        into: PartSink | None,
        door: Door,
        pool: Pool,
        wait_s: float | None = None,
    ) -> None:
        super().__init__(request, into, door, wait_s)
        self._pool, self._wire = pool, pool.wire
        self._link: Link | None = None
        self._resent = False

    async def _board(self) -> Link:
        """A socket of the pool, with this synthesis on it.

        Raises:
            LightningError: there is none.
        """
        link = await self._pool.take(fresh=self._resent)
        self._link = link
        link.carry(self)
        return link

    # -- what the socket tells -------------------------------------------------------------------------

    def receive(self, message: Message) -> None:
        """Take a message that is for this synthesis."""
        if isinstance(message, Chunk):
            self._take_audio(message.audio)
        elif isinstance(message, Word):
            self._take_word(SpokenWord(message.word, message.start_ms, message.end_ms))
        elif isinstance(message, Complete):
            self._completed(message)
        elif isinstance(message, Failed):
            self._failed(message)

    def dropped(self, error: LightningError) -> None:
        """The socket is gone, or as good as."""
        if self._link is None or self.over:
            return
        if self._link.was_idle and not self.audio_bytes and not self._resent:
            self._resend()
        else:
            self.finish(error)

    def _take_word(self, word: SpokenWord) -> None:
        self.deliver(word)

    def _completed(self, message: Complete) -> None:
        raise NotImplementedError

    def _failed(self, message: Failed) -> None:
        fault = with_mend(message.fault, self._wire.path)
        error = fault.as_error(self.request_id, secret=self._config.api_key.reveal())
        if fault.is_idle_timeout:
            self.dropped(error)
        else:
            self._stats.busy_answers += isinstance(error, Busy)
            self.finish(error)

    def _resend(self) -> None:
        """Ask again, on a fresh socket."""
        self._stats.resends += 1
        self._resent = True
        self._get_off()
        self._start_over()

    # -- the end ---------------------------------------------------------------------------------------

    def _hang_up(self) -> None:
        link = self._link
        if link is None:
            return
        self._leave(link)
        if self.cancelled or self.error:
            self._pool.retire(link, self._farewell())
        elif self._may_reuse():
            self._pool.give_back(link)
        else:
            self._pool.retire(link)

    def _farewell(self) -> bytes:
        return self._wire.farewell(self.request_id)

    def _may_reuse(self) -> bool:
        """Whether nothing of this synthesis can still come on its socket."""
        return True

    def _get_off(self) -> None:
        if (link := self._link) is not None:
            self._leave(link)
            self._pool.retire(link)

    def _leave(self, link: Link) -> None:
        link.release()
        self._link = None
