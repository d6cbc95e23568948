"""Who listens is known at start, and every mistake about it is told there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bridge.config import Config, LightningConfig, PulseConfig, Secret, TranscriberConfig
from bridge.errors import ConfigError
from bridge.observe.stats import TranscriberStats
from bridge.transcribers.guarded import Guarded
from bridge.transcribers.open import listener, open_transcriber
from bridge.transcribers.pulse import Pulse
from bridge.transcribers.transcriber import Transcriber

MODULE = """
from bridge.config_tree import Section, convert
from bridge.errors import ConfigError

class Nobody:
    def __init__(self, options, stats):
        self.options, self.stats = options, stats
    async def start(self): pass
    async def close(self): pass
    def open(self, call_id, into): raise NotImplementedError

class Options(Section, frozen=True):
    url: str

def typed(options, stats):
    return Nobody(convert(options, Options, ""), stats)

def half(options, stats):
    return object()

def breaks(options, stats):
    raise RuntimeError("no licence")

def refuses(options, stats):
    raise ConfigError("nothing will do")

async def too_late(options, stats):
    return Nobody(options, stats)

constant = 3
"""


@pytest.fixture
def listeners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "listeners.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "listeners", raising=False)


def opened(
    entrypoint: str = "", options: dict[str, Any] | None = None, **sections: Any
) -> Transcriber | None:
    transcriber = TranscriberConfig(entrypoint=entrypoint, options=options or {})
    return open_transcriber(Config(transcriber=transcriber, **sections), TranscriberStats(), "bridge.toml")


def test_nobody_listens_where_nobody_is_asked_to() -> None:
    assert opened() is None
    assert listener(Config()) == ""


def test_pulse_listens_with_its_own_key_or_that_of_lightning() -> None:
    lightning = LightningConfig(api_key=Secret("lightning's"))
    keys = []
    for key in ("", "its own"):
        pulse = opened(lightning=lightning, pulse=PulseConfig(api_key=Secret(key), language="hi"))
        assert isinstance(pulse, Pulse)
        keys.append(pulse.config.api_key.reveal())
    assert keys == ["lightning's", "its own"]
    assert listener(Config(pulse=PulseConfig(language="hi"))) == "pulse (hi)"


@pytest.mark.usefixtures("listeners")
def test_another_one_is_made_of_its_options_and_counts_where_pulse_does() -> None:
    config = Config(pulse=PulseConfig(), transcriber=TranscriberConfig("listeners:Nobody", {"a": 1}))
    stats = TranscriberStats()
    made = open_transcriber(config, stats)
    assert isinstance(made, Guarded)
    nobody = made.transcriber
    assert (type(nobody).__name__, vars(nobody)) == ("Nobody", {"options": {"a": 1}, "stats": stats})
    assert listener(config) == "listeners:Nobody"


@pytest.mark.usefixtures("listeners")
@pytest.mark.parametrize(
    "entrypoint, message",
    [
        ("nowhere:make", "entrypoint: cannot import nowhere: No module named 'nowhere'; is its folder in PYTHONPATH?"),
        ("listeners:nobody", "entrypoint: listeners has no 'nobody'"),
        ("listeners:constant", "entrypoint: listeners:constant must be a function of options and stats"),
        ("listeners:too_late", "entrypoint: listeners:too_late must be a function of options and stats"),
        ("listeners:half", "entrypoint: listeners:half made a object, which has no start, close, open"),
        ("listeners:breaks", "entrypoint: listeners:breaks failed: RuntimeError: no licence"),
        ("listeners:refuses", "options: nothing will do"),
        ("listeners:typed", "options.url: must be text in quotes, not a whole number"),
    ],
)  # fmt: skip
def test_mistakes_are_told_at_start(entrypoint: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        opened(entrypoint, {"url": 3})
    assert str(caught.value) == f"bridge.toml: transcriber.{message}"


def test_pulses_configuration_is_left_as_it_is() -> None:
    config = PulseConfig()
    opened(pulse=config, lightning=replace(LightningConfig(), api_key=Secret("k")))
    assert not config.api_key
