"""What calls may cost: characters to Lightning, tokens of language models, seconds, by call and by day. Clock-free.

Strategy:

- Counted where it is spent, and checked after counting: what has been used is never forgotten, and one over the limit
  ends it. A limit that is passed stays passed, for the call or until midnight UTC.
- A call past its limit is ended by whoever runs it. Past a day's limit every call is, and new ones are refused.
- It is this process's own account. A limit of 0 is none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from bridge.config_agents import BudgetConfig
from bridge.errors import BudgetSpent
from bridge.observe.stats import AgentStats

DAY_S: Final = 86_400.0

#: What can be spent.
Cost: TypeAlias = Literal["characters", "tokens", "seconds"]
COSTS: Final[tuple[Cost, ...]] = ("characters", "tokens", "seconds")


class Budget:
    """What the calls of a process have cost today, and what they may.

    Args:
        unix_clock: seconds since 1970; leap seconds do not count in it, so that days are equally long.
        on_day_spent: told the setting when a day's limit is passed, once a day.
    """

    def __init__(
        self,
        config: BudgetConfig,
        stats: AgentStats,
        unix_clock: Callable[[], float],
        on_day_spent: Callable[[str], None] | None = None,
    ) -> None:
        self._stats, self._unix_clock, self._on_day_spent = stats, unix_clock, on_day_spent or _nobody
        self._per_call = {cost: _limit(config, f"{cost}_per_call") for cost in COSTS}
        self._per_day = {cost: _limit(config, f"{cost}_per_day") for cost in COSTS}
        self._day = self._today()
        self._spent: dict[Cost, float] = dict.fromkeys(COSTS, 0.0)
        self._told: set[str] = set()

    def for_call(self) -> CallBudget:
        """The account of one call."""
        return CallBudget(self, self._per_call)

    @property
    def spent(self) -> str:
        """The setting whose limit for today is reached; empty when none is."""
        self._roll_over()
        return next((f"{cost}_per_day" for cost in COSTS if self._left(cost) <= 0), "")

    def add(self, cost: Cost, amount: float) -> str:
        """Count `amount`. Returns the setting of the day that it is too much for; empty when it is not."""
        self._roll_over()
        self._spent[cost] += amount
        if cost == "characters":
            self._stats.characters += int(amount)
        elif cost == "tokens":
            self._stats.tokens += int(amount)
        if self._left(cost) >= 0:
            return ""
        limit = f"{cost}_per_day"
        if limit not in self._told:
            self._told.add(limit)
            self.count(limit)
            self._on_day_spent(limit)
        return limit

    def count(self, limit: str) -> None:
        """A limit has been passed."""
        self._stats.budgets[limit] += 1

    def _left(self, cost: Cost) -> float:
        return self._per_day[cost] - self._spent[cost]

    def _roll_over(self) -> None:
        if (today := self._today()) != self._day:
            self._day = today
            self._spent = dict.fromkeys(COSTS, 0.0)
            self._told.clear()

    def _today(self) -> int:
        return int(self._unix_clock() // DAY_S)


class CallBudget:
    """What one call has cost, and what it may."""

    def __init__(self, budget: Budget, limits: dict[Cost, float]) -> None:
        self._budget, self._limits = budget, limits
        self._spent: dict[Cost, float] = dict.fromkeys(COSTS, 0.0)
        #: The setting that ended it; empty while it may go on.
        self.over = ""
        #: Told that setting, once.
        self.on_spent: Callable[[str], None] = _nobody

    def spend(self, cost: Cost, amount: float) -> None:
        """Count `amount`, whatever comes of it.

        Raises:
            BudgetSpent: that was more than was left, of the call's or of today's.
        """
        self._spent[cost] += amount
        of_day = self._budget.add(cost, amount)
        if self._spent[cost] > self._limits[cost]:
            self._end(f"{cost}_per_call", count=True)
        elif of_day:
            self._end(of_day, count=False)

    def close(self) -> None:
        """The call is over: tell nobody any more."""
        self.on_spent = _nobody

    def _end(self, limit: str, *, count: bool) -> None:
        if not self.over:
            self.over = limit
            if count:
                self._budget.count(limit)
            self.on_spent(limit)
        raise BudgetSpent(limit)


def _nobody(_limit: str) -> None:
    """Who is told."""


def _limit(config: BudgetConfig, name: str) -> float:
    ceiling: int = getattr(config, name)
    return ceiling or float("inf")
