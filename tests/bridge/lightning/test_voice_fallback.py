"""A voice that does not fail: who speaks when a door does not, which words, and for how long it stays so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bridge.errors import Busy, InvalidRequest, LightningError, TimedOut, Unauthorized, Unavailable
from bridge.lightning.probes import PROBE_TEXT
from bridge.lightning.speech import PieceEnded, PieceStarted, Speech, SpeechAudio, SpeechPart
from tests.support.played_door import (
    LETTER_MS,
    PlayedSynthesis,
    failing,
    in_turn,
    mute,
    played_voice,
    read_back,
    spoken,
    well,
)
from tests.support.virtual_time import virtual

TEXT = "One fine day we shall see."
DROPPED = Unavailable("the connection was lost", code="dropped")
SILENT = TimedOut("no more audio", code="stall_timeout")
NO_KEY = Unauthorized("no", code="401")
GONE = InvalidRequest("retired", code="MODEL_DEPRECATED")


async def heard(speech: Speech) -> tuple[str, LightningError | None]:
    """What was spoken, and what it failed with."""
    parts: list[SpeechPart] = []
    error = None
    try:
        async for part in speech:
            parts.append(part)
    except LightningError as failure:
        error = failure
    return read_back(b"".join(part.payload for part in parts if isinstance(part, SpeechAudio))), error


# -- the next one speaks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [DROPPED, SILENT, NO_KEY, GONE], ids=lambda error: type(error).__name__)
@virtual
async def test_what_is_left_is_spoken_by_the_next(error: LightningError) -> None:
    voice, (first, second) = played_voice(failing(error, "One fine day", timed=True), well)
    async with voice:
        text, failure = await heard(voice.for_call().speak(TEXT))
    assert (first.texts[0], second.texts) == (TEXT, ["we shall see."])
    assert (text, failure) == ("One fine daywe shall see.", None)
    assert (voice.stats.fallbacks, voice.stats.retries, voice.stats.speech_failures) == (1, 0, 0)


@virtual
async def test_the_piece_is_still_one_piece() -> None:
    voice, _ = played_voice(failing(DROPPED, "One fine day", timed=True), well)
    async with voice:
        parts = [part async for part in voice.for_call().speak(TEXT)]
    assert [type(part) for part in parts if isinstance(part, PieceStarted | PieceEnded)] == [
        PieceStarted,
        PieceEnded,
    ]


@virtual
async def test_a_call_that_has_fallen_back_stays_there_and_others_do_not() -> None:
    voice, (first, second) = played_voice(in_turn(failing(DROPPED, "One "), well), well)
    async with voice:
        call, other = voice.for_call(), voice.for_call()
        await heard(call.speak(TEXT))
        await heard(call.speak("Second."))
        await heard(other.speak("Other."))
    assert first.texts == [TEXT, "Other."]
    assert second.texts[1:] == ["Second."]
    assert voice.stats.fallbacks == 1


@virtual
async def test_all_the_way_down_and_round_again() -> None:
    """The last entry's own failure goes to whoever works, even to the first; nobody is gone back to in an utterance."""
    voice, (first, second, third) = played_voice(
        in_turn(failing(DROPPED, "One "), well), failing(DROPPED, "fine "), failing(DROPPED, "day ")
    )
    async with voice:
        call = voice.for_call()
        _, failure = await heard(call.speak(TEXT))
        assert failure is DROPPED
        assert [len(door.texts) for door in (first, second, third)] == [1, 1, 2], (
            "the last one gets the retry"
        )
        text, failure = await heard(call.speak("Again, please."))
    assert (text, failure) == ("day Again, please.", None)
    assert len(first.texts) == 2
    assert voice.stats.speech_failures == 1


@virtual
async def test_before_any_audio_a_fresh_connection_gets_one_more_chance() -> None:
    voice, (first, second) = played_voice(in_turn(failing(DROPPED), well), well)
    async with voice:
        assert await heard(voice.for_call().speak(TEXT)) == (TEXT, None)
    assert (first.texts, second.texts) == ([TEXT, TEXT], [])
    assert (voice.stats.retries, voice.stats.fallbacks) == (1, 0)


@virtual
async def test_without_a_fallback_there_is_one_retry() -> None:
    voice, (door,) = played_voice(in_turn(failing(DROPPED, "One fine day", timed=True), well))
    async with voice:
        assert await heard(voice.for_call().speak(TEXT)) == ("One fine daywe shall see.", None)
    assert door.texts == [TEXT, "we shall see."]


@virtual
async def test_nobody_else_is_asked_what_was_asked_wrongly() -> None:
    error = InvalidRequest("speed: 9 is not within 0.5 to 2", code="local_check")
    voice, (_, second) = played_voice(failing(error), well)
    async with voice:
        assert await heard(voice.for_call().speak(TEXT)) == ("", error)
    assert second.texts == []


# -- the cut word ------------------------------------------------------------------------------------------


