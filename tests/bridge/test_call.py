"""A call, in virtual time: what the carrier is sent, in what order, and what the agent is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import wraps
from typing import Any

import pytest

from bridge.call import Call, Turn
from bridge.config import BargeInMode
from bridge.errors import CallEnded, LightningError, ListenOnly, TimedOut, Unauthorized, Unavailable
from bridge.lightning.speech import Synthesis
from bridge.media.heard import Heard
from bridge.observe import timeline as tl
from bridge.prompts import Prompt, apology
from telephony_codecs.formats import MULAW_8K
from tests.support.call import MS_PER_CHARACTER, Scene, build_call, sound, sounds_in
from tests.support.virtual_time import run_virtually

TEXT = "One two three four five six."
TEXT_MS = len(TEXT) * MS_PER_CHARACTER
PACKET = 160


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in virtual time."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        run_virtually(lambda: test(*args, **kwargs))

    return run


def saying(call: Call, text: str = TEXT, **options: Any) -> asyncio.Task[Heard]:
    return asyncio.create_task(call.say(text, **options))


def entries(scene: Scene, kind: type[Any]) -> list[Any]:
    return [entry for entry in scene.call.timeline if isinstance(entry, kind)]


def fails(error: LightningError, after_ms: float = 0.0) -> Callable[[int, Synthesis], None]:
    def script(number: int, synthesis: Synthesis) -> None:
        if after_ms:
            synthesis.deliver(sound(number, after_ms))
        synthesis.finish(error)

    return script


def says_nothing(_number: int, _synthesis: Synthesis) -> None:
    """Lightning takes its time."""


# -- say ---------------------------------------------------------------------------------------------------------


@virtual
async def test_what_is_said_is_heard_to_its_end() -> None:
    scene = build_call()
    began_s = scene.pacer.clock()
    heard = await scene.call.say(TEXT)
    assert heard == scene.call.heard == Heard(TEXT, TEXT_MS, TEXT_MS)
    assert scene.pacer.clock() - began_s == pytest.approx(TEXT_MS / 1000, abs=0.03)
    assert scene.audio == sound(0, TEXT_MS)
    assert [len(value) for kind, value in scene.trace if kind == "audio"] == [PACKET] * (TEXT_MS // 20)
    assert scene.kinds == ["mark", "mark"]
    (said,) = entries(scene, tl.SpeakingEnded)
    assert (said.heard_ms, said.total_ms, said.heard_text, said.by) == (TEXT_MS, TEXT_MS, TEXT, "")
    (first,) = entries(scene, tl.FirstAudio)
    assert first.utterance == said.utterance == 1


@virtual
async def test_no_more_than_the_lead_is_ahead_of_the_caller() -> None:
    scene = build_call(lead_ms=100)
    task = saying(scene.call)
    await asyncio.sleep(0.001)
    assert len(scene.audio) == 5 * PACKET
    for passed_ms in (20, 200, 400):
        await asyncio.sleep(passed_ms / 1000)
        sent_ms, heard_ms = MULAW_8K.ms_in(len(scene.audio)), scene.call.heard.ms
        assert 70 <= sent_ms - heard_ms <= 100
    await task


@virtual
async def test_blank_text_is_said_by_saying_nothing() -> None:
    scene = build_call()
    assert await scene.call.say(" \n") == Heard()
    assert scene.trace == []
    assert scene.lightning.syntheses == []


@virtual
async def test_two_agents_tasks_do_not_speak_at_once() -> None:
    scene = build_call()
    first, second = saying(scene.call, "First."), saying(scene.call, "Second.")
    assert [(await first).text, (await second).text] == ["First.", "Second."]
    assert scene.audio == sound(0, 300) + sound(1, 350) + bytes([0xFF]) * 80


@virtual
async def test_text_that_streams_in_is_spoken_as_it_comes() -> None:
    scene = build_call()

    async def words() -> AsyncIterator[str]:
        yield "First sentence. "
        await asyncio.sleep(5)
        assert sounds_in(scene.audio) == {0}, "the first is heard while the second is not even written"
        yield "Second one."

    heard = await scene.call.say(words())
    assert heard.text == "First sentence. Second one."
    assert [s.request.text for s in scene.lightning.syntheses] == ["First sentence.", "Second one."]
    assert scene.call.heard.ms == (15 + 11) * MS_PER_CHARACTER


@virtual
async def test_an_iterator_without_text_says_nothing_and_ends() -> None:
    scene = build_call()

    async def nothing() -> AsyncIterator[str]:
        return
        yield ""

    assert await scene.call.say(nothing()) == Heard()
    assert scene.trace == []


@virtual
async def test_what_the_agents_iterator_raises_is_the_agents_and_the_caller_hears_no_more() -> None:
    scene = build_call()

    async def breaks() -> AsyncIterator[str]:
        yield "First sentence. "
        await asyncio.sleep(0.1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await scene.call.say(breaks())
    assert scene.kinds == ["clear"]
    assert (await scene.call.say(TEXT)).text == TEXT


@virtual
async def test_what_is_no_text_is_refused_and_the_call_goes_on() -> None:
    scene = build_call()
    with pytest.raises(TypeError):
        await scene.call.say(7)  # type: ignore[arg-type]
    assert (await scene.call.say(TEXT)).text == TEXT


@virtual
async def test_a_carrier_that_only_listens_is_not_spoken_to() -> None:
    scene = build_call(can_speak=False)
    for speak in (scene.call.say(TEXT), scene.call.play(apology())):
        with pytest.raises(ListenOnly):
            await speak
    assert scene.trace == []
    assert scene.lightning.syntheses == []


@virtual
async def test_a_long_synthesis_is_not_all_held_in_memory() -> None:
    scene = build_call()
    sentence = "x" * 240 + ". "
    task = saying(scene.call, sentence * 20)
    most_ms = 0
    for _ in range(40):
        await asyncio.sleep(0.5)
        most_ms = max(most_ms, scene.playout.queued_ms)
    assert 5_000 < most_ms < 20_000 + 2 * 241 * MS_PER_CHARACTER < 241 * 20 * MS_PER_CHARACTER
    await scene.call.hang_up()
    with pytest.raises(CallEnded):
        await task


@virtual
async def test_a_carrier_that_answers_no_marks_is_believed_to_have_played() -> None:
    scene = build_call()
    scene.line.answer = None
    assert await scene.call.say(TEXT) == Heard(TEXT, TEXT_MS, TEXT_MS)
    assert scene.playout.stats.missing_marks == 1


# -- cancelled by the agent --------------------------------------------------------------------------------------


@pytest.mark.parametrize("after_s", [0.0, 0.5, 1.3, TEXT_MS / 1000 - 0.01])
@virtual
async def test_an_agent_may_stop_waiting_and_the_caller_hears_no_more(after_s: float) -> None:
    """While nothing has come yet, while it is spoken, and when all of it has been sent but not yet heard."""
    scene = build_call()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(after_s):
            await scene.call.say(TEXT)
    assert scene.kinds[-1 if after_s else 0] in ("clear", "cancel")
    sent = len(scene.trace)
    await asyncio.sleep(3)
    assert [kind for kind, _ in scene.trace[sent:]] == []
    assert await scene.call.say("Again.") == Heard("Again.", 300, 300)


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
    task = saying(scene.call)
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
    (barge_in,) = entries(scene, tl.BargeIn)
    assert (barge_in.by, barge_in.dropped_ms, barge_in.onset_ms) == ("digit", 350, None)


@virtual
async def test_marks_that_a_clear_sends_back_are_not_taken_for_the_next_utterance() -> None:
    scene = build_call()
    first = saying(scene.call)
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
    task = saying(scene.call)
    await asyncio.sleep(0.2)
    scene.press("1")
    assert await task == Heard("", 0, 0, "digit")
    scene.lightning.syntheses[0].deliver(sound(0, 100))
    await asyncio.sleep(1)
    assert scene.audio == b""


@virtual
async def test_two_windows_of_speech_interrupt() -> None:
    scene = build_call()
    task = saying(scene.call)
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
    task = saying(scene.call)
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
    for wanted, interrupt in (
        (by_digit, lambda scene: scene.press("1")),
        (by_speech, lambda scene: scene.hear(0.9, 0.9, 0.9)),
    ):
        scene = build_call(mode=mode if configured else "both")
        task = saying(scene.call) if configured else saying(scene.call, barge_in=mode)
        await asyncio.sleep(0.3)
        interrupt(scene)
        assert (await task).interrupted is wanted
        scene.close()


@virtual
async def test_interruptible_false_lets_nothing_interrupt_this_one_and_only_this_one() -> None:
    scene = build_call()
    task = saying(scene.call, interruptible=False)
    await asyncio.sleep(0.3)
    scene.press("1")
    scene.hear(0.9, 0.9, 0.9)
    assert not (await task).interrupted
    task = saying(scene.call)
    await asyncio.sleep(0.3)
    scene.press("2")
    assert (await task).by == "digit"
    assert scene.call.digits == "12"


@virtual
async def test_heard_tells_how_far_it_has_come() -> None:
    scene = build_call()
    task = saying(scene.call)
    assert scene.call.heard == Heard()
    await asyncio.sleep(0.75)
    assert scene.call.heard == Heard("One two three", 750, TEXT_MS)
    await task


# -- the voice fails ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [Unauthorized("no"), Unavailable("gone"), TimedOut("silent")])
@pytest.mark.parametrize("after_ms", [0, 200])
@virtual
async def test_the_caller_hears_an_apology_and_then_the_agent_the_error(
    error: LightningError, after_ms: int
) -> None:
    scene = build_call()
    scene.lightning.script = fails(error, after_ms)
    with pytest.raises(type(error)):
        await scene.call.say(TEXT)
    before, found, after = scene.audio.partition(apology().audio)
    assert found
    assert after.strip(b"\xff") == b""
    tries = 2 if error.retryable else 1
    assert len(scene.lightning.syntheses) == tries
    assert len(before) == MULAW_8K.bytes_in(after_ms) * tries
    assert scene.stats.voice_failures == 1
    assert scene.call.heard.text == apology().text
    assert [entry.error for entry in entries(scene, tl.VoiceFailed)] == [f"{type(error).__name__}: {error}"]


@virtual
async def test_a_failure_while_the_packets_are_held_does_not_hold_the_call() -> None:
    scene = build_call()
    scene.lightning.script = says_nothing
    task = saying(scene.call)
    await asyncio.sleep(0.1)
    scene.hear(0.6)
    scene.lightning.syntheses[0].finish(Unauthorized("no"))
    with pytest.raises(Unauthorized):
        await task
    assert apology().audio in scene.audio


@virtual
async def test_the_caller_may_interrupt_the_apology() -> None:
    scene = build_call()
    scene.lightning.script = fails(Unauthorized("no"))
    task = saying(scene.call)
    await asyncio.sleep(0.5)
    scene.press("1")
    with pytest.raises(Unauthorized):
        await task
    assert scene.call.heard.by == "digit"


@virtual
async def test_a_caller_who_hangs_up_during_the_apology_ends_the_call() -> None:
    scene = build_call()
    scene.lightning.script = fails(Unauthorized("no"))
    task = saying(scene.call)
    await asyncio.sleep(0.5)
    scene.call.end("carrier")
    with pytest.raises(CallEnded):
        await task


@virtual
async def test_no_apology_for_what_was_interrupted_before_it_failed() -> None:
    scene = build_call()
    scene.lightning.script = says_nothing
    task = saying(scene.call)
    await asyncio.sleep(0.1)
    scene.press("1")
    scene.lightning.syntheses[0].finish(Unavailable("gone"))
    assert (await task).by == "digit"
    assert scene.stats.voice_failures == 0


# -- play --------------------------------------------------------------------------------------------------------


@virtual
async def test_a_prompt_is_played_bit_by_bit_and_without_lightning() -> None:
    scene = build_call()
    prompt = Prompt(bytes(range(256)) * 10, "All codes.")
    assert await scene.call.play(prompt) == Heard("All codes.", 320, 320)
    assert scene.audio == prompt.audio
    assert scene.lightning.syntheses == []
    assert await scene.call.play(Prompt(b"")) == Heard()


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
    assert [(e.start_ms, e.end_ms) for e in entries(scene, tl.CallerSpoke)] == [(0.0, 160.0)]


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
    task = saying(scene.call)
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
    assert [entry.reason for entry in entries(scene, tl.CallEnded)] == ["agent"]


@virtual
async def test_whoever_waits_when_the_call_ends_is_told() -> None:
    scene = build_call()
    prompt = asyncio.create_task(scene.call.play(apology()))
    waiting = [prompt, saying(scene.call), asyncio.create_task(scene.call.gather(timeout_s=1000))]
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
    task = saying(scene.call)
    await asyncio.sleep(0.3)
    scene.call.end("carrier")
    sent = len(scene.trace)
    scene.press("1")
    scene.hear(0.9, 0.9)
    with pytest.raises(CallEnded):
        await task
    assert len(scene.trace) == sent
    assert scene.stats.barge_ins == {}
