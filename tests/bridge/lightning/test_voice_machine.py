"""Whatever the doors do, whoever barges in: what a voice never does.

Hypothesis makes up a voice (entries, units, deadlines), what each of its doors does with each request, and calls that
speak at once and are interrupted at any moment. All of it happens in virtual time, and of every run the same is asked:

- every speech ends, with nothing but what was promised, and nobody hears silence for longer than the voice's patience;
- nothing is delivered after a barge-in, no unit is held and no task is left when all is over;
- a call goes down the list of entries and never back within an utterance; open breakers are left alone;
- where words' times are known and audio can be taken back, every word is heard once and in order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.config_lightning import PATIENCE_S
from bridge.errors import Busy, InvalidRequest, LightningError, TimedOut, Unauthorized, Unavailable
from bridge.lightning.entries import Entry
from bridge.lightning.probes import PROBE_TEXT
from bridge.lightning.speaking import LEAST_CHANCE_S
from bridge.lightning.speech import (
    PartSink,
    PieceEnded,
    PieceStarted,
    Speech,
    SpeechAudio,
    SpeechPart,
    SpokenWord,
    Synthesis,
)
from bridge.lightning.voice import CallVoice, Voice
from telephony_codecs.formats import MULAW_8K
from tests.support.example_counts import at_most
from tests.support.played_door import (
    LETTER_MS,
    PlayedDoor,
    PlayedSynthesis,
    Script,
    played_voice,
    read_back,
)
from tests.support.virtual_time import run_virtually

ERRORS: Final[tuple[LightningError, ...]] = (
    Unavailable("dropped", code="dropped"),
    TimedOut("silent", code="stall_timeout"),
    Unauthorized("no key", code="401"),
    InvalidRequest("retired", code="MODEL_DEPRECATED"),
    InvalidRequest("strange", code="400"),
    InvalidRequest("wrong", code="local_check"),
    Busy("busy", code="429"),
    Busy("busy", code="429", retry_after_s=0.3),
    Busy("busy", code="429", retry_after_s=30.0),
)
#: A turn of the loop, and what adding up many seconds costs.
HAIR_S: Final = 0.001
#: Between two tokens of an agent.
TOKEN_S: Final = 0.01


class OfTheAgentError(Exception):
    """What an agent's own iterator raises."""


# -- what doors do -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Deed:
    """What a door does with a request.

    Attributes:
        after_s: silence before anything.
        letters: how much of the text is spoken; all of it by default.
        words: when words' times come: with the audio, ahead of it, or never.
        error: how it ends, if it does not end well.
        hangs: it does not end at all.
        chunk: letters at a time.
    """

    after_s: float = 0.1
    letters: int | None = None
    words: str = "with"
    error: LightningError | None = None
    hangs: bool = False
    chunk: int = 50

    async def do(self, synthesis: PlayedSynthesis) -> None:
        await asyncio.sleep(self.after_s)
        text = synthesis.request.text
        if self.words == "ahead":
            synthesis.time(*text.split())
        said = text[: self.letters]
        for at in range(0, len(said), self.chunk):
            synthesis.speak(said[at : at + self.chunk])
            if self.words == "with":
                _time_new_words(synthesis, text, at, min(at + self.chunk, len(said)))
            await asyncio.sleep(0.01)
        if self.error:
            synthesis.finish(self.error)
        elif not self.hangs:
            synthesis.done()


def _time_new_words(synthesis: PlayedSynthesis, text: str, before: int, now: int) -> None:
    """Tell the times of the words that begin from `before` to `now`: of the last of them before it is over."""
    at = 0
    for word in text.split():
        at = text.index(word, at)
        if before <= at < now:
            synthesis.deliver(SpokenWord(word, at * LETTER_MS, (at + len(word)) * LETTER_MS))
        at += len(word)


def following(deeds: list[Deed]) -> Script:
    """The last deed is done for ever."""

    async def script(synthesis: PlayedSynthesis, number: int) -> None:
        await deeds[min(number, len(deeds) - 1)].do(synthesis)

    return script


