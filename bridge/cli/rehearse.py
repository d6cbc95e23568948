"""``bridge rehearse``: scripted callers talk to an agent, offline, and what comes of it is judged."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from bridge.cli.account import note, show_json
from bridge.cli.running import ConfigPath, Flag, Text, log_to_stderr, reserved, run, writing
from bridge.errors import BridgeError, ConfigError
from bridge.tasks import end

if TYPE_CHECKING:
    from bridge.cli.rehearse_report import Report
    from bridge.problems import Problem
    from bridge.rehearsal.junit import Suite
    from bridge.rehearsal.run import Performance
    from bridge.rehearsal.script import Rehearsal
    from bridge.rehearsal.settings import Settings


@dataclass(frozen=True)
class Take:
    """A script that is to be run: once, or one of several times."""

    rehearsal: Rehearsal
    settings: Settings
    number: int
    of: int
    #: What its recording is called, without the number: no two scripts have the same.
    stem: str

    @property
    def title(self) -> str:
        title = self.rehearsal.title
        return f"{title} ({self.number} of {self.of})" if self.of > 1 else title

    @property
    def file_name(self) -> str:
        """What its recording is called."""
        return f"{self.stem}-{self.number}.wav" if self.of > 1 else f"{self.stem}.wav"

    @property
    def repeated(self) -> int:
        """Which of several times it is; 0 when there is one."""
        return self.number if self.of > 1 else 0

    @property
    def real(self) -> bool:
        """Whether it needs an account, whose limits are for all."""
        engines = self.rehearsal.script.engines
        return "real" in (engines.lightning, engines.pulse, engines.llm)


def rehearse(
    scripts: Annotated[list[Path], Parameter(name="SCRIPT", negative="")],
    /,
    *,
    agent: Text = "",
    config: ConfigPath = None,
    repeat: Annotated[int, Parameter(validator=Number(gte=1, lte=1000))] = 1,
    jobs: Annotated[int, Parameter(validator=Number(gte=1, lte=32))] = 4,
    out: Annotated[Path | None, Parameter(alias="-o")] = None,
    junit: Path | None = None,
    json: Flag = False,
) -> int:
    """Have a scripted caller talk to an agent, and check it all.

    Needs no carrier, no account and no network: the caller speaks with the offline voice (the extra `demo`), and the
    engines are emulated unless the script says otherwise. Exit code 1 means that something which the script expects
    did not happen.

    Args:
        scripts: TOML files, each a call.
        agent: who is rehearsed, "module:function"; by default who the script names, or else the configuration.
        config: the bridge's TOML file; by default what the script names.
        repeat: run each script so many times.
        jobs: calls at the same time, unless they need an account.
        out: folder for the calls as stereo WAVs: caller left, agent right.
        junit: write a report for a CI: JUnit XML.
        json: print JSON instead.
    """
    log_to_stderr("error")
    takes = _takes(scripts, agent, config, repeat)
    with ExitStack() as files:
        for path in (*([junit] if junit else []), *(out / take.file_name for take in takes if out)):
            files.enter_context(reserved(path))
        suites = run(_rehearsed(takes, 1 if any(take.real for take in takes) else jobs, out, json=json))
        if junit:
            from bridge.rehearsal.junit import junit as document

            with writing(junit):
                junit.write_text(document(suites), "utf-8")
            note(f"wrote {junit}")
    if json:
        show_json(suites)
    return int(any(suite.failed for suite in suites))


def _takes(scripts: Sequence[Path], agent: str, config: Path | None, repeat: int) -> list[Take]:
    """Everything that is to be run, in order.

    Raises:
        ConfigError: a script, or its configuration, is wrong; all mistakes of all scripts are told before.
    """
    from bridge.problems import FilesRefused, Problem

    takes: list[Take] = []
    problems: list[Problem] = []
    stems: set[str] = set()
    for path in scripts:
        try:
            rehearsal, settings = _prepared(path, agent, config)
        except FilesRefused as refused:
            problems += refused.problems
        except ConfigError as error:
            problems.append(Problem.of(error))
        else:
            stem = _new_name(path.stem, stems)
            takes += [Take(rehearsal, settings, number, repeat, stem) for number in range(1, repeat + 1)]
    if problems:
        *others, last = dict.fromkeys(problems)  # what is wrong with one configuration is told once
        for problem in others:
            print("bridge:", problem, file=sys.stderr)
        source = f"{last.source}:{last.line}" if last.line else last.source
        raise ConfigError(last.reason, key=last.key, source=source)
    return takes


def _prepared(path: Path, agent: str, config: Path | None) -> tuple[Rehearsal, Settings]:
    """A script that can be run, and what it is run with.

    Raises:
        ConfigError: it cannot; by the line of the script where that is where it is to be mended.
    """
    from bridge.problems import FilesRefused
    from bridge.rehearsal.cast import require_voice
    from bridge.rehearsal.run import require_agent
    from bridge.rehearsal.script import read_script
    from bridge.rehearsal.settings import settings_of

    rehearsal = read_script(path)
    require_voice(rehearsal)
    settings = settings_of(rehearsal, agent, config)
    try:
        require_agent(rehearsal, settings)
    except ConfigError as error:
        if agent:
            raise
        raise FilesRefused([rehearsal.located(error)], "bridge rehearse") from error
    return rehearsal, settings


def _new_name(name: str, taken: set[str]) -> str:
    """`name`, or when that is taken `name` with a number; it is taken from now on."""
    names = (name, *(f"{name}_{number}" for number in range(2, len(taken) + 2)))
    free = next(each for each in names if each not in taken)
    taken.add(free)
    return free


async def _rehearsed(takes: Sequence[Take], jobs: int, out: Path | None, *, json: bool) -> list[Suite]:
    from bridge.cli.rehearse_report import Report, suite_of

    report, suites = Report(quiet=json), []
    async for take, done in _performed(takes, jobs, report):
        suites.append(suite_of(take, done))
        if isinstance(done, BridgeError):
            report.failed(take, done)
            continue
        written = None
        if out:
            with writing(out):
                written = done.recording.write_stereo(out / take.file_name)
        report.tell(take, done, written)
    report.sum_up(suites)
    return suites


async def _performed(
    takes: Sequence[Take], jobs: int, report: Report
) -> AsyncIterator[tuple[Take, Performance | BridgeError]]:
    """What came of each, in order, as soon as it is known."""
    from bridge.rehearsal.run import perform

    room = asyncio.Semaphore(jobs)
    async with AsyncExitStack() as stack:
        urls = await _lightnings(takes, stack)

        async def performed(take: Take) -> Performance | BridgeError:
            async with room:
                try:
                    url = urls.get(take.rehearsal.script.engines.lightning_ms, "")
                    return await perform(take.rehearsal, take.settings, url)
                except BridgeError as error:
                    return error

        tasks = [asyncio.create_task(performed(take)) for take in takes]
        try:
            for take, task in zip(takes, tasks, strict=True):
                with report.waiting(take):
                    done = await task
                yield take, done
        finally:
            await end(*tasks)


async def _lightnings(takes: Sequence[Take], stack: AsyncExitStack) -> dict[float, str]:
    """An emulated Lightning for each pace that a script wants, and its address."""
    from bridge.emulators.lightning_process import lightning_process

    urls: dict[float, str] = {}
    for take in takes:
        engines = take.rehearsal.script.engines
        if engines.lightning == "emulated" and engines.lightning_ms not in urls:
            options = ("--any-voice", f"--first-byte-ms={engines.lightning_ms:g}")
            process = lightning_process("auto", *options)
            urls[engines.lightning_ms] = await stack.enter_async_context(process)
    return urls
