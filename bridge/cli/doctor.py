"""``bridge doctor``: is this installation fit to take calls."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter
from cyclopts.validators import Number

from bridge.cli.account import show_json
from bridge.cli.running import ConfigPath, Flag, log_to_stderr, run
from bridge.errors import ConfigError

if TYPE_CHECKING:
    from bridge.doctor.findings import Finding

_STYLES: Final = {"pass": "green", "fail": "bold red", "skip": "yellow", "info": "cyan"}


def doctor(
    *,
    config: ConfigPath = None,
    calls: Annotated[int, Parameter(validator=Number(gte=1))] = 100,
    within_s: Annotated[float, Parameter(validator=Number(gt=0))] = 10.0,
    json: Flag = False,
) -> int:
    """Check an installation: each line passes, or says the mend.

    Looks at the configuration, the agent, this machine, each entry of [lightning] (which says one word), each
    carrier's credentials, the clock, and the public address: that it leads here, that its certificate holds, and that
    a signed request comes through it and a forged one does not. Where no bridge runs yet, one is started for the
    length of the check. Exit code 1 means that something failed.

    Args:
        config: a TOML file; BRIDGE_SECTION__KEY in the environment is read on top of it.
        calls: how many at once it is to serve.
        within_s: how long each question may take.
        json: print JSON instead: a list of check, verdict, detail, mend.
    """
    log_to_stderr("critical")  # what goes wrong is a finding
    findings = run(_told(config, calls, within_s, quiet=json))
    if json:
        show_json(findings)
    return int(any(finding.verdict == "fail" for finding in findings))


async def _told(path: Path | None, calls: int, within_s: float, *, quiet: bool) -> list[Finding]:
    """Every finding, shown as it comes unless `quiet`."""
    findings = []
    async for finding in _findings(path, calls, within_s):
        findings.append(finding)
        if not quiet:
            show(finding)
    return findings


async def _findings(path: Path | None, calls: int, within_s: float) -> AsyncIterator[Finding]:
    from bridge.config import load_config
    from bridge.doctor.examination import Examination
    from bridge.doctor.findings import SEE_INIT, failed, passed
    from bridge.doctor.web import Web

    try:
        config = load_config(path)
    except ConfigError as error:
        yield failed("config", str(error), SEE_INIT)
        return
    yield passed("config", str(path or "environment"))
    async with Web(within_s) as web:
        async for finding in Examination(config, str(path or "environment"), web, calls, within_s).findings():
            yield finding


def show(finding: Finding) -> None:
    """Print a finding: in colour where somebody watches, else plain."""
    lines = [f"{finding.check}: {finding.detail}", *([f"  mend: {finding.mend}"] if finding.mend else [])]
    first, *more = ("".join(c if c.isprintable() else "?" for c in line) for line in lines)
    if not sys.stdout.isatty():
        print(f"{finding.verdict}  {first}", *(f"    {line}" for line in more), sep="\n", flush=True)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(f"{finding.verdict}  ", _STYLES[finding.verdict]) + Text(first))
    for line in more:
        console.print(Text(f"    {line}", "bold"))
