"""A call and its sockets: what is said first and last, and a socket that comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bridge.call import Call
from bridge.carriers.dialect import Digit
from bridge.errors import CallEnded
from bridge.observe import timeline as tl
from bridge.server.limits import Limits
from tests.support.plain_carrier import SIGNED, PlainBridge, PlainCarrier, Socket, plain_bridge, until_text
from tests.support.waiting import until

SILENCE = b"\xff" * 320
LONG = "This is a sentence that takes a while to say, and there is more of it. " * 4


async def waits(call: Call) -> None:
    await call.gather(1, timeout_s=60)
    await call.gather(1, timeout_s=60)


async def speaks(call: Call) -> None:
    await call.say(LONG)


async def close_of(socket: Socket) -> tuple[int | None, list[str | bytes]]:
    """The code that the bridge closes with, and what it sent before."""
    got = [message.data async for message in socket]
    return socket.close_code, got


def the_call(bridge: PlainBridge) -> Call:
    (call,) = bridge.runtime.calls.values()
    return call


# -- first and last ----------------------------------------------------------------------------------------------


async def test_what_the_protocol_wants_answered_is_answered_at_any_time() -> None:
    carrier = PlainCarrier()
    carrier.behind_start = (Digit("7"),)
    async with plain_bridge(waits, carrier) as bridge:
        token = await bridge.token("call-1")
        async with bridge.socket() as socket:
            await socket.send_str("ping")
            assert await until_text(socket, "pong") == []
            await socket.send_str(f"start call-1 {token}")
            assert await until_text(socket, "opened") == ["welcome"], "the answer to start, then our own"
            await socket.send_str("ping")
            assert await until_text(socket, "pong") == []
            await socket.send_str("stop")
            assert await until_text(socket, "stopped") == []
            await socket.send_str("ping")
            assert await until_text(socket, "pong") == [], "also while we wait for the close"
    (call,) = bridge.ended
    assert call.ended == "carrier"
    assert [entry.digit for entry in call.timeline if isinstance(entry, tl.DigitPressed)] == ["7"], (
        "what came along with the start is not lost"
    )


async def test_binary_is_sound_both_ways_in_messages_of_the_right_size() -> None:
    async with plain_bridge(speaks, PlainCarrier()) as bridge, bridge.live() as socket:
        await socket.send_bytes(SILENCE)
        sent = [data for data in await until_text(socket, "mark 1.1000") if isinstance(data, bytes)]
        assert {len(message) for message in sent} == {320}
        assert len(sent) == 25
        assert the_call(bridge).messages == 1


async def test_the_bridge_says_goodbye_before_it_closes() -> None:
    async def leaves(call: Call) -> None:
        await call.hang_up()

    async with plain_bridge(leaves, PlainCarrier()) as bridge, bridge.live() as socket:
        assert await close_of(socket) == (1000, ["bye agent"])


async def test_a_carrier_that_closes_itself_is_given_time_to_and_answered_until_then() -> None:
    async def leaves(call: Call) -> None:
        await call.hang_up()

    async with plain_bridge(leaves, PlainCarrier(patient=True)) as bridge, bridge.live() as socket:
        assert await until_text(socket, "bye agent") == []
        await socket.send_str("ping")
        assert await until_text(socket, "pong") == []
        await socket.send_str("stop")
        assert await until_text(socket, "stopped") == []
        await socket.close()
        await until(lambda: bool(bridge.ended))
    assert bridge.ended[0].ended == "agent"


async def test_but_not_for_ever() -> None:
    async def leaves(call: Call) -> None:
        await call.hang_up()

    limits = Limits(close_within_s=0.05)
    async with (
        plain_bridge(leaves, PlainCarrier(patient=True), limits=limits) as bridge,
        bridge.live() as socket,
    ):
        assert await close_of(socket) == (1000, ["bye agent"])


async def test_who_is_turned_away_after_a_start_is_told_goodbye_too() -> None:
    async with plain_bridge(waits, PlainCarrier()) as bridge, bridge.socket() as socket:
        await socket.send_str("start call-1 guessed")
        assert await close_of(socket) == (1008, ["welcome", "bye token"])
        assert bridge.runtime.stats.media_refused == {"token": 1}


# -- before the start --------------------------------------------------------------------------------------------


async def test_sound_before_the_start_is_forgiven_and_junk_is_not() -> None:
    limits = Limits(early_sounds=100, early_messages=3)
    async with plain_bridge(waits, PlainCarrier(), limits=limits) as bridge:
        token = await bridge.token("call-1")
        async with bridge.socket() as socket:
            for _ in range(99):
                await socket.send_bytes(SILENCE)
            await socket.send_str(f"start call-1 {token}")
            await until_text(socket, "opened")
        async with bridge.socket() as socket:
            for _ in range(100):
                await socket.send_bytes(SILENCE)
            assert (await close_of(socket))[0] == 1008
        async with bridge.socket() as socket:
            for word in ("hello", "nonsense", "hello"):
                await socket.send_str(word)
            assert (await close_of(socket))[0] == 1008
        assert bridge.runtime.stats.ignored_messages["media_before_start"] == 199
        assert bridge.runtime.stats.media_refused == {"no_start": 2}
        await until(lambda: bool(bridge.ended))


# -- again -------------------------------------------------------------------------------------------------------


async def test_after_the_end_a_call_may_have_another_stream_with_a_fresh_token() -> None:
    async with plain_bridge(waits, PlainCarrier()) as bridge:
        for number in (1, 2):
            async with bridge.live() as socket:
                await socket.send_str("stop")
                await until_text(socket, "stopped")
            await until(has_ended(bridge, number))
        assert bridge.runtime.stats.media_refused == {}


async def test_a_second_stream_of_a_call_that_is_on_is_refused() -> None:
    async with plain_bridge(waits, PlainCarrier()) as bridge:
        token = await bridge.token("call-1")
        async with bridge.live() as first, bridge.socket() as second:
            await second.send_str(f"start call-1 {token}")
            assert (await close_of(second))[0] == 1008
            assert bridge.runtime.stats.media_refused == {"second_stream": 1}
            await first.send_str("ping")
            await until_text(first, "pong")


def has_ended(bridge: PlainBridge, times: int) -> Callable[[], bool]:
    return lambda: len(bridge.ended) == times


def resumed(bridge: PlainBridge) -> Callable[[], bool]:
    return lambda: bridge.runtime.stats.calls_resumed == 1


async def vanish(socket: Socket) -> None:
    """Break the connection without a word."""
    connection = socket._response.connection
    assert connection is not None and connection.transport is not None
    connection.transport.abort()


async def test_a_lost_socket_that_is_opened_again_goes_on_with_the_call() -> None:
    async with plain_bridge(waits, PlainCarrier(reconnects=True)) as bridge:
        token = await bridge.token("call-1")
        async with bridge.live("call-1", token) as first:
            call = the_call(bridge)
            await vanish(first)
            await until(lambda: call.suspended)
            assert not call.ended
        async with bridge.live("call-1", token) as second:
            await until(resumed(bridge))
            assert the_call(bridge) is call
            await second.send_str("press 56")
            assert await close_of(second) == (1000, ["bye agent"]), "the agent has had its two keys"
    kinds = [type(entry) for entry in call.timeline if isinstance(entry, tl.LineLost | tl.LineResumed)]
    assert kinds == [tl.LineLost, tl.LineResumed]
    assert bridge.ended == [call]
    assert not bridge.runtime.sessions


async def test_a_second_socket_takes_over_from_one_that_nobody_has_missed_yet() -> None:
    async with plain_bridge(speaks, PlainCarrier(reconnects=True)) as bridge:
        token = await bridge.token("call-1")
        async with bridge.live("call-1", token) as first, bridge.live("call-1", token) as second:
            assert (await close_of(first))[0] == 1000
            await until_text(second, "mark 1.1000")
            async with bridge.live("call-1", token) as third:
                assert (await close_of(second))[0] == 1000
                await third.send_str("stop")
                await until_text(third, "stopped")
            await until(lambda: bool(bridge.ended))
    (call,) = bridge.ended
    assert (call.ended, bridge.runtime.stats.calls_resumed) == ("carrier", 2)


@pytest.mark.parametrize("reconnects", [True, False])
async def test_a_socket_that_does_not_come_back_ends_the_call(reconnects: bool) -> None:
    limits = Limits(reconnect_within_s=0.05)
    async with (
        plain_bridge(waits, PlainCarrier(reconnects=reconnects), limits=limits) as bridge,
        bridge.live() as socket,
    ):
        call = the_call(bridge)
        await vanish(socket)
        await until(lambda: bool(bridge.ended))
    assert call.ended == "carrier_lost"
    lost = [entry for entry in call.timeline if isinstance(entry, tl.LineLost)]
    assert len(lost) == reconnects


@pytest.mark.parametrize(
    ("wordless", "in_good_order", "ended"),
    [(True, True, "carrier"), (True, False, "carrier_lost"), (False, True, "carrier_lost")],
)
async def test_closing_is_a_good_end_where_there_is_no_word_for_it(
    wordless: bool, in_good_order: bool, ended: str
) -> None:
    carrier = PlainCarrier(reconnects=True, wordless=wordless)
    limits = Limits(reconnect_within_s=0.05)
    async with plain_bridge(waits, carrier, limits=limits) as bridge, bridge.live() as socket:
        await (socket.close() if in_good_order else vanish(socket))
        await until(lambda: bool(bridge.ended))
    assert bridge.ended[0].ended == ended


async def test_a_call_of_which_the_carrier_says_that_it_is_over_waits_no_longer() -> None:
    async with plain_bridge(waits, PlainCarrier(reconnects=True)) as bridge, bridge.live() as socket:
        call = the_call(bridge)
        await vanish(socket)
        await until(lambda: call.suspended)
        for over in ("call-2", "call-1"):
            assert not call.ended
            await bridge.session.post(
                f"{bridge.url}/carriers/plain/status", json={"over": over}, headers=SIGNED
            )
        await until(lambda: bool(bridge.ended))
        bridge.runtime.told_over("plain", "call-1")
    assert call.ended == "carrier"


async def test_a_call_is_over_only_by_the_word_of_its_own_carrier() -> None:
    async with plain_bridge(waits, PlainCarrier()) as bridge, bridge.live():
        bridge.runtime.told_over("elsewhere", "call-1")
        assert not the_call(bridge).ended


async def test_a_call_that_is_over_while_its_line_is_lost_waits_no_longer() -> None:
    hang_up = asyncio.Event()

    async def leaves(call: Call) -> None:
        await hang_up.wait()

    async with (
        plain_bridge(leaves, PlainCarrier(reconnects=True)) as bridge,
        bridge.live() as socket,
    ):
        call = the_call(bridge)
        await vanish(socket)
        await until(lambda: call.suspended)
        hang_up.set()
        await until(lambda: bool(bridge.ended))
    assert call.ended == "agent"


async def test_a_stop_is_an_end_for_those_too() -> None:
    async with plain_bridge(waits, PlainCarrier(reconnects=True)) as bridge:
        token = await bridge.token("call-1")
        async with bridge.live("call-1", token) as socket:
            await socket.send_str("stop")
            await until_text(socket, "stopped")
        await until(lambda: bool(bridge.ended))
        async with bridge.socket() as again:
            await again.send_str(f"start call-1 {token}")
            assert (await close_of(again))[0] == 1008
    assert bridge.runtime.stats.media_refused == {"token": 1}


async def test_a_line_that_is_lost_is_not_taken_for_a_silent_one() -> None:
    limits = Limits(dead_line_s=0.0)
    told: list[str] = []

    async def stays(call: Call) -> None:
        try:
            await call.gather(1, timeout_s=60)
            await call.gather(1, timeout_s=60)
        except CallEnded:
            told.append(call.ended)

    async with (
        plain_bridge(stays, PlainCarrier(reconnects=True), limits=limits) as bridge,
        bridge.live() as socket,
    ):
        call = the_call(bridge)
        await vanish(socket)
        await until(lambda: call.suspended)
        for _ in range(3):
            bridge.runtime._watch(bridge.runtime.clock() + 100)
        assert not call.ended
        await call.hang_up()
    assert bridge.runtime.stats.silent_lines == 0


# -- nobody is left on a silent line -----------------------------------------------------------------------------


async def test_a_carrier_is_told_of_a_call_whose_stream_has_failed() -> None:
    carrier = PlainCarrier()
    async with plain_bridge(waits, carrier) as bridge:
        async with bridge.live():
            pass  # and the socket is gone, without a word
        await until(lambda: carrier.abandoned == ["call-1"])
        assert [call.ended for call in bridge.ended] == ["carrier_lost"]


async def test_but_not_of_one_that_somebody_has_ended() -> None:
    carrier = PlainCarrier()
    async with plain_bridge(waits, carrier) as bridge:
        async with bridge.live() as socket:
            await socket.send_str("stop")
            await until(lambda: len(bridge.ended) == 1)
        async with bridge.live("call-2"):
            await the_call(bridge).hang_up()
            await until(lambda: len(bridge.ended) == 2)
        async with bridge.live("call-3"):
            pass
        await until(lambda: bool(carrier.abandoned))
        assert carrier.abandoned == ["call-3"]
        assert [call.ended for call in bridge.ended] == ["carrier", "agent", "carrier_lost"]
