"""docs/hearing.md: its settings are those of the code, and the transcriber that it shows does what it says."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from bridge.config import Config, PulseConfig, TranscriberConfig
from bridge.errors import ConfigError
from bridge.observe.stats import TranscriberStats
from bridge.transcribers.open import open_transcriber
from bridge.transcribers.transcriber import Transcript
from tests.support.scripted_http import Handler, scripted_http
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "hearing.md").read_text("utf-8")
EXAMPLE = ROOT / "config" / "transcribers" / "whisper_server.py"


def test_the_transcriber_in_the_docs_is_the_one_that_is_tested() -> None:
    text = EXAMPLE.read_text("utf-8")
    assert text[text.index("import asyncio") :].strip() in PAGE


def test_the_table_has_every_setting_of_pulse_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `([^`]*)` \|", PAGE[PAGE.index("| `[pulse]`") :], re.MULTILINE))
    defaults = msgspec.structs.asdict(PulseConfig())
    wanted = {name: msgspec.json.encode(value, enc_hook=str).decode() for name, value in defaults.items()}
    assert {name: rows.get(name) for name in wanted} == wanted


@pytest.fixture
def by_its_name(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(EXAMPLE.parent)
    yield


def settings(url: str, **options: object) -> Config:
    return Config(transcriber=TranscriberConfig("whisper_server:whisper", {"url": url, **options}))


async def hears(request: web.Request) -> web.Response:
    return web.json_response({"text": "\n A table\nfor four. "})


async def fails(_request: web.Request) -> web.Response:
    return web.Response(status=500)


async def babbles(_request: web.Request) -> web.Response:
    return web.Response(text="[]")


async def told(*handlers: Handler) -> tuple[list[Transcript], TranscriberStats, bytes]:
    """What a caller who speaks as often as there are answers is heard to say; and the last request."""
    stats = TranscriberStats()
    heard: list[Transcript] = []
    async with scripted_http(*handlers) as server:
        transcriber = open_transcriber(settings(f"{server.url}/inference"), stats)
        assert transcriber is not None
        await transcriber.start()
        call = transcriber.open("call-1", heard.append)
        for count, handler in enumerate(handlers, 1):
            call.push(b"\x80" * 800)
            call.finalize()
            await until(lambda count=count: len(heard) == count)  # type: ignore[misc]
            assert call.able is (handler is hears)
        call.close()
        call.finalize()
        await transcriber.close()
        return heard, stats, server.bodies[0]


@pytest.mark.usefixtures("by_its_name")
async def test_it_hears() -> None:
    heard, stats, body = await told(hears, fails, babbles, hears)
    words, nothing = Transcript("A table for four.", True, True), Transcript("", True, True)
    assert heard == [words, nothing, nothing, words]
    assert (stats.calls, stats.finalizes, stats.connect_failures) == (1, 5, 2)
    assert b"RIFF" in body


@pytest.mark.usefixtures("by_its_name")
async def test_only_its_last_answer_is_one_to_everything() -> None:
    heard: list[Transcript] = []
    async with scripted_http(hears) as server:
        transcriber = open_transcriber(settings(f"{server.url}/inference"), TranscriberStats())
        assert transcriber is not None
        await transcriber.start()
        call = transcriber.open("call-1", heard.append)
        for _ in range(3):
            call.finalize()
        await until(lambda: len(heard) == 3)
        await transcriber.close()
    assert [transcript.finalised for transcript in heard] == [False, False, True]


@pytest.mark.usefixtures("by_its_name")
async def test_its_mistakes_are_told_at_start() -> None:
    with pytest.raises(
        ConfigError, match=r"^transcriber\.options\.urls: is not a setting; did you mean `url`\?"
    ):
        open_transcriber(settings("http://x", urls="x"), TranscriberStats())
    await asyncio.sleep(0)
