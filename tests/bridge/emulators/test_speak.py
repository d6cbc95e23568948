"""The offline voice as a program of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from telephony_codecs.wav import read_wav
from tests.support.cli import environment

PROGRAM = (sys.executable, "-P", "-m", "bridge.emulators.speak")


def speak(text: str, *arguments: str, before: str = "") -> subprocess.CompletedProcess[bytes]:
    """Run it; `before` is what its Python does first."""
    program = PROGRAM
    if before:
        run = "import runpy; runpy.run_module('bridge.emulators.speak', run_name='__main__', alter_sys=True)"
        program = (sys.executable, "-P", "-c", f"{before}; {run}")
    return subprocess.run([*program, *arguments], input=text.encode(), env=environment(), capture_output=True)


def test_it_speaks_a_wav() -> None:
    pytest.importorskip("espeakng_loader")
    done = speak("Hello there.", "--language", "en", "--voice-id", "magnus")
    assert (done.returncode, done.stderr) == (0, b"")
    wav = read_wav(done.stdout)
    assert wav.channels == 1
    assert 300 < wav.duration_ms < 3000
    assert read_wav(speak("Hello there.", "--speed", "2").stdout).duration_ms < wav.duration_ms


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        (" \n", (), "standard input is empty"),
        ("Hello.", ("--language", "xx"), "no voice xx"),
        ("Hello.", ("--speed", "fast"), "--speed"),
    ],
)
def test_why_it_does_not_is_in_the_last_line(text: str, arguments: tuple[str, ...], said: str) -> None:
    pytest.importorskip("espeakng_loader")
    done = speak(text, *arguments)
    assert done.returncode != 0
    assert done.stdout == b""
    assert said in done.stderr.decode().splitlines()[-1]


def test_without_the_extra_it_names_it() -> None:
    done = speak("Hello.", before="import sys; sys.modules['espeakng_loader'] = None")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"lightning-phone-bridge[demo]" in done.stderr.splitlines()[-1]


def test_it_does_not_wait_for_numpy() -> None:
    script = "import sys, bridge.emulators.speak; print([name for name in ('numpy', 'aiohttp') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"
