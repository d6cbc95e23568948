"""Flow files: each step read by what it does, and every mistake of a file told in one go.

Strategy:

- A step is read by the struct that its ``do`` names, and by itself: a mistake in one hides none in another.
- What has mistakes is read without them, as far as it goes, so that `check` can tell more of the flow in the same go.
  Such a flow is not `whole`, and the mistakes are fatal: no call ever sees it.
- A step's own ``text`` is a prompt like any other, ``flow.step``: what is wrong with it is told by the prompts' rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from datetime import date, time
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from bridge.config_tree import Section, mistakes
from bridge.flows.model import STEPS, Flow, FlowFile, Gather, Speaking, Step
from bridge.nearest import meant
from bridge.problems import Problem
from bridge.prompts.book import Defaults, faults_of, merged, specs_of
from bridge.prompts.spec import Book, PromptSpec
from bridge.prompts.template import variables_in
from bridge.toml_source import TomlSource, sources_in

S = TypeVar("S", bound=Section)

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")


def read_flows(folder: Path) -> tuple[dict[str, Flow], Book, list[Problem]]:
    """All flows of a folder by name, the prompts that stand in them, and what is wrong with the files.

    A flow of which a problem is fatal is there all the same, as far as it could be read: for checks, not for calls.
    """
    flows: dict[str, Flow] = {}
    books: list[Book] = []
    sources, problems = sources_in(folder)
    for source in sources:
        flow, book, found = read_flow(source)
        problems += found
        books.append(book)
        if flow:
            flows[flow.name] = flow
    book, clashes = merged(*books)
    return flows, book, sorted([*problems, *clashes])


def read_flow(source: TomlSource) -> tuple[Flow | None, Book, list[Problem]]:
    """One flow, as far as it can be read, and the prompts that stand in it; None when it has no head to go by."""
    found = _Found(source)
    name = Path(source.path).stem
    if not _NAME.fullmatch(name):
        name = _mended(name)
        found.add("", f'is no name for a flow: call the file a-z, 0-9, _ and - only, such as "{name}.toml"')
    tree = {key: _dates_as_text(value) for key, value in source.tree.items()}
    file = found.struct("", tree, FlowFile)
    steps = dict(_steps(tree.get("steps"), found))
    book = _book(name, file, steps, source, found)
    if file is None:
        return None, book, found.sorted()
    flow = Flow(name=name, source=source.path, file=file, steps=steps, lines=source.lines, whole=found.whole)
    return flow, book, found.sorted()


def _dates_as_text(value: Any) -> Any:
    """A date is text to a flow, and TOML knows one without quotes, too."""
    if isinstance(value, dict):
        return {key: _dates_as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_dates_as_text(item) for item in value]
    return value.isoformat() if isinstance(value, date | time) else value


def _mended(name: str) -> str:
    """The nearest to `name` that a flow may be called."""
    return re.sub(r"[^a-z0-9_-]+", "_", name.lower()).lstrip("0123456789_-")[:64] or "main"


class _Found:
    """What is wrong with a file, as it is found."""

    def __init__(self, source: TomlSource) -> None:
        self.source = source
        self.problems: list[Problem] = []
        #: False once something could not be read.
        self.whole = True

    def add(self, key: str, reason: str) -> None:
        self.problems.append(Problem(self.source.path, self.source.line_of(key), key, reason))

    def sorted(self) -> list[Problem]:
        return sorted(self.problems)

    def struct(self, key: str, tree: Mapping[str, Any], kind: type[S]) -> S | None:
        """`tree`, which stands at `key`, without what is wrong with it; None when too little is left."""
        wrong = list(mistakes(tree, kind))
        for at, reason in wrong:
            self.add(_joined(key, at), reason)
        self.whole = self.whole and not wrong
        try:
            return msgspec.convert(_without(tree, [at for at, _ in wrong]), kind)
        except msgspec.ValidationError:  # something is gone that it cannot do without
            return None


def _without(tree: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """A copy of `tree` without `keys`, or without the lists that they are in."""
    right = deepcopy(dict(tree))
    for key in keys:
        within, parts = right, re.split(r"[.\[]", key)
        while len(parts) > 1 and isinstance(within.get(parts[0]), dict):
            within = within[parts.pop(0)]
        within.pop(parts[0], None)
    return right


def _joined(above: str, key: str) -> str:
    return f"{above}.{key}" if above and key else above or key


# -- steps -------------------------------------------------------------------------------------------------------------


def _steps(tree: object, found: _Found) -> Iterator[tuple[str, Step]]:
    """The steps that can be read, by name."""
    for name, table in tree.items() if isinstance(tree, dict) else ():
        if step := _step(f"steps.{name}", table, found):
            yield name, step


def _step(key: str, table: object, found: _Found) -> Step | None:
    if not isinstance(table, dict):
        found.whole = False
        found.add(key, 'must be a table, as in [steps.welcome] with do = "say" in it')
        return None
    if reason := _no_kind(table.get("do")):
        found.whole = False
        found.add(f"{key}.do", reason)
        return None
    step = found.struct(key, {name: table[name] for name in table if name != "do"}, STEPS[table["do"]])
    for at, reason in step.faults() if step else ():
        found.add(_joined(key, at), reason)
    return step


def _no_kind(do: object) -> str:
    """Why `do` says nothing that a step can do; empty when it does."""
    if isinstance(do, str) and do in STEPS:
        return ""
    kinds = f"one of {', '.join(STEPS)}"
    if do is None:
        return f"is missing: {kinds}"
    near = meant(do, STEPS, mark='"') if isinstance(do, str) else ""
    return f"must be {kinds}; {near}" if near else f"must be {kinds}"


# -- what is said ------------------------------------------------------------------------------------------------------


def _book(
    name: str, file: FlowFile | None, steps: Mapping[str, Step], source: TomlSource, found: _Found
) -> Book:
    """The prompts of the file: its own ``[prompts]``, and the texts of its steps."""
    said = Defaults(file.voice, file.language, file.speed) if file else Defaults()
    specs, places, problems = specs_of(source, defaults=said)
    found.problems += problems
    texts, places_of_texts = {}, {}
    keys = _typed(file, steps)
    for step_name, step in steps.items():
        if isinstance(step, Speaking) and step.text:
            prompt, key = f"{name}.{step_name}", f"steps.{step_name}.text"
            kinds = {variable: "digits" for variable in variables_in(step.text) if variable in keys}
            spec = PromptSpec(
                text=step.text,
                voice=said.voice,
                language=said.language,
                speed=said.speed,
                variables={**kinds, **step.variables},
            )
            for at, reason in faults_of(prompt, spec):
                found.add(f"steps.{step_name}.{at}" if at.startswith("variables.") else key, reason)
            texts[prompt], places_of_texts[prompt] = spec, (source.path, source.line_of(key))
    book, clashes = merged(Book(specs, places), Book(texts, places_of_texts))
    found.problems += clashes
    return book


def _typed(file: FlowFile | None, steps: Mapping[str, Step]) -> set[str]:
    """The variables that hold what callers typed, or telephone numbers, and never anything else."""
    typed = {"caller", "called", *(step.into for step in steps.values() if isinstance(step, Gather))}
    others = (step.gives() for step in steps.values() if not isinstance(step, Gather))
    return typed.difference(file.variables if file else (), *others)
