"""Whether all that a flow says is there, and all that it says it with. Pure.

Strategy:

- Every variable comes from somewhere: the call, ``[variables]``, or a step. One that comes from nowhere would be left
  out of a sentence, sent as nothing or never be true: fatal.
- What is there and used by nobody is a warning: it is often the other half of a typo.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from bridge.flows.check_ways import did_you_mean
from bridge.flows.model import Agent, Condition, Flow, Play, Set, Speaking, Step, Transfer, Webhook
from bridge.problems import Problem
from bridge.prompts.book import Book
from bridge.prompts.template import all_variables, variables_in

#: What every call brings along, and what chooses the language.
OF_THE_CALL: Final = ("caller", "called", "carrier", "language")


def check_words(flow: Flow, book: Book, sounds: Collection[str]) -> Iterator[Problem]:
    """What is wrong with the prompts and variables of `flow`; `sounds` are always there, as prompts."""
    for name, step in flow.steps.items():
        yield from _unknown_prompts(flow, name, step, book, sounds)
        yield from _unfilled_sounds(flow, name, step, book)
    if flow.whole:
        yield from _unknown_variables(flow, book)
        yield from _unknown_languages(flow, book)
        yield from _unused(flow)


# -- prompts -----------------------------------------------------------------------------------------------------------


def _unknown_prompts(
    flow: Flow, name: str, step: Step, book: Book, sounds: Collection[str]
) -> Iterator[Problem]:
    known = sorted({*book.specs, *sounds, *flow.file.prompts})
    for key, prompt in step.prompts():
        if prompt not in known:
            mend = did_you_mean(prompt, known, f"write it in a prompt file, or as [prompts.{prompt}] here")
            yield flow.problem(f"steps.{name}.{key}", f"there is no prompt `{prompt}`{mend}")


def _unfilled_sounds(flow: Flow, name: str, step: Step, book: Book) -> Iterator[Problem]:
    """What is played and not said is played as it is."""
    for key, prompt in step.prompts():
        if key in ("sound", "hold") and (names := variables_of(book, prompt)):
            reason = (
                f"`{prompt}` is to be filled in with {{{names[0]}}}, which only a step that says it can do"
            )
            yield flow.problem(f"steps.{name}.{key}", reason)


def variables_of(book: Book, prompt: str) -> list[str]:
    """The variables of a prompt, in all its languages; none when it is not there."""
    spec = book.specs.get(prompt)
    return all_variables(spec) if spec else []


def _unknown_languages(flow: Flow, book: Book) -> Iterator[Problem]:
    """A language that is chosen, and that nothing said here has."""
    said = {prompt for name in flow.steps for _, prompt in says(flow, name)}
    specs = [book.specs[prompt] for prompt in said if prompt in book.specs]
    there = {*(spec.language for spec in specs), *(code for spec in specs for code in spec.in_)}
    for name, step in flow.steps.items():
        wanted = step.values.get("language") if isinstance(step, Set) else None
        if not isinstance(wanted, str) or not wanted or variables_in(wanted):
            continue
        if not there & {wanted, wanted.partition("-")[0], ""}:
            reason = f'nothing that is said here is in "{wanted}"{did_you_mean(wanted, sorted(there))}'
            yield flow.problem(f"steps.{name}.values.language", reason, fatal=False)


def says(flow: Flow, name: str) -> Iterator[tuple[str, str]]:
    """Ids of what the step `name` says, its own text too, each with the key of it."""
    step = flow.steps[name]
    if isinstance(step, Speaking) and step.text:
        yield "text", flow.prompt_of(name)
    yield from step.prompts()


# -- variables ---------------------------------------------------------------------------------------------------------


def _unknown_variables(flow: Flow, book: Book) -> Iterator[Problem]:
    known = {*OF_THE_CALL, *flow.file.variables}
    for step in flow.steps.values():
        known.update(step.gives())
    for name, step in flow.steps.items():
        for key, variable in (*used(step), *_used_in_prompts(flow, name, book)):
            if variable not in known:
                mend = did_you_mean(variable, sorted(known), "no step and no [variables] gives it a value")
                yield flow.problem(f"steps.{name}.{key}", f"there is no variable `{variable}`{mend}")


def used(step: Step) -> Iterator[tuple[str, str]]:
    """The variables that a step names besides those of what it says, each with the key."""
    match step:
        case Condition(cases=cases):
            for number, case in enumerate(cases):
                if case.variable:
                    yield f"cases[{number}].variable", case.variable
        case Play(message=str(message)):
            yield "message", message
        case Transfer(to=to):
            yield from (("to", name) for name in variables_in(to))
        case Webhook(url=url, send=send):
            yield from (("url", name) for name in variables_in(url))
            yield from ((f"send[{number}]", name) for number, name in enumerate(send))
        case Set(values=values):
            yield from ((f"values.{key}", name) for key, value in values.items() for name in _named_in(value))
        case Agent(options=options):
            yield from (
                (f"options.{key}", name) for key, value in options.items() for name in _named_in(value)
            )


def _named_in(value: object) -> Iterator[str]:
    """The variables in all text of a value, however deep."""
    if isinstance(value, str):
        yield from variables_in(value)
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _named_in(item)


def _used_in_prompts(flow: Flow, name: str, book: Book) -> Iterator[tuple[str, str]]:
    if isinstance(flow.steps[name], Speaking):
        for key, prompt in says(flow, name):
            yield from ((key, variable) for variable in variables_of(book, prompt))


# -- what nobody uses --------------------------------------------------------------------------------------------------


def _unused(flow: Flow) -> Iterator[Problem]:
    prompts = {prompt for step in flow.steps.values() for _, prompt in step.prompts()}
    for prompt in flow.file.prompts:
        if prompt not in prompts:
            yield flow.problem(f"prompts.{prompt}", "is said by no step of this flow", fatal=False)
    asked = {case.hours for step in flow.steps.values() if isinstance(step, Condition) for case in step.cases}
    for hours in flow.file.hours:
        if hours not in asked:
            yield flow.problem(f"hours.{hours}", "are asked by no step", fatal=False)
