"""Text that streams in through a voice, as one synthesis: what is heard, and what a failure half way leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bridge.config import FallbackConfig, LightningConfig, Secret
from bridge.emulators.lightning import EmulatedLightning
from bridge.emulators.lightning_options import EmulatorOptions
from bridge.lightning.normalise import normalise
from bridge.lightning.speech import (
    LessText,
    MoreText,
    PieceEnded,
    PieceStarted,
    SpeechAudio,
    SpeechPart,
)
from bridge.lightning.voice import Voice, open_voice
from tests.support.voice import audio_in, heard
from tests.support.waiting import PATIENCE_S, until

SENTENCES = ("Good morning to you all.", "This is the second one.", "And here the third one ends.")
TEXT = " ".join(SENTENCES)


@asynccontextmanager
async def speaking(
    style: str, second: EmulatedLightning | None = None, normalises: bool = False, **options: Any
) -> AsyncIterator[tuple[Voice, EmulatedLightning]]:
    """A voice that streams text in `style`, with `second` as its fallback."""
    async with EmulatedLightning(EmulatorOptions(**options)) as emulator:
        fallbacks = [FallbackConfig(base_url=second.url, voice_id="avery")] if second else []
        config = LightningConfig(
            base_url=emulator.url,
            api_key=Secret("sk_1"),
            concurrency=2,
            voice_id="liam",
            text_streaming=style,  # type: ignore[arg-type]
            fallbacks=fallbacks,
            stall_timeout_s=0.5,
        )
        async with open_voice(config, normalise=normalise if normalises else None) as voice:
            yield voice, emulator


async def tokens(text: str, size: int = 4) -> AsyncIterator[str]:
    for at in range(0, len(text), size):
        await asyncio.sleep(0)
        yield text[at : at + size]


def text_in(parts: list[SpeechPart]) -> str:
    return "".join(part.text for part in parts if isinstance(part, PieceStarted | MoreText))


def texts_told(parts: list[SpeechPart]) -> list[str]:
    """What each piece has turned out to say."""
    texts: list[str] = []
    for part in parts:
        if isinstance(part, PieceStarted):
            texts.append(part.text)
        elif isinstance(part, MoreText):
            texts[-1] += part.text
        elif isinstance(part, LessText):
            assert texts[-1].endswith(part.text)
            texts[-1] = texts[-1].removesuffix(part.text)
    return [text.strip() for text in texts if text.strip()]


async def one_by_one(voice: Voice, *texts: str) -> bytes:
    return b"".join([audio_in((await heard(voice.for_call().speak(text)))[0]) for text in texts])


@pytest.mark.parametrize("style", ["context", "flush"])
async def test_the_audio_is_that_of_the_sentences_and_the_text_that_of_the_agent(style: str) -> None:
    async with speaking(style) as (voice, emulator):
        parts, error = await heard(voice.for_call().speak(tokens(TEXT)))
        assert error is None
        assert text_in(parts) == TEXT
        assert [type(part) for part in parts if isinstance(part, PieceStarted | PieceEnded)] == [
            PieceStarted,
            PieceEnded,
        ]
        assert emulator.stats.max_active == 1
        assert audio_in(parts) == await one_by_one(voice, *SENTENCES)


@pytest.mark.parametrize("style", ["context", "flush"])
async def test_audio_comes_while_the_agent_still_thinks(style: str) -> None:
    spoken = asyncio.Event()

    async def thinking() -> AsyncIterator[str]:
        yield SENTENCES[0] + " This"
        await spoken.wait()
        yield " is the second one."

    async with speaking(style) as (voice, _):
        parts: list[SpeechPart] = []
        async for part in voice.for_call().speak(thinking()):
            parts.append(part)
            if isinstance(part, SpeechAudio):
                spoken.set()
        assert audio_in(parts) == await one_by_one(voice, *SENTENCES[:2])


@pytest.mark.parametrize("style", ["context", "flush"])
@pytest.mark.parametrize("after_ms", [0.0, 400.0, 1000.0])
async def test_what_a_failure_leaves_is_spoken_by_the_next(style: str, after_ms: float) -> None:
    async with EmulatedLightning() as second, speaking(style, second, fail_after_ms=after_ms) as (voice, _):
        speech = voice.for_call().speak(tokens(TEXT))
        parts, error = await heard(speech)
        assert error is None
        assert voice.stats.fallbacks == 1
        rest = " ".join(second.stats.texts)
        assert rest
        assert TEXT.endswith(rest), "word for word what was not said"
        assert " ".join(texts_told(parts)) == TEXT, "and it is told once, whatever was taken and not said"


async def test_a_generator_that_raises_ends_it_with_that() -> None:
    async def failing() -> AsyncIterator[str]:
        yield SENTENCES[0] + " And "
        raise KeyError("of the agent")

    async with speaking("context") as (voice, emulator):
        _, error = await heard(voice.for_call().speak(failing()))
        assert isinstance(error, KeyError)
        assert not any(units.in_use for units in voice.accounts)
        assert emulator.stats.requests <= 1


@pytest.mark.parametrize("texts", [(), ("",), (" ", "\n")])
async def test_nothing_is_a_speech_of_nothing(texts: tuple[str, ...]) -> None:
    async def silent() -> AsyncIterator[str]:
        for text in texts:
            yield text

    async with speaking("context") as (voice, emulator):
        assert await heard(voice.for_call().speak(silent())) == ([], None)
        assert emulator.stats.requests == 0


async def test_a_barge_in_stops_agent_and_synthesis() -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[str]:
        try:
            while True:
                await asyncio.sleep(0.001)
                yield "One more sentence. "
        finally:
            closed.set()

    async with speaking("context") as (voice, emulator):
        speech = voice.for_call().speak(endless())
        async for part in speech:
            if isinstance(part, SpeechAudio):
                break
        speech.cancel()
        assert not any(units.in_use for units in voice.accounts)
        async with asyncio.timeout(PATIENCE_S):
            await closed.wait()
        await until(lambda: not emulator.stats.active)


async def test_text_is_normalised_on_its_way() -> None:
    async with speaking("context", normalises=True) as (voice, emulator):
        parts, error = await heard(
            voice.for_call().speak(tokens("**Good** morning. *Call* us 😀 soon, please."))
        )
        assert error is None
        assert text_in(parts).split() == ["Good", "morning.", "Call", "us", "soon,", "please."]
        assert " ".join(emulator.stats.texts).split() == [
            "Good",
            "morning.",
            "Call",
            "us",
            "soon,",
            "please.",
        ]


async def test_a_whole_text_is_normalised_before_it_is_cut() -> None:
    async with speaking("sentences", normalises=True) as (voice, emulator):
        await heard(voice.for_call().speak("**This is bold. And so is this.** But not this one."))
        assert " ".join(emulator.stats.texts) == "This is bold. And so is this. But not this one."


async def test_a_text_of_nothing_but_decoration_is_a_speech_of_nothing() -> None:
    async with speaking("sentences", normalises=True) as (voice, emulator):
        assert await heard(voice.for_call().speak("😀 ***")) == ([], None)
        assert emulator.stats.requests == 0


async def test_a_door_that_cannot_stream_says_sentences_whatever_it_inherited() -> None:
    async with EmulatedLightning() as emulator:
        config = LightningConfig(
            base_url=emulator.url,
            api_key=Secret("sk_1"),
            door="sse",
            text_streaming="context",
            voice_id="liam",
        )
        async with open_voice(config) as voice:
            parts, error = await heard(voice.for_call().speak(tokens(TEXT)))
    assert error is None
    assert [part.text for part in parts if isinstance(part, PieceStarted)] == list(SENTENCES)
