"""What calls may cost: by call, by day, and what a limit that is passed means for whom."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.budget import COSTS, DAY_S, Budget, CallBudget, Cost
from bridge.config_agents import BudgetConfig
from bridge.errors import BudgetSpent
from bridge.observe.stats import AgentStats


class Process:
    """A budget, its clock, and what it told."""

    def __init__(self, **limits: int) -> None:
        self.now_s, self.stats, self.days = 10 * DAY_S + 5.0, AgentStats(), list[str]()
        config = BudgetConfig(**limits)
        self.budget = Budget(config, self.stats, lambda: self.now_s, self.days.append)

    def call(self) -> CallBudget:
        return self.budget.for_call()


def limit_passed(spend: Callable[[], None]) -> str:
    try:
        spend()
    except BudgetSpent as error:
        return error.limit
    return ""


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("per", ["call", "day"])
def test_what_is_left_may_be_spent_and_no_more(cost: Cost, per: str) -> None:
    process = Process(**{f"{cost}_per_{per}": 100})
    call = process.call()
    call.spend(cost, 60)
    call.spend(cost, 40)
    assert call.over == ""
    for _ in range(2):
        assert limit_passed(lambda: call.spend(cost, 1)) == f"{cost}_per_{per}"
    assert call.over == f"{cost}_per_{per}"
    assert process.stats.budgets == {f"{cost}_per_{per}": 1}, "passed once"


def test_without_limits_nothing_ends() -> None:
    process = Process()
    call = process.call()
    for cost in COSTS:
        call.spend(cost, 1e12)
    assert (call.over, process.budget.spent, process.days) == ("", "", [])
    assert (process.stats.characters, process.stats.tokens) == (10**12, 10**12)


def test_the_limit_of_a_call_is_its_own() -> None:
    process = Process(tokens_per_call=10)
    first, second = process.call(), process.call()
    assert limit_passed(lambda: first.spend("tokens", 11))
    second.spend("tokens", 10)
    assert process.budget.spent == "", "and no reason to refuse new ones"


def test_the_limit_of_a_day_is_everybodys_and_told_once() -> None:
    process = Process(characters_per_day=10)
    first, second = process.call(), process.call()
    told: list[str] = []
    first.on_spent = second.on_spent = told.append
    first.spend("characters", 10)
    assert process.budget.spent == "characters_per_day", "the next one would be too many"
    for call in (first, second, second):
        assert limit_passed(partial(call.spend, "characters", 1)) == "characters_per_day"
    assert process.days == ["characters_per_day"]
    assert told == ["characters_per_day"] * 2, "each call once"
    assert process.stats.budgets == {"characters_per_day": 1}


def test_at_midnight_utc_a_new_day_begins() -> None:
    process = Process(seconds_per_day=60)
    assert limit_passed(lambda: process.call().spend("seconds", 61))
    process.now_s = 11 * DAY_S - 0.001
    assert process.budget.spent == "seconds_per_day"
    process.now_s = 11 * DAY_S
    assert process.budget.spent == ""
    process.call().spend("seconds", 60)
    assert limit_passed(lambda: process.call().spend("seconds", 1)) == "seconds_per_day"
    assert process.days == ["seconds_per_day"] * 2


def test_a_call_over_its_limit_stays_so_after_midnight() -> None:
    process = Process(tokens_per_call=10)
    call = process.call()
    assert limit_passed(lambda: call.spend("tokens", 11))
    process.now_s += DAY_S
    assert limit_passed(lambda: call.spend("tokens", 0)) == "tokens_per_call"


def test_a_call_that_is_over_tells_nobody() -> None:
    process = Process(tokens_per_call=1)
    call, told = process.call(), list[str]()
    call.on_spent = told.append
    call.close()
    assert limit_passed(lambda: call.spend("tokens", 2))
    assert told == []


AMOUNTS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(COSTS), st.integers(0, 50), st.integers(0, int(DAY_S))),
    max_size=40,
)


@given(AMOUNTS, st.integers(0, 100), st.integers(0, 100))
def test_a_limit_is_passed_when_the_sum_is_and_never_before(
    spent: list[tuple[int, Cost, int, int]], per_call: int, per_day: int
) -> None:
    process = Process(tokens_per_call=per_call, tokens_per_day=per_day)
    calls = [process.call() for _ in range(4)]
    of_calls, of_days = [0] * 4, dict[int, int]()
    for number, cost, amount, later_s in spent:
        process.now_s += later_s
        day = int(process.now_s // DAY_S)
        if cost == "tokens":
            of_calls[number] += amount
            of_days[day] = of_days.get(day, 0) + amount
        passed = limit_passed(partial(calls[number].spend, cost, amount))
        too_much = bool(per_call) and of_calls[number] > per_call
        too_much |= bool(per_day) and of_days.get(day, 0) > per_day
        assert bool(passed) is (too_much and cost == "tokens")
        assert (process.budget.spent == "tokens_per_day") is (
            bool(per_day) and of_days.get(day, 0) >= per_day
        )
