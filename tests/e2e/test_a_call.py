"""One call, all the way, over real sockets: what the caller hears and what the agent learns."""

from __future__ import annotations

import pytest

from bridge.emulators.call_report import Outcome
from bridge.emulators.caller_script import Cue, Press, Utterance
from bridge.emulators.lightning_options import EmulatorOptions
from bridge.emulators.recording import ClearReceived
from bridge.errors import CallEnded
from bridge.media.heard import Heard
from bridge.observe import timeline as tl
from bridge.prompts import apology
from telephony_codecs.formats import MULAW_8K
from tests.support import agents
from tests.support.bridge import stage
from tests.support.hearing import sent_to
from tests.support.tone_words import spoken

PRESS_5 = Press("5", Cue(after_bridge_speaks_ms=400))


def told(call_id: str) -> list[object]:
    return agents.log.pop(call_id)


async def test_the_caller_hears_lightnings_bytes_and_nothing_else() -> None:
    async with stage("tests.support.agents:says_hello") as s:
        report = await s.call()
    assert report.outcome is Outcome.BRIDGE_CLOSED
    assert report.close_code == 1000
    assert [str(verb) for verb in report.verbs] == ["<Hangup>"] or "Hangup" in str(report.verbs[0])
    wanted = spoken("Hello from the bridge.")
    sent = sent_to(report)
    assert sent[: len(wanted)] == wanted, "mu-law passes through bit by bit"
    assert set(sent[len(wanted) :]) <= {0xFF}
    assert all(len(arrival.payload) == 160 for arrival in report.recording.arrivals)
    assert s.lightning.stats.last_request["output_format"] == "ulaw"
    assert s.lightning.stats.last_request["sample_rate"] == 8000
    (heard,) = told(report.call_sid)
    assert isinstance(heard, Heard)
    assert heard.text == "Hello from the bridge."
    assert not heard.interrupted
    assert heard.ms == heard.total_ms == round(MULAW_8K.ms_in(len(wanted)))


async def test_a_digit_stops_it_and_the_agent_learns_what_was_heard() -> None:
    async with stage("tests.support.agents:says_long") as s:
        report = await s.call(PRESS_5)
    (clear,) = report.of(ClearReceived)
    assert [a for a in report.recording.arrivals if a.at_ms > clear.at_ms] == [], "nothing after the clear"
    (heard,) = told(report.call_sid)
    assert isinstance(heard, Heard)
    assert heard.by == "digit"
    assert heard.text
    assert agents.LONG.startswith(heard.text)
    assert len(heard.text) < len(agents.LONG) / 2
    assert heard.ms < heard.total_ms
    really_heard_ms = MULAW_8K.ms_in(len(report.heard.rstrip(b"\xff")))
    assert heard.ms <= really_heard_ms + 200
    assert s.server.runtime.stats.barge_ins == {"digit": 1}
    assert s.lightning.stats.active == 0, "the unit is free"


async def test_no_byte_of_the_old_utterance_reaches_the_next() -> None:
    options = EmulatorOptions(late_chunks_after_cancel=5, realtime_factor=8)
    async with stage("tests.support.agents:answers_twice", lightning=options) as s:
        report = await s.call(PRESS_5)
    (clear,) = report.of(ClearReceived)
    after = b"".join(a.payload for a in report.recording.arrivals if a.at_ms > clear.at_ms)
    second = spoken("Second utterance.")
    assert after[: len(second)] == second
    assert set(after[len(second) :]) <= {0xFF}
    first, last = told(report.call_sid)
    assert isinstance(first, Heard)
    assert isinstance(last, Heard)
    assert (first.interrupted, last.interrupted) == (True, False)


