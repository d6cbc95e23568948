"""Asking the user's own API: what goes out, what may come back, when it is asked again, and where it never goes."""

from __future__ import annotations

import asyncio
import gzip
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from bridge.flows.actions import Fetch, Fetched
from bridge.flows.guard import ForbiddenAddress, GuardedResolver
from bridge.flows.values import Variables
from bridge.flows.webhook import WebhookClient
from bridge.flows.webhook_answer import KINDS, MAX_BODY_BYTES, MAX_DEPTH
from bridge.observe.stats import FlowStats
from tests.support.scripted_http import Handler, ScriptedHttp, answering, scripted_http
from tests.support.tls import certificate
from tests.support.waiting import PATIENCE_S

#: Apart from what follows: the project names no host but those that are made up.
HTTPS = "https://"
TOKEN = "t0p-secret"
ENVIRON = {"API_TOKEN": TOKEN, "BROKEN_TOKEN": "a\nb"}


@asynccontextmanager
async def asking(*allowed: str, resolver: AbstractResolver | None = None) -> AsyncIterator[WebhookClient]:
    client = WebhookClient(allowed, ENVIRON, FlowStats(), resolver=resolver, pause_s=0.001)
    try:
        yield client
    finally:
        await client.close()


def get(url: str, **more: Any) -> Fetch:
    return Fetch(method="GET", url=url, **{"deadline_s": PATIENCE_S, "retries": 0, **more})


def post(url: str, **more: Any) -> Fetch:
    return Fetch(method="POST", url=url, **{"deadline_s": PATIENCE_S, "retries": 0, "body": {}, **more})


async def answer_to(action: Fetch, *handlers: Handler) -> tuple[Fetched, FlowStats, ScriptedHttp]:
    """What comes of `action`, whose URL is a path, at a server of which each request meets the next handler."""
    stats = FlowStats()
    async with scripted_http(*handlers) as server:
        client = WebhookClient([server.url], ENVIRON, stats, pause_s=0.001)
        values = {name: getattr(action, name) for name in Fetch.__slots__}
        fetched = await client.fetch(Fetch(**{**values, "url": server.url + action.url}), call_id="c1")
        await client.close()
    return fetched, stats, server


# -- what goes out -----------------------------------------------------------------------------------------------------


async def test_what_is_posted() -> None:
    body = Variables({"caller": "+1555", "pin": 42}, private=["pin"])
    action = post("/of/a%2Fb?q=%26", body=body, bearer_env="API_TOKEN")
    fetched, stats, server = await answer_to(action, answering({"sum": 12.5}))
    assert fetched == Fetched(200, {"sum": 12.5})
    assert server.bodies == [{"caller": "+1555", "pin": 42}]
    (headers,) = server.headers
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert headers["Content-Type"] == "application/json"
    assert headers["Accept-Encoding"] == "identity"
    assert headers["X-Bridge-Call"] == "c1"
    assert len(headers["X-Bridge-Request"]) == 32
    assert (stats.webhooks, stats.webhook_retries, stats.webhook_failures) == (1, 0, {})


async def test_what_is_asked_with_get_has_no_body_and_its_path_as_it_was() -> None:
    seen: list[str] = []

    async def note(request: web.Request) -> web.StreamResponse:
        seen.append(request.raw_path)
        return web.json_response({})

    fetched, _, server = await answer_to(get("/of/a%2Fb?q=%26%20"), note)
    assert fetched == Fetched(200, {})
    assert seen == ["/of/a%2Fb?q=%26%20"]
    assert "Authorization" not in server.headers[0]
    assert "Content-Type" not in server.headers[0]


@pytest.mark.parametrize("call_id", ["", "a b", "x\r\nEvil: 1", "é", "x" * 129])
async def test_a_call_id_that_is_no_header_is_left_out(call_id: str) -> None:
    async with scripted_http(answering({})) as server, asking(server.url) as client:
        assert await client.fetch(get(server.url), call_id=call_id) == Fetched(200, {})
    assert "X-Bridge-Call" not in server.headers[0]


