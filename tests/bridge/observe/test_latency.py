"""How long callers wait: one record a turn, its parts in order, and what became of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.observe.latency import MAX_RECORDS, TurnClock, in_words
from bridge.observe.stats import AgentStats
from bridge.observe.timeline import TurnTimed


class Clock(TurnClock):
    """And what it told."""

    def __init__(self) -> None:
        self.stats, self.told = AgentStats(), list[TurnTimed]()
        super().__init__(self.stats, self.told.append)


def answered(clock: Clock, at_ms: float) -> None:
    clock.token(at_ms)
    clock.audio(at_ms + 200)
    clock.audible(at_ms + 250)


def test_a_turn_that_is_answered_is_one_record_with_all_its_parts() -> None:
    clock = Clock()
    clock.turn(1000, 1210, 1600)
    assert clock.waiting == 1
    for at_ms in (1900, 2000):
        clock.token(at_ms)
    for at_ms in (2100, 2150):
        clock.audio(at_ms)
    clock.audible(2142)
    assert clock.told == list(clock.records)
    assert clock.told == [
        TurnTimed(at_ms=2142, turn=1, speech_end_ms=1000, transcript_ms=1210, token_ms=1900, audio_ms=2100,
                  audible_ms=2142)
    ]  # fmt: skip
    assert clock.waiting == 0
    stats = clock.stats
    assert stats.turns == {"answered": 1}
    sums = (stats.transcript, stats.first_token, stats.first_audio, stats.response)
    assert [each.sum_s for each in sums] == pytest.approx([0.21, 0.3, 0.2, 1.142])


def test_what_is_said_between_turns_answers_nobody() -> None:
    clock = Clock()
    answered(clock, 0)
    clock.turn(1000, None, 1600)
    answered(clock, 1700)
    answered(clock, 3000)
    assert [(turn.turn, turn.token_ms) for turn in clock.told] == [(1, 1700)]


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (lambda clock: clock.close(5000), "unanswered"),
        (lambda clock: clock.turn(4000, None, 5000), "unanswered"),
        (lambda clock: (clock.token(4500), clock.turn(4000, None, 5000)), "interrupted"),
        (lambda clock: clock.interrupted(5000), "interrupted"),
        (lambda clock: clock.failed(5000), "failed"),
    ],
)
def test_a_turn_that_is_not_answered_says_why_and_is_in_no_histogram_of_answers(
    end: Callable[[Clock], object], outcome: str
) -> None:
    clock = Clock()
    clock.turn(1000, None, 1600)
    end(clock)
    assert [(turn.outcome, turn.audible_ms, turn.at_ms) for turn in clock.told] == [(outcome, None, 5000)]
    assert sum(clock.stats.response.counts) == sum(clock.stats.first_token.counts) == 0


def test_an_eager_agents_token_counts_and_costs_the_caller_nothing() -> None:
    clock = Clock()
    clock.token(1500)
    clock.turn(1000, 1300, 1600)
    clock.audio(1800)
    clock.audible(1800)
    assert clock.told[0].token_ms == 1500
    assert clock.stats.first_token.sum_s == 0
    assert clock.stats.first_audio.sum_s == pytest.approx(0.2), "nothing is asked of Lightning before"


def test_the_token_of_a_turn_that_was_not_over_is_void() -> None:
    clock = Clock()
    clock.token(1500)
    clock.went_on()
    clock.turn(1400, 2900, 3000)
    assert clock.waiting
    answered(clock, 3100)
    assert clock.told[0].token_ms == 3100


def test_a_token_from_before_the_caller_was_done_is_of_something_else() -> None:
    clock = Clock()
    clock.token(200)
    clock.token(1500)
    clock.turn(1000, 1300, 1600)
    answered(clock, 1700)
    assert clock.told[0].token_ms == 1500


def test_nothing_is_told_after_the_call() -> None:
    clock = Clock()
    clock.close(10)
    clock.turn(1000, None, 1600)
    answered(clock, 1700)
    assert clock.told == []


def test_a_long_call_keeps_its_newest_records() -> None:
    clock = Clock()
    for number in range(MAX_RECORDS + 3):
        clock.turn(number, None, number)
        clock.failed(number)
    assert [clock.records[0].turn, len(clock.records)] == [4, MAX_RECORDS]


STEPS = st.lists(
    st.sampled_from(["turn", "token", "went_on", "audio", "audible", "interrupted", "failed"]), max_size=40
)


@given(STEPS)
def test_whatever_happens_each_turn_is_told_once_and_in_order(steps: list[str]) -> None:
    clock, given_turns = Clock(), 0
    for now_ms, step in enumerate(steps):
        if step == "turn":
            given_turns += 1
            clock.turn(now_ms - 0.5, None, now_ms)
        elif step == "went_on":
            clock.went_on()
        else:
            getattr(clock, step)(now_ms)
    clock.close(len(steps))
    assert [turn.turn for turn in clock.told] == list(range(1, given_turns + 1))
    assert clock.stats.turns.total() == given_turns
    for turn in clock.told:
        moments = (turn.speech_end_ms, turn.token_ms, turn.audio_ms, turn.audible_ms)
        assert all(at_ms is None or at_ms >= turn.speech_end_ms for at_ms in moments)
        assert (turn.audible_ms is not None) is (turn.outcome == "answered")


@pytest.mark.parametrize(
    ("turn", "line"),
    [
        (
            TurnTimed(at_ms=0, turn=3, speech_end_ms=1000, transcript_ms=1210, token_ms=1480, audio_ms=1690,
                      audible_ms=1742.4),
            "speech end +0, transcript 210, token 480, audio 690, audible 742 ms",
        ),
        (
            TurnTimed(at_ms=0, turn=3, speech_end_ms=1000, token_ms=1480, outcome="interrupted"),
            "speech end +0, token 480 ms; interrupted",
        ),
        (TurnTimed(at_ms=0, turn=3, speech_end_ms=1000, outcome="failed"), "speech end +0; failed"),
    ],
)  # fmt: skip
def test_a_line_of_the_log(turn: TurnTimed, line: str) -> None:
    assert in_words(turn) == line
