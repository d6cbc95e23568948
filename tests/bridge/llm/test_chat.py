"""The client of language models against the emulated one: each failure has its name, and none of them a secret."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from bridge.emulators.llm import EmulatedLlm, Fault, LlmOptions
from bridge.emulators.llm_rules import ECHO, Rule
from bridge.errors import ConfigError, ThinkerError
from bridge.llm import chat
from bridge.llm.answer import Done, Event, Token, ToolCalls
from bridge.llm.chat import Chat, Question
from bridge.llm.history import ToolCall
from bridge.secret import Secret
from tests.support.waiting import until

KEY = "sk_canary_5b1"
WORDS = "the caller's own words"
TOOL = {"type": "function", "function": {"name": "book", "parameters": {"type": "object"}}}


def question(words: str = WORDS, **fields: Any) -> Question:
    return Question("electron", [{"role": "user", "content": words}], **fields)


async def asked(
    options: LlmOptions, wanted: Question | None = None, rules: Sequence[Rule] = ECHO
) -> tuple[list[Event], EmulatedLlm]:
    async with EmulatedLlm(options, rules) as llm:
        client = Chat(llm.url, Secret(KEY))
        try:
            return [event async for event in client.ask(wanted or question())], llm
        finally:
            await client.close()


async def test_an_answer_comes_token_by_token_with_what_it_cost() -> None:
    events, llm = await asked(LlmOptions(api_key=Secret(KEY)))
    *tokens, done = events
    assert [token.text for token in tokens if isinstance(token, Token)] == ["You ", "said: ", "the ", "caller's ",
                                                                           "own ", "words"]  # fmt: skip
    assert isinstance(done, Done)
    assert min(done.tokens_in, done.tokens_out) > 0
    (request,) = llm.requests
    assert request["stream_options"] == {"include_usage": True}
    assert "n" not in request
    assert llm.left == 0


async def test_what_is_asked_for_is_sent() -> None:
    wanted = question(tools=[TOOL], may_call=False, temperature=0.2, max_tokens=7, extra={"top_k": 5})
    _, llm = await asked(LlmOptions(), wanted)
    (request,) = llm.requests
    names = ("tools", "tool_choice", "temperature", "max_tokens", "top_k")
    assert [request[name] for name in names] == [[TOOL], "none", 0.2, 7, 5]


async def test_a_call_of_a_tool_is_put_together() -> None:
    rules = [Rule(say="One moment.", call="book", arguments={"guests": 2, "name": "{0}"})]
    events, _ = await asked(LlmOptions(), question("Ada", tools=[TOOL]), rules)
    assert events[-2] == ToolCalls((ToolCall("call_0", "book", '{"guests": 2, "name": ""}'),))
    assert Token("moment.") in events


FAULTS: list[tuple[Fault, str]] = [
    ("refuse", "unauthorized"), ("busy", "busy"), ("server", "server"), ("garbage", "garbage"),
    ("shapes", "garbage"), ("page", "garbage"), ("flood", "flood"), ("line", "flood"), ("cut", "cut"),
    ("short", "cut"), ("error", "server"),
]  # fmt: skip


@pytest.mark.parametrize("fault, kind", FAULTS)
async def test_each_fault_has_its_name(fault: Fault, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(ThinkerError) as caught:
        await asked(LlmOptions(fault=fault))
    assert caught.value.kind == kind
    for secret in (KEY, WORDS):
        assert secret not in f"{caught.value!r} {caplog.text}"


@pytest.mark.parametrize("fault", ["hang", "stall"])
async def test_silence_is_ended_by_who_asked(fault: Fault) -> None:
    async with EmulatedLlm(LlmOptions(fault=fault)) as llm:
        client = Chat(llm.url, Secret(KEY))
        task = asyncio.create_task(anext(client.ask(question())))
        await until(lambda: bool(llm.requests))
        if fault == "stall":
            assert await task == Token("You ")
        task.cancel()
        await asyncio.wait({task})
        await client.close()


async def test_silence_does_not_last_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "SILENT_S", 0.05)
    for fault in ("hang", "stall"):
        with pytest.raises(ThinkerError) as caught:
            await asked(LlmOptions(fault=fault))
        assert caught.value.kind == "hung"


async def test_nobody_there() -> None:
    async with EmulatedLlm() as llm:
        url = llm.url
    client = Chat(url, Secret(KEY))
    await client.warm()
    with pytest.raises(ThinkerError) as caught:
        await anext(client.ask(question()))
    await client.close()
    assert caught.value.kind == "unreachable"


@pytest.mark.parametrize(
    "retry_after_s, requests", [(0.0, 2), (60.0, 1), (-1.0, 1)], ids=["fits", "does not fit", "is not said"]
)
async def test_a_busy_endpoint_is_asked_once_more_where_that_fits(
    retry_after_s: float, requests: int
) -> None:
    async with EmulatedLlm(LlmOptions(fault="busy", retry_after_s=retry_after_s)) as llm:
        client = Chat(llm.url, Secret(KEY))
        with pytest.raises(ThinkerError) as caught:
            await anext(client.ask(question()))
        await client.close()
        assert (caught.value.kind, len(llm.requests)) == ("busy", requests)


async def test_a_busy_endpoint_that_is_not_any_more() -> None:
    events, llm = await asked(LlmOptions(fault="busy", faulty_requests=1, retry_after_s=0.0))
    assert (len(llm.requests), isinstance(events[-1], Done)) == (2, True)


async def test_who_stops_reading_ends_the_answer() -> None:
    async with EmulatedLlm(LlmOptions(token_ms=5.0, fault="flood", fault_after=1)) as llm:
        client = Chat(llm.url, Secret(KEY))
        events = client.ask(question())
        assert isinstance(await anext(events), Token)
        await events.aclose()
        await until(lambda: llm.left == 1)
        await client.close()


async def test_a_wrong_key_and_a_wrong_request() -> None:
    with pytest.raises(ThinkerError) as caught:
        await asked(LlmOptions(api_key=Secret("another")))
    assert caught.value.kind == "unauthorized"
    with pytest.raises(ThinkerError) as caught:
        await asked(LlmOptions(model="other"))
    assert caught.value.kind == "request"


async def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    monkeypatch.setitem(sys.modules, "openai.resources.chat.completions", None)
    with pytest.raises(ConfigError, match=r"install the extra, lightning-phone-bridge\[llm\]"):
        await chat.load()
    with pytest.raises(ConfigError, match="needs the package openai"):
        Chat("http://127.0.0.1:9/v1", Secret(KEY))


@pytest.mark.parametrize(
    "quoted, shown",
    [
        ("model: no such model xyz", "model: no such model xyz"),
        ("messages[1].content: 'My PIN is 4711' is refused", "messages[1].content: 'My … is …' is refused"),
    ],
)
def test_what_an_endpoint_says_of_a_request_is_told_without_the_callers_words(
    quoted: str, shown: str
) -> None:
    messages = [{"role": "system", "content": "My is"}, {"role": "user", "content": "my pin is 4711"}]
    assert chat._plain(quoted, messages) == shown


def test_who_wants_the_newer_name_of_the_bound_is_not_sent_the_older_one() -> None:
    fields = question(extra={"max_completion_tokens": 300}).fields()
    assert "max_tokens" not in fields
    assert fields["extra_body"] == {"max_completion_tokens": 300}


async def test_connections_outlive_a_pause_in_the_conversation() -> None:
    client = Chat("http://127.0.0.1:1/v1", Secret(KEY))
    pool = client._client._client._transport._pool  # type: ignore[attr-defined]
    assert pool._keepalive_expiry >= 60
    await client.close()


@pytest.mark.parametrize("fault, told", [("refuse", "unauthorized: HTTP 401"), ("", "")])
async def test_a_key_that_is_refused_is_told_of_at_start(
    fault: Fault, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with EmulatedLlm(LlmOptions(api_key=Secret("another" if fault else KEY))) as llm:
        client = Chat(llm.url, Secret(KEY))
        await client.warm()
        await client.close()
    assert told in caplog.text
    assert bool(caplog.text) == bool(told)
    assert KEY not in caplog.text


async def test_an_endpoint_that_is_not_there_is_told_of_at_start(caplog: pytest.LogCaptureFixture) -> None:
    client = Chat("http://127.0.0.1:1/v1", Secret(KEY))
    await client.warm()
    await client.close()
    assert "unreachable" in caplog.text
