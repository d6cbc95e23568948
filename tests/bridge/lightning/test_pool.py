"""The pool of sockets: spares, keepalive, reconnects, and how many it keeps."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus

import pytest
from websockets.http11 import Request, Response

from bridge.errors import Busy
from bridge.lightning import pool
from bridge.lightning.live import LightningLive
from tests.support.lightning_live import config, mute, parts_of, refusing, talking, well_behaved
from tests.support.lightning_requests import request
from tests.support.scripted_lightning import Line, ScriptedLightning
from tests.support.waiting import until


async def test_idle_sockets_are_pinged() -> None:
    async with talking(mute, spare_connections=2, keepalive_s=0.01) as (live, lightning):
        await until(lambda: lightning.heard.count({"type": "ping"}) >= 6)
        assert (lightning.open, live.pool.idle) == (2, 2)


async def test_sockets_of_a_burst_are_let_go_when_no_other_comes() -> None:
    async with talking(well_behaved, concurrency=4, spare_connections=1, keepalive_s=0.2) as (
        live,
        lightning,
    ):
        await asyncio.gather(*(live.synthesize(request()).finished() for _ in range(4)))
        assert live.pool.idle >= 4
        await until(lambda: lightning.open == 1)
        assert live.pool.idle == 1


async def test_the_socket_that_has_lain_idle_longest_is_taken() -> None:
    numbers = iter((b"1", b"2"))

    async def numbered(line: Line) -> None:
        number = next(numbers)
        while True:
            asked = await line.request()
            await line.chunk(number, asked)
            await line.complete(asked)

    async with talking(numbered) as (live, _):
        await asyncio.gather(*(live.synthesize(request()).finished() for _ in range(2)))
        answers = [await parts_of(live.synthesize(request())) for _ in range(4)]
        assert answers[0] == answers[2] != answers[1] == answers[3]


async def test_a_spare_that_is_closed_is_replaced() -> None:
    async def timing_out(line: Line) -> None:
        await line.error(message="Connection timed out after 60 seconds of inactivity")

    async with talking(timing_out, well_behaved, spare_connections=1) as (live, lightning):
        await until(lambda: live.stats.idle_closes == 1 and live.pool.idle == 1)
        assert await parts_of(live.synthesize(request())) == ([b"Hello."], None)
        assert len(lightning.handshakes) >= 2


async def test_spares_that_are_thrown_out_are_not_opened_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool, "FIRST_BACKOFF_S", 30.0)

    async def full(line: Line) -> None:
        await line.socket.close(1008, "Too many connections")

    async with talking(full, spare_connections=1) as (live, lightning):
        await until(lambda: live.stats.idle_closes == 1)
        for _ in range(5):  # each as long as the keeper would have needed to open another spare
            _, error = await parts_of(live.synthesize(request()))
            assert isinstance(error, Busy)
        assert (len(lightning.handshakes), live.stats.idle_closes) == (6, 1)


async def test_spares_stay_within_five_sockets_for_each_unit() -> None:
    async with talking(mute, concurrency=1, spare_connections=20) as (live, lightning):
        await until(lambda: live.pool.idle == 5)
        live.synthesize(request())
        await until(lambda: len(lightning.requests) == 1)
        assert len(lightning.handshakes) == 5


async def test_spares_come_back_when_lightning_does(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    refusals = [refusing(HTTPStatus.SERVICE_UNAVAILABLE, b"")]

    def first_refuse(request: Request) -> Response | None:
        return refusals.pop()(request) if refusals else None

    async with (
        ScriptedLightning(mute, refuse=first_refuse) as lightning,
        LightningLive(config(lightning.url, spare_connections=1)) as live,
    ):
        # The keeper says so one turn of the loop after the spare is there.
        await until(lambda: "can be reached again" in caplog.text)
        assert (live.pool.idle, live.last_error) == (1, None)
    assert "no spare connection" in caplog.text
