"""The live door against a Lightning that does what it is told: every stage, every way to fail, cancel."""

from __future__ import annotations

import asyncio
import logging
import socket
from http import HTTPStatus
from typing import Any

import pytest

from bridge.errors import Busy, InvalidRequest, LightningError, TimedOut, Unauthorized, Unavailable
from bridge.lightning.connection import MAX_MESSAGE_BYTES
from bridge.lightning.limits import QUEUE_TIMEOUT
from bridge.lightning.live import LightningLive
from bridge.lightning.speech import SpokenWord, SynthesisPart
from tests.support.lightning_live import KEY, config, mute, parts_of, refusing, talking, well_behaved
from tests.support.lightning_requests import request
from tests.support.scripted_lightning import Line, ScriptedLightning
from tests.support.waiting import PATIENCE_S, until

# -- going well --------------------------------------------------------------------------------------------


async def test_parts_come_as_they_are_sent() -> None:
    async def script(line: Line) -> None:
        asked = await line.request()
        await line.word("Hello.", 0.0, 0.25, asked)
        await line.chunk(b"ab", asked)
        await line.chunk(b"", asked)
        await line.chunk(b"cde", asked)
        await line.complete(asked)
        await line.silent()

    async with talking(script) as (live, lightning):
        synthesis = live.synthesize(request())
        assert await parts_of(synthesis) == ([SpokenWord("Hello.", 0, 250), b"ab", b"cde"], None)
        assert lightning.heard[0]["complete_backoff_ms"] == 0
        assert synthesis.requested_at_s is not None
        assert synthesis.first_audio_at_s is not None
        assert synthesis.requested_at_s <= synthesis.first_audio_at_s
        assert (live.stats.completed, live.units.in_use) == (1, 0)


async def test_the_handshake() -> None:
    async with talking(well_behaved) as (live, lightning):
        await parts_of(live.synthesize(request()))
        shake = lightning.handshakes[0]
        assert shake.path == "/waves/v1/tts/live"
        assert shake.headers["Authorization"] == f"Bearer {KEY}"
        assert shake.headers["User-Agent"].startswith("lightning-phone-bridge/")
        assert "Sec-WebSocket-Extensions" not in shake.headers


async def test_the_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with talking(well_behaved) as (live, _):
        assert await parts_of(live.synthesize(request())) == ([b"Hello."], None)


async def test_a_socket_serves_one_after_the_other() -> None:
    async with talking(well_behaved) as (live, lightning):
        for text in ("one", "two", "three"):
            assert await parts_of(live.synthesize(request(text=text))) == ([text.encode()], None)
        assert len(lightning.handshakes) == 1
        assert live.stats.waited_for_connect == 1


async def test_parts_go_into_a_function() -> None:
    taken: list[SynthesisPart] = []
    async with talking(well_behaved) as (live, _):
        await live.synthesize(request(), taken.append).finished()
    assert taken == [b"Hello."]


async def test_answers_without_ids_are_taken_and_foreign_ones_are_not() -> None:
    async def script(line: Line) -> None:
        asked = await line.request()
        other = {"request_id": "of_somebody_else"}
        await line.chunk(b"ab")
        await line.chunk(b"XX", other)
        await line.word("XX", 0, 1, other)
        await line.error(other, message="Invalid")
        await line.complete(other)
        await line.chunk(b"cd", asked)
        await line.complete()
        await line.silent()

    async with talking(script) as (live, _):
        assert await parts_of(live.synthesize(request())) == ([b"ab", b"cd"], None)
        assert live.stats.foreign_chunks == 1


async def test_what_is_unknown_or_broken_is_counted_and_skipped() -> None:
    async def script(line: Line) -> None:
        asked = await line.request()
        for noise in (
            '{"status":"thinking"}',
            '{"type":"pong"}',
            "{",
            "[" * 200_000,
            '{"type":"pong"}',
            b"\xff",
        ):
            await line.send(noise)
        await line.chunk(b"ab", asked)
        await line.complete(asked)
        await line.silent()

    async with talking(script) as (live, _):
        assert await parts_of(live.synthesize(request())) == ([b"ab"], None)
        assert (live.stats.unknown_messages, live.stats.malformed_messages) == (1, 3)


# -- the socket is closed after `complete` -----------------------------------------------------------------


async def test_a_server_that_closes_after_complete_is_no_trouble() -> None:
    async def once(line: Line) -> None:
        asked = await line.request()
        await line.chunk(asked["text"].encode(), asked)
        await line.complete(asked)

    async with talking(once, spare_connections=1) as (live, lightning):
        for text in ("one", "two", "three"):
            assert await parts_of(live.synthesize(request(text=text))) == ([text.encode()], None)
        assert live.stats.failed == 0
        assert [asked["text"] for asked in lightning.requests] == ["one", "two", "three"]


