"""What steps have in common: where they may go, how the call may end in them, what they say."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import ClassVar

import msgspec

from bridge.config import BargeInMode
from bridge.config_tree import Section
from bridge.flows.fields import Count, PromptId, Seconds, StepName, VariableName


class Exit(msgspec.Struct, frozen=True):
    """Where a step may go: `key` of the step names `to`, and `label` says when, for people."""

    key: str
    to: str
    label: str = ""


class End(msgspec.Struct, frozen=True):
    """How the call may end in a step: `label` says when, and `meant` whether that is how it should end."""

    label: str = ""
    meant: bool = True


class Step(Section, frozen=True, kw_only=True):
    """What all steps have. `do` is the word for it in files."""

    do: ClassVar[str]
    #: Whether it waits for the caller or for time to pass: a loop without such a step would spin.
    waits: ClassVar[bool] = True
    #: Not led to for now, and meant so: the check says nothing of it.
    parked: bool = False

    def exits(self) -> Iterator[Exit]:
        """Where it may go. A step without exits ends the call."""
        yield from ()

    def ends(self) -> Iterator[End]:
        """How the call may end in it."""
        yield from ()

    def faults(self) -> Iterator[tuple[str, str]]:
        """What types cannot say of it: the key and the reason."""
        yield from ()

    def prompts(self) -> Iterator[tuple[str, str]]:
        """Ids of what it says, each with the key that names it."""
        yield from ()

    def gives(self, by: str = "") -> Collection[str]:
        """The variables that it gives a value; where one of its exits leads, `by` its key: those that have one."""
        return ()

    def drops(self) -> Collection[str]:
        """The variables whose value of before is gone, whatever comes of the step."""
        return ()


class Speaking(Step, frozen=True, kw_only=True):
    """A step that says something, at its beginning."""

    #: What it says at its beginning, by its id.
    prompt: PromptId = ""
    #: Instead of a prompt; may hold {variables}.
    text: str = ""
    #: How variables of `text` are said, as in a prompt file: `digits`, `number`, `date`, `time`, `money:USD`. What was
    #: typed in a `gather`, and the numbers `caller` and `called`, are said as digits by default.
    variables: dict[VariableName, str] = {}
    #: What cuts it short. `off`: nothing does.
    barge_in: BargeInMode = "digits"
    #: Whether it makes no sense without a word.
    must_speak: ClassVar[bool] = False

    def prompts(self) -> Iterator[tuple[str, str]]:
        if self.prompt:
            yield "prompt", self.prompt

    def faults(self) -> Iterator[tuple[str, str]]:
        if self.prompt and self.text:
            yield "text", "is there beside `prompt`, and only one can be said: take one of them out"
        elif self.must_speak and not (self.prompt or self.text):
            yield "", "says nothing: give it a `text`, or a `prompt` by its id"
        elif self.variables and not self.text:
            yield (
                "variables",
                "say how a `text` is said, which is not there; those of a prompt stand with the prompt",
            )


class Asking(Speaking, frozen=True, kw_only=True):
    """A step that asks for keys, and asks again."""

    must_speak: ClassVar[bool] = True
    #: How long to wait for the first key.
    timeout_s: Seconds = 5.0
    #: How long for each further one.
    digit_timeout_s: Seconds = 3.0
    #: How often it is asked in all.
    tries: Count = 3
    #: Said before asking again when nothing was pressed.
    no_input: PromptId = ""
    #: Said before asking again when it was of no use.
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

    @property
    def _over(self) -> str:
        return "no answer" if self.tries == 1 else f"{self.tries} tries"

    def _exits(self) -> Iterator[Exit]:
        if self.on_speech:
            yield Exit("on_speech", self.on_speech, "speaks")
        if self.otherwise:
            yield Exit("otherwise", self.otherwise, self._over)

    def ends(self) -> Iterator[End]:
        if not self.otherwise:
            yield End(self._over, meant=False)
