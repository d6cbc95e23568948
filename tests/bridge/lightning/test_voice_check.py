"""Voices that the account does not have are told at start."""

from __future__ import annotations

import msgspec
import pytest

from bridge.config import FallbackConfig, LightningConfig, Secret
from bridge.emulators.lightning import EmulatedLightning
from bridge.lightning.voice_check import doubtful_voices
from tests.support.scripted_http import Handler, answering, scripted_http


@pytest.mark.parametrize(
    ("voice_id", "told"),
    [
        ("magnus", []),
        ("voice_of_my_own", []),
        ("magnuss", ['lightning.voice_id: "magnuss" is no voice of lightning_v3.1; did you mean magnus?']),
    ],
)
async def test_what_the_service_says(voice_id: str, told: list[str]) -> None:
    async with EmulatedLightning() as emulator:
        config = LightningConfig(base_url=emulator.url, api_key=Secret("sk_1"), voice_id=voice_id)
        assert await doubtful_voices(config) == told


async def test_fallbacks_are_asked_about_where_they_are() -> None:
    async with EmulatedLightning() as emulator:
        fallbacks = [
            FallbackConfig(door="local"),
            FallbackConfig(model="lightning_v3.1_pro", voice_id="mehr"),
        ]
        config = LightningConfig(base_url=emulator.url, api_key=Secret("sk_1"), fallbacks=fallbacks)
        (told,) = await doubtful_voices(config)
    assert told.startswith('lightning.fallbacks[1].voice_id: "mehr" is no voice of lightning_v3.1_pro')
    assert "meher" in told


async def test_what_cannot_be_asked_is_not_doubted() -> None:
    async with EmulatedLightning() as emulator:
        config = LightningConfig(base_url=emulator.url, api_key=Secret("sk_1"), voice_id="magnuss")
    assert await doubtful_voices(config) == []
    assert await doubtful_voices(msgspec.structs.replace(config, model="lightning_v9")) == []


PATHS = [f"GET /waves/v1/{slug}/get_voices" for slug in ("lightning-v3.1", "lightning-v3.1-pro")]
WRONG: list[FallbackConfig] = [
    FallbackConfig(voice_id="b"),
    FallbackConfig(model="lightning_v3.1_pro_07_26", voice_id="c"),
]


@pytest.mark.parametrize(
    ("handlers", "fallbacks", "asked", "doubts"),
    [
        (
            (answering({"voices": [{"voiceId": "x"}]}), answering({"voices": [{"voiceId": "y"}]})),
            WRONG,
            PATHS,
            3,
        ),
        ((answering({}, 500),), WRONG, PATHS, 0),
        ((answering({}, 500),), [FallbackConfig(api_key=Secret("sk_2"))], PATHS[:1] * 2, 0),
    ],
    ids=["of one account", "that fails", "of another account"],
)
async def test_nothing_is_asked_twice(
    handlers: tuple[Handler, ...], fallbacks: list[FallbackConfig], asked: list[str], doubts: int
) -> None:
    async with scripted_http(*handlers) as server:
        config = LightningConfig(
            base_url=server.url, api_key=Secret("sk_1"), voice_id="a", fallbacks=fallbacks
        )
        assert len(await doubtful_voices(config)) == doubts
        assert server.paths == asked
