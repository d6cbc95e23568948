"""Whatever happens to a call that plays, holds, collects and records, and when: nobody waits, nothing is left."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextlib import suppress

import pytest

from bridge.call import Call, Keys
from bridge.errors import CallEnded, Unsupported
from bridge.observe import timeline as tl
from bridge.prompts import Prompt, Rendition, ToSpeak
from bridge.prompts.sounds import sound as bundled
from telephony_codecs.dtmf import DtmfDetector, digits_audio
from telephony_codecs.formats import MULAW_8K
from tests.support.call import Scene, build_call
from tests.support.virtual_time import virtual

HELLO = Prompt(b"\x31" * 2400, "Hello.")
MUSIC = Prompt(b"\x32" * 3200)
#: How long `everything` takes when nothing is done to it, and a bit.
WHOLE_MS = 2650
MOMENTS_MS = range(0, WHOLE_MS, 53)


async def everything(call: Call) -> str:
    """An agent that does all there is, one after the other."""
    async with call.holding(MUSIC):
        await asyncio.sleep(0.1)
        await call.play(Rendition((HELLO, ToSpeak("Ann Lee"))))
        await asyncio.sleep(0.1)
    await call.send_digits("1")
    keys = await call.collect(2, first_timeout_s=0.3, masked=True)
    message = await call.record(max_s=0.6, silence_s=0.3)
    await call.say("Bye.")
    return f"{keys.keys}{message.by}"


def left_nothing(scene: Scene) -> bool:
    """Whether nothing of what was going on is left."""
    return not scene.playout.active and scene.call.taps.sink == scene.call.ear.push


@virtual
async def test_when_nothing_is_done_to_it_it_comes_to_its_end() -> None:
    """So that the moments below are all of its moments."""
    scene = build_call()
    began_s = asyncio.get_running_loop().time()
    assert await everything(scene.call) == "limit"
    assert WHOLE_MS - 200 < (asyncio.get_running_loop().time() - began_s) * 1000 < WHOLE_MS
    assert left_nothing(scene)


@pytest.mark.parametrize("upset", ["hangs up", "is cut by a key", "is cut by speech", "is cancelled"])
def test_in_whatever_moment(upset: str) -> None:
    for at_ms in MOMENTS_MS:
        _in_the_moment(upset, at_ms)


@virtual
async def _in_the_moment(upset: str, at_ms: int) -> None:
    scene = build_call()
    agent = asyncio.create_task(everything(scene.call))
    await asyncio.sleep(at_ms / 1000)
    if upset == "hangs up":
        scene.call.end("carrier")
        sent = len(scene.audio)
        with suppress(CallEnded):
            await agent
        assert len(scene.audio) == sent, at_ms
    elif upset == "is cancelled":
        agent.cancel()
        await asyncio.wait([agent])
        sent = len(scene.audio)
        await asyncio.sleep(1)
        assert len(scene.audio) == sent, at_ms
    else:
        if upset == "is cut by a key":
            scene.press("#")
        else:
            scene.hear(*[0.95] * 4)
        await agent
    assert left_nothing(scene), at_ms


def test_another_socket_in_whatever_moment_and_the_agent_notices_nothing() -> None:
    for at_ms in MOMENTS_MS:
        _moved_in_the_moment(at_ms)


@virtual
async def _moved_in_the_moment(at_ms: int) -> None:
    scene = build_call()
    agent = asyncio.create_task(everything(scene.call))
    await asyncio.sleep(at_ms / 1000)
    scene.call.suspend()
    before = len(scene.audio)
    await asyncio.sleep(0.5)
    assert len(scene.audio) == before, at_ms
    scene.move(scene.trace)
    assert await agent == "limit", at_ms
    assert left_nothing(scene), at_ms


# -- two at once ---------------------------------------------------------------------------------------------------


@virtual
async def test_who_holds_longer_is_not_disturbed_by_who_holds_less_long() -> None:
    """Two tasks: music that began stays, whoever else stops wanting some; and the same music is not begun anew."""
    scene = build_call()

    async def hold(prompt: Prompt, for_s: float) -> None:
        async with scene.call.holding(prompt):
            await asyncio.sleep(for_s)

    music = bundled("hold_music")
    holding = [asyncio.create_task(hold(prompt, for_s)) for prompt, for_s in ((HELLO, 0.5), (music, 2.0))]
    await asyncio.sleep(0.2)
    async with scene.call.holding():
        await asyncio.sleep(1)
    await asyncio.gather(*holding)
    audio = scene.audio.lstrip(HELLO.audio[:1])
    assert MULAW_8K.ms_in(len(audio)) > 2000
    assert music.audio.startswith(audio)
    assert scene.kinds.count("clear") == 2


@virtual
async def test_two_who_collect_get_each_key_once() -> None:
    scene = build_call()
    both = [asyncio.create_task(scene.call.collect(2, first_timeout_s=1.0)) for _ in range(2)]
    await asyncio.sleep(0.1)
    for key in "1234":
        scene.press(key)
        await asyncio.sleep(0.1)
    assert sorted("".join(keys.keys for keys in await asyncio.gather(*both))) == list("1234")


@virtual
async def test_a_caller_on_hold_who_could_not_be_handed_on_goes_on_holding() -> None:
    scene = build_call()
    async with scene.call.holding(MUSIC):
        await asyncio.sleep(0.1)
        with pytest.raises(Unsupported):
            await scene.call.transfer("+15550003333")
        sent = len(scene.audio)
        await asyncio.sleep(1)
        assert MULAW_8K.ms_in(len(scene.audio) - sent) == pytest.approx(1000, abs=21)
    assert left_nothing(scene)


@virtual
async def test_while_keys_wait_until_somebody_has_spoken_the_callers_keys_are_heard() -> None:
    """Only what is heard of our own tones is nobody's key, and that cannot be before they are sent."""
    scene = build_call(in_band_keys="always")
    saying = scene.say("Please listen.", interruptible=False)
    sending = asyncio.create_task(scene.call.send_digits("5"))
    await asyncio.sleep(0.1)
    await scene.send(digits_audio("7"))
    assert scene.call.digits == "7"
    await saying
    await scene.send(digits_audio("5"))
    await sending
    assert scene.call.digits == "7"


