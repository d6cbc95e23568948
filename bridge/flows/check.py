"""Whether a flow holds together: what no single step can know. Pure.

Strategy:

- Where steps lead is `check_ways`, what is said and with what is `check_words`; here is what a step needs besides:
  hours, hosts, tokens, agents, keys that can be told apart.
- Everything is told at once, each with the line of its key. What would fail on a call is fatal; what may be meant is a
  warning.
- What a step itself can know, it has said when it was read (`Step.faults`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Sequence
from typing import TypeAlias

import msgspec

from bridge.flows import hours
from bridge.flows.check_given import check_given
from bridge.flows.check_ways import check_ways, did_you_mean
from bridge.flows.check_words import check_words
from bridge.flows.model import Agent, Condition, Flow, Gather, Menu, Play, Record, Transfer, Webhook
from bridge.flows.origins import allowed_host
from bridge.problems import Problem
from bridge.prompts.book import Book
from bridge.prompts.prompt import BUNDLED
from bridge.prompts.sounds import SOUNDS
from bridge.prompts.template import variables_in

#: Key below the step, what is wrong with it, and whether that is fatal.
Found: TypeAlias = Iterator[tuple[str, str, bool]]


def check(
    flow: Flow,
    book: Book,
    *,
    agent_fault: Callable[[Agent], str] = lambda _agent: "",
    webhook_hosts: Sequence[str] = (),
    environ: Container[str] = (),
) -> list[Problem]:
    """What is wrong with a flow, in the order of its file.

    Args:
        flow: as it was read.
        book: all prompts, those of the flow's own file too.
        agent_fault: why an agent cannot be run; empty when it can.
        webhook_hosts: as in ``[flows]`` of the configuration.
        environ: names of the variables of the environment.
    """
    problems = [*check_ways(flow), *check_words(flow, book, SOUNDS.union(BUNDLED)), *check_given(flow, book)]
    problems += _check_hours(flow)
    hidden = _hidden(flow)
    for name, step in flow.steps.items():
        match step:
            case Menu():
                found = _of_menu(step)
            case Gather():
                found = _of_gather(step)
            case Condition():
                found = _of_condition(flow, step)
            case Webhook():
                found = _of_webhook(step, webhook_hosts, environ, hidden)
            case Agent():
                found = _of_agent(step, agent_fault)
            case Play():
                found = _of_play(flow, step)
            case Transfer():
                found = _of_transfer(flow, step)
            case _:
                continue
        problems += [flow.problem(f"steps.{name}.{key}", why, fatal=fatal) for key, why, fatal in found]
    return sorted(set(problems))


def _hidden(flow: Flow) -> set[str]:
    """The variables that no log may show, but for those that `set` makes of them."""
    masked = {step.into for step in flow.steps.values() if isinstance(step, Gather) and step.mask}
    return masked.union(*(step.private for step in flow.steps.values() if isinstance(step, Webhook)))


def _check_hours(flow: Flow) -> Iterator[Problem]:
    if reason := hours.problem_of_zone(flow.file.time_zone):
        yield flow.problem("time_zone", reason)
    for name, section in flow.file.hours.items():
        for key, reason in hours.problems(section, "UTC"):
            yield flow.problem(f"hours.{name}.{key}", reason)
        if flow.whole and not any((*section.days.values(), *section.special.values())):
            reason = 'are never open: give them days, as in days.mon-fri = ["09:00-17:00"]'
            yield flow.problem(f"hours.{name}", reason, fatal=False)


# -- step by step ------------------------------------------------------------------------------------------------------


def _of_menu(step: Menu) -> Found:
    for keys in step.choices:
        longer = [other for other in step.choices if other.startswith(keys) and other != keys]
        if longer:
            wait = f"it is taken only {step.digit_timeout_s:g} s later (digit_timeout_s), or with #"
            yield f"choices.{keys}", f"{longer[0]} begins with it, so {wait}", False


def _of_gather(step: Gather) -> Found:
    if digits := re.sub(r"\D", "", step.finish_on):
        reason = f"ends the input with {digits[0]}, which then can be no part of it; * and # are usual"
        yield "finish_on", reason, False


def _of_condition(flow: Flow, step: Condition) -> Found:
    tests = [msgspec.structs.replace(case, next="") for case in step.cases]
    for number, case in enumerate(step.cases):
        if case.hours and case.hours not in flow.file.hours:
            mend = did_you_mean(case.hours, flow.file.hours, f"write [hours.{case.hours}]")
            yield f"cases[{number}].hours", f"there are no hours `{case.hours}`{mend}", True
        if (first := tests.index(tests[number])) < number:
            yield f"cases[{number}]", f"is never true: cases[{first}] asks the same before", False


def _of_webhook(
    step: Webhook, hosts: Sequence[str], environ: Container[str], hidden: Container[str]
) -> Found:
    if reason := allowed_host(step.url, hosts):
        yield "url", reason, True
    for name, path in step.take.items():
        if not all(path.split(".")):
            yield f"take.{name}", "must be keys joined with dots, as in account.balance or items.0.name", True
    for number, name in enumerate(step.private):
        if name not in step.take:
            reason = f"`{name}` is not in `take`{did_you_mean(name, step.take)}"
            yield f"private[{number}]", reason, True
    if step.bearer_env and step.bearer_env not in environ:
        yield "bearer_env", f"{step.bearer_env} is not set here: without its token nothing is asked", False
    yield from _of_what_is_told(step, hidden)


def _of_what_is_told(step: Webhook, hidden: Container[str]) -> Found:
    """Addresses end up in the logs of servers and proxies."""
    told = [("url", name) for name in variables_in(step.url)]
    told += [(f"send[{number}]", name) for number, name in enumerate(step.send) if step.method == "GET"]
    for key, name in told:
        if name in hidden:
            reason = (
                f"puts `{name}`, which no log may show, into an address that servers log; send it with POST"
            )
            yield key, reason, False


def _of_transfer(flow: Flow, step: Transfer) -> Found:
    typed = [other.into for other in flow.steps.values() if isinstance(other, Gather)]
    if names := [
        name for name in variables_in(step.to) if name in typed and step.to.startswith(f"{{{name}}}")
    ]:
        reason = f"has callers dial whatever they type into `{names[0]}`, at your cost"
        mend = "ask your own API whether they may, or begin it yourself, as in +1555{extension}"
        yield "to", f"{reason}; {mend}", False


def _of_play(flow: Flow, step: Play) -> Found:
    messages = [other.into for other in flow.steps.values() if isinstance(other, Record)]
    if step.message and step.message not in messages:
        mend = did_you_mean(step.message, messages, "a message is what a `record` keeps")
        yield "message", f"no `record` has `{step.message}` as its `into`{mend}", True


def _of_agent(step: Agent, agent_fault: Callable[[Agent], str]) -> Found:
    if reason := agent_fault(step):
        yield "entrypoint", reason, True
