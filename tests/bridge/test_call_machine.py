"""Whatever comes in whatever order, from carrier, caller, transcriber, Lightning and agent: what a call never does.

A state machine of Hypothesis's drives a real call in virtual time. After every step:

- nothing has been raised but what the interface promises, and nobody waits for ever;
- after a `clear` no sound of an earlier synthesis is sent, unless what was cleared is resumed, and no synthesis is
  cancelled before the `clear`;
- an eager turn is settled, or the call is over;
- after the end nothing is sent at all, and the line is closed once at most;
- whoever gave a part to be spoken is told no more than once what became of it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any, Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bridge.carriers.dialect import FlowResumed, FlowStopped, Ignored, Started, Stopped
from bridge.carriers.twilio import TwilioDialect
from bridge.errors import CallEnded, LightningError, ProtocolError, Unauthorized, Unavailable
from bridge.lightning.speech import Synthesis
from bridge.media.recorder import Recording
from bridge.observe.timeline import Entry, Resumed
from bridge.prompts import Prompt, Rendition, ToSpeak, apology
from bridge.prompts.sounds import sound as bundled
from telephony_codecs.dtmf import digits_audio
from tests.support.call import SOUNDS, Scene, build_call, sound, sounds_in
from tests.support.twilio_frames import DATA, STREAM_ID, frame, frames
from tests.support.virtual_time import VirtualLoop

PACKET = 160
RECORDED = {
    recorded[at : at + PACKET].rstrip(b"\xff")
    for recorded in (apology().audio, bundled("beep").audio, digits_audio("1"))
    for at in range(0, len(recorded), PACKET)
}
#: A recording whose packets look the same wherever it is cut.
READY = Prompt(b"\x21" * 5000, "Ready.")
#: One of each: right, out of place, broken, hopeless.
MESSAGES = [
    *(frame(path.stem) for path in sorted(DATA.glob("*.json"))),
    *(frame(name) for folder in ("broken", "hopeless") for name in frames(folder)),
    b"",
    b"\xff\x00",
    b"[" * 10_000,
    b'{"event":"connected","deep":' + b"[" * 10_000,
]
PROMISED = (CallEnded, LightningError, TimeoutError, asyncio.CancelledError)


class Complaints(logging.Handler):
    """Errors that were logged because nobody could be given them."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(self.format(record))


