"""Prompts and flows of a process: the edition that new calls get, and how it is exchanged for another.

Strategy:

- An edition is all files as they were at one time, read and checked together. One fatal problem, and none of them is
  taken: nothing is ever half loaded.
- At start a bad one is refused; later the one before it stays. A call keeps the edition that it began with, and the
  last call of an old edition lets it go.
- Files are read, and prompts brought into memory, in a thread: calls that are on notice nothing of a reload.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from bridge.config import Config
from bridge.flows.check import check
from bridge.flows.messages import Messages
from bridge.flows.model import Agent, Flow
from bridge.flows.reader import read_flows
from bridge.flows.webhook import WebhookClient
from bridge.lightning.voice import normaliser
from bridge.observe.stats import BridgeStats, FlowStats
from bridge.problems import FilesRefused, Problem
from bridge.prompts.book import Book, merged, read_book
from bridge.prompts.cache import PromptCache, default_folder
from bridge.prompts.shelf import Shelf

if TYPE_CHECKING:
    from bridge.lightning.voice import Voice

log = logging.getLogger(__name__)

#: Why an agent that a step names cannot be run; empty when it can. Of `bridge.agents.loader.fault_of`.
AgentFault: TypeAlias = Callable[[Agent], str]
#: What is wrong with what the configuration wants of flows. Of `bridge.agents.ivr.flow_problems`.
Wanted: TypeAlias = Callable[[Mapping[str, Flow]], list[Problem]]


def utc_now() -> datetime:
    """What time it is."""
    return datetime.now(UTC)


def _messages() -> Messages:
    return Messages(Path("recordings"), BridgeStats())


@dataclass(frozen=True)
class Edition:
    """All files as they were at one time. A call keeps the one that it began with."""

    shelf: Shelf = field(default_factory=Shelf)
    flows: Mapping[str, Flow] = field(default_factory=dict)
    #: Counted from 1.
    number: int = 1
    #: Where messages that callers leave are kept.
    messages: Messages = field(default_factory=_messages)
    #: Who asks the user's own API; None asks nobody.
    webhooks: WebhookClient | None = None
    #: What time it is, for business hours; aware.
    now: Callable[[], datetime] = utc_now
    #: Counts what became of flows.
    stats: FlowStats = field(default_factory=FlowStats)


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
        shelve: makes the shelf of all prompts, which is cold: `Shelf.warm` knows more problems.

    Returns:
        The edition, and everything that is wrong with it; of no use when some of that is fatal.
    """
    book, flows, problems = _read(config, source)
    for flow in flows.values():
        problems += check(
            flow,
            book,
            agent_fault=agent_fault,
            webhook_hosts=config.flows.webhook_hosts,
            environ=os.environ if environ is None else environ,
        )
    problems += wanted(flows)
    return Edition(shelve(book), flows), problems


def _read(config: Config, source: str) -> tuple[Book, dict[str, Flow], list[Problem]]:
    """Prompts of their own files and of flows together, and flows, as far as they can be read."""
    problems = [
        Problem(source, 0, f"{section}.folder", f"there is no folder {folder}")
        for section, folder in (("prompts", config.prompts.folder), ("flows", config.flows.folder))
        if folder and not Path(folder).is_dir()
    ]
    book, flows = Book(), dict[str, Flow]()
    if config.prompts.folder and Path(config.prompts.folder).is_dir():
        book, found = read_book(Path(config.prompts.folder))
        problems += found
    if config.flows.folder and Path(config.flows.folder).is_dir():
        flows, own, found = read_flows(Path(config.flows.folder))
        problems += found
        book, found = merged(book, own)
        problems += found
    return book, flows, problems


