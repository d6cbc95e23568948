"""The file of a rehearsal: what the caller does, and what must come of it. Read with every mistake told by its line.

Strategy:

- A step is one thing that the caller does, and one time at which it is done. Times hang on what the agent says, not on
  a clock: a script holds on a busy machine, too.
- What must come of a step stands in it, and is judged from its beginning to that of the next one.
- The file is read whole, and all its mistakes are told in one go. A script with one is not run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar, get_args

import msgspec
from msgspec import Meta

from bridge.config_tree import Section, mistakes
from bridge.emulators.caller_script import DIGITS
from bridge.emulators.llm_rules import Rule
from bridge.errors import ConfigError
from bridge.problems import FilesRefused, Problem
from bridge.toml_source import TomlSource, line_of
from bridge.tools.toolbox import Outcome

S = TypeVar("S", bound=Section)

Milliseconds: TypeAlias = Annotated[float, Meta(ge=0, le=600_000)]
Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=3600)]
Level: TypeAlias = Annotated[float, Meta(ge=-90, le=0)]
Engine: TypeAlias = Literal["emulated", "real"]
Noise: TypeAlias = Literal["hiss", "cough", "music"]
#: One text or several.
Texts: TypeAlias = Annotated[str | list[str], Meta(description="text in quotes, or a list of such")]

#: What a caller waits for after the agent's last sound before it takes its turn.
TURN_MS: Final = 700.0


class Head(Section, frozen=True):
    """``[rehearsal]``: the call as a whole."""

    #: What it is called in reports. Empty: the name of the file.
    title: str = ""
    #: A configuration of the bridge (TOML), beside this file. The command line can name another.
    config: str = ""
    #: Noise on the caller's line, under everything the caller says. -90 is a silent line.
    noise_dbfs: Level = -65.0
    #: The same seed makes the same noise.
    seed: Annotated[int, Meta(ge=0)] = 0
    #: The caller hangs up when the agent has been silent for so long, and it is its turn.
    patience_s: Seconds = 15.0
    #: After the last step the caller stays until the agent has been silent for so long.
    linger_s: Seconds = 2.0
    #: The call lasts no longer.
    deadline_s: Seconds = 120.0


class Agent(Section, frozen=True):
    """``[agent]``: who is rehearsed, where that is not what the configuration says."""

    #: "module:function".
    entrypoint: Annotated[str, Meta(pattern=r"^([\w.]+:\w+)?$", description='"module:function"')] = ""
    #: Options of the agent, on top of those of the configuration.
    options: dict[str, Any] = msgspec.field(default_factory=dict)


class Engines(Section, frozen=True):
    """``[engines]``: what is real. A real engine takes its settings and its key from the configuration."""

    #: "emulated" or "real".
    lightning: Engine = "emulated"
    #: The same; or "off": the agent is given no words, only turns.
    pulse: Literal["emulated", "real", "off"] = "emulated"
    #: By default emulated where the script has ``[[model]]``, else the agent's own.
    llm: Engine | None = None
    #: How long the emulated Lightning takes to its first sound.
    lightning_ms: Milliseconds = 150.0
    #: How long the emulated Pulse takes to its answers.
    pulse_ms: Milliseconds = 100.0
    #: How long the emulated model takes to its first token.
    llm_ms: Milliseconds = 150.0


class Expected(Section, frozen=True):
    """What must come of it, in ``[greeting]``, in each step and in ``[call]``: what the agent does, and does not."""

    #: Each of these regular expressions is found in what the caller heard. Capitals do not matter.
    expect: Texts = ""
    #: None of these is.
    expect_not: Texts = ""
    #: From the caller's last sound to the first of the answer. A filler ("One moment, please.") is no answer.
    within_ms: Milliseconds | None = None
    #: Tools that its model has called, with success; "name:failed" for another outcome.
    tool: Texts = ""
    #: Keys that it has pressed: 0-9, *, #, A-D, and w for a pause.
    sends_digits: Annotated[str, Meta(pattern="^[0-9A-D*#w]*$", description="keys: 0-9, *, #, A-D, w")] = ""


class Greeting(Expected, frozen=True):
    """``[greeting]``: what the agent does before the caller's first step. `within_ms` is since the line is open."""


