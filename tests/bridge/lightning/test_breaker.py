"""A breaker: opens on an outage and not on bad luck, and is probed ever more rarely."""

from __future__ import annotations

import pytest

from bridge.lightning.breaker import FIRST_PROBE_S, MAX_PROBE_S, Breaker


def played(outcomes: str, *, failures: int = 3, every_s: float = 1.0) -> Breaker:
    """A breaker after `outcomes`, a second apart: ``x`` failed, ``.`` went well."""
    breaker = Breaker(failures)
    for number, outcome in enumerate(outcomes):
        if outcome == "x":
            breaker.failed(number * every_s)
        else:
            breaker.succeeded(number * every_s)
    return breaker


@pytest.mark.parametrize(
    ("outcomes", "every_s", "opens"),
    [
        ("", 1, False),
        ("xx", 1, False),
        ("xxx", 1, True),
        (".xxx", 1, True),
        ("..xxx", 1, True),
        ("...xxx", 1, False),  # as much went well
        ("xxx", 5.01, False),  # the first is more than ten seconds ago
        ("xxx", 4.99, True),
        ("...xxx", 3.9, True),  # what went well is long ago
        ("x.x.x.x.x", 1, True),  # more failures than not
        (".x.x.x.x", 1, False),
    ],
)
def test_when_it_opens(outcomes: str, every_s: float, opens: bool) -> None:
    assert played(outcomes, every_s=every_s).open is opens


def test_what_cannot_mend_itself_opens_it_at_once() -> None:
    breaker = Breaker(3)
    assert breaker.failed(100.0, for_good=True)
    assert breaker.probe_at_s == 100.0 + FIRST_PROBE_S


def test_it_says_once_that_it_opened() -> None:
    breaker = Breaker(2)
    assert [breaker.failed(at_s) for at_s in (0.0, 1.0, 1.5, 2.0)] == [False, True, False, False]


def test_probes_become_rarer_and_one_that_works_closes_it() -> None:
    breaker = Breaker(1)
    breaker.failed(0.0)
    now_s, waits = 0.0, []
    for _ in range(7):
        assert breaker.probe_at_s is not None
        waits.append(breaker.probe_at_s - now_s)
        now_s = breaker.probe_at_s
        breaker.probed(now_s, worked=False)
    assert waits == [2, 4, 8, 16, 32, MAX_PROBE_S, MAX_PROBE_S]
    breaker.probed(now_s, worked=True)
    assert not breaker.open
    breaker.failed(now_s)
    assert breaker.probe_at_s == now_s + FIRST_PROBE_S, "and the next outage begins anew"


def test_a_probe_that_could_not_be_made_says_nothing() -> None:
    breaker = Breaker(1)
    breaker.failed(0.0)
    breaker.postpone(2.0)
    assert breaker.probe_at_s == 2.0 + FIRST_PROBE_S
    breaker.probed(4.0, worked=False)
    assert breaker.probe_at_s == 4.0 + 2 * FIRST_PROBE_S


def test_what_came_before_the_outage_is_forgotten_after_it() -> None:
    breaker = played("xx", failures=3)
    breaker.failed(2.0)
    breaker.probed(4.0, worked=True)
    assert not breaker.failed(4.5)
    assert not breaker.open
