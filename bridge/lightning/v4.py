"""The Lightning v4 door: an utterance is a turn in a session, and a barge-in interrupts it there.

Strategy:

- What the voice is like is settled when a socket is opened. The configured voice has spares that are warm; any
  other gets sockets when it is asked for, which are kept for a while.
- Cancelled: the turn is interrupted and the socket serves the next one, as soon as Lightning has said that it
  stopped. Failed: the socket is never used again, except where Lightning refused the turn before it began.
- A session's rate may be another than what was asked. Its audio gets a WAV header then, which tells.
- A session tunes its tone by what was said in it before, and calls share sessions. Nobody is told anything by that.
"""

from __future__ import annotations

import asyncio
from typing import Final

from bridge.config import LightningConfig
from bridge.errors import LightningError
from bridge.lightning.door import Door
from bridge.lightning.limits import Units
from bridge.lightning.messages import Chunk, Complete, Failed, Message, SynthesisRequest
from bridge.lightning.pool import KEEPALIVE_S
from bridge.lightning.riding import RidingSynthesis
from bridge.lightning.speech import PartSink, Synthesis
from bridge.lightning.stats import LightningStats
from bridge.lightning.v4_link import INTERRUPT_TIMEOUT_S, V4Link, V4Pool
from bridge.lightning.v4_messages import v4_wire
from bridge.lightning.wire import Wire
from telephony_codecs.formats import AudioFormat, Encoding
from telephony_codecs.wav import wav_bytes

#: Voices with sockets of their own, besides the configured one; more, and the eldest that is silent is let go of.
MAX_OTHER_VOICES: Final = 16


class LightningV4(Door):
    """A `Synthesizer` on sessions with Lightning v4. One for a process and entry of the configuration.

    Args:
        config: address, key, voice, deadlines, spares, concurrency.
        stats: where to count; shared by the doors of a process.
        units: the account's concurrency; shared by the doors of an account.
        keepalive_s: idle seconds after which a socket is replaced, because nothing is known that keeps it open.
        interrupt_timeout_s: how long a socket may take to acknowledge an interrupt before it is closed.
    """

    def __init__(
        self,
        config: LightningConfig,
        *,
        stats: LightningStats | None = None,
        units: Units | None = None,
        keepalive_s: float = KEEPALIVE_S,
        interrupt_timeout_s: float = INTERRUPT_TIMEOUT_S,
    ) -> None:
        super().__init__(config, stats=stats, units=units)
        self._keepalive_s, self._interrupt_timeout_s = keepalive_s, interrupt_timeout_s
        self.pool = self._pool_to(v4_wire(config, config), config)
        self._others: dict[str, V4Pool] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to open the spare connections. Does not wait for them, and does not fail without them."""
        self.pool.start()

    async def close(self) -> None:
        """Close every connection. What is being synthesised, or waits for it, fails."""
        turns = [turn for turn in self._active if isinstance(turn, _Turn)]
        await super().close()
        await asyncio.gather(*(turn.let_go() for turn in turns))
        await asyncio.gather(*(pool.close() for pool in self._pools()), *self._closing)

    @property
    def last_error(self) -> LightningError | None:
        """Why Lightning cannot be reached; None when the last connection in the configured voice could be opened."""
        return self.pool.last_error

    def _synthesis(self, request: SynthesisRequest, into: PartSink | None, wait_s: float | None) -> Synthesis:
        return _Turn(request, into, self, wait_s)

    def pool_for(self, wire: Wire) -> V4Pool:
        """The sockets in the voice of `wire`."""
        if wire.path == self.pool.wire.path:
            return self.pool
        pool = self._others.pop(wire.path, None)
        if pool is None:
            self._make_room()
            pool = self._pool_to(wire, self.config.with_changes({"spare_connections": 0}))
            pool.start()
        self._others[wire.path] = pool  # the latest is last
        return pool

    def _pool_to(self, wire: Wire, config: LightningConfig) -> V4Pool:
        return V4Pool(
            config,
            self._stats,
            wire,
            keepalive_s=self._keepalive_s,
            interrupt_timeout_s=self._interrupt_timeout_s,
        )

    def _pools(self) -> list[V4Pool]:
        return [self.pool, *self._others.values()]

    def _make_room(self) -> None:
        silent = [path for path, pool in self._others.items() if not pool.lent]
        if len(self._others) < MAX_OTHER_VOICES or not silent:
            return
        task = asyncio.create_task(self._others.pop(silent[0]).close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


class _Turn(RidingSynthesis):
    """A synthesis in a session. Its `request_id` is the turn's."""

    def __init__(
        self, request: SynthesisRequest, into: PartSink | None, door: LightningV4, wait_s: float | None
    ) -> None:
        self._refused = False
        super().__init__(request, into, door, door.pool, wait_s)
        self._door, self._sessions = door, door.pool

    async def let_go(self) -> None:
        """Wait until it has nothing in hand any more. It is over."""
        await asyncio.wait([self._task])

    async def _ask(self) -> None:
        wire = v4_wire(self.request, self._config)
        message = wire.encode(self.request, self._config)
        self._pool = self._sessions = self._door.pool_for(wire)
        self._refused = False
        link = await self._board()
        self._sent()
        await link.send(message)

    def receive(self, message: Message) -> None:
        """Take a message that is for this turn."""
        if isinstance(message, Chunk) and not self.audio_bytes:
            message = Chunk(self._header() + message.audio, message.request_id)
        super().receive(message)

    def _header(self) -> bytes:
        link = self._link
        rate_hz = link.sample_rate if isinstance(link, V4Link) else None
        if rate_hz in (None, self.request.sample_rate):
            return b""
        return wav_bytes(AudioFormat(Encoding.PCM16, rate_hz), b"")

    def _completed(self, message: Complete) -> None:
        self._complete()

    def _failed(self, message: Failed) -> None:
        self._refused = not self.audio_bytes
        super()._failed(message)

    def _hang_up(self) -> None:
        link = self._link
        if link is None:
            return
        self._leave(link)
        if self.cancelled:
            self._sessions.interrupt(link, self.request_id)
        elif self.error and not self._refused:
            self._sessions.retire(link)
        else:
            self._sessions.give_back(link)
