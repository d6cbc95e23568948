"""What a flow file may hold, as types. Files are read with `bridge.flows.reader`.

Strategy:

- The structs here and in `steps` are the whole truth: names, types, bounds, defaults. A key that is none of them is
  refused.
- Whatever is said is a prompt: one of the prompt files, one of ``[prompts]`` in the flow's own file, or the step's own
  ``text``, which is a prompt under the name ``flow.step``.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from bridge.config_tree import Section
from bridge.flows.fields import Datum, Day, HoursName, Span, StepName, Value, VariableName
from bridge.flows.step_base import Asking, End, Exit, Speaking, Step
from bridge.flows.steps import (
    STEPS,
    Agent,
    Case,
    Condition,
    Gather,
    HangUp,
    Menu,
    Play,
    Record,
    Say,
    Set,
    Transfer,
    Webhook,
    label_of,
)
from bridge.problems import Problem
from bridge.toml_source import line_of

__all__ = [
    "STEPS",
    "Agent",
    "Asking",
    "Case",
    "Condition",
    "End",
    "Exit",
    "Flow",
    "FlowFile",
    "Gather",
    "HangUp",
    "Hours",
    "Menu",
    "Play",
    "Record",
    "Say",
    "Set",
    "Speaking",
    "Step",
    "StepName",
    "Transfer",
    "Value",
    "VariableName",
    "Webhook",
    "label_of",
]


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
    """A flow file. Its steps and prompts are read one by one, so that every mistake has its line."""

    #: The step with which a call begins.
    start: StepName
    #: For people: what it is.
    title: str = ""
    #: Of the step's own texts and of ``[prompts]`` here that do not say otherwise; empty is `[lightning]`'s.
    voice: str = ""
    #: What language they are in.
    language: str = ""
    #: How fast, as in a prompt file.
    speed: Annotated[float, Meta(ge=0.5, le=2.0)] | None = None
    #: IANA name, for `[hours]` that have none of their own.
    time_zone: str = "UTC"
    #: Values at the beginning of a call. `caller`, `called` and `carrier` are there always.
    variables: dict[VariableName, Datum] = {}
    #: When something is open: see below.
    hours: dict[HoursName, Hours] = {}
    #: What it does: see below.
    steps: Annotated[dict[StepName, Any], Meta(min_length=1, description="tables, as in [steps.welcome]")]
    #: As in a prompt file.
    prompts: dict[str, Any] = {}


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """A flow, read. `name` is its file's; prompts of its own file are in the prompt book."""

    name: str
    source: str
    file: FlowFile
    steps: dict[str, Step]
    #: Dotted key to line, for messages.
    lines: dict[str, int] = {}
    #: False when something of it could not be read: then it is of use for checks alone.
    whole: bool = True

    def line_of(self, key: str) -> int:
        """The line of `key`, or of what it belongs in."""
        return line_of(self.lines, key)

    def problem(self, key: str, reason: str, *, fatal: bool = True) -> Problem:
        """Something that is wrong at `key`."""
        return Problem(self.source, self.line_of(key), key, reason, fatal)

    def prompt_of(self, name: str) -> str:
        """The id of what the step `name` says at its beginning; empty when it says nothing."""
        step = self.steps[name]
        if not isinstance(step, Speaking):
            return ""
        return f"{self.name}.{name}" if step.text else step.prompt
