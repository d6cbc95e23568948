"""The caller interrupts at any moment of an utterance, whatever Lightning is doing then: nothing stale is ever heard.

The caller presses a key in the first text; then the second is said. What is heard is the beginning of the first, up
to the `clear`, and after that the second from its first word, whole; even when Lightning goes on talking.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Final

import pytest

from bridge.emulators.caller_script import Cue, Press
from bridge.emulators.carrier_buffer import SLOT_BYTES, SLOT_MS
from bridge.emulators.recording import ClearReceived
from bridge.media.heard import Heard
from telephony_codecs.formats import MULAW_8K
from tests.support.failing_calls import (
    AMPLE_S,
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
from tests.support.hearing import FIRST, SECOND, hearing_of
from tests.support.scripted_lightning import Line
from tests.support.scripted_socket import Message
from tests.support.scripted_tones import tone_lightning

#: Far from both ends of what it falls into, whatever the machine does.
A_WHILE_S: Final = 0.35
LONG_S: Final = 0.7
#: What `heard` and what was heard may differ by: the carrier's buffer and the way there.
HEARD_WITHIN_MS: Final = 200.0


@dataclass(frozen=True, kw_only=True)
class Row(Circumstances):
    """A moment."""

    deadline_s: float = AMPLE_S
    cue: Cue
    #: Whether words of the first text are heard.
    speaking: bool = True
    #: How long the second text may be held up by what happened to the first.
    wait_s: float = 0.0


def after_speech_of(ms: float) -> Cue:
    return Cue(after_bridge_speaks_ms=ms)


AFTER_A_WHILE: Final = Cue(at_s=A_WHILE_S)


def delayed(network: FaultProxy, _times: Times) -> None:
    network.up.delay_s = LONG_S / 2


async def busy(line: Line, asked: Message) -> bool:
    await line.error(asked, message="Too many requests", error_code="RATE_LIMITED")
    return False


ROWS: Final = {
    "while it connects": Row(
        cue=AFTER_A_WHILE,
        speaking=False,
        wait_s=2 * LONG_S,
        network=delayed,
        config={"spare_connections": 0},
    ),
    "while it waits for the first byte": Row(
        cue=AFTER_A_WHILE,
        speaking=False,
        wait_s=LONG_S,
        options=lambda _: paced(first_byte_ms=LONG_S * 1000),
    ),
    "while two are asked": Row(
        cue=AFTER_A_WHILE,
        speaking=False,
        wait_s=LONG_S,
        options=lambda _: paced(first_byte_ms=LONG_S * 1000),
        config={"hedge_after_s": 0.1},
    ),
    "while it waits before the retry": Row(
        cue=AFTER_A_WHILE, speaking=False, scripted=lambda _: tone_lightning(busy, times=1)
    ),
    "with the first packet": Row(cue=after_speech_of(20)),
    "early": Row(cue=after_speech_of(200)),
    "in the middle": Row(cue=after_speech_of(700)),
    "late, when all has arrived": Row(cue=after_speech_of(1300)),
    "while audio comes no faster than it is heard": Row(
        cue=after_speech_of(700), options=lambda _: paced(realtime_factor=1.2)
    ),
    "when all came at once": Row(cue=after_speech_of(700), options=lambda _: paced(realtime_factor=0.0)),
    "and Lightning goes on, early": Row(
        cue=after_speech_of(100), options=lambda _: paced(realtime_factor=1.5, late_chunks_after_cancel=9)
    ),
    "and Lightning goes on": Row(
        cue=after_speech_of(600), options=lambda _: paced(realtime_factor=1.2, late_chunks_after_cancel=9)
    ),
    "and what goes on comes late": Row(
        cue=after_speech_of(500),
        options=lambda _: paced(realtime_factor=1.5, late_chunks_after_cancel=9),
        network=delayed,
        wait_s=LONG_S,
    ),
    "and Lightning never stops": Row(
        cue=after_speech_of(500), options=lambda _: paced(realtime_factor=1.5, late_chunks_after_cancel=999)
    ),
    "while it stalls": Row(cue=after_speech_of(300), network=on_the_way_back(Trouble.STALL, 6000, once=True)),
    "while it is cut off": Row(
        cue=after_speech_of(300), network=on_the_way_back(Trouble.RST, 6000, once=True)
    ),
}


@pytest.fixture(scope="module")
def results(request: pytest.FixtureRequest) -> dict[str, Result | BaseException]:
    return side_by_side(
        {
            name: partial(call_under, ROWS[name], Press("5", ROWS[name].cue))
            for name in selected(request, "name")
        }
    )


@pytest.mark.parametrize("name", ROWS)
def test_what_was_interrupted_is_never_heard_again(
    results: dict[str, Result | BaseException], name: str
) -> None:
    row, result = ROWS[name], came_to(results, name)
    recording = result.report.recording
    (clear,) = result.report.of(ClearReceived)
    slots = ceil(
        (clear.at_ms - recording.began_ms) / SLOT_MS
    )  # the one that is being played is played to its end
    at = slots * SLOT_BYTES
    before, after = hearing_of(result.report.heard[:at]), hearing_of(result.report.heard[at:])
    assert FIRST.startswith(before.text)
    assert len(before.text) < len(FIRST)
    assert bool(before.words) == row.speaking
    assert after.text == SECOND
    assert (after.broken_off, after.repeated, after.apologised) == ([], [], False)
    assert after.silence_ms <= row.wait_s * 1000 + result.heard.allowance_ms
    first, second = result.told
    assert isinstance(first, Heard)
    assert first.by == "digit"
    assert first.ms <= MULAW_8K.ms_in(at) + HEARD_WITHIN_MS
    assert result.told_whole == [SECOND]
    assert result.units_in_use == 0
