"""What the benchmark makes of a call whose line is an emulator's own."""

from __future__ import annotations

import asyncio
from typing import cast

from benchmarks import sound, wire
from benchmarks.emulated_line import EmulatedLine
from bridge.carriers.dialect import Binary
from bridge.carriers.registry import carrier_types
from bridge.emulators.caller_plan import CallPlan
from bridge.emulators.caller_webhooks import Addresses
from bridge.emulators.exchange import exchange_type
from tests.support.carrier_cases import all_cases

FIRST = 0x30
ACCEPT = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


class Written:
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data


async def test_audio_of_a_synthesis_is_known_and_a_flush_makes_it_stale() -> None:
    cases = all_cases()["asterisk"]
    url = "http://127.0.0.1:1/carriers/asterisk/answer"
    plan = CallPlan(answer_url=url, section=cases.section, carrier="asterisk")
    exchange = exchange_type("asterisk")(plan, Addresses(url), cases.section)
    order = exchange.understand(None)
    assert order is not None
    line = EmulatedLine(
        7, sound.comfort_noise(3), lambda _: [FIRST], exchange, order, exchange.handshake(order)
    )
    transport, dialect = Written(), carrier_types()["asterisk"](cases.section).dialect(cases.upgrade)
    line.connection_made(cast(asyncio.Transport, transport))
    assert b"Sec-WebSocket-Protocol: media" in transport.data
    transport.data = b""
    line.data_received(ACCEPT)
    ((_, start),) = wire.FrameReader().feed(transport.data)
    dialect.receive(start)

    audio = wire.server_frame(dialect.audio(bytes([FIRST]) * 160), wire.BINARY)
    line.data_received(audio + audio)
    (utterance,) = line.utterances
    assert (utterance.identity, utterance.received_bytes) == (FIRST, 320)

    line.press("5")
    for command in dialect.clear():
        line.data_received(wire.server_frame(command))
    assert line.interruptions[0].clear_at
    line.data_received(audio)
    assert (line.stale_bytes, line.unknown) == (160, 0)
    assert type(dialect.audio(b"")) is Binary
