"""One synthesis and one utterance, without a door behind them."""

from __future__ import annotations

import asyncio

import pytest

from bridge.errors import Unavailable
from bridge.lightning.speech import (
    PieceEnded,
    PieceStarted,
    Speech,
    SpeechAudio,
    SpeechPart,
    SpokenWord,
    Synthesis,
    SynthesisPart,
)
from tests.support.lightning_requests import request

WORD = SpokenWord("a", 0, 1)
SECOND = bytes(8000)


class Watched(Synthesis):
    """Counts how often it let go."""

    ends = 0

    def _let_go(self) -> None:
        self.ends += 1


# -- a synthesis -------------------------------------------------------------------------------------------


async def test_parts_then_the_end() -> None:
    synthesis = Watched(request())
    assert (synthesis.request_id, synthesis.over) == ("r1", False)
    for part in (b"ab", WORD, b"c"):
        synthesis.deliver(part)
    synthesis.finish()
    synthesis.deliver(b"late")
    synthesis.finish(Unavailable("late"))
    assert [part async for part in synthesis] == [b"ab", WORD, b"c"]
    await synthesis.finished()
    assert (synthesis.audio_bytes, synthesis.ends, synthesis.cancelled) == (3, 1, False)


async def test_an_error_comes_after_what_came_before() -> None:
    synthesis = Watched(request())
    synthesis.deliver(b"ab")
    synthesis.finish(Unavailable("gone"))
    assert await anext(synthesis) == b"ab"
    with pytest.raises(Unavailable):
        await anext(synthesis)
    with pytest.raises(Unavailable):
        await synthesis.finished()


async def test_nothing_after_cancel_not_even_what_was_there() -> None:
    synthesis = Watched(request())
    synthesis.deliver(b"ab")
    for _ in range(2):
        synthesis.cancel()
    synthesis.deliver(b"cd")
    assert [part async for part in synthesis] == []
    await synthesis.finished()
    assert (synthesis.cancelled, synthesis.ends) == (True, 1)


async def test_cancelled_after_its_end_it_was_not_cancelled_but_is_silent() -> None:
    synthesis = Watched(request())
    synthesis.deliver(b"ab")
    synthesis.finish()
    synthesis.cancel()
    assert [part async for part in synthesis] == []
    assert (synthesis.cancelled, synthesis.ends) == (False, 1)


async def test_parts_go_into_a_function_at_once() -> None:
    taken: list[SynthesisPart] = []
    synthesis = Synthesis(request(), taken.append)
    synthesis.deliver(b"ab")
    assert taken == [b"ab"]
    synthesis.cancel()
    synthesis.deliver(b"cd")
    assert taken == [b"ab"]


async def test_who_waits_for_the_end_may_give_up() -> None:
    synthesis = Synthesis(request())
    waiter = asyncio.create_task(synthesis.finished())
    await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.wait([waiter])
    synthesis.finish()
    await synthesis.finished()


async def test_the_first_audio_is_timed_and_words_are_none() -> None:
    synthesis = Synthesis(request())
    synthesis.deliver(WORD)
    assert synthesis.first_audio_at_s is None
    synthesis.deliver(b"ab")
    first = synthesis.first_audio_at_s
    synthesis.deliver(b"cd")
    assert first is not None
    assert synthesis.first_audio_at_s == first


# -- an utterance ------------------------------------------------------------------------------------------


class Stopped:
    """Counts how often the voice was told to stop."""

    times = 0

    def __call__(self) -> None:
        self.times += 1


async def test_a_speech_gives_its_parts_in_order() -> None:
    parts: list[SpeechPart] = [PieceStarted("Hi."), SpeechAudio(b"ab"), WORD, PieceEnded()]
    speech = Speech(stopped := Stopped())
    for part in parts:
        speech.deliver(part)
    speech.finish()
    assert [part async for part in speech] == parts
    speech.cancel()
    assert stopped.times == 0


async def test_cancel_silences_it_and_tells_the_voice_once() -> None:
    speech = Speech(stopped := Stopped())
    speech.deliver(SpeechAudio(b"ab"))
    speech.cancel()
    speech.cancel()
    speech.deliver(SpeechAudio(b"cd"))
    speech.finish(Unavailable("late"))
    assert [part async for part in speech] == []
    assert stopped.times == 1


async def test_an_error_of_the_agents_own_is_passed_on() -> None:
    speech = Speech(Stopped())
    speech.finish(KeyError("theirs"))
    with pytest.raises(KeyError, match="theirs"):
        await anext(speech)


async def test_there_is_room_once_enough_has_been_read() -> None:
    speech = Speech(Stopped())
    for _ in range(3):
        speech.deliver(SpeechAudio(SECOND))
    waiter = asyncio.create_task(speech.room(1000))
    for unread_ms in (3000, 2000):
        await asyncio.sleep(0)
        assert (waiter.done(), speech.unread_ms) == (False, unread_ms)
        await anext(speech)
    await waiter
    assert speech.unread_ms == 1000


async def test_handed_over_its_parts_go_elsewhere_and_so_does_the_count_of_what_waits() -> None:
    speech, taken, backlog_ms = Speech(Stopped()), list[SpeechPart](), [3000.0]
    speech.hand_over(taken.append, lambda: backlog_ms[0])
    speech.deliver(SpeechAudio(SECOND))
    assert taken == [SpeechAudio(SECOND)]
    waiter = asyncio.create_task(speech.room(1000))
    for still_ms in (2000.0, 1000.0):
        await asyncio.sleep(0)
        assert not waiter.done()
        backlog_ms[0] = still_ms
        speech.wake()
    await waiter
    speech.finish()
    await speech.finished()


async def test_handed_over_nothing_comes_after_cancel_and_no_error() -> None:
    speech, taken = Speech(stopped := Stopped()), list[SpeechPart]()
    speech.hand_over(taken.append, lambda: 0.0)
    speech.cancel()
    speech.deliver(SpeechAudio(b"ab"))
    speech.finish(Unavailable("late"))
    await speech.finished()
    assert (taken, stopped.times) == ([], 1)


async def test_lightnings_share_of_the_wait() -> None:
    speech = Speech(Stopped())
    assert speech.first_audio_ms is None
    speech.requested_at_s, speech.first_audio_at_s = 10.0, 10.125
    assert speech.first_audio_ms == 125
