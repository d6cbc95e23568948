"""Keys on a call: collected, typed ahead, masked, heard in the audio; and speech instead of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bridge.errors import CallEnded
from bridge.keypad import MASK, Keys
from bridge.observe import timeline as tl
from bridge.prompts import Prompt
from telephony_codecs.dtmf import digits_audio
from telephony_codecs.formats import MULAW_8K
from tests.support.call import Scene, build_call
from tests.support.virtual_time import virtual

PROMPT = Prompt(b"\x31" * 8000, "One two three four.")


def collect(scene: Scene, digits: int = 4, **options: object) -> asyncio.Task[Keys]:
    return asyncio.create_task(scene.call.collect(digits, **options))  # type: ignore[arg-type]


# -- what ends it --------------------------------------------------------------------------------------------------

ENDS = {
    "all there": ("1234", Keys("1234")),
    "more than all": ("12345", Keys("1234")),
    "a finishing key": ("12#", Keys("12", finished=True)),
    "nothing but that": ("#", Keys(finished=True)),
    "time": ("12", Keys("12")),
    "nothing at all": ("", Keys()),
}


@pytest.mark.parametrize("ahead", [True, False], ids=["typed ahead", "typed"])
@pytest.mark.parametrize(("pressed", "keys"), ENDS.values(), ids=ENDS)
@virtual
async def test_what_was_collected_and_what_ended_it(pressed: str, keys: Keys, ahead: bool) -> None:
    scene = build_call()
    if ahead:
        scene.press(pressed)
    collecting = collect(scene)
    for key in "" if ahead else pressed:
        await asyncio.sleep(0.5)
        scene.press(key)
    assert await collecting == keys


@virtual
async def test_the_first_key_and_the_next_are_waited_for_as_long_as_was_said() -> None:
    scene = build_call()
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    assert await scene.call.collect(4, first_timeout_s=7.0, next_timeout_s=2.0) == Keys()
    assert loop.time() - began_s == pytest.approx(7.0)
    collecting, began_s = collect(scene, first_timeout_s=7.0, next_timeout_s=2.0), loop.time()
    await asyncio.sleep(6.9)
    scene.press("1")
    assert await collecting == Keys("1")
    assert loop.time() - began_s == pytest.approx(8.9)


@virtual
async def test_by_default_the_next_is_waited_for_as_long_as_the_first() -> None:
    scene = build_call()
    began_s = asyncio.get_running_loop().time()
    collecting = collect(scene, first_timeout_s=7.0)
    await asyncio.sleep(0)
    scene.press("1")
    assert await collecting == Keys("1")
    assert asyncio.get_running_loop().time() - began_s == pytest.approx(7.0)


@virtual
async def test_keys_left_over_wait_for_the_next_and_can_be_forgotten() -> None:
    scene = build_call()
    scene.press("123456")
    assert await scene.call.collect(2) == Keys("12")
    assert await scene.call.gather(2) == "34"
    assert scene.call.digits == "56"
    scene.call.forget_digits()
    assert scene.call.digits == ""
    assert await scene.call.collect(1, first_timeout_s=1.0) == Keys()


@pytest.mark.parametrize(
    ("after_s", "then", "left"),
    [
        (1.5, "#", ""),  # out of habit
        (2.5, "#", "#"),  # an answer to what is asked by now
        (1.5, "##", "#"),
        (1.5, "5#", "5#"),
        (1.5, "*", "*"),
    ],
)
@virtual
async def test_a_finishing_key_out_of_habit_is_no_answer_to_what_comes_next(
    after_s: float, then: str, left: str
) -> None:
    scene = build_call()
    scene.press("1234")
    assert await scene.call.collect(4) == Keys("1234")
    playing = asyncio.create_task(scene.call.play(PROMPT))
    await asyncio.sleep(after_s)
    for key in then:
        scene.press(key)
    assert scene.call.digits == left
    playing.cancel()


@virtual
async def test_the_habit_is_known_when_it_was_typed_ahead_and_when_the_caller_is_spoken_to() -> None:
    scene = build_call()
    scene.press("1234#5")
    assert await scene.call.collect(4) == Keys("1234")
    assert scene.call.digits == "5"
    scene.call.forget_digits()
    scene.press("1234")
    assert await scene.call.collect(4) == Keys("1234")
    playing = asyncio.create_task(scene.call.play(PROMPT))
    await asyncio.sleep(0.3)
    scene.press("#")
    await asyncio.sleep(0.3)
    assert not playing.done()
    playing.cancel()


@virtual
async def test_an_agent_may_collect_one_key_after_the_other_until_one_finishes() -> None:
    scene = build_call()
    got = []
    for key in "12#":
        scene.press(key)
        got.append(await scene.call.collect(1, first_timeout_s=1.0))
    assert got == [Keys("1"), Keys("2"), Keys(finished=True)]


@virtual
async def test_a_call_that_ends_ends_it() -> None:
    scene = build_call()
    collecting = collect(scene, masked=True)
    await asyncio.sleep(0.1)
    scene.call.end("carrier")
    with pytest.raises(CallEnded):
        await collecting


# -- speech instead ------------------------------------------------------------------------------------------------

SPEECH = [0.95] * 3


@virtual
async def test_speech_that_begins_ends_it_where_it_may_and_only_there() -> None:
    scene = build_call()
    may, may_not = collect(scene, until_speech=True, first_timeout_s=2.0), collect(scene, first_timeout_s=2.0)
    await asyncio.sleep(0.5)
    scene.hear(0.9)
    await asyncio.sleep(0.1)
    assert not may.done(), "one window may be anything"
    scene.hear(*SPEECH)
    await asyncio.sleep(0)
    assert await may == Keys(spoke=True)
    assert await may_not == Keys()


@virtual
async def test_speech_that_is_going_on_counts_and_speech_that_is_over_does_not() -> None:
    scene = build_call()
    scene.hear(*SPEECH)
    assert await scene.call.collect(until_speech=True) == Keys(spoke=True)
    scene.hear(*[0.0] * 30)
    assert await scene.call.collect(until_speech=True, first_timeout_s=1.0) == Keys()


@virtual
async def test_speech_that_cut_the_prompt_short_is_speech_instead_of_keys() -> None:
    scene = build_call()

    async def ask() -> Keys:
        await scene.call.play(PROMPT)
        return await scene.call.collect(4, until_speech=True)

    asking = asyncio.create_task(ask())
    await asyncio.sleep(0.3)
    scene.hear(*SPEECH)
    assert await asking == Keys(spoke=True)
    assert scene.call.heard.by == "speech"


@virtual
async def test_a_word_that_was_over_before_anybody_looked_counts_all_the_same() -> None:
    scene = build_call()
    collecting = collect(scene, until_speech=True)
    await asyncio.sleep(0)
    scene.hear(*SPEECH, *[0.0] * 30)
    assert await collecting == Keys(spoke=True)


@virtual
async def test_keys_that_wait_come_before_speech_and_keys_before_it_are_given() -> None:
    scene = build_call()
    scene.press("1")
    scene.hear(*SPEECH)
    assert await scene.call.collect(1, until_speech=True) == Keys("1")
    scene.press("2")
    assert await scene.call.collect(4, until_speech=True) == Keys("2", spoke=True)


# -- masked --------------------------------------------------------------------------------------------------------


def shown(scene: Scene) -> str:
    return "".join(entry.digit for entry in scene.entries(tl.DigitPressed))


@virtual
async def test_keys_are_masked_while_they_are_collected_so_or_the_call_says_so() -> None:
    scene = build_call()
    scene.press("1")
    assert await scene.call.collect() == Keys("1")
    collecting = collect(scene, masked=True)
    await asyncio.sleep(0)
    scene.press("2345")
    assert await collecting == Keys("2345")
    scene.press("6")
    scene.call.digits_masked = True
    scene.press("7")
    assert scene.call.digits_masked
    scene.call.digits_masked = False
    scene.press("8")
    assert shown(scene) == f"1{MASK * 4}6{MASK}8"
    assert scene.call.digits == "678"


@pytest.mark.parametrize("leave", [asyncio.Task.cancel, lambda _task: None], ids=["cancelled", "time"])
@virtual
async def test_keys_are_shown_again_however_it_ended(leave: Callable[[asyncio.Task[Keys]], None]) -> None:
    scene = build_call()
    collecting = collect(scene, masked=True, first_timeout_s=1.0)
    await asyncio.sleep(0)
    leave(collecting)
    await asyncio.wait([collecting])
    scene.press("1")
    assert shown(scene) == "1"


# -- in the caller's audio -----------------------------------------------------------------------------------------

TONES = digits_audio("5#")


@virtual
async def test_tones_are_keys_and_cut_a_prompt_short() -> None:
    scene = build_call(in_band_keys="always")
    playing = asyncio.create_task(scene.call.play(PROMPT))
    collecting = collect(scene)
    await scene.send(MULAW_8K.silence(100) + TONES)
    assert (await playing).by == "digit"
    assert await collecting == Keys("5", finished=True)
    assert shown(scene) == "5#"


@virtual
async def test_a_press_that_the_carrier_tells_of_too_counts_once() -> None:
    scene = build_call(in_band_keys="always")
    scene.press("5")
    await scene.send(TONES)
    scene.press("#")
    assert scene.call.digits == shown(scene) == "5#"
    scene.press("##")
    assert scene.call.digits == "5###"


@pytest.mark.parametrize("in_band_keys", ["auto", "never"])
@virtual
async def test_tones_are_not_looked_for_where_the_carrier_tells_of_keys_or_nobody_wants_them(
    in_band_keys: str,
) -> None:
    scene = build_call(in_band_keys=in_band_keys)  # type: ignore[arg-type]
    assert scene.call.taps.sink == scene.call.ear.push, "it costs nothing"
    await scene.send(TONES)
    assert scene.call.digits == ""


@virtual
async def test_our_own_tones_that_come_back_are_no_keys() -> None:
    scene = build_call(in_band_keys="always")
    sending = asyncio.create_task(scene.call.send_digits("5"))
    await asyncio.sleep(0.05)
    await scene.send(digits_audio("5"))
    await sending
    await scene.send(digits_audio("5"))
    assert scene.call.digits == "", "not so soon behind them either"
    await asyncio.sleep(0.4)
    await scene.send(digits_audio("7"))
    assert scene.call.digits == "7"
