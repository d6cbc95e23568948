"""The options of Hydra's agent, what is refused at start, and the example as it stands."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bridge.agents.hydra import MOST_BYTES, HydraOptions, agent, own_tools, prepare, settings_of
from bridge.agents.loader import load_agent, options_of
from bridge.call import Call
from bridge.config import AgentConfig, load_config
from bridge.emulators.hydra_options import Step, read_script
from bridge.errors import ConfigError
from bridge.hydra.messages import VOICES
from bridge.secret import Secret
from bridge.surroundings import Surroundings
from tests.support.source import ROOT

ENTRYPOINT = "bridge.agents.hydra:agent"
HERE = f"{__name__}:book"
OURS = Surroundings(api_key=Secret("ours"))


async def book(seats: int, call: Call) -> str:
    """Book seats."""
    return f"{seats} for {call.from_number}"


async def transfer(to: str) -> str:
    """Hand on."""
    return to


def undescribed(seats: int) -> None: ...


NO_FUNCTION = 7


def options(**given: Any) -> HydraOptions:
    return options_of(given, HydraOptions)


@pytest.mark.parametrize(
    ("given", "mend"),
    [
        ({"voice": "mya"}, r"voice: 'mya' is none of zoe, .*; did you mean maya\?"),
        ({"voice": "xqzzq"}, "is none of zoe"),
        ({"base_url": "api.smallest.ai"}, "https://host"),
        ({"base_url": "https://host/?api_key=x"}, "https://host"),
        ({"instructions": "a", "prompt_file": "b"}, "either instructions or prompt_file"),
        ({"speed": 2}, "speed"),
        ({"failures": 0}, "failures"),
    ],
)
def test_what_is_wrong_is_told_at_start(given: dict[str, Any], mend: str) -> None:
    with pytest.raises(ConfigError, match=mend) as refused:
        load_agent(AgentConfig(entrypoint=ENTRYPOINT, options=given), "bridge.toml")
    assert refused.value.key.startswith("agent.options")


@pytest.mark.parametrize("voice", VOICES)
def test_each_voice_is_known(voice: str) -> None:
    assert options(voice=voice).voice == voice


def test_another_model_may_have_other_voices() -> None:
    assert options(model="hydra-v1.0", voice="wren").voice == "wren"


@pytest.mark.parametrize(
    ("given", "key", "mend"),
    [
        ({"prompt_file": "none.md"}, "prompt_file", "cannot be read: No such file"),
        ({"tools": ["no_such_module:f"]}, "tools", "cannot import no_such_module"),
        ({"tools": [HERE, f"{__name__}:nobody"]}, "tools", "has no 'nobody'"),
        ({"tools": [f"{__name__}:NO_FUNCTION"]}, "tools", "is no function"),
        ({"tools": [f"{__name__}:undescribed"]}, "tools", "has no docstring"),
        ({"tools": [HERE, HERE]}, "tools", "another tool is called book"),
        ({"tools": [f"{__name__}:transfer"]}, "tools", "another tool is called transfer"),
        ({"prompt_file": "empty.md"}, "prompt_file", "empty.md is empty"),
        ({"transfer_to": {"front": ""}}, "transfer_to", "each is a name and a number"),
        ({"base_url": "https://elsewhere.example"}, "api_key", "is missing"),
        (
            {"failure_transfer": "desk", "transfer_to": {"front": "+15550100031"}},
            "failure_transfer",
            "has front",
        ),
    ],
)
async def test_what_no_call_could_make_good_is_refused_before_the_first(
    given: dict[str, Any], key: str, mend: str, tmp_path: Path
) -> None:
    (tmp_path / "empty.md").write_text("\n", "utf-8")
    with pytest.raises(ConfigError, match=mend) as refused:
        await prepare(options(**given), Surroundings(tmp_path, Secret("ours")))
    assert refused.value.key == key


@pytest.mark.parametrize(
    ("base_url", "own", "key"),
    [
        ("https://api.smallest.ai", "", "ours"),
        ("http://127.0.0.1:9005", "", "ours"),
        ("https://api.smallest.ai", "own", "own"),
        ("https://elsewhere.example", "own", "own"),
    ],
)
def test_whose_key_is_used(base_url: str, own: str, key: str) -> None:
    settings = settings_of(options(base_url=base_url, api_key=own), OURS, [])
    assert settings.api_key.reveal() == key


@pytest.mark.parametrize(
    "host", ["evil-smallest.ai", "smallest.ai.example", "127.0.0.1.example", "localhost.example"]
)
def test_our_key_is_not_for_everybody(host: str) -> None:
    assert not OURS.key_for(f"https://{host}", Secret())


def test_what_hydra_is_told(tmp_path: Path) -> None:
    (tmp_path / "who.md").write_text("Be kind.\n", "utf-8")
    given = options(prompt_file="who.md", tools=[HERE], voice="leo")
    settings = settings_of(given, Surroundings(tmp_path, Secret("k")), own_tools(given, None))
    assert (settings.instructions, settings.voice, settings.speaks_first) == ("Be kind.", "leo", False)
    (function,) = settings.tools
    assert (function.name, function.description) == ("book", "Book seats.")
    assert set(function.parameters["properties"]) == {"seats"}, "the call is none of Hydra's business"


@pytest.mark.parametrize("size", [MOST_BYTES, MOST_BYTES + 1])
async def test_more_than_hydra_can_take_is_warned_of(size: int, caplog: pytest.LogCaptureFixture) -> None:
    await prepare(options(instructions="x" * (size - 2)), OURS)  # no tools are two bytes
    assert ("fall silent" in caplog.text) == (size > MOST_BYTES)


async def test_the_example_holds_and_its_script_is_one() -> None:
    path = ROOT / "config" / "agents" / "hydra.toml"
    config = load_config(path, {})
    assert load_agent(config.agent, str(path)) is agent
    surroundings = Surroundings(path.parent, Secret("k"))
    await asyncio.wait_for(prepare(options_of(config.agent.options, HydraOptions), surroundings), 5)
    script = read_script(path.parent / "hydra_script.toml")
    assert script.greeting == config.agent.options["greeting"]
    assert [step.call for step in script.turns] == ["", "", "hang_up"]
    assert script.step(99) == script.turns[-1]


def test_a_step_is_one_or_the_other() -> None:
    for wrong in ({}, {"say": "a", "call": "b"}):
        with pytest.raises(ValueError, match="either"):
            Step(**wrong)  # type: ignore[arg-type]