@virtual
async def test_a_word_that_was_cut_is_taken_back_where_it_has_not_gone_out() -> None:
    async def cut(synthesis: PlayedSynthesis, _number: int) -> None:
        synthesis.time("One", "fine")
        synthesis.speak("One fine da")
        synthesis.finish(DROPPED)

    voice, (_, second) = played_voice(cut, well)
    taken: list[bytes] = []

    def take(part: SpeechPart) -> None:
        if isinstance(part, SpeechAudio):
            taken.append(part.payload)

    def take_back(ms: float) -> float:
        whole = b"".join(taken)
        drop = int(ms * 8)
        taken[:] = [whole[: len(whole) - drop]]
        return ms

    async with voice:
        speech = voice.for_call().speak(TEXT)
        speech.hand_over(take, lambda: 0.0, take_back)
        await speech.finished()
    assert second.texts == ["day we shall see."]
    assert read_back(b"".join(taken)) == "One fineday we shall see."


@virtual
async def test_what_has_gone_out_is_not_taken_back() -> None:
    async def cut(synthesis: PlayedSynthesis, _number: int) -> None:
        synthesis.time("One", "fine")
        synthesis.speak("One fine da")
        synthesis.finish(DROPPED)

    voice, (_, second) = played_voice(cut, well)
    async with voice:
        text, _ = await heard(voice.for_call().speak(TEXT))
    assert second.texts == ["day we shall see."]
    assert text == "One fine daday we shall see."


# -- the second request ------------------------------------------------------------------------------------


@virtual
async def test_a_late_first_byte_is_hedged_and_the_first_answer_wins() -> None:
    voice, (door,) = played_voice(in_turn(mute, well))
    began_s = asyncio.get_running_loop().time()
    async with voice:
        assert await heard(voice.for_call().speak(TEXT)) == (TEXT, None)
        assert asyncio.get_running_loop().time() - began_s == pytest.approx(0.6 + 0.1)
    slow, quick = door.syntheses
    assert (slow.cancelled, quick.cancelled) == (True, False)
    assert slow.request_id != quick.request_id
    assert (voice.stats.hedges, voice.stats.hedges_won, voice.stats.retries) == (1, 1, 0)
    assert door.units.in_use == 0


@virtual
async def test_the_first_one_may_still_win() -> None:
    async def slow(synthesis: PlayedSynthesis, number: int) -> None:
        await asyncio.sleep(0.65)
        await well(synthesis, number)

    voice, (door,) = played_voice(slow)
    async with voice:
        assert await heard(voice.for_call().speak(TEXT)) == (TEXT, None)
    first, second = door.syntheses
    assert (first.cancelled, second.cancelled) == (False, True)
    assert (voice.stats.hedges, voice.stats.hedges_won) == (1, 0)


@virtual
async def test_no_hedge_without_a_free_unit_nor_when_it_is_off() -> None:
    for units, config in ((1, {}), (4, {"hedge_after_s": 0.0})):
        voice, (door,) = played_voice(in_turn(mute, well), units=[units], configs=[config])
        async with voice:
            assert await heard(voice.for_call().speak(TEXT)) == (TEXT, None)
        assert (voice.stats.hedges, voice.stats.retries) == (0, 1), "the deadline, and then the retry"
        assert len(door.texts) == 2


@virtual
async def test_a_hedge_that_fails_does_no_harm_and_both_failing_is_the_first_ones_failure() -> None:
    async def late(synthesis: PlayedSynthesis, number: int) -> None:
        await asyncio.sleep(0.9)
        await well(synthesis, number)

    voice, _ = played_voice(in_turn(late, failing(DROPPED)))
    async with voice:
        assert await heard(voice.for_call().speak(TEXT)) == (TEXT, None)
    assert voice.stats.fallbacks == voice.stats.retries == 0

    voice, (_, second) = played_voice(in_turn(failing(NO_KEY, after_s=0.8), failing(DROPPED)), well)
    async with voice:
        assert await heard(voice.for_call().speak(TEXT)) == (TEXT, None)
    assert second.texts == [TEXT]


@virtual
async def test_a_barge_in_stops_both() -> None:
    voice, (door,) = played_voice(mute)
    async with voice:
        speech = voice.for_call().speak(TEXT)
        await asyncio.sleep(0.7)
        assert door.units.in_use == 2
        speech.cancel()
        assert door.units.in_use == 0
    assert [synthesis.cancelled for synthesis in door.syntheses] == [True, True]


# -- the account -------------------------------------------------------------------------------------------


@virtual
async def test_who_waits_in_vain_for_a_unit_is_spoken_for_by_another_account() -> None:
    voice, (first, second, third) = played_voice(mute, well, well, units=[1, 1, 1])
    second.units = voice.entries[1].units = first.units  # the same account
    async with voice:
        busy = voice.for_call().speak("Something long.")
        await asyncio.sleep(0.01)
        began_s = asyncio.get_running_loop().time()
        assert await heard(voice.for_call().speak(TEXT)) == (TEXT, None)
        assert asyncio.get_running_loop().time() - began_s == pytest.approx(0.5 + 0.1)
        busy.cancel()
    assert (first.texts, second.texts, third.texts) == (["Something long."], [], [TEXT])


