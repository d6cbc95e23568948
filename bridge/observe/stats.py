"""Every way a call can go other than well, by name.

Read this struct to learn what can go wrong. Metrics, logs and tests share the names.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

#: In seconds: what separates a good answer on the telephone from a bad one lies between 0.2 and 2.
BUCKETS_S: Final = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)


@dataclass(slots=True)
class PlayoutStats:
    """What happened to the packets of one call, or, added up, of a process."""

    packets: int = 0
    #: The carrier's buffer ran dry because the synthesis was late.
    underruns: int = 0
    underrun_ms: float = 0.0
    #: The carrier's buffer ran dry because our own clock was late: the timeline was reset.
    slips: int = 0
    #: Messages filled up with silence because the rest of them was late.
    padded_messages: int = 0
    #: Times that the carrier wanted no more audio for a while.
    flow_stops: int = 0
    #: Audio of a generation that had been cleared came in and was thrown away.
    stale_writes: int = 0
    #: A mark of a cleared generation came back.
    stale_marks: int = 0
    #: A mark came back that we never sent.
    unknown_marks: int = 0
    #: A final mark did not come back within its grace; the clock decided instead.
    missing_marks: int = 0

    def add(self, other: PlayoutStats) -> None:
        """Add `other` to this one."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(slots=True)
class PromptStats:
    """What became of prompts and of the files that they are kept in."""

    hits: int = 0  #: parts that were ready in memory
    misses: int = 0  #: parts that a call's voice had to speak
    kept: int = 0  #: of these, kept for the next call
    rendered: int = 0  #: synthesised ahead of a call, or behind one
    render_failures: int = 0
    yielded: int = 0  #: syntheses behind a call given up because another call wanted their unit
    corrupt: int = 0  #: files that were not what they said, and were removed
    read_failures: int = 0  #: files that could not be read
    write_failures: int = 0  #: the disk was full or read-only; calls go on with live synthesis
    crowded_out: int = 0  #: parts dropped from memory, or not taken into it, because `memory_mb` was full


@dataclass(slots=True)
class FlowStats:
    """What became of phone menus, and of what they asked the user's own API."""

    started: int = 0
    steps: int = 0  #: entered
    #: By how: ``hung_up``, ``transferred``, ``caller_left``, ``gave_up``, ``failed``, ``stuck``, ``error``.
    ended: Counter[str] = field(default_factory=Counter)
    webhooks: int = 0
    webhook_retries: int = 0  #: further tries of these
    webhook_failures: Counter[str] = field(default_factory=Counter)  #: by kind, see `flows.webhook_answer`


@dataclass(slots=True)
class Histogram:
    """How long something took, by `BUCKETS_S`."""

    #: By bucket: how many took no longer than its bound and longer than the one before. The last one has no bound.
    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    sum_s: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count one that took so long."""
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.sum_s += seconds


@dataclass(slots=True)
class TranscriberStats:
    """What became of callers' words on their way through the transcriber."""

    calls: int = 0  #: transcribed
    connects: int = 0
    connect_failures: int = 0
    refusals: Counter[str] = field(default_factory=Counter)  #: ``unauthorized``, ``busy``, ``request``
    dropped_sockets: int = 0  #: closed by the other side while a call was on
    replayed_ms: float = 0.0  #: audio sent once more over a new socket
    lost_ms: float = 0.0  #: audio that was too old, or too much, to be sent at all
    partials: int = 0
    finals: int = 0
    finalizes: int = 0
    late_finals: int = 0  #: of these, not answered in time
    error_messages: int = 0
    malformed_messages: int = 0
    unknown_messages: int = 0
    floods: int = 0  #: sockets closed because far too much came


