"""What happened, put together from both ends of a call."""

from __future__ import annotations

import pytest

from bridge.emulators import recording as ear
from bridge.emulators.call_report import CallReport, Outcome
from bridge.observe import timeline as tl
from bridge.rehearsal.cast import Part
from bridge.rehearsal.facts import Facts, Said, Taken, ToolCall, facts_of, sounds
from tests.support.rehearsal import call, said, turn

LOUD, QUIET = b"\x20\xa0" * 80, b"\xff" * 160
#: The bridge's clock began so much after the caller had dialled.
OFFSET_MS = 50.0


def report(outcome: Outcome = Outcome.HUNG_UP, *entries: ear.Entry, detail: str = "as planned") -> CallReport:
    made = CallReport("CA1", outcome, detail)
    made.recording.began_ms = 40.0
    made.recording.heard += QUIET * 10 + LOUD * 5
    made.recording.actions += [(100.0, 400.0), (500.0, None)]
    for entry in entries:
        made.recording.note(entry)
    return made


TIMELINE: list[tl.Entry] = [
    tl.CallStarted(at_ms=0, carrier="twilio", call_id="CA1"),
    tl.SpeakingAsked(at_ms=10, utterance=1, text="Hello there."),
    tl.FirstAudio(at_ms=30, utterance=1, after_ms=20),
    tl.SpeakingEnded(at_ms=90, utterance=1, heard_ms=60, total_ms=80, heard_text="Hello", by="speech"),
    tl.TurnTimed(at_ms=700, turn=1, speech_end_ms=300, transcript_ms=None, audible_ms=700),
    tl.ToolRan(at_ms=500, name="book", took_ms=12, outcome="done"),
    tl.DigitsSent(at_ms=510, digits="12"),
    tl.Transferred(at_ms=520, to="+15550100009"),
    tl.SpeakingAsked(at_ms=530, utterance=2, text="Bye."),
    tl.SpeakingEnded(at_ms=540, utterance=2, heard_ms=0, total_ms=80, heard_text="", by="ended"),
    tl.AgentFailed(at_ms=545, error="KeyError: 'x'"),
    tl.CallEnded(at_ms=550, reason="transferred"),
]
PARTS = [Part(QUIET * 15, "hi", 0, 250), Part()]


def test_everything_is_on_the_callers_clock() -> None:
    hung_up = ear.HungUp(at_ms=340, reason="as planned")
    assert facts_of(TIMELINE, report(Outcome.HUNG_UP, hung_up), PARTS, OFFSET_MS) == Facts(
        taken=(Taken(100, 400, 350), Taken(500, None, None)),
        said=(Said(60, 80, 140, "Hello", 60, 80, "speech"), Said(580, None, 590, "", 0, 80)),
        sounds_ms=(240,),
        turns=(tl.TurnTimed(at_ms=750, turn=1, speech_end_ms=350, audible_ms=750),),
        tools=(ToolCall(550, "book", "done"),),
        digits_sent=((560, "12"),),
        transferred_to="+15550100009",
        ended_by="transfer",
        ending="the caller hung up, as planned",
        agent_failed="KeyError: 'x'",
        began_ms=40,
        ended_ms=340,
        notes=(
            (550, "tool book: done, 12 ms"),
            (560, "presses 12"),
            (570, "transfers the caller to +15550100009"),
            (595, "the agent's code failed: KeyError: 'x'"),
        ),
    )


@pytest.mark.parametrize(
    "reason, who",
    [("agent", "agent"), ("carrier", "caller"), ("transferred", "transfer"), ("flood", "flood")],
)
def test_who_ended_it(reason: str, who: str) -> None:
    assert facts_of([tl.CallEnded(at_ms=1, reason=reason)], report(), [], 0).ended_by == who


@pytest.mark.parametrize(
    "timeline, made, failure, ending",
    [
        ([], report(Outcome.WEBHOOK_REFUSED, detail="503"), "webhook refused: 503", "503"),
        ([], report(), "hung up: as planned", "the bridge ended it as planned"),
        ([tl.CallEnded(at_ms=1, reason="flood")], report(), "", "the bridge ended it as planned"),
        ([tl.CallEnded(at_ms=1, reason="agent")], report(), "", "the agent hung up"),
        ([tl.CallEnded(at_ms=1, reason="transferred")], report(), "", "the caller was handed on"),
    ],
)
def test_a_call_that_was_none(timeline: list[tl.Entry], made: CallReport, failure: str, ending: str) -> None:
    facts = facts_of(timeline, made, [], 0)
    assert (facts.failure, facts.ending) == (failure, ending)


@pytest.mark.parametrize(
    "heard, began",
    [
        (b"", []),
        (QUIET * 20, []),
        (LOUD * 5, [1000]),
        (QUIET * 3 + LOUD * 5 + QUIET * 9 + LOUD, [1060]),
        (QUIET * 3 + LOUD * 5 + QUIET * 10 + LOUD + b"\x20", [1060, 1360]),
    ],
)
def test_sounds_begin_after_a_pause(heard: bytes, began: list[float]) -> None:
    assert list(sounds(heard, 1000)) == began


def test_a_step_is_answered_until_the_next_one_begins() -> None:
    facts = call()
    assert [facts.window(number) for number in (None, 0, 1)] == [
        (0, 2000),
        (2000, 5000),
        (5000, float("inf")),
    ]
    assert call(taken=()).window(None) == (0, float("inf"))
    assert [s.text for s in facts.said_in((2000, 5000))] == ["And when?"]


@pytest.mark.parametrize(
    "facts, waits",
    [
        (call(), [150, 800, 900]),
        # The bridge knows better: a filler is no answer.
        (call(turns=(turn(2900, 4900), turn(5900, 6000))), [150, 2000, 100]),
        # Not of another step, and not one that was not answered.
        (call(turns=(turn(5900, 6000), turn(2900, None))), [150, 800, 100]),
        (call(sounds_ms=()), [None, None, None]),
        (call(sounds_ms=(2500, 5100)), [None, None, None]),
        # What is no speech is over when it is over; what broke off is not.
        (call(taken=(Taken(2000, 3000), Taken(5000, None))), [150, 700, None]),
    ],
)
def test_how_long_the_caller_waited(facts: Facts, waits: list[float | None]) -> None:
    assert [facts.wait_ms(number) for number in (None, 0, 1)] == waits


@pytest.mark.parametrize(
    "utterance, cut",
    [
        (said("Hel", 500, 2200, "speech"), True),
        (said("Hel", 500, 2200, "digit"), True),
        (said("Hello", 500, 2200), False),
        # Asked for in answer to the step; over before it; over only after the next one.
        (said("Hel", 2000, 2200, "speech"), False),
        (said("Hel", 500, 1900, "speech"), False),
        (said("Hel", 500, 5000, "speech"), False),
    ],
)
def test_what_a_step_has_cut_short(utterance: Said, cut: bool) -> None:
    assert call(said=(utterance,)).cut_by(0) == (utterance if cut else None)
