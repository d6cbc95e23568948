"""``bridge flows``: phone menus, checked, drawn, tried, and taken into service."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from cyclopts import App, Parameter

from bridge.cli.account import note, show_json
from bridge.cli.edition import Files, counted, files_of, named_flow, settings_for_flows, show_problems
from bridge.cli.flow_try import try_flow
from bridge.cli.local_bridge import local_bridge
from bridge.cli.running import ConfigPath, Flag, log_to_stderr, run
from bridge.errors import BridgeError

if TYPE_CHECKING:
    from bridge.config import Config
    from bridge.flows.model import Flow
    from bridge.problems import Problem

flows = App(
    name="flows",
    help="Phone menus from files: check, draw, try, reload.",
    help_epilogue="",
    sort_key=8,
)
flows.command(try_flow, name="try")

#: How wide a picture is that goes into a file.
PRINTED_COLUMNS: Final = 100
#: Prompts are read into memory meanwhile.
RELOADED_WITHIN_S: Final = 120.0


@flows.command
def check(
    names: Annotated[list[str] | None, Parameter(name="FLOW", negative="", show_default=False)] = None,
    /,
    *,
    json: Flag = False,
    config: ConfigPath = None,
) -> int:
    """Tell what is wrong with flows and prompts, by file, line and key.

    Whole graphs are checked: steps that are not there or never reached, loops without an end, prompts and agents that
    are missing. Needs no key and no network. Exit code 1 means that a bridge would refuse the files; warnings alone do
    not.

    Args:
        names: only these flows, by name or file; all flows and prompts when left out.
        json: print JSON instead of lines.
        config: the bridge's TOML file; its folders flows and prompts are beside it unless it names others.
    """
    files, wanted = _files(config, names or [], agents=True)
    problems = sorted({*files.problems, *files.shelf.warm()})
    if wanted:
        sources = {flow.source for flow in wanted}
        problems = [problem for problem in problems if problem.source in sources]
    if json:
        show_json([_as_json(problem) for problem in problems])
    else:
        show_problems(problems)
    fatal = sum(problem.fatal for problem in problems)
    count = len(wanted or files.flows)
    note(_verdict(count, fatal, len(problems) - fatal))
    return 1 if fatal else 0


@flows.command
def draw(
    flow: str,
    /,
    *,
    format: Literal["text", "mermaid"] = "text",
    config: ConfigPath = None,
) -> int:
    """Print a flow as a picture.

    Args:
        flow: its name, or its file.
        format: text for a terminal, or mermaid for a document: many viewers of Markdown draw it.
        config: the bridge's TOML file.
    """
    from bridge.flows import draw as drawing

    files, (found,) = _files(config, [flow])
    if not found.whole:
        files.require((p for p in files.problems if p.source == found.source), f"bridge flows check {flow}")
    if format == "mermaid":
        picture = drawing.mermaid(found, files.book)
    else:
        columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else PRINTED_COLUMNS
        picture = drawing.text(found, files.book, width=columns)
    print(picture.rstrip("\n"))
    return 0


@flows.command
def reload(*, config: ConfigPath = None) -> int:
    """Have the bridge that runs on this machine read its flows and prompts again.

    Calls that are on keep what they began with; new ones get the new files. Files with a mistake are refused, the old
    ones stay in service, and the exit code is 1. A SIGHUP does the same.

    Args:
        config: the bridge's TOML file: server.port and server.admin_token say where it is and that you may ask.
    """
    from bridge.config import load_config

    log_to_stderr("error")
    return run(_reload(load_config(config)))


async def _reload(config: Config) -> int:
    from bridge.doctor.web import local_url

    async with local_bridge(config, RELOADED_WITHIN_S) as bridge:
        if bridge is None:
            raise BridgeError(f"no bridge runs at {local_url(config.server)}: start it with `bridge serve`")
        answer, error = await bridge.post(
            "/flows/reload", {}, refusal="which reads its files for nobody else"
        )
        told = answer.json()
        told = told if isinstance(told, dict) else {}
        for problem in _strings(told.get("problems")):
            note(problem)
        if answer.status == 200:
            counts = ", ".join(counted(_number(told.get(f"{what}s")), what) for what in ("flow", "prompt"))
            print(f"edition {told.get('edition')} is in service at {bridge.url}: {counts}")
            return 0
        if answer.status == 422:
            raise BridgeError(
                f"the bridge at {bridge.url} refused the new files; the old ones stay in service"
            )
        why = error or str(told.get("error") or f"HTTP {answer.status}")
        raise BridgeError(f"the bridge at {bridge.url} did not read its files again: {why}")


def _strings(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _files(config: Path | None, names: list[str], *, agents: bool = False) -> tuple[Files, list[Flow]]:
    """All files, and the flows that are named, by name or by file."""
    settings = settings_for_flows(config)
    known = []
    for name in names:
        settings, flow = named_flow(settings, name)
        known.append(flow)
    files = files_of(settings, str(config or ""), agents=agents)
    return files, [files.flow(name) for name in known]


def _as_json(problem: Problem) -> dict[str, object]:
    return {
        "file": problem.source,
        "line": problem.line,
        "key": problem.key,
        "reason": problem.reason,
        "fatal": problem.fatal,
    }


def _verdict(flows: int, fatal: int, warnings: int) -> str:
    counts = ((fatal, "error"), (warnings, "warning"))
    found = ", ".join(counted(count, what) for count, what in counts if count)
    return f"{counted(flows, 'flow')} checked: {found or 'nothing is wrong'}"
