"""A call that Hydra holds, over real sockets: a carrier, the bridge, an emulated Hydra."""

from __future__ import annotations

import logging

import pytest

from bridge.emulators.caller_script import Cue, Utterance
from bridge.emulators.hydra import EmulatedHydra
from bridge.emulators.hydra_options import HydraEmulatorOptions, HydraScript, Step
from bridge.observe import timeline as tl
from tests.support.bridge import API_KEY, Stage, stage
from tests.support.log import tracebacks
from tests.support.spoken import spoken

AGENT = "bridge.agents.hydra:agent"
ANSWER = "We are open from nine to five, every single day of the week."


def told(s: Stage) -> list[tuple[str, str]]:
    return [(e.heard_text, e.by) for e in s.the_call.timeline if isinstance(e, tl.SpeakingEnded)]


async def test_it_greets_answers_falls_silent_when_interrupted_and_hangs_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    options = HydraEmulatorOptions(api_key=API_KEY, realtime_factor=10.0, transcripts=True)
    script = HydraScript(greeting="Good day.", turns=[Step(say=ANSWER), Step(call="hang_up")])
    voice = spoken("Excuse me.")
    asks = Utterance.from_wav(voice, Cue(after_bridge_silent_ms=100))
    interrupts = Utterance.from_wav(voice, Cue(after_bridge_speaks_ms=600))
    async with (
        EmulatedHydra(options, script) as hydra,
        stage(AGENT, sections={"agent": {"options": {"base_url": hydra.url}}}) as s,
    ):
        report = await s.call(asks, interrupts)
        call, stats = s.the_call, s.server.runtime.stats
    assert report.ok
    assert call.ended == "agent"
    (greeting, _), (answer, by) = told(s)
    assert greeting == "Good day."
    assert ANSWER.startswith(answer)
    assert answer != ANSWER
    assert by == "speech"
    turns = [entry.outcome for entry in call.timeline if isinstance(entry, tl.TurnTimed)]
    assert turns[0] == "answered"
    assert len(turns) == 2
    assert stats.agents.tools == {"done": 1}
    assert stats.agents.failures == {}
    assert (hydra.stats.handshakes, hydra.stats.turns, hydra.stats.odd_sizes) == (1, 2, 0)
    assert API_KEY.reveal() not in caplog.text
    assert tracebacks(caplog) == []