SECONDS = st.sampled_from([0.0, 0.1, 0.5, 0.599, 0.6, 0.7, 1.4, 1.9, 2.5])
DEEDS = st.one_of(
    st.builds(Deed, after_s=SECONDS, chunk=st.integers(1, 60)),
    st.builds(
        Deed,
        after_s=SECONDS,
        letters=st.integers(0, 60),
        words=st.sampled_from(["with", "ahead", "never"]),
        error=st.sampled_from([*ERRORS, None]),
        hangs=st.booleans(),
        chunk=st.integers(1, 60),
    ),
)
#: Faults after which it is known to the millisecond what has been said.
TOLD_DEEDS = st.one_of(
    st.builds(Deed, after_s=SECONDS, chunk=st.integers(1, 60)),
    st.builds(
        Deed,
        after_s=SECONDS,
        letters=st.integers(0, 60),
        words=st.sampled_from(["with", "ahead"]),
        error=st.sampled_from([ERRORS[0], ERRORS[1], ERRORS[2], ERRORS[7]]),
        chunk=st.integers(1, 60),
    ),
)


# -- what calls do -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """One utterance: so many words in sentences of so many, given in one of several ways."""

    words: int = 4
    sentence: int = 3
    form: str = "str"
    barge_in_s: float | None = None
    pause_s: float = 0.0

    def text(self, name: str) -> str:
        told = [f"{name}{n:02}" for n in range(self.words)]
        ends = {*range(self.sentence - 1, self.words, self.sentence), self.words - 1}
        return " ".join(word + "." * (n in ends) for n, word in enumerate(told))

    def given(self, name: str) -> str | AsyncIterable[str]:
        text = self.text(name)
        if self.form == "str":
            return text
        tokens = _tokens(text, fails=self.form == "fails")
        return _Plain(tokens) if self.form == "plain" else tokens


async def _tokens(text: str, *, fails: bool) -> AsyncIterator[str]:
    for at in range(0, len(text), 5):
        await asyncio.sleep(TOKEN_S)
        yield text[at : at + 5]
    if fails:
        raise OfTheAgentError


class _Plain:
    """Async iterable, and nothing more: it cannot be closed."""

    def __init__(self, tokens: AsyncIterator[str]) -> None:
        self._tokens = tokens

    def __aiter__(self) -> _Plain:
        return self

    async def __anext__(self) -> str:
        return await anext(self._tokens)


PLANS = st.builds(
    Plan,
    words=st.integers(1, 90),
    sentence=st.integers(1, 20),
    form=st.sampled_from(["str", "str", "tokens", "plain", "fails"]),
    barge_in_s=st.one_of(st.none(), st.none(), SECONDS, st.floats(0.0, 8.0)),
    pause_s=SECONDS,
)


