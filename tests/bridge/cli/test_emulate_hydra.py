"""``bridge emulate hydra``: what it is given, and what it says of what it cannot use."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from bridge.emulators import hydra as emulator
from bridge.emulators.hydra_options import HydraEmulatorOptions, HydraScript, Step
from tests.support.cli import Invoke


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command would have listened with."""
    given: dict[str, Any] = {}

    async def run(**how: Any) -> None:
        given.update(how)

    monkeypatch.setattr(emulator, "run", run)
    return given


def test_its_defaults_are_the_pace_that_is_claimed(invoke: Invoke, started: dict[str, Any]) -> None:
    done = invoke("emulate", "hydra", "--engine", "tones")
    assert (done.code, done.err) == (0, "")
    assert started.pop("engine").name == "tones"
    assert started == {
        "host": "127.0.0.1",
        "port": emulator.DEFAULT_PORT,
        "script": None,
        "options": HydraEmulatorOptions.realistic(),
    }


def test_each_switch_is_one_of_the_emulators(invoke: Invoke, started: dict[str, Any]) -> None:
    numbers: dict[str, Any] = {"answer_ms": 1.0, "silence_ms": 2.0, "realtime_factor": 3.0, "concurrency": 4}
    numbers |= {"idle_timeout_s": 5.0, "refuse": 503, "flood": 6, "drop_after_ms": 7.0, "faulty_sessions": 8}
    flags = ("transcripts", "full", "mute", "hang", "garbage", "keeps_talking", "odd_chunks")
    asked = [word for name, value in numbers.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    asked += [f"--{name.replace('_', '-')}" for name in flags]
    assert invoke("emulate", "hydra", *asked).code == 0
    assert started["options"] == HydraEmulatorOptions(**(numbers | dict.fromkeys(flags, True)))


def test_a_script_is_read(invoke: Invoke, started: dict[str, Any], tmp_path: Path) -> None:
    script = tmp_path / "script.toml"
    script.write_text(
        'greeting = "Hi."\n[[turns]]\nsay = "One."\n[[turns]]\ncall = "f"\narguments = {x = 1}\n'
    )
    assert invoke("emulate", "hydra", "--script", str(script)).code == 0
    turns = [Step(say="One."), Step(call="f", arguments={"x": 1})]
    assert started["script"] == HydraScript(greeting="Hi.", turns=turns)


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("greting = 'Hi.'", "did you mean"),
        ("[[turns]]\nthen = 'x'", "either `say` or `call`"),
        ("[[turns", "is not TOML"),
    ],
)
def test_a_script_that_is_wrong(invoke: Invoke, tmp_path: Path, text: str, mend: str) -> None:
    script = tmp_path / "script.toml"
    script.write_text(text)
    done = invoke("emulate", "hydra", "--script", str(script))
    assert done.code == 2
    assert "script.toml" in done.err
    assert mend in done.err


def test_a_port_that_is_taken(invoke: Invoke) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = invoke("emulate", "hydra", "--port", str(taken.getsockname()[1]))
    assert done.code == 2
    assert "--port: cannot listen on 127.0.0.1" in done.err