@pytest.mark.parametrize(
    "agent, text",
    [
        ("cannot_be_interrupted", "This must be heard whole."),
        ("only_speech_interrupts", "Keys do nothing to this sentence."),
    ],
)
async def test_what_may_not_interrupt_does_not(agent: str, text: str) -> None:
    async with stage(f"tests.support.agents:{agent}") as s:
        report = await s.call(PRESS_5)
    assert report.of(ClearReceived) == []
    assert told(report.call_sid) == [s.the_call.heard]
    assert s.the_call.heard.text == text
    assert s.the_call.digits == "5", "the key is there for whoever gathers it"


async def test_a_voice_stops_it(caller_voice: bytes) -> None:
    speaks = Utterance.from_wav(caller_voice, Cue(after_bridge_speaks_ms=1000))
    async with stage("tests.support.agents:says_long") as s:
        report = await s.call(speaks)
    (heard,) = told(report.call_sid)
    assert isinstance(heard, Heard)
    assert heard.by == "speech"
    assert len(report.of(ClearReceived)) == 1


async def test_the_greeter_greets_stops_and_answers_the_silence(caller_voice: bytes) -> None:
    options = {"greeting": agents.LONG, "reply": "I have heard you.", "goodbye_after_s": 1.0}
    speaks = Utterance.from_wav(caller_voice, Cue(after_bridge_speaks_ms=1000))
    async with stage(sections={"agent": {"options": options}}) as s:
        report = await s.call(speaks)
    assert report.outcome is Outcome.BRIDGE_CLOSED
    said = [entry for entry in s.the_call.timeline if isinstance(entry, tl.SpeakingEnded)]
    assert [entry.by for entry in said] == ["speech", ""]
    assert said[1].heard_text == "I have heard you."
    assert any(isinstance(entry, tl.CallerSpoke) for entry in s.the_call.timeline)


async def test_text_that_streams_in_is_spoken_sentence_by_sentence() -> None:
    async with stage("tests.support.agents:streams") as s:
        report = await s.call()
    (heard,) = told(report.call_sid)
    assert isinstance(heard, Heard)
    assert heard.text == "Text that streams in. Sentence by sentence it is spoken."
    assert list(s.lightning.stats.texts)[0].strip() == "Text that streams in."


async def test_a_long_text_is_one_utterance_without_a_gap() -> None:
    async with stage("tests.support.agents:says_long", lightning=EmulatorOptions(realtime_factor=10)) as s:
        report = await s.call(hang_up_after_s=40)
    assert s.lightning.stats.requests > 1
    assert s.the_call.heard.text == agents.LONG
    assert s.server.runtime.stats.playout.underruns == 0
    told(report.call_sid)


async def test_keys_are_gathered() -> None:
    async with stage("tests.support.agents:gathers") as s:
        report = await s.call(Press("1234", Cue(after_bridge_silent_ms=200)))
    assert told(report.call_sid) == ["1234"]


async def test_a_prompt_plays_without_lightning() -> None:
    async with stage("tests.support.agents:plays", lightning=EmulatorOptions(refuse=503)) as s:
        report = await s.call()
    sent = sent_to(report)
    assert sent.startswith(apology().audio)
    (heard,) = told(report.call_sid)
    assert isinstance(heard, Heard)
    assert heard.text == apology().text


async def test_an_agent_that_waits_learns_that_the_call_has_ended() -> None:
    async with stage("tests.support.agents:waits_for_ever") as s:
        report = await s.call(hang_up_after_s=0.5)
        assert report.outcome is Outcome.HUNG_UP
    (error,) = told(report.call_sid)
    assert isinstance(error, CallEnded)
    assert s.the_call.ended == "carrier"


async def test_a_call_that_vanishes_is_ended_and_forgotten() -> None:
    from bridge.emulators.caller_plan import Misbehaviour

    async with stage("tests.support.agents:says_long") as s:
        await s.call(hang_up_after_s=0.5, misbehaviour=Misbehaviour(vanish=True))
        await s.server.runtime.drained()
        assert s.the_call.ended == "carrier_lost"
        assert not s.server.runtime.calls
        assert s.lightning.stats.active == 0
