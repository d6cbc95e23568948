"""Nothing that costs anything exists before a call has passed the gate: of every carrier there is."""

from __future__ import annotations

from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import WSMsgType
from aiohttp.pytest_plugin import AiohttpClient
from msgspec.structs import replace

from bridge.agents.loader import Agent
from bridge.call import Call
from bridge.carriers.dialect import Binary
from bridge.server.app import build_app
from bridge.server.limits import Limits
from bridge.server.runtime import Runtime
from tests.support.bridge import make_config
from tests.support.carrier_cases import NOW_S, PUBLIC_URL, Cases, all_cases

TABLES = all_cases()
every_carrier = pytest.mark.parametrize("cases", TABLES.values(), ids=TABLES.keys())
with_token = pytest.mark.parametrize(
    "cases", [cases for cases in TABLES.values() if cases.carrier().needs_token], ids=lambda cases: cases.name
)

LIMITS = Limits(start_within_s=0.5, close_within_s=0.2, reconnect_within_s=0.2)


def never() -> Agent:
    async def agent(call: Call) -> None:
        raise AssertionError(f"{call.id} was let in")

    return agent


def runtime_of(cases: Cases) -> Runtime:
    config = make_config("http://127.0.0.1:1", "nobody:asks", carriers={cases.name: cases.section})
    config = replace(config, server=replace(config.server, public_url=PUBLIC_URL))
    return Runtime(config, never(), limits=LIMITS, unix_clock=lambda: NOW_S)


def assert_untouched(runtime: Runtime) -> None:
    assert runtime.stats.calls_started == 0
    assert runtime.calls == {} and runtime.sessions == {}
    assert runtime.detector.streams == 0


@with_token
async def test_a_start_without_its_token_gets_nothing_that_costs(
    cases: Cases, aiohttp_client: AiohttpClient
) -> None:
    runtime = runtime_of(cases)
    client = await aiohttp_client(build_app(runtime))
    where = urlsplit(cases.upgrade.url)
    async with client.ws_connect(
        f"{where.path}?{where.query}", headers=dict(cases.upgrade.headers)
    ) as socket:
        assert runtime.admission.strangers == 1
        for frame in (*cases.before, cases.start):
            message = cases.frame(frame)
            await socket.send_frame(
                message, WSMsgType.BINARY if isinstance(message, Binary) else WSMsgType.TEXT
            )
        async for _ in socket:  # until it is closed
            pass
    assert runtime.stats.media_refused == {"token": 1}
    assert_untouched(runtime)


@every_carrier
async def test_an_upgrade_without_proof_gets_no_further_than_a_stranger(
    cases: Cases, aiohttp_client: AiohttpClient
) -> None:
    runtime = runtime_of(cases)
    client = await aiohttp_client(build_app(runtime))
    path = urlsplit(cases.upgrade.url).path
    try:
        async with client.ws_connect(path) as socket:
            assert cases.carrier().needs_token, "nothing else could tell it from a call"
            async for _ in socket:  # it says nothing, and is closed
                pass
    except aiohttp.WSServerHandshakeError as error:
        assert error.status in (401, 403)
    assert_untouched(runtime)
