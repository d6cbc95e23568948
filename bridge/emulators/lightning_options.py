"""How the emulated Lightning behaves, and what it has counted. Plain values; no I/O."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

from bridge.emulators.switches import Switches


@dataclass(slots=True, kw_only=True)
class EmulatorOptions(Switches):
    """How the emulated Lightning behaves."""

    NOT_NEGATIVE = (
        "first_byte_ms",
        "slow_first_byte_ms",
        "slow_first_bytes",
        "jitter_ms",
        "realtime_factor",
        "concurrency",
        "sockets_per_unit",
        "faulty_requests",
        "late_chunks_after_cancel",
        "interrupted_after_ms",
    )
    POSITIVE = ("chunk_ms", "idle_timeout_s")

    #: Wait before the first audio of every synthesis, counted from its request.
    first_byte_ms: float = 0.0
    #: The same for the first `slow_first_bytes` syntheses, to make a client ask a second time.
    slow_first_byte_ms: float = 0.0
    slow_first_bytes: int = 0
    #: Each message of a synthesis is late by up to so much, at random, and never overtakes another.
    jitter_ms: float = 0.0
    #: The same seed makes the same messages late.
    jitter_seed: int = 0
    #: Audio in one `chunk` message.
    chunk_ms: float = 100.0
    #: How much faster than real time audio is delivered; 0 is as fast as the socket takes it.
    realtime_factor: float = 0.0
    #: Syntheses at once, over all sockets; the next is refused, not queued. 0 is no limit.
    concurrency: int = 10
    #: Open sockets for each unit of `concurrency`; the next is closed with 1008. 0 is no limit.
    sockets_per_unit: int = 0
    #: Close the socket after `complete`, as the documentation says and the field denies.
    close_after_complete: bool = False
    #: Silence from the client after which the socket is closed; ``?timeout=N`` overrides it.
    idle_timeout_s: float = 60.0
    #: Refuse voices that are not in the documentation, as Lightning refuses what is not in its catalogue.
    strict_voices: bool = True
    #: Time the words of every voice, not only of the six that Lightning times.
    words_for_any_voice: bool = False

    #: Answer with 16-bit PCM although `ulaw` or `alaw` was asked: some report that the real socket does.
    answer_pcm: bool = False
    #: Cut chunks at sizes that align with no sample and no frame.
    odd_chunks: bool = False
    #: Put a RIFF header before the audio although nobody asked.
    wav_header: bool = False
    #: Whether `cancel_request` stops what is being spoken, or drops only what is buffered; sources differ.
    cancel_stops_audio: bool = True
    #: Add `message` and `done` to ``complete``, as older documentation has them.
    old_complete: bool = False
    #: Refuse a lone space as text, which one public client sends as its keepalive.
    refuse_spaces: bool = False
    #: Tell errors as ``{"error": {"message", "code"}}`` instead of a `message` at the top.
    nested_errors: bool = False
    #: Wrap server-sent events as messages of the socket are wrapped, as older documentation has them.
    old_sse: bool = False
    #: Answer all doors of Lightning v2 with 410, as the real service does since May 2026.
    v2_retired: bool = False
    #: Drop the TCP connection after this much audio of a synthesis.
    fail_after_ms: float | None = None
    #: Go silent, with the socket open, after this much audio of a synthesis.
    stall_after_ms: float | None = None
    #: Send one message that cannot be read after this much audio of a synthesis, then go on.
    garble_after_ms: float | None = None
    #: End a synthesis with an error after this much of its audio.
    error_after_ms: float | None = None
    #: The code of that error.
    error_code: str = "INTERNAL_ERROR"
    #: Only so many first syntheses have any of these faults; 0 is all of them.
    faulty_requests: int = 0
    #: Chunks still sent after `cancel_request` or `interrupt`, to prove that the client drops them.
    late_chunks_after_cancel: int = 0
    #: Whether the account may use Lightning v4, which is a gated beta.
    v4_access: bool = True
    #: How long Lightning v4 takes to acknowledge an `interrupt`.
    interrupted_after_ms: float = 0.0

    @classmethod
    def realistic(cls) -> EmulatorOptions:
        """The pace of the real one from nearby: first audio after 150 ms, then 3.3 times real time."""
        return cls(first_byte_ms=150.0, realtime_factor=3.3)

    def first_byte_of(self, number: int) -> float:
        """The wait before the first audio of the synthesis `number`, counted from 1, in milliseconds."""
        return self.slow_first_byte_ms if 0 < number <= self.slow_first_bytes else self.first_byte_ms

    def due_ms(self, at_ms: float, number: int = 0) -> float:
        """When what starts at `at_ms` of the utterance `number` is due, in milliseconds after the request."""
        paced_ms = at_ms / self.realtime_factor if self.realtime_factor else 0.0
        return self.first_byte_of(number) + paced_ms + self._jitter_of(at_ms, number)

    def _jitter_of(self, at_ms: float, number: int) -> float:
        if not self.jitter_ms:
            return 0.0
        drawn = random.Random(f"{self.jitter_seed} {number} {at_ms}")  # noqa: S311 -- nothing is secret here
        return self.jitter_ms * drawn.random()

    def is_faulty(self, number: int) -> bool:
        """Whether `fail_after_ms` and its like hold for the synthesis `number`, counted from 1."""
        return not self.faulty_requests or number <= self.faulty_requests


@dataclass(slots=True)
class EmulatorStats:
    """What happened, for tests and benchmarks to assert on."""

    connections: int = 0  #: sockets accepted
    open_connections: int = 0
    refused_handshakes: int = 0
    requests: int = 0  #: syntheses begun
    completed: int = 0
    cancelled: int = 0  #: by `cancel_request`, or because the socket went away
    errors: int = 0  #: error messages sent
    over_concurrency: int = 0  #: of these, for want of a unit
    idle_closed: int = 0
    faults: int = 0  #: connections dropped and syntheses stalled on purpose
    chars: int = 0
    chunks: int = 0
    late_chunks: int = 0  #: of these, sent after a cancel
    pings: int = 0
    active: int = 0  #: units in use now
    max_active: int = 0
    #: The last message that asked for speech, as it came.
    last_request: dict[str, object] = field(default_factory=dict)
    #: The texts of the syntheses begun, in order.
    texts: deque[str] = field(default_factory=lambda: deque(maxlen=1000))
