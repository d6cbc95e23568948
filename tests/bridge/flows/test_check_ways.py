"""Where the steps of a flow lead: told the same as by walking every way there is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

import pytest
from hypothesis import given

from bridge.flows.check import check
from bridge.flows.check_ways import check_ways, named
from bridge.flows.graph import loops, reachable
from bridge.flows.model import Condition, Flow, HangUp, Say, Step, Transfer
from bridge.prompts.spec import Book
from tests.support.flows import decide, flow_of, flows, menu

BYE = HangUp()
#: Steps, and the keys of what is told of them; those with a question mark are warnings.
CASES: dict[str, tuple[Mapping[str, Step], list[str]]] = {
    "a way to the end": ({"a": Say(text="Hello.", next="b"), "b": BYE}, []),
    "two loops that both lead out": ({"a": menu("b", "a"), "b": menu("a", "c"), "c": BYE}, []),
    "a transfer ends a call, whatever comes of it": ({"a": Transfer(to="1", otherwise="a")}, []),
    "a menu that may be asked for ever": ({"a": menu("a", otherwise="a")}, ["steps.a"]),
    "a menu that gives up": ({"a": menu("a")}, ["?steps.a"]),
    "an end that only a failure leads to is one": ({"a": menu("a", otherwise="b"), "b": BYE}, []),
    "a loop behind a loop is told once": (
        {"a": menu("a", "b", otherwise="a"), "b": menu("b", otherwise="b")},
        ["steps.b"],
    ),
    "two dead ends are told both": (
        {"a": decide("b", "c"), "b": menu("b", otherwise="b"), "c": menu("c")},
        ["steps.b", "?steps.c"],
    ),
    "a loop that nothing leads to is not reached, and that is all": (
        {"a": BYE, "b": menu("b", otherwise="b")},
        ["steps.b"],
    ),
    "what is parked leads on": ({"a": BYE, "b": Say(text="x", next="c", parked=True), "c": BYE}, []),
    "what is not there is told where it is named": ({"a": Say(text="x", next="z")}, ["steps.a.next"]),
    "conditions alone": ({"a": decide("b", "c"), "b": decide("a", "c"), "c": BYE}, ["steps.a"]),
}


def told(flow: Flow) -> list[str]:
    return [f"{'' if problem.fatal else '?'}{problem.key}" for problem in check_ways(flow)]


@pytest.mark.parametrize("steps, expected", CASES.values(), ids=CASES)
def test_what_is_told_of_the_ways(steps: Mapping[str, Step], expected: list[str]) -> None:
    assert told(flow_of(steps)) == expected


def test_nothing_is_told_of_ways_that_may_be_there_unread() -> None:
    steps: dict[str, Step] = {"a": menu("a", otherwise="a"), "b": BYE}
    flow = flow_of(steps)
    partly = Flow(name="flow", source="flow.toml", file=flow.file, steps=steps, whole=False)
    assert told(flow) == ["steps.b", "steps.a"]
    assert told(partly) == []


def test_the_longest_flow_is_no_matter() -> None:
    steps: dict[str, Step] = {f"s{n}": Say(text="x", next=f"s{n + 1}") for n in range(5000)}
    steps["s5000"] = menu("s0", otherwise="s0")
    (problem,) = check_ways(flow_of(steps, start="s0"))
    assert "`s0`, `s1`, `s2`, `s3`, `s4` and 4996 more" in problem.reason


def test_names_in_words() -> None:
    assert [named(["a"]), named(["a", "b"]), named(["a", "b", "c"])] == [
        "`a`",
        "`a` and `b`",
        "`a`, `b` and `c`",
    ]


# -- any flow at all ---------------------------------------------------------------------------------------------------


def walked(flow: Flow, start: str) -> set[str]:
    """All steps that come after `start`, one way after the other."""
    found: set[str] = set()
    new = {start}
    while new := new - found:
        found |= new
        new = {exit.to for name in new for exit in flow.steps[name].exits() if exit.to in flow.steps}
    return found


def ends_well(flow: Flow, name: str) -> bool:
    """Whether some way from the step `name` comes to an end that is meant, or to a step that is not there."""
    return any(
        any(end.meant for end in flow.steps[step].ends())
        or any(exit.to not in flow.steps for exit in flow.steps[step].exits())
        for step in walked(flow, name)
    )


def ends_somehow(flow: Flow, name: str) -> bool:
    return ends_well(flow, name) or any(any(flow.steps[step].ends()) for step in walked(flow, name))


def keys(flow: Flow, words: str, *, fatal: bool = True) -> set[str]:
    """The steps of which something with `words` in it is told."""
    found = (problem for problem in check_ways(flow) if problem.fatal == fatal and words in problem.reason)
    return {problem.key.removeprefix("steps.") for problem in found}


@given(flows)
def test_what_is_not_reached_is_told_of_each_and_nothing_else(flow: Flow) -> None:
    assert keys(flow, "is never reached") == flow.steps.keys() - walked(flow, "a")


@given(flows)
def test_a_loop_is_told_where_no_way_ends(flow: Flow) -> None:
    """Of one step of each: all ways from where no end is lead to one of them, and from all others none must."""
    for words, fatal, ends in (
        ("none of that ends", True, ends_somehow),
        ("the call ends only", False, ends_well),
    ):
        told = keys(flow, words, fatal=fatal)
        reached = walked(flow, "a")
        assert all(name in reached and not ends(flow, name) for name in told)
        for name in reached:
            if not ends(flow, name):
                assert walked(flow, name) & (told | keys(flow, "none of that ends"))


@given(flows)
def test_conditions_that_lead_to_each_other_alone_are_told(flow: Flow) -> None:
    deciding = {name for name in walked(flow, "a") if isinstance(flow.steps[name], Condition)}
    graph = {
        name: [exit.to for exit in flow.steps[name].exits() if exit.to in deciding]
        for name in sorted(deciding)
    }
    turning = {name for name in deciding if name in reachable(graph, graph[name])}
    told = keys(flow, "decided for ever")
    assert told <= turning
    assert bool(told) == bool(turning)


@given(flows)
def test_no_flow_is_too_odd_to_be_checked(flow: Flow) -> None:
    problems = check(flow, Book())
    assert problems == sorted(problems)
    assert all(problem.source == "flow.toml" and problem.reason for problem in problems)


# -- loops, as the books have them -------------------------------------------------------------------------------------


def graphs(nodes: str) -> Iterator[dict[str, list[str]]]:
    """Every graph of `nodes`."""
    edges = list(product(nodes, repeat=2))
    for there in product((False, True), repeat=len(edges)):
        held = [edge for edge, is_there in zip(edges, there, strict=True) if is_there]
        yield {node: [b for a, b in held if a == node] for node in nodes}


def test_loops_are_the_nodes_that_lead_to_each_other() -> None:
    """In each of the 512 graphs of three nodes."""
    for graph in graphs("abc"):
        after = {node: reachable(graph, graph[node]) for node in graph}
        sets = {tuple(b for b in graph if b in after[a] and a in after[b]) for a in graph if a in after[a]}
        assert [tuple(loop) for loop in loops(graph)] == sorted(sets), graph