@virtual
async def test_two_who_send_keys_hear_none_of_their_own() -> None:
    scene = build_call(in_band_keys="always")
    sending = [asyncio.create_task(scene.call.send_digits(keys)) for keys in ("1", "234567")]
    await asyncio.sleep(0.1)
    await scene.send(digits_audio("1234567"))
    await asyncio.gather(*sending)
    assert scene.call.digits == ""
    assert DtmfDetector().feed(scene.audio) == "1234567"


@virtual
async def test_a_key_held_for_seconds_counts_once_though_the_carrier_tells_of_it_at_its_end() -> None:
    scene = build_call(in_band_keys="always")
    await scene.send(digits_audio("5", on_ms=3000))
    scene.press("5")
    assert await scene.call.collect(2, first_timeout_s=0.5) == Keys("5")
    assert [entry.digit for entry in scene.entries(tl.DigitPressed)] == ["5"]


# -- memory --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_ms", [50, 300, 700, 1500, 1900, 2300, WHOLE_MS])
def test_a_call_that_is_over_is_free_at_once(at_ms: int) -> None:
    """And not when the collector comes round: nothing of it refers back to it."""
    ref: list[weakref.ref[Call]] = []

    @virtual
    async def scenario() -> None:
        scene = build_call(in_band_keys="always")
        ref.append(weakref.ref(scene.call))
        agent = asyncio.create_task(everything(scene.call))
        await asyncio.sleep(at_ms / 1000)
        scene.call.end("carrier")
        await asyncio.wait([agent])
        agent.exception()
        await scene.voice.close()
        scene.close()
        scene.line.answer = None  # of the test's own

    gc.collect()
    gc.disable()
    try:
        scenario()
        assert ref[0]() is None
    finally:
        gc.enable()
