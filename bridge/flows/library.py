"""Prompts and flows of a process: the edition that new calls get, and how it is exchanged for another.

Strategy:

- An edition is all files as they were at one time, read and checked together. One fatal problem, and none of them is
  taken: nothing is ever half loaded.
- At start a bad one is refused; later the one before it stays. A call keeps the edition that it began with.
- Files are read, and prompts brought into memory, in a thread: calls that are on notice nothing of a reload.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from bridge.config import Config
from bridge.flows.model import Agent, Flow
from bridge.observe.stats import BridgeStats
from bridge.problems import Problem
from bridge.prompts.book import Book
from bridge.prompts.shelf import Shelf

if TYPE_CHECKING:
    from bridge.lightning.voice import Voice

#: Why an agent that a step names cannot be run; empty when it can. Of `bridge.agents.loader.fault_of`.
AgentFault: TypeAlias = Callable[[Agent], str]
#: What else must hold: problems of what the configuration wants of flows, as `bridge.agents.ivr.flow_problems`.
Wanted: TypeAlias = Callable[[Mapping[str, Flow]], list[Problem]]


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Edition:
    """All files as they were at one time. A call keeps the one that it began with."""

    shelf: Shelf = field(default_factory=Shelf)
    flows: Mapping[str, Flow] = field(default_factory=dict)
    #: Counted from 1.
    number: int = 1
    #: Where messages that callers leave are written.
    recordings: Path = Path("recordings")
    #: What time it is, for business hours; aware.
    now: Callable[[], datetime] = _now


def read_edition(
    config: Config,
    source: str = "",
    *,
    agent_fault: AgentFault = lambda _step: "",
    wanted: Wanted = lambda _flows: [],
    environ: Mapping[str, str] | None = None,
    shelve: Callable[[Book], Shelf] = Shelf,
) -> tuple[Edition, list[Problem]]:
    """All files that `config` names, read and checked; reads files, so not while a call waits.

    Args:
        source: the configuration's file, for what is wrong with the folders that it names.
        agent_fault: what is wrong with the agent of a step.
        wanted: what else is wrong, given all flows.
        environ: where the tokens of webhooks are looked for; the process's own by default.
        shelve: makes the shelf of all prompts.

    Returns:
        The edition, and everything that is wrong with it; of no use when some of that is fatal.
    """
    raise NotImplementedError


class Library:
    """The editions of a process.

    Args:
        config: says where the files are.
        source: the configuration's file, for messages.
        voice: whose units of concurrency what is rendered in the background may use.
        stats: where reloads are counted.
        agent_fault, wanted: as of `read_edition`.
    """

    def __init__(
        self,
        config: Config,
        source: str = "",
        *,
        voice: Voice | None = None,
        stats: BridgeStats | None = None,
        agent_fault: AgentFault = lambda _step: "",
        wanted: Wanted = lambda _flows: [],
    ) -> None:
        self.edition = Edition()

    def load(self) -> list[Problem]:
        """Read the first edition, and warm it up. Blocks. Returns its warnings.

        Raises:
            FilesRefused: something is wrong with the files; none was taken.
        """
        raise NotImplementedError

    async def reload(self) -> list[Problem]:
        """Read all files again. When none of the problems is fatal, new calls get what they hold."""
        raise NotImplementedError

    async def close(self) -> None:
        """Let go of everything."""
