"""Lightning for a program of one's own, against the emulated one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Unpack

import pytest

import bridge.lightning
from bridge.config import FallbackConfig, LightningConfig, Secret
from bridge.emulators.lightning import EmulatedLightning
from bridge.emulators.lightning_options import EmulatorOptions
from bridge.errors import ConfigError, InvalidRequest, Unauthorized
from bridge.lightning import Lightning
from bridge.lightning.client import Settings
from telephony_codecs.formats import MULAW_8K, PCM16_8K
from telephony_codecs.g711 import mulaw_decode
from telephony_codecs.wav import read_wav
from tests.support.cli import environment
from tests.support.tone_words import spoken
from tests.support.waiting import until

KEY = "sk-a-key-that-stays-secret"
LONG = "This is the first sentence of many. " * 20


@asynccontextmanager
async def opened(
    options: EmulatorOptions | None = None, **settings: Unpack[Settings]
) -> AsyncIterator[tuple[EmulatedLightning, Lightning]]:
    """An emulated Lightning, and a voice that speaks through it unless `settings` say otherwise."""
    async with EmulatedLightning(options) as emulator:
        usual: Settings = {"api_key": KEY, "base_url": emulator.url}
        async with Lightning(**(usual | settings)) as lightning:
            yield emulator, lightning


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMALLEST_API_KEY", raising=False)


async def test_what_is_said_is_audio_as_it_comes() -> None:
    async with opened(voice_id="sophia") as (_, lightning):
        utterance = lightning.say("Good morning.")
        audio = [chunk async for chunk in utterance]
    assert utterance.first_audio_ms is not None
    assert len(audio) > 1
    assert b"".join(audio) == spoken("Good morning.", "sophia")
    assert utterance.audio_format == MULAW_8K


async def test_a_text_that_is_being_written_and_options_of_one_utterance() -> None:
    async def written() -> AsyncIterator[str]:
        for token in ("Good ", "morning. ", "How ", "are ", "you?"):
            yield token

    async with opened(text_streaming="context") as (_, lightning):
        audio = b"".join([chunk async for chunk in lightning.say(written(), voice_id="sophia")])
    assert audio == spoken("Good morning. How are you?", "sophia")


async def test_what_the_text_raises_is_raised() -> None:
    async def written() -> AsyncIterator[str]:
        yield "Good morning. And"
        raise ZeroDivisionError

    async with opened() as (_, lightning):
        audio = b""
        with pytest.raises(ZeroDivisionError):
            async for chunk in lightning.say(written()):
                audio += chunk
    assert audio == spoken("Good morning.", "magnus")


async def test_leaving_an_utterance_stops_it_and_frees_its_unit() -> None:
    options = EmulatorOptions(realtime_factor=1, concurrency=1)
    async with opened(options) as (emulator, lightning):
        async with lightning.say(LONG) as utterance:
            await anext(utterance)
        await until(lambda: emulator.stats.cancelled == 1)
        options.realtime_factor = 0
        assert [chunk async for chunk in utterance] == []
        assert [chunk async for chunk in lightning.say("Yes.")]
        assert lightning.stats.cancelled == 1


async def test_when_one_fails_the_next_speaks_and_goes_on_speaking() -> None:
    async with EmulatedLightning() as emulator:
        fallbacks = [FallbackConfig(base_url=emulator.url, voice_id="sophia")]
        async with Lightning(api_key=KEY, base_url="http://127.0.0.1:1", fallbacks=fallbacks) as lightning:
            for text in ("Good morning.", "Once more."):
                audio = b"".join([chunk async for chunk in lightning.say(text)])
                assert audio == spoken(text, "sophia")
            assert lightning.stats.fallbacks == 1


async def test_text_is_prepared_by_choice() -> None:
    async with EmulatedLightning() as emulator:
        for normalise, said in ((False, "**Good** morning."), (True, "Good morning.")):
            async with Lightning(api_key=KEY, base_url=emulator.url, normalise=normalise) as lightning:
                _ = [chunk async for chunk in lightning.say("**Good** morning.")]
                await lightning.clip("**Good** morning.")
            assert [emulator.stats.texts.popleft() for _ in range(2)] == [said, said]


async def test_a_clip_is_a_file(tmp_path: Path) -> None:
    async with EmulatedLightning() as emulator:
        clip = await Lightning(api_key=KEY, base_url=emulator.url).clip("Good morning.", "wav", 8000)
    clip.write(tmp_path / "good.wav")
    wav = read_wav(tmp_path / "good.wav")
    assert wav.format == PCM16_8K
    assert len(wav.audio) == len(mulaw_decode(spoken("Good morning.", "magnus")))


async def test_a_refusal_is_typed() -> None:
    async with opened(EmulatorOptions(api_key=Secret("another"))) as (_, lightning):
        with pytest.raises(Unauthorized) as caught:
            await anext(lightning.say("Good morning."))
        assert KEY not in str(caught.value)
        with pytest.raises(InvalidRequest, match="whitespace"):
            await anext(lightning.say(" "))


def test_what_is_not_given_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALLEST_API_KEY", KEY)
    monkeypatch.setenv("BRIDGE_LIGHTNING__VOICE_ID", "sophia")
    lightning = Lightning(speed=1.5)
    assert (lightning.config.voice_id, lightning.config.speed) == ("sophia", 1.5)
    assert lightning.config.api_key == Secret(KEY)
    assert Lightning(LightningConfig(api_key=Secret(KEY))).config.voice_id == "magnus"


def test_what_cannot_be_spoken_is_told_at_once() -> None:
    with pytest.raises(ConfigError, match="lightning.api_key: is missing: set SMALLEST_API_KEY"):
        Lightning()
    assert Lightning(door="local").config.door == "local", "needs no key"
    with pytest.raises(ConfigError, match='lightning.voice_id: "rhea" is a voice of lightning_v3.1_pro'):
        Lightning(api_key=KEY, voice_id="rhea")
    elsewhere = [FallbackConfig(language="tlh")]
    with pytest.raises(ConfigError, match=r"lightning.fallbacks\[0\].language"):
        Lightning(api_key=KEY, fallbacks=elsewhere)


def test_outside_of_its_block_it_says_how_it_is_used() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        Lightning(api_key=KEY).say("Good morning.")


def test_it_is_there_by_name_and_costs_nothing_before() -> None:
    assert bridge.lightning.__all__ == ["Lightning"]
    with pytest.raises(AttributeError, match="no attribute 'Thunder'"):
        bridge.lightning.Thunder  # type: ignore[attr-defined] # noqa: B018
    look = "import sys, bridge.lightning; sys.exit('bridge.config' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], env=environment(), check=False).returncode == 0
