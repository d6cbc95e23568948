"""When the caller is done: sounds and words in, turns out, window by window."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.media.barge_in import TurnDetector
from bridge.media.turn_end import (
    MAX_CHARACTERS,
    TURN_END_TABLE,
    Backchannel,
    Finalize,
    Likely,
    Outcome,
    Over,
    Phase,
    TurnEnd,
    TurnEndPolicy,
    WentOn,
    Wordless,
    count_words,
)
from bridge.media.vad import WINDOW_MS
from bridge.transcribers.transcriber import Transcript
from tests.support.example_counts import at_most


class Line:
    """A caller's line: what is heard and read on it, through the real detector, and what follows."""

    def __init__(self, *, able: bool = True, talking: bool = False, **policy: Any) -> None:
        self.turn_end, self.detector = TurnEnd(TurnEndPolicy(**policy)), TurnDetector()
        self.able, self.talking = able, talking
        self.ms = 0.0
        self.outcomes: list[Outcome] = []

    def hear(self, ms: float, probability: float) -> None:
        for _ in range(round(ms / WINDOW_MS)):
            self.ms += WINDOW_MS
            self.detector.window(probability, -20.0, self.ms, talking=self.talking)
            self.turn_end.window(
                self.ms,
                voiced_ms=self.detector.voiced_ms,
                last_speech_ms=self.detector.last_speech_ms,
                able=self.able,
                talking=self.talking,
            )
            self._decide()

    def voice(self, ms: float) -> None:
        self.hear(ms, 0.95)

    def silence(self, ms: float) -> None:
        self.hear(ms, 0.0)

    def read(self, text: str, *, final: bool = False, finalised: bool = False, language: str = "") -> None:
        self.turn_end.transcript(Transcript(text, final, finalised, language), able=self.able)
        self._decide()

    def told(self, text: str = "") -> None:
        """The answer to `Finalize`."""
        self.read(text, final=True, finalised=True)

    def judge(self, complete: bool) -> None:
        (*_, asked) = (outcome for outcome in self.outcomes if isinstance(outcome, Finalize))
        self.turn_end.judge(complete, asked.pause)
        self._decide()

    def _decide(self) -> None:
        for outcome in self.turn_end.decide(talking=self.talking):
            self.outcomes.append(outcome)
            if isinstance(outcome, Over):
                assert self.ms - outcome.end_ms >= self.turn_end.policy.patience_ms, "the caller is silent"

    @property
    def turns(self) -> list[str]:
        return [outcome.text for outcome in self.outcomes if isinstance(outcome, Over)]

    @property
    def kinds(self) -> list[str]:
        return [type(outcome).__name__ for outcome in self.outcomes]


def perform(line: Line, play: str) -> None:
    """Do what `play` says: ``+640`` voice, ``-640`` silence, ``?words`` a guess, ``=words`` final, ``!words`` told."""
    for step in play.split("|"):
        match step[0], step[1:].strip():
            case "+", ms:
                line.voice(float(ms))
            case "-", ms:
                line.silence(float(ms))
            case "?", text:
                line.read(text)
            case "=", text:
                line.read(text, final=True)
            case "!", text:
                line.told(text)