class Step(Expected, frozen=True):
    """``[[caller]]``: one thing that the caller does."""

    #: Says this.
    say: str | None = None
    #: Presses these keys: 0-9, *, #, A-D.
    press: str | None = None
    #: Makes a noise: hiss, cough or music.
    noise: Noise | None = None
    #: Does nothing for so long.
    wait_s: Seconds | None = None
    #: Hangs up.
    hang_up: Literal[True] | None = None

    #: The language of `say`; "auto" tells it by the script of the letters.
    language: str = "auto"
    #: The throat: the name of any voice.
    voice: str = "sophia"
    #: 1 is the voice's own pace.
    speed: Annotated[float, Meta(ge=0.5, le=2)] = 1.0
    #: The emulated recogniser hears this instead; "" is no word at all.
    heard_as: str | None = None
    #: How long `noise` lasts.
    for_ms: Annotated[float, Meta(ge=20, le=60_000)] = 500.0
    #: How loud it is.
    dbfs: Level = -20.0

    #: When: once the agent has spoken since the step before, and been silent for so long. 700 unless another is given.
    after_silence_ms: Milliseconds | None = None
    #: Or: in the middle of what it says, after so much of it.
    interrupt_after_ms: Milliseconds | None = None
    #: Or: so long after the step before.
    after_s: Annotated[float, Meta(ge=0, le=3600)] | None = None
    #: And not before the caller has heard this (a regular expression) since the step before.
    after: str = ""

    #: Whether this cuts the agent short.
    interrupts: bool | None = None
    #: Of what it cuts short, the caller has heard less than this.
    heard_less_than_ms: Milliseconds | None = None

    @property
    def does(self) -> str:
        """The step in words."""
        if self.say is not None:
            return f"says “{self.say}”"
        if self.press is not None:
            return f"presses {self.press}"
        if self.noise is not None:
            return f"makes a noise: {self.noise}"
        return "hangs up" if self.hang_up else f"waits {self.wait_s:g} s"


class WholeCall(Expected, frozen=True):
    """``[call]``: what must be true of the whole call. Here `within_ms` is for each answer."""

    #: Where the caller was handed on to.
    transferred_to: str = ""
    #: Who ended it: "agent", "caller", "transfer".
    ended_by: Literal["agent", "caller", "transfer"] | None = None
    #: How long it lasted at most.
    shorter_than_s: Seconds | None = None


class Script(Section, frozen=True):
    """The whole file."""

    rehearsal: Head = Head()
    agent: Agent = Agent()
    engines: Engines = Engines()
    greeting: Greeting = Greeting()
    caller: list[Step] = []
    call: WholeCall = WholeCall()
    #: ``[[model]]``: what the scripted language model answers; the first that fits.
    model: list[Rule] = []


class Rehearsal(msgspec.Struct, frozen=True):
    """A script that can be run, and where it stands.

    Attributes:
        path: as it was named.
        lines: the line of each key.
    """

    path: str
    script: Script
    lines: dict[str, int]

    @property
    def title(self) -> str:
        """What it is called in reports."""
        return self.script.rehearsal.title or Path(self.path).stem

    @property
    def folder(self) -> Path:
        """What the paths in it are relative to."""
        return Path(self.path).parent

    def line(self, key: str) -> int:
        """Where `key` stands, or the table that it would stand in, or else the first line."""
        return line_of(self.lines, key) or 1

    def fault(self, key: str, reason: str) -> ConfigError:
        """That something is wrong with `key`, by its line."""
        return ConfigError(reason, key=key, source=f"{self.path}:{self.line(key)}")

    def located(self, error: ConfigError) -> Problem:
        """`error` where it is to be mended: here, by its line, where the script has set what is wrong."""
        line = self.lines.get(error.key, 0)
        return Problem(self.path, line, error.key, error.reason) if line else Problem.of(error)


# -- reading -----------------------------------------------------------------------------------------------------------


def read_script(path: Path) -> Rehearsal:
    """A script from its file.

    Raises:
        ConfigError: it cannot be read, or is not TOML.
        FilesRefused: it has mistakes: all of them.
    """
    return parsed(TomlSource.read(path))


