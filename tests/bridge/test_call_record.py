"""Messages that callers leave: what ends them, and what of them is kept."""

from __future__ import annotations

import asyncio

import pytest

from bridge.errors import CallEnded, ListenOnly
from bridge.media.recorder import TAIL_MS, Recording
from bridge.media.vad import WINDOW_MS
from bridge.observe import timeline as tl
from bridge.prompts.sounds import sound as bundled
from telephony_codecs.formats import MULAW_8K
from tests.support.call import Scene, build_call
from tests.support.virtual_time import virtual

BEEP = bundled("beep")


def record(scene: Scene, *, silence_s: float = 2.0, **options: object) -> asyncio.Task[Recording]:
    return asyncio.create_task(scene.call.record(silence_s=silence_s, **options))  # type: ignore[arg-type]


async def beeped(scene: Scene) -> None:
    """The caller hears the beep."""
    await scene.be_silent(BEEP.ms + 60)


def holds(recording: Recording, said: bytes) -> bool:
    """Whether it is `said`, and of what came before and behind it no more than nobody can tell to belong to it."""
    before, found, behind = recording.audio.partition(said)
    tail_ms = TAIL_MS + WINDOW_MS
    return bool(found) and MULAW_8K.ms_in(len(before)) <= 100 and MULAW_8K.ms_in(len(behind)) <= tail_ms


@virtual
async def test_after_the_beep_what_is_said_is_kept_and_silence_ends_it() -> None:
    scene = build_call()
    recording = record(scene)
    await scene.talk(BEEP.ms + 60, 0x10)
    said = await scene.talk(1500)
    await scene.be_silent(2500)
    message = await recording
    assert scene.audio.rstrip(b"\xff") == BEEP.audio.rstrip(b"\xff")
    assert message.by == "silence"
    assert holds(message, said), "and nothing of before the beep was over"
    assert message.ms == round(len(message.audio) / 8)
    assert [(entry.ms, entry.by) for entry in scene.entries(tl.MessageTaken)] == [(message.ms, "silence")]
    assert scene.call.taps.sink == scene.call.ear.push


@virtual
async def test_without_a_beep_it_begins_at_once() -> None:
    scene = build_call()
    recording = record(scene, beep=False)
    await asyncio.sleep(0)
    said = await scene.talk(700)
    await scene.be_silent(2500)
    assert holds(await recording, said)
    assert scene.trace == []


@virtual
async def test_who_says_nothing_leaves_nothing() -> None:
    scene = build_call()
    recording = record(scene, silence_s=3.0)
    await beeped(scene)
    await scene.be_silent(3200)
    assert recording.done()
    assert await recording == Recording(b"", 0, "silence")


@virtual
async def test_a_key_ends_it_and_is_nobody_elses_and_others_are_kept() -> None:
    scene = build_call()
    recording = record(scene, finish_on="#*")
    await beeped(scene)
    said = await scene.talk(800)
    scene.press("1")
    await scene.be_silent(500)
    assert not recording.done()
    scene.press("*")
    message = await recording
    assert (message.by, scene.call.digits) == ("digit", "1")
    assert holds(message, said)


@virtual
async def test_keys_of_before_the_beep_was_over_are_forgotten() -> None:
    scene = build_call()
    scene.press("#")
    recording = record(scene)
    await asyncio.sleep(BEEP.ms / 2000)
    scene.press("#")
    await beeped(scene)
    await scene.talk(800)
    assert not recording.done()
    assert BEEP.audio in scene.audio, "nothing interrupts the beep"
    assert scene.call.digits == ""
    scene.press("#")
    assert (await recording).by == "digit"


@pytest.mark.parametrize("talking", [True, False])
@virtual
async def test_it_is_no_longer_than_it_may_be(talking: bool) -> None:
    """Whether audio comes or, of a line that has fallen mute, none."""
    scene = build_call()
    recording = record(scene, max_s=3.0, beep=False)
    began_s = asyncio.get_running_loop().time()
    await asyncio.sleep(0)
    if talking:
        await scene.talk(3500)
    message = await recording
    assert asyncio.get_running_loop().time() - began_s == pytest.approx(3.5 if talking else 3.0, abs=0.01)
    assert message.by == "limit"
    assert message.ms == pytest.approx(3000 if talking else 0, abs=20)


@virtual
async def test_who_hangs_up_has_left_what_was_said() -> None:
    scene = build_call()
    recording = record(scene, beep=False)
    await asyncio.sleep(0)
    said = await scene.talk(800)
    await scene.be_silent(400)
    scene.call.end("carrier")
    message = await recording
    assert message.by == "hang_up"
    assert holds(message, said)
    with pytest.raises(CallEnded):
        await scene.call.record()


@virtual
async def test_who_hangs_up_during_the_beep_has_left_nothing() -> None:
    scene = build_call()
    recording = record(scene)
    await asyncio.sleep(0.05)
    scene.call.end("carrier")
    assert await recording == Recording(b"", 0, "hang_up")


@virtual
async def test_one_message_at_a_time() -> None:
    scene = build_call()
    first = record(scene, beep=False)
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="already"):
        await scene.call.record(beep=False)
    said = await scene.talk(800)
    await scene.be_silent(2500)
    assert holds(await first, said), "which the second has not disturbed"


@virtual
async def test_an_agent_that_is_cancelled_records_no_more() -> None:
    scene = build_call()
    recording = record(scene, beep=False)
    await asyncio.sleep(0.1)
    recording.cancel()
    await asyncio.wait([recording])
    assert scene.call.taps.sink == scene.call.ear.push
    scene.press("#")
    assert scene.call.digits == "#"


@virtual
async def test_who_only_listens_records_without_a_beep() -> None:
    scene = build_call(can_speak=False)
    with pytest.raises(ListenOnly):
        await scene.call.record()
    recording = record(scene, beep=False)
    await asyncio.sleep(0)
    said = await scene.talk(800)
    scene.press("#")
    assert holds(await recording, said)