def is_fatal(problems: list[Problem]) -> bool:
    """Whether what has these problems must not be taken."""
    return any(problem.fatal for problem in problems)


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
        self._config, self._source, self._voice = config, source, voice
        self._stats = stats or BridgeStats()
        self._agent_fault, self._wanted = agent_fault, wanted
        self._messages = Messages(Path(config.flows.recordings), self._stats)
        hosts = config.flows.webhook_hosts
        self._webhooks = WebhookClient(hosts, os.environ, self._stats.flows) if hosts else None
        self._cache = PromptCache(Path(config.prompts.cache or default_folder()), self._stats.prompts)
        #: Calls that are on, by the number of their edition.
        self._lent: Counter[int] = Counter()
        self._reading = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()
        #: What time it is, for business hours, also of calls that are on.
        self.now: Callable[[], datetime] = utc_now
        #: What new calls get.
        self.edition = self._bound(Edition(), 0)

    def load(self) -> list[Problem]:
        """Read the first edition, and warm it up. Blocks. Returns its warnings.

        Raises:
            FilesRefused: something is wrong with the files; none was taken.
        """
        edition, problems = self._prepare()
        if is_fatal(problems):
            raise FilesRefused(problems)
        self._take(edition, problems)
        return problems

    async def reload(self) -> list[Problem]:
        """Read all files again. When none of the problems is fatal, new calls get what they hold."""
        async with self._reading:
            edition, problems = await asyncio.to_thread(self._prepare)
            if is_fatal(problems):
                self._refuse(problems)
                await edition.shelf.close()
                return problems
            old = self.edition
            self._take(edition, problems)
            self._stats.reloads["taken"] += 1
        if not self._lent[old.number]:
            await old.shelf.close()
        return problems

    def lend(self) -> Edition:
        """The edition for a call that begins. The caller's next duty: `give_back`, when the call is over."""
        self._lent[self.edition.number] += 1
        return self.edition

    def give_back(self, edition: Edition) -> None:
        """A call is over that was lent `edition`."""
        self._lent[edition.number] -= 1
        if self._lent[edition.number] <= 0:
            del self._lent[edition.number]
            if edition.number != self.edition.number:
                closing = asyncio.create_task(edition.shelf.close())
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Let go of everything. Calls must be over."""
        await asyncio.gather(*self._closing, return_exceptions=True)
        await self.edition.shelf.close()
        if self._webhooks is not None:
            await self._webhooks.close()

    # -- reading -------------------------------------------------------------------------------------------

    def _prepare(self) -> tuple[Edition, list[Problem]]:
        """An edition that is ready for calls, or everything that is wrong with it. Blocks."""
        edition, problems = read_edition(
            self._config,
            self._source,
            agent_fault=self._agent_fault,
            wanted=self._wanted,
            shelve=self._shelve,
        )
        if not is_fatal(problems):
            if edition.shelf.book.specs:
                self._cache.expire()
            problems += edition.shelf.warm()
        return self._bound(edition, self.edition.number + 1), problems

    def _shelve(self, book: Book) -> Shelf:
        config = self._config
        return Shelf(
            book,
            self._cache if book.specs else None,
            config=config.lightning,
            stats=self._stats.prompts,
            memory_mb=config.prompts.memory_mb,
            normalise=normaliser(config.speech.normalise),
            voice=self._voice,
        )

    def _bound(self, edition: Edition, number: int) -> Edition:
        """`edition` as one of this process's."""
        return replace(
            edition,
            number=number,
            messages=self._messages,
            webhooks=self._webhooks,
            now=lambda: self.now(),
            stats=self._stats.flows,
        )

    def _take(self, edition: Edition, warnings: list[Problem]) -> None:
        self.edition = edition
        for warning in warnings:
            log.warning("%s", warning)
        flows, prompts = len(edition.flows), len(edition.shelf.book.specs)
        if not flows and not prompts:
            return
        log.info("edition %d: %d flows, %d prompts", edition.number, flows, prompts)
        if missing := edition.shelf.missing():
            log.warning("%d pieces of prompts are not rendered yet: bridge prompts render", len(missing))

    def _refuse(self, problems: list[Problem]) -> None:
        self._stats.reloads["refused"] += 1
        for problem in problems:
            log.log(logging.ERROR if problem.fatal else logging.WARNING, "%s", problem)
        log.error("prompts and flows were not taken: calls go on with edition %d", self.edition.number)
