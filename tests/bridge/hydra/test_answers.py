"""An answer of Hydra's: sound as it comes, its end, and what is dropped."""

from __future__ import annotations

import asyncio

import pytest

from bridge.errors import ThinkerError
from bridge.hydra import answers
from bridge.hydra.answers import Answer
from telephony_codecs.formats import MULAW_8K

PCM_100_MS = b"\x00\x10" * 4800


async def heard_of(answer: Answer) -> list[bytes | str]:
    return [part async for part in answer.parts()]


def ms(parts: list[bytes | str]) -> float:
    return sum(MULAW_8K.ms_in(len(part)) for part in parts if isinstance(part, bytes))


async def test_its_first_sound_is_told_once_and_its_words_come_among_it() -> None:
    answer = Answer("a", 48_000)
    assert [answer.sound(PCM_100_MS) for _ in range(3)] == [True, False, False]
    answer.words("Hi.")
    answer.end_sound()
    answer.end_sound()
    assert not answer.sound(PCM_100_MS), "that was all"
    parts = await heard_of(answer)
    assert [part for part in parts if isinstance(part, str)] == ["Hi."]
    assert ms(parts) == 300


async def test_too_little_to_be_heard_is_no_first_sound() -> None:
    answer = Answer("a", 48_000)
    assert [answer.sound(b""), answer.sound(b"\0"), answer.sound(PCM_100_MS)] == [False, False, True]


async def test_what_is_dropped_is_empty_at_once_and_for_ever() -> None:
    answer = Answer("a", 48_000)
    answer.sound(PCM_100_MS)
    hearing = asyncio.create_task(heard_of(answer))
    await asyncio.sleep(0)
    answer.sound(PCM_100_MS)
    answer.drop()
    answer.drop()
    assert not answer.sound(PCM_100_MS)
    answer.words("Too late.")
    answer.end_sound()
    assert ms(await hearing) < 100


@pytest.mark.parametrize("endless", ["sound", "words"])
async def test_there_is_an_end_to_it(endless: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MOST_MS", 250)
    monkeypatch.setattr(answers, "MOST_CHARACTERS", 25)
    answer = Answer("a", 48_000)
    with pytest.raises(ThinkerError) as failed:
        for _ in range(3):
            answer.sound(PCM_100_MS) if endless == "sound" else answer.words("x" * 10)
    assert failed.value.kind == "flood"


async def test_one_that_stops_in_the_middle_is_over_and_says_so() -> None:
    answer = Answer("a", 48_000, 0.01)
    answer.sound(PCM_100_MS)
    assert ms(await heard_of(answer)) < 100
    assert answer.stalled


async def test_one_that_ends_in_time_has_not_stalled() -> None:
    answer = Answer("a", 48_000, 60.0)
    answer.sound(PCM_100_MS)
    answer.end_sound()
    assert ms(await heard_of(answer)) == 100
    assert not answer.stalled
