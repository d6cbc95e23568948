"""What the simulated line makes of a bridge's messages: the benchmark's verdicts rest on it."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any, cast

import pytest

from benchmarks import sound, wire
from benchmarks.line import Line

FIRST, SECOND, OTHER_CALLS = 0x30, 0x31, 0x50
ACCEPT = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


class Written:
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    def take(self) -> list[dict[str, Any]]:
        """The messages written since the last time."""
        messages = [json.loads(payload) for _, payload in wire.FrameReader().feed(self.data)]
        self.data = b""
        return messages


@pytest.fixture
async def call() -> tuple[Line, Written, list[int]]:
    """A line that has started, what it writes, and the syntheses requested so far."""
    requested: list[int] = []
    line = Line(7, sound.comfort_noise(3), lambda _: requested, "host", "/media", {}, {"token": "t"})
    transport = Written()
    line.connection_made(cast(asyncio.Transport, transport))
    transport.data = b""
    line.data_received(ACCEPT)
    transport.take()
    return line, transport, requested


def media(identity: int, size: int = 160) -> bytes:
    payload = base64.b64encode(bytes([identity]) * size).decode()
    return message({"event": "media", "streamSid": "MZ", "media": {"payload": payload}})


def message(body: dict[str, Any]) -> bytes:
    return wire.server_frame(json.dumps(body).encode())


CLEAR = message({"event": "clear", "streamSid": "MZ"})
Call = tuple[Line, Written, list[int]]


async def test_a_line_starts_as_twilio_does() -> None:
    line = Line(7, sound.comfort_noise(3), lambda _: [], "host", "/media", {}, {"token": "t"})
    transport = Written()
    line.connection_made(cast(asyncio.Transport, transport))
    assert transport.data.startswith(b"GET /media HTTP/1.1\r\nHost: host\r\n")
    transport.data = b""
    line.data_received(ACCEPT)
    connected, start = transport.take()
    assert connected["event"] == "connected"
    assert start["start"]["customParameters"] == {"token": "t"}
    assert start["start"]["callSid"] == line.call_sid


@pytest.mark.parametrize("pieces", [1, 2, 7])
async def test_audio_is_filed_under_its_synthesis_however_it_arrives(call: Call, pieces: int) -> None:
    line, _, requested = call
    requested += [FIRST, SECOND]
    stream = b"".join([media(FIRST)] * 3 + [media(SECOND, 320), media(SECOND)])
    step = len(stream) // pieces + 1
    for at in range(0, len(stream), step):
        line.data_received(stream[at : at + step])
    assert [(u.identity, u.received_bytes) for u in line.utterances] == [(FIRST, 480), (SECOND, 480)]
    assert list(line.utterances[1].positions_ms) == [0.0, 40.0]


async def test_audio_requested_before_a_clear_is_stale_after_it(call: Call) -> None:
    line, _, requested = call
    requested.append(FIRST)
    line.data_received(media(FIRST))
    line.data_received(CLEAR)
    line.data_received(media(FIRST))
    requested.append(SECOND)
    line.data_received(media(SECOND))
    assert line.stale_bytes == 160
    assert [u.received_bytes for u in line.utterances] == [160, 160]


async def test_audio_that_this_call_never_asked_for_is_foreign(call: Call) -> None:
    line, _, requested = call
    requested.append(FIRST)
    line.data_received(media(FIRST) + media(OTHER_CALLS))
    assert (line.foreign_bytes, line.stale_bytes) == (160, 0)


async def test_padding_belongs_to_no_synthesis(call: Call) -> None:
    line, _, _ = call
    line.data_received(media(0xFF))
    assert (line.foreign_bytes, line.utterances) == (0, [])


async def test_a_mark_comes_back_when_its_audio_is_played_or_cleared(call: Call) -> None:
    line, transport, requested = call
    requested.append(FIRST)
    mark = message({"event": "mark", "streamSid": "MZ", "mark": {"name": "1.20"}})
    line.data_received(mark)
    assert [m["mark"]["name"] for m in transport.take()] == ["1.20"]
    line.data_received(media(FIRST, 8000) + mark)
    assert transport.take() == []
    line.data_received(CLEAR)
    assert [m["event"] for m in transport.take()] == ["mark"]


async def test_a_clear_answers_the_interruption_that_waits(call: Call) -> None:
    line, transport, requested = call
    requested.append(FIRST)
    line.data_received(media(FIRST))
    line.press("5")
    assert transport.take()[0]["dtmf"]["digit"] == "5"
    assert line.pending is not None
    line.data_received(CLEAR)
    assert line.pending is None
    assert line.interruptions[0].clear_at >= line.interruptions[0].at
    assert line.unasked_clears == 0


async def test_a_clear_that_nobody_asked_for_is_counted(call: Call) -> None:
    line, _, requested = call
    requested.append(FIRST)
    line.data_received(media(FIRST, 8000))
    line.data_received(CLEAR)
    assert line.unasked_clears == 1


async def test_every_tick_sends_the_next_packet(call: Call) -> None:
    line, transport, _ = call
    line.tick()
    line.tick()
    first, second = transport.take()
    assert (first["media"]["timestamp"], second["media"]["timestamp"]) == ("0", "20")
    assert int(second["sequenceNumber"]) == int(first["sequenceNumber"]) + 1
    assert len(base64.b64decode(second["media"]["payload"])) == 160
