"""Flows made of nothing but where they lead."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from hypothesis import strategies as st

from bridge.flows.model import Condition, Flow, FlowFile, HangUp, Menu, Say, Set, Step, Transfer, Webhook
from bridge.flows.steps import Case

NAMES = ("a", "b", "c", "d", "e", "f", "g")


def flow_of(steps: Mapping[str, Step], start: str = "a", source: str = "flow.toml") -> Flow:
    """A flow of these steps."""
    return Flow(name="flow", source=source, file=FlowFile(start=start, steps=dict(steps)), steps=dict(steps))


def menu(*to: str, otherwise: str | None = None) -> Menu:
    """A menu that leads to `to`, by the keys from 1 on."""
    choices = {str(number): name for number, name in enumerate(to, 1)}
    return Menu(text="Press.", choices=choices, otherwise=otherwise)


def decide(*to: str) -> Condition:
    """A condition that leads to `to`, the last of which is its `otherwise`."""
    return Condition(
        cases=[Case(variable="caller", equals=name, next=name) for name in to[:-1] or to], otherwise=to[-1]
    )


#: Steps of every way to lead on and every way to end, given where to: each of `to`, and `last` or nothing.
KINDS: Final[Sequence[Callable[[Sequence[str], str | None], Step]]] = (
    lambda to, last: Say(text="Hello.", next=last),
    lambda to, last: menu(*to, otherwise=last),
    lambda to, last: decide(*to),
    lambda to, last: Set(values={"x": 1}, next=to[0]),
    lambda to, last: Webhook(url="https://api.example.com", next=to[0], otherwise=last),
    lambda to, last: Transfer(to="+15550100001", otherwise=last),
    lambda to, last: HangUp(),
)


def _step(names: Sequence[str], kind: int, to: Sequence[int], last: int | None) -> Step:
    of = [*names, *names, "missing"]
    return KINDS[kind]([of[n % len(of)] for n in to], None if last is None else of[last % len(of)])


_numbers: Final = st.integers(0, 2 * len(NAMES))
_draws: Final = st.tuples(
    st.integers(0, len(KINDS) - 1), st.lists(_numbers, min_size=1, max_size=3), st.none() | _numbers
)
#: Flows of a few steps that lead anywhere among themselves, and now and then to a step that is not there.
flows: Final = st.lists(_draws, min_size=1, max_size=len(NAMES)).map(
    lambda draws: flow_of(
        {name: _step(NAMES[: len(draws)], *draw) for name, draw in zip(NAMES, draws, strict=False)}
    )
)
