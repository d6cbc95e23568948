"""What Lightning and the network may do without the caller noticing: every word is heard once, in one voice, in time.

Nothing here is even a retry. Where something must be noticed by somebody, a counter says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import pytest

from bridge.emulators.lightning_audio import wav_header
from telephony_codecs.formats import AudioFormat, Encoding
from telephony_codecs.g711 import mulaw_decode
from telephony_codecs.resample import Resampler
from tests.support.failing_calls import (
    AMPLE_S,
    AT_FIRST_BYTES,
    Circumstances,
    Result,
    Times,
    call_under,
    came_to,
    on_the_way_back,
    paced,
    selected,
    side_by_side,
)
from tests.support.fault_proxy import FaultProxy, Trouble
from tests.support.hearing import FIRST, SECOND, VOICE
from tests.support.scripted_lightning import Line, ScriptedLightning
from tests.support.scripted_socket import Message
from tests.support.scripted_tones import Upset, tone_lightning

LATENCY_S: Final = 0.15
SLOW_S: Final = 0.3


@dataclass(frozen=True, kw_only=True)
class Row(Circumstances):
    """Something odd."""

    deadline_s: float = AMPLE_S
    #: How much longer than usual the caller may wait for it.
    wait_s: float = 0.0
    #: Counters that tell of it, and what they count to.
    counted: Mapping[str, int] = field(default_factory=dict)


# -- the network -------------------------------------------------------------------------------------------------


def slow(**changes: Any) -> Callable[[FaultProxy, Times], None]:
    def harm(network: FaultProxy, _times: Times) -> None:
        for name, value in changes.items():
            setattr(network.up, name, value)
            setattr(network.down, name, value)

    return harm


def dead_spares(trouble: Trouble) -> Callable[[FaultProxy, Times], None]:
    return lambda network, _times: network.cut(trouble)


# -- Lightning ---------------------------------------------------------------------------------------------------


def oddly(upset: Upset) -> Callable[[Times], ScriptedLightning]:
    return lambda _times: tone_lightning(upset, after_ms=500)


async def one_broken_message(line: Line, _asked: Message) -> bool:
    await line.send('{"status":"chunk","data":{"audio":')
    return True


async def broken_messages_but_not_in_a_row(line: Line, asked: Message) -> bool:
    for _ in range(5):
        await line.send("garbage")
        await line.send({"status": "metrics", "request_id": asked["request_id"]})
    return True


async def news_of_tomorrow(line: Line, asked: Message) -> bool:
    await line.send({"status": "visemes", "data": {"shapes": [7, 8]}, "request_id": asked["request_id"]})
    await line.send({"type": "billing", "charged": {"units": 3}})
    return True


async def audio_for_somebody_else(line: Line, _asked: Message) -> bool:
    await line.chunk(b"\x10\x90" * 4000, {"request_id": "somebody-else"})
    return True


def pcm_at_16k(mulaw: bytes) -> bytes:
    resampler = Resampler(8000, 16000)
    pcm = resampler.feed(mulaw_decode(mulaw)) + resampler.flush()
    return wav_header(AudioFormat(Encoding.PCM16, 16000)) + pcm


ROWS: Final = {
    "slices of one byte": Row(network=slow(slice_bytes=1, sliced_bytes=1500), wait_s=SLOW_S),
    "latency": Row(network=slow(delay_s=LATENCY_S), wait_s=2 * LATENCY_S),
    "latency, handshake and all": Row(
        network=slow(delay_s=LATENCY_S), wait_s=4 * LATENCY_S, config={"spare_connections": 0}
    ),
    "a line just wide enough": Row(network=slow(bytes_per_s=25_000)),
    "spares that are dead, in good order": Row(network=dead_spares(Trouble.FIN)),
    "spares that are dead": Row(network=dead_spares(Trouble.RST)),
    "a slow first byte": Row(options=lambda _: paced(first_byte_ms=SLOW_S * 1000), wait_s=SLOW_S),
    "a first byte so late that another is asked": Row(
        network=on_the_way_back(Trouble.STALL, AT_FIRST_BYTES, once=True),
        wait_s=SLOW_S,
        config={"hedge_after_s": SLOW_S},
        counted={"hedges": 1, "hedges_won": 1},
    ),
    "PCM instead of mu-law": Row(options=lambda _: paced(answer_pcm=True), counted={"pcm_answers": 2}),
    "PCM cut in the middle of samples": Row(
        options=lambda _: paced(answer_pcm=True, odd_chunks=True), counted={"pcm_answers": 2}
    ),
    "mu-law of any size": Row(options=lambda _: paced(odd_chunks=True)),
    "a WAV header": Row(options=lambda _: paced(wav_header=True), counted={"wav_answers": 2}),
    "a WAV header before PCM, cut anywhere": Row(
        options=lambda _: paced(wav_header=True, answer_pcm=True, odd_chunks=True),
        counted={"wav_answers": 2, "pcm_answers": 2},
    ),
    "a WAV header of another rate": Row(
        scripted=lambda _: tone_lightning(encode=pcm_at_16k), counted={"wav_answers": 2, "pcm_answers": 2}
    ),
    "a message that cannot be read": Row(
        scripted=oddly(one_broken_message), counted={"malformed_messages": 2}
    ),
    "many of them, but not in a row": Row(
        scripted=oddly(broken_messages_but_not_in_a_row), counted={"malformed_messages": 10}
    ),
    "messages that nobody knows": Row(scripted=oddly(news_of_tomorrow), counted={"unknown_messages": 4}),
    "audio for somebody else": Row(scripted=oddly(audio_for_somebody_else), counted={"foreign_chunks": 2}),
    "a socket for every synthesis": Row(options=lambda _: paced(close_after_complete=True)),
}


@pytest.fixture(scope="module")
def results(request: pytest.FixtureRequest) -> dict[str, Result | BaseException]:
    return side_by_side({name: partial(call_under, ROWS[name]) for name in selected(request, "name")})


@pytest.mark.parametrize("name", ROWS)
def test_the_caller_notices_nothing(results: dict[str, Result | BaseException], name: str) -> None:
    row, result = ROWS[name], came_to(results, name)
    heard, stats = result.heard, result.stats
    assert heard.text == heard.text_by(VOICE) == f"{FIRST} {SECOND}"
    assert (heard.broken_off, heard.repeated, heard.apologised) == ([], [], False)
    assert heard.silence_ms <= row.wait_s * 1000 + heard.allowance_ms
    assert result.told_whole == [FIRST, SECOND]
    assert (stats.retries, stats.fallbacks, stats.speech_failures) == (0, 0, 0)
    assert {counter: getattr(stats, counter) for counter in row.counted} == row.counted
    assert result.units_in_use == 0
