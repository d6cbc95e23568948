"""A voice that is late: the caller is asked for a moment, once, and what is heard is still known."""

from __future__ import annotations

import asyncio

import pytest

from bridge.errors import TimedOut
from bridge.lightning.speech import Synthesis
from bridge.observe import timeline as tl
from bridge.prompts import apology, one_moment
from tests.support.call import Scene, build_call, sound
from tests.support.virtual_time import virtual

TEXT = "This is a sentence."
AFTER_S = 1.0


def late(scene: Scene, by_s: float) -> None:
    """Lightning answers so much later."""

    def script(number: int, synthesis: Synthesis) -> None:
        asyncio.get_running_loop().call_later(by_s, scene.lightning.say_all, number, synthesis)

    scene.lightning.script = script


@pytest.mark.parametrize(("by_s", "filled"), [(0.9, False), (1.1, True), (1.9, True), (3.5, True)])
@virtual
async def test_it_is_said_when_the_first_audio_is_late_and_then_comes_the_audio(
    by_s: float, filled: bool
) -> None:
    scene = build_call(filler_after_s=AFTER_S)
    late(scene, by_s)
    heard = await scene.call.say(TEXT)
    filler = one_moment().audio if filled else b""
    silence, _, rest = scene.audio.partition(one_moment().audio) if filled else (b"", b"", scene.audio)
    assert silence == b""
    assert rest.strip(b"\xff") == sound(0, len(TEXT) * 50)
    assert (heard.text, heard.interrupted) == (TEXT, False)
    assert heard.ms == pytest.approx(len(TEXT) * 50 + one_moment().ms * bool(filler), abs=1)
    assert [entry.utterance for entry in scene.entries(tl.FillerPlayed)] == [1] * filled
    assert scene.stats.fillers == filled
    (first,) = scene.entries(tl.FirstAudio)
    assert first.after_ms == pytest.approx(by_s * 1000), "the filler is not the answer"
    scene.close()


@virtual
async def test_an_interruption_of_the_filler_is_one_of_the_utterance() -> None:
    scene = build_call(filler_after_s=AFTER_S)
    late(scene, 30.0)
    saying = scene.say(TEXT)
    await asyncio.sleep(AFTER_S + 0.5)
    scene.press("1")
    heard = await saying
    assert (heard.by, heard.text) == ("digit", "")
    assert 0 < heard.ms < one_moment().ms
    assert scene.kinds[-2:] == ["clear", "cancel"]
    scene.close()


@virtual
async def test_half_of_the_sentence_behind_a_filler_is_half_of_the_sentence() -> None:
    scene = build_call(filler_after_s=AFTER_S)
    late(scene, 2.0)
    saying = scene.say("one two three four")
    await asyncio.sleep(AFTER_S + one_moment().ms / 1000 + 0.45)
    scene.press("1")
    heard = await saying
    assert heard.text == "one two"
    scene.close()


@virtual
async def test_it_is_said_once_and_not_after_the_end() -> None:
    scene = build_call(filler_after_s=AFTER_S)
    await scene.call.say(TEXT)
    await asyncio.sleep(5)
    assert scene.stats.fillers == 0

    def fails(_number: int, synthesis: Synthesis) -> None:
        asyncio.get_running_loop().call_later(1.5, synthesis.finish, TimedOut("silent"))

    scene.lightning.script = fails
    with pytest.raises(TimedOut):
        await scene.call.say(TEXT)
    assert scene.stats.fillers == 1
    before, _, after = scene.audio.partition(one_moment().audio)
    assert after.strip(b"\xff") == apology().audio.strip(b"\xff")
    scene.close()


@virtual
async def test_it_can_be_turned_off() -> None:
    scene = build_call(filler_after_s=0.0)
    late(scene, 3.0)
    await scene.call.say(TEXT)
    assert scene.stats.fillers == 0
    scene.close()
