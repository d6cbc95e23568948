"""The definitions of the benchmark's figures, each on an utterance small enough to check by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from benchmarks import sound
from benchmarks.line import Utterance
from benchmarks.report import lateness_ms, percentile, underruns_s

ALWAYS = (0.0, 100.0)
PACKETS = 100


def utterance(arrivals: Sequence[float]) -> Utterance:
    """Packets of 20 ms that arrived at `arrivals`."""
    heard = Utterance(0x30)
    for n, arrival in enumerate(arrivals):
        heard.arrivals.append(arrival)
        heard.positions_ms.append(20.0 * n)
        heard.received_bytes += sound.PACKET_BYTES
    return heard


def paced(lead_s: float = 0.2) -> list[float]:
    """Arrivals of a perfect pacer: `lead_s` at once, then one packet every 20 ms."""
    return [max(0.0, n * 0.020 - lead_s) for n in range(PACKETS)]


def test_a_perfect_pacer_is_never_late() -> None:
    assert max(lateness_ms(utterance(paced()), ALWAYS)) == pytest.approx(0, abs=1e-6)


def test_one_late_packet_is_late_by_what_it_is_late() -> None:
    arrivals = paced()
    arrivals[80] += 0.007
    late = lateness_ms(utterance(arrivals), ALWAYS)
    assert sorted(late)[-2:] == [pytest.approx(0, abs=1e-6), pytest.approx(7)]


def test_a_clock_that_drifts_is_later_and_later() -> None:
    late = lateness_ms(utterance([n * 0.021 for n in range(PACKETS)]), ALWAYS)
    assert late == sorted(late)
    assert late[-1] == pytest.approx(len(late) - 1)


def test_only_packets_of_the_window_count() -> None:
    heard = utterance(paced())
    inside = [a for a in heard.arrivals if 1.5 <= a < 1.6]
    assert len(lateness_ms(heard, (1.5, 1.6))) == len(inside)


@pytest.mark.parametrize(
    ("late_s", "dry_s"),
    [(0.0, []), (0.059, []), (0.061, [0.001]), (0.300, [0.240])],
)
def test_forty_milliseconds_of_buffer_and_the_packet_before_bridge_a_gap(
    late_s: float, dry_s: list[float]
) -> None:
    """In step with playing, a packet may come up to 40 ms after its time, 60 ms after the one before."""
    arrivals = [n * 0.020 for n in range(50)] + [49 * 0.020 + late_s]
    if late_s:
        assert list(underruns_s(utterance(arrivals), ALWAYS)) == pytest.approx(dry_s)
    else:
        assert list(underruns_s(utterance(arrivals[:50]), ALWAYS)) == []


def test_a_lead_is_buffer_too() -> None:
    arrivals = paced(lead_s=0.2)
    stalled = arrivals[:50] + [a + 0.230 for a in arrivals[50:]]
    assert list(underruns_s(utterance(stalled), ALWAYS)) == []


@pytest.mark.parametrize(("percent", "expected"), [(50, 2.0), (95, 4.0), (100, 4.0), (1, 1.0)])
def test_percentiles_are_values_that_occurred(percent: float, expected: float) -> None:
    assert percentile([4.0, 2.0, 1.0, 3.0], percent) == expected


def test_the_percentile_of_nothing_is_not_a_number() -> None:
    assert math.isnan(percentile([], 50))