async def test_a_request_that_meets_a_closing_socket_is_made_again() -> None:
    async def deaf_after_complete(line: Line) -> None:
        asked = await line.request()
        await line.chunk(b"one", asked)
        await line.complete(asked)
        await line.request()  # the next one was already on its way when we close
        line.drop()

    async with talking(deaf_after_complete, well_behaved) as (live, lightning):
        assert await parts_of(live.synthesize(request())) == ([b"one"], None)
        assert await parts_of(live.synthesize(request(text="two"))) == ([b"two"], None)
        assert (live.stats.resends, live.stats.failed) == (1, 0)
        assert [asked["text"] for asked in lightning.requests] == ["Hello.", "two", "two"]
        assert live.units.in_use == 0


async def test_but_only_once() -> None:
    async def deaf_after_complete(line: Line) -> None:
        asked = await line.request()
        await line.complete(asked)
        await line.request()
        line.drop()

    async def deaf(line: Line) -> None:
        await line.request()
        line.drop()

    async with talking(deaf_after_complete, deaf) as (live, _):
        await parts_of(live.synthesize(request()))
        parts, error = await parts_of(live.synthesize(request()))
        assert (parts, type(error)) == ([], Unavailable)


async def test_a_belated_complete_does_not_end_the_next_one() -> None:
    async def twice_complete(line: Line) -> None:
        asked = await line.request()
        await line.chunk(b"one", asked)
        await line.complete()
        await line.request()
        await line.complete()
        await line.silent()

    async with talking(twice_complete, well_behaved) as (live, _):
        await parts_of(live.synthesize(request()))
        assert await parts_of(live.synthesize(request(text="two"))) == ([b"two"], None)


async def test_a_complete_of_its_own_ends_it_without_audio_too() -> None:
    async def speechless(line: Line) -> None:
        while True:
            await line.complete(await line.request())

    async with talking(speechless) as (live, _):
        for _ in range(2):
            assert await parts_of(live.synthesize(request())) == ([], None)
        assert (live.stats.resends, live.stats.completed) == (0, 2)


async def test_an_idle_timeout_that_meets_a_request_is_no_failure() -> None:
    async def timing_out(line: Line) -> None:
        asked = await line.request()
        await line.complete(asked)
        await line.request()
        await line.error(message="Connection timed out after 60 seconds of inactivity")

    async with talking(timing_out, well_behaved) as (live, _):
        await parts_of(live.synthesize(request()))
        assert await parts_of(live.synthesize(request(text="two"))) == ([b"two"], None)


