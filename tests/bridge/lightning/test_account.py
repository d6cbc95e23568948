"""The account over REST: against the emulator, and against a server that answers oddly or not at all."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import pytest

from bridge.emulators.lightning import EmulatedLightning
from bridge.errors import Busy, InvalidRequest, LightningError, TimedOut, Unauthorized, Unavailable
from bridge.lightning.account import MAX_ANSWER_BYTES, Account
from bridge.lightning.account_data import sample_of
from tests.support.lightning_live import KEY, config
from tests.support.scripted_http import (
    Handler,
    ScriptedHttp,
    answering,
    cut,
    scripted_http,
    silent,
    streaming,
)

WAV = sample_of("me.wav", b"RIFF\0\0\0\0WAVEfmt ")
ASKINGS: list[Callable[[Account], Awaitable[object]]] = [
    lambda account: account.voices(),
    lambda account: account.all_voices(),
    lambda account: account.dictionaries(),
    lambda account: account.create_dictionary({"a": "b"}),
    lambda account: account.update_dictionary("d1", {"a": "b"}),
    lambda account: account.delete_dictionary("d1"),
    lambda account: account.clones(),
    lambda account: account.clone("Me", WAV),
]
Talking: TypeAlias = tuple[Account, ScriptedHttp]


@asynccontextmanager
async def talking(*handlers: Handler, answer_timeout_s: float = 10.0) -> AsyncIterator[Talking]:
    async with (
        scripted_http(*handlers) as server,
        Account(config(server.url), answer_timeout_s=answer_timeout_s) as account,
    ):
        yield account, server


@asynccontextmanager
async def emulated() -> AsyncIterator[Account]:
    async with EmulatedLightning() as emulator, Account(config(emulator.url)) as account:
        yield account


# -- against the emulator ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["lightning_v3.1_pro", "lightning-v3.1-pro", "lightning_v3.1_pro_07_26"])
async def test_voices_of_a_model_however_it_is_written(model: str) -> None:
    async with emulated() as account:
        base, pro, every = await account.voices(), await account.voices(model), await account.all_voices()
    magnus = next(voice for voice in base if voice.id == "magnus")
    assert (magnus.name, magnus.gender, magnus.languages) == ("Magnus", "male", ["english"])
    assert "meher" in {voice.id for voice in pro}
    assert not {voice.id for voice in base} & {voice.id for voice in pro}
    assert {voice.id for voice in every} >= {"magnus", "meher"}
    assert all(voice.preview_url and voice.description for voice in every)


async def test_a_dictionary_from_its_beginning_to_its_end() -> None:
    async with emulated() as account:
        assert await account.dictionaries() == []
        made = await account.create_dictionary({"Siobhan": "Shivawn"})
        assert made.items == {"Siobhan": "Shivawn"}
        changed = await account.update_dictionary(made.id, {"SQL": "sequel"})
        assert (changed.id, changed.items) == (made.id, {"SQL": "sequel"})
        (listed,) = await account.dictionaries()
        assert (listed.id, listed.items, listed.created_at) == (made.id, {"SQL": "sequel"}, made.created_at)
        await account.delete_dictionary(made.id)
        assert await account.dictionaries() == []
        with pytest.raises(InvalidRequest, match="not found"):
            await account.delete_dictionary(made.id)


async def test_a_clone_is_listed() -> None:
    async with emulated() as account:
        made = await account.clone(
            "Jörg",
            WAV,
            model="lightning_v3.1_pro",
            language="hi",
            description="d",
            accent="a",
            tags=["x", "y"],
        )
        (listed,) = await account.clones()
    assert made.id.startswith("voice_")
    assert (listed.id, listed.name, listed.status) == (made.id, "Jörg", "completed")
    assert (listed.language, listed.accent, listed.description) == ("hi", "a", "d")
    assert (listed.tags, listed.models) == (["x", "y"], ["lightning-v3.1-pro"])


async def test_what_is_left_empty_is_not_sent() -> None:
    answer = {"data": {"voiceId": "voice_1"}}
    async with talking(answering(answer)) as (account, server):
        assert (await account.clone("Me", WAV)).id == "voice_1"
    body = server.bodies[0]
    assert b'name="displayName"' in body
    assert b'name="file"; filename="me.wav"' in body
    assert b"Content-Type: audio/wav" in body
    assert WAV.audio in body
    assert b"language" not in body
    assert b"tags" not in body


# -- what goes wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asking", ASKINGS)
@pytest.mark.parametrize(
    "handler, kind, told",
    [
        (answering({"error": "Invalid request", "details": ["items.0.word: Required"]}, 400), InvalidRequest,
         "Invalid request; items.0.word: Required"),
        (answering({"message": f"key {KEY}"}, 401), Unauthorized, "key ***"),
        (answering({"error": "limit"}, 429, **{"Retry-After": "3"}), Busy, "limit"),
        (answering({"error": "it hung", "error_code": "voice_clone_timeout"}, 500), Unavailable, "it hung"),
        (answering(b"", 302, Location="http://127.0.0.1:1/"), Unavailable, "HTTP 302"),
        (answering(b"<html>hello</html>"), Unavailable,
         "answered with something that is no JSON: is lightning.base_url right?"),
        (answering(b"[" * 100_000), Unavailable,
         "answered with something that is no JSON: is lightning.base_url right?"),
        (answering(b"x" * (MAX_ANSWER_BYTES + 1)), Unavailable, "answered with more than 8 MB"),
        (streaming(b'{"voices":[', then=cut), Unavailable, "the connection was lost"),
    ],
)  # fmt: skip
async def test_every_call_fails_in_the_same_ways(
    asking: Callable[[Account], Awaitable[object]],
    handler: Handler,
    kind: type[LightningError],
    told: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with talking(handler) as (account, _):
        with pytest.raises(LightningError) as caught:
            await asking(account)
    assert (type(caught.value), caught.value.message) == (kind, told)
    assert KEY not in caplog.text
    assert KEY not in repr(caught.value)
    if isinstance(caught.value, Busy):
        assert caught.value.retry_after_s == 3


@pytest.mark.parametrize("handler", [streaming(then=silent), streaming(b'{"voices":[', then=silent)])
async def test_no_answer_in_time(handler: Handler) -> None:
    async with talking(handler, answer_timeout_s=0.05) as (account, _):
        with pytest.raises(TimedOut, match="no answer within 0.05 s"):
            await account.voices()


async def test_nobody_there() -> None:
    async with Account(config("http://127.0.0.1:1")) as account:
        with pytest.raises(Unavailable, match="cannot connect"):
            await account.voices()


async def test_it_wants_to_be_opened() -> None:
    with pytest.raises(Unavailable, match="async with"):
        await Account(config("http://127.0.0.1:1")).voices()


async def test_what_is_refused_costs_no_network() -> None:
    async with talking(answering({})) as (account, server):
        for asking in (
            account.create_dictionary({}),
            account.update_dictionary("\udcff", {"a": "b"}),
            account.delete_dictionary("\udcff"),
            account.clone(" ", WAV),
            account.clone("Me", WAV, accent="\udcff"),
        ):
            with pytest.raises(InvalidRequest):
                await asking
        assert server.paths == []


async def test_a_deletion_that_was_none() -> None:
    async with talking(answering({"id": "d1", "deleted": False})) as (account, server):
        with pytest.raises(Unavailable, match="not deleted"):
            await account.delete_dictionary("d1")
        assert (server.paths, server.bodies) == (["DELETE /waves/v1/pronunciation-dicts"], [{"id": "d1"}])
