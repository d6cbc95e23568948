"""What a call plays: what is ready at once, what is not by its voice, in order and without a gap; over and over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Unpack

import pytest

from bridge.carriers.dialect import Delivery
from bridge.carriers.twilio import TwilioDialect
from bridge.errors import CallEnded, ListenOnly, PromptError, Unauthorized, Unavailable
from bridge.flows.library import Edition
from bridge.lightning.entries import VoiceOptions
from bridge.lightning.speech import Synthesis
from bridge.media.heard import Heard
from bridge.mouth import REST_AHEAD_MS
from bridge.observe import timeline as tl
from bridge.prompts import Prompt, Rendition, ToSpeak, apology, one_moment
from bridge.prompts.sounds import sound as bundled
from telephony_codecs.formats import MULAW_8K
from tests.support.call import Scene, build_call, sound, sounds_in
from tests.support.virtual_time import virtual

HELLO = Prompt(b"\x31" * 2400, "Hello.")
WELCOME = Prompt(b"\x32" * 3200, "Welcome.")
NAME, NAME_MS = "Ann Lee", 7 * 50
AMOUNT, AMOUNT_MS = "ten dollars", 11 * 50


class Spoken:
    """Parts that have yet to be spoken, and what became of them."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bytes | None]] = []

    def part(self, text: str, **options: Unpack[VoiceOptions]) -> ToSpeak:
        return ToSpeak(text, options, lambda audio: self.told.append((text, audio)))


def asked(scene: Scene) -> list[str]:
    return [synthesis.request.text for synthesis in scene.lightning.syntheses]


def play(scene: Scene, *parts: Prompt | ToSpeak, **options: Any) -> asyncio.Task[Heard]:
    return asyncio.create_task(scene.call.play(Rendition(parts), **options))


# -- ready ---------------------------------------------------------------------------------------------------------


@virtual
async def test_what_is_ready_leaves_in_the_turn_in_which_it_is_asked_for() -> None:
    scene = build_call()
    playing = play(scene, HELLO, WELCOME)
    await asyncio.sleep(0)
    assert MULAW_8K.ms_in(len(scene.audio)) == scene.playout.lead_ms
    assert (await playing).text == "Hello. Welcome."


@virtual
async def test_a_key_s_answer_leaves_a_few_turns_after_the_key() -> None:
    scene = build_call()

    async def menu() -> None:
        await scene.call.play(HELLO)
        await scene.call.collect()
        await scene.call.play(WELCOME)

    agent = asyncio.create_task(menu())
    await asyncio.sleep(0.1)
    scene.trace.clear()
    scene.press("1")
    for _ in range(5):
        await asyncio.sleep(0)
    assert scene.audio.startswith(WELCOME.audio[:160])
    await agent


@virtual
async def test_ready_parts_follow_each_other_without_a_gap_and_what_was_heard_is_known_of_each() -> None:
    scene = build_call()
    heard = await scene.call.play(Rendition((HELLO, WELCOME)))
    assert heard == Heard("Hello. Welcome.", 700, 700)
    assert scene.audio == HELLO.audio + WELCOME.audio
    assert asked(scene) == []
    cut = play(scene, HELLO, WELCOME)
    await asyncio.sleep(0.55)
    scene.press("1")
    assert (await cut).text == "Hello."


# -- not ready -----------------------------------------------------------------------------------------------------


@virtual
async def test_ready_and_spoken_parts_are_one_utterance_in_order_and_without_a_gap() -> None:
    scene, spoken = build_call(), Spoken()
    heard = await play(scene, HELLO, spoken.part(NAME), WELCOME, spoken.part(AMOUNT))
    audio = HELLO.audio + sound(0, NAME_MS) + WELCOME.audio + sound(1, AMOUNT_MS)
    assert scene.audio.rstrip(b"\xff") == audio
    assert heard == Heard(f"Hello. {NAME} Welcome. {AMOUNT}", 1600, 1600)
    assert spoken.told == [(NAME, sound(0, NAME_MS)), (AMOUNT, sound(1, AMOUNT_MS))]
    assert len(scene.entries(tl.SpeakingAsked)) == len(scene.entries(tl.SpeakingEnded)) == 1
    assert scene.playout.stats.underruns == 0


