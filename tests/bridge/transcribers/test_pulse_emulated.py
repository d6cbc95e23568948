"""Pulse's client and the emulated Pulse, each of its faults on the first socket: the words come all the same."""

from __future__ import annotations

import pytest

from bridge.config import PulseConfig, Secret
from bridge.emulators.pulse import EmulatedPulse
from bridge.emulators.pulse_options import PulseEmulatorOptions
from bridge.emulators.scripted_words import ScriptedWords
from bridge.observe.stats import TranscriberStats
from bridge.transcribers.pulse import Pace, Pulse
from bridge.transcribers.transcriber import Transcript
from telephony_codecs.formats import MULAW_8K
from tests.support.waiting import until

SOUND = b"\x00\x80" * 80
SILENCE = MULAW_8K.silence(20)
QUICK = Pace(finalize_s=0.3, backoff_s=(0.001, 0.01), busy_s=(0.001, 0.01))


@pytest.mark.parametrize(
    "options",
    [
        PulseEmulatorOptions(),
        PulseEmulatorOptions.realistic(),
        PulseEmulatorOptions(faulty_sockets=1, close_at_once=True),
        PulseEmulatorOptions(faulty_sockets=1, refuse=503),
        PulseEmulatorOptions(faulty_sockets=1, hang=True),
        PulseEmulatorOptions(faulty_sockets=1, ignore_finalize=True),
        PulseEmulatorOptions(faulty_sockets=1, garbage=True),
        PulseEmulatorOptions(faulty_sockets=1, flood=1000),
        PulseEmulatorOptions(faulty_sockets=1, drop_after_ms=500),
        PulseEmulatorOptions(faulty_sockets=1, error_after_ms=500),
    ],
    ids=PulseEmulatorOptions.describe,
)
async def test_the_words_come(options: PulseEmulatorOptions) -> None:
    async with EmulatedPulse(options, ScriptedWords(["a table for four"])) as server:
        pulse = Pulse(PulseConfig(base_url=server.url, api_key=Secret("k")), TranscriberStats(), pace=QUICK)
        told: list[Transcript] = []
        call = pulse.open("call-1", told.append)
        for frame in [SOUND] * 60 + [SILENCE] * 10:
            call.push(frame)
        call.finalize()
        await until(lambda: any(transcript.finalised for transcript in told))
        assert " ".join(t.text for t in told if t.final and t.text) == "a table for four"
        assert call.able
        await pulse.close()
