"""A voice at its limits: how long anybody waits, agents that misbehave, and what is left when it is closed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any

import pytest

from bridge.errors import Busy, LightningError, TimedOut, Unauthorized, Unavailable
from bridge.lightning.limits import QUEUE_TIMEOUT
from bridge.lightning.speech import PartSink, Speech, SpeechAudio, SpeechPart, SpokenWord, TextSynthesis
from bridge.lightning.text_queue import CLOSING_S
from bridge.lightning.voice import Voice
from bridge.media.heard import Script as SpokenScript
from tests.support.played_door import (
    LETTER_MS,
    PlayedDoor,
    PlayedSynthesis,
    Script,
    failing,
    in_turn,
    mute,
    played_voice,
    read_back,
    well,
)
from tests.support.virtual_time import virtual

TEXT = "One fine day we shall see."
DROPPED = Unavailable("the connection was lost", code="dropped")
NO_KEY = Unauthorized("no", code="401")


async def heard(speech: Speech) -> tuple[str, Exception | None]:
    """What was spoken, and what it failed with."""
    parts: list[SpeechPart] = []
    error = None
    try:
        async for part in speech:
            parts.append(part)
    except Exception as failure:  # noqa: BLE001 - the test judges it
        error = failure
    return read_back(b"".join(part.payload for part in parts if isinstance(part, SpeechAudio))), error


def now_s() -> float:
    return asyncio.get_running_loop().time()


# -- patience ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entries", [1, 2, 3])
@pytest.mark.parametrize("hedge_after_s", [0.0, 0.6])
@virtual
async def test_nobody_listens_to_silence_for_longer_than_the_voices_patience(
    entries: int, hedge_after_s: float
) -> None:
    voice, doors = played_voice(
        *[mute] * entries, configs=[{"hedge_after_s": hedge_after_s}] * entries, patience_s=4.5
    )
    async with voice:
        began_s = now_s()
        text, error = await heard(voice.for_call().speak(TEXT))
        assert (text, type(error)) == ("", TimedOut)
        assert 3.9 < now_s() - began_s < 4.6
    assert all(TEXT in door.texts for door in doors), "each had its chance"


@virtual
async def test_nor_in_the_queue_for_a_unit() -> None:
    voice, (door,) = played_voice(mute, units=[1])
    async with voice:
        taken = await door.units.acquire(1)
        began_s = now_s()
        _, error = await heard(voice.for_call().speak(TEXT))
        assert isinstance(error, Busy)
        assert error.code == QUEUE_TIMEOUT
        assert now_s() - began_s == pytest.approx(voice.patience_s)
        taken.release()
    assert door.texts == []
    assert not voice.entries[0].breaker.open


@virtual
async def test_silent_entries_are_left_alone_though_they_had_a_share_of_the_time_only() -> None:
    voice, (first, *_) = played_voice(mute, mute, well, configs=[{"breaker_failures": 1}] * 3)
    async with voice:
        call = voice.for_call()
        assert await heard(call.speak(TEXT)) == (TEXT, None)
        assert [entry.breaker.open for entry in voice.entries] == [True, True, False]
        assert await heard(voice.for_call().speak(TEXT)) == (TEXT, None)
        assert first.texts.count(TEXT) == 2, "itself and its hedge"


# -- the second request ------------------------------------------------------------------------------------


@virtual
async def test_who_has_waited_for_a_unit_is_not_late_yet() -> None:
    async def slowish(synthesis: PlayedSynthesis, number: int) -> None:
        await asyncio.sleep(0.3)
        await well(synthesis, number)

    voice, (door,) = played_voice(slowish, units=[2])
    async with voice:
        taken = [await door.units.acquire(1) for _ in range(2)]
        speech = voice.for_call().speak(TEXT)
        await asyncio.sleep(0.55)
        for unit in taken:
            unit.release()
        assert await heard(speech) == (TEXT, None)
    assert (voice.stats.hedges, len(door.texts)) == (0, 1)


# -- breakers ----------------------------------------------------------------------------------------------


@virtual
async def test_when_none_is_known_to_work_all_are_asked_and_who_speaks_is_believed() -> None:
    voice, (_, second) = played_voice(
        failing(NO_KEY), in_turn(failing(NO_KEY), well), configs=[{"breaker_failures": 1}] * 2
    )
    async with voice:
        assert (await heard(voice.for_call().speak(TEXT)))[1] is NO_KEY
        assert not voice.able
        assert await heard(voice.for_call().speak(TEXT)) == (TEXT, None)
        assert voice.able
    assert second.texts == [TEXT, TEXT]


@virtual
async def test_an_utterance_never_returns_to_whom_it_has_left() -> None:
    first_gone = failing(DROPPED, "One ", timed=True)
    voice, (first, second) = played_voice(first_gone, in_turn(well, failing(NO_KEY)))
    async with voice:
        speech = voice.for_call().speak(f"{TEXT} {'And so on. ' * 40}")
        await asyncio.sleep(0.25)
        voice.note_failure(voice.entries[1], NO_KEY)  # another call's
        _, error = await heard(speech)
        assert error is NO_KEY
    assert len(first.texts) == 1
    assert len(second.texts) > 1


# -- words -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timed", [("One", "fine", "day"), ("One", "fine", "day", "we", "shall", "see.")])
@virtual
async def test_a_word_announced_by_one_and_spoken_by_another_was_said_once(timed: tuple[str, ...]) -> None:
    async def cut(synthesis: PlayedSynthesis, _number: int) -> None:
        synthesis.time(*timed)
        synthesis.speak("One fine d")
        synthesis.finish(DROPPED)

    async def mending(synthesis: PlayedSynthesis, number: int) -> None:
        synthesis.time(*synthesis.request.text.split())
        await well(synthesis, number)

    voice, _ = played_voice(cut, mending)
    async with voice:
        words = [part for part in await parts_of(voice) if isinstance(part, SpokenWord)]
    assert " ".join(word.word for word in words) == TEXT
    script = SpokenScript()
    script.start_piece(TEXT, 0)
    for word in words:
        script.add_word(word.word, word.end_ms)
    assert script.heard_text(words[3].end_ms, 60_000) == "One fine day we"


async def parts_of(voice: Voice) -> list[SpeechPart]:
    return [part async for part in voice.for_call().speak(TEXT)]


@virtual
async def test_a_first_word_that_was_cut_is_taken_back_too() -> None:
    async def cut(synthesis: PlayedSynthesis, _number: int) -> None:
        synthesis.time("One")
        synthesis.speak("On")
        synthesis.finish(DROPPED)

    voice, (door,) = played_voice(in_turn(cut, well))
    taken: list[float] = []

    def take_back(ms: float) -> float:
        taken.append(ms)
        return ms

    async with voice:
        speech = voice.for_call().speak(TEXT)
        speech.hand_over(lambda _: None, lambda: 0.0, take_back)
        await speech.finished()
    assert taken == [2 * LETTER_MS]
    assert door.texts == [TEXT, TEXT]


@virtual
async def test_where_words_times_do_not_come_along_the_pace_tells_the_rest() -> None:
    async def cut(synthesis: PlayedSynthesis, _number: int) -> None:
        synthesis.time("One")
        synthesis.speak(TEXT[:20])
        synthesis.finish(DROPPED)

    voice, (_, second) = played_voice(cut, well)
    async with voice:
        await heard(voice.for_call().speak(TEXT))
    assert second.texts == ["shall see."]


# -- agents that misbehave ---------------------------------------------------------------------------------


class OpenDoor(PlayedDoor):
    """A door that could take text as it comes."""

    def open_text(
        self,
        request: Any,
        into: PartSink | None = None,
        *,
        wait_s: float | None = None,
        expected_ms: Callable[[str], float] | None = None,
    ) -> TextSynthesis:
        raise NotImplementedError


async def cancelled() -> AsyncIterator[str]:
    yield "One fine day. "
    yield "We shall"
    raise asyncio.CancelledError


async def exiting() -> AsyncIterator[str]:
    yield "One fine day. "
    yield "We shall"
    sys.exit(3)


@pytest.mark.parametrize("text", [cancelled, exiting])
@virtual
async def test_an_iterator_that_is_cancelled_or_exits_ends_the_speech_with_an_error(
    text: Callable[[], AsyncIterable[str]],
) -> None:
    voice, _ = played_voice(well)
    async with voice:
        said, error = await heard(voice.for_call().speak(text()))
    assert said == "One fine day."
    assert isinstance(error, RuntimeError)


@virtual
async def test_an_iterator_that_will_not_close_does_not_hold_up_the_apology() -> None:
    async def stubborn() -> AsyncIterator[str]:
        try:
            yield "One fine day. And"
            yield " so on."
        finally:
            await asyncio.sleep(1000)

    voice, _ = played_voice(failing(NO_KEY))
    async with voice:
        began_s = now_s()
        assert (await heard(voice.for_call().speak(stubborn())))[1] is NO_KEY
        assert now_s() - began_s == pytest.approx(0.1 + CLOSING_S)
        await asyncio.sleep(1)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@virtual
async def test_an_entry_that_can_stream_may_be_left_while_the_agent_thinks() -> None:
    first_configs = {"text_streaming": "context"}
    voice, (first, second) = played_voice(well, well, configs=[first_configs])
    voice.entries[0].door = OpenDoor(first.script, first.stats, first.units, first.config)
    thought = asyncio.Event()

    async def thinking() -> AsyncIterator[str]:
        await thought.wait()
        yield TEXT

    async with voice:
        speech = voice.for_call().speak(thinking())
        await asyncio.sleep(0.1)
        voice.note_failure(voice.entries[0], NO_KEY)
        thought.set()
        assert await heard(speech) == (TEXT, None)
    assert second.texts == [TEXT]


# -- closing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", [mute, failing(DROPPED, after_s=1.0)])
@virtual
async def test_closing_ends_what_is_being_spoken_and_probes_nothing(script: Script) -> None:
    voice, doors = played_voice(script, script, configs=[{"breaker_failures": 1}] * 2)
    async with voice:
        speeches = [voice.for_call().speak(TEXT) for _ in range(3)]
        await asyncio.sleep(0.3)
    for speech in speeches:
        _, error = await heard(speech)
        assert isinstance(error, LightningError)
        assert error.code == "closed"
    assert not any(units.in_use for units in voice.accounts)
    voice.note_failure(voice.entries[0], DROPPED)
    await asyncio.sleep(3)
    assert doors[1].texts == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


@virtual
async def test_a_speech_that_is_cancelled_by_its_first_part_holds_no_unit() -> None:
    voice, (door,) = played_voice(well)
    async with voice:
        speech = voice.for_call().speak(TEXT)
        speech.hand_over(lambda _part: speech.cancel(), lambda: 0.0)
        await speech.finished()
        await asyncio.sleep(0.05)
        assert door.units.in_use == 0
        assert all(synthesis.cancelled for synthesis in door.syntheses)
