"""The counters of a process as Prometheus text.

Strategy:

- Read from the stats structs when somebody asks: the media path counts in plain integers and knows nothing of this.
- Every field of those structs is a series, named as the field is and in Prometheus' base units; a test holds that
  none is forgotten here.
- Labels are from closed sets. Nothing that a caller sent becomes one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

    from bridge.lightning.stats import LightningStats
    from bridge.lightning.voice import Voice
    from bridge.observe.stats import (
        AgentStats,
        BridgeStats,
        FlowStats,
        Histogram,
        HydraStats,
        PlayoutStats,
        PromptStats,
        TranscriberStats,
    )
    from bridge.server.runtime import Runtime

#: `BridgeStats`: what each counter counts.
COUNTED: Final = {
    "calls_started": "Calls admitted.",
    "calls_placed": "Calls that a carrier was asked to place, and took.",
    "calls_resumed": "Times that a carrier opened the lost socket of a call again.",
    "utterances": "Utterances and prompts begun.",
    "fillers": "Utterances before which the caller was asked for a moment, because their audio was late.",
    "voice_failures": "Utterances that ended in an apology.",
    "agent_errors": "Agents that failed with an error of their own.",
    "holds": "Times that packets were held back on the first sign of speech.",
    "false_holds": "Of these, released again because it was no speech.",
    "messages_kept": "Messages that callers left.",
    "messages_lost": "Messages that callers left, and the disk did not take.",
    "slow_readers": "Calls closed because the carrier stopped reading.",
    "silent_lines": "Calls closed because the carrier stopped sending.",
    "floods": "Calls closed because the carrier sent far more than real time.",
}
#: `BridgeStats`: series, label and meaning of what is counted by kind.
COUNTED_BY: Final = {
    "calls_ended": ("calls_ended", "reason", "Calls over."),
    "webhooks_refused": ("requests_refused", "reason", "Webhooks and upgrades refused."),
    "media_refused": ("media_refused", "reason", "Media sockets turned away."),
    "protocol_errors": ("protocol_errors", "kind", "Broken carrier messages."),
    "ignored_messages": ("ignored_messages", "kind", "Well-formed carrier messages without use."),
    "stream_statuses": ("stream_statuses", "status", "Status callbacks."),
    "rest_failures": (
        "rest_failures",
        "purpose",
        "What carriers were asked to do with a call, and did not do.",
    ),
    "reloads": ("reloads", "result", "Times that prompts and flows were read again: taken, or refused."),
    "barge_ins": ("barge_ins", "by", "Utterances cut short."),
}
PLAYOUT: Final = {
    "padded_messages": "Messages filled up with silence because the rest of them was late.",
    "flow_stops": "Times that a carrier wanted no more audio for a while.",
    "packets": "Packets handed to carriers.",
    "underruns": "Times that a carrier's buffer ran dry because the synthesis was late.",
    "underrun_ms": "Silence that callers heard because of underruns.",
    "slips": "Times that a timeline was reset because this process was late.",
    "stale_writes": "Audio of an interrupted utterance that was thrown away.",
    "stale_marks": "Marks of an interrupted utterance that came back.",
    "unknown_marks": "Marks that came back and were never sent.",
    "missing_marks": "Final marks that did not come back in time.",
}
PROMPTS: Final = {
    "hits": "Parts of prompts that were ready in memory.",
    "misses": "Parts of prompts that a call's voice had to speak.",
    "kept": "Of these, the ones kept for the next call.",
    "rendered": "Parts of prompts synthesised ahead of a call, or behind one.",
    "render_failures": "Parts of prompts that could not be synthesised.",
    "yielded": "Syntheses behind a call given up because another call wanted their unit.",
    "corrupt": "Cache files that were not what they said, and were removed.",
    "read_failures": "Cache files that could not be read.",
    "write_failures": "Cache files that could not be written.",
    "crowded_out": "Parts of prompts without room in prompts.memory_mb.",
}
FLOWS: Final = {
    "started": "Flows begun.",
    "steps": "Steps of flows entered.",
    "webhooks": "Times that a flow asked an API.",
    "webhook_retries": "Further tries of these.",
}
FLOWS_BY: Final = {
    "ended": ("flows_ended", "how", "Flows over."),
    "webhook_failures": ("flows_webhook_failures", "kind", "Times that an API was of no use to a flow."),
}
TRANSCRIBER: Final = {
    "calls": "Calls transcribed.",
    "connects": "Sockets opened.",
    "connect_failures": "Sockets that could not be opened.",
    "dropped_sockets": "Sockets closed by the transcriber while a call was on.",
    "replayed_ms": "Sound sent once more over a new socket.",
    "lost_ms": "Sound that was too old, or too much, to be sent at all.",
    "partials": "Guesses at words.",
    "finals": "Words that will not change any more.",
    "finalizes": "Times that the words so far were asked for.",
    "late_finals": "Of these, not answered in time.",
    "error_messages": "Times that the transcriber said that something is wrong.",
    "malformed_messages": "Messages that could not be read.",
    "unknown_messages": "Messages of an unknown kind.",
    "floods": "Sockets closed because far too much came.",
}
TRANSCRIBER_BY: Final = {
    "refusals": ("transcriber_refusals", "kind", "Times that the transcriber refused to work."),
}
AGENTS: Final = {
    "backchannels": "Times that callers said too little to interrupt with.",
    "wordless": "Times that callers were loud and said no word.",
    "resumed": "Interruptions that were none: the rest was said.",
    "eager": "Turns that agents heard of before they were certain.",
    "eager_wasted": "Of these, not over after all.",
    "reprompts": "Times that a silent caller was spoken to.",
    "apologies": "Times that an agent had no answer, and said so.",
    "tokens": "Tokens of language models, in and out.",
    "characters": "Characters sent to Lightning.",
}
AGENTS_BY: Final = {
    "turns": ("agent_turns", "outcome", "Turns of callers, by what became of them."),
    "tools": ("agent_tools", "outcome", "Tools that agents ran."),
    "failures": ("agent_failures", "kind", "Times that what thinks for an agent was late or failed."),
    "budgets": ("budgets_spent", "limit", "Limits of [budget] passed, once a call or a day."),
}
#: `AgentStats`: series and meaning of what is measured.
AGENTS_TIMED: Final = {
    "response": (
        "turn_response",
        "From the caller's last sound to the first sound of the answer, leading silence counted.",
    ),
    "transcript": ("transcript_final", "From the caller's last sound to the final words of it."),
    "first_token": (
        "agent_first_token",
        "From when the agent was given the turn to the first of its answer; 0 when an eager agent had it by then.",
    ),
    "first_audio": (
        "tts_time_to_first_audio",
        "From the first of an answer to its first audio from Lightning.",
    ),
}
HYDRA: Final = {
    "sessions": "Sessions with Hydra that were configured.",
    "idle_closes": "Sessions closed by Hydra because nobody said anything.",
    "dropped_sessions": "Sessions that a fault ended while the call was on.",
    "answers": "Answers of Hydra.",
    "interrupted": "Of these, the ones that callers cut short.",
    "stale_messages": "Messages of answers that nobody wanted any more.",
    "error_messages": "Times that Hydra said that something is wrong.",
    "malformed_messages": "Messages of Hydra that could not be read.",
    "unsent_ms": "Sound of callers that was dropped because Hydra took none.",
    "lost_ms": "Sound of callers that was dropped because there was no session for too long.",
}
HYDRA_BY: Final = {
    "refusals": ("hydra_refusals", "kind", "Sessions with Hydra that could not be opened."),
}
LIGHTNING: Final = {
    "syntheses": "Syntheses asked for.",
    "completed": "Syntheses of which all audio came.",
    "cancelled": "Syntheses cancelled by this side.",
    "failed": "Syntheses that ended with an error.",
    "retries": "Second attempts, with the text that was still unsaid.",
    "fallbacks": "Times that a call went on with another entry of the configuration.",
    "hedges": "Syntheses asked for once more because the first byte was late.",
    "hedges_won": "Of these, the ones whose second answer was first.",
    "breakers_opened": "Times that an entry failed so often that it was left alone.",
    "probes": "Syntheses made to see whether an entry works again.",
    "speech_failures": "Utterances that nobody could speak to their end.",
    "connects": "Sockets opened.",
    "connect_failures": "Sockets that could not be opened.",
    "handshakes_refused": "Of these, refused with an HTTP answer.",
    "waited_for_connect": "Syntheses that found no spare socket.",
    "dropped_sockets": "Sockets closed by Lightning during a synthesis.",
    "idle_closes": "Sockets closed by Lightning while idle.",
    "resends": "Syntheses asked for again because a reused socket was closed.",
    "unit_waits": "Syntheses that had to wait for lightning.concurrency.",
    "unit_timeouts": "Syntheses that waited in vain.",
    "busy_answers": "Times that Lightning said that the account is at its limit.",
    "late_first_audio": "Syntheses without audio within first_audio_timeout_s.",
    "stalls": "Syntheses that fell silent half way for stall_timeout_s.",
    "floods": "Syntheses with more audio than their text can last.",
    "stale_chunks": "Chunks of syntheses that were over.",
    "foreign_chunks": "Chunks of syntheses that were not on their socket.",
    "malformed_messages": "Messages that could not be read.",
    "unknown_messages": "Messages of an unknown kind.",
    "pcm_answers": "Syntheses that came as linear audio although mu-law was asked.",
    "wav_answers": "Syntheses that came with a WAV header although none was asked.",
}


def exposition(runtime: Runtime) -> tuple[bytes, str]:
    """Body and content type of the answer to a scrape."""
    from prometheus_client import CollectorRegistry, ProcessCollector
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
    from prometheus_client.registry import Collector

    class _FromStats(Collector):
        def collect(self) -> Iterator[Metric]:
            yield from _process(runtime)
            yield from of_bridge(runtime.stats)
            yield from counters("bridge_playout", PLAYOUT, runtime.stats.playout)
            yield from counters("bridge_prompts", PROMPTS, runtime.stats.prompts)
            yield from of_flows(runtime.stats.flows)
            yield from of_transcriber(runtime.stats.transcriber)
            yield from of_agents(runtime.stats.agents)
            yield from of_hydra(runtime.stats.hydra)
            yield from counters("bridge_lightning", LIGHTNING, runtime.voice.stats)
            yield from of_voice(runtime.voice)

    registry = CollectorRegistry()
    registry.register(_FromStats())
    ProcessCollector(registry=registry)
    return generate_latest(registry), CONTENT_TYPE_LATEST


def _process(runtime: Runtime) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily as Gauge

    from bridge import __version__

    build = Gauge("bridge_build_info", "Always 1; the version is the label.", labels=["version"])
    build.add_metric([__version__], 1)
    yield build
    yield Gauge("bridge_calls_active", "Calls that are live.", value=len(runtime.calls))
    yield Gauge("bridge_draining", "1 when new calls are refused.", value=int(runtime.draining))


def of_bridge(stats: BridgeStats) -> Iterator[Metric]:
    """The series of `BridgeStats` itself, without those of the structs in it."""
    from prometheus_client.core import GaugeMetricFamily, SummaryMetricFamily

    yield from counters("bridge", COUNTED, stats)
    for name, (series, label, text) in COUNTED_BY.items():
        yield _by_label(f"bridge_{series}", text, label, getattr(stats, name))
    count, total_s, worst_s = stats.lateness_count, stats.lateness_ms_sum / 1000, stats.lateness_ms_max / 1000
    yield SummaryMetricFamily("bridge_packet_lateness_seconds", "How late packets left.",
                              count_value=count, sum_value=total_s)  # fmt: skip
    yield GaugeMetricFamily(
        "bridge_packet_lateness_max_seconds", "The worst of it since start.", value=worst_s
    )


def of_flows(stats: FlowStats) -> Iterator[Metric]:
    """The series of `FlowStats`."""
    yield from counters("bridge_flows", FLOWS, stats)
    for name, (series, label, text) in FLOWS_BY.items():
        yield _by_label(f"bridge_{series}", text, label, getattr(stats, name))


def of_transcriber(stats: TranscriberStats) -> Iterator[Metric]:
    """The series of `TranscriberStats`."""
    yield from counters("bridge_transcriber", TRANSCRIBER, stats)
    for name, (series, label, text) in TRANSCRIBER_BY.items():
        yield _by_label(f"bridge_{series}", text, label, getattr(stats, name))


def of_agents(stats: AgentStats) -> Iterator[Metric]:
    """The series of `AgentStats`."""
    yield from counters("bridge_agent", AGENTS, stats)
    for name, (series, label, text) in AGENTS_BY.items():
        yield _by_label(f"bridge_{series}", text, label, getattr(stats, name))
    for name, (series, text) in AGENTS_TIMED.items():
        yield _histogram(f"bridge_{series}_seconds", text, getattr(stats, name))


def of_hydra(stats: HydraStats) -> Iterator[Metric]:
    """The series of `HydraStats`."""
    yield from counters("bridge_hydra", HYDRA, stats)
    for name, (series, label, text) in HYDRA_BY.items():
        yield _by_label(f"bridge_{series}", text, label, getattr(stats, name))


def of_voice(voice: Voice) -> Iterator[Metric]:
    """How much of the accounts' concurrency is in use, and which entries are left alone."""
    from prometheus_client.core import GaugeMetricFamily as Gauge

    accounts = voice.accounts
    for series, text, values in (
        ("units", "Syntheses that may run at once.", [units.concurrency for units in accounts]),
        ("units_in_use", "Syntheses running.", [units.in_use for units in accounts]),
        ("units_waiting", "Syntheses waiting for a unit.", [units.waiting for units in accounts]),
    ):
        yield Gauge(f"bridge_lightning_{series}", text, value=sum(values))
    circuits = Gauge("bridge_lightning_circuit_open", "1 while an entry is left alone.", labels=["entry"])
    for entry in voice.entries:
        circuits.add_metric([entry.name], int(entry.breaker.open))
    yield circuits


