"""What is kept for another socket: nothing that was said gets lost, and nothing is heard twice."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.transcribers.replay import (
    BYTES_PER_MS,
    LEAD_IN_MS,
    MOST_BYTES,
    MOST_WORDS,
    SEAM_WORDS,
    UNSURE_MS,
    Replay,
    Seam,
)

SECOND = b"S" * 1000 * BYTES_PER_MS


def taken(replay: Replay) -> list[int | None]:
    """What is to be sent: lengths in milliseconds, None for `finalize`."""
    return [None if piece is None else len(piece) // BYTES_PER_MS for piece in replay.take()]


def total_ms(replay: Replay) -> int:
    return sum(length or 0 for length in taken(replay))


def heard(*seconds: float, limit_ms: int = 15_000) -> Replay:
    """A buffer whose only socket was sent so much."""
    replay = Replay(limit_ms)
    replay.rewind()
    for length in seconds:
        replay.push(b"S" * int(length * 8000))
        taken(replay)
    return replay


def test_what_is_pushed_is_sent_once_in_pieces_that_are_not_too_long() -> None:
    replay = Replay(15_000)
    assert replay.push(SECOND) == 0
    assert [len(piece) for piece in replay.take() if piece] == [MOST_BYTES, 8000 - MOST_BYTES]
    assert (taken(replay), replay.unsent, replay.pushed) == ([], 0, 8000)


def test_a_finalize_stands_where_it_was_asked_for() -> None:
    replay = Replay(15_000)
    replay.push(SECOND[:800])
    assert replay.mark()
    assert not replay.mark(), "nothing was said in between"
    replay.push(SECOND[:1600])
    assert replay.mark()
    assert taken(replay) == [100, None, 200, None]
    replay.rewind()
    assert taken(replay) == [100, None, 200, None]


@pytest.mark.parametrize(
    "answers, again",
    [(0, [100, None, 200, None, 50]), (1, [200, None, 50]), (2, [50])],
)
def test_an_answer_confirms_what_was_pushed_before_its_finalize(
    answers: int, again: list[int | None]
) -> None:
    replay = Replay(15_000)
    for length, asks in ((100, True), (200, True), (50, False)):
        replay.push(b"S" * length * BYTES_PER_MS)
        if asks:
            replay.mark()
    taken(replay)
    left = [replay.answered() for _ in range(answers)]
    assert left == [False, True][:answers]
    assert replay.asked == 2 - answers
    replay.rewind()
    assert taken(replay) == again


def test_an_answer_nobody_asked_for_confirms_nothing() -> None:
    replay = heard(1)
    assert replay.answered()
    assert replay.rewind() == 8000


@pytest.mark.parametrize(
    "seconds, again_ms",
    [((3,), UNSURE_MS), ((0.2,), 200), ((3, 0.1), UNSURE_MS)],
    ids=["all but what may be on its way", "nothing so soon", "after more"],
)
def test_another_final_confirms_what_cannot_be_on_its_way_any_more(
    seconds: tuple[float, ...], again_ms: int
) -> None:
    replay = heard(*seconds)
    assert replay.final() == SEAM_WORDS
    assert replay.rewind() == again_ms * BYTES_PER_MS


def test_another_final_confirms_nothing_behind_an_unanswered_finalize() -> None:
    replay = heard(1)
    replay.mark()
    taken(replay)
    replay.push(SECOND * 2)
    taken(replay)
    replay.final()
    assert replay.rewind() == 2 * 8000


@pytest.mark.parametrize("live_s, again_s", [(0, 4), (3.9, 7.9), (4, UNSURE_MS / 1000)])
def test_while_it_is_busy_with_a_replay_another_final_confirms_nothing(live_s: float, again_s: float) -> None:
    replay = heard(4)
    replay.rewind()
    taken(replay)
    replay.push(b"S" * int(live_s * 8000))
    taken(replay)
    assert replay.final() == (SEAM_WORDS if live_s == 4 else MOST_WORDS)
    assert replay.rewind() == again_s * 8000


def test_a_finalize_that_is_excused_is_forgotten_and_its_audio_is_not() -> None:
    replay = heard(1)
    replay.mark()
    taken(replay)
    assert replay.excuse()
    assert replay.excuse(), "there is none"
    replay.rewind()
    assert taken(replay) == [512, 488]


def test_what_is_too_much_is_forgotten_from_the_old_end() -> None:
    replay = Replay(1000)
    assert replay.push(SECOND) == 0
    assert replay.push(b"n" * 800) == 800, "no socket has heard it"
    (first, *_) = [piece for piece in replay.take() if piece]
    assert first[:1] == b"S"
    assert replay.push(SECOND) == 0, "what goes was heard"
    assert total_ms(replay) == 1000
    assert replay.rewind() == 8000


def test_what_was_sent_before_a_break_is_not_lost_when_it_is_forgotten_after_it() -> None:
    replay = heard(1, limit_ms=1000)
    replay.rewind()
    assert replay.push(SECOND) == 0
    assert replay.push(SECOND[:80]) == 80


def test_however_little_is_kept_what_waits_for_the_socket_finds_room() -> None:
    replay = Replay(0)
    assert replay.push(b"S" * 500 * BYTES_PER_MS) == 0
    assert total_ms(replay) == 500


QUIET_MS = b"\xff\x7f\xf0\x70" * 2


@pytest.mark.parametrize(
    "before_ms, quiet_ms, after_ms, again_ms",
    [
        (0, 3000, 0, LEAD_IN_MS),
        (0, 3000, 100, LEAD_IN_MS + 100),
        (0, LEAD_IN_MS, 100, LEAD_IN_MS + 100),
        (100, 3000, 100, 3200),
    ],
    ids=["nothing was said", "before a word", "hardly any", "between words"],
)
def test_no_replay_begins_with_silence(before_ms: int, quiet_ms: int, after_ms: int, again_ms: int) -> None:
    replay = heard()
    replay.push(SECOND[: before_ms * 8] + QUIET_MS * quiet_ms + SECOND[: after_ms * 8])
    taken(replay)
    assert replay.rewind() == again_ms * BYTES_PER_MS
    assert total_ms(replay) == again_ms


def test_some_silence_is_left_for_which_words_are_asked() -> None:
    replay = heard()
    replay.push(QUIET_MS * 1000)
    replay.mark()
    replay.push(QUIET_MS * 1000)
    replay.rewind()
    assert taken(replay) == [LEAD_IN_MS, None, 512, 488]


def test_of_all_that_is_asked_about_what_is_forgotten_one_finalize_is_enough() -> None:
    replay = Replay(1000)
    for _ in range(4):
        replay.push(SECOND)
        replay.mark()
    replay.rewind()
    assert taken(replay) == [None, 512, 488, None]
    assert [replay.answered(), replay.answered()] == [False, True]


# -- the words ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "told, comes, is_handed_on",
    [
        ([], "a table for two", "a table for two"),
        (["I want a table"], "a table for two", "for two"),
        (["I want a table."], "Table for two", "for two"),
        (["I want a table"], "for two", "for two"),
        (["I want", "a table"], "want a table for", "for"),
        (["one two"], "two three two", "three two"),
        (["one two"], "one two", ""),
        (["one two"], "", ""),
        (["हाँ जी।"], "जी ठीक है", "ठीक है"),
        (["a b c d e f"], "b c d e f g", "b c d e f g"),  # nobody says so much in half a second
    ],
)
def test_words_that_come_twice_are_taken_away(told: list[str], comes: str, is_handed_on: str) -> None:
    seam = Seam()
    for text in told:
        seam.told(text, said_by=800, most=SEAM_WORDS)
    assert seam.mended(comes, final=False) == comes, "nothing is sent again yet"
    seam.rewind()
    assert seam.mended(comes, final=False) == is_handed_on
    assert seam.mended(comes, final=True) == is_handed_on


def test_the_same_word_said_anew_is_heard() -> None:
    seam = Seam()
    seam.told("yes", said_by=800, most=SEAM_WORDS)
    seam.rewind()
    assert [seam.mended("Yes.", final=True), seam.mended("Yes.", final=True)] == ["", "Yes."]


def test_several_finals_may_come_twice() -> None:
    seam = Seam()
    seam.told("one two", said_by=400, most=MOST_WORDS)
    seam.told("three four", said_by=800, most=MOST_WORDS)
    seam.rewind()
    assert [seam.mended(text, final=True) for text in ("one two", "three", "four five", "one")] == [
        "",
        "",
        "five",
        "one",
    ]


@pytest.mark.parametrize("confirmed, is_handed_on", [(800, "yes please"), (799, "please")])
def test_what_is_confirmed_does_not_come_twice(confirmed: int, is_handed_on: str) -> None:
    seam = Seam()
    seam.told("yes", said_by=800, most=SEAM_WORDS)
    seam.confirmed(confirmed)
    seam.rewind()
    assert seam.mended("yes please", final=True) == is_handed_on


# -- a transcriber that hears what it is sent --------------------------------------------------------------------------

SILENCE = b"\xff" * BYTES_PER_MS
#: How long each word lasts. It is said with a byte of its own, and written as its number.
WORD_MS = 160


@dataclass
class Ear:
    """One socket: it has looked at what it was sent but for the last `late` bytes, and twice as fast as real time."""

    late: int
    sent: bytearray = field(default_factory=bytearray)
    looked: int = 0
    told: int = 0
    #: It answers no `finalize`.
    deaf: bool = False

    def words(self, to: int) -> list[str]:
        """The words that have ended by `to`, since the last final."""
        found: list[str] = []
        for at in range(self.told, to):
            word = self.sent[at]
            ends = at + 1 == len(self.sent) or self.sent[at + 1] != word
            if word != SILENCE[0] and ends:
                found.append(str(word))
                self.told = at + 1
        return found


class Conversation:
    """A caller who says words one after the other, with what is between them and the reader of the words."""

    def __init__(self, late_ms: int) -> None:
        self.replay, self.seam = Replay(60_000), Seam()
        self.late = late_ms * BYTES_PER_MS
        self.said: list[str] = []
        self.read: list[str] = []
        self.ear = Ear(self.late)
        self.replay.rewind()

    def say(self) -> None:
        """One word, and the next breath."""
        number = len(self.said) + 1
        self.said.append(str(number))
        self._send(bytes([number]) * WORD_MS * BYTES_PER_MS)
        self._send(SILENCE * 20)

    def pause(self) -> None:
        self._send(SILENCE * 300)

    def _send(self, audio: bytes) -> None:
        self.replay.push(audio)
        self.pump()
        ear = self.ear
        ear.looked = max(min(ear.looked + 2 * len(audio), len(ear.sent) - self.late), 0)

    def pump(self) -> None:
        for piece in self.replay.take():
            if piece is None:
                self.answer()
            else:
                self.ear.sent += piece

    def final(self) -> None:
        """One of those that Pulse sends by itself."""
        text = self.seam.mended(" ".join(self.ear.words(self.ear.looked)), final=True)
        self.seam.told(text, said_by=self.replay.sent, most=self.replay.final())
        self.read += text.split()

    def ask(self) -> None:
        self.replay.mark()
        self.pump()

    def ask_in_vain(self) -> None:
        self.ear.deaf = True
        self.ask()

    def answer(self) -> None:
        if self.ear.deaf:
            return
        text = self.seam.mended(" ".join(self.ear.words(len(self.ear.sent))), final=True)
        self.ear.looked = len(self.ear.sent)
        self.replay.answered()
        self.seam.confirmed(self.replay.confirmed)
        self.read += text.split()

    def lose_socket(self) -> None:
        self.ear = Ear(self.late)
        self.replay.rewind()
        self.seam.rewind()
        self.pump()


STEPS = st.lists(
    st.sampled_from(["say", "say", "say", "pause", "final", "ask", "ask_in_vain", "lose_socket"]), max_size=60
)


@given(late_ms=st.integers(0, UNSURE_MS), steps=STEPS)
def test_whatever_happens_every_word_is_read_once(late_ms: int, steps: list[str]) -> None:
    conversation = Conversation(late_ms)
    for step in steps:
        getattr(conversation, step)()
    conversation.pause()
    conversation.lose_socket()
    conversation.ask()
    assert conversation.read == conversation.said
