"""The emulated model over HTTP, asked without the client that the bridge has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aiohttp import ClientSession

from bridge.emulators.llm import EmulatedLlm, LlmOptions, read_rules
from bridge.emulators.llm_rules import Rule
from bridge.errors import ConfigError
from bridge.secret import Secret

ASKED = {"model": "electron", "messages": [{"role": "user", "content": "Hello"}]}
AUTHORISED = {"Authorization": "Bearer key"}


async def lines_of(llm: EmulatedLlm, **fields: object) -> list[str]:
    async with ClientSession() as session:
        answer = await session.post(
            f"{llm.url}/chat/completions", json={**ASKED, "stream": True, **fields}, headers=AUTHORISED
        )
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        return [line.removeprefix("data: ") for line in (await answer.text()).split("\n\n") if line]


async def test_a_stream_ends_with_how_many_tokens_it_was_where_that_is_asked_for() -> None:
    async with EmulatedLlm(rules=[Rule(say="Hi there.", call="find", arguments={"number": 12})]) as llm:
        *chunks, usage, done = await lines_of(llm, stream_options={"include_usage": True})
        assert done == "[DONE]"
        assert json.loads(usage)["choices"] == []
        assert json.loads(usage)["usage"]["completion_tokens"] == len(chunks)
        deltas = [json.loads(chunk)["choices"][0] for chunk in chunks]
        assert "".join(each["delta"].get("content", "") for each in deltas) == "Hi there."
        calls = [each["delta"]["tool_calls"][0] for each in deltas if "tool_calls" in each["delta"]]
        assert calls[0]["function"] == {"name": "find", "arguments": ""}
        assert len(calls) > 2, "arguments come in pieces"
        assert "".join(call["function"]["arguments"] for call in calls) == '{"number": 12}'
        assert deltas[-1]["finish_reason"] == "tool_calls"
        assert (await lines_of(llm))[-1] == "[DONE]"


async def test_without_a_stream_it_answers_whole() -> None:
    async with EmulatedLlm() as llm, ClientSession() as session:
        url = llm.url.replace("/v1", "/waves/v1")
        answer = await session.post(f"{url}/chat/completions", json=ASKED, headers=AUTHORISED)
        choice = (await answer.json())["choices"][0]
        assert choice["message"] == {"role": "assistant", "content": "You said: Hello"}
        assert choice["finish_reason"] == "stop"


@pytest.mark.parametrize("key, fields, status", [("key", {"n": 2}, 400), ("other", {}, 401), ("", {}, 401)])
async def test_what_it_refuses(key: str, fields: dict[str, object], status: int) -> None:
    async with EmulatedLlm(LlmOptions(api_key=Secret("key"))) as llm, ClientSession() as session:
        headers = {"Authorization": f"Bearer {key}"}
        answer = await session.post(f"{llm.url}/chat/completions", json={**ASKED, **fields}, headers=headers)
        assert answer.status == status
        assert (await answer.json())["error"]["type"] == "invalid_request_error"
        models = await session.get(f"{llm.url}/models", headers=headers)
        assert models.status == (200 if key == "key" else 401)
        assert llm.requests == []


async def test_it_says_where_and_how_it_listens_and_no_secret() -> None:
    async with EmulatedLlm(LlmOptions(api_key=Secret("canary"), fault="stall"), [Rule(say="Hi")]) as llm:
        assert str(llm) == f"Emulated language model on {llm.url}: one key, 1 rule, stall"


@pytest.mark.parametrize(
    "text, reason",
    [
        ('[[rule]]\nwhen = "("', "rule[0]: is no regular expression"),
        ('[[rule]]\nwhat = "x"', "rule[0].what: is not a setting"),
        ("", "rule"),
    ],
)
def test_rules_that_are_none(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_rules(path)
    assert reason in str(caught.value)


def test_rules_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text('[[rule]]\nwhen = "a"\nsay = "b"\n[[rule]]\ncall = "c"\narguments = { d = 1 }\n')
    assert list(read_rules(path)) == [Rule(when="a", say="b"), Rule(call="c", arguments={"d": 1})]
