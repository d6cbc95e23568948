"""Where the folders of prompts and flows are."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.config import load_config

IVR = '[agent]\nentrypoint = "bridge.agents.ivr:ivr"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    for name in ("prompts", "flows", "other"):
        (tmp_path / name).mkdir()
    return tmp_path / "bridge.toml"


def test_what_is_not_named_is_looked_for_beside_the_file(file: Path) -> None:
    file.write_text(IVR)
    config = load_config(file, {})
    assert (config.prompts.folder, config.flows.folder) == (
        str(file.parent / "prompts"),
        str(file.parent / "flows"),
    )
    assert config.flows.recordings == str(file.parent / "recordings")
    assert config.prompts.cache == "", "that is the user's own cache folder"


def test_flows_are_looked_for_only_where_somebody_plays_them(file: Path) -> None:
    file.write_text("")
    assert load_config(file, {}).flows.folder == ""
    file.write_text('[flows]\nfolder = "flows"')
    assert load_config(file, {}).flows.folder == str(file.parent / "flows")


@pytest.mark.parametrize("named", ["other", "not/there"])
def test_what_is_named_is_meant_from_the_file_s_folder(file: Path, named: str) -> None:
    file.write_text(
        f'[prompts]\nfolder = "{named}"\ncache = "kept"\n[flows]\nfolder = "{named}"\nrecordings = "messages"'
    )
    config = load_config(file, {"BRIDGE_PROMPTS__CACHE": "elsewhere"})
    assert (config.prompts.folder, config.flows.folder) == (str(file.parent / named),) * 2
    assert config.prompts.cache == str(file.parent / "elsewhere")
    assert config.flows.recordings == str(file.parent / "messages")


def test_whole_paths_and_the_user_s_home_are_left_alone(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(file.parent / "home"))
    monkeypatch.setenv("USERPROFILE", str(file.parent / "home"))
    whole = str(file.parent.parent / "whole")
    file.write_text(f"[prompts]\nfolder = '{whole}'\ncache = \"~/kept\"")
    config = load_config(file, {})
    assert config.prompts.folder == whole
    assert config.prompts.cache == str(file.parent / "home" / "kept")


def test_without_a_file_nothing_is_looked_for() -> None:
    config = load_config(None, {"BRIDGE_AGENT__ENTRYPOINT": "bridge.agents.ivr:ivr"})
    assert (config.prompts.folder, config.flows.folder) == ("", "")
    assert config.flows.recordings == "recordings"
