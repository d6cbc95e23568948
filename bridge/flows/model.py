"""What a flow file may hold, as types. Sections are read with `bridge.flows.reader`.

Strategy:

- The structs are the whole truth: names, types, bounds, defaults. A key that is none of them is refused.
- A step says what it does with ``do``, and by name which step comes next. Where a step can go is asked of it
  (`Step.exits`), so that checks and drawings need not know the kinds.
- Whatever is said is a prompt: one of the prompt files, one of ``[prompts]`` in the flow's own file, or the step's own
  ``text``, which is a prompt under the name ``flow.step``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from bridge.config import BargeInMode
from bridge.config_tree import Section

StepName: TypeAlias = Annotated[
    str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$", description="a step's name: a-z, 0-9, _")
]
VariableName: TypeAlias = Annotated[
    str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$", description="a variable's name: a-z, 0-9, _")
]
PromptId: TypeAlias = Annotated[
    str, Meta(pattern=r"^([a-z0-9][a-z0-9_.-]{0,127})?$", description="a prompt's id: a-z, 0-9, _ . -")
]
Key: TypeAlias = Annotated[
    str, Meta(pattern=r"^[0-9A-D*#]{1,8}$", description="keys of a telephone: 0-9, *, #, A-D")
]
FinishKeys: TypeAlias = Annotated[
    str, Meta(pattern=r"^[0-9A-D*#]{0,16}$", description="keys of a telephone: 0-9, *, #, A-D")
]
Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=600)]
Count: TypeAlias = Annotated[int, Meta(ge=1, le=10)]
#: The caller's data and what an API answered; all are text when they are said.
Value: TypeAlias = str | int | float | bool


class Exit(msgspec.Struct, frozen=True):
    """Where a step may go: `key` of the step names `to`, and `label` says when, for people."""

    key: str
    to: str
    label: str = ""


class Step(Section, frozen=True, kw_only=True):
    """What all steps have: nothing. `do` is the word for it in files."""

    do: ClassVar[str]
    #: Whether it waits for the caller or for time to pass: a loop without such a step would spin.
    waits: ClassVar[bool] = True

    def exits(self) -> Iterator[Exit]:
        """Where it may go. A step without exits ends the call."""
        yield from ()

    def prompts(self) -> Iterator[tuple[str, str]]:
        """Ids of what it says, each with the key that names it."""
        yield from ()


class Speaking(Step, frozen=True, kw_only=True):
    """A step that says something, at its beginning."""

    prompt: PromptId = ""
    #: Instead of a prompt; may hold {variables}.
    text: str = ""
    #: What cuts it short. `off`: nothing does.
    barge_in: BargeInMode = "digits"

    def prompts(self) -> Iterator[tuple[str, str]]:
        if self.prompt:
            yield "prompt", self.prompt


class Asking(Speaking, frozen=True, kw_only=True):
    """A step that asks for keys, and asks again."""

    #: How long to wait for the first key, and for each further one.
    timeout_s: Seconds = 5.0
    digit_timeout_s: Seconds = 3.0
    #: How often it is asked in all.
    tries: Count = 3
    #: Prompts said before asking again: when nothing was pressed, when it was of no use.
    no_input: PromptId = ""
    no_match: PromptId = ""
    #: Where to go when all tries are over; by default the call ends.
    otherwise: StepName | None = None
    #: Where to go when the caller speaks instead.
    on_speech: StepName | None = None

    def prompts(self) -> Iterator[tuple[str, str]]:
        yield from super().prompts()
        for key in ("no_input", "no_match"):
            if prompt := getattr(self, key):
                yield key, prompt

    def _ends(self) -> Iterator[Exit]:
        if self.on_speech:
            yield Exit("on_speech", self.on_speech, "speaks")
        if self.otherwise:
            yield Exit("otherwise", self.otherwise, f"{self.tries} tries")


class Say(Speaking, frozen=True, kw_only=True):
    """Say something and go on; without `next` the call ends."""

    do: ClassVar[str] = "say"
    next: StepName | None = None

    def exits(self) -> Iterator[Exit]:
        if self.next:
            yield Exit("next", self.next)


class Play(Step, frozen=True, kw_only=True):
    """Play a recording or one of the sounds that are always there, once or for a while."""

    do: ClassVar[str] = "play"
    sound: PromptId
    #: Over and over for so long; 0 is once.
    seconds: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    barge_in: BargeInMode = "digits"
    next: StepName | None = None

    def exits(self) -> Iterator[Exit]:
        if self.next:
            yield Exit("next", self.next)

    def prompts(self) -> Iterator[tuple[str, str]]:
        yield "sound", self.sound


class Menu(Asking, frozen=True, kw_only=True):
    """Ask for a choice."""

    do: ClassVar[str] = "menu"
    choices: Annotated[dict[Key, StepName], Meta(min_length=1)]

    def exits(self) -> Iterator[Exit]:
        for key, to in self.choices.items():
            yield Exit(f"choices.{key}", to, key)
        yield from self._ends()


class Gather(Asking, frozen=True, kw_only=True):
    """Ask for a number of keys and keep them in a variable."""

    do: ClassVar[str] = "gather"
    into: VariableName
    min_digits: Annotated[int, Meta(ge=1, le=64)] = 1
    max_digits: Annotated[int, Meta(ge=1, le=64)] = 20
    #: Keys that end the input; not part of it. Not needed when `min_digits` is `max_digits`.
    finish_on: FinishKeys = "#"
    #: Neither logs nor the timeline show it, and it is never spoken to disk.
    mask: bool = False
    next: StepName

    def exits(self) -> Iterator[Exit]:
        yield Exit("next", self.next, "done")
        yield from self._ends()


class Record(Speaking, frozen=True, kw_only=True):
    """Take a message."""

    do: ClassVar[str] = "record"
    #: The variable that holds the path of the WAV.
    into: VariableName = "message"
    beep: bool = True
    max_s: Seconds = 120.0
    #: So much silence ends it.
    silence_s: Seconds = 4.0
    finish_on: FinishKeys = "#"
    next: StepName | None = None
    #: Where to go when nothing was said.
    otherwise: StepName | None = None

    def exits(self) -> Iterator[Exit]:
        if self.next:
            yield Exit("next", self.next, "recorded")
        if self.otherwise:
            yield Exit("otherwise", self.otherwise, "nothing said")


class Case(Section, frozen=True, kw_only=True):
    """One line of a condition: `hours`, or a variable with exactly one test."""

    #: A name of ``[hours]``: true while that is open.
    hours: str = ""
    variable: str = ""
    equals: Value | None = None
    one_of: list[Value] | None = None
    above: float | None = None
    below: float | None = None
    #: True: has a value that is not empty, 0 or false. False: has none.
    present: bool | None = None
    next: StepName


class Condition(Step, frozen=True, kw_only=True):
    """Go where the first true case leads."""

    do: ClassVar[str] = "condition"
    waits: ClassVar[bool] = False
    cases: Annotated[list[Case], Meta(min_length=1)]
    otherwise: StepName

    def exits(self) -> Iterator[Exit]:
        for number, case in enumerate(self.cases):
            yield Exit(f"cases[{number}].next", case.next, label_of(case))
        yield Exit("otherwise", self.otherwise, "otherwise")


class Set(Step, frozen=True, kw_only=True):
    """Give variables values. `language` chooses the language of what is said from now on."""

    do: ClassVar[str] = "set"
    waits: ClassVar[bool] = False
    values: Annotated[dict[VariableName, Value], Meta(min_length=1)]
    next: StepName

    def exits(self) -> Iterator[Exit]:
        yield Exit("next", self.next)


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
    deadline_s: Annotated[float, Meta(gt=0, le=30)] = 3.0
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

    def prompts(self) -> Iterator[tuple[str, str]]:
        if self.hold:
            yield "hold", self.hold


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


class Agent(Speaking, frozen=True, kw_only=True):
    """Hand the call to an agent in Python; without `next` the call ends when it returns."""

    do: ClassVar[str] = "agent"
    entrypoint: Annotated[str, Meta(pattern=r"^[\w.]+:\w+$", description='"module:function"')]
    options: dict[str, Any] = {}
    next: StepName | None = None

    def exits(self) -> Iterator[Exit]:
        if self.next:
            yield Exit("next", self.next, "returned")


class HangUp(Speaking, frozen=True, kw_only=True):
    """End the call, perhaps with a last word."""

    do: ClassVar[str] = "hang_up"
    barge_in: BargeInMode = "off"


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
    if case.above is not None:
        return f"{case.variable} > {case.above:g}"
    if case.below is not None:
        return f"{case.variable} < {case.below:g}"
    if case.present is not None:
        return f"{case.variable}" if case.present else f"no {case.variable}"
    return f"{case.variable} = {case.equals}"


# -- a whole file ------------------------------------------------------------------------------------------------------

Span: TypeAlias = Annotated[
    str, Meta(pattern=r"^\d{2}:\d{2}-\d{2}:\d{2}$", description="times of day, as in 09:00-17:30")
]
Day: TypeAlias = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$", description="a date, as in 2026-12-25")]


class Hours(Section, frozen=True, kw_only=True):
    """``[hours.NAME]``: when something is open.

    Attributes:
        time_zone: an IANA name; empty is the flow's.
        days: ``mon``, ``tue-fri``, ``sat,sun`` ... = times of day; a span over midnight (``22:00-06:00``) belongs to
            the day on which it begins.
        closed: dates on which nothing is open, whatever `days` says.
        special: date = times of day, instead of `days`.
    """

    time_zone: str = ""
    days: dict[str, list[Span]] = {}
    closed: list[Day] = []
    special: dict[Day, list[Span]] = {}


class FlowFile(Section, frozen=True, kw_only=True):
    """A flow file but for its steps and prompts, which are read one by one so that every mistake has its line."""

    start: StepName
    #: For people: what it is.
    title: str = ""
    #: Of the step's own texts and of ``[prompts]`` here that do not say otherwise; empty is `[lightning]`'s.
    voice: str = ""
    language: str = ""
    speed: Annotated[float, Meta(ge=0.5, le=2.0)] | None = None
    #: IANA name, for `[hours]` that have none of their own.
    time_zone: str = "UTC"
    #: Values at the beginning of a call. `caller`, `called` and `carrier` are there always.
    variables: dict[VariableName, Value] = {}
    hours: dict[str, Hours] = {}
    steps: dict[str, Any] = {}
    prompts: dict[str, Any] = {}


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """A flow, read. `name` is its file's; prompts of its own file are in the prompt book."""

    name: str
    source: str
    file: FlowFile
    steps: dict[str, Step]
    #: Dotted key to line, for messages.
    lines: dict[str, int] = {}

    def line_of(self, key: str) -> int:
        """The line of `key`, or of what it belongs in."""
        while key:
            if line := self.lines.get(key):
                return line
            key = key.rpartition(".")[0]
        return 0

    def prompt_of(self, name: str) -> str:
        """The id of what the step `name` says at its beginning; empty when it says nothing."""
        step = self.steps[name]
        if not isinstance(step, Speaking):
            return ""
        return f"{self.name}.{name}" if step.text else step.prompt
