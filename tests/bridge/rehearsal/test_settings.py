"""What a rehearsal runs with: the bridge's own configuration, and nobody's secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.errors import ConfigError
from bridge.rehearsal.script import read_script
from bridge.rehearsal.settings import (
    PUBLIC_URL,
    settings_of,
    with_carrier,
    with_lightning,
    with_model,
    with_pulse,
)

BRIDGE = """
[server]
host = "0.0.0.0"
port = 8080
public_url = "https://bridge.example.com"
[carriers.telnyx]
api_key = "a-real-key"
[lightning]
api_key = "a-real-key"
voice_id = "sophia"
proxy = "http://proxy.example:3128"
fallbacks = [{ door = "sse" }]
[pulse]
language = "hi"
api_key = "a-real-key"
[turns]
patience_ms = 700
[agent]
entrypoint = "one:agent"
options = { greeting = "Hello.", model = "electron" }
"""


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SMALLEST_API_KEY", raising=False)
    (tmp_path / "bridge.toml").write_text(BRIDGE, "utf-8")
    (tmp_path / "rehearsals").mkdir()


def write(text: str) -> Path:
    path = Path("rehearsals", "one.toml")
    path.write_text(f'{text}\n[[caller]]\nsay = "Hello."\n', "utf-8")
    return path


def test_what_is_served_is_rehearsed_on_this_machine_alone() -> None:
    settings = settings_of(read_script(write('[rehearsal]\nconfig = "../bridge.toml"')))
    config = settings.config
    assert Path(settings.source) == Path("rehearsals/../bridge.toml")
    assert (config.server.host, config.server.port, config.server.public_url) == ("127.0.0.1", 0, PUBLIC_URL)
    assert (config.lightning.voice_id, config.turns.patience_ms) == ("sophia", 700)
    assert config.carriers.telnyx is None
    assert config.carriers.twilio.auth_token


def test_no_real_key_goes_to_what_is_emulated() -> None:
    config = settings_of(read_script(write('[rehearsal]\nconfig = "../bridge.toml"'))).config
    config = with_model(with_pulse(with_lightning(config, "http://l"), "http://p"), "http://m")
    config = with_carrier(config, "http://c")
    assert config.pulse is not None
    assert (config.lightning.base_url, config.pulse.base_url) == ("http://l", "http://p")
    assert config.carriers.twilio.api_url == "http://c"
    assert not config.lightning.fallbacks and not config.lightning.proxy
    keys = (config.lightning.api_key.reveal(), config.pulse.api_key.reveal(), config.agent.options["api_key"])
    assert "a-real-key" not in keys
    assert config.pulse.language == "hi"
    assert config.agent.options["base_url"] == "http://m"
    assert with_pulse(config, "").pulse is None


def test_a_program_on_this_machine_speaks_as_it_would() -> None:
    Path("bridge.toml").write_text('[lightning]\ndoor = "local"\n', "utf-8")
    config = settings_of(read_script(write('[rehearsal]\nconfig = "../bridge.toml"'))).config
    assert with_lightning(config, "http://l") == config


@pytest.mark.parametrize(
    "text, agent, config, expected",
    [
        (
            '[rehearsal]\nconfig = "../bridge.toml"',
            "",
            None,
            ("one:agent", {"greeting": "Hello.", "model": "electron"}),
        ),
        (
            '[rehearsal]\nconfig = "../bridge.toml"\n[agent]\noptions = { greeting = "Hi." }',
            "",
            None,
            ("one:agent", {"greeting": "Hi.", "model": "electron"}),
        ),
        # The options of one agent are none of another's.
        (
            '[rehearsal]\nconfig = "../bridge.toml"\n[agent]\nentrypoint = "two:agent"',
            "",
            None,
            ("two:agent", {}),
        ),
        ('[agent]\nentrypoint = "two:agent"\noptions = { a = 1 }', "", None, ("two:agent", {"a": 1})),
        ('[agent]\nentrypoint = "two:agent"', "three:agent", None, ("three:agent", {})),
        ("", "", "bridge.toml", ("one:agent", {"greeting": "Hello.", "model": "electron"})),
        ("", "", None, ("bridge.agents.greeter:greeter", {})),
    ],
)
def test_who_is_rehearsed(
    text: str, agent: str, config: str | None, expected: tuple[str, dict[str, object]]
) -> None:
    found = settings_of(read_script(write(text)), agent, Path(config) if config else None).config.agent
    assert (found.entrypoint, dict(found.options)) == expected


def test_a_configuration_that_is_not_there() -> None:
    with pytest.raises(ConfigError) as refused:
        settings_of(read_script(write('[rehearsal]\nconfig = "../none.toml"')))
    assert str(refused.value) == (
        "rehearsals/one.toml:2: rehearsal.config: there is no rehearsals/../none.toml; "
        "the path is relative to this file"
    )


def test_a_real_recogniser_needs_its_section() -> None:
    rehearsal = read_script(write('[engines]\npulse = "real"'))
    with pytest.raises(ConfigError, match=r'one.toml:2: engines.pulse: "real" needs a \[pulse\] section'):
        settings_of(rehearsal)
    assert settings_of(rehearsal, config=Path("bridge.toml")).config.pulse is not None
