"""README's phone agent: the rehearsal that it shows, the server that it names, and where the waits are told."""

from __future__ import annotations

import re
import shlex
import signal
from pathlib import Path

from tests.support.bridge import free_port
from tests.support.cli import ROOT, bridge, next_line, started


def section() -> str:
    readme = (ROOT / "README.md").read_text("utf-8")
    found = re.search(r"^## An agent that listens.*?\n(.*?)(?=^## )", readme, re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


def named(command: str) -> list[str]:
    """The arguments of the ``bridge`` command that begins so; files by their full path: tests write elsewhere."""
    found = re.search(rf"bridge ({command}[^`\n#]*)", section())
    assert found, f"README does not name `bridge {command}`"
    words = shlex.split(found[1])
    return [str(ROOT / word) if word.startswith("config/") else word for word in words]


def test_the_rehearsal_is_passed_and_can_be_heard(tmp_path: Path) -> None:
    done = bridge(*named("rehearse"), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "“Good morning, this is" in done.stdout and "FAIL" not in done.stdout
    assert (tmp_path / "receptionist.wav").stat().st_size > 100_000


def test_it_is_served_and_tells_how_long_callers_waited(tmp_path: Path) -> None:
    port = free_port()
    env = {
        "SMALLEST_API_KEY": "k",
        "BRIDGE_LIGHTNING__BASE_URL": "http://127.0.0.1:9",
        "BRIDGE_PULSE__BASE_URL": "http://127.0.0.1:9",
        "BRIDGE_SERVER__HOST": "127.0.0.1",
        "BRIDGE_SERVER__PORT": str(port),
        "BRIDGE_SERVER__PUBLIC_URL": f"http://127.0.0.1:{port}",
        "BRIDGE_CARRIERS__TWILIO__ACCOUNT_SID": "AC" + "0" * 32,
        "BRIDGE_CARRIERS__TWILIO__AUTH_TOKEN": "an-auth-token-for-tests",
    }
    with started(*named("serve"), cwd=tmp_path, **env) as process:
        assert "listening" in next_line(process)
        done = bridge(*named("turns"), cwd=tmp_path, stdin=b"", **env)
        assert done.returncode == 1 and "no such call" in done.stderr, done.stdout + done.stderr
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