def parsed(source: TomlSource) -> Rehearsal:
    """The script that `source` holds.

    Raises:
        FilesRefused: it has mistakes: all of them.
    """
    wrong = list(mistakes(source.tree, Script))
    if not wrong:
        script = msgspec.convert(source.tree, Script)
        wrong = list(_faults(script))
        if not wrong:
            return Rehearsal(source.path, script, source.lines)
    problems = sorted(Problem(source.path, source.line_of(key), key, reason) for key, reason in wrong)
    raise FilesRefused(problems, "bridge rehearse")


def texts(given: str | list[str]) -> list[str]:
    """One text or several, as a list."""
    return ([given] if given else []) if isinstance(given, str) else given


def _faults(script: Script) -> Iterator[tuple[str, str]]:
    """What is wrong with values that have the right type: key and reason."""
    if not script.caller:
        yield "caller", 'is missing: at least one step, as in [[caller]] with say = "Hello." in it'
    if script.engines.llm == "emulated" and not script.model:
        yield "model", "is missing: an emulated language model answers by the rules in [[model]]"
    steps = {f"caller[{number}]": step for number, step in enumerate(script.caller)}
    for key, expected in {"greeting": script.greeting, "call": script.call, **steps}.items():
        yield from _bad_patterns(key, expected)
        yield from _bad_tools(key, expected)
    for number, (key, step) in enumerate(steps.items()):
        for at, reason in _faults_of_step(step):
            yield f"{key}.{at}" if at else key, reason
        if step.hang_up and number + 1 < len(script.caller):
            yield f"{key}.hang_up", "must be the last step: nothing can follow it"


def _bad_patterns(key: str, expected: Expected) -> Iterator[tuple[str, str]]:
    for name in ("expect", "expect_not", "after"):
        for pattern in texts(getattr(expected, name, "")):
            try:
                re.compile(pattern)
            except re.error as error:
                yield f"{key}.{name}", f"{pattern!r} is no regular expression: {error}"


def _bad_tools(key: str, expected: Expected) -> Iterator[tuple[str, str]]:
    for tool in texts(expected.tool):
        _, colon, outcome = tool.partition(":")
        if colon and outcome not in _OUTCOMES:
            yield f"{key}.tool", f"{tool!r} ends in no outcome; there are {', '.join(_OUTCOMES)}"


#: How a tool can end, see `bridge.tools`.
_OUTCOMES: Final = get_args(Outcome)
#: What belongs to one kind of step alone.
_ONLY_WITH: Final = {"heard_as": "say", "language": "say", "voice": "say", "speed": "say", "for_ms": "noise",
                     "dbfs": "noise"}  # fmt: skip
_KINDS: Final = ("say", "press", "noise", "wait_s", "hang_up")
_TIMES: Final = ("after_silence_ms", "interrupt_after_ms", "after_s")


def _faults_of_step(step: Step) -> Iterator[tuple[str, str]]:
    kinds = _given(step, _KINDS)
    if len(kinds) != 1:
        found = f", not {' and '.join(kinds)}" if kinds else ""
        yield kinds[1] if kinds else "", f"a step does one of {', '.join(_KINDS)}{found}"
        return
    if step.say is not None and not any(map(str.isalnum, step.say)):
        yield "say", "has no word in it; for a pause there is wait_s"
    if step.press is not None and (not step.press or set(step.press) - DIGITS):
        yield "press", "must be keys of a telephone: 0-9, *, #, A-D"
    times = _given(step, _TIMES)
    if len(times) > 1:
        yield times[1], f"a step has one of {', '.join(_TIMES)}, not {' and '.join(times)}"
    if step.after and step.interrupt_after_ms is not None:
        yield "after", "is heard when an utterance is over, so nothing is left of it to interrupt"
    for name, kind in _ONLY_WITH.items():
        default = next(f.default for f in msgspec.structs.fields(Step) if f.name == name)
        if kind not in kinds and getattr(step, name) != default:
            yield name, f"is for a step with {kind} alone"


def _given(step: Step, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if getattr(step, name) is not None]
