"""``bridge emulate llm``: what it is given, and what it says of what it cannot use."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, get_args

import pytest

from bridge.cli.emulate_llm import FaultName
from bridge.emulators import llm as emulator
from bridge.emulators.llm import Fault, LlmOptions
from tests.support.cli import Invoke


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command would have listened with."""
    given: dict[str, Any] = {}

    async def run(**how: Any) -> None:
        given.update(how)

    monkeypatch.setattr(emulator, "run", run)
    return given


def test_its_defaults_are_a_quick_model_of_any_name(invoke: Invoke, started: dict[str, Any]) -> None:
    done = invoke("emulate", "llm")
    assert (done.code, done.err) == (0, "")
    assert started == {
        "host": "127.0.0.1",
        "port": emulator.DEFAULT_PORT,
        "rules": None,
        "options": LlmOptions(model="", first_token_ms=200.0, token_ms=20.0),
    }


def test_each_switch_is_one_of_the_emulators(invoke: Invoke, started: dict[str, Any]) -> None:
    wanted: dict[str, Any] = {"model": "m", "first_token_ms": 1.0, "token_ms": 2.0, "fault": "stall"}
    wanted |= {"fault_after": 3, "faulty_requests": 4, "retry_after_s": 5.0}
    asked = [word for name, value in wanted.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    assert invoke("emulate", "llm", *asked).code == 0
    assert started["options"] == LlmOptions(**wanted)


def test_every_fault_can_be_asked_for() -> None:
    assert {"", *get_args(FaultName)} == set(get_args(Fault))


def test_rules_that_are_wrong(invoke: Invoke, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rule]]\nwhen = "("\n')
    done = invoke("emulate", "llm", "--rules", str(rules))
    assert done.code == 2
    assert "rules.toml: rule[0]: is no regular expression" in done.err


def test_a_port_that_is_taken(invoke: Invoke) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = invoke("emulate", "llm", "--port", str(taken.getsockname()[1]))
    assert done.code == 2
    assert "--port: cannot listen on 127.0.0.1" in done.err
