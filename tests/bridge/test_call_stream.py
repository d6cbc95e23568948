"""A call, in virtual time: sound from elsewhere, silence at the agent's word, and who else hears the caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bridge.errors import CallEnded, ListenOnly
from bridge.media.heard import Heard
from bridge.observe import timeline as tl
from bridge.prompts.relay import AHEAD_MS
from tests.support.call import Scene, build_call, sound
from tests.support.virtual_time import virtual
from tests.support.waiting import until

PART_MS = 100


async def parts(*given: bytes | str, every_s: float = 0.0) -> AsyncIterator[bytes | str]:
    for part in given:
        yield part
        await asyncio.sleep(every_s)


class Endless:
    """Sound without end, as fast as it is taken."""

    def __init__(self) -> None:
        self.taken_ms = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._parts()

    async def _parts(self) -> AsyncIterator[bytes]:
        while True:
            yield sound(1, PART_MS)
            self.taken_ms += PART_MS


def told(scene: Scene) -> list[tuple[str, str]]:
    return [(entry.heard_text, entry.by) for entry in scene.entries(tl.SpeakingEnded)]


# -- stream ------------------------------------------------------------------------------------------------------------


@virtual
async def test_whoever_makes_sound_that_is_not_wanted_any_more_may_tidy_up_at_once() -> None:
    scene, tidied = build_call(), []

    async def parts_of_a_connection() -> AsyncIterator[bytes]:
        try:
            while True:
                yield sound(1, PART_MS)
        finally:
            tidied.append("closed")

    producer = parts_of_a_connection()  # held, so that no collector does it
    task = asyncio.create_task(scene.call.stream(producer))
    await asyncio.sleep(1)
    assert scene.call.interrupt()
    await task
    await asyncio.sleep(0.001)
    assert tidied == ["closed"]
    scene.close()


@pytest.mark.parametrize("size", [1, 160, 333, 4000])
@virtual
async def test_what_is_heard_is_what_came_however_it_was_cut(size: int) -> None:
    scene = build_call()
    audio = sound(3, 1000)
    cut = [audio[at : at + size] for at in range(0, len(audio), size)]
    heard = await scene.call.stream(parts(*cut), text="Good evening.")
    assert scene.audio == audio
    assert heard == Heard("Good evening.", 1000, 1000)
    assert told(scene) == [("Good evening.", "")]


@virtual
async def test_text_that_comes_among_the_sound_is_told_as_far_as_it_was_heard() -> None:
    scene = build_call()
    given = parts("Good evening, ", sound(1, 1000), "and welcome.", sound(1, 1000), every_s=0.1)
    streaming = asyncio.create_task(scene.call.stream(given))
    await asyncio.sleep(1.5)  # the first of it came after 0.1 s
    scene.press("1")
    heard = await streaming
    assert (heard.text, heard.by, heard.ms) == ("Good evening, and", "digit", 1400)


@virtual
async def test_silence_of_the_producer_is_silence_and_no_end() -> None:
    scene = build_call()
    heard = await scene.call.stream(parts(sound(1, 200), sound(1, 200), every_s=1.0))
    assert heard.ms == 400
    assert scene.playout.stats.underruns == 1


@virtual
async def test_nothing_is_an_utterance_too() -> None:
    scene = build_call()
    assert await scene.call.stream(parts()) == Heard()
    assert scene.audio == b""


@virtual
async def test_a_producer_faster_than_real_time_is_asked_for_no_more_than_is_needed() -> None:
    scene = build_call()
    endless = Endless()
    streaming = asyncio.create_task(scene.call.stream(endless))
    for _ in range(20):
        await asyncio.sleep(0.5)
        ahead_ms = endless.taken_ms - scene.call.heard.ms
        assert ahead_ms <= AHEAD_MS + scene.playout.lead_ms + 2 * PART_MS
    assert scene.playout.stats.underruns == 0
    scene.call.interrupt()
    assert (await streaming).by == "agent"
    taken_ms = endless.taken_ms
    await asyncio.sleep(1)
    assert endless.taken_ms == taken_ms, "nobody goes on taking from it"


@virtual
async def test_what_the_producer_raises_is_raised_and_the_next_utterance_is_heard() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield sound(1, 1000)
        raise ZeroDivisionError("the producer's own")

    scene = build_call()
    with pytest.raises(ZeroDivisionError, match="own"):
        await scene.call.stream(broken())
    assert scene.kinds[-1] == "clear"
    assert (await scene.call.stream(parts(sound(2, 100)))).ms == 100


@virtual
async def test_the_callers_voice_interrupts_it_unless_it_may_not() -> None:
    scene = build_call()
    for barge_in, by in ((None, "speech"), ("digits", "")):
        streaming = asyncio.create_task(scene.call.stream(parts(sound(1, 1000)), barge_in=barge_in))  # type: ignore[arg-type]
        await asyncio.sleep(0.3)
        scene.hear(0.9, 0.9, 0.9)
        assert (await streaming).by == by
        scene.hear(*[0.0] * 30)


@virtual
async def test_a_call_that_ends_ends_it() -> None:
    scene = build_call()
    streaming = asyncio.create_task(scene.call.stream(Endless()))
    await asyncio.sleep(0.3)
    scene.call.end("carrier")
    with pytest.raises(CallEnded):
        await streaming
    with pytest.raises(CallEnded):
        await scene.call.stream(parts(sound(1, 100)))


@virtual
async def test_where_nothing_can_be_played_nothing_is_streamed() -> None:
    with pytest.raises(ListenOnly):
        await build_call(can_speak=False).call.stream(parts(sound(1, 100)))


# -- interrupt ---------------------------------------------------------------------------------------------------------


@virtual
async def test_the_agents_interruption_clears_first_and_then_nothing_is_sent() -> None:
    scene = build_call(mode="off")
    saying = scene.say("One two three four five six.")
    await asyncio.sleep(0.5)
    assert scene.call.interrupt()
    assert scene.kinds == ["clear"], "all of it had come: there is nothing to cancel"
    sent = len(scene.trace)
    heard = await saying
    assert (heard.by, heard.ms) == ("agent", 500)
    await asyncio.sleep(1)
    assert len(scene.trace) == sent
    assert told(scene) == [(heard.text, "agent")]


@virtual
async def test_there_may_be_nothing_to_interrupt() -> None:
    scene = build_call()
    assert not scene.call.interrupt()
    assert scene.kinds == []


@virtual
async def test_music_on_hold_is_not_interrupted() -> None:
    scene = build_call()
    async with scene.call.holding():
        await asyncio.sleep(0.5)
        assert not scene.call.interrupt()
        assert scene.kinds == []
        assert scene.playout.active


@virtual
async def test_whoever_waits_to_speak_speaks_after_the_interruption() -> None:
    scene = build_call()
    first, second = scene.say("One two three."), scene.say("Four.")
    await asyncio.sleep(0.2)
    scene.call.interrupt("speech")
    assert (await first).by == "speech"
    assert not (await second).interrupted


# -- hearing -----------------------------------------------------------------------------------------------------------


@virtual
async def test_the_callers_voice_goes_to_whoever_hears_it_and_to_nobody_afterwards() -> None:
    scene = build_call()
    heard = bytearray()
    with scene.call.hearing(heard.extend):
        said = await scene.talk(100)
    await scene.talk(100, code=0x90)
    assert bytes(heard) == said


@virtual
async def test_who_hears_a_call_that_ends_hears_nothing_more() -> None:
    scene = build_call()
    heard = bytearray()
    with scene.call.hearing(heard.extend):
        scene.call.end("carrier")
        scene.call.taps.sink(b"\x80" * 160)
    assert heard == b""
    with pytest.raises(CallEnded), scene.call.hearing(heard.extend):
        await until(lambda: False)


@virtual
async def test_who_knows_when_the_caller_is_done_begins_the_waits_and_the_bridge_does_not() -> None:
    scene = build_call()
    with scene.call.hearing(lambda _mulaw: None, tells_turns=True):
        await scene.talk(500)
        await scene.be_silent(300)
        scene.call.note_turn(500)
        heard = await scene.call.stream(parts(sound(1, 200)))
        await scene.be_silent(1000)
    assert heard.ms == 200
    (turn,) = scene.entries(tl.TurnTimed)
    assert (turn.outcome, turn.speech_end_ms) == ("answered", 500)
    assert turn.audible_ms == pytest.approx(800, abs=50)
    await scene.talk(500)
    await scene.be_silent(1000)
    scene.call.end("carrier")
    assert [turn.outcome for turn in scene.entries(tl.TurnTimed)] == ["answered", "unanswered"]
