"""Who makes the requests of plans: what comes back, what is asked again, and what is never told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import pytest
from aiohttp import web

from bridge.carriers.rest import RestAnswer, RestRequest, ask, bearer, json_request
from bridge.errors import CarrierError
from bridge.rest_client import MAX_ANSWER_BYTES, RestClient
from bridge.secret import Secret
from tests.support.waiting import PATIENCE_S

SECRET = Secret("a-key-that-stays-secret")
Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def api(handler: Handler) -> AsyncIterator[str]:
    """A carrier's; yields its address."""
    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def client(timeout_s: float = PATIENCE_S) -> AsyncIterator[RestClient]:
    made = RestClient(timeout_s)
    try:
        yield made
    finally:
        await made.close()


def request(method: str, url: str) -> RestRequest:
    return json_request("telnyx", "place the call", url, {"to": "+15550100003"}, bearer(SECRET), method)


async def test_what_is_asked_and_what_comes_back() -> None:
    seen: list[tuple[str, str, object]] = []

    async def handler(asked: web.Request) -> web.Response:
        seen.append((asked.method, asked.headers["Authorization"], await asked.json()))
        return web.json_response({"id": "c1"}, status=201, headers={"X-Told": "r1"})

    async with api(handler) as url, client() as rest:
        answer = await rest.carry_out(ask(request("POST", url)))
    assert (answer.status, answer.json(), answer.headers["X-Told"]) == (201, {"id": "c1"}, "r1")
    assert seen == [("POST", f"Bearer {SECRET.reveal()}", {"to": "+15550100003"})]


async def test_an_answer_that_comes_in_pieces_is_one() -> None:
    async def handler(asked: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(asked)
        for piece in (b'{"id": ', b'"c1"', b"}"):
            await response.write(piece)
            await asyncio.sleep(0)
        return response

    async with api(handler) as url, client() as rest:
        assert (await rest.answer_to(request("POST", url))).json() == {"id": "c1"}


async def test_an_answer_without_end_is_cut() -> None:
    async def handler(_asked: web.Request) -> web.Response:
        return web.Response(body=b"x" * (2 * MAX_ANSWER_BYTES))

    async with api(handler) as url, client() as rest:
        assert len((await rest.answer_to(request("POST", url))).body) == MAX_ANSWER_BYTES


@pytest.mark.parametrize("method, again", [("GET", True), ("POST", False)])
async def test_only_what_is_harmless_is_asked_again(method: str, again: bool) -> None:
    asked_times = 0

    async def handler(asked: web.Request) -> web.Response:
        nonlocal asked_times
        asked_times += 1
        assert asked.transport is not None
        asked.transport.abort()
        return web.Response()

    async with api(handler) as url, client() as rest:
        with pytest.raises(CarrierError, match="^telnyx: cannot place the call: ") as caught:
            await rest.answer_to(request(method, f"{url}/calls?secret=1"))
    assert (asked_times > 1) is again, "a call is not placed twice"
    assert SECRET.reveal() not in str(caught.value)
    assert "secret=1" not in str(caught.value)


async def test_a_second_answer_is_as_good() -> None:
    left = [True]

    async def handler(asked: web.Request) -> web.Response:
        if left and left.pop() and asked.transport is not None:
            asked.transport.abort()
        return web.Response(text="here")

    async with api(handler) as url, client() as rest:
        assert (await rest.answer_to(request("GET", url))).body == b"here"


async def test_a_redirect_does_not_carry_the_credentials_along() -> None:
    elsewhere: list[str] = []

    async def handler(asked: web.Request) -> web.Response:
        if asked.path == "/elsewhere":
            elsewhere.append(asked.headers.get("Authorization", ""))
            return web.Response()
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with api(handler) as url, client() as rest:
        with pytest.raises(CarrierError, match="HTTP 307"):
            await rest.carry_out(ask(request("POST", url)))
    assert elsewhere == []


async def test_an_answer_that_does_not_come() -> None:
    over = asyncio.Event()

    async def handler(_asked: web.Request) -> web.Response:
        await over.wait()
        return web.Response()

    async with api(handler) as url, client(0.05) as rest:
        with pytest.raises(CarrierError, match="no answer within 0.05 s"):
            await rest.answer_to(request("POST", url))
        over.set()


async def test_nobody_there() -> None:
    async with client() as rest:
        with pytest.raises(CarrierError, match="cannot place the call: ClientConnectorError") as caught:
            await rest.answer_to(request("POST", "http://127.0.0.1:1/calls"))
    assert caught.value.status == 0


async def test_a_plan_that_fails_is_closed() -> None:
    closed: list[bool] = []

    def plan() -> object:
        try:
            yield request("POST", "http://127.0.0.1:1/")
        finally:
            closed.append(True)

    async with client() as rest:
        with pytest.raises(CarrierError):
            await rest.carry_out(plan())  # type: ignore[arg-type]
    assert closed == [True]


def test_what_is_no_json() -> None:
    assert RestAnswer(200, b"<html>").json() is None