async def test_proxies_and_cookies_have_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    cookie = answering({}, 200, **{"Set-Cookie": "a=b; Path=/"})
    names = Names({"crm.example": ["127.0.0.1"]})  # an address alone would be given no cookie anyway
    async with scripted_http(cookie) as server:
        origin = server.url.replace("127.0.0.1", "crm.example")
        async with asking(origin, resolver=names) as client:
            assert [(await client.fetch(get(origin))).status for _ in range(2)] == [200, 200]
    assert [headers.get("Cookie") for headers in server.headers] == [None, None]
    assert len(server.connections) == 2, "none is kept: it might be closed when it is needed"


# -- what may come back ------------------------------------------------------------------------------------------------


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def big(size: int) -> bytes:
    return b'"' + b"x" * (size - 2) + b'"'


ANSWERS: list[tuple[Handler, int, str]] = [
    (answering(b""), 200, ""),
    (answering(b" \n"), 200, ""),
    (answering(b"", 204), 204, ""),
    (answering(b"[1]", 200, **{"Content-Type": "text/plain"}), 200, ""),
    (answering(big(MAX_BODY_BYTES)), 200, ""),
    (answering(big(MAX_BODY_BYTES + 1)), 0, "too_big"),
    (answering(deep(MAX_DEPTH)), 200, ""),
    (answering(deep(MAX_DEPTH + 1)), 0, "not_json"),
    (answering(deep(20_000)), 0, "not_json"),
    (answering(b"<html>"), 0, "not_json"),
    (answering(b"NaN"), 0, "not_json"),
    (answering(b"\xff\xfe"), 0, "not_json"),
    (answering(b"1" * 5000), 0, "not_json"),
    (answering(gzip.compress(b"0" * 10_000_000), 200, **{"Content-Encoding": "gzip"}), 0, "encoding"),
    (answering(b"{}", 200, **{"Content-Encoding": "identity"}), 200, ""),
    (answering(b"<html>", 404), 404, ""),
    (answering(big(MAX_BODY_BYTES + 1), 404), 404, ""),
    (answering(b"", 302, Location="/elsewhere"), 302, "redirect"),
    (answering(b"", 500), 500, "status"),
    (answering(b"", 429), 429, "status"),
]


@pytest.mark.parametrize("handler, status, kind", ANSWERS)
async def test_what_an_answer_may_be(handler: Handler, status: int, kind: str) -> None:
    fetched, stats, server = await answer_to(get("/"), handler)
    assert fetched.status == status
    assert bool(fetched.error) is (status == 0)
    assert stats.webhook_failures == ({kind: 1} if kind else {})
    assert stats.webhook_failures.keys() <= KINDS
    assert len(server.paths) == 1


async def test_what_a_refusal_says_in_json_is_kept() -> None:
    fetched, _, _ = await answer_to(get("/"), answering({"why": "closed"}, 409))
    assert fetched == Fetched(409, {"why": "closed"})


# -- asking again ------------------------------------------------------------------------------------------------------