# -- with words --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("play", "turns"),
    [
        ("+640|-256|!Yes.|-352", ["Yes."]),
        ("+640|-256|!Yes.|-320", []),  # patience is 600
        ("+640|-800|!Yes.", ["Yes."]),  # the words come late, and it is over at once
        ("+640|?Ye|-256|!Yes.|-352", ["Yes."]),  # a guess is replaced
        ("+640|=One.|+640|-256|!Two.|-352", ["One. Two."]),
        ("+640|-256|!One.|+640|-256|!Two.|-352", ["One. Two."]),  # stretches with a short pause are one turn
        ("+640|-448|+640|-256|!One two.|-352", ["One two."]),
        ("+640|-256|!One.|-352|+640|-256|!Two.|-352", ["One.", "Two."]),
        # what does not look complete gets more time
        ("+640|-256|!Well,|-640", []),
        ("+640|-256|!Well,|-1216", ["Well,"]),
        ("+640|-256|!Well,|-640|+640|-256|!yes.|-352", ["Well, yes."]),
        ("+640|-256|!Monday \N{EM DASH}|-1216", ["Monday \N{EM DASH}"]),
        # words that do not come
        ("+640|-1536", []),
        ("+640|-1632", [""]),  # 600 and 1000
        ("+640|?Yes|-1632", ["Yes"]),
        ("+640|=One.|?Two|-1632", ["One. Two"]),
        # what comes late of words that were taken as a guess is in no second turn
        ("+640|?One two|-1632|=One two.|-1280", ["One two"]),
        ("+640|?One two|-1632|=One|!two three.|-256|!|-352", ["One two", "three."]),
        ("+640|?One two|-1632|?One two|-1280", ["One two"]),
        ("+640|?One two|-1632|!One two.|?Three|-256|!Three|-640", ["One two", "Three"]),
        # noise
        ("+640|-256|!|-640", []),
        ("+640|-256|!...|-640", []),
        # a quiet caller: words without a voice
        ("?Hel|-96|?Hello|-256|!Hello.|-352", ["Hello."]),
        ("=Hello.|-256|!|-416", ["Hello."]),
        ("-640|!Hello.|-224|!|-416", ["Hello."]),
        # and one whose voice is found after the words
        ("?I|+640|-256|!I do.|-352", ["I do."]),
        # words after all had been told: the caller goes on, however quietly
        ("+640|-256|!One.|-96|?Two|-256|!Two.|-416", ["One. Two."]),
    ],
)
def test_plays(play: str, turns: list[str]) -> None:
    line = Line()
    perform(line, play)
    assert line.turns == turns


def test_a_turn_tells_when_and_in_which_language() -> None:
    line = Line()
    line.silence(320)
    line.voice(640)
    line.read("Haan", final=True, language="hi")
    line.silence(256)
    line.told("ji")
    line.silence(640)
    assert line.outcomes[-1] == Over(320.0, 960.0, "Haan ji", "hi")


def test_noise_is_no_turn_but_is_told_of() -> None:
    line = Line()
    perform(line, "+640|-256|!|-640")
    assert line.kinds == ["Finalize", "Wordless"]


def test_words_are_asked_for_once_a_pause_and_again_after_more_sound() -> None:
    line = Line()
    perform(line, "+640|-192")
    assert line.kinds == []
    perform(line, "-32|-320")
    assert line.kinds == ["Finalize"]
    line.hear(32, 0.4)  # too little for a voice, but who says that it was none
    line.silence(224)
    assert line.kinds == ["Finalize", "Finalize"]


def test_patience_shorter_than_the_pause_asks_sooner() -> None:
    line = Line(patience_ms=100, finalize_after_ms=200)
    perform(line, "+640|-128")
    assert line.kinds == ["Finalize"]
    line.told("Yes.")
    assert line.turns == ["Yes."]


# -- eager -------------------------------------------------------------------------------------------------------


def test_with_all_words_there_it_is_likely_to_be_over_until_the_caller_goes_on() -> None:
    line = Line()
    perform(line, "+640|-256|!One.")
    assert line.outcomes[-1] == Likely(0.0, 640.0, "One.", "")
    line.hear(32, 0.4)
    assert line.kinds == ["Finalize", "Likely"], "a blip is no voice"
    line.voice(64)
    assert line.kinds == ["Finalize", "Likely", "WentOn"]
    perform(line, "-256|!Two.|-352")
    assert line.kinds[3:] == ["Finalize", "Likely", "Over"]
    assert line.turns == ["One. Two."]


def test_more_words_void_what_was_likely() -> None:
    line = Line()
    perform(line, "+640|-256|!One.|?two")
    assert line.kinds == ["Finalize", "Likely", "WentOn"]


def test_what_is_certain_at_once_was_never_likely() -> None:
    line = Line()
    perform(line, "+640|-800|!Yes.")
    assert line.kinds == ["Finalize", "Over"]


def test_what_does_not_sound_complete_is_not_likely() -> None:
    line = Line()
    perform(line, "+640|-256|!Well,")
    assert line.kinds == ["Finalize"]


