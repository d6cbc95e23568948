"""What was to be, and what was: a verdict for everything that a script expects. Pure.

Strategy:

- A verdict says where in the file it stands, what was expected, and what happened instead: who reads it in a CI's log
  has nothing else.
- A step that was never taken fails once, and with it nothing else: what was expected of it is skipped.
- Every rehearsal expects unasked that there was a call, that it did not last for ever, and that the agent's code did
  not fail.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from bridge.rehearsal.facts import Facts, Said
from bridge.rehearsal.script import Expected, Rehearsal, Step, WholeCall, texts

Outcome: TypeAlias = Literal["pass", "fail", "skip"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One thing that was expected.

    Attributes:
        where: the part of the script, in words.
        line: where it stands in the file.
        expected: what it was.
        told: what was instead, or how it was met.
        took_ms: how long that part of the call lasted.
    """

    where: str
    line: int
    expected: str
    outcome: Outcome
    told: str = ""
    took_ms: float = 0.0

    @property
    def failed(self) -> bool:
        return self.outcome == "fail"


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of the call, and where its expectations stand."""

    rehearsal: Rehearsal
    facts: Facts
    key: str
    where: str
    window: tuple[float, float]
    number: int | None = None
    said: list[Said] = field(default_factory=list)

    def verdict(self, name: str, expected: str, met: bool, told: str) -> Verdict:
        line = self.rehearsal.line(f"{self.key}.{name}" if name else self.key)
        outcome: Outcome = "pass" if met else "fail"
        ends_ms = min(self.window[1], self.facts.ended_ms)
        return Verdict(self.where, line, expected, outcome, told, max(0.0, ends_ms - self.window[0]))

    @property
    def heard(self) -> str:
        """What the caller heard in it."""
        return " ".join(" ".join(said.text for said in self.said).split())

    def skipped(self) -> Verdict:
        line = self.rehearsal.line(self.key)
        return Verdict(self.where, line, "what is expected of it", "skip", "the call did not get so far")


def judged(rehearsal: Rehearsal, facts: Facts) -> list[Verdict]:
    """All verdicts, in the order of the call."""
    return [
        *_of_greeting(rehearsal, facts),
        *_of_steps(rehearsal, facts),
        *_of_call(rehearsal, facts),
    ]


def answer_waits(rehearsal: Rehearsal, facts: Facts) -> list[tuple[float, int]]:
    """How long the caller waited for each answer, in milliseconds, and at which step: of those that say words."""
    steps = enumerate(rehearsal.script.caller[: len(facts.taken)])
    spoken = [number for number, step in steps if step.say is not None and step.heard_as != ""]
    return [(wait, number) for number in spoken if (wait := facts.wait_ms(number)) is not None]


def _of_greeting(rehearsal: Rehearsal, facts: Facts) -> Iterator[Verdict]:
    window = facts.window(None)
    part = _Part(rehearsal, facts, "greeting", "greeting", window, None, facts.said_in(window))
    yield from _common(part, rehearsal.script.greeting)
    if (limit_ms := rehearsal.script.greeting.within_ms) is not None:
        yield _within(part, limit_ms, facts.wait_ms(None))


def _of_steps(rehearsal: Rehearsal, facts: Facts) -> Iterator[Verdict]:
    for number, step in enumerate(rehearsal.script.caller):
        where, key = f"step {number + 1}, {step.does}", f"caller[{number}]"
        if number >= len(facts.taken):
            part = _Part(rehearsal, facts, key, where, (facts.ended_ms, facts.ended_ms))
            first = number == len(facts.taken)
            yield part.verdict("", "is reached", False, _why_not(step, facts)) if first else part.skipped()
            continue
        window = facts.window(number)
        part = _Part(rehearsal, facts, key, where, window, number, facts.said_in(window))
        verdicts = [*_common(part, step), *_of_step(part, step, number)]
        yield from verdicts or [
            part.verdict("", "is reached", True, f"at {facts.taken[number].began_ms:.0f} ms")
        ]


def _why_not(step: Step, facts: Facts) -> str:
    """Why a step was never taken."""
    if facts.failure:
        return f"there was no call: {facts.failure}"
    last = facts.said[-1].text if facts.said else ""
    heard = f"the last that was heard is “{last}”" if last else "nothing was heard"
    waited = f"it waits for {step.after!r}; " if step.after else ""
    if step.interrupt_after_ms is not None:
        waited = f"it waits until the agent has spoken for {step.interrupt_after_ms:g} ms; "
    return f"the call was over before: {facts.ending}; {waited}{heard}"


def _common(part: _Part, expected: Expected) -> Iterator[Verdict]:
    """What can be expected of any part."""
    heard = part.heard
    for pattern in texts(expected.expect):
        met = re.search(pattern, heard, re.IGNORECASE) is not None
        yield part.verdict("expect", f"says {pattern!r}", met, _quoted(heard))
    for pattern in texts(expected.expect_not):
        found = re.search(pattern, heard, re.IGNORECASE)
        told = f"“{found[0]}” in {_quoted(heard)}" if found else ""
        yield part.verdict("expect_not", f"does not say {pattern!r}", found is None, told)
    yield from _of_tools(part, texts(expected.tool))
    if keys := expected.sends_digits:
        begins, until = part.window
        sent = "".join(digits for at_ms, digits in part.facts.digits_sent if begins <= at_ms < until)
        yield part.verdict("sends_digits", f"presses {keys}", sent == keys, f"pressed {sent or 'nothing'}")


def _of_tools(part: _Part, wanted: list[str]) -> Iterator[Verdict]:
    begins, until = part.window
    ran = [f"{tool.name}:{tool.outcome}" for tool in part.facts.tools if begins <= tool.at_ms < until]
    for name in wanted:
        met = (name if ":" in name else f"{name}:done") in ran
        yield part.verdict("tool", f"calls {name}", met, f"called {', '.join(ran) or 'nothing'}")


def _of_step(part: _Part, step: Step, number: int) -> Iterator[Verdict]:
    if step.within_ms is not None:
        yield _within(part, step.within_ms, part.facts.wait_ms(number))
    cut = part.facts.cut_by(number)
    if step.interrupts is not None:
        expected = "interrupts the agent" if step.interrupts else "does not interrupt the agent"
        told = f"after {cut.heard_ms:.0f} ms: “{cut.text}”" if cut else "nothing was cut short"
        yield part.verdict("interrupts", expected, (cut is not None) == step.interrupts, told)
    if (limit_ms := step.heard_less_than_ms) is not None:
        met = cut is not None and cut.heard_ms < limit_ms
        told = f"{cut.heard_ms:.0f} ms of it were heard" if cut else "nothing was cut short"
        yield part.verdict("heard_less_than_ms", f"leaves less than {limit_ms:.0f} ms heard", met, told)


def _within(part: _Part, limit_ms: float, wait_ms: float | None) -> Verdict:
    told = "nothing was heard" if wait_ms is None else f"after {wait_ms:.0f} ms"
    met = wait_ms is not None and wait_ms <= limit_ms
    return part.verdict("within_ms", f"is heard within {limit_ms:.0f} ms", met, told)


def _of_call(rehearsal: Rehearsal, facts: Facts) -> Iterator[Verdict]:
    expected, deadline_s = rehearsal.script.call, rehearsal.script.rehearsal.deadline_s
    part = _Part(
        rehearsal, facts, "call", "the call", (facts.began_ms, facts.ended_ms), None, list(facts.said)
    )
    lasted_s = (facts.ended_ms - facts.began_ms) / 1000
    if facts.failure:
        yield part.verdict("", "takes place", False, facts.failure)
        return
    over = lasted_s >= deadline_s
    told = f"{lasted_s:.1f} s; {facts.ending}"
    yield part.verdict("", f"takes place, within {deadline_s:g} s", not over, told)
    if facts.agent_failed:
        yield part.verdict("", "the agent's code does not fail", False, facts.agent_failed)
    yield from _common(part, expected)
    if expected.within_ms is not None:
        yield from _each_within(part, expected.within_ms)
    yield from _of_its_end(part, expected, lasted_s)


def _each_within(part: _Part, limit_ms: float) -> Iterator[Verdict]:
    """The slowest answer is the one to tell of."""
    waits = answer_waits(part.rehearsal, part.facts)
    slowest = max(waits, default=None)
    told = f"the slowest is step {slowest[1] + 1}: {slowest[0]:.0f} ms" if slowest else "nothing was answered"
    met = slowest is not None and slowest[0] <= limit_ms
    yield part.verdict("within_ms", f"answers each time within {limit_ms:.0f} ms", met, told)


def _of_its_end(part: _Part, expected: WholeCall, lasted_s: float) -> Iterator[Verdict]:
    facts = part.facts
    if to := expected.transferred_to:
        told = f"was transferred to {facts.transferred_to or 'nobody'}"
        yield part.verdict("transferred_to", f"is transferred to {to}", facts.transferred_to == to, told)
    if who := expected.ended_by:
        told = f"was ended by the {facts.ended_by}: {facts.ending}"
        yield part.verdict("ended_by", f"is ended by the {who}", facts.ended_by == who, told)
    if (limit_s := expected.shorter_than_s) is not None:
        yield part.verdict(
            "shorter_than_s", f"is shorter than {limit_s:g} s", lasted_s < limit_s, f"{lasted_s:.1f} s"
        )


def _quoted(heard: str) -> str:
    return f"“{heard}”" if heard else "nothing"
