"""The examples beside config/ivr.toml: nothing is wrong with them, and nothing is left over."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bridge.agents.ivr import IvrOptions, flow_problems
from bridge.agents.loader import fault_of, load_agent
from bridge.config import load_config
from bridge.flows.library import Library, read_edition
from tests.support.source import ROOT

IVR = ROOT / "config" / "ivr.toml"


def test_nothing_is_wrong_with_the_examples() -> None:
    config = load_config(IVR, {})
    edition, problems = read_edition(
        config,
        str(IVR),
        agent_fault=partial(fault_of, heard=False),
        wanted=lambda flows: flow_problems(config.agent, flows),
    )
    assert [str(problem) for problem in problems] == []
    assert sorted(edition.flows) == ["bank", "clinic", "voicemail"]


def test_each_flow_is_reached_by_a_number() -> None:
    config = load_config(IVR, {})
    load_agent(config.agent)
    options = IvrOptions(**config.agent.options)
    assert {options.flow, *options.numbers.values()} == {"bank", "clinic", "voicemail"}


def test_no_prompt_is_of_no_use() -> None:
    config = load_config(IVR, {})
    edition, _ = read_edition(config)
    said = {
        prompt
        for flow in edition.flows.values()
        for step in flow.steps.values()
        for _, prompt in step.prompts()
    }
    written = {prompt for prompt in edition.shelf.book.specs if "." not in prompt}
    assert written - said == set()


async def test_a_bridge_without_menus_is_not_kept_from_starting_by_them(tmp_path: Path) -> None:
    config = load_config(ROOT / "config" / "bridge.toml", {"BRIDGE_PROMPTS__CACHE": str(tmp_path)})
    library = Library(config)
    library.load()
    assert library.edition.flows == {}
    await library.close()
