"""A flow without a call: what it asks for, what is heard, and what comes of it. In memory, and in no time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from bridge.cli.keyboards import Press, Typed, strokes_of, words_of
from bridge.cli.try_player import MADE_UP_MESSAGE, Player
from bridge.cli.try_screen import Screen
from bridge.cli.try_world import Silent, Speaker, World, answered, over_and_over, silence
from bridge.errors import LightningError, Unavailable
from bridge.flows.actions import (
    Action,
    Announce,
    Announced,
    Collect,
    Collected,
    Connect,
    Done,
    Fetch,
    Fetched,
    ForgetKeys,
    HangUp,
    Message,
    NotConnected,
    Outcome,
    PlaySound,
    RunAgent,
    Running,
    TakeMessage,
)
from bridge.flows.machine import GAVE_UP
from bridge.prompts.rendition import ToSpeak
from bridge.prompts.shelf import Shelf
from bridge.prompts.spec import Book, PromptSpec
from tests.support.virtual_time import run_virtually

ASK = Fetch(method="GET", url="https://api.example.com/a?pin=1234")


@dataclass
class Talks:
    """A voice that speaks every part for `seconds`."""

    seconds: float = 2.0
    spoken: list[str] = field(default_factory=list)

    async def speak(self, part: ToSpeak) -> bytes:
        self.spoken.append(part.text)
        return bytes(round(self.seconds * 8000))


class Mute:
    async def speak(self, part: ToSpeak) -> bytes:
        raise Unavailable("nobody there")


@dataclass
class Fingers:
    """A caller who presses each key at its time, in seconds since the call began."""

    presses: Sequence[tuple[float, str]]
    now_s: float = 0.0

    async def during(self, seconds: float) -> Press:
        return self._next(seconds)

    async def awaited(self, seconds: float, *, first: bool = True) -> Press:
        return self._next(seconds)

    def forget(self) -> None: ...

    def _next(self, seconds: float) -> Press:
        if self.presses and self.presses[0][0] <= self.now_s + seconds:
            (at_s, key), *self.presses = self.presses
            after_s = max(0.0, at_s - self.now_s)
            self.now_s += after_s
            return Press(key, after_s)
        self.now_s += seconds
        return Press(after_s=seconds)


@dataclass
class Played:
    """What became of a try."""

    outcomes: list[Outcome]
    ended: str
    shown: str
    seconds: float
    unheard: list[str]


def book(**texts: str) -> Book:
    return Book({name: PromptSpec(text=text) for name, text in texts.items()})


SHELF = Shelf(book(hello="Hello there.", bye="Goodbye."))


def asks(
    actions: Sequence[Action], outcomes: list[Outcome], enter: Callable[[str], None], note: str = ""
) -> Running:
    """A flow that asks for `actions` one by one."""
    enter("one")
    for action in actions:
        outcomes.append((yield action))
    if note:
        enter(note)


def played(
    *actions: Action,
    keys: str | Sequence[tuple[float, str]] = "",
    speaker: Speaker | None = None,
    answers: Mapping[str, Sequence[Fetched]] | None = None,
    message: Message | None = None,
    transfers: bool = True,
    note: str = "",
) -> Played:
    async def play() -> Played:
        shown: list[str] = []

        async def unreachable(step: str, asked: Fetch) -> Fetched:
            return Fetched(error=f"{step} asked {asked.url}")

        world = World(fetch=answered(answers or {}, unreachable), message=message, transfers=transfers)
        keyboard = (
            Typed(words_of([strokes_of(word) for word in keys.split()]))
            if isinstance(keys, str)
            else Fingers(keys)
        )
        player = Player(SHELF, keyboard, speaker or Talks(), Screen(shown.append), world)
        outcomes: list[Outcome] = []
        ended = await player.play(asks(actions, outcomes, player.entered, note))
        return Played(outcomes, ended, "".join(shown), player.track.seconds, player.unheard)

    return run_virtually(play)


def test_what_is_said_is_shown_and_heard() -> None:
    done = played(Announce(prompt="hello"), HangUp())
    assert done.outcomes == [Announced()]
    assert done.ended == "the flow hung up"
    assert done.shown == "[one]\n  bridge: Hello there.\n"
    assert done.seconds == 2.0


def test_a_flow_without_an_end_is_over() -> None:
    assert played(Announce(prompt="hello")).ended == "the flow is over"


@pytest.mark.parametrize(
    "barge_in, key, heard_s, by",
    [
        ("digits", "1", 0.5, "digit"),
        ("both", "1", 0.5, "digit"),
        ("off", "1", 2.0, ""),
        ("speech", "1", 2.0, ""),
        ("speech", "s", 0.5, "speech"),
        ("both", "s", 0.5, "speech"),
        ("digits", "s", 2.0, ""),
        ("digits", "\n", 2.0, ""),
    ],
)
def test_what_cuts_a_prompt_short(barge_in: str, key: str, heard_s: float, by: str) -> None:
    announce = Announce(prompt="hello", barge_in=barge_in)  # type: ignore[arg-type] # of the table
    done = played(announce, HangUp(), keys=[(0.5, key)])
    assert done.outcomes == [Announced(by)]
    assert done.seconds == heard_s


def test_keys_that_wait_are_answers_and_the_prompt_is_not_said() -> None:
    speaker = Talks()
    ask = Collect(digits=1)
    done = played(
        Announce(prompt="hello", barge_in="off"),
        Announce(prompt="bye"),
        ask,
        HangUp(),
        keys=[(1.0, "7")],
        speaker=speaker,
    )
    assert done.outcomes == [Announced(), Announced("digit"), Collected("7")]
    assert "Goodbye. (not said: keys are waiting)" in done.shown
    assert speaker.spoken == ["Hello there."], "nobody pays for what nobody hears"


def test_a_key_is_shown_when_the_flow_takes_it() -> None:
    done = played(
        Announce(prompt="hello", barge_in="off"), Collect(digits=4, masked=True), HangUp(), keys="1234 1"
    )
    assert done.outcomes[-1] == Collected("1234")
    assert done.shown.endswith("  caller: ••••\n")
    assert "1234" not in done.shown


@pytest.mark.parametrize(
    "keys, collected, shown, seconds",
    [
        ("12", Collected("12"), "12\n", 3.5),
        ("12#", Collected("12", finished=True), "12#\n", 0.75),
        ("#", Collected("", finished=True), "#\n", 0.25),
        ("1234", Collected("1234"), "1234\n", 1.0),
        ("-", Collected(), "(nothing)\n", 5.0),
        ("s", Collected(spoke=True), "(speaks)\n", 0.25),
        ("1s", Collected("1", spoke=True), "1(speaks)\n", 0.5),
    ],
)
def test_what_is_collected(keys: str, collected: Collected, shown: str, seconds: float) -> None:
    done = played(Collect(digits=4, until_speech=True), HangUp(), keys=keys)
    assert done.outcomes == [collected]
    assert done.shown.endswith(f"  caller: {shown}")
    assert done.seconds == seconds


@pytest.mark.parametrize(
    "keys, outcomes",
    [
        ("12# 3", [Collected("12"), Announced(), Collected("3")]),
        ("12#3", [Collected("12"), Announced("digit"), Collected("3")]),
        ([(0.0, "1"), (0.1, "2"), (1.0, "#"), (9.0, "3")], [Collected("12"), Announced(), Collected("3")]),
        (
            [(0.0, "1"), (0.1, "2"), (2.2, "#")],
            [Collected("12"), Announced(), Collected("", finished=True)],
        ),
    ],
)
def test_a_hash_out_of_habit_is_no_answer(
    keys: str | Sequence[tuple[float, str]], outcomes: list[Outcome]
) -> None:
    """As on a call."""
    announce = Announce(prompt="hello")
    ask = Collect(digits=1, first_timeout_s=30)
    assert played(Collect(digits=2), announce, ask, HangUp(), keys=keys).outcomes == outcomes


def test_speech_that_nobody_waits_for_is_not_heard() -> None:
    assert played(Collect(digits=1), HangUp(), keys="s1").outcomes == [Collected("1")]


def test_a_choice_of_two_keys_is_one_line() -> None:
    """The flow asks for it key by key."""
    done = played(Collect(digits=1), Collect(digits=1), HangUp(), keys="12 3")
    assert done.outcomes == [Collected("1"), Collected("2")]
    assert done.shown.endswith("  caller: 12\n")
    done = played(Collect(digits=1), Collect(digits=1, first_timeout_s=3), HangUp(), keys="1 3")
    assert done.outcomes == [Collected("1"), Collected()]
    assert done.shown.endswith("  caller: 1\n")


def test_what_was_typed_ahead_may_be_dropped() -> None:
    done = played(Collect(digits=1), ForgetKeys(), Collect(digits=1), HangUp(), keys="12 3")
    assert done.outcomes == [Collected("1"), Done(), Collected("3")]


@pytest.mark.parametrize(
    "actions",
    [
        (Collect(digits=1),),
        (TakeMessage(),),
        (Collect(digits=1), Collect(digits=1)),
    ],
)
def test_a_caller_with_nothing_to_type_hangs_up(actions: tuple[Action, ...]) -> None:
    done = played(*actions, HangUp())
    assert done.ended == "the caller hung up"
    assert done.outcomes == []


def test_a_caller_may_hang_up_while_something_is_said() -> None:
    done = played(Announce(prompt="hello", barge_in="off"), HangUp(), keys=[(0.5, "\x04")])
    assert done.ended == "the caller hung up"
    assert done.seconds == 0.5


def test_a_sound_goes_on_for_so_long() -> None:
    done = played(PlaySound(sound="ringback", seconds=7.5), HangUp())
    assert done.outcomes == [Announced()]
    assert done.seconds == 7.5
    assert "♪ ringback (7.5 s)" in done.shown


@pytest.mark.parametrize(
    "keys, message, told",
    [
        ([(1.0, "\n")], MADE_UP_MESSAGE, "a message is left"),
        ([(1.0, "#")], MADE_UP_MESSAGE, "a message is left"),
        ([(1.0, "5"), (2.0, "s")], MADE_UP_MESSAGE, "a message is left"),
        ([(1.0, "-")], Message(), "nothing was said"),
        ([], Message(), "nothing was said"),
    ],
)
def test_a_message_is_told_and_not_recorded(
    keys: Sequence[tuple[float, str]], message: Message, told: str
) -> None:
    done = played(TakeMessage(beep=False), HangUp(), keys=keys)
    assert done.outcomes == [message]
    assert told in done.shown


def test_a_message_of_a_file() -> None:
    left = Message("me.wav", 1500)
    done = played(TakeMessage(beep=False), HangUp(), message=left)
    assert done.outcomes == [left]
    assert done.seconds == 1.5


def test_a_webhook_has_its_answers_in_turn() -> None:
    first, last = Fetched(500), Fetched(200, {"a": 1})
    done = played(ASK, ASK, ASK, HangUp(), answers={"one": [first, last]})
    assert done.outcomes == [first, last, last]
    assert "(GET https://api.example.com/a)\n  (answered 500)" in done.shown
    assert "1234" not in done.shown, "a query may hold what is private"


def test_a_webhook_without_an_answer_is_asked() -> None:
    (fetched,) = played(ASK, HangUp(), answers={"two": [Fetched(200)]}).outcomes
    assert fetched == Fetched(error=f"one asked {ASK.url}")


def test_a_transfer_is_told_and_ends_it() -> None:
    done = played(Connect("+15550100009"), HangUp())
    assert (done.ended, done.outcomes) == ("the caller is transferred to +15550100009", [])


def test_a_transfer_that_does_not_work() -> None:
    done = played(Connect("+15550100009"), HangUp(), transfers=False)
    assert isinstance(done.outcomes[0], NotConnected)
    assert "the transfer to +15550100009 does not work" in done.shown


def test_an_agent_is_told() -> None:
    done = played(RunAgent("my.agents:concierge"), HangUp())
    assert done.outcomes == [Done()]
    assert "the agent my.agents:concierge has the call, and gives it back" in done.shown


def test_why_a_flow_gave_up_is_told() -> None:
    assert "(all tries are over, and the step has no otherwise)" in played(note=GAVE_UP).shown


def test_a_voice_that_fails_leaves_silence_and_is_told_once() -> None:
    done = played(Announce(prompt="hello"), Announce(prompt="hello"), HangUp(), speaker=Mute())
    assert done.outcomes == [Announced(), Announced()]
    assert done.unheard == ["nobody there"]
    assert done.shown.count("(not heard: nobody there)") == 1
    assert done.seconds > 1.0
    assert isinstance(Unavailable("x"), LightningError)


def test_a_prompt_that_is_not_there_is_told() -> None:
    done = played(Announce(prompt="nothing"), HangUp())
    assert done.outcomes == [Announced()]
    assert len(done.unheard) == 1


async def test_silence_is_about_as_long_as_the_words() -> None:
    assert len(await Silent().speak(ToSpeak("x" * 100))) == len(silence(6.5))


@pytest.mark.parametrize("seconds, audio", [(0, b""), (0.001, b"abcabcab"), (0.0005, b"abca")])
def test_over_and_over(seconds: float, audio: bytes) -> None:
    assert over_and_over(b"abc", seconds) == audio


def test_over_and_over_nothing_is_silence() -> None:
    assert over_and_over(b"", 1) == silence(1)


def test_text_of_others_does_not_repaint_the_terminal() -> None:
    shown: list[str] = []
    Screen(shown.append, dims=True).says("\x1b[2Jboo\n")
    assert "".join(shown) == "  bridge:  [2Jboo \n"
