"""A call, in virtual time: interruptions, keys, turns, and its end."""

from __future__ import annotations

import asyncio

import pytest

from bridge.config import BargeInMode
from bridge.errors import CallEnded
from bridge.lightning.speech import Synthesis
from bridge.media.heard import Heard
from bridge.observe import timeline as tl
from bridge.prompts import apology
from bridge.turns import Turn
from tests.support.call import MS_PER_CHARACTER, Scene, build_call, sound
from tests.support.virtual_time import virtual

TEXT = "One two three four five six."
TEXT_MS = len(TEXT) * MS_PER_CHARACTER
PACKET = 160


def says_nothing(_number: int, _synthesis: Synthesis) -> None:
    """Lightning takes its time."""


def press_a_key(scene: Scene) -> None:
    scene.press("1")


def speak(scene: Scene) -> None:
    scene.hear(0.9, 0.9, 0.9)


# -- interrupted -------------------------------------------------------------------------------------------------


@virtual
async def test_a_key_clears_first_then_cancels_and_then_nothing_is_sent() -> None:
    scene = build_call()

    def half(number: int, synthesis: Synthesis) -> None:
        synthesis.deliver(sound(number, 700))
        loop = asyncio.get_running_loop()
        for late_s in (0.4, 0.5, 0.6):
            loop.call_later(late_s, synthesis.deliver, sound(number, 100))

    scene.lightning.script = half
    task = scene.say(TEXT)
    await asyncio.sleep(0.45)
    scene.press("5")
    assert scene.kinds == ["clear", "cancel"], "in the very moment of the key"
    sent = len(scene.trace)
    heard = await task
    assert heard == Heard("One", 450, 800, "digit"), "rather too little than words nobody heard"
    assert heard.interrupted
    await asyncio.sleep(3)
    assert len(scene.trace) == sent
    assert scene.playout.stats.stale_writes == 0, "what comes late is dropped before it gets here"
    assert scene.stats.barge_ins == {"digit": 1}
    (barge_in,) = scene.entries(tl.BargeIn)
    assert (barge_in.by, barge_in.dropped_ms, barge_in.onset_ms) == ("digit", 350, None)


@virtual
async def test_marks_that_a_clear_sends_back_are_not_taken_for_the_next_utterance() -> None:
    scene = build_call()
    first = scene.say(TEXT)
    await asyncio.sleep(1.35)  # all is sent, its last mark is out
    scene.press("1")
    assert (await first).ms == pytest.approx(1350, abs=1)
    began_s = scene.pacer.clock()
    assert (await scene.call.say("Again.")).ms == 300
    assert scene.pacer.clock() - began_s == pytest.approx(0.3, abs=0.03)
    assert scene.playout.stats.stale_marks == 1


@virtual
async def test_a_key_before_the_first_sound_stops_it_too() -> None:
    scene = build_call()
    scene.lightning.script = says_nothing
    task = scene.say(TEXT)
    await asyncio.sleep(0.2)
    scene.press("1")
    assert await task == Heard("", 0, 0, "digit")
    scene.lightning.syntheses[0].deliver(sound(0, 100))
    await asyncio.sleep(1)
    assert scene.audio == b""


@virtual
async def test_two_windows_of_speech_interrupt() -> None:
    scene = build_call()
    task = scene.say(TEXT)
    await asyncio.sleep(0.5)
    scene.hear(0.9)
    assert scene.kinds == []
    scene.hear(0.9)
    assert scene.kinds == ["clear"], "the synthesis was complete already"
    heard = await task
    assert (heard.by, heard.text) == ("speech", "One two")
    assert scene.stats.barge_ins == {"speech": 1}


@virtual
async def test_a_first_sign_of_speech_holds_the_packets_and_doubt_sends_them_on() -> None:
    scene = build_call()
    task = scene.say(TEXT)
    await asyncio.sleep(0.5)
    scene.hear(0.6)
    sent = len(scene.audio)
    await asyncio.sleep(0.15)
    assert len(scene.audio) == sent
    scene.hear(0.0, 0.0)
    assert await task == Heard(TEXT, TEXT_MS, TEXT_MS)
    assert scene.audio == sound(0, TEXT_MS), "nothing is lost"
    assert (scene.stats.holds, scene.stats.false_holds) == (1, 1)
    assert scene.playout.stats.underruns == scene.playout.stats.slips == 0


@pytest.mark.parametrize(
    ("mode", "by_digit", "by_speech"),
    [("off", False, False), ("digits", True, False), ("speech", False, True), ("both", True, True)],
)
@pytest.mark.parametrize("configured", [True, False])
@virtual
async def test_only_what_may_interrupt_does(
    mode: BargeInMode, by_digit: bool, by_speech: bool, configured: bool
) -> None:
    for wanted, interrupt in ((by_digit, press_a_key), (by_speech, speak)):
        scene = build_call(mode=mode if configured else "both")
        task = scene.say(TEXT) if configured else scene.say(TEXT, barge_in=mode)
        await asyncio.sleep(0.3)
        interrupt(scene)
        assert (await task).interrupted is wanted
        scene.close()


