"""The steps of a flow: what each does, what it may be told, and where it may go.

Strategy:

- The structs are the whole truth: names, types, bounds, defaults. A key that is none of them is refused.
- A step says what it does with ``do``, and by name which step comes next. Where a step can go is asked of it
  (`Step.exits`), and whether the call may end there (`Step.ends`), so that checks and drawings need not know the
  kinds.
- What types cannot say of one step alone is asked of it, too (`Step.faults`); what takes the others is `check`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Annotated, Any, ClassVar, Final, Literal

from msgspec import Meta

from bridge.config import BargeInMode
from bridge.config_tree import Section
from bridge.flows.fields import Datum, FinishKeys, Key, PromptId, Seconds, StepName, VariableName
from bridge.flows.step_base import Asking, End, Exit, Speaking, Step


class Say(Speaking, frozen=True, kw_only=True):
    """Say something and go on; without `next` the call ends."""

    do: ClassVar[str] = "say"
    must_speak: ClassVar[bool] = True
    next: StepName | None = None

    def exits(self) -> Iterator[Exit]:
        if self.next:
            yield Exit("next", self.next)

    def ends(self) -> Iterator[End]:
        if not self.next:
            yield End()


class Play(Step, frozen=True, kw_only=True):
    """Play a recording or one of the sounds that are always there, once or for a while; or the caller's own message."""

    do: ClassVar[str] = "play"
    #: A recorded prompt by its id, or `hold_music`, `comfort_noise`, `ringback`, `beep`, `silence`.
    sound: PromptId = ""
    #: Instead of a sound: the variable of a `record`, whose message the caller hears again.
    message: VariableName | None = None
    #: Over and over for so long; 0 is once.
    seconds: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    #: What cuts it short. `off`: nothing does.
    barge_in: BargeInMode = "digits"
    next: StepName | None = None

    def exits(self) -> Iterator[Exit]:
        if self.next:
            yield Exit("next", self.next)

    def ends(self) -> Iterator[End]:
        if not self.next:
            yield End()

    def prompts(self) -> Iterator[tuple[str, str]]:
        if self.sound:
            yield "sound", self.sound

    def faults(self) -> Iterator[tuple[str, str]]:
        if bool(self.sound) == bool(self.message):
            yield "", "needs one of `sound` and `message`"
        elif self.message and self.seconds:
            yield "seconds", "are of a `sound`: a message is played once"


class Menu(Asking, frozen=True, kw_only=True):
    """Ask for a choice."""

    do: ClassVar[str] = "menu"
    #: Which keys lead where; several keys are a choice, too. `"*"` and `"#"` are written in quotes.
    choices: Annotated[dict[Key, StepName], Meta(min_length=1)]
    #: The variable that keeps the choice, for those that lead to the same step.
    into: VariableName | None = None

    def exits(self) -> Iterator[Exit]:
        for key, to in self.choices.items():
            yield Exit(f"choices.{key}", to, key)
        yield from self._exits()

    def gives(self, by: str = "choices") -> Collection[str]:
        return [self.into] if self.into and by.startswith("choices") else ()


class Gather(Asking, frozen=True, kw_only=True):
    """Ask for a number of keys and keep them in a variable."""

    do: ClassVar[str] = "gather"
    #: The variable that holds them.
    into: VariableName
    #: Fewer than this are of no use, and it is asked again.
    min_digits: Annotated[int, Meta(ge=1, le=64)] = 1
    #: So many end it.
    max_digits: Annotated[int, Meta(ge=1, le=64)] = 20
    #: Keys that end the input; not part of it. Not needed when `min_digits` is `max_digits`.
    finish_on: FinishKeys = "#"
    #: Neither logs nor the timeline show it, and it is never spoken to disk.
    mask: bool = False
    #: Where to go when they were typed.
    next: StepName

    def exits(self) -> Iterator[Exit]:
        yield Exit("next", self.next, "done")
        yield from self._exits()

    def gives(self, by: str = "next") -> Collection[str]:
        return [self.into] if by == "next" else ()

    def faults(self) -> Iterator[tuple[str, str]]:
        yield from super().faults()
        if self.min_digits > self.max_digits:
            yield "min_digits", f"must be <= max_digits, which is {self.max_digits}"


