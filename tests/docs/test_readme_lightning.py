"""What the README shows to those who come for Lightning alone does what it says."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.emulators.lightning import EmulatedLightning
from telephony_codecs.formats import MULAW_8K
from telephony_codecs.wav import read_wav
from tests.support.cli import PATIENCE_S, ROOT, command, environment
from tests.support.lightning_thread import lightning_in_thread
from tests.support.tone_words import spoken

STORY = "Once upon a time there was a telephone. It rang."
#: Programs that the README takes for granted, as far as it needs them.
PROGRAMS = {
    "bridge": f'exec {shlex.join(command())} "$@"',
    "llm": f"printf '%s' {shlex.quote(STORY)}",
    "ffplay": "cat > played.wav",
}


def block(language: str) -> str:
    """The section's code in `language`."""
    readme = (ROOT / "README.md").read_text("utf-8")
    section = re.search(r"^## Lightning alone\n(.*?)(?=^## |\Z)", readme, re.DOTALL | re.MULTILINE)
    if section is None:
        pytest.skip("the README has no such section")
    found = re.search(rf"^```{language}\n(.*?)^```", section[1], re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


@pytest.fixture
def lightning() -> Iterator[EmulatedLightning]:
    with lightning_in_thread() as emulator:
        yield emulator


def run(arguments: list[str], folder: Path, lightning: EmulatedLightning) -> str:
    """Run it to its good end; returns what it printed."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    for name, script in PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    env = environment(
        SMALLEST_API_KEY="sk-a-key",
        BRIDGE_LIGHTNING__BASE_URL=lightning.url,
        PATH=f"{programs}{os.pathsep}{os.environ['PATH']}",
    )
    done = subprocess.run(
        arguments, cwd=folder, env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_lines_of_python(tmp_path: Path, lightning: EmulatedLightning) -> None:
    printed = run([sys.executable, "-P", "-c", block("python")], tmp_path, lightning)
    sizes = [int(size) for size in re.findall(r"^(\d+) bytes$", printed, re.MULTILINE)]
    assert len(sizes) > 1
    assert sum(sizes) == len(spoken("Good morning.", "sophia"))


def test_the_lines_of_shell(tmp_path: Path, lightning: EmulatedLightning) -> None:
    (tmp_path / "page.md").write_text("# A page\n\nWith **one** paragraph.\n")
    lines = block("sh").splitlines()
    printed = [run(["sh", "-c", line], tmp_path, lightning) for line in lines]
    assert "first byte" in printed[0]
    assert read_wav(tmp_path / "morning.wav").format.rate_hz == 24000
    assert read_wav(tmp_path / "studio.wav").format.rate_hz == 44100
    assert "With one paragraph." in " ".join(lightning.stats.texts)
    played = read_wav(tmp_path / "played.wav")
    assert (played.format, played.audio) == (MULAW_8K, spoken(STORY, "magnus"))
    assert "sophia" in json.dumps(json.loads(printed[-1]))