@virtual
async def test_interruptible_false_lets_nothing_interrupt_this_one_and_only_this_one() -> None:
    scene = build_call()
    task = scene.say(TEXT, interruptible=False)
    await asyncio.sleep(0.3)
    scene.press("1")
    scene.hear(0.9, 0.9, 0.9)
    assert not (await task).interrupted
    task = scene.say(TEXT)
    await asyncio.sleep(0.3)
    scene.press("2")
    assert (await task).by == "digit"
    assert scene.call.digits == "12"


@virtual
async def test_heard_tells_how_far_it_has_come() -> None:
    scene = build_call()
    task = scene.say(TEXT)
    assert scene.call.heard == Heard()
    await asyncio.sleep(0.75)
    assert scene.call.heard == Heard("One two three", 750, TEXT_MS)
    await task


# -- keys --------------------------------------------------------------------------------------------------------


@virtual
async def test_keys_pressed_ahead_count() -> None:
    scene = build_call()
    scene.press("12")
    task = asyncio.create_task(scene.call.gather(4))
    await asyncio.sleep(0.1)
    scene.press("345")
    assert await task == "1234"
    assert scene.call.digits == "5"


@pytest.mark.parametrize(("pressed", "result"), [("12#3", "12"), ("#", ""), ("12", "12")])
@virtual
async def test_gather_ends_by_a_key_or_by_waiting(pressed: str, result: str) -> None:
    scene = build_call()
    scene.press(pressed)
    assert await scene.call.gather(5, timeout_s=2.0) == result


@virtual
async def test_only_so_many_keys_are_kept() -> None:
    scene = build_call()
    scene.press("1" * 1000 + "2")
    assert len(scene.call.digits) == 64
    assert scene.call.digits.endswith("12")


# -- turns -------------------------------------------------------------------------------------------------------

SPEAKS, FALLS_SILENT = (0.9,) * 5, (0.0,) * 20


@virtual
async def test_a_turn_comes_when_the_caller_has_fallen_silent() -> None:
    scene = build_call()
    turns: list[Turn] = []

    async def listen() -> None:
        async for turn in scene.call.turns():
            turns.append(turn)

    task = asyncio.create_task(listen())
    await asyncio.sleep(0)
    scene.hear(*SPEAKS)
    await asyncio.sleep(0)
    assert turns == []
    scene.hear(*FALLS_SILENT)
    await asyncio.sleep(0)
    assert turns == [Turn(0.0, 160.0)]
    scene.call.end("carrier")
    await task
    assert [(e.start_ms, e.end_ms) for e in scene.entries(tl.CallerSpoke)] == [(0.0, 160.0)]


@virtual
async def test_turns_end_when_nobody_speaks_but_not_while_somebody_does() -> None:
    scene = build_call()
    began_s = scene.pacer.clock()
    assert [turn async for turn in scene.call.turns(timeout_s=3)] == []
    assert scene.pacer.clock() - began_s == pytest.approx(3)
    scene.hear(*SPEAKS)
    asyncio.get_running_loop().call_later(4, scene.hear, *FALLS_SILENT)
    assert len([turn async for turn in scene.call.turns(timeout_s=3)]) == 1


# -- the end -----------------------------------------------------------------------------------------------------


@virtual
async def test_hanging_up_closes_the_line_once_and_sends_nothing_more() -> None:
    scene = build_call()
    task = scene.say(TEXT)
    await asyncio.sleep(0.3)
    await scene.call.hang_up()
    await scene.call.hang_up()
    scene.call.drop(1001, "drained")
    scene.call.end("carrier")
    assert scene.line.closes == [(1000, "agent")]
    assert scene.call.ended == "agent"
    assert scene.kinds[-1] in ("close", "cancel")
    sent = len(scene.trace)
    with pytest.raises(CallEnded):
        await task
    await asyncio.sleep(2)
    assert len(scene.trace) == sent
    assert [entry.reason for entry in scene.entries(tl.CallEnded)] == ["agent"]


@virtual
async def test_whoever_waits_when_the_call_ends_is_told() -> None:
    scene = build_call()
    prompt = asyncio.create_task(scene.call.play(apology()))
    waiting = [prompt, scene.say(TEXT), asyncio.create_task(scene.call.gather(timeout_s=1000))]
    await asyncio.sleep(0.2)
    scene.call.end("carrier_lost")
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [CallEnded] * 3
    assert scene.lightning.syntheses == [], "the second never had the floor"


@virtual
async def test_after_the_end_nothing_can_be_asked() -> None:
    scene = build_call()
    scene.call.end("carrier")
    for ask in (scene.call.say(TEXT), scene.call.play(apology()), scene.call.gather()):
        with pytest.raises(CallEnded):
            await ask
    assert [turn async for turn in scene.call.turns()] == []
    assert scene.trace == []
    assert scene.lightning.syntheses == []


@virtual
async def test_what_comes_after_the_end_does_nothing() -> None:
    scene = build_call()
    task = scene.say(TEXT)
    await asyncio.sleep(0.3)
    scene.call.end("carrier")
    sent = len(scene.trace)
    scene.press("1")
    scene.hear(0.9, 0.9)
    with pytest.raises(CallEnded):
        await task
    assert len(scene.trace) == sent
    assert scene.stats.barge_ins == {}
