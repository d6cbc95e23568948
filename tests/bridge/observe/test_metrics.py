"""Metrics: every counter that the bridge keeps is a series with its value. How they are served: server/test_health."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

from prometheus_client.core import CollectorRegistry, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from bridge.lightning.stats import LightningStats
from bridge.observe import metrics
from bridge.observe.stats import (
    BUCKETS_S,
    AgentStats,
    BridgeStats,
    FlowStats,
    Histogram,
    HydraStats,
    PlayoutStats,
    PromptStats,
    TranscriberStats,
)


def names(
    stats: type[BridgeStats]
    | type[PlayoutStats]
    | type[PromptStats]
    | type[FlowStats]
    | type[TranscriberStats]
    | type[AgentStats]
    | type[HydraStats]
    | type[LightningStats],
) -> set[str]:
    return {field.name for field in fields(stats)}


def scraped(stats: BridgeStats) -> dict[str, float]:
    """Sample name, with its label's value if it has one, to value; through the text that goes over the wire."""

    class _Once(Collector):
        def collect(self):  # type: ignore[no-untyped-def]
            return metrics.of_bridge(stats)

    registry = CollectorRegistry()
    registry.register(_Once())
    return {
        ":".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }


def samples(families: Iterable[Metric]) -> dict[str, float]:
    return {
        ":".join((sample.name, *sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def test_no_counter_is_forgotten() -> None:
    told_otherwise = {"playout", "prompts", "flows", "transcriber", "agents", "hydra",
                      "lateness_count", "lateness_ms_sum", "lateness_ms_max"}  # fmt: skip
    assert metrics.COUNTED.keys() | metrics.COUNTED_BY.keys() | told_otherwise == names(BridgeStats)
    assert metrics.PLAYOUT.keys() == names(PlayoutStats)
    assert metrics.PROMPTS.keys() == names(PromptStats)
    assert metrics.FLOWS.keys() | metrics.FLOWS_BY.keys() == names(FlowStats)
    assert metrics.TRANSCRIBER.keys() | metrics.TRANSCRIBER_BY.keys() == names(TranscriberStats)
    agents = metrics.AGENTS.keys() | metrics.AGENTS_BY.keys() | metrics.AGENTS_TIMED.keys()
    assert agents == names(AgentStats)
    assert metrics.HYDRA.keys() | metrics.HYDRA_BY.keys() == names(HydraStats)
    assert metrics.LIGHTNING.keys() == names(LightningStats)


def test_values_are_those_of_the_stats_in_base_units() -> None:
    stats = BridgeStats(calls_started=3, lateness_count=2, lateness_ms_sum=5.0, lateness_ms_max=4.0)
    stats.barge_ins.update({"speech": 2, "digit": 1})
    told = scraped(stats)
    assert told["bridge_calls_started_total"] == 3
    assert told["bridge_barge_ins_total:speech"] == 2
    assert told["bridge_barge_ins_total:digit"] == 1
    assert told["bridge_packet_lateness_seconds_count"] == 2
    assert told["bridge_packet_lateness_seconds_sum"] == 0.005
    assert told["bridge_packet_lateness_max_seconds"] == 0.004


def test_what_has_not_happened_is_zero_and_not_missing() -> None:
    told = scraped(BridgeStats())
    assert {told[f"bridge_{name}_total"] for name in metrics.COUNTED} == {0}


def test_how_flows_ended_and_why_webhooks_failed_are_labels() -> None:
    stats = FlowStats(started=2)
    stats.ended["hung_up"] += 1
    stats.webhook_failures["timeout"] += 3
    told = samples(metrics.of_flows(stats))
    assert told["bridge_flows_started_total"] == 2
    assert told["bridge_flows_ended_total:hung_up"] == 1
    assert told["bridge_flows_webhook_failures_total:timeout"] == 3


def test_what_became_of_turns_and_limits_are_labels() -> None:
    stats = AgentStats(tokens=7)
    stats.turns["answered"] += 2
    stats.budgets["tokens_per_day"] += 1
    told = samples(metrics.of_agents(stats))
    assert told["bridge_agent_tokens_total"] == 7
    assert told["bridge_agent_turns_total:answered"] == 2
    assert told["bridge_budgets_spent_total:tokens_per_day"] == 1


def test_why_a_transcriber_refused_is_a_label_and_lost_sound_is_told_in_seconds() -> None:
    stats = TranscriberStats(lost_ms=250.0)
    stats.refusals["busy"] += 3
    told = samples(metrics.of_transcriber(stats))
    assert told["bridge_transcriber_lost_seconds_total"] == 0.25
    assert told["bridge_transcriber_refusals_total:busy"] == 3


def test_why_hydra_refused_is_a_label_and_unsent_sound_is_told_in_seconds() -> None:
    stats = HydraStats(unsent_ms=500.0)
    stats.refusals["unauthorized"] += 2
    told = samples(metrics.of_hydra(stats))
    assert told["bridge_hydra_unsent_seconds_total"] == 0.5
    assert told["bridge_hydra_refusals_total:unauthorized"] == 2


def test_waits_are_histograms_whose_buckets_add_up() -> None:
    stats = AgentStats()
    for seconds in (0.02, 0.7, 0.74, 99.0):
        stats.response.observe(seconds)
    told = samples(metrics.of_agents(stats))
    name = "bridge_turn_response_seconds"
    assert told[f"{name}_bucket:0.02"] == 1, "a bound belongs to its bucket"
    assert told[f"{name}_bucket:0.5"] == 1
    assert told[f"{name}_bucket:0.75"] == 3
    assert told[f"{name}_bucket:5.0"] == 3
    assert told[f"{name}_bucket:+Inf"] == told[f"{name}_count"] == 4
    assert told[f"{name}_sum"] == 0.02 + 0.7 + 0.74 + 99.0
    for series in ("transcript_final", "agent_first_token", "tts_time_to_first_audio"):
        assert told[f"bridge_{series}_seconds_count"] == 0


def test_every_wait_has_a_bucket() -> None:
    observed = Histogram()
    for seconds in (0.0, *BUCKETS_S, 1e9):
        observed.observe(seconds)
    assert observed.counts == [2, *[1] * (len(BUCKETS_S) - 1), 1]


def test_milliseconds_become_seconds() -> None:
    (series,) = metrics.counters("p", {"underrun_ms": "x"}, PlayoutStats(underrun_ms=1500))
    assert (series.name, series.samples[0].value) == ("p_underrun_seconds", 1.5)


def test_playouts_of_many_calls_add_up() -> None:
    total = PlayoutStats(packets=1, underrun_ms=0.5)
    total.add(PlayoutStats(packets=2, underruns=1, underrun_ms=20.0, missing_marks=3))
    assert total == PlayoutStats(packets=3, underruns=1, underrun_ms=20.5, missing_marks=3)