@virtual
async def test_the_first_synthesis_begins_at_once_and_the_next_when_it_is_over() -> None:
    """Not when their turn comes; and one at a time."""
    scene, spoken = build_call(), Spoken()
    scene.lightning.script = lambda _number, _synthesis: None
    playing = play(scene, HELLO, spoken.part(NAME), WELCOME, spoken.part(AMOUNT))
    await asyncio.sleep(0.01)
    assert asked(scene) == [NAME], "while the first part is still being heard"
    scene.lightning.syntheses[0].deliver(sound(0, NAME_MS))
    await asyncio.sleep(0.01)
    assert asked(scene) == [NAME]
    scene.lightning.syntheses[0].finish()
    await asyncio.sleep(0.01)
    assert asked(scene) == [NAME, AMOUNT], "while what is before it is still being heard"
    scene.lightning.say_all(1, scene.lightning.syntheses[1])
    assert (await playing).ms == 1600


@virtual
async def test_each_part_is_asked_for_in_its_own_voice() -> None:
    scene, spoken = build_call(), Spoken()
    await play(scene, spoken.part(NAME, voice_id="sophia", speed=1.2), spoken.part(AMOUNT, language="hi"))
    requests = [synthesis.request for synthesis in scene.lightning.syntheses]
    assert [(r.voice_id, r.speed, r.language) for r in requests] == [
        ("sophia", 1.2, requests[0].language),
        (scene.voice.entries[0].config.voice_id, 1.0, "hi"),
    ]


@virtual
async def test_a_part_of_several_pieces_is_kept_whole_and_a_blank_one_is_not_spoken() -> None:
    scene, spoken = build_call(), Spoken()
    long = "This is a sentence of some length, as they are. " * 8
    await play(scene, spoken.part(" "), spoken.part(long.strip()))
    assert len(asked(scene)) == 2
    audio = b"".join(sound(n, len(text) * 50) for n, text in enumerate(asked(scene)))
    assert spoken.told == [(" ", None), (long.strip(), audio)]


@virtual
async def test_a_cut_inside_a_spoken_part_cancels_it_and_what_was_heard_is_known() -> None:
    scene, spoken = build_call(), Spoken()

    def half(number: int, synthesis: Synthesis) -> None:
        synthesis.deliver(sound(number, 400))

    scene.lightning.script = half
    playing = play(scene, WELCOME, spoken.part("One two three four"), HELLO, spoken.part(NAME))
    await asyncio.sleep(0.76)
    scene.press("1")
    assert scene.kinds[-2:] == ["clear", "cancel"], "in the very moment of the key"
    heard = await playing
    assert (heard.by, heard.text) == ("digit", "Welcome. One two")
    await asyncio.sleep(0)
    assert spoken.told == [("One two three four", None), (NAME, None)]
    sent = len(scene.trace)
    scene.lightning.syntheses[0].deliver(sound(0, 400))
    await asyncio.sleep(3)
    assert len(scene.trace) == sent


@virtual
async def test_what_has_come_whole_is_kept_though_it_was_not_heard_whole() -> None:
    scene, spoken = build_call(), Spoken()
    playing = play(scene, HELLO, spoken.part(NAME))
    await asyncio.sleep(0.1)
    scene.press("1")
    assert (await playing).interrupted
    assert spoken.told == [(NAME, sound(0, NAME_MS))]


@virtual
async def test_what_took_a_second_attempt_is_heard_and_not_kept() -> None:
    scene, spoken = build_call(), Spoken()

    def fails_first(number: int, synthesis: Synthesis) -> None:
        if number:
            scene.lightning.say_all(number, synthesis)
        else:
            synthesis.finish(Unavailable("gone"))

    scene.lightning.script = fails_first
    heard = await play(scene, spoken.part(NAME), spoken.part(AMOUNT))
    assert heard.text == f"{NAME} {AMOUNT}"
    assert spoken.told == [(NAME, None), (AMOUNT, sound(2, AMOUNT_MS))]


