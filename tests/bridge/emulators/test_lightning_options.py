from __future__ import annotations

from typing import Any

import pytest

from bridge.config import Secret
from bridge.emulators.lightning_options import EmulatorOptions


@pytest.mark.parametrize(
    ("switches", "at_ms", "due_ms"),
    [
        ({}, 5000, 0),
        ({"first_byte_ms": 150}, 5000, 150),
        ({"first_byte_ms": 150, "realtime_factor": 1}, 0, 150),
        ({"first_byte_ms": 150, "realtime_factor": 1}, 5000, 5150),
        ({"realtime_factor": 8}, 800, 100),
        ({"realtime_factor": 0.5}, 100, 200),
    ],
)
def test_when_audio_is_due(switches: dict[str, Any], at_ms: float, due_ms: float) -> None:
    assert EmulatorOptions(**switches).due_ms(at_ms) == due_ms


@pytest.mark.parametrize(
    "switches",
    [
        {"first_byte_ms": -1},
        {"realtime_factor": -1},
        {"concurrency": -1},
        {"chunk_ms": 0},
        {"idle_timeout_s": 0},
        {"refuse": 200},
        {"late_chunks_after_cancel": -1},
        {"slow_first_byte_ms": -1},
        {"slow_first_bytes": -1},
        {"jitter_ms": -1},
    ],
)
def test_switches_out_of_range_are_refused(switches: dict[str, Any]) -> None:
    (name,) = switches
    with pytest.raises(ValueError, match=name):
        EmulatorOptions(**switches)


def test_only_the_first_requests_are_faulty_where_that_is_asked() -> None:
    assert EmulatorOptions().is_faulty(1000)
    assert [EmulatorOptions(faulty_requests=2).is_faulty(n) for n in (1, 2, 3)] == [True, True, False]


def test_only_the_first_bytes_are_slow_where_that_is_asked() -> None:
    options = EmulatorOptions(first_byte_ms=50, slow_first_byte_ms=900, slow_first_bytes=2, realtime_factor=2)
    assert [options.due_ms(100, number) for number in (1, 2, 3)] == [950, 950, 100]


def test_jitter_is_bounded_and_the_same_for_the_same_seed() -> None:
    steady, shaken = EmulatorOptions(realtime_factor=1), EmulatorOptions(realtime_factor=1, jitter_ms=80)
    late = [shaken.due_ms(at, n) - steady.due_ms(at, n) for n in (1, 2) for at in (0.0, 100.0, 200.0)]
    assert all(0 <= by_ms <= 80 for by_ms in late)
    assert len(set(late)) == len(late)

    again = EmulatorOptions(realtime_factor=1, jitter_ms=80)
    other = EmulatorOptions(realtime_factor=1, jitter_ms=80, jitter_seed=1)
    assert again.due_ms(100, 1) == shaken.due_ms(100, 1) != other.due_ms(100, 1)


def test_what_is_switched_on_is_told_without_the_key() -> None:
    assert EmulatorOptions(api_key=Secret("hush")).describe() == "no switches"
    options = EmulatorOptions(first_byte_ms=150, concurrency=3, answer_pcm=True, strict_voices=False)
    assert options.describe() == "first_byte_ms 150, concurrency 3, not strict_voices, answer_pcm"
    assert "hush" not in repr(EmulatorOptions(api_key=Secret("hush")))