@dataclass
class Ear:
    """A caller: what they hear is a buffer that empties as time goes by, whose unheard end can be taken back."""

    name: str
    parts: list[SpeechPart] = field(default_factory=list)
    audio: bytearray = field(default_factory=bytearray)
    deaf: bool = False
    empty_at_s: float = 0.0
    silence_s: float = 0.0

    def __post_init__(self) -> None:
        self.empty_at_s = self.now_s

    @property
    def now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def take(self, part: SpeechPart) -> None:
        assert not self.deaf, "delivered after the barge-in"
        self.parts.append(part)
        if isinstance(part, SpeechAudio) and part.payload:
            self.note_silence()
            self.audio += part.payload
            self.empty_at_s = max(self.empty_at_s, self.now_s) + MULAW_8K.ms_in(len(part.payload)) / 1000

    def note_silence(self) -> None:
        self.silence_s = max(self.silence_s, self.now_s - self.empty_at_s)

    def backlog_ms(self) -> float:
        return max(0.0, self.empty_at_s - self.now_s) * 1000

    def take_back(self, ms: float) -> float:
        """All of what is asked: none of it has gone out yet."""
        n_bytes = min(MULAW_8K.bytes_in(ms), len(self.audio))
        del self.audio[len(self.audio) - n_bytes :]
        self.empty_at_s -= MULAW_8K.ms_in(n_bytes) / 1000
        return MULAW_8K.ms_in(n_bytes)

    def check_form(self, failed: bool) -> None:
        marks = [type(part) for part in self.parts if isinstance(part, PieceStarted | PieceEnded)]
        whole = marks[: len(marks) // 2 * 2]
        assert whole == [PieceStarted, PieceEnded] * (len(whole) // 2)
        assert len(marks) == len(whole) or failed or self.deaf


# -- everything together -----------------------------------------------------------------------------------


@dataclass
class World:
    """A voice, its calls, and the rules that hold in every moment."""

    voice: Voice
    doors: list[PlayedDoor]
    asked: dict[str, list[Entry]] = field(default_factory=dict)
    #: Whose utterance it is, by its name.
    calls: dict[str, CallVoice] = field(default_factory=dict)

    def watch(self) -> None:
        for entry, door in zip(self.voice.entries, self.doors, strict=True):
            self._watch(entry, door)

    def _watch(self, entry: Entry, door: PlayedDoor) -> None:
        synthesize = door.synthesize

        def judged(request: Any, into: PartSink | None = None, *, wait_s: float | None = None) -> Synthesis:
            if request.text != PROBE_TEXT:
                self.judge(entry, request.text[0])
            assert all(units.in_use <= units.concurrency for units in self.voice.accounts)
            return synthesize(request, into, wait_s=wait_s)

        door.synthesize = judged  # type: ignore[method-assign]

    def judge(self, entry: Entry, name: str) -> None:
        """Whether the utterance `name` may ask `entry` now."""
        asked = self.asked.setdefault(name, [])
        if not asked:
            assert entry is self.calls[name]._entry, "it is asked where the call stands"
        assert entry not in asked or entry is asked[-1], "it never goes back"
        if entry.breaker.open:
            closed = [other for other in self.voice.entries if not other.breaker.open]
            assert all(other in asked for other in closed), "an open breaker is left alone"
        asked.append(entry)

    def judge_move(self, call: CallVoice, name: str) -> None:
        """Whether `call` may move on now, in the utterance `name`."""
        failed = call._entry in self.asked.get(name, ())
        assert failed or call._entry.breaker.open, "it stays where it is while that works"

    async def call(self, number: int, plans: list[Plan]) -> list[tuple[Plan, Ear, Exception | None]]:
        call, name = self.voice.for_call(), ""
        fall_back = call.fall_back

        def judged(entry: Entry) -> None:
            self.judge_move(call, name)
            fall_back(entry)

        call.fall_back = judged  # type: ignore[method-assign]
        results = []
        for n, plan in enumerate(plans):
            await asyncio.sleep(plan.pause_s)
            name = chr(ord("A") + 2 * number + n)
            self.calls[name] = call
            results.append((plan, *await self.utter(call, plan, name)))
        return results

    async def utter(self, call: CallVoice, plan: Plan, name: str) -> tuple[Ear, Exception | None]:
        ear = Ear(name)
        speech = call.speak(plan.given(name))
        speech.hand_over(ear.take, ear.backlog_ms, ear.take_back)
        waker = asyncio.create_task(_waking(speech))
        barge_in = asyncio.create_task(_barging_in(speech, ear, plan.barge_in_s))
        error = None
        try:
            await speech.finished()
        except (LightningError, OfTheAgentError) as failure:
            error = failure
        ear.note_silence()
        for task in (waker, barge_in):
            task.cancel()
        await asyncio.wait([waker, barge_in])
        return ear, error


async def _waking(speech: Speech) -> None:
    while not speech.over:  # what the pacer does
        await asyncio.sleep(0.5)
        speech.wake()


async def _barging_in(speech: Speech, ear: Ear, after_s: float | None) -> None:
    if after_s is None:
        return
    await asyncio.sleep(after_s)
    if not speech.over:
        speech.cancel()
        ear.deaf = True


class _Complaints(logging.Handler):
    """What was logged as a fault of ours."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(self.format(record))


@dataclass(frozen=True)
class Case:
    """A world to be."""

    deeds: list[list[Deed]]
    units: list[int]
    hedge_after_s: float
    failures: int
    calls: list[list[Plan]]


def cases(deeds: st.SearchStrategy[Deed], plans: st.SearchStrategy[Plan]) -> st.SearchStrategy[Case]:
    return st.builds(
        Case,
        deeds=st.lists(st.lists(deeds, min_size=1, max_size=4), min_size=1, max_size=3),
        units=st.one_of(st.just([]), st.lists(st.integers(1, 3), min_size=3, max_size=3)),
        hedge_after_s=st.sampled_from([0.0, 0.6]),
        failures=st.integers(1, 3),
        calls=st.lists(st.lists(plans, min_size=1, max_size=2), min_size=1, max_size=3),
    )


async def live_through(case: Case) -> list[tuple[Plan, Ear, Exception | None]]:
    """Let `case` happen, and hold what holds always."""
    complaints = _Complaints()
    logging.getLogger("bridge").addHandler(complaints)
    asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.told.append(str(what)))
    changes = {"hedge_after_s": case.hedge_after_s, "breaker_failures": case.failures}
    voice, doors = played_voice(
        *map(following, case.deeds), units=case.units, configs=[changes] * len(case.deeds)
    )
    world = World(voice, doors)
    world.watch()
    try:
        async with voice:
            calls = [world.call(number, plans) for number, plans in enumerate(case.calls)]
            results = [result for call in await asyncio.gather(*calls) for result in call]
        await asyncio.sleep(3)
    finally:
        logging.getLogger("bridge").removeHandler(complaints)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert not any(units.in_use or units.waiting for units in voice.accounts)
    assert not complaints.told, complaints.told
    for plan, ear, error in results:
        ear.check_form(error is not None)
        assert plan.form == "fails" or not isinstance(error, OfTheAgentError)
        assert ear.silence_s <= voice.patience_s + LEAST_CHANCE_S + HAIR_S
    return results


#: What a call stands at comes back between the beginning of an utterance and its first sentence.
BACK_MEANWHILE: Final = Case(
    deeds=[
        [Deed(after_s=0.0), Deed(after_s=0.0, letters=0, error=ERRORS[0]), Deed(after_s=0.0)],
        [Deed(after_s=0.0, letters=0, error=ERRORS[2]), Deed(after_s=0.5)],
    ],
    units=[],
    hedge_after_s=0.0,
    failures=1,
    calls=[
        [Plan(words=1, sentence=1)],
        [Plan(words=1, sentence=1), Plan(words=16, sentence=15, form="tokens", pause_s=2.5)],
    ],
)


@example(BACK_MEANWHILE)
@settings(max_examples=at_most(60))
@given(cases(DEEDS, PLANS))
def test_a_voice_keeps_its_promises(case: Case) -> None:
    run_virtually(lambda: live_through(case))


@settings(max_examples=at_most(60))
@given(cases(TOLD_DEEDS, st.builds(replace, PLANS, form=st.sampled_from(["str", "tokens", "plain"]))))
def test_every_word_is_heard_once(case: Case) -> None:
    for plan, ear, error in run_virtually(lambda: live_through(case)):
        heard = read_back(bytes(ear.audio)).replace(" ", "")
        whole = plan.text(ear.name).replace(" ", "")
        if error is None and not ear.deaf:
            assert heard == whole
        else:
            assert whole.startswith(heard) or error is not None


@pytest.mark.parametrize(
    "plan", [Plan(words=3), Plan(words=3, sentence=1, form="plain")], ids=["in a piece", "after a piece"]
)
def test_silence_counts_from_where_it_began(plan: Plan) -> None:
    """And not from when it was seen that nothing more comes."""
    falls_silent = Deed(letters=4, words="never", hangs=True)
    case = Case(
        deeds=[[falls_silent, Deed(after_s=9.0)], [Deed(after_s=9.0)], [Deed(after_s=9.0)]],
        units=[],
        hedge_after_s=0.0,
        failures=3,
        calls=[[plan]],
    )
    ((_, ear, error),) = run_virtually(lambda: live_through(case))
    assert isinstance(error, TimedOut)
    assert ear.audio
    assert (
        ear.silence_s <= PATIENCE_S + TOKEN_S + HAIR_S
    )  # a token that the agent is waited for is its own silence