@virtual
async def test_when_the_voice_fails_what_came_is_heard_then_an_apology_and_nothing_is_kept() -> None:
    scene, spoken = build_call(), Spoken()
    scene.lightning.script = lambda _number, synthesis: synthesis.finish(Unauthorized("no"))
    with pytest.raises(Unauthorized):
        await play(scene, HELLO, spoken.part(NAME), WELCOME, spoken.part(AMOUNT))
    assert scene.audio.rstrip(b"\xff") == HELLO.audio + apology().audio.rstrip(b"\xff")
    assert spoken.told == [(NAME, None), (AMOUNT, None)]
    assert scene.stats.voice_failures == 1


@pytest.mark.parametrize(("parts", "filled"), [((HELLO,), False), ((), True)], ids=["ready", "to be spoken"])
@virtual
async def test_a_late_voice_is_filled_in_for_only_where_nothing_has_been_heard(
    parts: tuple[Prompt, ...], filled: bool
) -> None:
    scene, spoken = build_call(filler_after_s=0.2), Spoken()

    def late(number: int, synthesis: Synthesis) -> None:
        synthesis.requested_at_s = time.monotonic()
        asyncio.get_running_loop().call_later(0.4, scene.lightning.say_all, number, synthesis)

    scene.lightning.script = late
    heard = await play(scene, *parts, spoken.part(NAME))
    assert scene.stats.fillers == filled
    assert (one_moment().audio in scene.audio) is filled
    assert heard.text.endswith(NAME)
    (first,) = scene.entries(tl.FirstAudio)
    assert first.after_ms == pytest.approx(400 if filled else 0, abs=1)
    assert (first.lightning_ms is None) is not filled


@virtual
async def test_a_call_that_ends_meanwhile_ends_it_too() -> None:
    scene, spoken = build_call(), Spoken()
    scene.lightning.script = lambda _number, _synthesis: None
    playing = play(scene, HELLO, spoken.part(NAME))
    await asyncio.sleep(0.1)
    scene.call.end("carrier")
    with pytest.raises(CallEnded):
        await playing
    assert spoken.told == [(NAME, None)]


@virtual
async def test_who_gave_a_part_is_told_even_if_it_was_cancelled_before_it_began() -> None:
    scene, spoken = build_call(), Spoken()
    playing = play(scene, HELLO, spoken.part(NAME))
    await asyncio.sleep(0)
    scene.press("1")
    assert (await playing) == Heard(by="digit")
    assert spoken.told == [(NAME, None)]
    assert asked(scene) == []


@pytest.mark.parametrize("after_s", [0.0, 0.1])
@virtual
async def test_a_voice_that_is_closed_fails_it(after_s: float) -> None:
    scene, spoken = build_call(), Spoken()
    scene.lightning.script = lambda _number, _synthesis: None
    playing = play(scene, HELLO, spoken.part(NAME))
    await asyncio.sleep(after_s)
    await scene.voice.close()
    with pytest.raises(Unavailable):
        await playing
    assert spoken.told == [(NAME, None)]


@virtual
async def test_a_long_rendition_is_not_all_synthesised_ahead() -> None:
    scene, spoken = build_call(), Spoken()
    sentence = "x" * 240 + "."
    playing = play(scene, *(spoken.part(sentence) for _ in range(20)))
    await asyncio.sleep(5)
    assert len(asked(scene)) < 5
    await asyncio.sleep(15)
    assert 2 < len(asked(scene)) < 7, "and it goes on when room is made"
    await scene.call.hang_up()
    with pytest.raises(CallEnded):
        await playing


# -- by its name ---------------------------------------------------------------------------------------------------


@virtual
async def test_a_sound_that_is_always_there_is_played_by_its_name() -> None:
    scene = build_call()
    assert (await scene.call.play("beep")).ms == round(bundled("beep").ms)
    assert scene.audio.rstrip(b"\xff") == bundled("beep").audio.rstrip(b"\xff")
    with pytest.raises(PromptError, match="no_such"):
        await scene.call.play("no_such")
    assert (await scene.call.play(HELLO)).text == "Hello."


