"""A model's tokens stream into the emulated Lightning while its audio streams out, through every socket that can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from bridge.config import LightningConfig
from bridge.emulators.lightning import EmulatedLightning
from bridge.emulators.lightning_options import EmulatorOptions
from bridge.lightning.doors import open_door
from bridge.lightning.limits import Units
from bridge.lightning.speech import SpokenWord, StreamingSynthesizer, Synthesis, Synthesizer, TextSynthesis
from bridge.lightning.stats import LightningStats
from bridge.names import DoorName, TextStreaming
from tests.support.lightning_live import config, parts_of
from tests.support.lightning_requests import request
from tests.support.waiting import PATIENCE_S, until

SENTENCES = [
    "Good evening, this is the front desk.",
    "Yes.",
    "Breakfast is from seven until half past ten, in the hall on the first floor.",
    "May I do anything else for you",
]
TOKENS = [token + " " for sentence in SENTENCES for token in sentence.split()]

STYLES: list[tuple[DoorName, TextStreaming]] = [("live", "context"), ("live", "flush"), ("v3.1", "flush")]
ways = pytest.mark.parametrize(("door", "style"), STYLES)


@asynccontextmanager
async def opened(
    emulator: EmulatedLightning, door: DoorName, style: TextStreaming = "sentences"
) -> AsyncIterator[Synthesizer]:
    settings: LightningConfig = config(emulator.url, door=door, text_streaming=style, concurrency=1)
    stats = LightningStats()
    synthesizer = open_door(settings, stats, Units(1, stats))
    await synthesizer.start()
    try:
        yield synthesizer
    finally:
        await synthesizer.close()


async def audio_of(synthesis: Synthesis) -> bytes:
    async with asyncio.timeout(PATIENCE_S):
        parts, error = await parts_of(synthesis)
    assert error is None
    return b"".join(part for part in parts if isinstance(part, bytes))


async def say_all(synthesis: TextSynthesis, tokens: Sequence[str]) -> None:
    for token in tokens:
        await synthesis.say(token)
    synthesis.end_text()


async def think_and_say(synthesis: TextSynthesis, emulator: EmulatedLightning) -> None:
    """Token by token, with a pause after each sentence until Lightning has begun to speak it."""
    for sentence in SENTENCES[:-1]:
        for token in sentence.split():
            await synthesis.say(token + " ")
        await until(lambda: emulator.stats.texts[-1].endswith(sentence))  # noqa: B023 - it ends within the loop
    await say_all(synthesis, [SENTENCES[-1]])


@ways
async def test_it_sounds_as_if_each_sentence_had_been_asked_for_by_itself(
    door: DoorName, style: TextStreaming
) -> None:
    options = EmulatorOptions(first_byte_ms=20, realtime_factor=50, concurrency=1)
    async with EmulatedLightning(options) as emulator, opened(emulator, door, style) as synthesizer:
        asked = [request(text=text, request_id=f"s{number}") for number, text in enumerate(SENTENCES)]
        one_by_one = [await audio_of(synthesizer.synthesize(each)) for each in asked]
        assert isinstance(synthesizer, StreamingSynthesizer)
        synthesis = synthesizer.open_text(request(text=""))
        saying = asyncio.create_task(think_and_say(synthesis, emulator))
        assert await audio_of(synthesis) == b"".join(one_by_one)
        await saying
        assert [text.strip() for text in emulator.stats.texts] == [*SENTENCES, *SENTENCES]
        assert (emulator.stats.connections, emulator.stats.max_active, emulator.stats.errors) == (1, 1, 0)


@ways
async def test_the_first_sentence_is_heard_before_the_text_goes_on(
    door: DoorName, style: TextStreaming
) -> None:
    async with EmulatedLightning() as emulator, opened(emulator, door, style) as synthesizer:
        assert isinstance(synthesizer, StreamingSynthesizer)
        synthesis = synthesizer.open_text(request(text=""))
        await synthesis.say("Yes. Your")  # shorter than what Lightning finds long enough by itself
        async with asyncio.timeout(PATIENCE_S):
            assert isinstance(await anext(synthesis), bytes)
        assert list(emulator.stats.texts) == ["Yes."]
        synthesis.cancel()


async def test_words_are_timed_from_the_start_of_the_text() -> None:
    async with EmulatedLightning() as emulator, opened(emulator, "live", "context") as synthesizer:
        assert isinstance(synthesizer, StreamingSynthesizer)
        asked = request(text="", voice_id="avery", word_timestamps=True)
        synthesis = synthesizer.open_text(asked)
        await say_all(synthesis, TOKENS)
        parts, error = await parts_of(synthesis)
        words = [part for part in parts if isinstance(part, SpokenWord)]
        audio_ms = sum(len(part) for part in parts if isinstance(part, bytes)) / 8
        assert error is None
        assert [word.word for word in words] == " ".join(SENTENCES).split()
        assert all(before.end_ms <= after.start_ms for before, after in zip(words, words[1:], strict=False))
        assert audio_ms * 0.9 < words[-1].end_ms <= audio_ms


async def test_cancelled_half_way_its_unit_is_free_for_the_next() -> None:
    options = EmulatorOptions(realtime_factor=1, concurrency=1)
    async with EmulatedLightning(options) as emulator, opened(emulator, "live", "context") as synthesizer:
        assert isinstance(synthesizer, StreamingSynthesizer)
        synthesis = synthesizer.open_text(request(text=""))
        await synthesis.say("This is a sentence that takes a few seconds to speak. And")
        await anext(synthesis)
        synthesis.cancel()
        options.realtime_factor = 0
        again = synthesizer.open_text(request(text="", request_id="r2"))
        await say_all(again, ["Yes."])
        assert await audio_of(again)


@pytest.mark.parametrize(("door", "output"), [("v3.1", "ulaw"), ("v2", "pcm")])
async def test_the_older_sockets(door: DoorName, output: str) -> None:
    async with EmulatedLightning() as emulator, opened(emulator, door) as synthesizer:
        for number in range(2):
            asked = request(request_id=f"r{number}", output_format=output)
            assert len(await audio_of(synthesizer.synthesize(asked))) > 2000
        assert synthesizer.stats.failed == 0
