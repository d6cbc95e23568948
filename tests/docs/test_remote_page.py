"""docs/remote.md says what the code does: every message as it is, and every reason."""

from __future__ import annotations

import json
import re
from typing import Any, Final, get_args

import msgspec
import pytest

from bridge.agents.loader import load_agent
from bridge.agents.remote import RemoteOptions, agent
from bridge.agents.remote_desk import MAX_WAITING
from bridge.config import AgentConfig
from bridge.config_tree import parse_toml
from bridge.remote import protocol as p
from bridge.remote.link import MAX_MESSAGES_PER_S, MAX_PAUSE_S, PAUSE_S, PING_INTERVAL_S, STEADY_S
from bridge.remote.outbox import MOST
from bridge.remote.webhooks import BURST, BURST_S
from tests.support.source import ROOT

PAGE: Final = (ROOT / "docs" / "remote.md").read_text("utf-8")
MESSAGES: Final[list[dict[str, Any]]] = [
    json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
]
EVENTS: Final = {str(kind.__struct_config__.tag): kind for kind in get_args(p.Event)}
COMMANDS: Final = {str(kind.__struct_config__.tag): kind for kind in get_args(p.Command)}


def test_every_message_is_there_once() -> None:
    assert sorted(message["type"] for message in MESSAGES) == sorted([*EVENTS, *COMMANDS])


@pytest.mark.parametrize("message", MESSAGES, ids=[message["type"] for message in MESSAGES])
def test_each_is_shown_with_every_field_as_it_is_on_the_wire(message: dict[str, Any]) -> None:
    kind = EVENTS.get(message["type"]) or COMMANDS[message["type"]]
    read = msgspec.json.decode(json.dumps(message).encode(), type=kind)
    assert json.loads(msgspec.json.encode(read)) == message


def test_each_command_is_one_that_the_bridge_takes() -> None:
    for message in MESSAGES:
        if message["type"] in COMMANDS:
            (command,) = p.decode(json.dumps(message).encode())
            assert not isinstance(command, p.Refusal), command


def test_it_can_what_the_start_says() -> None:
    (start,) = (message for message in MESSAGES if message["type"] == "start")
    assert tuple(start["can"]) == p.NAMES


def test_every_reason_is_explained() -> None:
    table = PAGE[PAGE.index("| `reason` |") : PAGE.index("The caller has been silent")]
    assert re.findall(r"^\| `(\w+)` \| ?", table, re.MULTILINE)[1:] == list(get_args(p.Reason))


def test_its_numbers_are_those_of_the_code() -> None:
    numbers = {
        f"{MAX_WAITING} commands wait",
        f"more than {p.MAX_STREAMED:,} characters",
        f"{p.MAX_MESSAGE_BYTES // 1024} KiB",
        f"{p.MAX_COMMANDS} commands in it",
        f"{p.MAX_TEXT:,} characters a text",
        f"{MAX_MESSAGES_PER_S} messages a second",
        f"No more than {MOST} events",
        f"after {PAUSE_S:g} s",
    }
    assert {number for number in numbers if number not in PAGE} == set()
    assert (MAX_PAUSE_S, PING_INTERVAL_S, STEADY_S) == (2, 10, 5), "two, every ten, and five seconds"
    assert (BURST, BURST_S) == (5, 0.25), "five requests in a quarter of a second"
    defaults = {field.name: field.default for field in msgspec.structs.fields(RemoteOptions)}
    shown = re.findall(r"`(\w+)` \((\d[\d.]*)(?: s)?\)", PAGE)
    assert len(shown) >= 5
    assert [(name, float(value)) for name, value in shown] == [(name, defaults[name]) for name, _ in shown]


def test_its_signature_code_is_that_of_the_examples() -> None:
    for language, name in (("python", "agent.py"), ("ts", "agent.ts")):
        (code,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
        assert code.strip() in (ROOT / "config" / "agents" / "remote" / name).read_text("utf-8")


def test_its_configuration_is_right() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    config = AgentConfig(**parse_toml(text, "docs/remote.md")["agent"])
    assert load_agent(config) is agent
