"""Webhooks of every shape: what a carrier's own code is given, and what is done after its answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from bridge.call import Call
from bridge.carriers.carrier import MediaSocket, Reply
from bridge.carriers.rest import Plan, RestRequest, ask
from bridge.server.limits import Limits
from tests.support.plain_carrier import SIGNED, PlainBridge, PlainCarrier, plain_bridge, until_text
from tests.support.waiting import until

CALL = {"call": "call-1"}


async def waits(call: Call) -> None:
    await call.gather(1, timeout_s=60)


async def posted(bridge: PlainBridge, endpoint: str = "answer", **request: Any) -> tuple[int, str]:
    url = f"{bridge.url}/carriers/plain/{endpoint}"
    async with bridge.session.post(url, **{"headers": SIGNED, **request}) as answer:
        return answer.status, await answer.text()


# -- what the carrier's code sees --------------------------------------------------------------------------------


async def test_json_comes_as_it_was_written_and_a_form_as_its_fields() -> None:
    carrier = PlainCarrier()
    async with plain_bridge(waits, carrier) as bridge:
        assert (await posted(bridge, "answer?a=1&b=x%20y", data=b'{"call":  "c"}',
                             headers=SIGNED | {"Content-Type": "application/json"}))[0] == 200  # fmt: skip
        assert (await posted(bridge, data={"call": "d", "empty": ""}))[0] == 200
    json, form = carrier.webhooks
    assert (json.body, dict(json.form), json.method) == (b'{"call":  "c"}', {}, "POST")
    assert json.url == f"{bridge.url}/carriers/plain/answer?a=1&b=x%20y"
    assert json.query == [("a", "1"), ("b", "x y")]
    assert (json.remote, json.is_json) == ("127.0.0.1", True)
    assert json.now_s == pytest.approx(bridge.runtime.unix_clock(), abs=60)
    assert list(form.form.items()) == [("call", "d"), ("empty", "")]
    assert form.body == b"call=d&empty="


async def test_a_carrier_may_ask_by_get_where_it_says_so() -> None:
    carrier = PlainCarrier()
    async with plain_bridge(waits, carrier) as bridge:
        async with bridge.session.get(f"{bridge.url}/carriers/plain/answer?call=c", headers=SIGNED) as answer:
            assert answer.status == 200
        async with bridge.session.put(f"{bridge.url}/carriers/plain/answer", headers=SIGNED) as answer:
            assert answer.status == 405
    (webhook,) = carrier.webhooks
    assert (webhook.method, webhook.value("call"), webhook.body) == ("GET", "c", b"")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded; charset=nonsense", b"call=c"),
        ("application/x-www-form-urlencoded", b"call=\xff"),
        ("multipart/form-data; boundary=b", b"--b--"),
    ],
)
async def test_a_body_that_is_not_what_it_says_is_refused(content_type: str, body: bytes) -> None:
    carrier = PlainCarrier()
    async with plain_bridge(waits, carrier) as bridge:
        headers = SIGNED | {"Content-Type": content_type}
        status, _ = await posted(bridge, data=body, headers=headers)
        assert status in (400, 415)
        assert bridge.runtime.stats.webhooks_refused == {"bad_body": 1}
    assert carrier.webhooks == []


async def test_what_is_about_something_else_is_counted_and_needs_no_answer() -> None:
    async with plain_bridge(waits, PlainCarrier()) as bridge:
        assert await posted(bridge, json={"event": "ringing"}) == (204, "")
        assert await posted(bridge, json={"event": "ringing"}, headers={}) == (403, "signature\n")
        assert bridge.runtime.stats.stream_statuses == {"stopped": 1}


@pytest.mark.parametrize("path", ["", "/a-token", "/a-token?x=1"])
async def test_an_upgrade_is_seen_with_all_that_stands_behind_its_address(path: str) -> None:
    carrier = PlainCarrier()
    async with plain_bridge(waits, carrier) as bridge, bridge.socket(path):
        await until(lambda: bool(carrier.upgrades))
    (upgrade,) = carrier.upgrades
    assert upgrade.url == "ws" + bridge.url.removeprefix("http") + "/carriers/plain/media" + path
    assert upgrade.token == ("a-token" if path else "")
    assert upgrade.remote == "127.0.0.1"


async def test_a_token_in_the_path_is_as_good_and_stays_out_of_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with plain_bridge(waits, PlainCarrier()) as bridge:
        token = await bridge.token("call-1")
        async with bridge.socket(f"/{token}") as socket:
            await socket.send_str("start call-1")
            await until_text(socket, "opened")
        async with bridge.socket(f"/{token}") as socket:
            await socket.send_str("start call-1")
            await socket.receive()
            await until(lambda: bridge.runtime.stats.media_refused == {"token": 1}
                        or bridge.runtime.stats.media_refused == {"second_stream": 1})  # fmt: skip
    assert token not in caplog.text


# -- after the answer --------------------------------------------------------------------------------------------


@asynccontextmanager
async def elsewhere() -> AsyncIterator[tuple[str, list[tuple[str, str]]]]:
    """An API of the carrier's: its address, and what it was asked. ``/no`` is what it refuses."""
    asked: list[tuple[str, str]] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append((request.path, await request.text()))
        return web.Response(status=403 if request.path == "/no" else 200, text="said")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


