"""How the emulated Pulse behaves, and what it has counted. Plain values; no I/O."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from bridge.emulators.switches import Switches


@dataclass(slots=True, kw_only=True)
class PulseEmulatorOptions(Switches):
    """How the emulated Pulse behaves."""

    NOT_NEGATIVE = ("partial_ms", "final_ms", "concurrency", "faulty_sockets", "handshake_ms", "flood")
    POSITIVE = ("partial_every_ms", "idle_timeout_s")

    #: Each answer is so late, in real time: one that is not final, and one that is. None overtakes another.
    partial_ms: float = 0.0
    final_ms: float = 0.0
    #: Audio after which words that are not final are told, if there are other words than before.
    partial_every_ms: float = 100.0
    #: Sockets at once; the next is closed with 1008. 0 is no limit.
    concurrency: int = 0
    #: Silence on the socket, in real time, after which it is closed. No source tells how long it is.
    idle_timeout_s: float = 60.0

    #: Only so many first handshakes have any of these faults; 0 is all of them.
    faulty_sockets: int = 0
    #: Answer the handshake so late.
    handshake_ms: float = 0.0
    #: Close the socket with 1008 as soon as it is open.
    close_at_once: bool = False
    #: Never answer anything, with the socket open.
    hang: bool = False
    #: Never answer `finalize`.
    ignore_finalize: bool = False
    #: Send what cannot be read before each answer: broken JSON, other JSON, wrong types, bytes.
    garbage: bool = False
    #: Send so many other answers with each piece of audio.
    flood: int = 0
    #: Drop the TCP connection after this much audio.
    drop_after_ms: float | None = None
    #: Send an error after this much audio, and close the socket.
    error_after_ms: float | None = None

    @classmethod
    def realistic(cls) -> PulseEmulatorOptions:
        """The pace of the real one from nearby: answers 65 ms later."""
        return cls(partial_ms=65.0, final_ms=65.0)

    def is_faulty(self, number: int) -> bool:
        """Whether the handshake `number`, counted from 1, has the faults."""
        return not self.faulty_sockets or number <= self.faulty_sockets


@dataclass(slots=True)
class PulseEmulatorStats:
    """What happened, for tests and benchmarks to assert on."""

    handshakes: int = 0  #: with a key that is accepted
    connections: int = 0  #: sockets accepted
    open_connections: int = 0
    refused_handshakes: int = 0
    over_concurrency: int = 0  #: sockets closed with 1008 for it
    idle_closed: int = 0
    audio_ms: float = 0.0  #: heard, over all sockets
    partials: int = 0
    finals: int = 0
    finalizes: int = 0  #: asked for
    keepalives: int = 0
    errors: int = 0  #: error messages sent
    faults: int = 0  #: of the options, that struck
    #: The query of the last handshake that was accepted.
    last_query: dict[str, str] = field(default_factory=dict)
    #: Final transcripts with words, in order.
    transcripts: deque[str] = field(default_factory=lambda: deque(maxlen=1000))
