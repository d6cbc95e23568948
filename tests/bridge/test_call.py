"""A call, in virtual time: what the carrier is sent, in what order, and what the agent is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from bridge.errors import CallEnded, LightningError, ListenOnly, TimedOut, Unauthorized, Unavailable
from bridge.lightning.probes import PROBE_TEXT
from bridge.lightning.speech import Synthesis
from bridge.media.heard import Heard
from bridge.observe import timeline as tl
from bridge.prompts import Prompt, apology
from telephony_codecs.formats import MULAW_8K
from tests.support.call import MS_PER_CHARACTER, build_call, sound, sounds_in
from tests.support.virtual_time import virtual

TEXT = "One two three four five six."
TEXT_MS = len(TEXT) * MS_PER_CHARACTER
PACKET = 160


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
    (said,) = scene.entries(tl.SpeakingEnded)
    assert (said.heard_ms, said.total_ms, said.heard_text, said.by) == (TEXT_MS, TEXT_MS, TEXT, "")
    (first,) = scene.entries(tl.FirstAudio)
    assert first.utterance == said.utterance == 1


@virtual
async def test_no_more_than_the_lead_is_ahead_of_the_caller() -> None:
    scene = build_call(lead_ms=100)
    task = scene.say(TEXT)
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
    first, second = scene.say("First."), scene.say("Second.")
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
    task = scene.say(sentence * 20)
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
    asked = [synthesis.request.text for synthesis in scene.lightning.syntheses]
    assert len([text for text in asked if text != PROBE_TEXT]) == tries
    assert len(before) == MULAW_8K.bytes_in(after_ms) * tries
    assert scene.stats.voice_failures == 1
    assert scene.call.heard.text == apology().text
    assert [entry.error for entry in scene.entries(tl.VoiceFailed)] == [f"{type(error).__name__}: {error}"]


@virtual
async def test_a_failure_while_the_packets_are_held_does_not_hold_the_call() -> None:
    scene = build_call()
    scene.lightning.script = says_nothing
    task = scene.say(TEXT)
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
    task = scene.say(TEXT)
    await asyncio.sleep(0.5)
    scene.press("1")
    with pytest.raises(Unauthorized):
        await task
    assert scene.call.heard.by == "digit"


@virtual
async def test_a_caller_who_hangs_up_during_the_apology_ends_the_call() -> None:
    scene = build_call()
    scene.lightning.script = fails(Unauthorized("no"))
    task = scene.say(TEXT)
    await asyncio.sleep(0.5)
    scene.call.end("carrier")
    with pytest.raises(CallEnded):
        await task


@virtual
async def test_no_apology_for_what_was_interrupted_before_it_failed() -> None:
    scene = build_call()
    scene.lightning.script = says_nothing
    task = scene.say(TEXT)
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
