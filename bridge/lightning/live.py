"""Doors that are sockets, and the first of them, `/waves/v1/tts/live`: a message out, chunks back.

Strategy:

- A door is a pool of sockets to its `Wire`. What a synthesis does on one of them stands in `riding`; here is what
  differs when the whole text is known: one message asks for all of it, and `complete` ends it.
- Text that comes bit by bit is another kind of synthesis, on the same pool: `continuations`.
"""

from __future__ import annotations

from typing import ClassVar

from bridge.config import LightningConfig
from bridge.errors import LightningError
from bridge.lightning.continuations import ContinuedSynthesis
from bridge.lightning.door import Door
from bridge.lightning.end_of_text import ExpectedMs
from bridge.lightning.limits import Units
from bridge.lightning.messages import Complete, SynthesisRequest
from bridge.lightning.pool import KEEPALIVE_S, Pool
from bridge.lightning.riding import RidingSynthesis
from bridge.lightning.speech import PartSink, Synthesis, TextSynthesis
from bridge.lightning.stats import LightningStats
from bridge.lightning.wire import LIVE, Wire


class SocketDoor(Door):
    """A `Synthesizer` on warm WebSockets. One for a process and entry of the configuration.

    Args:
        config: address, key, deadlines, spares, concurrency.
        stats: where to count; shared by the doors of a process.
        units: the account's concurrency; shared by the doors of an account.
        keepalive_s: idle seconds after which a socket is pinged.
    """

    wire: ClassVar[Wire]

    def __init__(
        self,
        config: LightningConfig,
        *,
        stats: LightningStats | None = None,
        units: Units | None = None,
        keepalive_s: float = KEEPALIVE_S,
    ) -> None:
        super().__init__(config, stats=stats, units=units)
        self.pool = Pool(config, self.stats, keepalive_s, self.wire)

    async def start(self) -> None:
        """Begin to open the spare connections. Does not wait for them, and does not fail without them."""
        self.pool.start()

    async def close(self) -> None:
        """Close every connection. What is being synthesised, or waits for it, fails."""
        await super().close()
        await self.pool.close()

    @property
    def last_error(self) -> LightningError | None:
        """Why Lightning cannot be reached; None when the last connection could be opened."""
        return self.pool.last_error

    def _synthesis(self, request: SynthesisRequest, into: PartSink | None, wait_s: float | None) -> Synthesis:
        return _WholeSynthesis(request, into, self, self.pool, wait_s)


class LightningLive(SocketDoor):
    """A `StreamingSynthesizer` on `/waves/v1/tts/live`."""

    wire: ClassVar[Wire] = LIVE

    def open_text(
        self,
        request: SynthesisRequest,
        into: PartSink | None = None,
        *,
        wait_s: float | None = None,
        expected_ms: ExpectedMs | None = None,
    ) -> TextSynthesis:
        """Begin a synthesis whose text is still to come, in the style of `text_streaming`. Returns at once.

        Args:
            expected_ms: how long a text takes in this voice; by default what English takes. Lightning does not say
                when it has spoken everything, and this is how that is told from a pause.
        """
        synthesis = ContinuedSynthesis(request, into, self, self.pool, wait_s, expected_ms)
        self._active.add(synthesis)
        return synthesis


class _WholeSynthesis(RidingSynthesis):
    """A synthesis whose text is known from the start."""

    async def _ask(self) -> None:
        message = self._wire.encode(self.request, self._config)
        link = await self._board()
        self._sent()
        await link.send(message)

    def _completed(self, message: Complete) -> None:
        if not self.audio_bytes and message.request_id is None and self._link and self._link.was_idle:
            # It may as well be the belated end of what was on this socket before.
            self.dropped(self._unavailable("ended before it began", "no_audio"))
        else:
            self._complete()
