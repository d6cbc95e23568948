"""The examples of config/agents, each rehearsed as it stands, all at the same time."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bridge.config import load_config
from bridge.emulators.espeak import EspeakEngine
from bridge.emulators.lightning import EmulatedLightning
from bridge.emulators.lightning_options import EmulatorOptions
from bridge.rehearsal.dialogue import dialogue, plain_lines
from bridge.rehearsal.run import Performance, perform
from bridge.rehearsal.script import read_script
from bridge.rehearsal.settings import settings_of
from tests.support.source import ROOT

AGENTS = ROOT / "config" / "agents"
EXAMPLES = ("receptionist", "booking", "support_hi_en")


async def rehearsed() -> dict[str, Performance]:
    options = EmulatorOptions(first_byte_ms=50, strict_voices=False, concurrency=0)
    async with EmulatedLightning(options, EspeakEngine()) as lightning:
        scripts = [read_script(AGENTS / "rehearsals" / f"{name}.toml") for name in EXAMPLES]
        done = await asyncio.gather(
            *(perform(script, settings_of(script), lightning.url) for script in scripts)
        )
    return dict(zip(EXAMPLES, done, strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bookings")


@pytest.fixture(scope="module")
def performances(folder: Path) -> Iterator[dict[str, Performance]]:
    """All of them: one after the other they would take three times as long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BOOKINGS_SQLITE", str(folder / "bookings.sqlite"))
        yield asyncio.run(rehearsed())


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_does_what_its_script_expects(performances: dict[str, Performance], name: str) -> None:
    done = performances[name]
    told = plain_lines(dialogue(done.rehearsal, done.facts))
    assert [verdict for verdict in done.verdicts if verdict.outcome != "pass"] == [], told
    assert done.agent == "bridge.agents.llm:agent"


def test_the_booking_is_in_the_database(performances: dict[str, Performance], folder: Path) -> None:
    assert performances["booking"].passed
    with closing(sqlite3.connect(folder / "bookings.sqlite")) as db:
        rows = db.execute("SELECT time, guest, phone, people FROM bookings").fetchall()
    assert rows == [("20:00", "marta", "+15550100001", 2)]


def test_the_receptionist_is_cut_short_and_answers_what_was_said_meanwhile(
    performances: dict[str, Performance],
) -> None:
    facts = performances["receptionist"].facts
    greeting, answer, goodbye = facts.said
    assert (greeting.by, answer.by, goodbye.by) == ("speech", "", "")
    assert greeting.heard_ms < greeting.total_ms


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_lacks_nothing_but_what_is_to_be_filled_in(name: str) -> None:
    config = load_config(AGENTS / f"{name}.toml", {"SMALLEST_API_KEY": "sk-a-key"})
    assert config.pulse is not None
    assert config.lightning.has_key
    if config.agent.options.get("transfer_to"):
        assert config.carriers.exotel is None, "it cannot transfer"
    assert (AGENTS / str(config.agent.options["prompt_file"])).read_text("utf-8").strip()
