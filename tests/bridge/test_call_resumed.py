"""A call in virtual time whose caller makes a sound and may have nothing to say: paused, then resumed or given up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bridge.carriers.dialect import Delivery
from bridge.carriers.twilio import TwilioDialect
from bridge.config_agents import TurnsConfig
from bridge.errors import CallEnded, Unauthorized
from bridge.lightning.speech import Synthesis
from bridge.media.heard import Heard
from bridge.observe import timeline as tl
from bridge.prompts import Prompt, apology, one_moment
from telephony_codecs.formats import MULAW_8K
from tests.support.call import MS_PER_CHARACTER, Scene, build_call, sound, sounds_in
from tests.support.virtual_time import virtual

TEXT = "One two three four five six."
TEXT_MS = len(TEXT) * MS_PER_CHARACTER
#: Enough to interrupt.
COUGH = (0.95,) * 2
#: Every sample tells its place, so that it is seen what is heard twice or not at all.
COUNTED = Prompt(b"".join(bytes([0x10 + n % 200]) * 160 for n in range(100)), "A hundred packets.")


class LargeTwilio(TwilioDialect):
    """Takes messages of 200 ms."""

    delivery = Delivery(message_ms=200)


async def paused(scene: Scene, after_s: float = 0.5, text: str = TEXT) -> asyncio.Task[Heard]:
    """The bridge says `text`, and is paused after so long."""
    task = scene.say(text)
    await asyncio.sleep(after_s)
    scene.hear(*COUGH)
    return task


# -- resumed -----------------------------------------------------------------------------------------------------


@virtual
async def test_a_voice_silences_at_once_and_without_a_word_the_rest_is_heard() -> None:
    scene = build_call(transcribed=True)
    began_s = scene.pacer.clock()
    task = asyncio.create_task(scene.call.play(COUNTED))
    await asyncio.sleep(0.51)
    scene.hear(*COUGH)
    assert scene.kinds == ["clear"], "no later than ever"
    paused_at = len(scene.audio)
    scene.hear(*[0.0] * 30)
    await asyncio.sleep(0.99)
    assert len(scene.audio) == paused_at
    assert (scene.call.heard.ms, task.done()) == (510, False)
    heard = await task
    assert heard == Heard("A hundred packets.", 2000, 2000)
    assert scene.pacer.clock() - began_s == pytest.approx(2 + 1, abs=0.05)
    assert scene.audio[paused_at:] == COUNTED.audio[25 * 160 :], "from the packet that was being heard"
    (resumed,) = scene.entries(tl.Resumed)
    assert resumed.utterance == 1
    assert resumed.heard_ms == pytest.approx(510, abs=1)
    assert scene.stats.agents.resumed == 1
    assert scene.stats.barge_ins == {}
    assert scene.entries(tl.BargeIn) == []
    assert scene.playout.stats.underruns == scene.playout.stats.slips == 0


@virtual
async def test_marks_of_before_the_pause_say_nothing_about_what_is_heard_again() -> None:
    scene = build_call(transcribed=True)
    task = await paused(scene, 1.3)  # all is sent, its last mark is out, and the clear sends it back
    assert (await task).ms == TEXT_MS
    assert scene.playout.stats.stale_marks == 1
    assert [value for kind, value in scene.trace if kind == "mark"] == ["1.1000", "1.1400", "1.1400.1"]


@virtual
async def test_what_is_synthesised_meanwhile_is_kept_and_no_more_than_is_needed() -> None:
    scene = build_call(transcribed=True)

    def slowly(number: int, synthesis: Synthesis) -> None:
        synthesis.deliver(sound(number, 700))
        asyncio.get_running_loop().call_later(0.6, synthesis.deliver, sound(number, 700))
        asyncio.get_running_loop().call_later(0.7, synthesis.finish)

    scene.lightning.script = slowly
    task = await paused(scene)
    assert await task == Heard(TEXT, 1400, 1400)
    assert "cancel" not in scene.kinds
    audio = scene.audio.strip(b"\xff")
    assert MULAW_8K.ms_in(len(audio)) == pytest.approx(1400 + 200, abs=40), "the lead was sent twice"


@pytest.mark.parametrize("wait_s", [0.3, 0.8])
@virtual
async def test_a_voice_that_fails_while_paused_is_apologised_for_after_the_rest(wait_s: float) -> None:
    scene = build_call(transcribed=True)

    def fails(number: int, synthesis: Synthesis) -> None:
        synthesis.deliver(sound(number, 600))
        asyncio.get_running_loop().call_later(wait_s, synthesis.finish, Unauthorized("no"))

    scene.lightning.script = fails
    task = await paused(scene, 0.2)
    with pytest.raises(Unauthorized):
        await task
    assert apology().audio in scene.audio
    assert scene.stats.agents.resumed == 1


@virtual
async def test_before_the_first_sound_nothing_is_lost_either() -> None:
    scene = build_call(transcribed=True)

    def late(number: int, synthesis: Synthesis) -> None:
        asyncio.get_running_loop().call_later(0.5, scene.lightning.say_all, number, synthesis)

    scene.lightning.script = late
    task = await paused(scene, 0.2)
    assert await task == Heard(TEXT, TEXT_MS, TEXT_MS)
    assert scene.audio == sound(0, TEXT_MS)


@virtual
async def test_a_line_that_is_never_quiet_interrupts_once_and_then_only_by_words() -> None:
    scene = build_call(transcribed=True)
    task = await paused(scene, 0.2)
    while not scene.stats.agents.resumed:
        await asyncio.sleep(0.1)
        scene.hear(0.95, 0.95, 0.95)
    before = scene.kinds.count("clear")
    for _ in range(5):
        await asyncio.sleep(0.1)
        scene.hear(0.95, 0.95, 0.95)
    assert scene.kinds.count("clear") == before == 1
    assert scene.stats.holds == 1, "and is not held either"
    scene.words.guess("Stop")
    assert (await task).by == "speech"
    assert scene.stats.agents.resumed == 1


@virtual
async def test_the_next_utterance_is_paused_by_a_voice_again() -> None:
    scene = build_call(transcribed=True)
    await (await paused(scene))
    scene.hear(*[0.0] * 30)
    await (await paused(scene))
    assert scene.stats.agents.resumed == 2


@virtual
async def test_nobody_is_spoken_over_who_is_still_to_be_heard_but_not_for_ever() -> None:
    scene = build_call(transcribed=True)
    task = await paused(scene, 0.2)
    sent = len(scene.audio)
    for _ in range(18):
        await asyncio.sleep(0.1)
        scene.hear(0.95, 0.95, 0.95)
    assert len(scene.audio) == sent, "1.8 s"
    for _ in range(5):
        await asyncio.sleep(0.1)
        scene.hear(0.95, 0.95, 0.95)
    assert len(scene.audio) > sent
    await task


@pytest.mark.parametrize("message_ms", [20, 200])
@virtual
async def test_what_was_heard_before_the_pause_stays_heard(message_ms: int) -> None:
    dialect = LargeTwilio() if message_ms == 200 else None
    scene = build_call(transcribed=True, dialect=dialect)
    task = await paused(scene, 0.59)
    scene.hear(*[0.0] * 30)
    await asyncio.sleep(1.001)
    assert scene.stats.agents.resumed == 1
    assert scene.call.heard.ms == 590, "what is played of it again counts once"
    scene.words.guess("Stop")
    heard = await task
    assert (heard.by, heard.ms) == ("speech", 590)


@virtual
async def test_who_waits_for_the_first_sound_is_asked_for_a_moment_although_something_coughed() -> None:
    scene = build_call(transcribed=True, filler_after_s=0.8)

    def late(number: int, synthesis: Synthesis) -> None:
        asyncio.get_running_loop().call_later(2, scene.lightning.say_all, number, synthesis)

    scene.lightning.script = late
    task = await paused(scene, 0.5)
    scene.hear(*[0.0] * 30)
    await asyncio.sleep(0.9)
    assert scene.audio == b"", "not while somebody may want to speak"
    await task
    assert scene.audio.startswith(one_moment().audio)


# -- given up ----------------------------------------------------------------------------------------------------


@virtual
async def test_a_word_takes_the_floor_and_heard_is_as_of_the_pause() -> None:
    scene = build_call(transcribed=True)

    def half(number: int, synthesis: Synthesis) -> None:
        synthesis.deliver(sound(number, 700))

    scene.lightning.script = half
    task = await paused(scene)
    sent = len(scene.audio)
    await asyncio.sleep(0.4)
    scene.words.guess("...")
    assert scene.kinds == ["clear"], "that is no word"
    scene.words.guess("Stop")
    assert scene.kinds == ["clear", "cancel"], "one clear is enough"
    heard = await task
    assert (heard.by, heard.ms) == ("speech", 500)
    (barge_in,) = scene.entries(tl.BargeIn)
    assert (barge_in.by, barge_in.onset_ms) == ("speech", 64.0)
    await asyncio.sleep(3)
    assert len(scene.audio) == sent
    assert scene.stats.agents.resumed == 0


@virtual
async def test_a_word_that_was_there_before_the_voice_needs_no_pause() -> None:
    scene = build_call(transcribed=True)
    task = scene.say(TEXT)
    await asyncio.sleep(0.3)
    scene.hear(0.5, 0.0, 0.0, 0.65, 0.65)  # a voice, though not enough of one to interrupt
    assert scene.kinds == []
    scene.words.guess("Stop")
    scene.hear(*COUGH)
    assert (await task).by == "speech"


@virtual
async def test_a_key_takes_the_floor_at_once() -> None:
    scene = build_call(transcribed=True)
    task = await paused(scene)
    await asyncio.sleep(0.3)
    scene.press("1")
    heard = await task
    assert (heard.by, heard.ms) == ("digit", 500)
    assert scene.stats.barge_ins == {"digit": 1}


@virtual
async def test_a_key_that_does_not_interrupt_changes_nothing() -> None:
    scene = build_call(transcribed=True, mode="speech")
    task = await paused(scene)
    scene.press("1")
    assert not (await task).interrupted


@virtual
async def test_a_transcriber_that_fails_meanwhile_leaves_the_voice_to_decide() -> None:
    scene = build_call(transcribed=True)
    task = await paused(scene)
    scene.words.able = False
    heard = await task
    assert (heard.by, heard.ms) == ("speech", 500)


@virtual
async def test_an_agent_that_stops_waiting_while_paused_has_nothing_resumed() -> None:
    scene = build_call(transcribed=True)
    task = await paused(scene)
    task.cancel()
    await asyncio.wait([task])
    sent = len(scene.audio)
    await asyncio.sleep(3)
    assert len(scene.audio) == sent
    assert await scene.call.say("Again.") == Heard("Again.", 300, 300)
    assert sounds_in(scene.audio[sent:]) == {1}


@virtual
async def test_an_agent_that_interrupts_itself_while_paused_has_nothing_resumed() -> None:
    scene = build_call(transcribed=True)
    task = await paused(scene)
    assert scene.call.interrupt()
    assert (await task).by == "agent"
    again = scene.say("And something else, again.")
    await asyncio.sleep(0.2)
    scene.hear(*[0.0] * 30)
    assert not (await again).interrupted
    assert scene.stats.agents.resumed == 0


@virtual
async def test_a_call_that_ends_while_paused_ends() -> None:
    scene = build_call(transcribed=True)
    task = await paused(scene)
    scene.call.end("carrier")
    sent = len(scene.trace)
    with pytest.raises(CallEnded):
        await task
    await asyncio.sleep(3)
    assert len(scene.trace) == sent


@virtual
async def test_another_socket_while_paused_hears_the_rest() -> None:
    scene = build_call(transcribed=True)
    task = await paused(scene)
    scene.call.suspend()
    await asyncio.sleep(2)
    scene.move(scene.trace)
    assert await task == Heard(TEXT, TEXT_MS, TEXT_MS)
    assert scene.stats.agents.resumed == 1


# -- not paused --------------------------------------------------------------------------------------------------


class DeafTwilio(TwilioDialect):
    """Plays all that it has been sent."""

    delivery = Delivery(clear=False)


def without_words(scene: Scene) -> None:
    scene.words.able = False


def as_it_is(_scene: Scene) -> None: ...


@pytest.mark.parametrize(
    ("resume_after_ms", "dialect", "change"),
    [(0, None, as_it_is), (1000, DeafTwilio(), as_it_is), (1000, None, without_words)],
)
@virtual
async def test_where_it_may_not_or_cannot_be_paused_a_voice_takes_the_floor(
    resume_after_ms: int, dialect: TwilioDialect | None, change: Callable[[Scene], None]
) -> None:
    turns = TurnsConfig(resume_after_ms=resume_after_ms)
    scene = build_call(transcribed=True, turns=turns, dialect=dialect)
    change(scene)
    task = await paused(scene)
    assert scene.call.heard.interrupted
    assert (await task).by == "speech"
    assert scene.stats.barge_ins == {"speech": 1}


# -- at every phase ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("then", ["a word", "a key", "nothing", "the end"])
def test_in_whatever_moment(then: str) -> None:
    for at_ms in range(0, TEXT_MS + 100, 179):
        for after_ms in (0, 500, 999, 1001):
            _in_the_moment(then, at_ms, after_ms)


@virtual
async def _in_the_moment(then: str, at_ms: int, after_ms: int) -> None:
    """Paused at one moment and decided at another: what was given up is never heard again, and nobody waits."""
    scene = build_call(transcribed=True)
    where = (then, at_ms, after_ms)
    task = await paused(scene, at_ms / 1000)
    await asyncio.sleep(after_ms / 1000)
    if then == "a word":
        scene.words.guess("Stop")
    elif then == "a key":
        scene.press("1")
    elif then == "the end":
        scene.call.end("carrier")
    await asyncio.wait([task])
    interrupted = scene.stats.barge_ins.total() > 0
    sent = len(scene.audio)
    await asyncio.sleep(2)
    assert len(scene.audio) == sent, where
    if not task.exception():
        heard = task.result()
        assert heard.interrupted is interrupted, where
        assert heard.interrupted or heard == Heard(TEXT, TEXT_MS, TEXT_MS), where
    else:
        assert scene.call.ended, where
    if not scene.call.ended:
        assert await scene.call.say("Again.") == Heard("Again.", 300, 300), where
        assert sounds_in(scene.audio[sent:]) == {1}, where
    scene.close()