# -- the verdict -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("complete", "text", "after_ms"), [(True, "Well,", 352), (False, "Yes.", 1152), (None, "Yes.", 352)]
)
def test_the_verdict_of_the_ear_counts_more_than_that_of_the_eye(
    complete: bool | None, text: str, after_ms: float
) -> None:
    line = Line()
    perform(line, f"+640|-256|!{text}")
    if complete is not None:
        line.judge(complete)
    line.silence(after_ms - WINDOW_MS)
    assert line.turns == []
    line.silence(WINDOW_MS)
    assert line.turns == [text]


def test_a_verdict_on_another_pause_counts_nothing() -> None:
    line = Line()
    perform(line, "+640|-256|!One.|+640")
    line.judge(False)
    line.silence(256)
    line.turn_end.judge(False, 1)
    perform(line, "!Two.|-352")
    assert line.turns == ["One. Two."]
    line.judge(False)
    perform(line, "+640|-256|!Three.|-352")
    assert line.turns == ["One. Two.", "Three."]


# -- without words -----------------------------------------------------------------------------------------------


def test_without_a_transcriber_silence_alone_decides() -> None:
    line = Line(able=False)
    perform(line, "+640|-576")
    assert line.turns == []
    line.silence(32)
    assert line.outcomes[-1] == Over(0.0, 640.0, "", "")


@pytest.mark.parametrize("read", ["", "One two", "..."])
def test_a_transcriber_that_fails_on_the_way_costs_words_and_no_turn(read: str) -> None:
    line = Line()
    perform(line, f"+640|?{read}|-1000")
    line.able = False
    line.silence(32)
    assert line.turns == [read.strip(".")]


def test_a_transcriber_that_goes_mad_is_not_believed_without_end() -> None:
    line = Line()
    line.voice(640)
    for _ in range(500):
        line.read("word " * 200, final=True)
    line.read("word " * 5000)
    assert len(line.turn_end.text) <= 2 * MAX_CHARACTERS + 2000


# -- while the bridge speaks -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("min_words", "text", "kind"),
    [
        (0, "Uh-huh.", "Over"),
        (1, "Uh-huh.", "Over"),
        (2, "Uh-huh.", "Backchannel"),
        (2, "Uh-huh, no.", "Over"),
    ],
)
def test_too_few_words_while_the_bridge_speaks_are_no_turn(min_words: int, text: str, kind: str) -> None:
    line = Line(min_words=min_words, talking=True)
    perform(line, f"+640|-256|!{text}|-352")
    assert line.kinds[-1] == kind


def test_few_words_are_a_turn_when_the_bridge_is_done_by_then_or_nobody_can_tell() -> None:
    line = Line(min_words=2, talking=True)
    perform(line, "+640|-256|!Yes.")
    line.talking = False
    line.silence(352)
    assert line.turns == ["Yes."]
    line = Line(min_words=2, talking=True, able=False)
    perform(line, "+640|-640")
    assert line.turns == [""]


def test_what_was_likely_to_be_a_turn_is_one_though_the_bridge_speaks_by_then() -> None:
    line = Line(min_words=2)
    perform(line, "+640|-256|!Yes.")
    line.talking = True
    line.silence(352)
    assert line.kinds == ["Finalize", "Likely", "Over"]


def test_words_that_nobody_was_heard_to_say_are_the_bridges_own() -> None:
    line = Line(talking=True)
    perform(line, "-320|?How can|-320")
    line.talking = False
    perform(line, "-1600|=How can I help?|-1600")
    assert line.kinds == []
    perform(line, "?Hello|-256|!Hello.|-416")
    assert line.turns == ["Hello."], "after that, they are the caller's"


def test_a_voice_tells_that_the_words_are_the_callers_after_all() -> None:
    line = Line(talking=True)
    perform(line, "?How can|+640|=Stop it.|-256|!|-352")
    assert line.turns == ["Stop it."]


def test_noise_while_the_bridge_speaks_is_nothing_even_if_nobody_says_so() -> None:
    line = Line(talking=True)
    perform(line, "+640|-1664")
    assert line.kinds == ["Finalize", "Wordless"]


