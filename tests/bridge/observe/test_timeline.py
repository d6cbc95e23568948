"""The timeline: bounded, followed live, and plain data to the last entry."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from bridge.observe import timeline as tl
from bridge.observe.timeline import Entry, Timeline

EXAMPLES: list[tuple[Entry, str]] = [
    (
        tl.CallStarted(at_ms=0, carrier="twilio", call_id="CA1", from_number="+1", to_number="+2"),
        '{"kind":"call_started","at_ms":0.0,"carrier":"twilio","call_id":"CA1","from_number":"+1","to_number":"+2"}',
    ),
    (
        tl.SpeakingAsked(at_ms=1.5, utterance=1, text="Grüß “dich”"),
        '{"kind":"speaking_asked","at_ms":1.5,"utterance":1,"text":"Grüß “dich”"}',
    ),
    (
        tl.FirstAudio(at_ms=2, utterance=1, after_ms=0.5),
        '{"kind":"first_audio","at_ms":2.0,"utterance":1,"after_ms":0.5,"lightning_ms":null}',
    ),
    (
        tl.SpeakingEnded(at_ms=3, utterance=1, heard_ms=1, total_ms=2, heard_text="Hi", by="digit"),
        '{"kind":"speaking_ended","at_ms":3.0,"utterance":1,"heard_ms":1.0,"total_ms":2.0,"heard_text":"Hi","by":"digit"}',
    ),
    (
        tl.BargeIn(at_ms=3, by="speech", dropped_ms=1, onset_ms=2),
        '{"kind":"barge_in","at_ms":3.0,"by":"speech","dropped_ms":1.0,"onset_ms":2.0}',
    ),
    (
        tl.CallerSpoke(at_ms=4, start_ms=2, end_ms=3, text="Hello?"),
        '{"kind":"caller_spoke","at_ms":4.0,"start_ms":2.0,"end_ms":3.0,"text":"Hello?"}',
    ),
    (tl.Backchannel(at_ms=4, text="uh-huh"), '{"kind":"backchannel","at_ms":4.0,"text":"uh-huh"}'),
    (
        tl.Resumed(at_ms=4, utterance=2, heard_ms=640),
        '{"kind":"resumed","at_ms":4.0,"utterance":2,"heard_ms":640.0}',
    ),
    (
        tl.TurnTimed(at_ms=9, turn=1, speech_end_ms=2, transcript_ms=3, token_ms=4, audio_ms=5, audible_ms=9),
        '{"kind":"turn","at_ms":9.0,"turn":1,"speech_end_ms":2.0,"transcript_ms":3.0,"token_ms":4.0,'
        '"audio_ms":5.0,"audible_ms":9.0,"outcome":"answered"}',
    ),
    (
        tl.ToolRan(at_ms=5, name="book_table", took_ms=12.5, outcome="done"),
        '{"kind":"tool","at_ms":5.0,"name":"book_table","took_ms":12.5,"outcome":"done"}',
    ),
    (
        tl.ThinkingFailed(at_ms=5, failure="hung"),
        '{"kind":"thinking_failed","at_ms":5.0,"failure":"hung"}',
    ),
    (
        tl.BudgetSpent(at_ms=5, limit="tokens_per_call"),
        '{"kind":"budget_spent","at_ms":5.0,"limit":"tokens_per_call"}',
    ),
    (tl.DigitPressed(at_ms=5, digit="#"), '{"kind":"digit","at_ms":5.0,"digit":"#"}'),
    (tl.DigitsSent(at_ms=5, digits="12#"), '{"kind":"digits_sent","at_ms":5.0,"digits":"12#"}'),
    (
        tl.MessageTaken(at_ms=5, ms=2500, by="silence"),
        '{"kind":"message","at_ms":5.0,"ms":2500,"by":"silence"}',
    ),
    (tl.Transferred(at_ms=5, to="+1555"), '{"kind":"transferred","at_ms":5.0,"to":"+1555"}'),
    (tl.LineLost(at_ms=5), '{"kind":"line_lost","at_ms":5.0}'),
    (tl.LineResumed(at_ms=6), '{"kind":"line_resumed","at_ms":6.0}'),
    (tl.FillerPlayed(at_ms=5, utterance=1), '{"kind":"filler","at_ms":5.0,"utterance":1}'),
    (
        tl.VoiceFailed(at_ms=6, error="TimedOut: late"),
        '{"kind":"voice_failed","at_ms":6.0,"error":"TimedOut: late"}',
    ),
    (
        tl.AgentFailed(at_ms=6, error="KeyError: 'x'"),
        '{"kind":"agent_failed","at_ms":6.0,"error":"KeyError: \'x\'"}',
    ),
    (tl.CallEnded(at_ms=7, reason="agent"), '{"kind":"call_ended","at_ms":7.0,"reason":"agent"}'),
]


def digit(number: int) -> tl.DigitPressed:
    return tl.DigitPressed(at_ms=number, digit=str(number))


@pytest.mark.parametrize("entry, wire", EXAMPLES, ids=lambda value: type(value).__name__)
def test_entries_are_plain_data(entry: Entry, wire: str) -> None:
    assert msgspec.json.decode(msgspec.json.encode(entry)) == msgspec.json.decode(wire)
    assert msgspec.json.decode(wire, type=Entry) == entry


def test_there_is_an_example_of_every_kind() -> None:
    assert {type(entry) for entry, _ in EXAMPLES} == set(get_args(Entry))


def test_a_whole_timeline_is_told_as_one_list() -> None:
    timeline = Timeline()
    for entry, _ in EXAMPLES:
        timeline.add(entry)
    wire = msgspec.json.encode(list(timeline))
    assert msgspec.json.decode(wire, type=list[Entry]) == [entry for entry, _ in EXAMPLES]


def test_what_has_happened_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        digit(1).digit = "2"  # type: ignore[misc]


def test_it_keeps_the_newest_and_counts_what_it_forgot() -> None:
    timeline = Timeline(max_entries=3)
    for number in range(5):
        timeline.add(digit(number))
        assert timeline.forgotten == max(0, number - 2)
    assert list(timeline) == [digit(2), digit(3), digit(4)]
    assert len(timeline) == 3


def test_by_default_it_is_bounded_too() -> None:
    timeline = Timeline()
    for number in range(tl.MAX_ENTRIES + 7):
        timeline.add(digit(number))
    assert (len(timeline), timeline.forgotten) == (tl.MAX_ENTRIES, 7)


def test_who_follows_gets_every_later_entry_in_order() -> None:
    timeline = Timeline(max_entries=1)
    first: list[Entry] = []
    second: list[Entry] = []
    timeline.add(digit(0))
    timeline.follow(first.append)
    timeline.add(digit(1))
    timeline.follow(second.append)
    timeline.add(digit(2))
    assert (first, second) == ([digit(1), digit(2)], [digit(2)])


def test_it_can_be_read_while_it_grows() -> None:
    timeline = Timeline()
    seen: list[int] = []

    def reads(_entry: Entry) -> None:
        seen.append(len(list(timeline)))

    timeline.follow(reads)
    for number in range(3):
        timeline.add(digit(number))
    assert seen == [1, 2, 3]
