"""docs/speech-to-speech.md says what the code does."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from bridge.agents.conversation import Manners
from bridge.agents.hydra import MOST_BYTES, HydraOptions, agent
from bridge.agents.loader import load_agent
from bridge.config import AgentConfig
from bridge.config_tree import parse_toml
from bridge.hydra.answers import MOST_MS
from bridge.hydra.messages import VOICES
from tests.support.source import ROOT

PAGE: Final = (ROOT / "docs" / "speech-to-speech.md").read_text("utf-8")


def fields(of: type[msgspec.Struct]) -> set[str]:
    return {field.name for field in msgspec.structs.fields(of)}


def test_the_example_is_one() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    table = parse_toml(block, "page")["agent"]
    assert load_agent(AgentConfig(**table)) is agent


def test_every_option_is_told() -> None:
    told = set(re.findall(r"`(\w+)`", PAGE[PAGE.index("## Options") : PAGE.index("## The sound")]))
    assert fields(HydraOptions) - told == {"not_heard"}, "what words it did not hear it does not know"
    assert fields(Manners) & told


def test_its_numbers_are_those_of_the_code() -> None:
    options = HydraOptions()
    assert ", ".join(VOICES) in PAGE
    for told in (
        f"under {MOST_BYTES // 1000} KB",
        f"longer than {options.filler_after_s:g} s",
        f"again every {options.filler_every_s:g} s",
        f"no answer: {options.filler_after_s:g} s, {options.apology_after_s:g} s",
    ):
        assert told in PAGE
    assert MOST_MS == 5 * 60_000
    assert options.failures == 3
