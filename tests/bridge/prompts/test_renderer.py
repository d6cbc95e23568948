"""Rendering many: what is missing, once, with every unit busy; and what goes wrong is told, piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.config import LightningConfig, Secret
from bridge.emulators.lightning import EmulatedLightning
from bridge.emulators.lightning_options import EmulatorOptions
from bridge.errors import InvalidRequest, LightningError, PromptError, TimedOut, Unauthorized
from bridge.lightning.limits import Units
from bridge.observe.stats import PromptStats
from bridge.prompts.cache import SPOKEN, PromptCache
from bridge.prompts.key import key_of
from bridge.prompts.renderer import VAIN_PIECES, Progress, Renderer
from bridge.prompts.template import Piece
from telephony_codecs.formats import MULAW_8K
from tests.support.prompt_door import LOUD, ScriptedDoor
from tests.support.waiting import until

CONFIG = LightningConfig()
PIECES = [Piece(f"This is prompt number {n}.", {}) for n in range(6)]


@pytest.fixture
def cache(tmp_path: Path) -> PromptCache:
    return PromptCache(tmp_path / "cache")


def renderer(door: ScriptedDoor, cache: PromptCache | None) -> Renderer:
    return Renderer(door.config, cache, PromptStats(), door=door)


def key(piece: Piece) -> str:
    return key_of(CONFIG, piece.text, piece.options)


async def test_what_is_missing_is_rendered_once_and_progress_is_told(cache: PromptCache) -> None:
    cache.put(key(PIECES[0]), LOUD, {})
    door = ScriptedDoor(units=Units(2))
    told: list[Progress] = []
    report = await renderer(door, cache).render([*PIECES, PIECES[1]], told.append)
    assert sorted(door.texts) == [piece.text for piece in PIECES[1:]]
    assert (report.total, report.cached, report.rendered, report.seconds) == (6, 1, 5, 5.0)
    assert report.failures == []
    assert [progress.done for progress in told] == [1, 2, 3, 4, 5, 6]
    assert [cache.get(key(piece)) for piece in PIECES] == [LOUD] * 6


async def test_files_say_what_they_are_and_not_the_words_of_callers(cache: PromptCache) -> None:
    pieces = [Piece("Hello.", {"voice_id": "sophia", "speed": 1.5}), Piece("Anna", {}, fixed=False)]
    await renderer(ScriptedDoor(), cache).render(pieces)
    said = sorted((dict(entry.about) for entry in cache.entries()), key=lambda about: about["of"])
    model = CONFIG.model
    assert said == [
        {
            "of": "fixed",
            "text": "Hello.",
            "model": model,
            "voice": "sophia",
            "language": "en",
            "speed": "1.5",
        },
        {"of": SPOKEN, "model": model, "voice": "magnus", "language": "en", "speed": "1"},
    ]


async def test_what_is_private_is_not_rendered_ahead(cache: PromptCache) -> None:
    door = ScriptedDoor()
    report = await renderer(door, cache).render([Piece("4 2 4 2", {}, private=True)])
    assert (report.total, door.texts) == (0, [])


async def test_a_piece_that_fails_stops_no_other(cache: PromptCache) -> None:
    door = ScriptedDoor(script=[LOUD, InvalidRequest("text: is refused")])
    report = await renderer(door, cache).render(PIECES)
    ((piece, error),) = report.failures
    assert (report.rendered, cache.get(key(piece))) == (5, None)
    assert isinstance(error, InvalidRequest)
    again = ScriptedDoor()
    assert (await renderer(again, cache).render(PIECES)).cached == 5
    assert again.texts == [piece.text]


@pytest.mark.parametrize(
    "error, asked",
    [
        (Unauthorized("the key is wrong", code="401"), VAIN_PIECES),
        (TimedOut("no connection within 10 s", code="connect_timeout"), VAIN_PIECES),
        (InvalidRequest("voice_id: is unknown"), 50),
    ],
)
async def test_what_would_fail_for_all_is_not_asked_for_all(
    cache: PromptCache, monkeypatch: pytest.MonkeyPatch, error: LightningError, asked: int
) -> None:
    monkeypatch.setattr("bridge.prompts.narrator.TRIES", 1)
    door = ScriptedDoor(script=[error] * 50)
    report = await renderer(door, cache).render([Piece(f"Number {n}.", {}) for n in range(50)])
    assert asked <= len(door.texts) <= asked + 3, "others may be under way"
    assert [failed for _, failed in report.failures] == [error] * 50


async def test_what_begins_to_fail_later_is_asked_for(cache: PromptCache) -> None:
    """It may be over soon: not everything has to be done again because of a minute without credits."""
    error = Unauthorized("the account's credits are used up", code="402")
    first = [LOUD] * 4  # one for each worker: whoever asks for the fifth has kept one
    door = ScriptedDoor(script=[*first, *[error] * 10])
    pieces = [Piece(f"Number {n}.", {}) for n in range(20)]
    assert (await renderer(door, cache).render(pieces)).rendered == 10


async def test_cancelled_it_leaves_what_is_done_and_goes_on_there(cache: PromptCache) -> None:
    door = ScriptedDoor()

    def stop_after_two(progress: Progress) -> None:
        if progress.done == 2:
            door.open.clear()

    task = asyncio.create_task(renderer(door, cache).render(PIECES, stop_after_two))
    await until(lambda: not door.open.is_set() and door.units.in_use == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert door.units.in_use == 0
    kept = [piece for piece in PIECES if cache.get(key(piece)) == LOUD]
    assert len(kept) >= 2
    assert {path.suffix for path in cache.folder.iterdir()} == {".wav"}, "and no locks"
    again = ScriptedDoor()
    report = await renderer(again, cache).render(PIECES)
    assert (report.cached, len(again.texts)) == (len(kept), 6 - len(kept))


async def test_a_disk_that_takes_nothing_costs_no_more_than_it_must(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = PromptCache(tmp_path / "file")
    door = ScriptedDoor()
    report = await renderer(door, cache).render([Piece(f"Number {n}.", {}) for n in range(50)])
    assert report.rendered == 0
    assert len(report.failures) == 50
    assert len(door.texts) <= 4, "no more than there are workers"
    assert all(
        isinstance(error, PromptError) and str(cache.folder) in str(error) for _, error in report.failures
    )


async def test_a_corrupt_file_is_made_again(cache: PromptCache) -> None:
    await renderer(ScriptedDoor(), cache).render(PIECES)
    path = cache.path_of(key(PIECES[2]))
    path.write_bytes(path.read_bytes()[:100])
    door = ScriptedDoor()
    report = await renderer(door, cache).render(PIECES)
    assert (door.texts, report.rendered, report.cached) == ([PIECES[2].text], 1, 5)
    assert cache.get(key(PIECES[2])) == LOUD


async def test_what_another_process_renders_is_left_for_last_and_not_rendered(cache: PromptCache) -> None:
    door = ScriptedDoor()
    told: list[Progress] = []
    async with cache.lock(key(PIECES[0])) as held:
        assert held == "ours"
        task = asyncio.create_task(renderer(door, cache).render(PIECES, told.append))
        await until(lambda: bool(told) and told[-1].done == 5)
        cache.put(key(PIECES[0]), LOUD, {})
    report = await task
    assert PIECES[0].text not in door.texts
    assert (report.rendered, report.cached) == (5, 1)


async def test_who_hangs_with_a_lock_is_waited_for_and_not_for_ever(
    cache: PromptCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.prompts.renderer.LOCK_PATIENCE_S", 0.1)
    door = ScriptedDoor()
    async with cache.lock(key(PIECES[0])):
        assert (await renderer(door, cache).render(PIECES[:1])).rendered == 1


async def test_a_piece_is_had_from_the_cache_or_the_voice(cache: PromptCache) -> None:
    door = ScriptedDoor()
    one = renderer(door, cache)
    assert [await one.have(PIECES[0]) for _ in range(2)] == [LOUD, LOUD]
    private = Piece("4 2", {}, private=True)
    assert await one.have(private) == LOUD
    assert await renderer(door, None).have(PIECES[0]) == LOUD
    assert [entry.key for entry in cache.entries()] == [key(PIECES[0])]
    assert door.texts == [PIECES[0].text, "4 2", PIECES[0].text]


async def test_every_unit_has_its_next_piece_when_it_is_free(cache: PromptCache) -> None:
    """While there is anything left, whoever releases a unit finds somebody waiting for it."""
    units = Units(3)
    door = ScriptedDoor(units=units)
    pieces = [Piece(f"Number {n}.", {}) for n in range(12)]
    door.open.clear()
    task = asyncio.create_task(renderer(door, cache).render(pieces))
    await until(lambda: units.in_use == 3 and units.waiting >= 3)
    door.open.set()
    assert (await task).rendered == 12


# -- through the emulated Lightning ------------------------------------------------------------------------------------


@pytest.fixture
async def lightning() -> AsyncIterator[EmulatedLightning]:
    async with EmulatedLightning(EmulatorOptions(concurrency=2)) as emulator:
        yield emulator


async def test_the_http_door_renders_and_a_busy_account_is_waited_for(
    cache: PromptCache, lightning: EmulatedLightning
) -> None:
    """One of our units is somebody else's: Lightning refuses, and in the end has spoken all."""
    config = LightningConfig(base_url=lightning.url, api_key=Secret("key"), concurrency=3)
    lightning.options.first_byte_ms = 20.0
    async with Renderer(config, cache, PromptStats()) as real:
        report = await real.render(PIECES[:3])
    assert (report.rendered, report.failures) == (3, [])
    assert lightning.stats.over_concurrency >= 1
    assert lightning.stats.connections == 0, "by HTTP"
    assert report.seconds == pytest.approx(sum(MULAW_8K.ms_in(len(a)) for a in _audio(cache)) / 1000)


def _audio(cache: PromptCache) -> list[bytes]:
    return [audio for entry in cache.entries() if (audio := cache.get(entry.key))]
