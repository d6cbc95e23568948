"""The prompts and flows that commands work on: what a bridge with the same configuration would serve."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.errors import ConfigError
from bridge.nearest import meant

if TYPE_CHECKING:
    from bridge.config import Config
    from bridge.flows.model import Flow
    from bridge.problems import Problem
    from bridge.prompts.book import Book
    from bridge.prompts.cache import PromptCache
    from bridge.prompts.key import Keys, Normaliser
    from bridge.prompts.shelf import Shelf


@dataclass(frozen=True)
class Files:
    """All prompts and flows of a configuration, and everything that is wrong with them."""

    config: Config
    shelf: Shelf
    flows: dict[str, Flow]
    problems: list[Problem]
    cache: PromptCache
    normalise: Normaliser | None

    @property
    def book(self) -> Book:
        """All prompts."""
        return self.shelf.book

    def keys(self) -> Keys:
        """What is kept under which key."""
        from bridge.prompts.key import Keys

        return Keys(self.config.lightning, self.normalise)

    def of_prompts(self) -> list[Problem]:
        """Problems of prompts, wherever they stand."""
        folder = self.config.prompts.folder
        return [
            problem
            for problem in self.problems
            if problem.key.startswith("prompts") or (folder and Path(problem.source).is_relative_to(folder))
        ]

    def require(self, problems: Iterable[Problem], command: str) -> None:
        """Go on only when none of `problems` is fatal.

        Raises:
            FilesRefused: one is; `command` shows all of them.
        """
        from bridge.problems import FilesRefused

        fatal = [problem for problem in problems if problem.fatal]
        if fatal:
            raise FilesRefused(fatal, command)

    def require_all(self) -> None:
        """Go on only when a bridge would take the files.

        Raises:
            FilesRefused: it would not. What is wrong with prompts comes first: flows may only miss them.
        """
        of_prompts = self.of_prompts()
        others = [problem for problem in self.problems if problem not in of_prompts]
        self.require([*of_prompts, *others], "bridge flows check")

    def flow(self, name: str) -> Flow:
        """The flow called `name`.

        Raises:
            ConfigError: there is none.
            FilesRefused: its file could not be read.
        """
        if name in self.flows:
            return self.flows[name]
        unread = [problem for problem in self.problems if Path(problem.source).stem == name]
        self.require(unread, f"bridge flows check {name}")
        raise ConfigError(f"there is no flow {name!r}; {nearest(name, self.flows)}", key="FLOW")

    def prompt(self, prompt: str) -> str:
        """`prompt`, when there is one of that id.

        Raises:
            ConfigError: there is none.
        """
        if prompt in self.book.specs:
            return prompt
        raise ConfigError(f"there is no prompt {prompt!r}; {nearest(prompt, self.book.specs)}", key="ID")


def counted(number: int, what: str) -> str:
    """``1 flow``, ``2 flows``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def nearest(name: str, known: Iterable[str]) -> str:
    """What `name` may be meant to be."""
    there = sorted(known)
    if near := meant(name.lower(), there):
        return near
    more = ", ..." if len(there) > 10 else ""
    return f"there is {', '.join(there[:10])}{more}" if there else "there are none"


def read_files(path: Path | None) -> Files:
    """What the configuration in `path` and the environment names; see `files_of`."""
    from bridge.config import load_config

    return files_of(load_config(path), str(path or ""))


def files_of(config: Config, source: str, *, agents: bool = False) -> Files:
    """What `config` names; reads all files.

    Args:
        agents: whether agents that flows name are imported, to know whether they can be.

    Raises:
        ConfigError: it names no folder of either; or it is wrong.
    """
    from bridge.agents.ivr import flow_problems
    from bridge.agents.loader import fault_of
    from bridge.flows.library import read_edition
    from bridge.lightning.voice import normaliser
    from bridge.prompts.cache import PromptCache, default_folder
    from bridge.prompts.shelf import Shelf
    from bridge.transcribers.open import listener

    if not config.prompts.folder and not config.flows.folder:
        reason = "is not set, and no folder flows or prompts is beside the configuration: name its file with --config"
        raise ConfigError(reason, key="flows.folder", source=source)
    cache = PromptCache(Path(config.prompts.cache or default_folder()))
    normalise = normaliser(config.speech.normalise)
    memory_mb = config.prompts.memory_mb

    def shelve(book: Book) -> Shelf:
        return Shelf(book, cache, config=config.lightning, memory_mb=memory_mb, normalise=normalise)

    edition, problems = read_edition(
        config,
        source,
        agent_fault=partial(fault_of, heard=bool(listener(config))) if agents else lambda _step: "",
        wanted=(lambda flows: flow_problems(config.agent, flows, source)) if agents else lambda _flows: [],
        shelve=shelve,
    )
    return Files(config, edition.shelf, dict(edition.flows), sorted(problems), cache, normalise)


def show_problems(problems: Sequence[Problem]) -> None:
    """Print them, a line each."""
    for problem in problems:
        print(problem)


def settings_for_flows(path: Path | None) -> Config:
    """The configuration in `path` and the environment; flows beside it count also while no agent of it plays them."""
    from msgspec.structs import replace

    from bridge.config import load_config

    config = load_config(path)
    beside = path.parent / "flows" if path else None
    if beside and not config.flows.folder and beside.is_dir():
        config = replace(config, flows=replace(config.flows, folder=str(beside)))
    return config


def named_flow(config: Config, named: str) -> tuple[Config, str]:
    """The name of the flow that `named` names, by name or by file, and the configuration with that file's folder.

    A file that no configuration names has its prompts in the folder ``prompts`` beside its own, if that is there.

    Raises:
        ConfigError: there is no such file.
    """
    from msgspec.structs import replace

    path = Path(named)
    if path.suffix != ".toml":
        return config, named
    if not path.is_file():
        raise ConfigError("there is no such file", key="FLOW", source=named)
    prompts = path.parent.parent / "prompts"
    if not config.prompts.folder and prompts.is_dir():
        config = replace(config, prompts=replace(config.prompts, folder=str(prompts)))
    return replace(config, flows=replace(config.flows, folder=str(path.parent))), path.stem
