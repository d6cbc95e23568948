"""Turns of a whole call on the clock: which of what is said is the answer, and when the caller hears it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from bridge.config_agents import BudgetConfig
from bridge.errors import BudgetSpent, TimedOut
from bridge.lightning.speech import Synthesis
from bridge.media.vad import WINDOW_MS
from bridge.observe import timeline as tl
from bridge.prompts import Prompt
from tests.support.call import Scene, build_call, sound
from tests.support.virtual_time import virtual

#: Of the turn detector, and a whole number of windows.
PATIENCE_MS = 608


async def turn(scene: Scene) -> float:
    """The caller says something. Returns the end of it, in ms of the call."""
    await scene.talk(10 * WINDOW_MS)
    ended_ms = scene.call.now_ms
    await scene.be_silent(PATIENCE_MS + 2 * WINDOW_MS)
    return ended_ms


def timed(scene: Scene) -> list[tl.TurnTimed]:
    return scene.entries(tl.TurnTimed)


def slow(scene: Scene, by_s: float) -> None:
    def script(number: int, synthesis: Synthesis) -> None:
        asyncio.get_running_loop().call_later(by_s, scene.lightning.say_all, number, synthesis)

    scene.lightning.script = script


@virtual
async def test_the_greeting_answers_nobody_and_the_first_answer_is_timed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    scene = build_call()
    await scene.call.say("Hello.")
    spoke_until_ms = await turn(scene)
    slow(scene, 0.3)
    asked_ms = scene.call.now_ms
    await scene.call.say("Here you are.")
    (record,) = timed(scene)
    assert record.outcome == "answered"
    assert record.speech_end_ms == pytest.approx(spoke_until_ms, abs=WINDOW_MS + 20)
    assert record.token_ms == pytest.approx(asked_ms)
    assert record.audio_ms == record.audible_ms == pytest.approx(asked_ms + 300)
    (line,) = [line for line in caplog.messages if "turn 1" in line]
    assert line.startswith(f"call {scene.call.id} turn 1: speech end +0, token ")
    scene.close()


@virtual
async def test_a_turn_is_over_when_patience_is_and_not_with_the_window_after_it() -> None:
    scene = build_call()
    await scene.talk(10 * WINDOW_MS)
    silent_since_ms = scene.call.now_ms - 20  # when the last packet came in
    await scene.be_silent(800)
    (turn,) = scene.entries(tl.CallerSpoke)
    assert turn.at_ms - silent_since_ms == pytest.approx(600, abs=1)
    scene.close()


@virtual
async def test_who_goes_on_before_patience_is_over_has_one_turn() -> None:
    scene = build_call()
    for _ in range(2):
        await scene.talk(10 * WINDOW_MS)
        await scene.be_silent(540)
    assert scene.entries(tl.CallerSpoke) == []
    await scene.be_silent(80)
    assert len(scene.entries(tl.CallerSpoke)) == 1
    scene.close()


@virtual
async def test_the_first_words_of_an_iterator_are_the_token() -> None:
    async def thinks() -> AsyncIterator[str]:
        await asyncio.sleep(0.4)
        yield "Well. "
        await asyncio.sleep(0.4)
        yield "Here you are."

    scene = build_call()
    await turn(scene)
    asked_ms = scene.call.now_ms
    await scene.call.say(thinks())
    (record,) = timed(scene)
    assert record.token_ms == pytest.approx(asked_ms + 400)
    scene.close()


@virtual
async def test_what_is_no_answer_leaves_the_turn_waiting() -> None:
    scene = build_call()
    await turn(scene)
    await scene.call.play(Prompt(sound(1, 200)), answers=False)
    assert timed(scene) == []
    asked_ms = scene.call.now_ms
    await scene.call.play(Prompt(b"\xff" * 800 + sound(1, 200)))
    (record,) = timed(scene)
    assert [record.token_ms, record.audible_ms] == pytest.approx([asked_ms, asked_ms + 100])
    assert record.audio_ms is None
    scene.close()


@virtual
async def test_a_voice_that_fails_is_a_turn_that_failed() -> None:
    scene = build_call()
    await turn(scene)
    scene.lightning.script = lambda _number, synthesis: synthesis.finish(TimedOut("late"))
    with pytest.raises(TimedOut):
        await scene.call.say("Here you are.")
    assert [record.outcome for record in timed(scene)] == ["failed"]
    scene.close()


@virtual
async def test_a_key_before_the_answer_sounds_interrupts_the_turn() -> None:
    scene = build_call()
    await turn(scene)
    slow(scene, 5.0)
    saying = scene.say("Here you are.")
    await asyncio.sleep(1.0)
    scene.press("1")
    await saying
    assert [(record.outcome, record.audible_ms) for record in timed(scene)] == [("interrupted", None)]
    scene.close()


@virtual
async def test_what_is_paid_for_is_heard_and_then_the_agent_is_told() -> None:
    async def talks() -> AsyncIterator[str]:
        yield "This is paid for. "
        yield "This is not. " * 10

    scene = build_call(budget=BudgetConfig(characters_per_call=40))
    with pytest.raises(BudgetSpent, match="characters_per_call"):
        await scene.call.say(talks())
    assert scene.audio.strip(b"\xff") == sound(0, 50 * len("This is paid for."))
    assert scene.call.heard.text == "This is paid for."
    with pytest.raises(BudgetSpent):
        await scene.call.say("Nor is this.")
    assert len(scene.lightning.syntheses) == 1
    assert [entry.limit for entry in scene.entries(tl.BudgetSpent)] == ["characters_per_call"]
    scene.close()