def counters(
    prefix: str,
    texts: Mapping[str, str],
    stats: BridgeStats
    | PlayoutStats
    | PromptStats
    | FlowStats
    | TranscriberStats
    | AgentStats
    | HydraStats
    | LightningStats,
) -> Iterator[CounterMetricFamily]:
    """The fields of `stats` that `texts` explains, as series."""
    from prometheus_client.core import CounterMetricFamily

    for name, text in texts.items():
        series, value = _in_base_unit(name, getattr(stats, name))
        yield CounterMetricFamily(f"{prefix}_{series}", text, value=value)


def _in_base_unit(name: str, value: float) -> tuple[str, float]:
    return (f"{name[:-3]}_seconds", value / 1000) if name.endswith("_ms") else (name, value)


def _by_label(name: str, text: str, label: str, counts: Mapping[str, int]) -> CounterMetricFamily:
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(name, text, labels=[label])
    for key, count in sorted(counts.items()):
        family.add_metric([key], count)
    return family


def _histogram(name: str, text: str, observed: Histogram) -> HistogramMetricFamily:
    from prometheus_client.core import HistogramMetricFamily

    from bridge.observe.stats import BUCKETS_S

    bounds = [*(str(bound) for bound in BUCKETS_S), "+Inf"]
    buckets = list(zip(bounds, accumulate(observed.counts), strict=True))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=observed.sum_s)