# -- refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"message": "Invalid Voice ID", "error_code": "custom"}, InvalidRequest),
        ({"error": {"message": "Invalid Voice ID", "code": "custom"}}, InvalidRequest),
        ({"message": "Concurrency limit reached", "error_code": "CONCURRENCY"}, Busy),
        ({"error": {"message": "Unauthorized", "code": 401}}, Unauthorized),
        ({"message": "Something broke"}, Unavailable),
    ],
)
async def test_an_error_on_the_socket(fields: dict[str, Any], kind: type[LightningError]) -> None:
    async def script(line: Line) -> None:
        asked = await line.request()
        await line.error(asked, **fields)
        await line.silent()

    async with talking(script) as (live, _):
        parts, error = await parts_of(live.synthesize(request()))
        assert (parts, type(error)) == ([], kind)
        assert error is not None
        assert error.request_id == "r1"
        assert (live.stats.failed, live.stats.busy_answers) == (1, kind is Busy)
        assert (live.units.in_use, live.pool.idle, live.pool.lent) == (0, 0, 0)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (HTTPStatus.UNAUTHORIZED, Unauthorized),
        (HTTPStatus.PAYMENT_REQUIRED, Unauthorized),
        (HTTPStatus.FORBIDDEN, Unauthorized),
        (HTTPStatus.GONE, InvalidRequest),
        (HTTPStatus.TOO_MANY_REQUESTS, Busy),
        (HTTPStatus.SERVICE_UNAVAILABLE, Unavailable),
    ],
)
async def test_a_refused_handshake(
    status: HTTPStatus, kind: type[LightningError], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    body = f'{{"message":"No, {KEY}, no"}}'.encode()
    refuse = refusing(status, body, **{"Retry-After": "2", "X-Secret": "of-the-server"})
    async with (
        ScriptedLightning(mute, refuse=refuse) as lightning,
        LightningLive(config(lightning.url)) as live,
    ):
        _, error = await parts_of(live.synthesize(request()))
        assert type(error) is kind
        assert error is not None
        assert error.message == "No, ***, no"
        assert live.last_error is not None
        assert (live.stats.handshakes_refused, live.stats.connect_failures) == (1, 1)
        if isinstance(error, Busy):
            assert error.retry_after_s == 2
        assert error.__cause__ is None
        assert error.__context__ is None
    assert KEY not in caplog.text
    assert "of-the-server" not in caplog.text


async def test_nobody_there() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        async with LightningLive(config(url)) as live:
            _, error = await parts_of(live.synthesize(request()))
    assert type(error) is Unavailable
    assert "cannot connect" in error.message


async def test_somebody_there_who_does_not_answer() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        async with LightningLive(config(url, connect_timeout_s=0.05)) as live:
            _, error = await parts_of(live.synthesize(request()))
    assert type(error) is TimedOut
    assert (error.code, error.__context__) == ("connect_timeout", None)


async def test_what_lightning_would_refuse_never_reaches_it() -> None:
    async with talking(well_behaved) as (live, lightning):
        for wrong in ({"text": "  "}, {"text": "x" * 8001}, {"output_format": "mulaw"}, {"speed": 0.0}):
            parts, error = await parts_of(live.synthesize(request(**wrong)))
            assert (parts, type(error)) == ([], InvalidRequest)
        assert lightning.handshakes == []


# -- deadlines and drops -----------------------------------------------------------------------------------


async def test_no_first_audio() -> None:
    async with talking(mute, first_audio_timeout_s=0.05) as (live, lightning):
        _, error = await parts_of(live.synthesize(request()))
        assert type(error) is TimedOut
        assert (error.code, live.stats.late_first_audio, live.units.in_use) == ("first_audio_timeout", 1, 0)
        await until(lambda: {"cancel_request": True, "request_id": "r1"} in lightning.heard)


async def test_a_stall() -> None:
    async def stalling(line: Line) -> None:
        await line.chunk(b"ab", await line.request())
        await line.silent()

    async with talking(stalling, stall_timeout_s=0.05, first_audio_timeout_s=1000.0) as (live, _):
        async with asyncio.timeout(PATIENCE_S):
            parts, error = await parts_of(live.synthesize(request()))
        assert (parts, type(error)) == ([b"ab"], TimedOut)
        assert (live.stats.stalls, live.stats.late_first_audio) == (1, 0)


async def test_a_slow_answer_is_no_stall_while_it_comes() -> None:
    """For longer than one deadline, with never half of one between two chunks."""
    timeout_s, chunks = 0.4, 10

    async def slow(line: Line) -> None:
        asked = await line.request()
        for _ in range(chunks):
            await line.chunk(b"a", asked)
            await asyncio.sleep(timeout_s / 8)
        await line.complete(asked)
        await line.silent()

    async with talking(slow, stall_timeout_s=timeout_s) as (live, _):
        assert await parts_of(live.synthesize(request())) == ([b"a"] * chunks, None)


async def test_dropped_half_way() -> None:
    async def dropping(line: Line) -> None:
        await line.chunk(b"ab", await line.request())
        line.drop()

    async with talking(dropping) as (live, _):
        parts, error = await parts_of(live.synthesize(request()))
        assert (parts, type(error)) == ([b"ab"], Unavailable)
        assert (live.stats.dropped_sockets, live.stats.resends) == (1, 0)


async def test_closed_with_a_reason() -> None:
    async def closing(line: Line) -> None:
        await line.request()
        await line.socket.close(1008, "Concurrency limit reached")

    async with talking(closing) as (live, _):
        _, error = await parts_of(live.synthesize(request()))
        assert type(error) is Busy
        assert (error.message, error.code) == ("Concurrency limit reached", "1008")


async def test_three_broken_messages_in_a_row_are_a_broken_server() -> None:
    async def babbling(line: Line) -> None:
        await line.request()
        for _ in range(3):
            await line.send("{")
        await line.silent()

    async with talking(babbling) as (live, _):
        _, error = await parts_of(live.synthesize(request()))
        assert type(error) is Unavailable
        assert error.code == "protocol"


async def test_a_message_too_big() -> None:
    async def shouting(line: Line) -> None:
        await line.chunk(bytes(MAX_MESSAGE_BYTES), await line.request())

    async with talking(shouting) as (live, _):
        _, error = await parts_of(live.synthesize(request()))
        assert type(error) is Unavailable


async def test_far_more_audio_than_the_text_can_last() -> None:
    async def flooding(line: Line) -> None:
        asked = await line.request()
        while True:
            await line.chunk(bytes(80_000), asked)

    async with talking(flooding) as (live, _):
        parts, error = await parts_of(live.synthesize(request()))
        assert type(error) is Unavailable
        assert (error.code, live.stats.floods) == ("flood", 1)
        assert sum(len(part) for part in parts if isinstance(part, bytes)) < 1_000_000


async def test_a_bug_of_ours_ends_the_synthesis_instead_of_hanging_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with talking(well_behaved) as (live, _):
        monkeypatch.setattr(live, "units", None)
        _, error = await parts_of(live.synthesize(request()))
        assert type(error) is Unavailable
        assert error.code == "internal"


# -- cancel ------------------------------------------------------------------------------------------------


async def test_nothing_after_cancel_and_the_unit_is_free_at_once() -> None:
    async def unstoppable(line: Line) -> None:
        asked = await line.request()
        while True:
            await line.chunk(b"ab", asked)
            await asyncio.sleep(0)

    async with talking(unstoppable, well_behaved) as (live, lightning):
        synthesis = live.synthesize(request())
        assert await anext(synthesis) == b"ab"
        synthesis.cancel()
        assert (live.units.in_use, live.pool.lent, live.stats.cancelled) == (0, 0, 1)
        assert await parts_of(synthesis) == ([], None)
        assert await parts_of(live.synthesize(request(text="two"))) == ([b"two"], None)
        await until(lambda: lightning.open == 1)  # the cancelled socket is gone, the other one is kept
        assert await parts_of(synthesis) == ([], None)


async def test_a_cancel_is_told_before_the_socket_is_closed() -> None:
    async with talking(mute) as (live, lightning):
        synthesis = live.synthesize(request())
        await until(lambda: len(lightning.requests) == 1)
        synthesis.cancel()
        await until(lambda: lightning.open == 0)
        assert lightning.heard[-1] == {"cancel_request": True, "request_id": "r1"}


async def test_a_spare_takes_the_place_of_a_cancelled_socket() -> None:
    async with talking(mute, spare_connections=2) as (live, lightning):
        await until(lambda: live.pool.idle == 2)
        synthesis = live.synthesize(request())
        await until(lambda: len(lightning.requests) == 1)
        await until(lambda: live.pool.idle == 2)
        synthesis.cancel()
        assert live.stats.waited_for_connect == 0
        await until(lambda: lightning.open == 2)
        assert (live.pool.idle, live.pool.lent) == (2, 0)


async def test_cancelled_at_once_it_never_asks() -> None:
    async with talking(well_behaved) as (live, lightning):
        synthesis = live.synthesize(request())
        synthesis.cancel()
        assert await parts_of(synthesis) == ([], None)
        assert await parts_of(live.synthesize(request(text="two"))) == ([b"two"], None)
        assert [asked["text"] for asked in lightning.requests] == ["two"]


async def test_cancelled_while_it_waits_for_a_unit() -> None:
    async with talking(mute, concurrency=1) as (live, lightning):
        first, second = live.synthesize(request()), live.synthesize(request())
        await until(lambda: live.units.waiting == 1)
        second.cancel()
        await until(lambda: live.units.waiting == 0)
        first.cancel()
        assert live.units.in_use == 0
        assert len(lightning.requests) <= 1


async def test_cancelled_while_it_connects() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        async with LightningLive(config(url)) as live:
            synthesis = live.synthesize(request())
            await until(lambda: live.stats.waited_for_connect == 1)
            synthesis.cancel()
            assert (live.units.in_use, await parts_of(synthesis)) == (0, ([], None))


async def test_cancelled_with_everything_received_the_socket_is_kept() -> None:
    async with talking(well_behaved) as (live, lightning):
        synthesis = live.synthesize(request())
        await synthesis.finished()
        synthesis.cancel()
        assert await parts_of(synthesis) == ([], None)
        assert live.pool.idle == 1
        assert all("cancel_request" not in message for message in lightning.heard)


# -- units -------------------------------------------------------------------------------------------------


async def test_more_than_the_account_may_do_waits_here() -> None:
    async with talking(well_behaved, concurrency=1) as (live, lightning):
        syntheses = [live.synthesize(request(text=text)) for text in ("one", "two", "three")]
        for synthesis in syntheses:
            await synthesis.finished()
        assert [asked["text"] for asked in lightning.requests] == ["one", "two", "three"]
        assert (live.stats.unit_waits, len(lightning.handshakes)) == (2, 1)


async def test_but_not_for_ever() -> None:
    async with talking(mute, concurrency=1, queue_timeout_s=0.01) as (live, _):
        first = live.synthesize(request())
        _, error = await parts_of(live.synthesize(request()))
        assert type(error) is Busy
        assert error.code == QUEUE_TIMEOUT
        first.cancel()


async def test_closing_ends_what_is_on_and_what_waits() -> None:
    async with talking(mute, concurrency=1) as (live, lightning):
        syntheses = [live.synthesize(request()) for _ in range(2)]
        await until(lambda: len(lightning.requests) == 1)
        await live.close()
        for synthesis in [*syntheses, live.synthesize(request())]:
            _, error = await parts_of(synthesis)
            assert type(error) is Unavailable
            assert error.code == "closed"
        await until(lambda: lightning.open == 0)
        assert (live.units.in_use, live.units.waiting) == (0, 0)
