"""What holds for every carrier alike: strangers get no patience, and a line that is no phone is closed.

The cases one by one are Twilio's, in `test_hostile` and `test_hostile_calls`. Here is what would differ if a carrier's
dialect, its audio or its way in had a hole in it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress

import aiohttp
import pytest

from bridge.server.limits import Limits
from tests.support.by_hand import by_hand
from tests.support.carrier_cases import PUBLIC_URL, Cases, all_cases
from tests.support.log import tracebacks
from tests.support.stranger import closed_with, send
from tests.support.waiting import until

TABLES = all_cases()
every_carrier = pytest.mark.parametrize("cases", TABLES.values(), ids=TABLES.keys())
#: A request for another host never comes here: what it is signed for is what we are called by.
HERE = PUBLIC_URL.replace("http", "ws", 1)
RUBBISH = "no message of anybody's"


@pytest.fixture(autouse=True)
def nothing_but_plain_lines_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert tracebacks(caplog) == []


@every_carrier
@pytest.mark.parametrize(
    ("messages", "code"),
    [
        pytest.param([], 1008, id="nothing"),
        pytest.param([RUBBISH] * Limits().early_messages, 1008, id="rubbish"),
        pytest.param(["[" * (64 * 1024 + 1)], 1009, id="too much"),
    ],
)
async def test_a_stranger_gets_no_patience(cases: Cases, messages: list[str], code: int) -> None:
    async with by_hand(cases, limits=Limits(start_within_s=0.2 if not messages else 4.0)) as hand:
        async with hand.socket() as socket:
            await send(socket, *messages)
            assert await closed_with(socket) == code
        await until(lambda: hand.s.server.runtime.admission.strangers == 0)
        assert hand.s.nothing_started


@every_carrier
async def test_who_knocks_without_proof_gets_no_socket_or_no_call(cases: Cases) -> None:
    async with by_hand(cases) as hand:
        for forged in (one for one in cases.forged if one.url.startswith(HERE)):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                async with hand.socket(upgrade=forged):
                    pass
            assert caught.value.status in (403, 404)
        if cases.carrier().needs_token:
            async with hand.socket() as socket:
                await hand.say(socket, *cases.before, cases.start)
                assert await closed_with(socket) == 1008
            assert hand.s.server.runtime.stats.media_refused == {"token": 1}
        assert hand.s.nothing_started


@every_carrier
async def test_a_live_call_outlives_some_rubbish_and_not_all_of_it(cases: Cases) -> None:
    async with by_hand(cases) as hand, hand.live() as socket:
        runtime = hand.s.server.runtime
        await until(lambda: bool(runtime.calls))
        await send(socket, *[RUBBISH] * Limits().broken_messages)
        seen = runtime.stats
        await until(
            lambda: (seen.protocol_errors + seen.ignored_messages).total() >= Limits().broken_messages
        )
        assert runtime.calls, "it goes on"
        if not seen.protocol_errors:
            return  # its control messages are plain text: a word that it does not know is no fault
        await send(socket, RUBBISH)
        assert await closed_with(socket) == 1008
        await until(lambda: bool(hand.s.ended))
        assert hand.s.the_call.ended == "protocol_error"


@every_carrier
async def test_a_message_that_is_too_big_closes_the_call(cases: Cases) -> None:
    async with by_hand(cases) as hand, hand.live() as socket:
        await until(lambda: bool(hand.s.server.runtime.calls))
        await send(socket, "[" * (64 * 1024 + 1))
        assert await closed_with(socket) == 1009
        await until(lambda: bool(hand.s.ended))
        assert hand.s.server.runtime.stats.protocol_errors["too_big"] == 1


@every_carrier
async def test_a_flood_is_no_phone(cases: Cases) -> None:
    name = next(iter(cases.on_stream))
    async with by_hand(cases) as hand, hand.live() as socket:
        await until(lambda: bool(hand.s.server.runtime.calls))
        with suppress(ConnectionError):
            while not socket.closed and not hand.s.ended:
                await hand.say(socket, *[name] * 10)
                await asyncio.sleep(0)
        assert await closed_with(socket) == 1008
        await until(lambda: bool(hand.s.ended))
        assert hand.s.the_call.ended == "flood"


@every_carrier
async def test_a_line_that_says_nothing_is_dead(cases: Cases) -> None:
    late_s = 0.0
    async with by_hand(cases, clock=lambda: time.monotonic() + late_s) as hand, hand.live() as socket:
        await until(lambda: bool(hand.s.server.runtime.calls))
        late_s = Limits().dead_line_s + 1
        assert await closed_with(socket) == 1001
        await until(lambda: bool(hand.s.ended))
        assert hand.s.the_call.ended == "silent_line"