def plan(url: str) -> Plan[None]:
    yield from ask(RestRequest("plain", "take the call", "POST", url, {}, b"please"))


async def test_what_is_to_follow_the_answer_follows_it() -> None:
    carrier = PlainCarrier()
    async with elsewhere() as (api, asked), plain_bridge(waits, carrier) as bridge:
        carrier.reply = Reply("wait", "text/plain", then=plan(f"{api}/take"))
        assert await posted(bridge, json=CALL) == (200, "wait")
        await until(lambda: asked == [("/take", "please")])


async def test_when_it_fails_that_is_counted_and_told(caplog: pytest.LogCaptureFixture) -> None:
    carrier = PlainCarrier()
    async with elsewhere() as (api, _), plain_bridge(waits, carrier) as bridge:
        carrier.reply = Reply("wait", "text/plain", then=plan(f"{api}/no"))
        assert await posted(bridge, json=CALL) == (200, "wait")
        await until(lambda: bridge.runtime.stats.rest_failures == {"answer": 1})
        await until(lambda: "cannot take the call" in caplog.text)


class Exchange:
    """The other end of a socket that the bridge opens."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.headers: dict[str, str] = {}
        self.closed: int | None = None
        self.say: list[str | bytes] = ["start whatever"]
        self.url = ""

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        self.headers = dict(request.headers)
        socket = web.WebSocketResponse(protocols=("media",))
        await socket.prepare(request)
        for message in self.say:
            await (socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message))
        async for got in socket:
            self.got.append(got.data)
        self.closed = socket.close_code
        return socket

    @asynccontextmanager
    async def open(self) -> AsyncIterator[MediaSocket]:
        app = web.Application()
        app.router.add_get("/media", self.handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            url = f"ws://127.0.0.1:{runner.addresses[0][1]}/media"
            yield MediaSocket(url, {"Authorization": "Basic x"}, ("media",))
        finally:
            await runner.cleanup()


async def says_hello(call: Call) -> None:
    await call.say("Hello.")


async def test_a_socket_that_the_carrier_waits_for_is_opened_and_the_call_is_on_it() -> None:
    exchange, carrier = Exchange(), PlainCarrier()
    exchange.say = [b"\xff" * 160, "start whatever", b"\xff" * 160]
    async with exchange.open() as to, plain_bridge(says_hello, carrier) as bridge:
        carrier.reply = Reply("connecting", "text/plain", dial=to)
        assert await posted(bridge, json=CALL) == (200, "connecting")
        await until(lambda: bool(bridge.ended))
        await until(lambda: exchange.closed is not None)
        await bridge.runtime.drained()
        assert bridge.runtime.stats.media_refused == {}
    (call,) = bridge.ended
    assert (call.id, call.ended, call.messages) == ("call-1", "agent", 1)
    assert exchange.headers["Authorization"] == "Basic x"
    assert exchange.headers["Sec-WebSocket-Protocol"] == "media"
    assert exchange.got[:2] == ["welcome", "opened"]
    sound = [message for message in exchange.got if isinstance(message, bytes)]
    assert sound and {len(message) for message in sound} == {320}
    assert (exchange.got[-1], exchange.closed) == ("bye agent", 1000)


async def test_a_second_webhook_about_that_call_makes_no_second_call() -> None:
    exchange, carrier = Exchange(), PlainCarrier()
    async with exchange.open() as to, plain_bridge(waits, carrier) as bridge:
        carrier.reply = Reply("connecting", "text/plain", dial=to)
        await asyncio.gather(posted(bridge, json=CALL), posted(bridge, json=CALL))
        await until(lambda: bridge.runtime.stats.media_refused == {"second_stream": 1})
        assert len(bridge.runtime.calls) == 1


@pytest.mark.parametrize("silent", [False, True])
async def test_a_socket_that_cannot_be_opened_or_says_nothing_is_told(
    silent: bool, caplog: pytest.LogCaptureFixture
) -> None:
    exchange, carrier = Exchange(), PlainCarrier()
    exchange.say = []
    limits = Limits(start_within_s=0.2)
    async with exchange.open() as to, plain_bridge(waits, carrier, limits=limits) as bridge:
        gone = MediaSocket(to.url.replace("/media", "/nowhere"))
        carrier.reply = Reply("connecting", "text/plain", dial=to if silent else gone)
        assert (await posted(bridge, json=CALL))[0] == 200
        if silent:
            await until(lambda: bridge.runtime.stats.media_refused == {"no_start": 1})
        else:
            await until(lambda: bridge.runtime.stats.rest_failures == {"dial": 1})
            await until(lambda: "its media socket cannot be opened" in caplog.text)
        await bridge.runtime.drained()
        assert not bridge.runtime.calls
