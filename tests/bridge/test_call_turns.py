"""A call whose caller's words are told, in virtual time: turns, eager ones, and who is not interrupted by what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from bridge.config_agents import TurnsConfig
from bridge.errors import CallEnded
from bridge.observe import timeline as tl
from bridge.turns import Turn
from tests.support.call import MS_PER_CHARACTER, Scene, build_call
from tests.support.virtual_time import virtual

TEXT = "One two three four five six."
TEXT_MS = len(TEXT) * MS_PER_CHARACTER
#: A voice; a pause that asks for the words; silence, together with it, for as long as patience lasts.
VOICE, PAUSE, REST = (0.95,) * 10, (0.0,) * 7, (0.0,) * 12
PATIENCE = PAUSE + REST


async def next_turn(scene: Scene, **options: Any) -> Turn:
    return await anext(aiter(scene.call.turns(**options)))


def waiting(scene: Scene, **options: Any) -> asyncio.Task[Turn]:
    return asyncio.create_task(next_turn(scene, **options))


# -- turns -------------------------------------------------------------------------------------------------------


@virtual
async def test_a_turn_has_its_words() -> None:
    scene = build_call(transcribed=True)
    task = waiting(scene)
    scene.hear(*VOICE, *PAUSE)
    assert scene.words.finalizes == 1
    scene.words.told("Good morning.", "en")
    await asyncio.sleep(0)
    assert not task.done()
    scene.hear(*REST)
    turn = await task
    assert (turn, turn.language, turn.certain) == (Turn(0.0, 320.0, "Good morning.", "en"), "en", True)
    assert await turn.settled()
    assert [entry.text for entry in scene.entries(tl.CallerSpoke)] == ["Good morning."]


@virtual
async def test_all_of_the_callers_audio_is_transcribed_until_the_call_ends() -> None:
    scene = build_call(transcribed=True)
    audio = await scene.talk(100)
    assert (bytes(scene.words.heard), scene.words.closed) == (audio, False)
    scene.call.end("carrier")
    assert scene.words.closed
    scene.words.told("Too late.")
    assert scene.entries(tl.CallerSpoke) == []


@virtual
async def test_words_that_come_in_the_moment_in_which_they_are_asked_for() -> None:
    scene = build_call(transcribed=True)
    scene.words.answer = "Good morning."
    scene.hear(*VOICE, *PATIENCE)
    assert (await next_turn(scene)).text == "Good morning."
    assert scene.words.finalizes == 1


@virtual
async def test_noise_is_counted_and_no_turn() -> None:
    scene = build_call(transcribed=True)
    task = waiting(scene)
    scene.hear(*VOICE, *PAUSE)
    scene.words.told()
    scene.hear(*REST)
    await asyncio.sleep(0)
    assert not task.done()
    assert scene.stats.agents.wordless == 1
    assert scene.entries(tl.CallerSpoke) == []
    scene.hear(*VOICE, *PAUSE)
    scene.words.told("Hello.")
    scene.hear(*REST)
    assert (await task).text == "Hello."


@virtual
async def test_whether_words_can_be_expected_is_told() -> None:
    assert not build_call().call.hears
    scene = build_call(transcribed=True)
    assert scene.call.hears
    scene.words.able = False
    assert not scene.call.hears
    scene.hear(*VOICE, *PATIENCE)
    assert (await next_turn(scene)).text == ""


@virtual
async def test_the_clock_of_turns_is_told_when_a_turn_is_certain() -> None:
    scene = build_call(transcribed=True)
    await scene.talk(640)
    await scene.be_silent(256)
    scene.words.told("Yes.")
    await scene.be_silent(384)
    await next_turn(scene)
    await scene.call.say("Good.")
    (timed,) = scene.entries(tl.TurnTimed)
    assert timed.speech_end_ms == pytest.approx(640, abs=40)
    assert timed.transcript_ms == pytest.approx(896, abs=40)
    assert timed.outcome == "answered"


# -- eager -------------------------------------------------------------------------------------------------------


@virtual
async def test_an_eager_agent_hears_of_a_turn_before_it_is_certain() -> None:
    scene = build_call(transcribed=True)
    task, patient = waiting(scene, eager=True), waiting(scene)
    scene.hear(*VOICE, *PAUSE)
    scene.words.told("Good morning.")
    turn = await task
    assert (turn.text, turn.certain) == ("Good morning.", False)
    settled = asyncio.create_task(turn.settled())
    await asyncio.sleep(0)
    assert not settled.done()
    scene.hear(*REST)
    assert await settled
    assert await turn.settled(), "whoever asks later is told the same"
    assert scene.stats.agents.eager == 1
    assert scene.stats.agents.eager_wasted == 0
    assert not patient.done(), "who took it has it"
    patient.cancel()


@pytest.mark.parametrize("how", ["by voice", "by words"])
@virtual
async def test_an_eager_turn_is_void_when_the_caller_goes_on_and_another_has_all_the_words(how: str) -> None:
    scene = build_call(transcribed=True)
    task = waiting(scene, eager=True)
    scene.hear(*VOICE, *PAUSE)
    scene.words.told("I want")
    turn = await task
    if how == "by voice":
        scene.hear(*VOICE)
    else:
        scene.words.guess("two")
    assert not await turn.settled()
    scene.hear(*PAUSE)
    scene.words.told("two seats.")
    scene.hear(*PATIENCE)
    assert (await next_turn(scene, eager=True)).text == "I want two seats."
    assert (scene.stats.agents.eager, scene.stats.agents.eager_wasted) == (1, 1)


@virtual
async def test_who_has_not_asked_for_it_in_time_gets_a_certain_turn() -> None:
    scene = build_call(transcribed=True)
    scene.hear(*VOICE, *PAUSE)
    scene.words.told("Yes.")
    scene.hear(*REST)
    turn = await next_turn(scene, eager=True)
    assert (turn.text, turn.certain) == ("Yes.", True)
    assert scene.stats.agents.eager == 0


@pytest.mark.parametrize("why", ["configured", "the bridge speaks"])
@virtual
async def test_nobody_is_eager_when_told_not_to_or_while_the_bridge_speaks(why: str) -> None:
    scene = build_call(transcribed=True, turns=TurnsConfig(eager=why != "configured"))
    if why != "configured":
        saying = scene.say(TEXT, interruptible=False)
        await asyncio.sleep(0.1)
    task = waiting(scene, eager=True)
    scene.hear(*VOICE, *PAUSE)
    scene.words.told("Yes.")
    await asyncio.sleep(0)
    assert not task.done()
    scene.hear(*REST)
    assert (await task).certain
    if why != "configured":
        await saying


@virtual
async def test_who_waits_for_a_turn_to_settle_is_told_when_the_call_ends() -> None:
    scene = build_call(transcribed=True)
    task = waiting(scene, eager=True)
    scene.hear(*VOICE, *PAUSE)
    scene.words.told("Yes.")
    turn = await task
    settled = asyncio.create_task(turn.settled())
    await asyncio.sleep(0)
    scene.call.end("carrier")
    with pytest.raises(CallEnded):
        await settled


# -- the caller speaks ---------------------------------------------------------------------------------------------


def by_voice(scene: Scene) -> None:
    scene.words.able = False
    scene.hear(*VOICE)


def by_a_word(scene: Scene) -> None:
    scene.words.guess("Wait")


@pytest.mark.parametrize("speak", [by_voice, by_a_word])
@virtual
async def test_an_agent_that_thinks_notices_that_the_caller_speaks(speak: Callable[[Scene], None]) -> None:
    scene = build_call(transcribed=True)
    scene.hear(*VOICE, *PAUSE)
    scene.words.told("Yes.")
    scene.hear(*REST)
    await next_turn(scene)
    speaks = asyncio.create_task(scene.call.caller_speaks())
    await asyncio.sleep(1)
    assert not speaks.done(), "the turn that was taken does not count"
    speak(scene)
    await speaks
    await scene.call.caller_speaks()  # somebody who speaks already


@virtual
async def test_a_voice_without_a_word_stops_nobody_from_thinking() -> None:
    scene = build_call(transcribed=True)
    speaks = asyncio.create_task(scene.call.caller_speaks())
    scene.hear(*VOICE, *PAUSE)
    scene.words.told()
    scene.hear(*REST)
    await asyncio.sleep(0.1)
    assert not speaks.done()
    scene.call.end("carrier")
    with pytest.raises(CallEnded):
        await speaks


@virtual
async def test_who_thinks_about_an_eager_turn_is_not_disturbed_by_that_turn() -> None:
    scene = build_call(transcribed=True)
    task = waiting(scene, eager=True)
    scene.hear(*VOICE, *PAUSE)
    scene.words.told("Yes.")
    turn = await task
    speaks = asyncio.create_task(scene.call.caller_speaks())
    scene.hear(*REST)
    assert await turn.settled()
    await asyncio.sleep(0.1)
    assert not speaks.done()
    speaks.cancel()


# -- nobody speaks -------------------------------------------------------------------------------------------------


@virtual
async def test_a_caller_has_time_to_begin_from_when_the_bridge_is_done() -> None:
    scene = build_call(transcribed=True)
    began_s = scene.pacer.clock()
    saying = scene.say(TEXT)
    assert [turn async for turn in scene.call.turns(timeout_s=1)] == []
    assert scene.pacer.clock() - began_s == pytest.approx(TEXT_MS / 1000 + 1, abs=0.05)
    await saying


@virtual
async def test_music_is_not_waited_for() -> None:
    scene = build_call(transcribed=True)
    async with scene.call.holding():
        began_s = scene.pacer.clock()
        assert [turn async for turn in scene.call.turns(timeout_s=1)] == []
        assert scene.pacer.clock() - began_s == pytest.approx(1)


@virtual
async def test_words_that_are_late_are_waited_for() -> None:
    scene = build_call(transcribed=True)
    task = waiting(scene, timeout_s=1)
    scene.hear(*VOICE, *PAUSE)
    await asyncio.sleep(3)
    assert not task.done()
    scene.words.told("Yes.")
    scene.hear(*REST)
    assert (await task).text == "Yes."


# -- too few words -------------------------------------------------------------------------------------------------


@virtual
async def test_a_backchannel_neither_stops_the_bridge_nor_is_a_turn() -> None:
    scene = build_call(transcribed=True, min_words=2)
    task = scene.say(TEXT)
    await asyncio.sleep(0.2)
    scene.hear(*VOICE, *PAUSE)
    scene.words.told("Uh-huh.")
    scene.hear(*REST)
    assert not (await task).interrupted
    assert scene.kinds == ["mark", "mark"]
    assert scene.stats.holds == 0, "not even for a moment"
    assert [entry.text for entry in scene.entries(tl.Backchannel)] == ["Uh-huh."]
    assert scene.stats.agents.backchannels == 1
    assert [turn async for turn in scene.call.turns(timeout_s=0.1)] == []


@virtual
async def test_as_many_words_as_it_takes_stop_the_bridge_at_once() -> None:
    scene = build_call(transcribed=True, min_words=2)
    task = scene.say(TEXT)
    await asyncio.sleep(0.2)
    scene.hear(*VOICE)
    scene.words.guess("no")
    assert scene.kinds == []
    scene.words.guess("no wait")
    assert scene.kinds == ["clear"]
    heard = await task
    assert heard.by == "speech"
    assert heard.ms == pytest.approx(200, abs=1)
    scene.hear(*PAUSE)
    scene.words.told("No, wait.")
    scene.hear(*REST)
    assert (await next_turn(scene)).text == "No, wait."


@virtual
async def test_words_from_before_the_bridge_spoke_do_not_stop_it() -> None:
    scene = build_call(transcribed=True, min_words=2)
    scene.hear(*VOICE)
    scene.words.final("As I said before")
    task = scene.say(TEXT)
    await asyncio.sleep(0.2)
    scene.hear(*VOICE)
    scene.words.guess("and")
    assert scene.kinds == []
    scene.words.guess("and so on")
    assert (await task).interrupted


@virtual
async def test_words_without_a_voice_do_not_stop_the_bridge_for_they_may_be_its_own() -> None:
    scene = build_call(transcribed=True, min_words=2)
    task = scene.say(TEXT)
    await asyncio.sleep(0.2)
    scene.words.guess("one two three")
    assert not (await task).interrupted


@pytest.mark.parametrize("why", ["nobody transcribes", "not able"])
@virtual
async def test_without_words_a_voice_is_enough_whatever_min_words_says(why: str) -> None:
    scene = build_call(transcribed=why == "not able", min_words=3)
    if why == "not able":
        scene.words.able = False
    task = scene.say(TEXT)
    await asyncio.sleep(0.2)
    scene.hear(*VOICE)
    assert scene.kinds == ["clear"]
    assert (await task).interrupted


# -- what another turn leaves behind -----------------------------------------------------------------------------


@virtual
async def test_words_of_a_turn_that_ended_meanwhile_do_not_hide_those_of_the_next() -> None:
    scene = build_call(transcribed=True, min_words=2)
    scene.hear(*VOICE)
    scene.words.guess("One two three")
    task = scene.say(TEXT * 4)
    await asyncio.sleep(0.1)
    scene.hear(*PAUSE)
    scene.words.told("One two three.")
    scene.hear(*REST)
    scene.hear(*VOICE)
    scene.words.guess("Please stop")
    assert (await task).by == "speech"


@virtual
async def test_a_guess_that_is_taken_was_never_final_whatever_was_before() -> None:
    scene = build_call(transcribed=True)
    await scene.talk(320)
    await scene.be_silent(256)
    scene.words.told("Yes.")
    await scene.be_silent(416)
    await scene.talk(320)
    scene.words.guess("And no")
    await scene.be_silent(1700)
    turns = scene.call.turns()
    assert [(await anext(turns)).text for _ in range(2)] == ["Yes.", "And no"]
    await scene.call.say("Good.")
    first, second = scene.entries(tl.TurnTimed)
    assert first.transcript_ms is not None
    assert second.transcript_ms is None
