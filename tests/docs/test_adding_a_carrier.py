"""docs/carriers/adding.md, followed to the letter: what it writes, in a copy of the house, and what it runs."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.bridge import free_port
from tests.support.cli import PATIENCE_S, ROOT, environment

PAGE = (ROOT / "docs" / "carriers" / "adding.md").read_text("utf-8")
#: What the page takes for granted.
HOUSE = ("bridge", "codecs", "tests/support", "tests/bridge/carriers", "tests/data")
FILES = ("pyproject.toml", "tests/conftest.py")
#: What the page says is still to be written when its commands are run.
TO_BE_WRITTEN = {"test_every_carrier_has_its_page[pigeon]"}

A_CALL = """
import aiohttp

from bridge.emulators.call_report import Outcome
from bridge.emulators.caller_script import Cue, Press
from bridge.emulators.recording import ClearReceived, Faulted
from tests.bridge.carriers.cases.pigeon import CASES
from tests.support.bridge import stage
from tests.support.hearing import sent_to
from tests.support.tone_words import spoken


async def test_it_speaks() -> None:
    async with stage("tests.support.agents:says_hello", carrier="pigeon", section=CASES.section) as s:
        report = await s.call()
    assert report.outcome is Outcome.BRIDGE_CLOSED
    wanted = spoken("Hello from the bridge.")
    assert sent_to(report)[: len(wanted)] == wanted
    assert report.of(Faulted) == []


async def test_it_is_interrupted() -> None:
    async with stage("tests.support.agents:says_long", carrier="pigeon", section=CASES.section) as s:
        report = await s.call(Press("5", Cue(after_bridge_speaks_ms=400)))
    assert len(report.of(ClearReceived)) == 1
    assert report.of(Faulted) == []


async def test_the_gate_refuses_who_is_not_signed() -> None:
    async with stage("tests.support.agents:says_hello", carrier="pigeon", section=CASES.section) as s:
        assert CASES.webhook is not None
        async with aiohttp.ClientSession() as session:
            url = f"{s.config.server.public_url}/carriers/pigeon/answer"
            async with session.post(url, data=CASES.webhook.body) as response:
                assert response.status == 403
        assert s.nothing_started
"""

WHAT_IS_THERE = """
from bridge.carriers.registry import carrier_types, carriers_from
from bridge.config import load_config

print("pigeon" in carrier_types())
print(list(carriers_from(load_config(environ={"BRIDGE_CARRIERS__PIGEON__SECRET": "x"}).carriers)))
print(list(carriers_from(load_config(environ={}).carriers)))
"""


def files() -> dict[str, str]:
    """Every file that the page writes: those with their path above them, and the frames."""
    named = re.findall(r"`([\w/]+\.py)`:\n\n```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    frames = re.search(r"^```text\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert frames is not None
    lines = (line.partition(" ") for line in frames[1].splitlines())
    return dict(named) | {f"tests/data/pigeon/{name}": message + "\n" for name, _, message in lines}


def commands() -> list[list[str]]:
    """What the page runs."""
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the house, with what the page adds."""
    copy = tmp_path_factory.mktemp("house")
    for name in HOUSE:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, copy / name)
    for name, text in files().items():
        path = copy / name
        assert not path.exists(), "the page writes over something"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return copy


def python(house: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the copy, which sees the copy alone."""
    path = f"{house}:{house / 'codecs'}"
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=house,
        env=environment(PYTHONPATH=path, PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE_S,
        check=False,
    )


def test_the_page_writes_one_module_one_table_and_one_emulator() -> None:
    assert [name for name in files() if name.endswith(".py")] == [
        "bridge/carriers/pigeon.py",
        "tests/bridge/carriers/cases/pigeon.py",
        "bridge/emulators/carriers/pigeon.py",
    ]


def test_the_registry_finds_it_and_serves_it_with_its_secret_alone(house: Path) -> None:
    done = python(house, "-c", WHAT_IS_THERE)
    assert (done.stdout.splitlines(), done.stderr) == (["True", "['pigeon']", "[]"], "")


def test_what_the_page_runs_passes_but_for_what_it_says(house: Path) -> None:
    (command,) = [command for command in commands() if command[:3] == ["python", "-m", "pytest"]]
    done = python(house, *command[1:], "-p", "no:cacheprovider")
    failed = set(re.findall(r"^FAILED \S+::(\S+)", done.stdout, re.MULTILINE))
    assert failed == TO_BE_WRITTEN, done.stdout[-3000:]
    (passed,) = re.findall(r"(\d+) passed", done.stdout)
    assert int(passed) > 80


def test_a_call_over_it_speaks_stops_and_is_let_in_by_its_signature_alone(house: Path) -> None:
    """By the page's own emulator, over loopback, against an emulated Lightning."""
    test = house / "tests" / "test_a_call_by_pigeon.py"
    test.write_text(A_CALL, "utf-8")
    done = python(house, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test))
    assert done.returncode == 0, done.stdout[-3000:]


def test_the_command_that_calls_knows_it(house: Path) -> None:
    """Nobody answers at this port, and so much it finds out only once it has signed as Pigeon."""
    (command,) = [command for command in commands() if command[0] == "bridge"]
    assert command[1:3] == ["emulate", "caller"] and command[4:] == [
        "--carrier",
        "pigeon",
        "--config",
        "bridge.toml",
    ]
    (house / "bridge.toml").write_text('[carriers.pigeon]\nsecret = "breadcrumbs"\n', "utf-8")
    nobody = f"http://127.0.0.1:{free_port()}"
    done = python(house, "-m", "bridge", *command[1:3], nobody, *command[4:])
    assert (done.returncode, done.stderr) == (1, "")
    assert "unreachable" in done.stdout
