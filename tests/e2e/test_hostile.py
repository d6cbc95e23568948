"""Forgers and strangers: refused before anything is started, and never with a traceback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress

import aiohttp
import pytest

from bridge.emulators.caller_plan import new_sid
from bridge.emulators.caller_webhooks import Signature, signed_headers
from bridge.emulators.twiml import parse_twiml
from bridge.server.limits import Limits
from tests.support.bridge import Stage, stage
from tests.support.log import tracebacks
from tests.support.stranger import HELLO, PATIENCE_S, Stranger, closed_with, post_form, send
from tests.support.waiting import until

WAITS = "tests.support.agents:waits_for_ever"
UNSIGNED = pytest.mark.parametrize("signature", [Signature.FORGED, Signature.ABSENT])


@pytest.fixture(autouse=True)
def nothing_but_plain_lines_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert tracebacks(caplog) == []


# -- webhooks ----------------------------------------------------------------------------------------------------


@UNSIGNED
@pytest.mark.parametrize("endpoint", ["answer", "status", "ended"])
async def test_a_webhook_that_is_not_signed_is_refused_and_starts_nothing(
    endpoint: str, signature: Signature
) -> None:
    async with stage(WAITS) as s, Stranger(s.config) as stranger:
        answer = await stranger.post(endpoint, signature)
        assert (answer.status, answer.body) == (403, "signature\n")
        assert s.server.runtime.stats.webhooks_refused == {"signature": 1}
        assert s.nothing_started


async def test_a_signature_covers_every_field() -> None:
    async with stage(WAITS) as s, Stranger(s.config) as stranger:
        url = stranger.url("/carriers/twilio/answer")
        headers = signed_headers(stranger.auth_token, url, stranger.form)
        async with aiohttp.ClientSession() as session:
            assert (await post_form(session, url, stranger.form, headers)).status == 200
            for changed in ({"From": "+15550000000"}, {"CallSid": new_sid("CA")}, {"Extra": ""}):
                assert (await post_form(session, url, stranger.form | changed, headers)).status == 403
        assert s.nothing_started


async def test_doors_that_do_not_exist() -> None:
    async with stage(WAITS) as s, Stranger(s.config) as stranger:
        for path, status in (
            ("/carriers/twilio/answer", 405),
            ("/carriers/twilio/status", 405),
            ("/carriers/telnyx/answer", 404),
            ("/carriers/twilio/../answer", 404),
            ("/", 404),
        ):
            assert (await stranger.get(path)).status == status, path
        assert (await stranger.post("media")).status == 405
        assert s.nothing_started


async def raw_http(s: Stage, request: bytes) -> bytes:
    """What the bridge answers to these bytes, until it closes or has said a whole header."""
    reader, writer = await asyncio.open_connection("127.0.0.1", s.server.port)
    writer.write(request)
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as nothing:
        return nothing.partial
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def post(body: bytes, *headers: str, length: int | None = None) -> bytes:
    lines = [
        "POST /carriers/twilio/answer HTTP/1.1",
        "Host: bridge",
        f"Content-Length: {length or len(body)}",
    ]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


FORM = "Content-Type: application/x-www-form-urlencoded"
PART = b'--b\r\nContent-Disposition: form-data; name="CallSid"; filename="x"\r\n\r\nhello\r\n--b--\r\n'


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        pytest.param(post(b"a=" + b"x" * 70_000, FORM), 413, id="too large"),
        pytest.param(post(b"a=1", FORM, length=100), 408, id="slow"),
        pytest.param(post(b"", FORM, "Expect: nonsense"), 417, id="expects something"),
        pytest.param(post(b"\xff\xfe%ff", FORM), 400, id="not UTF-8"),
        pytest.param(post(b"a=1", FORM + "; charset=klingon"), 400, id="no such charset"),
        pytest.param(post(b"a=1", FORM + "; charset=base64"), 400, id="no charset at all"),
        pytest.param(post(b"a=1", FORM + "; charset=idna"), 403, id="a strange charset"),
        pytest.param(post(b"&".join([b"a=1"] * 20_000), FORM), 413, id="very many fields"),
        pytest.param(post(b"not gzip", FORM, "Content-Encoding: gzip"), 400, id="not what it is encoded as"),
        pytest.param(post(PART, "Content-Type: multipart/form-data; boundary=b"), 415, id="a file"),
        pytest.param(post(b"x", "Content-Type: multipart/form-data"), 415, id="no boundary"),
        pytest.param(post(b"{}", "Content-Type: application/json"), 403, id="JSON"),
        pytest.param(b"GET / HTTP/1.1\r\nno header\r\n\r\n", 400, id="bad header"),
        pytest.param(b"GET / HTTP/9.9\r\n\r\n", 400, id="bad version"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64, 400, id="TLS"),
        pytest.param(b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 400, id="a long line"),
        pytest.param(
            b"POST /carriers/twilio/answer HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            400,
            id="bad chunk",
        ),
    ],
)
async def test_a_request_that_is_none_is_answered_with_its_fault(request_bytes: bytes, status: int) -> None:
    async with stage(WAITS, limits=Limits(body_within_s=0.1)) as s:
        answer = await raw_http(s, request_bytes)
        assert answer.split()[1:2] == [str(status).encode()], answer[:200]
        assert s.nothing_started


async def test_a_request_that_is_left_half_way_is_nobodys_fault() -> None:
    async with stage(WAITS) as s:
        for request_bytes in (post(b"a=1", FORM, length=100), b"POST /carr"):
            _, writer = await asyncio.open_connection("127.0.0.1", s.server.port)
            writer.write(request_bytes)
            await writer.drain()
            writer.transport.abort()
        async with Stranger(s.config) as stranger:
            assert (await stranger.get("/livez")).status == 200


@pytest.mark.parametrize(
    ("first", "then"),
    [
        pytest.param(b"", b"", id="silence"),
        pytest.param(b"GET /liv", b"", id="half a line"),
        pytest.param(b"GET /livez HTTP/1.1\r\n", b"X-Slow: 1\r\n", id="header by header"),
        pytest.param(b"GET /livez HTTP/1.1\r\nHost: b\r\n\r\n", b"", id="idle after a request"),
    ],
)
async def test_a_connection_without_a_whole_request_is_closed(first: bytes, then: bytes) -> None:
    async with stage(WAITS, limits=Limits(keepalive_s=0.2)) as s, asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", s.server.port)
        writer.write(first)
        with suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(then)
                with suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(1000), 0.02)
        writer.transport.abort()


# -- the upgrade and the start -----------------------------------------------------------------------------------


@UNSIGNED
async def test_a_media_socket_without_a_signature_is_not_even_opened(signature: Signature) -> None:
    async with stage(WAITS) as s, Stranger(s.config) as stranger:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with stranger.socket(signature):
                raise AssertionError("it was opened")
        assert caught.value.status == 403
        assert s.server.runtime.stats.webhooks_refused == {"signature": 1}
        assert s.server.runtime.admission.strangers == 0
        assert s.nothing_started


async def test_a_signed_request_that_is_no_upgrade_is_refused() -> None:
    async with stage(WAITS) as s, Stranger(s.config) as stranger:
        url = stranger.url("/carriers/twilio/media").replace("http", "ws", 1)
        answer = await stranger.get("/carriers/twilio/media", signed_headers(stranger.auth_token, url))
        assert answer.status == 400
        assert s.nothing_started


@pytest.mark.parametrize("trick", ["no token", "wrong", "another call's", "used", "expired", "wrong call"])
async def test_a_start_without_a_token_of_its_own_is_refused_at_once(trick: str) -> None:
    late_s = 0.0
    async with stage(WAITS, clock=lambda: time.monotonic() + late_s) as s, Stranger(s.config) as stranger:
        parameters, call_sid = await stranger.invitation(), stranger.call_sid
        if trick == "no token":
            del parameters["token"]
        elif trick == "wrong":
            parameters["token"] = parameters["token"][::-1]
        elif trick == "another call's":
            async with Stranger(s.config) as other:
                parameters = await other.invitation()
        elif trick == "wrong call":
            call_sid = new_sid("CA")
        elif trick == "expired":
            late_s = 121.0
        elif trick == "used":
            async with stranger.socket() as first:
                await first.send_str(stranger.line(parameters, call_sid).start())
                await until(lambda: bool(s.server.runtime.calls))
        started = s.server.runtime.stats.calls_started
        async with asyncio.timeout(5), stranger.socket() as socket:
            await socket.send_str(stranger.line(parameters, call_sid).start())
            assert await closed_with(socket) == 1008
        assert s.server.runtime.stats.media_refused == {"token": 1}
        assert s.server.runtime.stats.calls_started == started == (trick == "used")
        assert not s.lightning.stats.requests


async def test_a_retried_webhook_gives_a_token_but_no_second_stream() -> None:
    async with stage(WAITS) as s, Stranger(s.config) as stranger, stranger.live():
        await until(lambda: bool(s.server.runtime.calls))
        async with stranger.socket() as second:
            await second.send_str(stranger.line(await stranger.invitation()).start())
            assert await closed_with(second) == 1008
        assert s.server.runtime.stats.media_refused == {"second_stream": 1}
        assert list(s.server.runtime.calls) == [stranger.call_sid], "the first goes on"


async def test_a_socket_that_does_not_start_is_closed() -> None:
    assert Limits().start_within_s + 0.5 < 5
    async with stage(WAITS, limits=Limits(start_within_s=0.1)) as s, Stranger(s.config) as stranger:
        async with stranger.socket() as socket:
            assert await closed_with(socket) == 1008
        assert s.server.runtime.stats.media_refused == {"no_start": 1}
        await until(lambda: s.server.runtime.admission.strangers == 0)
        assert s.nothing_started


@pytest.mark.parametrize(
    ("messages", "code", "reason"),
    [
        pytest.param([HELLO] * 8, 1008, "no_start", id="too many before start"),
        pytest.param(["{}"], 1008, "bad_message", id="no event"),
        pytest.param([b"\0\1\2\xff"], 1008, "bad_json", id="binary garbage"),
        pytest.param([""], 1008, "bad_json", id="empty"),
        pytest.param(
            ['{"event":"start","start":{"callSid":"../../etc"}}'], 1008, "bad_message", id="bad ids"
        ),
        pytest.param(["[" * 60_000], 1008, "bad_message", id="60 000 brackets"),
        pytest.param(["[" * 200_000], 1009, "no_start", id="200 000 brackets"),
    ],
)
async def test_a_stranger_gets_no_patience(messages: list[str | bytes], code: int, reason: str) -> None:
    async with stage(WAITS) as s, Stranger(s.config) as stranger:
        async with stranger.socket() as socket:
            await send(socket, *messages)
            assert await closed_with(socket) == code
        assert s.server.runtime.stats.media_refused == {reason: 1}
        assert s.nothing_started


async def test_the_answer_names_only_public_addresses() -> None:
    async with stage(WAITS) as s, Stranger(s.config) as stranger:
        answer = await stranger.post("answer", From="</Say><Dial>+1900</Dial>")
        twiml = parse_twiml(answer.body)
        assert twiml.stream is not None
        assert twiml.stream.url == stranger.url("/carriers/twilio/media").replace("http", "ws", 1)
        assert twiml.stream.parameters["from"] == "</Say><Dial>+1900</Dial>"
        assert [verb.name for verb in twiml.verbs] == ["Say", "Hangup"]
