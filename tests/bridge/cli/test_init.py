"""``bridge init``: the file it writes says what the code does."""

from __future__ import annotations

import os
import re
import stat
from importlib.resources import files
from pathlib import Path

import msgspec
import pytest

from bridge.agents.greeter import GreeterOptions
from bridge.carriers.registry import carrier_types
from bridge.carriers.twilio import TwilioConfig
from bridge.config import AgentConfig, CarriersConfig, Config, FlowsConfig, PulseConfig, load_config
from tests.support.cli import ROOT, Invoke

TEMPLATE = files("bridge.cli").joinpath("bridge.toml").read_text("utf-8")
#: A setting, or an optional section, that is commented out: "#" and no blank.
SETTING = re.compile(r"^#(?=\w+ = |\[(?:carriers\.|pulse))", re.MULTILINE)


def settings_of(config: msgspec.Struct) -> set[str]:
    names = set()
    for field in msgspec.structs.fields(config):
        value = getattr(config, field.name)
        below = (
            settings_of(value)
            if isinstance(value, msgspec.Struct)
            else value
            if isinstance(value, dict)
            else ()
        )
        names |= {f"{field.name}.{name}" for name in below} or {field.name}
    return names


def test_what_is_commented_out_is_what_holds_anyway(tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text(SETTING.sub("", TEMPLATE), "utf-8")
    assert load_config(path, {}) == Config(
        flows=FlowsConfig(recordings=str(tmp_path / "recordings")),  # beside the file
        pulse=PulseConfig(),
        carriers=CarriersConfig(**{name: carrier.section() for name, carrier in carrier_types().items()}),
        agent=AgentConfig(options=msgspec.structs.asdict(GreeterOptions())),
    )


def test_every_setting_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text(SETTING.sub("", TEMPLATE), "utf-8")
    told, section = set(), ""
    for line in path.read_text("utf-8").splitlines():
        if header := re.fullmatch(r"\[([\w.]+)\]", line):
            section = header[1]
        elif setting := re.match(r"(\w+) = ", line):
            told.add(f"{section}.{setting[1]}")
    assert told == settings_of(load_config(path, {}))


def test_as_it_stands_it_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text(TEMPLATE, "utf-8")
    assert load_config(path, {}) == Config(
        flows=FlowsConfig(recordings=str(tmp_path / "recordings")),
        carriers=CarriersConfig(twilio=TwilioConfig()),
    )


@pytest.mark.parametrize("name", list(carrier_types()))
def test_each_carrier_says_what_it_needs(name: str) -> None:
    """Without it, the carrier is not served: it is the first that is told of its section."""
    told = re.search(rf"^#?\[carriers\.{name}\]\n(.*?)(?=^\n?#?\[)", TEMPLATE, re.MULTILINE | re.DOTALL)
    assert told
    needed = told[1][re.search(r"^# (NEEDED|FILL IN): ", told[1], re.MULTILINE).start() :]  # type: ignore[union-attr]
    carrier = carrier_types()[name]
    assert [key for key, _ in carrier(carrier.section()).missing() if f"#{key} = " not in needed] == []


def test_it_marks_what_must_be_filled_in() -> None:
    assert re.findall(r"^# FILL IN:.*?^#(\w+) = ", TEMPLATE, re.MULTILINE | re.DOTALL) == [
        "public_url",
        "api_key",
        "auth_token",
    ]


def test_the_one_in_config_is_the_same() -> None:
    assert (ROOT / "config" / "bridge.toml").read_text("utf-8") == TEMPLATE


def test_it_writes_it_and_says_what_to_do_next(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("init", "deep/folder")
    path = tmp_path / "deep" / "folder" / "bridge.toml"
    assert (done.code, done.err) == (0, "")
    assert path.read_text("utf-8") == TEMPLATE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600, "secrets are going to stand in it"
    assert "bridge serve --config deep/folder/bridge.toml" in done.out
    assert "server.public_url, lightning.api_key and carriers.twilio.auth_token" in done.out


def test_without_a_folder_it_is_this_one(invoke: Invoke, tmp_path: Path) -> None:
    assert invoke("init").code == 0
    assert (tmp_path / "bridge.toml").is_file()


def test_it_overwrites_nothing_unless_told_to(invoke: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text("mine")
    done = invoke("init")
    assert (done.code, done.err) == (2, "bridge: bridge.toml: is there already; --force overwrites it\n")
    assert path.read_text() == "mine"
    assert invoke("init", "--force").code == 0
    assert path.read_text("utf-8") == TEMPLATE


def test_with_a_menu_it_can_be_tried_at_once(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("init", "--menu")
    assert (done.code, done.err) == (0, "")
    assert "bridge flows try hello --config bridge.toml" in done.out
    changes = {
        key: getattr(load_config(tmp_path / "bridge.toml", {}).agent, key)
        for key in ("entrypoint", "options")
    }
    assert changes == {"entrypoint": "bridge.agents.ivr:ivr", "options": {"flow": "hello"}}
    told = invoke(
        "flows", "try", "hello", "--config", "bridge.toml", "--silent", "--pace", "100", "--keys", "0"
    )
    assert told.code == 0
    assert "the caller is transferred to +15550100010" in told.out
    assert invoke("flows", "check", "--config", "bridge.toml").code == 0


def test_a_menu_that_is_there_is_not_overwritten_and_nothing_half_written(
    invoke: Invoke, tmp_path: Path
) -> None:
    menu = tmp_path / "flows" / "hello.toml"
    menu.parent.mkdir()
    menu.write_text("mine")
    done = invoke("init", "--menu")
    assert (done.code, done.err) == (2, "bridge: flows/hello.toml: is there already; --force overwrites it\n")
    assert menu.read_text() == "mine"
    assert not (tmp_path / "bridge.toml").exists()


def test_a_link_that_leads_nowhere_counts_as_there(invoke: Invoke, tmp_path: Path) -> None:
    os.symlink(tmp_path / "elsewhere", tmp_path / "bridge.toml")
    assert invoke("init").code == 2
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("below", ["file", "file/deeper"])
def test_a_folder_that_cannot_be(invoke: Invoke, tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    done = invoke("init", below)
    assert done.code == 2
    assert done.err.startswith(f"bridge: {below}/bridge.toml: cannot be written: ")


def test_the_fallbacks_that_it_shows_would_do(tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text(re.sub(r"^#   ", "", TEMPLATE, flags=re.MULTILINE), "utf-8")
    pro, local = load_config(path, {}).lightning.fallbacks
    assert (pro.voice_id, local.door) == ("meher", "local")