MISUSES: dict[str, tuple[Callable[[Scene], Any], type[Exception], str]] = {
    "variables": (lambda s: s.call.play(HELLO, variables={"name": "Ann"}), TypeError, "give the id of one"),
    "language": (lambda s: s.call.play(Rendition((HELLO,)), language="hi"), TypeError, "not a Rendition"),
    "private": (lambda s: s.call.play(HELLO, private={"name"}), TypeError, "not a Prompt"),
    "for_s": (lambda s: s.call.play(HELLO, for_s=-1), ValueError, "for_s must be"),
    "digits": (lambda s: s.call.collect(0), ValueError, "digits must be"),
    "gather": (lambda s: s.call.gather(-1), ValueError, "digits must be"),
    "max_s": (lambda s: s.call.record(max_s=0), ValueError, "max_s"),
    "silence_s": (lambda s: s.call.record(silence_s=-1), ValueError, "silence_s"),
}


@pytest.mark.parametrize(("ask", "error", "mend"), MISUSES.values(), ids=MISUSES)
@virtual
async def test_misuse_is_told_with_the_mend_and_the_caller_hears_nothing(
    ask: Callable[[Scene], Any], error: type[Exception], mend: str
) -> None:
    scene = build_call()
    with pytest.raises(error, match=mend):
        await ask(scene)
    assert scene.trace == []
    assert (await scene.call.play(HELLO)).text == "Hello."


# -- over and over -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("for_s", [0.05, 0.5, 1.25, 7.0])
@virtual
async def test_it_is_repeated_for_so_long_and_its_text_said_once(for_s: float) -> None:
    scene = build_call()
    began_s = scene.pacer.clock()
    heard = await scene.call.play(HELLO, for_s=for_s)
    assert scene.audio.rstrip(b"\xff") == HELLO.audio[:1] * MULAW_8K.bytes_in(for_s * 1000)
    assert scene.pacer.clock() - began_s == pytest.approx(for_s, abs=0.03)
    assert (heard.ms, heard.by) == (round(for_s * 1000), "")
    assert heard.text == ("Hello." if for_s >= 0.5 else "")
    assert scene.playout.stats.underruns == 0


@virtual
async def test_what_is_repeated_is_queued_a_second_ahead_and_no_more() -> None:
    scene = build_call()
    playing = asyncio.create_task(scene.call.play(bundled("hold_music"), for_s=60))
    for _ in range(100):
        await asyncio.sleep(0.1)
        assert 500 < scene.playout.queued_ms <= REST_AHEAD_MS + 100
    scene.press("1")
    heard = await playing
    assert heard.by == "digit"
    assert heard.ms == pytest.approx(10_000, abs=20)
    assert scene.playout.queued_ms == 0


@virtual
async def test_repeating_nothing_or_what_has_yet_to_be_spoken_comes_to_an_end() -> None:
    scene, spoken = build_call(), Spoken()
    assert await scene.call.play(Prompt(b""), for_s=5) == Heard()
    assert (await play(scene, HELLO, spoken.part(NAME), for_s=5)).text == f"Hello. {NAME}"
    parts = await play(scene, HELLO, WELCOME, for_s=1.4)
    assert (parts.text, parts.ms) == ("Hello. Welcome.", 1400)


# -- on hold -------------------------------------------------------------------------------------------------------


@virtual
async def test_the_caller_is_on_hold_until_the_block_ends_and_no_longer() -> None:
    scene = build_call()
    async with scene.call.holding():
        await asyncio.sleep(30)
        scene.press("1")
        scene.hear(*[0.95] * 10)
        await asyncio.sleep(0.3)
    assert scene.kinds[-1] == "clear"
    music = bundled("hold_music").audio
    assert scene.audio == (music * 9)[: len(scene.audio)]
    assert MULAW_8K.ms_in(len(scene.audio)) == pytest.approx(30_500, abs=41), "what was heard, and the lead"
    sent = len(scene.trace)
    await asyncio.sleep(2)
    assert len(scene.trace) == sent
    assert scene.call.digits == "1", "keys are kept"
    assert scene.stats.barge_ins == {}


class Large(TwilioDialect):
    """What Genesys, Exotel and Asterisk have in common: 200 ms in a message."""

    delivery = Delivery(message_ms=200)


class LargeForGood(TwilioDialect):
    """What FreeSWITCH may be set to: what it has been sent is heard."""

    delivery = Delivery(message_ms=200, marks=False, clear=False)


