"""Whether variables have a value where they are needed, and one that can be said as it is to be. Pure.

Strategy:

- A variable has a value for sure in a step if it has one on every way to it. Whatever else it may have is a warning:
  how the ways are gone is not known here, and a sentence without a name may be meant.
- What asks for a value, or can do without, needs none: a `condition`, `add`, and what a webhook sends.
- Values that stand in the file are said here once, as calls would say them.

Facts, from compilers' definite assignment: what holds on every way is the greatest solution, found from "all of them"
downwards.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from bridge.flows.check_words import OF_THE_CALL, says, used, variables_of
from bridge.flows.model import Condition, Flow, Set, Step
from bridge.flows.values import text_of
from bridge.problems import Problem
from bridge.prompts.book import Book
from bridge.prompts.spoken_forms import check_kind, say
from bridge.prompts.template import variables_in

#: Of each step that is reached: variables that have a value for sure when it begins.
Given: TypeAlias = dict[str, frozenset[str]]
#: Of each step that is reached: those that lead to it, each with what has a value on that way.
Before: TypeAlias = dict[str, list[tuple[str, frozenset[str]]]]


def check_given(flow: Flow, book: Book) -> Iterator[Problem]:
    """What may be without a value, and what cannot be said as it is to be. For flows that are whole."""
    if flow.whole and flow.file.start in flow.steps:
        yield from _perhaps_unset(flow, book)
        yield from _unsayable(flow, book)


def given_at(flow: Flow) -> Given:
    """What has a value for sure, in each step that is reached."""
    given = {flow.file.start: frozenset((*OF_THE_CALL, *flow.file.variables))}
    waiting = deque(given)
    while waiting:
        name = waiting.popleft()
        for to, there in _onward(flow.steps[name], given[name]):
            if to in flow.steps and (known := given.get(to, there) & there) != given.get(to):
                given[to] = known
                waiting.append(to)
    return given


def _onward(step: Step, given: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """Where `step` may go, each with what has a value there."""
    left = given.difference(step.drops())
    return ((exit.to, left.union(step.gives(exit.key))) for exit in step.exits())


def _perhaps_unset(flow: Flow, book: Book) -> Iterator[Problem]:
    given = given_at(flow)
    before = _before(flow, given)
    somewhere = {variable for step in flow.steps.values() for variable in step.gives()}
    for name, there in given.items():
        for key, variable in _needed(flow, name, book):
            if variable in somewhere and variable not in there:
                mend = f'give it one in [variables], or ask before: {{ variable = "{variable}", present = true }}'
                reason = f"`{variable}` may have no value here: {_why(flow, name, variable, before)}; {mend}"
                yield flow.problem(f"steps.{name}.{key}", reason, fatal=False)


def _needed(flow: Flow, name: str, book: Book) -> Iterable[tuple[str, str]]:
    step = flow.steps[name]
    told = [] if isinstance(step, Condition) else [use for use in used(step) if not use[0].startswith("send")]
    said = [(key, variable) for key, prompt in says(flow, name) for variable in variables_of(book, prompt)]
    return dict.fromkeys([*told, *said])


def _before(flow: Flow, given: Given) -> Before:
    before: Before = {name: [] for name in given}
    for name, there in given.items():
        for to, onward in _onward(flow.steps[name], there):
            if to in before:
                before[to].append((name, onward))
    return before


def _why(flow: Flow, name: str, variable: str, before: Before) -> str:
    """What is behind it: the nearest step before that gives the variable a value, but not on every way out."""
    ways = {name}
    waiting = deque(ways)
    while waiting:  # against the edges, as long as there is no value on them
        for other, there in before[waiting.popleft()]:
            if variable in there or other in ways:
                continue
            if variable in flow.steps[other].gives():
                return f"`{other}` may be left without one"
            ways.add(other)
            waiting.append(other)
    return "a way from the start gives it none"


# -- kinds -------------------------------------------------------------------------------------------------------------


def _unsayable(flow: Flow, book: Book) -> Iterator[Problem]:
    """Values in the file that a prompt wants to say as something that they are not."""
    kinds = {
        (variable, kind): prompt
        for name in flow.steps
        for _, prompt in says(flow, name)
        if (spec := book.specs.get(prompt))
        for variable, kind in spec.variables.items()
        if _is_kind(kind)
    }
    for key, variable, value in _values(flow):
        for (of, kind), prompt in kinds.items():
            if of == variable and (why := _fault(value, kind)):
                reason = f"cannot be said in the prompt `{prompt}`: {why}"
                yield flow.problem(key, reason, fatal=False)


def _values(flow: Flow) -> Iterator[tuple[str, str, str]]:
    """Values that are known here: key, variable and value. An empty one is the same as none."""
    places = [("", flow.file.variables)]
    places += [
        (f"steps.{name}.values", step.values) for name, step in flow.steps.items() if isinstance(step, Set)
    ]
    for within, values in places:
        for variable, value in values.items():
            text = text_of(value)
            if text and not variables_in(text):
                yield f"{within or 'variables'}.{variable}", variable, text


def _fault(value: str, kind: str) -> str:
    try:
        say(value, kind, "en")
    except ValueError as error:
        return str(error)
    return ""


def _is_kind(kind: str) -> bool:
    """Whether it is one at all; that it is not has been told already."""
    try:
        check_kind(kind)
    except ValueError:
        return False
    return True
