"""``bridge emulate pulse``: what it is given, and what it says of what it cannot use."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from bridge.emulators import pulse as emulator
from bridge.emulators.pulse_options import PulseEmulatorOptions
from bridge.emulators.scripted_words import ScriptedWords
from tests.support.cli import Invoke


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command would have listened with."""
    given: dict[str, Any] = {}

    async def run(recogniser: object, **how: Any) -> None:
        given.update(how, recogniser=recogniser)

    monkeypatch.setattr(emulator, "run", run)
    return given


def test_its_defaults_are_the_realistic_ones(invoke: Invoke, started: dict[str, Any]) -> None:
    done = invoke("emulate", "pulse")
    assert (done.code, done.err) == (0, "")
    assert (started["host"], started["port"]) == ("127.0.0.1", emulator.DEFAULT_PORT)
    assert started["options"] == PulseEmulatorOptions.realistic()
    assert len(started["recogniser"].lines) == 3


def test_each_switch_is_one_of_the_emulators(invoke: Invoke, started: dict[str, Any]) -> None:
    numbers: dict[str, Any] = {
        "partial_ms": 1,
        "final_ms": 2,
        "partial_every_ms": 3,
        "concurrency": 4,
        "refuse": 401,
    }
    numbers |= {"handshake_ms": 5, "flood": 6, "drop_after_ms": 7, "error_after_ms": 8, "faulty_sockets": 9}
    flags: dict[str, Any] = dict.fromkeys(("close_at_once", "hang", "ignore_finalize", "garbage"), True)
    asked = [word for name, value in numbers.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    asked += [f"--{name.replace('_', '-')}" for name in flags]
    assert invoke("emulate", "pulse", *asked).code == 0
    assert started["options"] == PulseEmulatorOptions(**numbers, **flags)


def test_a_script(invoke: Invoke, started: dict[str, Any], tmp_path: Path) -> None:
    script = tmp_path / "lines.txt"
    script.write_text("Hello\n\n  Namaste, \N{DEVANAGARI LETTER HA}\n", "utf-8")
    assert invoke("emulate", "pulse", "--script", str(script)).code == 0
    assert isinstance(started["recogniser"], ScriptedWords)
    assert started["recogniser"].lines == ("Hello", "Namaste, \N{DEVANAGARI LETTER HA}")


@pytest.mark.parametrize("script, fault", [(b"\xff\xfe\x00", "is not UTF-8"), (b"\n \n", "has no line")])
def test_a_script_that_nobody_can_say(
    script: bytes, fault: str, invoke: Invoke, started: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "lines.txt"
    file.write_bytes(script)
    done = invoke("emulate", "pulse", "--script", str(file))
    assert done.code == 2
    assert f"--script: {fault}" in done.err
    assert started == {}


def test_a_recogniser_that_is_not_installed(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    done = invoke("emulate", "pulse", "--recogniser", "pocketsphinx")
    assert done.code == 2
    assert "--recogniser: PocketSphinx is not installed" in done.err


def test_a_port_that_is_taken(invoke: Invoke) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = invoke("emulate", "pulse", "--port", str(taken.getsockname()[1]))
    assert done.code == 2
    assert "--port: cannot listen on 127.0.0.1" in done.err
