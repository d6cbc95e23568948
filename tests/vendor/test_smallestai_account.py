"""`smallestai`, unchanged: voices, pronunciation dictionaries, voice clones."""

from __future__ import annotations

import pytest
from smallestai import AsyncSmallestAI, SmallestAI
from smallestai.core.api_error import ApiError
from smallestai.waves import PronunciationItem
from smallestai.waves.errors import BadRequestError

from bridge.emulators.lightning_requests import BASE_VOICES, PRO_VOICES
from tests.support.vendor import MARKS, SPEECH, spoken

pytestmark = MARKS

WAVES = PronunciationItem(word="Waves", pronunciation="wayvz")
PUNE = PronunciationItem(word="Pune", pronunciation="poo nay")


def test_voices_of_a_model(client: SmallestAI) -> None:
    voices = client.waves.get_voices("lightning-v3.1").voices
    assert tuple(voice.voice_id for voice in voices) == BASE_VOICES
    indian = [voice.display_name for voice in voices if voice.tags.accent == "indian"]
    assert indian == ["Devansh", "Kartik", "Maithili"]


async def test_voices_of_every_model(async_client: AsyncSmallestAI) -> None:
    pro = (await async_client.waves.get_voices("lightning-v3.1-pro")).voices
    assert tuple(voice.voice_id for voice in pro) == PRO_VOICES
    every = (await async_client.waves.voices.get_all_voice_models()).voices
    assert {voice.voice_id for voice in every} >= {*BASE_VOICES, *PRO_VOICES, "brannock", "rhodes"}
    assert all(voice.tags.language for voice in every)
    with pytest.raises(BadRequestError):
        await async_client.waves.get_voices("lightning-v9")


async def test_the_life_of_a_dictionary(async_client: AsyncSmallestAI) -> None:
    waves = async_client.waves
    made = await waves.create_pronunciation_dict(items=[WAVES])
    assert made.items == [WAVES]
    updated = await waves.update_pronunciation_dict(id=made.id, items=[WAVES, PUNE])
    assert updated.items == [WAVES, PUNE]
    (listed,) = await waves.get_pronunciation_dicts()
    assert (listed.id, listed.items, listed.created_at) == (made.id, [WAVES, PUNE], made.created_at)
    said = waves.synthesize_tts(**SPEECH, pronunciation_dicts=[made.id])
    assert b"".join([chunk async for chunk in said]) == spoken()
    assert (await waves.delete_pronunciation_dict(id=made.id)).deleted
    assert await waves.get_pronunciation_dicts() == []


def test_dictionaries_that_cannot_be(client: SmallestAI) -> None:
    with pytest.raises(BadRequestError):
        client.waves.create_pronunciation_dict(items=[])
    waves, nowhere = client.waves, "0" * 24
    with pytest.raises(ApiError) as not_deleted:
        waves.delete_pronunciation_dict(id=nowhere)
    with pytest.raises(ApiError) as not_updated:
        waves.update_pronunciation_dict(id=nowhere, items=[WAVES])
    assert (not_deleted.value.status_code, not_updated.value.status_code) == (404, 404)


def test_a_cloned_voice_is_listed_and_speaks(client: SmallestAI) -> None:
    made = client.waves.create_voice_clone(
        display_name="Me", file=("me.wav", b"RIFF", "audio/wav"), tags="warm, slow", language="en"
    ).data
    assert (made.display_name, made.status, made.audio_file_names) == ("Me", "completed", ["me.wav"])
    (listed,) = client.waves.list_voice_clones().data
    assert (listed.voice_id, listed.tags, listed.cloning_type) == (made.voice_id, ["warm", "slow"], "instant")
    said = client.waves.synthesize_tts(**{**SPEECH, "voice_id": made.voice_id})
    assert b"".join(said) == spoken(voice_id=made.voice_id)


async def test_clones_that_cannot_be(async_client: AsyncSmallestAI) -> None:
    for file, model in (
        (("me.ogg", b"OggS", "audio/ogg"), "lightning-v3.1"),
        (("me.wav", bytes((5 << 20) + 1), "audio/wav"), "lightning-v3.1"),
        (("me.wav", b"RIFF", "audio/wav"), "lightning-v2"),
    ):
        with pytest.raises(BadRequestError) as refused:
            await async_client.waves.create_voice_clone(display_name="Me", file=file, model=model)
        assert isinstance(refused.value.body["error"], str)


def test_health(client: SmallestAI) -> None:
    assert client.waves.ops.get_waves_health().status == "ok"
