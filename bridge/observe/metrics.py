"""The counters of a process as Prometheus text.

Read from the stats structs when somebody asks: the media path counts in plain integers and knows nothing of this.
Labels are from closed sets; nothing that a caller sent becomes one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client.core import CounterMetricFamily, Metric

    from bridge.server.runtime import Runtime


def exposition(runtime: Runtime) -> tuple[bytes, str]:
    """Body and content type of the answer to a scrape."""
    from prometheus_client import CollectorRegistry, ProcessCollector
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
    from prometheus_client.registry import Collector

    class _FromStats(Collector):
        def collect(self) -> Iterator[Metric]:
            yield from _metrics(runtime)

    registry = CollectorRegistry()
    registry.register(_FromStats())
    ProcessCollector(registry=registry)
    return generate_latest(registry), CONTENT_TYPE_LATEST


def _metrics(runtime: Runtime) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily, SummaryMetricFamily

    from bridge import __version__

    stats = runtime.stats
    build = GaugeMetricFamily("bridge_build_info", "Always 1; the version is the label.", labels=["version"])
    build.add_metric([__version__], 1)
    yield build
    yield GaugeMetricFamily("bridge_calls_active", "Calls that are live.", value=len(runtime.calls))
    yield GaugeMetricFamily("bridge_draining", "1 when new calls are refused.", value=int(runtime.draining))
    yield _plain("bridge_calls_started", "Calls admitted.", stats.calls_started)
    yield _labelled("bridge_calls_ended", "Calls over, by reason.", "reason", stats.calls_ended)
    yield _labelled(
        "bridge_requests_refused", "Webhooks and upgrades refused.", "reason", stats.webhooks_refused
    )
    yield _labelled("bridge_media_refused", "Media sockets turned away.", "reason", stats.media_refused)
    yield _labelled("bridge_protocol_errors", "Broken carrier messages.", "kind", stats.protocol_errors)
    yield _labelled("bridge_ignored_messages", "Well-formed carrier messages without use.", "kind",
                    stats.ignored_messages)  # fmt: skip
    yield _labelled("bridge_stream_statuses", "Status callbacks.", "status", stats.stream_statuses)
    yield _labelled("bridge_barge_ins", "Utterances cut short.", "by", stats.barge_ins)
    for name in ("utterances", "voice_failures", "agent_errors", "holds", "false_holds", "slow_readers",
                 "silent_lines", "floods"):  # fmt: skip
        yield _plain(f"bridge_{name}", f"See BridgeStats.{name}.", getattr(stats, name))
    playout = stats.playout
    for field in fields(playout):
        name, value = _in_base_unit(field.name, getattr(playout, field.name))
        yield _plain(f"bridge_playout_{name}", f"See PlayoutStats.{field.name}.", value)
    yield SummaryMetricFamily("bridge_packet_lateness_seconds", "How late packets left.",
                              count_value=stats.lateness_count, sum_value=stats.lateness_ms_sum / 1000)  # fmt: skip
    for field in fields(runtime.live.stats):
        value = getattr(runtime.live.stats, field.name)
        if isinstance(value, int):
            yield _plain(f"bridge_lightning_{field.name}", f"See LightningStats.{field.name}.", value)
    units = runtime.live.units
    yield GaugeMetricFamily("bridge_lightning_units_in_use", "Syntheses running.", value=units.in_use)
    yield GaugeMetricFamily(
        "bridge_lightning_units_waiting", "Syntheses waiting for a unit.", value=units.waiting
    )


def _in_base_unit(name: str, value: float) -> tuple[str, float]:
    return (f"{name[:-3]}_seconds", value / 1000) if name.endswith("_ms") else (name, value)


def _plain(name: str, text: str, value: float) -> CounterMetricFamily:
    from prometheus_client.core import CounterMetricFamily

    return CounterMetricFamily(name, text, value=value)


def _labelled(name: str, text: str, label: str, counts: Mapping[str, int]) -> CounterMetricFamily:
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(name, text, labels=[label])
    for key, count in sorted(counts.items()):
        family.add_metric([key], count)
    return family