@pytest.mark.parametrize(
    ("text", "count"), [("", 0), ("...", 0), ("Uh-huh.", 1), ("No - not now", 3), ("1 2", 2)]
)
def test_words_are_counted_without_punctuation(text: str, count: int) -> None:
    assert count_words(text) == count


def test_punctuation_that_nobody_has_said_is_in_no_turn() -> None:
    line = Line()
    line.read(".", final=True)
    line.told("...")
    perform(line, "+640|-256|!Hello.|-352")
    assert line.turns == ["Hello."]


def test_one_transcript_is_no_more_than_all_of_them_may_be() -> None:
    line = Line()
    line.voice(320)
    line.read("word " * 1_000_000, final=True)
    assert len(line.turn_end.text) <= MAX_CHARACTERS


# -- whatever comes ----------------------------------------------------------------------------------------------


def test_the_table_knows_a_next_phase_for_whatever_comes_in_every_phase() -> None:
    assert (
        {phase for phase, _ in TURN_END_TABLE}
        == set(Phase)
        == {phase for phase, _ in TURN_END_TABLE.values()}
    )


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("voice"), st.sampled_from([32, 64, 320, 1600])),
        st.tuples(st.just("silence"), st.sampled_from([32, 160, 224, 640, 1700])),
        st.tuples(st.just("murmur"), st.sampled_from([32, 320])),
        st.tuples(st.just("guess"), st.sampled_from(["", "maybe", "maybe so"])),
        st.tuples(st.sampled_from(["final", "told"]), st.sampled_from([0, 1, 2, 3])),
        st.tuples(st.just("verdict"), st.booleans()),
        st.tuples(st.just("able"), st.booleans()),
        st.tuples(st.just("talking"), st.booleans()),
    ),
    max_size=40,
)


@settings(max_examples=at_most(200), deadline=None)
@given(steps=STEPS, min_words=st.sampled_from([0, 2]))
def test_whatever_comes_each_word_is_in_one_turn_and_what_is_likely_is_settled(
    steps: list[tuple[str, Any]], min_words: int
) -> None:
    """Every final word has a number of its own, so that it is seen where each goes."""
    line = Line(min_words=min_words)
    said, number = list[str](), 0

    def take(kind: str, value: Any) -> None:
        nonlocal number
        if kind in ("voice", "silence", "murmur"):
            line.hear(value, {"voice": 0.95, "silence": 0.0, "murmur": 0.45}[kind])
        elif kind in ("final", "told"):
            words = [f"w{number + k}" for k in range(value)]
            number += value
            said.extend(words)
            line.read(" ".join(words), final=True, finalised=kind == "told")
        elif kind == "guess":
            line.read(value)
        elif kind == "verdict" and "Finalize" in line.kinds:
            line.judge(value)
        elif kind in ("able", "talking"):
            setattr(line, kind, value)

    for step in steps:
        take(*step)
    for step in (("silence", 1700), ("talking", False), ("told", 0), ("silence", 1700)):
        take(*step)
    _check(line, said)


def _check(line: Line, said: list[str]) -> None:
    assert line.turn_end.idle
    told = [word for outcome in line.outcomes if isinstance(outcome, Over | Backchannel)
            for word in outcome.text.split() if word.startswith("w")]  # fmt: skip
    assert told == sorted(told, key=said.index), "in order"
    assert len(told) == len(set(told)), "and once"
    guessed = any(
        "maybe" in outcome.text for outcome in line.outcomes if isinstance(outcome, Over | Backchannel)
    )
    if (
        not guessed and not line.turn_end._talked_ms > 0
    ):  # no guess stood in for any, no echo of the bridge's own
        assert told == said
    likely: Likely | None = None
    for outcome in line.outcomes:
        if isinstance(outcome, Likely):
            assert likely is None
            likely = outcome
        elif isinstance(outcome, WentOn):
            assert likely is not None
            likely = None
        elif isinstance(outcome, Over):
            assert likely is None or likely.text == outcome.text
            likely = None
        elif isinstance(outcome, Wordless | Backchannel):
            assert likely is None
    assert likely is None
