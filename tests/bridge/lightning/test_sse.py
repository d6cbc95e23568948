"""The SSE doors against a server that does what it is told: what is asked, every way to end, cancel, warmth."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from bridge.config import Secret
from bridge.errors import Busy, InvalidRequest, LightningError, TimedOut, Unauthorized, Unavailable
from bridge.lightning.doors import open_door
from bridge.lightning.limits import Units
from bridge.lightning.speech import SpokenWord, StreamingSynthesizer
from bridge.lightning.sse import LightningSse
from bridge.lightning.stats import LightningStats
from tests.support.lightning_live import KEY, config, parts_of
from tests.support.lightning_requests import request
from tests.support.scripted_http import (
    END_EVENT,
    Handler,
    ScriptedHttp,
    answering,
    audio_event,
    cut,
    raw_answer,
    raw_server,
    scripted_http,
    silent,
    streaming,
)
from tests.support.waiting import until

AB, CD = audio_event(b"ab"), audio_event(b"cd")
HEALTH = "GET /waves/v1/health"


@asynccontextmanager
async def talking(*handlers: Handler, **changes: Any) -> AsyncIterator[tuple[LightningSse, ScriptedHttp]]:
    async with scripted_http(*handlers) as server:
        fields = {"door": "sse"} | changes
        async with LightningSse(config(server.url, **fields)) as door:
            yield door, server


# -- going well --------------------------------------------------------------------------------------------------------


async def test_parts_come_as_they_are_sent() -> None:
    async with talking(streaming(AB, CD, END_EVENT)) as (door, _):
        synthesis = door.synthesize(request())
        assert await parts_of(synthesis) == ([b"ab", b"cd"], None)
        assert synthesis.requested_at_s is not None
        assert synthesis.first_audio_at_s is not None
        assert synthesis.requested_at_s <= synthesis.first_audio_at_s
        assert (door.stats.completed, door.units.in_use, door.last_error) == (1, 0, None)


async def test_a_part_does_not_wait_for_the_next() -> None:
    async with talking(streaming(AB, then=silent)) as (door, _):
        synthesis = door.synthesize(request())
        assert await anext(synthesis) == b"ab"
        synthesis.cancel()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(AB + CD + END_EVENT, id="today's"),
        pytest.param(AB + CD, id="the end of the body is the end"),
        pytest.param(AB + CD[:-2], id="without the last empty line"),
        pytest.param(
            b"".join(
                b"data: " + json.dumps(told).encode() + b"\n\n"
                for told in (
                    {"status": "chunk", "data": {"audio": base64.b64encode(b"ab").decode()}},
                    {"status": "chunk", "data": {"audio": base64.b64encode(b"cd").decode()}},
                    {"status": "complete", "done": True},
                )
            ),
            id="the socket's",
        ),
    ],
)
@pytest.mark.parametrize("slice_bytes", [1, 7, 100_000])
async def test_both_envelopes_in_any_slices(body: bytes, slice_bytes: int) -> None:
    slices = [body[at : at + slice_bytes] for at in range(0, len(body), slice_bytes)]
    async with talking(streaming(*slices)) as (door, _):
        parts, error = await parts_of(door.synthesize(request()))
        assert (parts, error) == ([b"ab", b"cd"], None)
        assert door.stats.malformed_messages == 0


async def test_words_of_the_old_envelope_are_handed_on() -> None:
    word = b'data: {"status":"word_timestamp","data":{"word":"Hello.","start":0,"end":0.25}}\n\n'
    async with talking(streaming(word, AB, END_EVENT)) as (door, _):
        parts, _ = await parts_of(door.synthesize(request()))
        assert parts == [SpokenWord("Hello.", 0, 250), b"ab"]


async def test_what_comes_after_the_end_is_not_heard() -> None:
    async with talking(streaming(AB + END_EVENT + CD)) as (door, _):
        assert await parts_of(door.synthesize(request())) == ([b"ab"], None)


async def test_what_is_unknown_or_broken_is_counted_and_skipped() -> None:
    noise = b'data: {"status":"thinking"}\n\ndata: {\n\ndata: {"audio":7}\n\ndata: {}\n\ndata: [\n\n'
    async with talking(streaming(noise, AB, END_EVENT)) as (door, _):
        assert await parts_of(door.synthesize(request())) == ([b"ab"], None)
        assert (door.stats.unknown_messages, door.stats.malformed_messages) == (2, 3)


# -- what is asked -----------------------------------------------------------------------------------------------------

COMMON = {"text": "Hello.", "voice_id": "magnus", "language": "en", "sample_rate": 8000}


@pytest.mark.parametrize(
    "name, path, output, changes, body",
    [
        (
            "sse",
            "/waves/v1/tts/live",
            "ulaw",
            {"pronunciation_dicts": ["5eed"], "speed": 1.5},
            {
                "model": "lightning_v3.1",
                "output_format": "ulaw",
                "request_id": "r1",
                "pronunciation_dicts": ["5eed"],
                "speed": 1.5,
            },
        ),
        (
            "v3.1-sse",
            "/waves/v1/lightning-v3.1/stream",
            "alaw",
            {},
            {"output_format": "alaw", "request_id": "r1"},
        ),
        (
            "v2-sse",
            "/waves/v1/lightning-v2/stream",
            "pcm",
            {},
            {
                "speed": 1.0,
                "consistency": 0.25,
                "similarity": 0.75,
                "enhancement": 2,
                "add_wav_header": False,
            },
        ),
    ],
)
async def test_each_door_asks_in_its_own_way(
    name: str, path: str, output: str, changes: dict[str, Any], body: dict[str, Any]
) -> None:
    own = {"consistency": 0.25, "similarity": 0.75, "enhancement": 2}
    asked = request(output_format=output, word_timestamps=True, **changes)
    async with talking(streaming(AB, END_EVENT), door=name, **own) as (door, server):
        assert await parts_of(door.synthesize(asked)) == ([b"ab"], None)
    assert server.paths == [f"POST {path}"]
    assert server.bodies == [COMMON | body]
    headers = server.headers[0]
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["User-Agent"].startswith("lightning-phone-bridge/")
    assert (headers["Accept"], headers["Accept-Encoding"]) == ("text/event-stream", "identity")
    assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("name", ["sse", "v3.1-sse", "v2-sse"])
async def test_it_is_the_door_that_the_configuration_names(name: str) -> None:
    stats = LightningStats()
    door = open_door(config("http://127.0.0.1:1", door=name), stats, Units(1, stats))
    assert isinstance(door, LightningSse)
    assert not isinstance(door, StreamingSynthesizer), "it takes no text bit by bit"


@pytest.mark.parametrize(
    "name, changes, told",
    [
        ("sse", {"text": " "}, "text"),
        ("sse", {"output_format": "mulaw"}, "output_format"),
        ("sse", {"text": "\ud800"}, "surrogate"),
        ("v2-sse", {"output_format": "ulaw"}, "output_format"),
    ],
)
async def test_what_would_be_refused_is_not_asked(name: str, changes: dict[str, Any], told: str) -> None:
    async with talking(answering({}), door=name) as (door, server):
        parts, error = await parts_of(door.synthesize(request(**changes)))
        assert (parts, type(error)) == ([], InvalidRequest)
        assert told in str(error)
        assert (server.paths, door.units.in_use) == ([], 0)


async def test_the_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with talking(streaming(AB, END_EVENT)) as (door, _):
        assert await parts_of(door.synthesize(request())) == ([b"ab"], None)


async def test_the_proxy_of_the_configuration_is() -> None:
    async with scripted_http(streaming(AB, END_EVENT)) as proxy:
        address = Secret(proxy.url.replace("//", "//me:pa55@"))
        async with LightningSse(config("http://lightning.example", door="sse", proxy=address)) as door:
            assert await parts_of(door.synthesize(request())) == ([b"ab"], None)
        assert proxy.headers[0]["Host"] == "lightning.example"
        assert proxy.headers[0]["Proxy-Authorization"].startswith("Basic ")


async def test_a_proxy_that_tunnels_is_not_told_the_key() -> None:
    async with raw_server(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n") as (port, heard):
        proxy = Secret(f"http://me:pa55@127.0.0.1:{port}")
        async with LightningSse(config("https://lightning.example", door="sse", proxy=proxy)) as door:
            _, error = await parts_of(door.synthesize(request()))
    assert isinstance(error, Unavailable)
    assert error.message == "cannot connect: the proxy answered HTTP 407"
    assert_silent_about(error, KEY, "pa55")
    assert heard[0].startswith(b"CONNECT lightning.example:443")
    assert b"Proxy-Authorization: Basic " in heard[0]
    assert KEY.encode() not in heard[0]


# -- refusals ----------------------------------------------------------------------------------------------------------


def assert_silent_about(error: BaseException | None, *secrets: str) -> None:
    assert error is not None
    assert error.__cause__ is None
    assert error.__context__ is None
    assert [secret for secret in secrets if secret in repr(error) + str(error)] == []


@pytest.mark.parametrize(
    "status, body, kind, told",
    [
        (400, {"error": [{"path": ["voice_id"], "message": "Invalid"}]}, InvalidRequest, "voice_id: Invalid"),
        (401, {"message": f"No, {KEY}, no"}, Unauthorized, "No, ***, no"),
        (403, {"error": "trial over"}, Unauthorized, "trial over"),
        (404, b"<html>nothing here</html>", InvalidRequest, "HTTP 404"),
        (500, {"message": "broke"}, Unavailable, "broke"),
        (503, b"", Unavailable, "HTTP 503"),
        (302, b"", Unavailable, "HTTP 302"),
    ],
)
async def test_a_refusal(
    status: int, body: object, kind: type[LightningError], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with talking(answering(body, status, Location="http://127.0.0.1:1/")) as (door, _):
        parts, error = await parts_of(door.synthesize(request()))
        assert (parts, type(error)) == ([], kind)
        assert error is not None
        assert (error.message, error.request_id) == (told, "r1")
        assert (door.stats.failed, door.units.in_use) == (1, 0)
        assert (door.last_error is None) == (kind is InvalidRequest)
        assert_silent_about(error, KEY)
    assert KEY not in caplog.text


async def test_too_many_at_once_say_when_to_come_back() -> None:
    refuse = answering({"message": "Concurrency limit reached"}, 429, **{"Retry-After": "2"})
    async with talking(refuse) as (door, _):
        _, error = await parts_of(door.synthesize(request()))
        assert isinstance(error, Busy)
        assert (error.retry_after_s, door.stats.busy_answers, door.last_error) == (2, 1, None)


async def test_a_retired_model_names_what_has_taken_its_place() -> None:
    gone = {
        "error_code": "MODEL_DEPRECATED",
        "message": "This model is deprecated",
        "recommended_endpoint": "/waves/v1/lightning-v3.1/get_speech",
    }
    async with talking(answering(gone, 410), door="v2-sse") as (door, _):
        _, error = await parts_of(door.synthesize(request(output_format="pcm")))
        assert isinstance(error, InvalidRequest)
        assert "/waves/v1/lightning-v3.1/get_speech" in error.message
        assert "lightning.door" in error.message


@pytest.mark.parametrize(
    "body, kind, told",
    [
        ({"status": "error", "message": "Invalid Voice ID"}, InvalidRequest, "Invalid Voice ID"),
        (b"<html><body>Log in to our network</body></html>", Unavailable, "text instead of audio"),
        (b"[]", Unavailable, "text instead of audio"),
        (b"", Unavailable, "ended before it began"),
        (b"anything\n\nbut events", Unavailable, "ended before it began"),
    ],
)
async def test_what_is_no_stream_though_its_status_is_200(
    body: object, kind: type[LightningError], told: str
) -> None:
    async with talking(answering(body)) as (door, _):
        parts, error = await parts_of(door.synthesize(request()))
        assert (parts, type(error)) == ([], kind)
        assert error is not None
        assert error.message == told


async def test_a_packed_body_is_not_taken_for_anything_else() -> None:
    async with talking(answering(b"\x1f\x8b...", 200, **{"Content-Encoding": "gzip"})) as (door, _):
        _, error = await parts_of(door.synthesize(request()))
        assert isinstance(error, Unavailable)
        assert "packed" in error.message


@pytest.mark.parametrize(
    "event, kind",
    [
        (b'data: {"status":"error","message":"Invalid Voice ID"}\n\n', InvalidRequest),
        (b'data: {"status":"429","message":"limit"}\n\n', Busy),
        (b"event: error\ndata: it broke\n\n", Unavailable),
    ],
)
async def test_an_error_in_the_middle_comes_after_the_audio(event: bytes, kind: type[LightningError]) -> None:
    async with talking(streaming(AB, event, CD)) as (door, _):
        parts, error = await parts_of(door.synthesize(request()))
        assert (parts, type(error)) == ([b"ab"], kind)
        assert door.stats.busy_answers == (kind is Busy)


async def test_three_broken_events_in_a_row_are_a_broken_peer() -> None:
    async with talking(streaming(AB, b"data: {\n\n" * 3, CD, then=silent)) as (door, _):
        parts, error = await parts_of(door.synthesize(request()))
        assert (parts, type(error)) == ([b"ab"], Unavailable)
        assert error is not None
        assert error.code == "protocol"


async def test_an_event_without_end_is_one_too() -> None:
    endless = b"data: " + b"x" * 3_000_000
    async with talking(streaming(AB, endless, then=silent)) as (door, _):
        _, error = await parts_of(door.synthesize(request()))
        assert error is not None
        assert error.code == "protocol"


# -- the network -------------------------------------------------------------------------------------------------------


async def test_a_body_that_is_cut_is_no_end() -> None:
    async with talking(streaming(AB, then=cut)) as (door, _):
        parts, error = await parts_of(door.synthesize(request()))
        assert (parts, type(error)) == ([b"ab"], Unavailable)
        assert error is not None
        assert (error.code, error.request_id) == ("dropped", "r1")
        assert (door.stats.dropped_sockets, door.stats.resends, door.units.in_use) == (1, 0, 0)
        assert_silent_about(error, KEY)


async def test_a_body_shorter_than_its_length_is_none_either() -> None:
    short = raw_answer("HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", AB)
    async with talking(short) as (door, _):
        parts, error = await parts_of(door.synthesize(request()))
        assert (parts, type(error)) == ([b"ab"], Unavailable)


async def test_what_is_no_http() -> None:
    async with talking(raw_answer("220 mail.example ESMTP\r\n\r\n")) as (door, _):
        _, error = await parts_of(door.synthesize(request()))
        assert isinstance(error, Unavailable)
        assert_silent_about(error, KEY)


async def test_nobody_there() -> None:
    async with LightningSse(config("http://127.0.0.1:1", door="sse")) as door:
        _, error = await parts_of(door.synthesize(request()))
        assert isinstance(error, Unavailable)
        assert error.code == "connect"
        assert (door.stats.connect_failures, door.stats.connects) == (1, 0)
        assert door.last_error is not None
        assert_silent_about(error, KEY)


async def test_a_door_that_is_not_opened_in_time() -> None:
    async with raw_server(b"") as (port, _):
        wanted = config(f"https://127.0.0.1:{port}", door="sse", connect_timeout_s=0.05)
        async with LightningSse(wanted) as door:
            _, error = await parts_of(door.synthesize(request()))
            assert isinstance(error, TimedOut)
            assert error.code == "connect_timeout"
            assert door.last_error is not None


async def test_silence_before_the_first_audio() -> None:
    async with talking(streaming(b": hello\n\n", then=silent), first_audio_timeout_s=0.05) as (door, server):
        _, error = await parts_of(door.synthesize(request()))
        assert isinstance(error, TimedOut)
        assert (error.code, door.stats.late_first_audio) == ("first_audio_timeout", 1)
        await server.left.wait()


async def test_silence_in_the_middle() -> None:
    async with talking(streaming(AB, then=silent), stall_timeout_s=0.05) as (door, server):
        parts, error = await parts_of(door.synthesize(request()))
        assert (parts, type(error)) == ([b"ab"], TimedOut)
        assert door.stats.stalls == 1
        await server.left.wait()


async def test_far_too_much_audio() -> None:
    flood = streaming(*[audio_event(bytes(40_000))] * 20, then=silent)
    async with talking(flood) as (door, _):
        _, error = await parts_of(door.synthesize(request()))
        assert error is not None
        assert (error.code, door.stats.floods) == ("flood", 1)


# -- connections -------------------------------------------------------------------------------------------------------


async def test_one_connection_serves_one_after_the_other() -> None:
    async with talking(streaming(AB, END_EVENT)) as (door, server):
        for _ in range(5):
            assert await parts_of(door.synthesize(request())) == ([b"ab"], None)
            await until(lambda: not door._tails)
        assert (len(server.connections), door.stats.connects, door.stats.waited_for_connect) == (1, 1, 1)


async def test_a_connection_whose_body_does_not_end_is_left() -> None:
    async with talking(streaming(AB, END_EVENT, then=silent)) as (door, server):
        assert await parts_of(door.synthesize(request())) == ([b"ab"], None)
        assert door.units.in_use == 0, "nobody waits for the end of the body"
        await server.left.wait()


async def test_a_request_that_meets_a_closed_connection_is_made_again() -> None:
    async def hangs_up(http: web.Request) -> web.StreamResponse:
        await cut(http)
        return web.Response()

    async with talking(streaming(AB, END_EVENT), hangs_up, streaming(CD, END_EVENT)) as (door, server):
        assert await parts_of(door.synthesize(request())) == ([b"ab"], None)
        await until(lambda: not door._tails)
        assert await parts_of(door.synthesize(request(text="Two."))) == ([b"cd"], None)
        assert [body["text"] for body in server.bodies] == ["Hello.", "Two.", "Two."]
        assert (door.stats.resends, door.stats.failed, door.units.in_use) == (1, 0, 0)


async def test_but_not_when_the_connection_was_new() -> None:
    async def hangs_up(http: web.Request) -> web.StreamResponse:
        await cut(http)
        return web.Response()

    async with talking(hangs_up) as (door, server):
        _, error = await parts_of(door.synthesize(request()))
        assert isinstance(error, Unavailable)
        assert (error.code, len(server.bodies), door.stats.resends) == ("dropped", 1, 0)


# -- cancel and close --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "handler", [streaming(AB, then=silent), streaming(then=silent)], ids=["talks", "mute"]
)
async def test_cancel_closes_the_connection_at_once(handler: Handler) -> None:
    async with talking(handler) as (door, server):
        synthesis = door.synthesize(request())
        await until(lambda: bool(server.bodies))
        synthesis.cancel()
        assert (synthesis.over, door.units.in_use, door.stats.cancelled) == (True, 0, 1)
        assert await parts_of(synthesis) == ([], None)
        await server.left.wait()


async def test_cancel_before_it_was_asked() -> None:
    async with talking(streaming(AB, END_EVENT)) as (door, server):
        door.synthesize(request()).cancel()
        assert await parts_of(door.synthesize(request())) == ([b"ab"], None)
        assert len(server.bodies) == 1


async def test_close_ends_what_is_under_way() -> None:
    async with scripted_http(streaming(AB, then=silent)) as server:
        door = LightningSse(config(server.url, door="sse", concurrency=1))
        under_way, waits = door.synthesize(request()), door.synthesize(request())
        assert await anext(under_way) == b"ab"
        await door.close()
        for synthesis in (under_way, waits):
            with pytest.raises(Unavailable, match="closed"):
                await synthesis.finished()
        with pytest.raises(Unavailable, match="closed"):
            await door.synthesize(request()).finished()
        await door.close()


# -- warmth ------------------------------------------------------------------------------------------------------------


async def test_spare_connections_are_warm_before_anybody_asks() -> None:
    both_there = asyncio.Barrier(2)

    async def answer(http: web.Request) -> web.StreamResponse:
        if http.method == "GET":
            await both_there.wait()  # so that neither can use the other's connection
            return web.json_response({"status": "ok"})
        return await streaming(AB, END_EVENT)(http)

    async with talking(answer, spare_connections=2) as (door, server):
        await door.tended.wait()
        assert server.paths == [HEALTH, HEALTH]
        assert await parts_of(door.synthesize(request())) == ([b"ab"], None)
        assert door.stats.waited_for_connect == 0


async def test_they_are_kept_warm() -> None:
    async with scripted_http(answering({"status": "ok"})) as server:
        warm = LightningSse(config(server.url, door="sse", spare_connections=1), keepalive_s=0.01)
        async with warm:
            await until(lambda: len(server.paths) >= 3)
        assert len(server.connections) == 1
        assert set(server.paths) == {HEALTH}


@pytest.mark.parametrize(
    "status, kind", [(401, Unauthorized), (503, Unavailable), (404, None), (429, None), (200, None)]
)
async def test_whether_lightning_can_be_reached_is_known_before_a_call(
    status: int, kind: type[LightningError] | None
) -> None:
    async with scripted_http(answering({"message": "told"}, status)) as server:
        wanted = config(server.url, door="sse", spare_connections=1)
        async with LightningSse(wanted, keepalive_s=0.01) as door:
            await until(lambda: len(server.paths) >= 2)
            assert type(door.last_error) is (kind or type(None))


async def test_a_barge_in_costs_no_handshake_afterwards() -> None:
    async def answer(http: web.Request) -> web.StreamResponse:
        if http.method == "GET":
            return web.json_response({"status": "ok"})
        return await streaming(AB, then=silent)(http)

    async with talking(answer, spare_connections=1) as (door, server):
        await door.tended.wait()
        for _ in range(3):
            synthesis = door.synthesize(request())
            assert await anext(synthesis) == b"ab"
            synthesis.cancel()
            await door.tended.wait()
        assert door.stats.waited_for_connect == 0
        assert door.stats.connects == 4, "one for each barge-in, and nobody waited"


async def test_it_looks_again_while_nobody_is_there(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    wanted = config("http://127.0.0.1:1", door="sse", spare_connections=1)
    async with LightningSse(wanted, keepalive_s=0.01) as door:
        await until(lambda: door.stats.connect_failures >= 3)
        assert isinstance(door.last_error, Unavailable)
    assert [line.partition(":")[0] for line in caplog.messages] == ["no warm connection to Lightning"]


async def test_it_says_when_lightning_is_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with scripted_http(answering({"message": "later"}, 503), answering({"status": "ok"})) as server:
        wanted = config(server.url, door="sse", spare_connections=1)
        async with LightningSse(wanted, keepalive_s=0.01) as door:
            await until(lambda: len(server.paths) >= 2 and door.last_error is None)
            await until(lambda: caplog.messages[-1] == "Lightning can be reached again")