async def dropped(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


OK = answering({})
AGAIN: list[tuple[Fetch, Handler, int]] = [
    *((get("/", retries=2), answering(b"", status), 2) for status in (429, 500, 502, 503, 504)),
    *((get("/", retries=2), answering(b"", status), 1) for status in (400, 404, 501)),
    *((post("/", retries=2), answering(b"", status), 2) for status in (429, 503)),
    *((post("/", retries=2), answering(b"", status), 1) for status in (500, 502, 504)),
    (get("/", retries=2), dropped, 2),
    (post("/", retries=2), dropped, 1),
    (get("/", retries=2), answering(b"<html>"), 1),
    (get("/"), answering(b"", 503), 1),
]


@pytest.mark.parametrize("action, first, tries", AGAIN)
async def test_asked_again_is_what_is_harmless(action: Fetch, first: Handler, tries: int) -> None:
    fetched, stats, server = await answer_to(action, first, OK)
    assert len(server.paths) == tries
    assert stats.webhook_retries == tries - 1
    assert len({headers["X-Bridge-Request"] for headers in server.headers}) == 1
    assert (fetched == Fetched(200, {})) is (tries == 2)


async def test_at_the_last_try_what_was_answered_counts() -> None:
    fetched, stats, server = await answer_to(get("/", retries=2), answering({"why": "busy"}, 503))
    assert fetched == Fetched(503, {"why": "busy"})
    assert len(server.paths) == 3
    assert stats.webhook_failures == {"status": 1}


@pytest.mark.parametrize(
    "retry_after, tries", [("0", 2), ("3600", 1), ("Fri, 01 Jan 2100 00:00:00 GMT", 2), ("?", 2)]
)
async def test_who_asks_to_be_left_alone_is_not_asked_again_in_time(retry_after: str, tries: int) -> None:
    """A date that far away is a clock that is wrong."""
    busy = answering(b"", 503, **{"Retry-After": retry_after})
    _, _, server = await answer_to(get("/", retries=1), busy, OK)
    assert len(server.paths) == tries


async def test_a_post_that_was_never_sent_is_sent_again() -> None:
    resolver = Names({"crm.example": ["127.0.0.1"]}, failures=1)
    async with scripted_http(OK) as server:
        origin = server.url.replace("127.0.0.1", "crm.example")
        async with asking(origin, resolver=resolver) as client:
            assert await client.fetch(post(origin, retries=1)) == Fetched(200, {})
    assert len(server.paths) == 1


async def test_nobody_listens() -> None:
    async with asking("http://127.0.0.1:1") as client:
        fetched = await client.fetch(post("http://127.0.0.1:1/x?pin=9876", retries=1))
        assert fetched == Fetched(error="cannot connect to 127.0.0.1")


async def test_one_deadline_is_for_all_of_it() -> None:
    async def silent(_request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    fetched, stats, server = await answer_to(get("/", deadline_s=0.05, retries=5), silent)
    assert fetched == Fetched(error="no answer within 0.05 s")
    assert stats.webhook_failures == {"timeout": 1}
    assert len(server.paths) == 1


async def test_a_caller_who_hangs_up_is_waited_for_no_more() -> None:
    asked = asyncio.Event()

    async def silent(_request: web.Request) -> web.StreamResponse:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async with scripted_http(silent) as server, asking(server.url) as client:
        fetching = asyncio.create_task(client.fetch(get(server.url)))
        await asked.wait()
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching
        await asyncio.wait_for(server.left.wait(), PATIENCE_S)


async def test_what_is_no_http() -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, asking(url) as client:
        fetched = await client.fetch(get(url, retries=1))
        assert fetched.error.startswith("127.0.0.1 does not speak HTTP")


# -- where it never goes -----------------------------------------------------------------------------------------------


class Names(AbstractResolver):
    """Knows a few names. The first `failures` times it does not."""

    def __init__(self, known: dict[str, list[str]], failures: int = 0) -> None:
        self._known, self._failures = known, failures
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        self._failures -= 1
        if self._failures >= 0:
            raise OSError("no such name")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=0,
            )
            for address in self._known[host]
        ]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["8.8.8.8", "10.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["169.254.169.254"],
        ["100.64.0.1"],
    ],
)
async def test_a_public_name_must_have_public_addresses_alone(addresses: list[str]) -> None:
    stats = FlowStats()
    resolver = Names({"api.example.com": addresses})
    client = WebhookClient(["api.example.com"], {}, stats, resolver=resolver, pause_s=0.001)
    fetched = await client.fetch(get("https://api.example.com/", retries=3))
    await client.close()
    assert fetched.error.startswith(f"api.example.com: {addresses[-1]} ")
    assert stats.webhook_failures == {"address": 1}
    assert resolver.asked == ["api.example.com"], "asking again would not help"


async def test_public_addresses_pass_as_they_are() -> None:
    found = ["8.8.8.8", "2606:4700::1111"]
    guarded = GuardedResolver(Names({"api.example.com": found}), anywhere=False)
    assert [result["host"] for result in await guarded.resolve("api.example.com", 443)] == found
    await guarded.close()


async def test_one_address_that_is_not_public_keeps_back_all() -> None:
    guarded = GuardedResolver(Names({"api.example.com": ["8.8.8.8", "10.0.0.1"]}), anywhere=False)
    with pytest.raises(ForbiddenAddress, match=r"10\.0\.0\.1 is not public"):
        await guarded.resolve("api.example.com", 443)


