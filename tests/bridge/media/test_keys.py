"""Keys that two tell of: each press counts once, whoever is first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.media.keys import SAME_PRESS_MS, Presses, Source

Told = tuple[float, str, Source]

CASES: dict[str, tuple[list[Told], str]] = {
    "the carrier alone": ([(0, "1", "carrier"), (100, "1", "carrier")], "11"),
    "the tones alone": ([(0, "1", "tones"), (100, "2", "tones")], "12"),
    "the carrier first": ([(0, "1", "carrier"), (390, "1", "tones")], "1"),
    "the tones first": ([(0, "1", "tones"), (390, "1", "carrier")], "1"),
    "too late to be the same": ([(0, "1", "carrier"), (410, "1", "tones")], "11"),
    "another key": ([(0, "1", "carrier"), (10, "2", "tones")], "12"),
    "twice, one by one": (
        [(0, "1", "carrier"), (50, "1", "tones"), (200, "1", "carrier"), (250, "1", "tones")],
        "11",
    ),
    "twice, the tones later": (
        [(0, "1", "carrier"), (100, "1", "carrier"), (200, "1", "tones"), (300, "1", "tones")],
        "11",
    ),
    "across each other": (
        [(0, "1", "carrier"), (50, "2", "tones"), (60, "1", "tones"), (90, "2", "carrier")],
        "12",
    ),
}


@pytest.mark.parametrize(("told", "pressed"), CASES.values(), ids=CASES)
def test_what_counts(told: list[Told], pressed: str) -> None:
    presses = Presses()
    assert "".join(key for ms, key, source in told if presses.is_new(key, source, ms / 1000)) == pressed


@given(st.lists(st.tuples(st.integers(0, 2000), st.sampled_from("12")), max_size=20), st.integers(0, 390))
def test_a_second_witness_who_misses_nothing_adds_nothing(keys: list[tuple[int, str]], lag_ms: int) -> None:
    presses = Presses()
    told: list[Told] = [(ms, key, "carrier") for ms, key in keys]
    told += [(ms + lag_ms, key, "tones") for ms, key in keys]
    counted = [key for ms, key, source in sorted(told) if presses.is_new(key, source, ms / 1000)]
    assert sorted(counted) == sorted(key for _, key in keys)


def test_a_press_lasts_as_long_as_its_tones() -> None:
    """A carrier may tell of it at its end; what comes later than that is another one."""
    presses = Presses()
    assert presses.is_new("1", "tones", 0.0)
    for n in range(100):
        presses.is_held("1", n * 0.02)
    assert not presses.is_new("1", "carrier", 2.3)
    presses.is_held("1", 2.4)
    assert presses.is_new("1", "carrier", 2.5), "of that press both have told"


@pytest.mark.parametrize(("key", "source"), [("2", "tones"), ("1", "carrier")])
def test_only_the_press_that_the_tones_told_of_is_held(key: str, source: Source) -> None:
    presses = Presses()
    presses.is_new(key, source, 0.0)
    presses.is_held("1", 0.3)
    assert presses.is_new(key, "carrier" if source == "tones" else "tones", 0.5)


def test_nothing_is_kept_for_longer_than_it_matters() -> None:
    presses = Presses()
    for n in range(1000):
        presses.is_new("1", "carrier", n * SAME_PRESS_MS / 1000)
    assert len(presses._alone) <= 3
