"""docs/prompts.md says what the code does."""

from __future__ import annotations

import re

import pytest

from bridge.observe.metrics import COUNTED_BY, PROMPTS
from bridge.prompts.book import specs_of
from bridge.prompts.sounds import SOUNDS
from bridge.prompts.spoken_forms import say
from bridge.toml_source import TomlSource
from tests.support.source import ROOT

PAGE = (ROOT / "docs" / "prompts.md").read_text("utf-8")
#: Kind, data and what is said, as the table of kinds has them.
KINDS = re.findall(r"^\| `(\S+)`.*?\| `([^`]+)`.*?\| .*?\*(.+?)\*", PAGE, re.MULTILINE)


def test_its_example_is_right() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    beside = ROOT / "config" / "prompts" / "example.toml"  # there is its chime.wav
    specs, _, problems = specs_of(TomlSource.parse(example, str(beside)))
    assert problems == []
    assert set(specs) == {"welcome", "offer", "balance", "chime"}


@pytest.mark.parametrize("kind, value, said", KINDS)
def test_each_kind_is_said_as_it_shows(kind: str, value: str, said: str) -> None:
    assert say(value, kind, "en") == said


def test_it_names_what_there_is() -> None:
    assert len(KINDS) == 5
    assert set(re.findall(r"`(\w+)`", PAGE.partition("Always there")[2].partition("##")[0])) == {
        *SOUNDS,
        "apology",
        "one_moment",
    }
    counted = set(re.findall(r"bridge_prompts_(\w+)_total", PAGE))
    assert counted <= set(PROMPTS) and counted
    assert "bridge_reloads_total" in PAGE and "reloads" in COUNTED_BY
