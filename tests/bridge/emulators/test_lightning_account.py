"""The emulator's voices, dictionaries and clones: first what they remember, then how they are served."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import aiohttp
import pytest

from bridge.config import Secret
from bridge.emulators.lightning import EmulatedLightning
from bridge.emulators.lightning_account import (
    CLONES_PATH,
    DICTIONARIES_PATH,
    MAX_CLONE_BYTES,
    Clones,
    Dictionaries,
    Upload,
)
from bridge.emulators.lightning_options import EmulatorOptions
from bridge.emulators.lightning_refusals import Refusal
from bridge.emulators.lightning_requests import BASE_VOICES, PRO_VOICES
from bridge.emulators.lightning_v4_session import V4_VOICES
from bridge.emulators.lightning_voices import VOICES, ids_of

NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
ITEMS = [{"word": "Waves", "pronunciation": "wayvz"}]
WAV = Upload("me.wav", "audio/wav", 1000)

# -- voices ------------------------------------------------------------------------------------------------------------


def test_every_voice_that_may_be_asked_for_is_listed() -> None:
    base = ("magnus", "sophia", "devansh", "kartik", "maithili", "liam", "avery")
    pro = ("meher", "kaitlyn", "rhea", "aviraj", "sophie", "sam")
    assert ids_of("lightning-v3.1") == BASE_VOICES == base
    assert ids_of("lightning-v3.1-pro") == PRO_VOICES == pro
    assert ids_of("lightning-v4") == V4_VOICES == ("brannock", "rhodes")


@pytest.mark.parametrize("model", ["lightning-v3.1", "lightning-v3.1-pro", "lightning-v4"])
def test_there_is_something_to_search_by(model: str) -> None:
    for voice in VOICES[model]:
        assert voice.languages
        assert voice.accent
        assert voice.gender in ("male", "female")
        assert voice.usecases
    assert len({voice.gender for voice in VOICES["lightning-v3.1"]}) == 2


# -- dictionaries ------------------------------------------------------------------------------------------------------


def test_the_life_of_a_dictionary() -> None:
    kept = Dictionaries()
    made = kept.create({"items": ITEMS}, NOW)
    assert made == {"id": f"{1:024x}", "items": ITEMS, "createdAt": "2026-11-21T12:30:00.000Z"}
    other = [{"word": "Pune", "pronunciation": "poo nay"}]
    assert kept.update({"id": made["id"], "items": other}) == {"id": made["id"], "items": other}
    assert [one["items"] for one in kept.all()] == [other]
    assert kept.delete({"id": made["id"]}) == {"id": made["id"], "deleted": True}
    assert kept.all() == []


BAD_ITEMS: list[object] = [
    None,
    [],
    "items",
    [{}],
    [{"word": "a"}],
    [{"word": "", "pronunciation": "b"}],
    [7],
]


@pytest.mark.parametrize("items", BAD_ITEMS)
def test_items_must_be_words_with_pronunciations(items: object) -> None:
    kept = Dictionaries()
    kept.create({"items": ITEMS}, NOW)
    for refusal in (kept.create({"items": items}, NOW), kept.update({"id": f"{1:024x}", "items": items})):
        assert isinstance(refusal, Refusal)
        assert refusal.status == 400
        assert b'"details":["items' in refusal.body
    assert [one["items"] for one in kept.all()] == [ITEMS]


@pytest.mark.parametrize(("dictionary_id", "status"), [("0" * 24, 404), ("", 400), (None, 400), (7, 400)])
def test_a_dictionary_that_is_not_there(dictionary_id: object, status: int) -> None:
    kept = Dictionaries()
    fields = {"id": dictionary_id, "items": ITEMS}
    for refusal in (kept.update(fields), kept.delete(fields)):
        assert isinstance(refusal, Refusal)
        assert refusal.status == status


# -- clones ------------------------------------------------------------------------------------------------------------


def test_a_clone_is_ready_at_once_and_listed() -> None:
    clones = Clones()
    form = {"displayName": "Me", "tags": " warm,, slow ", "language": "hi", "model": "lightning-v3.1-pro"}
    made = clones.create(form, WAV, NOW)
    assert isinstance(made, dict)
    data: Any = made["data"]
    assert (data["voiceId"], data["status"], data["language"]) == ("voice_0000000001", "completed", "hi")
    assert (data["audioFileNames"], data["model"]) == (["me.wav"], "lightning-v3.1-pro")
    (listed,) = clones.all()
    assert listed["voiceId"] == data["voiceId"]
    assert (listed["tags"], listed["modelIds"]) == (["warm", "slow"], ["lightning-v3.1-pro"])


BAD_CLONES: list[tuple[dict[str, str], Upload | None, str]] = [
    ({}, WAV, "displayName"),
    ({"displayName": "x" * 501}, WAV, "displayName"),
    ({"displayName": "Me"}, None, "file"),
    ({"displayName": "Me"}, Upload("me.ogg", "audio/ogg", 1), "type"),
    ({"displayName": "Me"}, Upload("me.wav", "audio/wav", MAX_CLONE_BYTES + 1), "5 MB"),
    ({"displayName": "Me", "model": "lightning-v2"}, WAV, "deprecated"),
    ({"displayName": "Me", "model": "lightning_v3.1"}, WAV, "model"),
    ({"displayName": "Me", "language": "tlh"}, WAV, "language"),
]


@pytest.mark.parametrize(("form", "upload", "told"), BAD_CLONES)
def test_what_cannot_be_cloned(form: dict[str, str], upload: Upload | None, told: str) -> None:
    clones = Clones()
    refusal = clones.create(form, upload, NOW)
    assert isinstance(refusal, Refusal)
    assert refusal.status == 400
    assert told in refusal.body.decode()
    assert clones.all() == []


@pytest.mark.parametrize("kind", ["audio/mpeg", "audio/wav", "audio/x-wav", "audio/webm", "video/mp4"])
def test_what_can_be_cloned(kind: str) -> None:
    assert isinstance(Clones().create({"displayName": "M"}, Upload("me", kind, MAX_CLONE_BYTES), NOW), dict)


# -- served ------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": "Bearer right"}
    async with (
        EmulatedLightning(EmulatorOptions(api_key=Secret("right"))) as emulator,
        aiohttp.ClientSession(emulator.url, headers=headers) as session,
    ):
        yield session


async def test_dictionaries_are_served(http: aiohttp.ClientSession) -> None:
    made = await (await http.post(DICTIONARIES_PATH, json={"items": ITEMS})).json()
    assert await (await http.get(DICTIONARIES_PATH)).json() == [made]
    changed = {"id": made["id"], "items": ITEMS * 2}
    assert await (await http.put(DICTIONARIES_PATH, json=changed)).json() == changed
    deleted = await (await http.delete(DICTIONARIES_PATH, json={"id": made["id"]})).json()
    assert deleted == {"id": made["id"], "deleted": True}
    again = await http.delete(DICTIONARIES_PATH, json={"id": made["id"]})
    assert (again.status, await again.json()) == (
        404,
        {"error": "Pronunciation dictionary not found", "details": []},
    )
    assert (await http.post(DICTIONARIES_PATH, data=b"junk")).status == 400


def a_form(size_bytes: int) -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("displayName", "Me")
    form.add_field("file", BytesIO(b"R" * size_bytes), filename="me.wav", content_type="audio/wav")
    return form


async def test_clones_are_served(http: aiohttp.ClientSession) -> None:
    made = await (await http.post(CLONES_PATH, data=a_form(MAX_CLONE_BYTES))).json()
    listed = await (await http.get(CLONES_PATH)).json()
    assert [one["voiceId"] for one in listed["data"]] == [made["data"]["voiceId"]]
    speech = {"text": "Hello.", "voice_id": made["data"]["voiceId"]}
    assert (await http.post("/waves/v1/tts", json=speech)).status == 200
    too_big = await http.post(CLONES_PATH, data=a_form(MAX_CLONE_BYTES + 1))
    assert (too_big.status, list(await too_big.json())) == (400, ["error"])
    assert (await http.post(CLONES_PATH, json={})).status == 400


@pytest.mark.parametrize("path", [CLONES_PATH, CLONES_PATH + "/voice_1"])
async def test_clones_can_no_longer_be_deleted(http: aiohttp.ClientSession, path: str) -> None:
    assert (await http.delete(path)).status == 410


async def test_voices_are_served_by_model_and_all_together(http: aiohttp.ClientSession) -> None:
    pools = []
    for model in ("lightning-v3.1", "lightning-v3.1-pro"):
        listed = await (await http.get(f"/waves/v1/{model}/get_voices")).json()
        pools.append({voice["voiceId"] for voice in listed["voices"]})
        assert set(listed["voices"][0]["tags"]) == {
            "language", "accent", "gender", "age", "emotions", "usecases"
        }  # fmt: skip
    assert not pools[0] & pools[1]
    every = await (await http.get("/waves/v1/voice/get-all-models")).json()
    assert {voice["voiceId"] for voice in every["voices"]} >= pools[0] | pools[1] | {"brannock"}
    assert (await http.get("/waves/v1/lightning-v9/get_voices")).status == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/waves/v1/lightning-v3.1/get_voices"),
        ("GET", "/waves/v1/voice/get-all-models"),
        *((method, DICTIONARIES_PATH) for method in ("GET", "POST", "PUT", "DELETE")),
        *((method, CLONES_PATH) for method in ("GET", "POST", "DELETE")),
    ],
)
async def test_nothing_of_an_account_is_told_without_its_key(
    http: aiohttp.ClientSession, method: str, path: str
) -> None:
    response = await http.request(method, path, headers={"Authorization": "Bearer wrong"})
    assert response.status == 401


async def test_health_needs_no_key(http: aiohttp.ClientSession) -> None:
    response = await http.get("/waves/v1/health", headers={"Authorization": ""})
    assert (await response.json())["status"] == "ok"