class Record(Speaking, frozen=True, kw_only=True):
    """Take a message. It is kept also when the caller just hangs up, and webhooks right behind it are still asked."""

    do: ClassVar[str] = "record"
    #: The variable that holds the path of the WAV.
    into: VariableName = "message"
    #: A tone before it.
    beep: bool = True
    #: No longer than this.
    max_s: Seconds = 120.0
    #: So much silence ends it.
    silence_s: Seconds = 4.0
    #: Keys that end it.
    finish_on: FinishKeys = "#"
    next: StepName | None = None
    #: Where to go when nothing was said; by default as after a message.
    otherwise: StepName | None = None

    def exits(self) -> Iterator[Exit]:
        if self.next:
            yield Exit("next", self.next, "recorded" if self.otherwise else "")
        if self.otherwise:
            yield Exit("otherwise", self.otherwise, "nothing said")

    def ends(self) -> Iterator[End]:
        if not self.next:
            yield End("recorded" if self.otherwise else "")

    def gives(self, by: str = "") -> Collection[str]:
        return [self.into]


class Case(Section, frozen=True, kw_only=True):
    """One line of a condition: `hours`, or a variable with one test. `above` with `below` is one: between them."""

    #: A name of ``[hours]``: true while that is open.
    hours: str = ""
    #: A variable, and one of the tests that follow.
    variable: str = ""
    equals: Datum | None = None
    one_of: Annotated[list[Datum], Meta(min_length=1)] | None = None
    above: float | None = None
    below: float | None = None
    #: True: has a value that is not empty, 0 or false. False: has none.
    present: bool | None = None
    next: StepName

    def fault(self) -> str:
        """Why it cannot be asked; empty when it can."""
        tests = [test for test in TESTS if getattr(self, test) is not None]
        if not (self.hours or self.variable):
            return "asks nothing: give it `hours`, or a `variable` with a test"
        if self.hours and (self.variable or tests):
            return (
                f"asks for `hours` and for `{self.variable and 'variable' or tests[0]}`: make two cases of it"
            )
        if self.variable and len(tests) != 1 and tests != ["above", "below"]:
            found = f"not {' and '.join(tests)}" if tests else "and has none"
            return f"needs one test of its variable ({', '.join(TESTS)}), {found}"
        return ""


#: The tests that a case may make of its variable.
TESTS: Final = ("equals", "one_of", "above", "below", "present")


class Condition(Step, frozen=True, kw_only=True):
    """Go where the first true case leads."""

    do: ClassVar[str] = "condition"
    waits: ClassVar[bool] = False
    #: What is asked, one after the other.
    cases: Annotated[list[Case], Meta(min_length=1)]
    #: Where to go when none of them is true.
    otherwise: StepName

    def exits(self) -> Iterator[Exit]:
        for number, case in enumerate(self.cases):
            yield Exit(f"cases[{number}].next", case.next, label_of(case))
        yield Exit("otherwise", self.otherwise, "otherwise")

    def faults(self) -> Iterator[tuple[str, str]]:
        for number, case in enumerate(self.cases):
            if fault := case.fault():
                yield f"cases[{number}]", fault

    def gives(self, by: str = "") -> Collection[str]:
        """Nothing, but what was found to have a value has one: by the case that leads on, or by those before it."""
        asked = [f"cases[{number}].next" for number in range(len(self.cases))]
        before = self.cases[: asked.index(by)] if by in asked else self.cases if by else []
        given = {case.variable for case in before if case.present is False}
        if by in asked and not ((case := self.cases[asked.index(by)]).hours or case.present is False):
            given.add(case.variable)
        return given


class Set(Step, frozen=True, kw_only=True):
    """Give variables values, or count. `language` chooses the language of what is said from now on."""

    do: ClassVar[str] = "set"
    waits: ClassVar[bool] = False
    #: Variable = value; text may hold {variables}.
    values: dict[VariableName, Datum] = {}
    #: Variable = number that is added to it; what is no number before counts as 0.
    add: dict[VariableName, Annotated[int | float, Meta(description="a number")]] = {}
    next: StepName

    def exits(self) -> Iterator[Exit]:
        yield Exit("next", self.next)

    def faults(self) -> Iterator[tuple[str, str]]:
        if not (self.values or self.add):
            yield "", 'changes nothing: give it values = { name = "..." }, or add = { name = 1 }'
        for name in self.add:
            if name in self.values:
                yield f"add.{name}", "is in `values`, too: take one of them out"

    def gives(self, by: str = "") -> Collection[str]:
        return [*self.values, *self.add]


