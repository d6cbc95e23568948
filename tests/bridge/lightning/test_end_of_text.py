"""When is a text spoken that was given bit by bit? By a table of what happened, and of what the silence means then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.lightning.end_of_text import EndOfText, Look, Verdict

QUIET, SPEAKING, OVER, SILENT = Verdict.QUIET, Verdict.SPEAKING, Verdict.OVER, Verdict.SILENT
FIRST_S, STALL_S, GAP_S = 2.0, 1.5, 0.3


@dataclass(frozen=True)
class Gave:
    text: str


@dataclass(frozen=True)
class Audio:
    ms: float


@dataclass(frozen=True)
class Word:
    word: str


COMPLETE, ENDED = "complete", "ended"
Event: TypeAlias = Gave | Audio | Word | str
History: TypeAlias = list[tuple[float, Event]]


def end_of_text() -> EndOfText:
    """In a voice that takes 100 ms for a character."""
    return EndOfText(lambda text: 100 * len(text), first_audio_s=FIRST_S, stall_s=STALL_S, gap_s=GAP_S)


def happen(end: EndOfText, event: Event, now_s: float) -> None:
    if isinstance(event, Gave):
        end.gave(event.text, now_s)
    elif isinstance(event, Audio):
        end.audio(event.ms, now_s)
    elif isinstance(event, Word):
        end.word(event.word, now_s)
    elif event == COMPLETE:
        end.complete(now_s)
    else:
        end.ended()


def after(*history: tuple[float, Event]) -> EndOfText:
    end = end_of_text()
    for now_s, event in history:
        happen(end, event, now_s)
    return end


#: Ten characters: a second.
TEN = Gave("ten chars.")
SAID: History = [(0.0, TEN), (0.2, Audio(1000)), (0.4, COMPLETE)]
#: Two fragments, and one run that is as long as one of them.
HALF: History = [(0.0, TEN), (0.0, Gave(" and more.")), (0.2, Audio(1000)), (0.4, COMPLETE)]
END: tuple[float, Event] = (0.4, ENDED)

CASES: list[tuple[str, History, list[tuple[float, Verdict]]]] = [
    ("nothing was given", [], [(0, QUIET), (99, QUIET)]),
    ("nothing was given, and nothing will be", [(0.0, ENDED)], [(0, OVER)]),
    ("the first audio is waited for", [(0.0, TEN)], [(1.9, SPEAKING), (2.0, SILENT)]),
    ("more text is no sign of life", [(0.0, TEN), (1.9, TEN)], [(1.95, SPEAKING), (2.0, SILENT)]),
    ("the next audio is waited for", [(0.0, TEN), (1.0, Audio(100))], [(2.4, SPEAKING), (2.5, SILENT)]),
    ("all audio, but no complete", [(0.0, TEN), (1.0, Audio(1000)), (1.0, ENDED)], [(2.5, SILENT)]),
    ("a model that thinks", SAID, [(0.6, SPEAKING), (0.7, QUIET), (99, QUIET)]),
    ("the end after the last run", [*SAID, END], [(0.6, SPEAKING), (0.7, OVER)]),
    ("the end long after the last run", [*SAID, (9.0, ENDED)], [(9.0, OVER)]),
    ("a complete without audio is none", [(0.0, TEN), (0.1, COMPLETE), END], [(1.9, SPEAKING), (2.1, SILENT)]),
    ("and does not count later", [(0.0, TEN), (0.1, COMPLETE), (0.2, Audio(999)), END],
     [(1.6, SPEAKING), (1.7, SILENT)]),
    ("a run that is as good as missing", [(0.0, TEN), (0.2, Audio(400)), (0.4, COMPLETE), END],
     [(1.8, SPEAKING), (1.9, SILENT)]),
    ("a fast voice", [(0.0, TEN), (0.2, Audio(750)), (0.4, COMPLETE), END], [(0.7, OVER)]),
    ("a very fast voice", [(0.0, TEN), (0.2, Audio(600)), (0.4, COMPLETE), END], [(1.8, SPEAKING), (1.9, OVER)]),
    ("two in one run", [(0.0, TEN), (0.0, TEN), (0.2, Audio(2000)), (0.4, COMPLETE), END],
     [(0.8, SPEAKING), (1.9, OVER)]),
    ("one in two runs", [(0.0, TEN), (0.1, Audio(500)), (0.2, COMPLETE), (0.3, Audio(500)), (0.4, COMPLETE), END],
     [(0.7, OVER)]),
    ("between two runs of one", [(0.0, TEN), (0.1, Audio(400)), (0.2, COMPLETE), END], [(0.6, SPEAKING)]),
    ("a fragment is missing", [*HALF, END], [(1.8, SPEAKING), (1.9, SILENT)]),
    ("not even a model's pause excuses that", HALF, [(1.8, SPEAKING), (1.9, SILENT)]),
    ("a short fragment may be missing", [(0.0, TEN), (0.0, Gave("Yes")), (0.2, Audio(1000)), (0.4, COMPLETE), END],
     [(1.8, SPEAKING), (1.9, OVER)]),
    ("another burst has time for its first audio again", [*SAID, (5.0, TEN)], [(6.9, SPEAKING), (7.0, SILENT)]),
    ("and is judged by itself", [*SAID, (5.0, TEN), (5.1, Audio(300)), (5.2, COMPLETE), (5.2, ENDED)],
     [(6.6, SPEAKING), (6.7, SILENT)]),
    ("text right after a run has it too", [*SAID, (0.6, TEN)], [(2.5, SPEAKING), (2.6, SILENT)]),
    ("audio that nobody owed any more", [*SAID, (5.0, Audio(10))], [(6.4, SPEAKING), (6.5, SILENT)]),
    ("and its complete", [*SAID, (5.0, Audio(10)), (5.1, COMPLETE), (5.1, ENDED)], [(5.3, SPEAKING), (5.4, OVER)]),
    ("all words were spoken", [(0.0, Gave("One two.")), (0.1, Audio(100)), (0.1, Word("One")), (0.2, Word("two.")),
     (0.3, COMPLETE), END], [(0.6, OVER)]),
    ("the last word was not", [(0.0, Gave("One two.")), (0.1, Audio(800)), (0.1, Word("One")), (0.3, COMPLETE), END],
     [(0.7, SPEAKING), (1.8, OVER)]),
    ("most words were not", [(0.0, Gave("One two three four.")), (0.1, Audio(300)), (0.1, Word("One")),
     (0.3, COMPLETE), END], [(0.7, SPEAKING), (1.8, SILENT)]),
]  # fmt: skip


@pytest.mark.parametrize(("history", "looks"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_the_silence_means(history: History, looks: list[tuple[float, Verdict]]) -> None:
    end = after(*history)
    assert [(now_s, end.look(now_s).verdict) for now_s, _ in looks] == looks


@pytest.mark.parametrize("history", [case[1] for case in CASES], ids=[case[0] for case in CASES])
def test_it_says_when_to_look_again(history: History) -> None:
    """Looked at then, the verdict has changed; a moment before, it has not."""
    end = after(*history)
    last_s = history[-1][0] if history else 0.0
    look = end.look(last_s)
    if look.again_at_s is None:
        assert end.look(last_s + 1000) == look
        return
    assert look.verdict is SPEAKING
    assert end.look(look.again_at_s - 1e-6).verdict is SPEAKING
    assert end.look(look.again_at_s).verdict is not SPEAKING


def test_a_silence_says_which_limit_it_broke() -> None:
    assert after((0.0, TEN)).look(9.0) == Look(SILENT, FIRST_S, FIRST_S)
    assert after((0.0, TEN), (1.0, Audio(1))).look(9.0) == Look(SILENT, 1 + STALL_S, STALL_S)


@pytest.mark.parametrize(
    ("history", "certain", "nothing_owed"),
    [
        ([], True, True),
        ([(0.0, TEN)], False, False),
        ([(0.0, TEN), (0.2, Audio(1000))], False, False),
        (SAID, True, True),
        ([(0.0, TEN), (0.0, TEN), (0.2, Audio(2000)), (0.4, COMPLETE)], False, True),
        (HALF, False, False),
    ],
)
def test_what_may_be_done_with_the_socket(history: History, certain: bool, nothing_owed: bool) -> None:
    end = after(*history)
    assert (end.certain, end.nothing_owed) == (certain, nothing_owed)


def test_a_burst_that_went_unheard_is_given_again() -> None:
    end = after(*SAID, (5.0, TEN), (5.1, TEN), (5.2, ENDED))
    assert end.unheard_from == 1
    end.forget_burst()
    assert end.look(99).verdict is QUIET
    end.gave("ten chars.", 6.0)
    assert [end.look(now_s).verdict for now_s in (7.9, 8.0)] == [SPEAKING, SILENT]
    end.audio(10, 7.9)
    assert end.unheard_from is None


def test_and_it_is_counted_from_where_it_began_the_first_time() -> None:
    end = after(*SAID, (5.0, TEN), (5.1, TEN))
    end.forget_burst()
    end.gave("ten chars.", 6.0)
    assert end.unheard_from == 1


def test_a_run_begins_where_the_one_before_ended() -> None:
    end = after(*SAID)
    assert (end.run_open, end.run_began_ms) == (False, 1000)
    end.audio(50, 0.5)
    assert (end.run_open, end.run_began_ms, end.audio_ms) == (True, 1000, 1050)


EVENTS = st.one_of(
    st.builds(Gave, st.sampled_from(["Yes.", "ten chars.", "A rather long sentence of no meaning."])),
    st.builds(Audio, st.floats(1, 5000)),
    st.builds(Word, st.sampled_from(["Yes", "ten", "meaning"])),
    st.just(COMPLETE),
)


@given(st.lists(st.tuples(st.floats(0, 3), EVENTS), max_size=30), st.booleans())
def test_whatever_happens_it_comes_to_an_end(steps: list[tuple[float, Event]], at_once: bool) -> None:
    """Within one deadline of the last event, and never as "over" while a run is open."""
    end, now_s = end_of_text(), 0.0
    for pause_s, event in steps:
        now_s += pause_s
        happen(end, event, now_s)
        look = end.look(now_s)
        assert look.again_at_s is None or look.again_at_s <= now_s + FIRST_S
    end.ended()
    last = end.look(now_s if at_once else now_s + FIRST_S)
    assert at_once or last.verdict in (OVER, SILENT)
    assert not (last.verdict is OVER and end.run_open and any(isinstance(event, Gave) for _, event in steps))
