"""An utterance as the answer to a turn: heard at its first sound, by the playout's own clock."""

from __future__ import annotations

import pytest

from bridge.media.answer import Answer
from bridge.media.playout import Playout
from bridge.observe.latency import TurnClock
from bridge.observe.stats import AgentStats
from bridge.observe.timeline import TurnTimed
from telephony_codecs.formats import MULAW_8K

STARTED_S = 100.0
SOUND = b"\x90\x10" * MULAW_8K.bytes_in(200)


class Said:
    """A turn that waits, and an utterance that begins `at_s`."""

    def __init__(self) -> None:
        self.told: list[TurnTimed] = []
        self.turns = TurnClock(AgentStats(), self.told.append)
        self.turns.turn(1000, None, 1600)
        self.answer = Answer(self.turns, STARTED_S)
        self.playout = Playout(MULAW_8K)
        self.generation = self.playout.begin()

    def write(self, mulaw: bytes, now_s: float, *, made: bool = True) -> None:
        self.answer.written(mulaw, self.playout.written_ms, now_s, made=made)
        self.playout.write(self.generation, mulaw)

    def tick(self, now_s: float) -> None:
        self.playout.due(now_s)
        self.answer.heed(self.playout, now_s)


@pytest.mark.parametrize("silence_ms", [0, 80, 400])
def test_silence_at_its_beginning_is_waited_through(silence_ms: int) -> None:
    said = Said()
    said.write(MULAW_8K.silence(silence_ms) + SOUND, 102.0)
    for tick in range(40):
        said.tick(102.0 + tick * 0.02)
    (turn,) = said.told
    assert [turn.audio_ms, turn.audible_ms] == pytest.approx([2000, 2000 + silence_ms])


def test_a_filler_before_it_is_no_answer() -> None:
    said = Said()
    said.playout.write(said.generation, SOUND)  # 400 ms
    for tick in range(50):
        if tick == 15:
            said.write(SOUND, 102.3)
        said.tick(102.0 + tick * 0.02)
    (turn,) = said.told
    assert [turn.audio_ms, turn.audible_ms] == pytest.approx([2300, 2400])


def test_what_was_ready_has_nothing_of_lightning() -> None:
    said = Said()
    said.write(SOUND, 102.0, made=False)
    said.tick(102.0)
    assert [(turn.audio_ms, turn.audible_ms) for turn in said.told] == [(None, 2000)]


@pytest.mark.parametrize(("at_s", "outcome"), [(102.08, "interrupted"), (102.12, "answered")])
def test_cut_short_before_its_first_sound_it_was_none(at_s: float, outcome: str) -> None:
    said = Said()
    said.write(MULAW_8K.silence(100) + SOUND, 102.0)
    said.tick(102.0)
    said.answer.stopped(said.playout, at_s)
    assert [turn.outcome for turn in said.told] == [outcome]
    said.answer.stopped(said.playout, at_s)
    assert len(said.told) == 1


def test_what_comes_late_does_not_answer_the_next_turn() -> None:
    said = Said()
    said.turns.turn(3000, None, 3600)
    said.answer.token(104.0)
    said.write(SOUND, 104.0)
    said.tick(104.0)
    said.answer.failed(104.0)
    assert [(turn.turn, turn.outcome) for turn in said.told] == [(1, "unanswered")]
    assert said.turns.waiting == 2
