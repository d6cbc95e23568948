"""Going down without dropping anybody: in this process, and as a process that is sent signals."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.carriers.twilio import TwilioConfig
from bridge.config import Config, Secret
from bridge.emulators.call_report import CallReport, Outcome
from bridge.emulators.caller import place_call
from bridge.emulators.caller_plan import CallPlan
from bridge.emulators.caller_webhooks import signed_headers
from bridge.emulators.lightning import EmulatedLightning
from bridge.emulators.lightning_options import EmulatorOptions
from bridge.errors import CallEnded
from tests.support import agents
from tests.support.bridge import make_config, stage
from tests.support.cli import next_line, started
from tests.support.stranger import Stranger, send
from tests.support.waiting import until

HELLO = "tests.support.agents:says_hello"
LONG = "tests.support.agents:says_long"
#: Nothing here takes longer, whatever goes wrong.
AT_MOST_S = 15.0


# -- in this process ---------------------------------------------------------------------------------------------


async def test_a_drain_refuses_new_calls_and_lets_live_ones_finish() -> None:
    async with asyncio.timeout(AT_MOST_S), stage(HELLO) as s, Stranger(s.config) as stranger:
        caller = asyncio.create_task(s.call())
        await until(lambda: bool(s.lightning.stats.requests))
        drain = asyncio.create_task(s.server.drain(10))
        await until(lambda: s.server.runtime.draining)

        assert (await stranger.get("/readyz")).status == 503
        assert (await stranger.get("/livez")).status == 200
        async with aiohttp.ClientSession() as session:
            url = stranger.url("/carriers/twilio/answer")
            headers = signed_headers(stranger.auth_token, url, stranger.form)
            async with session.post(url, data=stranger.form, headers=headers) as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with stranger.socket():
                raise AssertionError("it was opened")
        assert refused.value.status == 503

        assert not caller.done(), "all that while the call went on"
        report = await caller
        await drain
    assert (report.outcome, report.close_code) == (Outcome.BRIDGE_CLOSED, 1000)
    (heard,) = agents.log.pop(report.call_sid)
    assert getattr(heard, "text", "") == "Hello from the bridge."


async def test_what_outlasts_the_drain_is_closed_and_told_that_we_go_away() -> None:
    async with asyncio.timeout(AT_MOST_S), stage("tests.support.agents:waits_for_ever") as s:
        caller = asyncio.create_task(s.call())
        await until(lambda: bool(s.server.runtime.calls))
        await s.server.drain(0.1)
        assert not s.server.runtime.calls
        report = await caller
    assert (report.outcome, report.close_code) == (Outcome.BRIDGE_CLOSED, 1001)
    assert [verb.name for verb in report.verbs] == ["Say", "Hangup"], "the carrier says sorry for us"
    assert s.the_call.ended == "drained"
    (error,) = agents.log.pop(report.call_sid)
    assert isinstance(error, CallEnded)


async def test_a_drain_waits_for_a_socket_that_is_about_to_start_its_call() -> None:
    async with asyncio.timeout(AT_MOST_S), stage(HELLO) as s, Stranger(s.config) as stranger:
        line = stranger.line(await stranger.invitation())
        async with stranger.socket() as socket:
            drain = asyncio.create_task(s.server.drain(10))
            await until(lambda: s.server.runtime.draining)
            await socket.send_str(line.start())
            await until(lambda: bool(s.server.runtime.calls))
            assert not drain.done()
            await send(socket, *line.stop())
        await drain
    assert s.the_call.ended == "carrier"
    agents.log.pop(stranger.call_sid, None)


async def test_a_second_request_to_stop_ends_the_waiting() -> None:
    async with asyncio.timeout(AT_MOST_S), stage(LONG) as s:
        caller = asyncio.create_task(s.call())
        stopping = asyncio.create_task(s.server.until_stopped())
        await until(lambda: bool(s.lightning.stats.requests))
        s.server.request_stop()
        await until(lambda: s.server.runtime.draining)
        assert s.server.runtime.calls
        s.server.request_stop()
        await stopping
        assert (await caller).close_code == 1001


# -- as a process ------------------------------------------------------------------------------------------------

API_KEY, NUMBER = "sk-canary-5f1c", "+15550104242"
AUTH_TOKEN = "canary-auth-77aa"


@dataclass
class Process:
    """``bridge serve``, and the Lightning that it talks to."""

    process: subprocess.Popen[str]
    lightning: EmulatedLightning
    config: Config

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def caller(self) -> asyncio.Task[CallReport]:
        """Somebody who is calling now."""
        plan = CallPlan(
            answer_url=f"{self.config.server.public_url}/carriers/twilio/answer",
            section=TwilioConfig(auth_token=Secret(AUTH_TOKEN)),
            from_number=NUMBER,
            hang_up_after_s=AT_MOST_S - 2,
        )
        return asyncio.create_task(place_call(plan))

    async def ended(self) -> tuple[int, str]:
        """Its exit code, and all that it has printed and logged; soon, or it is an error."""
        async with asyncio.timeout(5):
            out, err = await asyncio.to_thread(self.process.communicate)
        return self.process.returncode, out + err


@asynccontextmanager
async def serving(folder: Path, agent: str, **server: Any) -> AsyncIterator[Process]:
    """``python -m bridge serve --config FILE``: half of it set in the file, half in the environment."""
    async with (
        asyncio.timeout(AT_MOST_S),
        EmulatedLightning(EmulatorOptions(api_key=Secret(API_KEY))) as lightning,
    ):
        config = make_config(lightning.url, agent)
        port = config.server.port
        lines = [f'host = "127.0.0.1"\nport = {port}', *(f"{key} = {value}" for key, value in server.items())]
        (folder / "bridge.toml").write_text("[server]\n" + "\n".join(lines) + "\n")
        env = {
            "BRIDGE_SERVER__PUBLIC_URL": config.server.public_url,
            "BRIDGE_LIGHTNING__BASE_URL": lightning.url,
            "BRIDGE_LIGHTNING__API_KEY": API_KEY,
            "BRIDGE_CARRIERS__TWILIO__AUTH_TOKEN": AUTH_TOKEN,
            "BRIDGE_AGENT__ENTRYPOINT": agent,
        }
        with started("serve", "--config", "bridge.toml", cwd=folder, **env) as process:
            await asyncio.to_thread(next_line, process)
            yield Process(process, lightning, config)


async def draining(stranger: Stranger) -> None:
    """Wait until the process says that it takes no more calls."""
    while True:
        if (await stranger.get("/readyz")).status == 503:
            return


def assert_clean(printed: str) -> None:
    assert "Traceback" not in printed
    assert not [
        canary for canary in (API_KEY, AUTH_TOKEN, NUMBER, "Hello from", "sentence") if canary in printed
    ]


async def test_sigterm_lets_a_call_be_heard_to_its_end_and_then_exits(tmp_path: Path) -> None:
    async with serving(tmp_path, HELLO) as bridge, Stranger(bridge.config, Secret(AUTH_TOKEN)) as stranger:
        caller = bridge.caller()
        await until(lambda: bool(bridge.lightning.stats.requests))
        bridge.signal(signal.SIGTERM)
        await draining(stranger)
        assert (await stranger.post("answer")).status == 503
        report = await caller
        code, printed = await bridge.ended()
    assert (report.outcome, report.close_code) == (Outcome.BRIDGE_CLOSED, 1000)
    assert report.arrived_ms > 1200
    assert code == 0
    assert "call " in printed
    assert_clean(printed)


async def test_sigterm_closes_what_takes_too_long(tmp_path: Path) -> None:
    async with serving(tmp_path, LONG, drain_timeout_s=0.3) as bridge:
        caller = bridge.caller()
        await until(lambda: bool(bridge.lightning.stats.requests))
        bridge.signal(signal.SIGTERM)
        report = await caller
        code, printed = await bridge.ended()
    assert (report.outcome, report.close_code, code) == (Outcome.BRIDGE_CLOSED, 1001, 0)
    assert_clean(printed)


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
async def test_the_second_signal_means_now(tmp_path: Path, number: signal.Signals, exit_code: int) -> None:
    async with serving(tmp_path, LONG) as bridge, Stranger(bridge.config) as stranger:
        caller = bridge.caller()
        await until(lambda: bool(bridge.lightning.stats.requests))
        bridge.signal(number)
        await draining(stranger)
        assert not caller.done()
        bridge.signal(number)
        report = await caller
        code, printed = await bridge.ended()
    assert (report.close_code, code) == (1001, exit_code)
    assert_clean(printed)


async def test_ctrl_c_exits_with_130_and_without_a_traceback(tmp_path: Path) -> None:
    async with serving(tmp_path, HELLO) as bridge:
        bridge.signal(signal.SIGINT)
        code, printed = await bridge.ended()
    assert code == 130
    assert_clean(printed)


async def test_when_it_is_killed_the_carrier_knows_what_to_say(tmp_path: Path) -> None:
    async with serving(tmp_path, LONG) as bridge:
        caller = bridge.caller()
        await until(lambda: bool(bridge.lightning.stats.requests))
        bridge.signal(signal.SIGKILL)
        report = await caller
        assert report.close_code == 1006
        await until(lambda: not bridge.lightning.stats.active)
