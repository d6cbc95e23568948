"""The examples of agents in other languages, as they stand, each on a call over real sockets."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request

import pytest

from bridge.emulators.caller_script import Cue, Press, Utterance
from bridge.observe import timeline as tl
from tests.support.bridge import Stage, stage
from tests.support.remote_examples import SECRET, example
from tests.support.source import ROOT
from tests.support.spoken import spoken

AGENT = "bridge.agents.remote:agent"
#: So that calls are short.
FAST = {"speed": 2.0}
#: What is right about a handshake that is not signed.
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


def heard(s: Stage) -> list[str]:
    return [entry.heard_text for entry in s.the_call.timeline if isinstance(entry, tl.SpeakingEnded)]


async def test_both_hold_their_calls() -> None:
    await asyncio.gather(typescript_books_what_the_caller_presses(), python_streams_what_it_answers())


async def typescript_books_what_the_caller_presses() -> None:
    async with example("agent.ts") as port:
        await lets_nobody_in_but_the_bridge(port, {}, b'{"events": []}')
        options = {"url": f"http://127.0.0.1:{port}/call", "secret": SECRET}
        async with stage(AGENT, sections={"agent": {"options": options}, "lightning": FAST}) as s:
            await s.call(Press("2", Cue(after_bridge_speaks_ms=900)))
        assert heard(s)[-1] == "See you on Thursday at four. Goodbye!"
        assert s.the_call.ended == "agent"
        assert s.server.runtime.stats.agents.failures == {}


async def python_streams_what_it_answers() -> None:
    speaks = Utterance.from_wav(spoken("Hello there."), Cue(after_bridge_speaks_ms=200))
    async with example("agent.py") as port:
        await lets_nobody_in_but_the_bridge(port, UPGRADE)
        options = {"url": f"ws://127.0.0.1:{port}/", "secret": SECRET}
        async with stage(AGENT, sections={"agent": {"options": options}, "lightning": FAST}) as s:
            await s.call(speaks, hang_up_on_silence_s=1.2)
        greeting, answer = heard(s)
        assert "Hello from Python. What can I do for you?".startswith(greeting)
        assert answer == "I hear that you speak, but no words."
        assert s.server.runtime.stats.agents.failures == {}


async def lets_nobody_in_but_the_bridge(
    port: int, headers: dict[str, str], body: bytes | None = None
) -> None:
    signed = {"X-Bridge-Signature": f"t=1,v1={'0' * 64}", **headers}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers=signed, data=body)
    with pytest.raises(urllib.error.HTTPError) as refused:
        await asyncio.to_thread(urllib.request.urlopen, request, timeout=5)
    assert refused.value.code == 401
    refused.value.close()


def test_the_file_that_runs_them_is_right() -> None:
    from bridge.agents.loader import load_agent
    from bridge.config import load_config

    path = ROOT / "config" / "agents" / "remote.toml"
    load_agent(load_config(path, {}).agent, str(path))
