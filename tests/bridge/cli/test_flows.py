"""``bridge flows``: what is wrong with menus, how they look, and taking new ones into service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.config import load_config
from bridge.server.serve import running
from tests.support.bridge import free_port
from tests.support.cli import Invoke
from tests.support.in_thread import in_thread
from tests.support.menus import CONFIG, DESK, write_menus
from tests.support.public_door import PublicDoor

TOKEN = "an-admin-token-that-stays-secret"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_menus(tmp_path)


def change(folder: Path, old: str, new: str, file: str = "flows/desk.toml") -> int:
    """Change a file, which must hold `old`. Returns the line."""
    text = (folder / file).read_text()
    before, found, after = text.partition(old)
    assert found
    (folder / file).write_text(before + new + after)
    return before.count("\n") + 1


def test_nothing_is_wrong(invoke: Invoke, config: Path) -> None:
    done = invoke("flows", "check", "-c", config)
    assert (done.code, done.out, done.err) == (0, "", "1 flow checked: nothing is wrong\n")


def test_a_mistake_is_told_with_its_line_and_its_mend(invoke: Invoke, config: Path, tmp_path: Path) -> None:
    line = change(tmp_path, 'next = "ask"', 'next = "aks"')
    done = invoke("flows", "check", "-c", config)
    assert done.code == 1
    first = next(told for told in done.out.splitlines() if "steps.pin.next" in told)
    assert first.startswith(f"{tmp_path}/flows/desk.toml:{line}: steps.pin.next: ")
    assert "did you mean `ask`?" in first
    assert done.err.startswith("1 flow checked: ")


def test_mistakes_as_json(invoke: Invoke, config: Path, tmp_path: Path) -> None:
    line = change(tmp_path, 'next = "ask"', 'next = "aks"')
    done = invoke("flows", "check", "--json", "-c", config)
    assert done.code == 1
    problem = next(told for told in json.loads(done.out) if told["key"] == "steps.pin.next")
    assert (problem["file"], problem["line"]) == (f"{tmp_path}/flows/desk.toml", line)
    assert problem["fatal"] is True
    assert json.loads(invoke("flows", "check", "--json", "-c", write_menus_in(tmp_path / "b")).out) == []


def write_menus_in(folder: Path) -> Path:
    folder.mkdir()
    return write_menus(folder)


def test_warnings_alone_are_no_failure(invoke: Invoke, config: Path, tmp_path: Path) -> None:
    change(tmp_path, "[steps.menu]", '[hours.never]\ndays = { mon = ["09:00-10:00"] }\n[steps.menu]')
    done = invoke("flows", "check", "-c", config)
    assert (done.code, done.err) == (0, "1 flow checked: 1 warning\n")
    assert "warning: hours.never" in done.out


def test_one_flow_alone(invoke: Invoke, config: Path, tmp_path: Path) -> None:
    (tmp_path / "flows" / "other.toml").write_text(DESK.replace('start = "menu"', 'start = "mneu"'))
    assert invoke("flows", "check", "desk", "-c", config).code == 0
    assert invoke("flows", "check", tmp_path / "flows" / "desk.toml", "-c", config).code == 0
    assert invoke("flows", "check", "other", "-c", config).code == 1
    assert invoke("flows", "check", "-c", config).code == 1


def test_a_flow_that_cannot_be_read_at_all(invoke: Invoke, config: Path, tmp_path: Path) -> None:
    (tmp_path / "flows" / "desk.toml").write_text("[steps\n")
    for command in (("check",), ("check", "desk"), ("draw", "desk"), ("try", "desk")):
        done = invoke("flows", *command, "-c", config)
        assert done.code in (1, 2)
        assert "desk.toml" in done.out + done.err
        assert "is not TOML" in done.out + done.err


def test_an_agent_that_is_not_there(invoke: Invoke, config: Path, tmp_path: Path) -> None:
    change(tmp_path, 'do = "hang_up"', 'do = "agent"\nentrypoint = "nowhere:agent"')
    done = invoke("flows", "check", "-c", config)
    assert done.code == 1
    assert "nowhere" in done.out


def test_a_recording_that_is_none(invoke: Invoke, config: Path, tmp_path: Path) -> None:
    (tmp_path / "prompts" / "jingle.wav").write_text("this is no recording")
    done = invoke("flows", "check", "-c", config)
    assert done.code == 1
    assert "jingle" in done.out


def test_flows_beside_the_configuration_of_another_agent(invoke: Invoke, tmp_path: Path) -> None:
    config = write_menus(tmp_path, config=CONFIG.replace("ivr:ivr", "greeter:greeter"))
    assert invoke("flows", "check", "-c", config).err == "1 flow checked: nothing is wrong\n"


@pytest.mark.parametrize(
    "arguments, told",
    [
        (("check",), "flows.folder: is not set, and no folder flows or prompts is beside the configuration"),
        (("check", "-c", "none.toml"), "none.toml: cannot be read"),
        (("check", "dusk", "-c", "bridge.toml"), "FLOW: there is no flow 'dusk'; did you mean desk?"),
        (("draw", "dusk", "-c", "bridge.toml"), "FLOW: there is no flow 'dusk'; did you mean desk?"),
        (("draw", "none.toml", "-c", "bridge.toml"), "none.toml: FLOW: there is no such file"),
    ],
)
def test_wrong_use(invoke: Invoke, config: Path, arguments: tuple[str, ...], told: str) -> None:
    done = invoke("flows", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"bridge: {told}")


def test_a_picture(invoke: Invoke, config: Path) -> None:
    text, mermaid = (
        invoke("flows", "draw", "desk", *more, "-c", config) for more in ((), ("--format", "mermaid"))
    )
    assert (text.code, text.err) == (mermaid.code, mermaid.err) == (0, "")
    assert text.out.startswith("desk: The desk\n")
    assert mermaid.out.startswith(("flowchart", "---"))
    for step in ("menu", "pin", "ask", "bye"):
        assert step in text.out
        assert step in mermaid.out


# -- reload ------------------------------------------------------------------------------------------------------------

SERVED = """
[server]
host = "127.0.0.1"
port = {port}
public_url = "http://127.0.0.1:{port}"
{more}
[carriers.twilio]
auth_token = "t"
"""


def serve_config(folder: Path, port: int, more: str = "") -> Path:
    lightning = 'base_url = "http://127.0.0.1:9"\napi_key = "k"'
    served = CONFIG.replace("[lightning]", f"[lightning]\n{lightning}") + SERVED.format(port=port, more=more)
    return write_menus(folder, config=served)


@contextmanager
def bridge(path: Path) -> Iterator[None]:
    with in_thread(running(load_config(path, {}), source=str(path))):
        yield


def test_a_bridge_takes_new_files_and_refuses_bad_ones(invoke: Invoke, tmp_path: Path) -> None:
    port = free_port()
    config = serve_config(tmp_path, port, f'admin_token = "{TOKEN}"')
    with bridge(config):
        done = invoke("flows", "reload", "-c", config)
        where = f"http://127.0.0.1:{port}"
        assert (done.code, done.err) == (0, "")
        assert done.out == f"edition 2 is in service at {where}: 1 flow, 5 prompts\n"
        line = change(tmp_path, 'next = "ask"', 'next = "aks"')
        done = invoke("flows", "reload", "-c", config)
        assert (done.code, done.out) == (1, "")
        assert f"desk.toml:{line}: steps.pin.next: " in done.err
        assert done.err.endswith(
            f"bridge: the bridge at {where} refused the new files; the old ones stay in service\n"
        )
        config.write_text(config.read_text().replace(TOKEN, "another"))
        done = invoke("flows", "reload", "-c", config)
        assert done.code == 2
        assert "server.admin_token: is not that of the bridge that runs" in done.err
        assert TOKEN not in done.err


def test_no_bridge_runs_here(invoke: Invoke, tmp_path: Path) -> None:
    port = free_port()
    done = invoke("flows", "reload", "-c", serve_config(tmp_path, port))
    assert (done.code, done.out) == (1, "")
    assert done.err == f"bridge: no bridge runs at http://127.0.0.1:{port}: start it with `bridge serve`\n"


def test_the_port_is_a_strangers(invoke: Invoke, tmp_path: Path) -> None:
    with in_thread(PublicDoor(website=True)) as stranger:
        done = invoke("flows", "reload", "-c", serve_config(tmp_path, int(stranger.url.rpartition(":")[2])))
    assert done.code == 1
    assert "no bridge runs at" in done.err