class Webhook(Step, frozen=True, kw_only=True):
    """Ask an API of your own, and keep parts of its JSON in variables."""

    do: ClassVar[str] = "webhook"
    #: Its host must be in `flows.webhook_hosts`. May hold {variables} after the host.
    url: str
    method: Literal["GET", "POST"] = "POST"
    #: Variables that are sent; with GET as the query.
    send: list[VariableName] = []
    #: Variable = where in the answer, as in ``account.balance`` or ``items.0.name``.
    take: dict[VariableName, str] = {}
    #: Of `take`, what must not be logged, nor its sound be kept on disk.
    private: list[VariableName] = []
    #: Name of the environment variable that holds a bearer token.
    bearer_env: Annotated[
        str, Meta(pattern=r"^([A-Z_][A-Z0-9_]*)?$", description="A NAME of the environment")
    ] = ""
    #: How long to wait, all tries together.
    deadline_s: Annotated[float, Meta(gt=0, le=30)] = 3.0
    #: How often it is tried again when there is no answer, or 429, 500, 502, 503 or 504.
    retries: Annotated[int, Meta(ge=0, le=5)] = 1
    #: What the caller hears meanwhile: a recording or one of the sounds that are always there.
    hold: PromptId = ""
    #: HTTP status = step, for answers that mean something else than success.
    on_status: dict[
        Annotated[str, Meta(pattern=r"^[1-5][0-9x]{2}$", description="a status: 404, 5xx")], StepName
    ] = {}
    next: StepName
    #: Where to go when there is no answer of use; by default an apology, and the call ends.
    otherwise: StepName | None = None

    def exits(self) -> Iterator[Exit]:
        yield Exit("next", self.next, "answered")
        for status, to in self.on_status.items():
            yield Exit(f"on_status.{status}", to, status)
        if self.otherwise:
            yield Exit("otherwise", self.otherwise, "failed")

    def ends(self) -> Iterator[End]:
        if not self.otherwise:
            yield End("failed", meant=False)

    def prompts(self) -> Iterator[tuple[str, str]]:
        if self.hold:
            yield "hold", self.hold

    def gives(self, by: str = "next") -> Collection[str]:
        return () if by == "otherwise" else self.take

    def drops(self) -> Collection[str]:
        return self.take


class Transfer(Speaking, frozen=True, kw_only=True):
    """Connect the caller elsewhere; what is said before it cannot be interrupted by default."""

    do: ClassVar[str] = "transfer"
    #: A number, or {variable}: whatever the carrier can dial.
    to: Annotated[str, Meta(min_length=1, max_length=256)]
    barge_in: BargeInMode = "off"
    #: Where to go when it does not work; by default an apology, and the call ends.
    otherwise: StepName | None = None

    def exits(self) -> Iterator[Exit]:
        if self.otherwise:
            yield Exit("otherwise", self.otherwise, "failed")

    def ends(self) -> Iterator[End]:
        yield End("connected")
        if not self.otherwise:
            yield End("failed", meant=False)


class Agent(Speaking, frozen=True, kw_only=True):
    """Hand the call to an agent in Python; without `next` the call ends when it returns."""

    do: ClassVar[str] = "agent"
    #: An async function of a call.
    entrypoint: Annotated[str, Meta(pattern=r"^[\w.]+:\w+$", description='"module:function"')]
    #: What it is told, as `[agent.options]`; text may hold {variables}.
    options: dict[str, Any] = {}
    next: StepName | None = None

    def exits(self) -> Iterator[Exit]:
        if self.next:
            yield Exit("next", self.next, "returned")

    def ends(self) -> Iterator[End]:
        yield End("hangs up" if self.next else "")


class HangUp(Speaking, frozen=True, kw_only=True):
    """End the call, perhaps with a last word."""

    do: ClassVar[str] = "hang_up"
    barge_in: BargeInMode = "off"

    def ends(self) -> Iterator[End]:
        yield End()


#: What ``do`` may be.
STEPS: Final[dict[str, type[Step]]] = {
    step.do: step
    for step in (Say, Play, Menu, Gather, Record, Condition, Set, Webhook, Transfer, Agent, HangUp)
}


def label_of(case: Case) -> str:
    """A case in words: ``hours open``, ``balance < 0``."""
    if case.hours:
        return f"{case.hours} hours"
    if case.one_of is not None:
        return f"{case.variable} in {', '.join(map(str, case.one_of))}"
    if case.above is not None and case.below is not None:
        return f"{case.above:g} < {case.variable} < {case.below:g}"
    if case.above is not None:
        return f"{case.variable} > {case.above:g}"
    if case.below is not None:
        return f"{case.variable} < {case.below:g}"
    if case.present is not None:
        return f"{case.variable}" if case.present else f"no {case.variable}"
    return f"{case.variable} = {case.equals}"