async def test_what_a_name_means_is_judged_each_time() -> None:
    """It meant something else when it was looked up before."""
    resolver = Names({"crm.example": ["127.0.0.1"]})
    async with scripted_http(OK) as server:
        origin = server.url.replace("127.0.0.1", "crm.example")
        async with asking(origin, resolver=resolver) as client:
            assert (await client.fetch(get(origin))).status == 200
            resolver._known["crm.example"] = ["169.254.169.254"]
            assert "is never asked" in (await client.fetch(get(origin))).error
    assert len(server.paths) == 1


async def test_one_that_is_named_in_full_opens_no_door_for_another() -> None:
    """A public name that leads to the same server is still refused."""
    async with scripted_http(OK) as server:
        names = Names({"api.example.com": ["127.0.0.1"]})
        async with asking(server.url, "api.example.com", resolver=names) as client:
            assert (await client.fetch(get(server.url))).status == 200
            assert "is not public" in (await client.fetch(get("https://api.example.com/"))).error


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",  # the list has https
        "https://127.0.0.1:1/",
        "https://me@127.0.0.1:{port}/",
        "https://localhost:{port}/",
        HTTPS + "127.1:{port}/",
        "https://2130706433:{port}/",
        "https://[::ffff:127.0.0.1]:{port}/",
    ],
)
async def test_only_what_is_on_the_list_is_asked(url: str) -> None:
    async with scripted_http(OK) as server:
        port = server.url.rpartition(":")[2]
        names = Names({})
        async with asking(server.url.replace("http:", "https:"), resolver=names) as client:
            fetched = await client.fetch(get(url.replace("{port}", port)))
            assert fetched.status == 0
            assert fetched.error.startswith("the address ")
    assert (server.paths, names.asked) == ([], [])


async def test_a_literal_address_is_judged_where_the_socket_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes past the resolver. No entry of the list can name one that must be public: so by way of the rules."""
    from bridge.flows.origins import Rule

    async with scripted_http(OK) as server:
        port = int(server.url.rpartition(":")[2])
        async with asking() as client:
            client._rules = [Rule("http", "127.0.0.1", port)]
            fetched = await client.fetch(get(server.url))
            assert "127.0.0.1 is not public" in fetched.error
    assert server.paths == []


async def test_whoever_cannot_prove_who_they_are_is_told_nothing(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path, datetime.now(UTC) + timedelta(days=9)))
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0, ssl=context)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, asking(url) as client:
        fetched = await client.fetch(get(url, retries=2, bearer_env="API_TOKEN"))
        assert "its certificate is not trusted" in fetched.error
    assert b"".join(heard) == b""


# -- secrets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["NO_TOKEN", "BROKEN_TOKEN"])
async def test_without_its_token_nothing_is_asked(name: str) -> None:
    fetched, stats, server = await answer_to(get("/", bearer_env=name), OK)
    assert fetched.error == f"{name} is not set, or holds what no header can carry"
    assert stats.webhook_failures == {"token": 1}
    assert server.paths == []


async def test_what_is_no_json_is_not_sent() -> None:
    fetched, stats, server = await answer_to(post("/", body={"x": float("nan")}), OK)
    assert fetched == Fetched(error="what is to be sent is no JSON")
    assert (stats.webhook_failures, server.paths) == ({"request": 1}, [])


@pytest.mark.parametrize("handler", [dropped, answering(b"<html>"), answering(b"", 500)])
async def test_no_log_and_no_error_holds_what_was_sent(
    handler: Handler, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    action = post("/of/9876?pin=9876", body={"pin": "9876"}, bearer_env="API_TOKEN")
    fetched, _, _ = await answer_to(action, handler)
    told = [  # times and numbers of threads may hold the same figures
        repr((record.getMessage(), record.args, record.exc_info, record.exc_text))
        for record in caplog.records
        if "flows" in record.name
    ]
    assert told
    assert TOKEN not in f"{told}{fetched}"
    assert "9876" not in f"{told}{fetched}"