@pytest.mark.parametrize(
    ("dialect", "longest_ms"),
    [(TwilioDialect(), 0), (Large(), 0), (LargeForGood(), 380)],
    ids=lambda d: type(d).__name__,
)
@virtual
async def test_when_the_block_ends_music_is_heard_no_longer_than_the_carrier_makes_it(
    dialect: TwilioDialect, longest_ms: float
) -> None:
    scene = build_call(dialect=dialect)
    for n in range(20):
        async with scene.call.holding():
            await asyncio.sleep(0.5 + 0.017 * n)
        sent = len(scene.audio)
        assert scene.line.left_ms() <= longest_ms
        await asyncio.sleep(1)
        assert len(scene.audio) == sent


@virtual
async def test_what_is_said_on_hold_is_heard_and_then_the_music_again() -> None:
    scene = build_call()
    async with scene.call.holding(WELCOME):
        await asyncio.sleep(1)
        scene.trace.clear()
        assert (await scene.call.play(HELLO)).text == "Hello."
        heard = scene.audio.partition(HELLO.audio)
        assert heard[0] == b""
        await asyncio.sleep(1)
        first, second = scene.say("First."), scene.say("Second.")
        await asyncio.gather(first, second)
        assert sounds_in(scene.audio.rpartition(sound(0, 300))[2][:160]) == {1}, "no music between the two"
        await asyncio.sleep(0.5)
        assert scene.audio.endswith(WELCOME.audio[:160])
    assert not scene.playout.active


@virtual
async def test_what_was_heard_is_what_was_said_and_not_the_music() -> None:
    scene = build_call()
    said = await scene.call.play(HELLO)
    async with scene.call.holding():
        await asyncio.sleep(0.5)
        assert scene.call.heard == said
        welcome = await scene.call.play(WELCOME)
        await asyncio.sleep(0.5)
    assert scene.call.heard == welcome


@virtual
async def test_holding_waits_until_what_is_being_said_has_been_said() -> None:
    scene = build_call()
    saying = asyncio.create_task(scene.call.play(HELLO))
    await asyncio.sleep(0.1)
    async with scene.call.holding(WELCOME):
        assert (await saying).text == "Hello."
        await asyncio.sleep(0.5)
    assert scene.audio.startswith(HELLO.audio + WELCOME.audio)


@virtual
async def test_holding_inside_holding_is_the_inner_one_until_that_ends() -> None:
    scene = build_call()
    async with scene.call.holding(HELLO):
        await asyncio.sleep(0.5)
        async with scene.call.holding(WELCOME):
            scene.trace.clear()
            await asyncio.sleep(0.5)
            assert set(scene.audio) == set(WELCOME.audio)
        scene.trace.clear()
        await asyncio.sleep(0.5)
        assert set(scene.audio) == set(HELLO.audio)
    assert not scene.playout.active


@virtual
async def test_holding_ends_with_the_block_however_that_ends() -> None:
    scene = build_call()
    with pytest.raises(ZeroDivisionError):
        async with scene.call.holding():
            await asyncio.sleep(0.5)
            raise ZeroDivisionError
    assert not scene.playout.active
    assert (await scene.call.play(HELLO)).text == "Hello."


@virtual
async def test_a_call_that_ends_while_on_hold_leaves_the_block_alone() -> None:
    scene = build_call()
    async with scene.call.holding():
        await asyncio.sleep(0.5)
        scene.call.end("carrier")
        sent = len(scene.trace)
        await asyncio.sleep(0.5)
    assert len(scene.trace) == sent
    with pytest.raises(CallEnded):
        async with scene.call.holding():
            raise AssertionError("not over a call that is over")


@virtual
async def test_nobody_who_only_listens_is_put_on_hold() -> None:
    scene = build_call(can_speak=False)
    with pytest.raises(ListenOnly):
        async with scene.call.holding():
            raise AssertionError("nothing can be heard")


@virtual
async def test_music_stands_in_for_what_cannot_be_repeated_yet() -> None:
    spoken = Spoken()

    class Wait:
        def rendition(self, *_args: object, **_options: object) -> Rendition:
            return Rendition((HELLO, spoken.part("please wait")))

    scene = build_call(edition=Edition(Wait()))  # type: ignore[arg-type]
    async with scene.call.holding("wait"):
        await asyncio.sleep(1)
    assert bundled("hold_music").audio.startswith(scene.audio)
    assert spoken.told == [("please wait", None)], "it is got ready for the next time"