@virtual
async def test_told_to_come_back_soon_it_does_and_nobody_else_asks_meanwhile() -> None:
    busy = Busy("too many", code="429", retry_after_s=0.4)
    voice, (door,) = played_voice(in_turn(failing(busy, after_s=0.0), well))
    loop = asyncio.get_running_loop()
    async with voice:
        began_s = loop.time()
        first = asyncio.create_task(heard(voice.for_call().speak(TEXT)))
        await asyncio.sleep(0.1)
        second = asyncio.create_task(heard(voice.for_call().speak(TEXT)))
        await asyncio.sleep(0.2)
        assert len(door.texts) == 1
        assert [await first, await second] == [(TEXT, None), (TEXT, None)]
        assert loop.time() - began_s == pytest.approx(0.4 + 0.1)
    assert not voice.entries[0].breaker.open


@virtual
async def test_told_to_come_back_late_somebody_else_speaks() -> None:
    busy = Busy("too many", code="429", retry_after_s=20.0)
    voice, (first, second) = played_voice(failing(busy), well, units=[2, 2])
    async with voice:
        call = voice.for_call()
        assert await heard(call.speak(TEXT)) == (TEXT, None)
    assert (len(first.texts), second.texts) == (1, [TEXT])


# -- breakers ----------------------------------------------------------------------------------------------


@virtual
async def test_a_door_that_fails_often_is_left_alone_until_a_probe_works() -> None:
    state = {"well": False}

    async def first(synthesis: PlayedSynthesis, number: int) -> None:
        await (well if state["well"] else failing(DROPPED, "One "))(synthesis, number)

    voice, (door, second) = played_voice(first, well)
    async with voice:
        for _ in range(3):
            await heard(voice.for_call().speak(TEXT))
        assert len(door.texts) == 3
        assert voice.entries[0].breaker.open
        assert voice.able
        await heard(voice.for_call().speak("A new call."))
        assert len(door.texts) == 3, "nobody asks it"
        assert second.texts[-1] == "A new call."
        await asyncio.sleep(2.5)
        assert door.texts[3:] == [PROBE_TEXT]
        state["well"] = True
        await asyncio.sleep(4.5)
        assert not voice.entries[0].breaker.open
        await heard(voice.for_call().speak("Another call."))
        assert door.texts[-1] == "Another call."
    assert (voice.stats.breakers_opened, voice.stats.probes) == (1, 2)


@virtual
async def test_a_wrong_key_opens_it_at_once_and_with_nobody_left_it_is_asked_all_the_same() -> None:
    voice, (door,) = played_voice(failing(NO_KEY))
    async with voice:
        assert (await heard(voice.for_call().speak(TEXT)))[1] is NO_KEY
        assert not voice.able
        assert (await heard(voice.for_call().speak(TEXT)))[1] is NO_KEY
        assert len(door.texts) == 2


@virtual
async def test_a_probe_needs_a_free_unit_and_says_nothing_without() -> None:
    voice, (door,) = played_voice(in_turn(failing(NO_KEY), mute), units=[1])
    async with voice:
        await heard(voice.for_call().speak(TEXT))
        taken = await door.units.acquire(0.5)
        await asyncio.sleep(5)
        assert PROBE_TEXT not in door.texts
        taken.release()
        await asyncio.sleep(2)
        assert PROBE_TEXT in door.texts


@virtual
async def test_closing_leaves_nothing_behind() -> None:
    voice, (door,) = played_voice(failing(NO_KEY))
    async with voice:
        assert door.running
        await heard(voice.for_call().speak(TEXT))
    assert not door.running
    assert asyncio.all_tasks() == {asyncio.current_task()}


# -- options -----------------------------------------------------------------------------------------------


@virtual
async def test_an_utterances_own_voice_is_the_first_entrys_and_of_who_stands_in_for_it() -> None:
    configs = [{}, {"base_url": "https://elsewhere.example"}, {"model": "lightning_v3.1_pro"}]
    voice, (_, second, third) = played_voice(
        failing(DROPPED, "One "), failing(DROPPED, "fine "), well, configs=configs
    )
    async with voice:
        await heard(voice.for_call().speak(TEXT, voice_id="sophia", speed=1.2))
    (elsewhere,), (other,) = second.syntheses, third.syntheses
    assert (elsewhere.request.voice_id, elsewhere.request.speed) == ("sophia", 1.2)
    assert (other.request.voice_id, other.request.speed) == ("magnus", 1.2)


# -- text that streams in ----------------------------------------------------------------------------------


@virtual
async def test_a_failure_in_a_stream_loses_no_token() -> None:
    async def thinking() -> AsyncIterator[str]:
        for token in ("One fine", " day. ", "We shall", " see. ", "And then", " some."):
            await asyncio.sleep(0.2)
            yield token

    voice, (_, second) = played_voice(failing(DROPPED, "One fine", timed=True), well)
    async with voice:
        text, error = await heard(voice.for_call().speak(thinking()))
    assert error is None
    assert text == "One fineday.We shall see.And then some."
    assert second.texts == ["day.", "We shall see.", "And then some."]


def test_the_letters_can_be_read_back() -> None:
    assert read_back(spoken(TEXT)) == TEXT
    assert len(spoken("a")) == LETTER_MS * 8
