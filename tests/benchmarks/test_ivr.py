"""The benchmark of phone menus: what its caller counts, what its meter reads, and that its files are a menu."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks import sound, wire
from benchmarks.ivr import rendering, texts
from benchmarks.menu import PROMPT_MS, STEPS, MenuLine, When, write_menu
from benchmarks.metered_lightning import MeteredStats, busy_percent, seen
from bridge.config import load_config
from bridge.flows.library import read_edition
from bridge.lightning.voice import normaliser
from bridge.observe.stats import PromptStats
from bridge.prompts.cache import PromptCache
from bridge.prompts.shelf import Shelf
from telephony_codecs.formats import MULAW_8K

FIRST, SECOND, THIRD = sound.IDS[:3]


class Written:
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data


@pytest.fixture
async def call() -> tuple[MenuLine, Written]:
    line = MenuLine(7, sound.comfort_noise(3), lambda _: [], "host", "/media", {}, {})
    transport = Written()
    line.connection_made(cast(asyncio.Transport, transport))
    line.data_received(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    transport.data = b""
    return line, transport


def message(body: dict[str, Any]) -> bytes:
    return wire.server_frame(json.dumps(body).encode())


def media(identity: int) -> bytes:
    payload = base64.b64encode(bytes([identity]) * 160).decode()
    return message({"event": "media", "streamSid": "MZ", "media": {"payload": payload}})


CLEAR = message({"event": "clear", "streamSid": "MZ"})


async def press(line: MenuLine, when: When, *bridge: bytes) -> None:
    """Have the caller press one key, and the bridge answer with these messages."""
    pressing = asyncio.create_task(line.press_on(when))
    await asyncio.sleep(0)
    for answer in bridge:
        line.data_received(answer)
    await pressing


async def test_a_key_is_answered_by_the_next_prompt_alone(call: tuple[MenuLine, Written]) -> None:
    """Packets of the prompt before, on their way until the clear, are neither an answer nor stale."""
    line, transport = call
    line.data_received(media(FIRST))
    await press(line, "over the prompt", media(FIRST), CLEAR, media(SECOND))
    line.data_received(media(SECOND))
    await press(line, "after it", media(THIRD))
    pressed = [json.loads(payload) for _, payload in wire.FrameReader().feed(transport.data)]
    assert [told["event"] for told in pressed] == ["dtmf", "dtmf"]
    assert [key.when for key in line.keys] == ["over the prompt", "after it"]
    assert all(key.after_ms is not None and 0 <= key.after_ms < 1000 for key in line.keys)
    assert (line.stale_bytes, line.foreign_bytes) == (0, 0)


async def test_what_comes_of_the_prompt_before_is_stale_and_of_a_later_one_foreign(
    call: tuple[MenuLine, Written],
) -> None:
    line, _ = call
    line.data_received(media(FIRST))
    await press(line, "over the prompt", CLEAR, media(FIRST), media(THIRD), media(SECOND))
    assert (line.stale_bytes, line.foreign_bytes) == (160, 160)


def test_its_files_are_a_menu_whose_prompts_are_all_there(tmp_path: Path) -> None:
    write_menu(tmp_path, tmp_path / "bridge.toml", {})
    config = load_config(tmp_path / "bridge.toml", {})
    cache = PromptCache(Path(config.prompts.cache), PromptStats())

    def shelve(book: Any) -> Shelf:
        return Shelf(book, cache, config=config.lightning, normalise=normaliser(config.speech.normalise))

    edition, problems = read_edition(config, shelve=shelve)
    assert problems == []
    assert edition.shelf.warm() == []
    assert edition.shelf.missing() == []
    assert len(edition.flows["menu"].steps) == STEPS
    ready = edition.shelf.rendition("p1").ready
    assert ready is not None
    assert ({byte & 0x7F for byte in ready.audio}, ready.ms) == ({SECOND}, PROMPT_MS)
    assert len(ready.audio) == MULAW_8K.bytes_in(PROMPT_MS)


@pytest.mark.parametrize(
    ("changes", "units", "expected"),
    [
        ([], 2, 0),
        ([(0, 1), (2, 0)], 1, 100),
        ([(5, 1), (6, 0), (7, 1), (8, 0)], 1, 200 / 3),
        ([(0, 1), (1, 2), (3, 1), (4, 0)], 2, 75),
    ],
)
def test_how_busy_units_were(changes: list[tuple[float, int]], units: int, expected: float) -> None:
    assert busy_percent(changes, units) == pytest.approx(expected)


def test_the_meter_reads_what_the_emulator_counts() -> None:
    stats = MeteredStats()
    for active in (1, 2, 1, 2, 1, 0):
        stats.active = active
    stats.completed = 3
    assert [active for _, active in stats.changes] == [1, 2, 1, 2, 1, 0]
    told = seen(stats, 2)
    assert (told.completed, told.refused) == (3, 0)
    assert told.seconds == stats.changes[-1][0] - stats.changes[0][0]


async def test_rendering_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rendered = await rendering(2, 4, tmp_path)
    assert rendered.is_sound
    assert rendered.seen.completed == 4
    assert 0 < rendered.seen.busy_percent <= 100
    assert "concurrency   2: 4 prompts" in capsys.readouterr().out


def test_no_two_prompts_are_the_same() -> None:
    assert len(set(texts(500))) == 500
