"""One piece at a time: asked for as calls ask, again where that helps, and never in a call's way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from bridge.config import LightningConfig
from bridge.errors import Busy, InvalidRequest, LightningError, TimedOut, Unauthorized, Unavailable
from bridge.lightning.limits import Units
from bridge.observe.stats import PromptStats
from bridge.prompts.edges import trimmed
from bridge.prompts.key import Keys
from bridge.prompts.narrator import LEAST_TIMEOUT_S, NOTHING, TRIES, Narrator, ahead_of_calls
from bridge.prompts.template import Piece
from tests.support.prompt_door import LOUD, SILENCE, ScriptedDoor
from tests.support.waiting import until

HELLO = Piece("Hello.", {})


@pytest.fixture
def stats() -> PromptStats:
    return PromptStats()


def narrator(door: ScriptedDoor, stats: PromptStats, *, behind_calls: bool = False) -> Narrator:
    return Narrator(Keys(door.config), stats, door=door, behind_calls=behind_calls, first_backoff_s=0.0)


async def test_a_piece_is_all_of_its_audio_without_the_silence_around_it(stats: PromptStats) -> None:
    door = ScriptedDoor(script=[SILENCE * 4000 + LOUD + SILENCE * 4000])
    audio = await narrator(door, stats).speak(HELLO)
    assert audio == trimmed(SILENCE * 4000 + LOUD + SILENCE * 4000, "Hello.")
    assert (stats.rendered, stats.render_failures) == (1, 0)


async def test_long_texts_go_piece_by_piece_as_in_a_call(stats: PromptStats) -> None:
    door = ScriptedDoor()
    text = " ".join(["This is a sentence of forty characters ok."] * 12)
    assert await narrator(door, stats).speak(Piece(text, {})) == LOUD * len(door.texts)
    assert " ".join(door.texts) == text
    assert max(map(len, door.texts)) <= 250


async def test_the_text_is_prepared_as_in_a_call(stats: PromptStats) -> None:
    door = ScriptedDoor()
    keys = Keys(door.config, lambda text, language: f"{text.strip('*')} {language}")
    await Narrator(keys, stats, door=door).speak(Piece("*Hello*", {"language": "hi"}))
    assert door.texts == ["Hello hi"]


async def test_what_has_nothing_to_say_is_a_short_silence(stats: PromptStats) -> None:
    door = ScriptedDoor()
    assert await Narrator(Keys(door.config, lambda *_: " "), stats, door=door).speak(HELLO) == NOTHING
    assert door.texts == []


@pytest.mark.parametrize(
    "script",
    [
        [Unavailable("gone"), TimedOut("late")],
        [Busy("full", retry_after_s=0.0)] * (TRIES + 2),
        [Busy("full"), Unavailable("gone"), Busy("full"), Unavailable("gone"), Busy("full")],
    ],
    ids=["failures", "busy", "both"],
)
async def test_what_may_help_is_tried(script: Sequence[LightningError], stats: PromptStats) -> None:
    door = ScriptedDoor(script=script)
    assert await narrator(door, stats).speak(HELLO) == LOUD
    assert len(door.texts) == len(script) + 1
    assert stats.render_failures == 0
    assert door.units.in_use == 0


@pytest.mark.parametrize(
    "error, times",
    [
        (InvalidRequest("no"), 1),
        (Unauthorized("no"), 1),
        (Unavailable("gone"), TRIES),
        (TimedOut("late"), TRIES),
    ],
)
async def test_what_cannot_is_not(error: LightningError, times: int, stats: PromptStats) -> None:
    door = ScriptedDoor(script=[error] * 10)
    with pytest.raises(type(error)):
        await narrator(door, stats).speak(HELLO)
    assert len(door.texts) == times
    assert (stats.rendered, stats.render_failures) == (0, 1)


async def test_busy_for_minutes_is_a_failure(stats: PromptStats, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.prompts.narrator.BUSY_PATIENCE_S", 0.01)
    door = ScriptedDoor(script=[Busy("full", retry_after_s=0.005)] * 10)
    with pytest.raises(Busy):
        await narrator(door, stats).speak(HELLO)
    assert len(door.texts) == 3


async def test_who_is_cancelled_holds_no_unit(stats: PromptStats) -> None:
    door = ScriptedDoor()
    door.open.clear()
    task = asyncio.create_task(narrator(door, stats).speak(HELLO))
    await until(lambda: door.units.in_use == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert door.units.in_use == 0


@pytest.mark.parametrize(
    "door, model, ahead",
    [
        ("live", "lightning_v3.1", "http"),
        ("sse", "lightning_v3.1_pro", "http"),
        ("v3.1", "lightning_v3.1", "http"),
        ("v2", "lightning_v2", "v2"),
        ("v2-sse", "lightning_v2", "v2-sse"),
        ("v4", "lightning_v4", "v4"),
        ("local", "lightning_v3.1", "local"),
    ],
)
def test_prompts_go_through_the_http_door_where_the_model_has_one(door: str, model: str, ahead: str) -> None:
    config = LightningConfig().with_changes({"door": door, "model": model, "stall_timeout_s": 60.0})
    prepared = ahead_of_calls(config)
    assert (prepared.door, prepared.model, prepared.spare_connections) == (ahead, model, 0)
    assert (prepared.first_audio_timeout_s, prepared.stall_timeout_s) == (LEAST_TIMEOUT_S, 60.0)


# -- behind calls ------------------------------------------------------------------------------------------------------


@pytest.fixture
async def tasks() -> AsyncIterator[list[asyncio.Task[bytes]]]:
    """Ended when the test is."""
    tasks: list[asyncio.Task[bytes]] = []
    yield tasks
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("concurrency, calls", [(1, 1), (2, 1), (5, 4), (5, 5)])
async def test_the_last_free_unit_is_for_calls(
    concurrency: int, calls: int, stats: PromptStats, tasks: list[asyncio.Task[bytes]]
) -> None:
    units = Units(concurrency)
    door = ScriptedDoor(units=units)
    held = [await units.acquire(0) for _ in range(calls)]
    tasks.append(asyncio.create_task(narrator(door, stats, behind_calls=True).speak(HELLO)))
    turns = 0
    while turns < 3:  # each longer than it takes to look
        await asyncio.sleep(0.021)
        turns += 1
    assert door.texts == []
    for unit in held[:2]:
        unit.release()
    assert await tasks[0] == LOUD


async def test_a_lone_unit_is_taken_while_no_call_wants_it(stats: PromptStats) -> None:
    assert await narrator(ScriptedDoor(), stats, behind_calls=True).speak(HELLO) == LOUD


async def test_a_call_that_comes_to_wait_is_given_the_unit_at_once(
    stats: PromptStats, tasks: list[asyncio.Task[bytes]]
) -> None:
    units = Units(1)
    door = ScriptedDoor(units=units)
    door.open.clear()
    tasks.append(asyncio.create_task(narrator(door, stats, behind_calls=True).speak(HELLO)))
    await until(lambda: door.texts == ["Hello."])
    unit = await units.acquire(10.0)
    assert stats.yielded <= 1
    door.open.set()
    await until(lambda: stats.yielded == 1)
    assert not tasks[0].done(), "it waits behind the call"
    unit.release()
    assert await tasks[0] == LOUD
    assert door.texts == ["Hello.", "Hello."]
    assert (stats.rendered, stats.render_failures) == (1, 0)


async def test_a_refusal_behind_calls_is_told(stats: PromptStats) -> None:
    door = ScriptedDoor(script=[InvalidRequest("no")])
    with pytest.raises(InvalidRequest):
        await narrator(door, stats, behind_calls=True).speak(HELLO)
