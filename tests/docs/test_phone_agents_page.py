"""The page on phone agents has every option there is, and its example of an agent runs."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import msgspec

from bridge.agents.conversation import Manners, converse
from bridge.agents.llm_mind import LlmAgentOptions, filled
from bridge.config_tree import convert, parse_toml
from bridge.emulators.llm_rules import Rules
from bridge.observe import timeline as tl
from tests.support.call import build_call
from tests.support.virtual_time import virtual

PAGE = (Path(__file__).parents[2] / "docs" / "phone-agents.md").read_text("utf-8")
OPTIONS = PAGE[PAGE.index("## Options") : PAGE.index("## Tools")]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_every_option_is_told_and_none_that_is_not_there() -> None:
    rows = re.findall(r"^\| (`[^|]*) \|", OPTIONS, re.MULTILINE)
    told = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert told == set(LlmAgentOptions.__struct_fields__)


def test_the_numbers_are_the_defaults() -> None:
    defaults = LlmAgentOptions()
    for row in (
        f"`filler`, `filler_after_s`, `filler_every_s` | `{defaults.filler}`, {defaults.filler_after_s:g}, "
        f"{defaults.filler_every_s:g} ",
        f"`base_url` | `{defaults.base_url}`",
        f"`idle_s`, `reprompts`, `reprompt`, `goodbye` | {defaults.idle_s:g}, {defaults.reprompts} ",
        f"`tools`, `tool_deadline_s`, `tool_rounds` | none, {defaults.tool_deadline_s:g}, {defaults.tool_rounds} ",
        f'| `greeting` | "{defaults.greeting}"',
    ):
        assert row in OPTIONS


def test_the_files_of_the_example_can_be_read() -> None:
    rules, bridge = blocks("toml")[:2]
    assert len(convert(parse_toml(rules, "rules.toml"), Rules, "rules.toml").rule) == 3
    options = parse_toml(bridge, "bridge.toml")["agent"]["options"]
    assert msgspec.convert(options, LlmAgentOptions, dec_hook=lambda _kind, value: value).model == "electron"
    (prompt,) = blocks("text")
    facts = {"now": "noon", "caller": "1"}
    assert "{" not in filled(prompt, facts)


@virtual
async def test_the_parrot_speaks() -> None:
    (source,) = [block for block in blocks("python") if "class Parrot" in block]
    there: dict[str, Any] = {"converse": converse, "Manners": Manners}
    exec(source, there)
    scene = build_call(transcribed=True)
    task = asyncio.create_task(there["parrot"](scene.call))
    await asyncio.sleep(2)
    scene.hear(*[0.95] * 10, *[0.0] * 7)
    scene.words.told("Hello.")
    await asyncio.sleep(0)
    scene.hear(*[0.0] * 12)
    await asyncio.sleep(3)
    said = [entry.heard_text for entry in scene.entries(tl.SpeakingEnded)]
    assert said == ["Hello, parrot here.", "You said: Hello."]
    scene.call.end("carrier")
    await asyncio.wait({task})
    task.exception()
