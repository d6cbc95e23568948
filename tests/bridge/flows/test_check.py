"""What is said of flow files with mistakes: one file for each, and what `bridge flows check` says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.errors import ConfigError
from bridge.flows.check import check
from bridge.flows.model import Agent
from bridge.flows.reader import read_flow
from bridge.problems import Problem
from bridge.toml_source import TomlSource
from tests.support.source import ROOT

BROKEN = ROOT / "tests" / "data" / "flows" / "broken"
#: Every message, as it is printed.
MESSAGES = (BROKEN / "messages.txt").read_text("utf-8").splitlines()
FILES = sorted(BROKEN.glob("*.toml"))


def told(path: Path) -> list[str]:
    """All that is said of a file by itself."""
    try:
        source = TomlSource.parse(path.read_text("utf-8"), path.name)
    except ConfigError as error:
        return [str(Problem.of(error))]
    flow, book, problems = read_flow(source)
    if flow:
        problems += check(
            flow, book, agent_fault=fault_of, webhook_hosts=["api.example.com"], environ={"TOKEN"}
        )
    return [str(problem) for problem in sorted(problems)]


def fault_of(step: Agent) -> str:
    return "" if step.entrypoint == "clinic.desk:desk" else "there is no such agent"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_mistake_is_told_with_file_line_key_and_mend(path: Path) -> None:
    assert told(path) == [line for line in MESSAGES if line.startswith(f"{path.name}:")]


def test_no_message_is_left_over() -> None:
    assert {line.partition(":")[0] for line in MESSAGES} == {path.name for path in FILES}
