"""README's phone menus: each command of the section, and the whole menu that it shows."""

from __future__ import annotations

import re
import shlex
import signal
from importlib.resources import files
from pathlib import Path

from bridge.emulators.lightning import EmulatedLightning
from bridge.emulators.lightning_options import EmulatorOptions
from tests.support.bridge import free_port
from tests.support.cli import ROOT, bridge, next_line, started
from tests.support.in_thread import in_thread


def section() -> str:
    readme = (ROOT / "README.md").read_text("utf-8")
    found = re.search(r"^## Phone menus without Python\n(.*?)(?=^## )", readme, re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


def commands() -> list[list[str]]:
    """The arguments of each ``bridge`` command, in order; files by their full path, because tests write elsewhere."""
    blocks = "\n".join(re.findall(r"^```sh\n(.*?)^```", section(), re.DOTALL | re.MULTILINE))
    lines = [shlex.split(line, comments=True) for line in re.findall(r"^bridge (.*)", blocks, re.MULTILINE)]
    full = str(ROOT / "config" / "ivr.toml")
    return [[full if word == "config/ivr.toml" else word for word in words] for words in lines]


def test_each_command_in_its_order(tmp_path: Path) -> None:
    tried, checked, drawn, rendered, served, reloaded = commands()
    port = free_port()
    lightning = EmulatedLightning(EmulatorOptions(first_byte_ms=0, concurrency=20))
    with in_thread(lightning):
        env = {
            "SMALLEST_API_KEY": "k",
            "BRIDGE_LIGHTNING__BASE_URL": lightning.url,
            "BRIDGE_LIGHTNING__CONCURRENCY": "20",
            "BRIDGE_PROMPTS__CACHE": str(tmp_path / "cache"),
            "BRIDGE_FLOWS__RECORDINGS": str(tmp_path / "recordings"),
            "BRIDGE_SERVER__HOST": "127.0.0.1",
            "BRIDGE_SERVER__PORT": str(port),
            "BRIDGE_SERVER__PUBLIC_URL": f"http://127.0.0.1:{port}",
            "BRIDGE_CARRIERS__TWILIO__AUTH_TOKEN": "an-auth-token-for-tests",
        }
        done = bridge(*checked, cwd=tmp_path, stdin=b"", **env)
        assert (done.returncode, done.stderr) == (0, "3 flows checked: nothing is wrong\n"), done.stdout
        done = bridge(*drawn, cwd=tmp_path, stdin=b"", **env)
        assert done.returncode == 0 and "press one" in done.stdout, done.stderr
        done = bridge(*rendered, cwd=tmp_path, stdin=b"", **env)
        assert done.returncode == 0, done.stderr
        done = bridge(*tried, "--pace", "100", cwd=tmp_path, stdin=b"2\n", **env)
        assert "opening hours" in done.stdout and (tmp_path / "flow.wav").exists(), done.stderr
        with started(*served, cwd=tmp_path, **env) as process:
            assert "listening" in next_line(process)
            done = bridge(*reloaded, cwd=tmp_path, stdin=b"", **env)
            assert done.returncode == 0, done.stderr
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0


def test_the_menu_that_it_shows_is_the_one_that_init_writes() -> None:
    (menu,) = re.findall(r"^```toml\n(.*?)^```", section(), re.DOTALL | re.MULTILINE)
    written = files("bridge.cli").joinpath("hello.toml").read_text("utf-8")
    assert written.endswith(f"\n\n{menu}")
