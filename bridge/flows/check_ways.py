"""Whether every way through a flow leads somewhere. Pure.

Strategy:

- A step that is not there, one that nothing leads to, a loop that nothing leads out of: fatal, because no author
  means it. Who builds a step for later says so (``parked``).
- How a call ends is a matter of `Step.ends`. One that ends only because the caller gave up or something failed has no
  end that was meant: a warning, because many a menu is left to the caller to leave.
- Where a step could not be read, ways are missing that may be there: then only names are checked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from bridge.flows.graph import Graph, loops, reachable, reversed_graph, within
from bridge.flows.model import STEPS, Condition, Flow, Step, Webhook
from bridge.nearest import meant
from bridge.problems import Problem

#: So many names are told, where none is near.
_FEW: Final = 12


def check_ways(flow: Flow) -> Iterator[Problem]:
    """What is wrong with where the steps of `flow` lead."""
    yield from _missing(flow)
    if flow.whole and flow.file.start in flow.steps:
        graph = graph_of(flow)
        reached = reachable(graph, [flow.file.start])
        yield from _unreached(flow, graph, reached)
        yield from _endless(flow, within(graph, reached))
        yield from _restless(flow, within(graph, reached))


def graph_of(flow: Flow) -> dict[str, list[str]]:
    """Each step with those that it leads to, without those that are not there; in the order of the file."""
    return {
        name: list(dict.fromkeys(exit.to for exit in step.exits() if exit.to in flow.steps))
        for name, step in flow.steps.items()
    }


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """The end of a message about a `name` that is none of `known`: one that is near; else `otherwise`, or a few."""
    if near := meant(name, known := list(known), mark="`"):
        return f"; {near}"
    if otherwise or not 0 < len(known) <= _FEW:
        return f"; {otherwise}" if otherwise else ""
    return f"; here are {', '.join(known)}"


def named(names: Sequence[str]) -> str:
    """A list of names in words, cut short."""
    shown = [f"`{name}`" for name in names[:5]]
    more = [f"{len(names) - 5} more"] if len(names) > 5 else []
    *first, last = [*shown, *more]
    return f"{', '.join(first)} and {last}" if first else last


def _missing(flow: Flow) -> Iterator[Problem]:
    """Names of steps that are not there; those that could not be read are."""
    known = flow.file.steps
    if flow.file.start not in known:
        yield flow.problem(
            "start", f"there is no step `{flow.file.start}`{did_you_mean(flow.file.start, known)}"
        )
    for name, step in flow.steps.items():
        for exit in step.exits():
            if exit.to not in known:
                mend = f'write [steps.{exit.to}] with do = "{exit.to}" in it' if exit.to in STEPS else ""
                why = f"there is no step `{exit.to}`{did_you_mean(exit.to, known, mend)}"
                yield flow.problem(f"steps.{name}.{exit.key}", why)


def _unreached(flow: Flow, graph: Graph, reached: Collection[str]) -> Iterator[Problem]:
    parked = [name for name, step in flow.steps.items() if step.parked]
    meant = reachable(graph, [flow.file.start, *parked])
    back = reversed_graph(graph)
    for name in flow.steps:
        if name not in meant:
            others = [other for other in back[name] if other != name]
            only = f" but {named(others)}, which is not reached either" if others else ""
            mend = "lead to it, take it out, or say `parked = true` in it"
            yield flow.problem(f"steps.{name}", f"is never reached: nothing leads to it{only}; {mend}")
        elif name in parked and name in reached:
            reason = "is parked, and is reached all the same; take `parked` out"
            yield flow.problem(f"steps.{name}.parked", reason, fatal=False)


def _endless(flow: Flow, graph: Graph) -> Iterator[Problem]:
    """Loops from which no end can be reached that was meant. `graph` holds what can be reached."""
    ending = [name for name in graph if _may_end(flow, flow.steps[name])]
    stuck = graph.keys() - reachable(reversed_graph(graph), ending)
    for loop in loops(within(graph, stuck)):
        if all(other in loop for name in loop for other in graph[name]):
            yield _of_loop(flow, loop)


def _may_end(flow: Flow, step: Step) -> bool:
    """Whether the call may end in `step` as it was meant to; one that leads nowhere has been told of already."""
    return any(end.meant for end in step.ends()) or any(exit.to not in flow.steps for exit in step.exits())


def _of_loop(flow: Flow, loop: Sequence[str]) -> Problem:
    key, together = f"steps.{loop[0]}", _together(loop)
    if any(True for name in loop for _ in flow.steps[name].ends()):
        reason = f"{together}: the call ends only when tries are over or something fails, or when the caller hangs up"
        return flow.problem(key, f"{reason}; mean it, or lead to an end", fatal=False)
    mend = "lead out of there: to `hang_up`, to `transfer`, or to a step without `next`"
    return flow.problem(key, f"{together}, and none of that ends the call: {mend}")


def _together(loop: Sequence[str]) -> str:
    return f"{named(loop)} lead only to each other" if len(loop) > 1 else "leads only to itself"


def _restless(flow: Flow, graph: Graph) -> Iterator[Problem]:
    """Loops in which the caller hears nothing and is asked nothing."""
    for loop in loops(within(graph, [name for name in graph if isinstance(flow.steps[name], Condition)])):
        which = f"{named(loop)} lead" if len(loop) > 1 else "leads"
        to = "each other" if len(loop) > 1 else "itself"
        reason = f"{which} back to {to}, and nothing changes on the way: it would be decided for ever"
        yield flow.problem(f"steps.{loop[0]}", reason)
    for loop in loops(within(graph, [name for name in graph if _is_silent(flow.steps[name])])):
        if not all(isinstance(flow.steps[name], Condition) for name in loop):
            which = f"{named(loop)} go round" if len(loop) > 1 else "goes round"
            reason = f"{which} without a word to the caller; put a `say`, a `play` or a question in between"
            yield flow.problem(f"steps.{loop[0]}", reason, fatal=False)


def _is_silent(step: Step) -> bool:
    return not step.waits or isinstance(step, Webhook)