class CallMachine(RuleBasedStateMachine):
    """One call, from its start to its end."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.complaints = Complaints()
        logging.getLogger("bridge").addHandler(self.complaints)
        self.loop.set_exception_handler(lambda _loop, context: self.complaints.told.append(str(context)))
        self.tasks: list[asyncio.Task[Any]] = []
        self.speaking: list[asyncio.Task[Any]] = []
        self.ended_at: int | None = None
        self.open = True
        self.starts = 1
        self.checked = 0
        self.recording: asyncio.Task[Any] | None = None
        #: How often whoever gave a part has been told of it.
        self.told: list[int] = []
        #: Syntheses that were asked for before the last `clear`, before the one before it, and all that were.
        self.dead = self.died_before = self.asked = 0
        self.dialect = TwilioDialect()
        self.dialect.receive(frame("start"))

    @initialize(transcribed=st.booleans(), min_words=st.sampled_from([0, 0, 2]))
    def begin(self, transcribed: bool, min_words: int) -> None:
        self.transcribed = transcribed
        self.scene: Scene = self.loop.run_until_complete(self.build(min_words))
        self.call = self.scene.call
        self.call.timeline.follow(self.follow)

    async def build(self, min_words: int) -> Scene:
        scene = build_call(transcribed=self.transcribed, min_words=min_words)
        scene.lightning.script = lambda _number, _synthesis: None
        scene.line.answer = None
        return scene

    def follow(self, entry: Entry) -> None:
        if isinstance(entry, Resumed):
            self.scene.trace.append(("resumed", entry.utterance))

    def settle(self, seconds: float = 0.0) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))

    # -- the carrier -------------------------------------------------------------------------------

    @precondition(lambda self: self.open)
    @rule(message=st.sampled_from(MESSAGES))
    def carrier_sends(self, message: bytes) -> None:
        """As `bridge.server.media` hands it on."""
        try:
            event = self.dialect.receive(message)
        except ProtocolError as error:
            if error.close_code is not None:
                self.call.drop(error.close_code, "protocol_error")
                self.open = False
            return
        self.starts += isinstance(event, Started)
        if isinstance(event, Stopped):
            self.open = False
            self.call.end("carrier")
        elif not isinstance(event, Ignored):
            self.call.receive(event)
        self.settle()

    @precondition(lambda self: self.open)
    @rule(back=st.integers(0, 5))
    def carrier_answers_a_mark(self, back: int) -> None:
        """The newest, or an older one that may be of another utterance, or answered before."""
        names = [value for kind, value in self.scene.trace if kind == "mark"]
        if names:
            name = names[-1 - back % len(names)]
            mark = {"event": "mark", "streamSid": STREAM_ID, "mark": {"name": name}}
            self.carrier_sends(json.dumps(mark).encode())

    @rule(digit=st.sampled_from("0159*#"))
    @precondition(lambda self: self.open)
    def caller_presses(self, digit: str) -> None:
        key = {"event": "dtmf", "streamSid": STREAM_ID, "dtmf": {"digit": digit}}
        self.carrier_sends(json.dumps(key).encode())

    @rule()
    def carrier_is_lost(self) -> None:
        self.open = False
        self.call.end("carrier_lost")

    @precondition(lambda self: self.open and not self.call.ended)
    @rule()
    def the_line_is_lost_or_another_one_comes(self) -> None:
        if self.call.suspended:
            self.another_line_comes()
        else:
            self.call.suspend()

    def another_line_comes(self) -> None:
        async def move() -> None:
            self.scene.move(self.scene.trace)

        self.loop.run_until_complete(move())
        self.settle()

    @precondition(lambda self: self.open)
    @rule(for_s=st.sampled_from([None, 0.0, 0.1, 3.0]))
    def carrier_wants_no_more_for_now_or_again(self, for_s: float | None) -> None:
        self.call.receive(FlowResumed() if for_s is None else FlowStopped(for_s))

    # -- the detector and the clock ----------------------------------------------------------------

    @rule(
        probabilities=st.lists(st.sampled_from([0.0, 0.4, 0.6, 0.95]), min_size=1, max_size=25),
        level_dbfs=st.sampled_from([-70.0, -20.0]),
    )
    def caller_makes_a_sound(self, probabilities: list[float], level_dbfs: float) -> None:
        self.loop.run_until_complete(self.hear(probabilities, level_dbfs))
        self.settle()

    @rule(windows=st.integers(2, 4))
    def caller_coughs(self, windows: int) -> None:
        self.caller_makes_a_sound([0.95] * windows, -20.0)

    async def hear(self, probabilities: list[float], level_dbfs: float = -20.0) -> None:
        for probability in probabilities:
            self.call.taps.sink(b"\x80" * 256)
            self.scene.hear(probability, level_dbfs=level_dbfs)

    @rule(ms=st.sampled_from([1, 5, 20, 100, 500, 3000]))
    def time_passes(self, ms: int) -> None:
        self.settle(ms / 1000)

    @rule(ms=st.sampled_from([30, 300, 3000]))
    def process_stalls(self, ms: int) -> None:
        self.loop.now_s += ms / 1000
        self.settle()

    # -- the transcriber ---------------------------------------------------------------------------

    @precondition(lambda self: self.transcribed)
    @rule(
        text=st.sampled_from(["", "Yes.", "Well,", "One two three"]),
        kind=st.sampled_from(["guess", "final", "told"]),
    )
    def transcriber_tells(self, text: str, kind: str) -> None:
        async def tell() -> None:
            getattr(self.scene.words, kind)(text)

        self.loop.run_until_complete(tell())
        self.settle()

    @precondition(lambda self: self.transcribed)
    @rule(able=st.booleans())
    def transcriber_fails_or_comes_back(self, able: bool) -> None:
        self.scene.words.able = able

    @precondition(lambda self: self.transcribed)
    @rule(after_ms=st.sampled_from([100, 600, 999, 1500]))
    def caller_coughs_and_then_says_a_word(self, after_ms: int) -> None:
        self.caller_coughs(3)
        self.settle(after_ms / 1000)
        self.transcriber_tells("Stop", "guess")

    # -- Lightning ---------------------------------------------------------------------------------

    def synthesis(self, back: int) -> tuple[int, Synthesis] | None:
        made = self.scene.lightning.syntheses
        number = len(made) - 1 - back
        return (number, made[number]) if number >= 0 else None

    @rule(back=st.integers(0, 3), ms=st.sampled_from([1, 10, 100, 1000, 12_000]))
    def lightning_gives_audio(self, back: int, ms: int) -> None:
        if chosen := self.synthesis(back):
            chosen[1].deliver(sound(chosen[0], ms))
            self.settle()

    @rule(back=st.integers(0, 3))
    def lightning_completes(self, back: int) -> None:
        if chosen := self.synthesis(back):
            chosen[1].finish()
            self.settle()

    @rule(back=st.integers(0, 3), retryable=st.booleans())
    def lightning_fails(self, back: int, retryable: bool) -> None:
        if chosen := self.synthesis(back):
            chosen[1].finish(Unavailable("gone") if retryable else Unauthorized("no"))
            self.settle()

    # -- the agent ---------------------------------------------------------------------------------

    def start(self, work: Any, *, speaks: bool = False) -> None:
        task = self.loop.create_task(work)
        self.tasks.append(task)
        if speaks:
            self.speaking.append(task)
        self.settle()

    @rule(interruptible=st.booleans(), sentences=st.integers(1, 3))
    def agent_says(self, interruptible: bool, sentences: int) -> None:
        text = "This is a sentence of some length, as they are. " * 6 * sentences
        self.start(self.call.say(text, interruptible=interruptible), speaks=True)

    @rule(pause_s=st.sampled_from([0.0, 0.3]))
    def agent_streams(self, pause_s: float) -> None:
        async def words() -> AsyncIterator[str]:
            for _ in range(3):
                yield "A sentence. "
                await asyncio.sleep(pause_s)

        self.start(self.call.say(words()), speaks=True)

    @rule()
    def agent_plays(self) -> None:
        self.start(self.call.play(apology()), speaks=True)

    @rule(for_s=st.sampled_from([0.05, 1.0, 5.0]), interruptible=st.booleans())
    def agent_repeats(self, for_s: float, interruptible: bool) -> None:
        self.start(self.call.play(READY, for_s=for_s, interruptible=interruptible), speaks=True)

    def to_speak(self, text: str) -> ToSpeak:
        number = len(self.told)
        self.told.append(0)

        def on_spoken(audio: bytes | None) -> None:
            self.told[number] += 1
            assert audio is None or len(sounds_in(audio)) == 1, "of one attempt"

        return ToSpeak(text, on_spoken=on_spoken)

    @rule(shape=st.sampled_from(["rs", "s", "srs", "rssr"]))
    def agent_plays_what_is_not_ready(self, shape: str) -> None:
        parts = [READY if part == "r" else self.to_speak("A part of its own.") for part in shape]
        self.start(self.call.play(Rendition(tuple(parts))), speaks=True)

    @rule(for_s=st.sampled_from([0.0, 0.5, 10.0]), says=st.booleans())
    def agent_holds(self, for_s: float, says: bool) -> None:
        async def hold() -> None:
            async with self.call.holding(READY):
                await asyncio.sleep(for_s)
                if says:
                    await self.call.say("Please go on holding.")
                    await asyncio.sleep(for_s)

        self.start(hold(), speaks=True)

    @rule(max_s=st.sampled_from([0.3, 10.0]), silence_s=st.sampled_from([0.2, 2.0]), beep=st.booleans())
    @precondition(lambda self: self.recording is None or self.recording.done())
    def agent_records(self, max_s: float, silence_s: float, beep: bool) -> None:
        async def record() -> None:
            recording = await self.call.record(max_s=max_s, silence_s=silence_s, beep=beep)
            assert isinstance(recording, Recording)
            assert recording.ms <= max_s * 1000

        self.start(record(), speaks=True)
        self.recording = self.tasks[-1]

    @rule(masked=st.booleans(), until_speech=st.booleans())
    def agent_collects(self, masked: bool, until_speech: bool) -> None:
        self.start(self.call.collect(3, masked=masked, until_speech=until_speech))

    @rule()
    def agent_forgets(self) -> None:
        self.call.forget_digits()

    @rule()
    def agent_sends_tones(self) -> None:
        self.start(self.call.send_digits("1"), speaks=True)

    @rule(timeout_s=st.sampled_from([0.0, 0.5, 30.0]))
    def agent_gathers(self, timeout_s: float) -> None:
        self.start(self.call.gather(2, timeout_s=timeout_s))

    @rule(timeout_s=st.sampled_from([0.5, None]), eager=st.booleans())
    def agent_listens(self, timeout_s: float | None, eager: bool) -> None:
        async def listen() -> None:
            async for turn in self.call.turns(timeout_s=timeout_s, eager=eager):
                assert await turn.settled() or not turn.certain

        self.start(listen())

    @rule()
    def agent_notices_the_caller(self) -> None:
        async def listen() -> None:
            await self.call.caller_speaks()

        self.start(listen())

    @rule(timeout_s=st.sampled_from([0.0, 0.1, 1.0]))
    def agent_loses_patience(self, timeout_s: float) -> None:
        async def impatient() -> None:
            async with asyncio.timeout(timeout_s):
                await self.call.say("This will be cut short by whoever says it.")

        self.start(impatient(), speaks=True)

    @rule(which=st.integers(0, 3))
    def agent_is_cancelled(self, which: int) -> None:
        if self.tasks:
            self.tasks[which % len(self.tasks)].cancel()
            self.settle()

    @rule(by=st.sampled_from(["agent", "speech"]))
    def agent_interrupts_itself(self, by: Literal["agent", "speech"]) -> None:
        self.call.interrupt(by)
        self.settle()

    @rule()
    def agent_hangs_up(self) -> None:
        self.start(self.call.hang_up())

    # -- what must hold ----------------------------------------------------------------------------

    @invariant()
    def nothing_is_raised_but_what_is_promised(self) -> None:
        assert self.complaints.told == []
        for task in self.tasks:
            if task.done() and not task.cancelled() and (error := task.exception()):
                assert isinstance(error, PROMISED), repr(error)

    @invariant()
    def no_stale_sound_is_sent_and_clear_comes_before_cancel(self) -> None:
        trace = self.scene.trace
        for at in range(self.checked, len(trace)):
            kind, value = trace[at]
            if kind == "ask":
                self.asked += 1
            elif kind == "clear":
                self.died_before, self.dead = self.dead, self.asked
            elif kind == "resumed":
                self.dead = self.died_before
            elif kind == "audio":
                assert len(value) == PACKET
                heard = sounds_in(value.replace(READY.audio[:1], b""))
                living = {n % SOUNDS for n in range(self.dead, self.asked)}
                assert heard <= living or value.rstrip(b"\xff") in RECORDED, (heard, living)
            elif kind == "cancel":
                before = next((k for k, _ in reversed(trace[:at]) if k not in ("cancel", "ask")), "")
                assert before == "clear" or self.call.ended, trace[max(0, at - 5) : at + 1]
        self.checked = len(trace)

    @invariant()
    def the_end_is_the_end(self) -> None:
        assert self.starts == 1
        sent = [kind for kind, _ in self.scene.trace if kind not in ("cancel", "ask")]
        assert "close" not in sent[:-1]
        if self.ended_at is not None:
            assert len(sent) == self.ended_at
        elif self.call.ended:
            self.ended_at = len(sent)

    def teardown(self) -> None:
        try:
            self.come_to_an_end()
        finally:
            logging.getLogger("bridge").removeHandler(self.complaints)
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.settle(1)
            self.loop.close()

    def come_to_an_end(self) -> None:
        """Lightning says its last word, so whoever speaks comes to an end; then the call does, and all are told."""
        if self.call.suspended and not self.call.ended:
            self.another_line_comes()
        for _ in range(400):
            if all(task.done() for task in self.speaking):
                break
            for synthesis in self.scene.lightning.syntheses:
                synthesis.finish()
            self.loop.run_until_complete(
                self.hear([0.0])
            )  # a line that says nothing at all is the watchdog's to notice
            self.settle(0.5)
        assert [task for task in self.speaking if not task.done()] == []
        self.call.end("carrier")
        self.settle(0.1)
        assert [task for task in self.tasks if not task.done()] == []
        self.nothing_is_raised_but_what_is_promised()
        assert set(self.told) <= {0, 1}  # not at all when the call was over before its turn came
        assert not self.scene.playout.active
        self.scene.close()
        self.loop.run_until_complete(self.scene.voice.close())
        self.settle(1)
        left = asyncio.all_tasks(self.loop)
        assert left == set(), left


TestCallMachine = CallMachine.TestCase
TestCallMachine.settings = settings(
    max_examples=min(60, settings().max_examples), stateful_step_count=40, deadline=None
)