@dataclass(slots=True)
class AgentStats:
    """What became of callers' turns, and how long callers waited."""

    turns: Counter[str] = field(default_factory=Counter)  #: by outcome, see `observe.latency`
    backchannels: int = 0  #: turns too short to interrupt with
    wordless: int = 0  #: times that the caller was loud and said no word
    resumed: int = 0  #: interruptions that were none: the rest was said
    eager: int = 0  #: turns that the agent heard of before they were certain
    eager_wasted: int = 0  #: of these, not over after all
    reprompts: int = 0
    apologies: int = 0
    tokens: int = 0  #: of language models, in and out
    characters: int = 0  #: sent to Lightning
    tools: Counter[str] = field(default_factory=Counter)  #: by ``done``, ``failed``, ``late``, ``refused``
    failures: Counter[str] = field(default_factory=Counter)  #: of what thinks, by kind
    budgets: Counter[str] = field(default_factory=Counter)  #: limits reached, by name
    #: From the end of the caller's speech to the first sound of the answer, and the parts of that.
    response: Histogram = field(default_factory=Histogram)
    transcript: Histogram = field(default_factory=Histogram)
    first_token: Histogram = field(default_factory=Histogram)
    first_audio: Histogram = field(default_factory=Histogram)


@dataclass(slots=True)
class HydraStats:
    """What became of calls' sessions with Hydra, which hears and speaks by itself."""

    sessions: int = 0  #: configured
    refusals: Counter[str] = field(default_factory=Counter)  #: that could not be opened, by kind
    idle_closes: int = 0  #: closed by Hydra because nobody said anything
    dropped_sessions: int = 0  #: ended by a fault while the call was on
    answers: int = 0
    interrupted: int = 0  #: of these, cut short by the caller
    stale_messages: int = 0  #: of answers that nobody wanted any more
    error_messages: int = 0
    malformed_messages: int = 0
    unsent_ms: float = 0.0  #: of callers' voices, because Hydra took none
    lost_ms: float = 0.0  #: of callers' voices, because there was no session for too long


@dataclass(slots=True)
class BridgeStats:
    """Counters of one process. Labels are from closed sets, never from what a caller sent."""

    playout: PlayoutStats = field(default_factory=PlayoutStats)
    prompts: PromptStats = field(default_factory=PromptStats)
    flows: FlowStats = field(default_factory=FlowStats)
    transcriber: TranscriberStats = field(default_factory=TranscriberStats)
    agents: AgentStats = field(default_factory=AgentStats)
    hydra: HydraStats = field(default_factory=HydraStats)
    calls_started: int = 0
    calls_placed: int = 0
    calls_resumed: int = 0  #: times that a carrier opened the lost socket of a call again
    calls_ended: Counter[str] = field(default_factory=Counter)  #: by reason
    webhooks_refused: Counter[str] = field(default_factory=Counter)  #: by reason
    media_refused: Counter[str] = field(default_factory=Counter)  #: by reason
    protocol_errors: Counter[str] = field(default_factory=Counter)  #: by kind
    ignored_messages: Counter[str] = field(default_factory=Counter)  #: by kind
    stream_statuses: Counter[str] = field(default_factory=Counter)  #: by kind
    rest_failures: Counter[str] = field(default_factory=Counter)  #: by what was wanted
    barge_ins: Counter[str] = field(default_factory=Counter)  #: by ``speech`` or ``digit``
    holds: int = 0  #: packets held back on the first sign of speech
    false_holds: int = 0  #: of these, released again
    utterances: int = 0
    fillers: int = 0  #: times that "One moment, please." was said because the first audio was late
    voice_failures: int = 0
    agent_errors: int = 0
    messages_kept: int = 0  #: messages that callers left
    messages_lost: int = 0  #: messages that the disk did not take
    reloads: Counter[str] = field(default_factory=Counter)  #: of prompts and flows, ``taken`` or ``refused``
    slow_readers: int = 0  #: calls closed because the carrier stopped reading
    silent_lines: int = 0  #: calls closed because the carrier stopped sending
    floods: int = 0  #: calls closed because the carrier sent far more than real time
    #: Sum, count and worst of how late a packet left, against its place on the timeline.
    lateness_ms_sum: float = 0.0
    lateness_ms_max: float = 0.0
    lateness_count: int = 0
