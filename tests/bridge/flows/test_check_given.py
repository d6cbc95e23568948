"""What may be without a value: against every way through small flows, and in flows as people write them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.flows.check_given import check_given, given_at
from bridge.flows.check_words import OF_THE_CALL
from bridge.flows.draw import mermaid, text
from bridge.flows.model import Case, Condition, Flow, Gather, HangUp, Menu, Record, Set, Step, Webhook
from bridge.flows.reader import read_flow
from bridge.prompts.spec import Book
from bridge.toml_source import TomlSource
from tests.bridge.flows.test_check import told
from tests.support.flows import flow_of
from tests.support.source import ROOT

GOOD = sorted((ROOT / "tests" / "data" / "flows" / "good").glob("*.toml"))
URL = "https://api.example.com"
NAMES = "abcde"
VARIABLES = ("x", "y")


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_nothing_is_said_of_flows_as_people_write_them_and_all_of_them_can_be_drawn(path: Path) -> None:
    assert told(path) == []
    flow, book, _ = read_flow(TomlSource.read(path))
    assert flow is not None
    outline, picture = text(flow, book, width=100), mermaid(flow, book)
    for name in flow.steps:
        assert name in outline and f"step_{name}" in picture
    assert max(map(len, outline.splitlines())) <= 100


# -- against all ways --------------------------------------------------------------------------------------------------


def _step(kind: int, variable: str, first: str, second: str) -> Step:
    steps: list[Step] = [
        Menu(text="Press.", choices={"1": first}, into=variable, otherwise=second),
        Gather(text="Type.", into=variable, next=first, otherwise=second),
        Webhook(url=URL, take={variable: "z"}, next=first, otherwise=second),
        Set(values={variable: 1}, next=first),
        Record(into=variable, next=first, otherwise=second),
        Condition(cases=[Case(variable=variable, present=True, next=first)], otherwise=second),
        Condition(cases=[Case(variable=variable, present=False, next=first)], otherwise=second),
        Condition(
            cases=[
                Case(variable=variable, present=False, next=first),
                Case(variable="caller", equals=1, next=second),
            ],
            otherwise="e",
        ),
        HangUp(),
    ]
    return steps[kind]


_steps = st.builds(
    _step, st.integers(0, 8), st.sampled_from(VARIABLES), st.sampled_from(NAMES), st.sampled_from(NAMES)
)
_flows = st.lists(_steps, min_size=len(NAMES), max_size=len(NAMES)).map(
    lambda steps: flow_of(dict(zip(NAMES, steps, strict=True)))
)


def on_every_way(flow: Flow) -> dict[str, set[str]]:
    """What has a value in each step on every way there, from going them all: state by state."""
    reached: set[tuple[str, frozenset[str]]] = set()
    waiting = [("a", frozenset(OF_THE_CALL))]
    while waiting:
        state = waiting.pop()
        if state in reached:
            continue
        reached.add(state)
        name, there = state
        step = flow.steps[name]
        waiting += [
            (exit.to, there.difference(step.drops()) | {*step.gives(exit.key)}) for exit in step.exits()
        ]
    found: dict[str, set[str]] = {}
    for name, there in reached:
        found[name] = found.get(name, set(there)) & there
    return found


@given(_flows)
def test_what_has_a_value_for_sure_has_one_on_every_way(flow: Flow) -> None:
    assert given_at(flow) == on_every_way(flow)


def test_a_long_flow_takes_no_long() -> None:
    names = [f"s{number}" for number in range(2000)]
    chooser = random.Random(1)
    steps: dict[str, Step] = {
        name: Menu(text="?", into="x", choices={"1": after, "2": chooser.choice(names)}, otherwise=after)
        for name, after in zip(names, [*names[1:], names[0]], strict=True)
    }
    assert set(given_at(flow_of(steps, start="s0"))) == set(names)


def test_nor_does_a_long_one_in_which_all_may_be_without_a_value() -> None:
    names = [f"s{number}" for number in range(1, 500)]
    steps: dict[str, Step] = {"s0": Gather(text="?", into="x", next="s1", otherwise="s1")}
    steps |= {
        name: Set(values={"y": "{x}"}, next=after)
        for name, after in zip(names, [*names[1:], "end"], strict=True)
    }
    problems = list(check_given(flow_of({**steps, "end": HangUp()}, start="s0"), Book()))
    assert [problem.key for problem in problems] == [f"steps.{name}.values.y" for name in names]
    assert all("`s0` may be left without one" in problem.reason for problem in problems)


@pytest.mark.parametrize(
    "case, sure",
    [
        (Case(variable="x", present=True, next="b"), {"b"}),
        (Case(variable="x", equals=1, next="b"), {"b"}),
        (Case(variable="x", one_of=[1, 2], next="b"), {"b"}),
        (Case(variable="x", above=1, next="b"), {"b"}),
        (Case(variable="x", present=False, next="b"), {"c"}),
        (Case(hours="open", next="b"), set()),
        (Case(variable="y", present=True, next="b"), set()),
    ],
)
def test_who_asks_for_a_value_knows_of_it(case: Case, sure: set[str]) -> None:
    ask = Condition(cases=[case], otherwise="c")
    given = given_at(flow_of({"a": ask, "b": HangUp(), "c": HangUp()}))
    assert {name for name, there in given.items() if "x" in there} == sure
