"""A real `Call` in virtual time: its carrier's socket and Lightning are played, all between is the real thing."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from bridge.budget import Budget
from bridge.call import Call
from bridge.carriers.carrier import IncomingCall, StreamUrls
from bridge.carriers.dialect import Digit, MarkPlayed
from bridge.carriers.twilio import Twilio, TwilioConfig, TwilioDialect
from bridge.config import BargeInMode, LightningConfig
from bridge.config_agents import BudgetConfig, TurnsConfig
from bridge.control import CallControl, Errands
from bridge.errors import LightningError
from bridge.flows.library import Edition
from bridge.lightning.messages import SynthesisRequest
from bridge.lightning.speech import PartSink, Synthesis
from bridge.lightning.stats import LightningStats
from bridge.lightning.voice import Voice
from bridge.live_call import InBandKeys
from bridge.media.barge_in import BargeIn, BargeInPolicy
from bridge.media.heard import Heard
from bridge.media.pacer import Pacer
from bridge.media.playout import Playout
from bridge.media.silero import Floats
from bridge.media.vad import WINDOW_MS, SpeechDetector, Window
from bridge.observe.stats import BridgeStats
from bridge.observe.timeline import Entry
from bridge.wire import Wire
from telephony_codecs.formats import MULAW_8K
from tests.support.transcriber import ScriptedTranscriber, ScriptedTranscription
from tests.support.twilio_frames import ACCOUNT_ID, CALL_ID, frame
from tests.support.voice import one_voice

INCOMING: Final = IncomingCall(CALL_ID, ACCOUNT_ID, "+15550001111", "+15550002222", "inbound")

_E = TypeVar("_E", bound=Entry)

#: Syntheses are told apart by their sound; after so many the sounds come round again.
SOUNDS: Final = 31
MS_PER_CHARACTER: Final = 50
PACKET_BYTES: Final = 160


def sound(number: int, ms: float) -> bytes:
    """The sound of synthesis `number`, counted from 0: mu-law that is nothing but that."""
    return bytes((0x60 + number % SOUNDS, 0xE0 + number % SOUNDS)) * (MULAW_8K.bytes_in(ms) // 2)


def sounds_in(audio: bytes) -> set[int]:
    """Which syntheses, modulo `SOUNDS`, are heard in `audio`; -1 for what is no such sound."""
    return {code & 0x1F if 0x60 <= code & 0x7F < 0x60 + SOUNDS else -1 for code in set(audio) - {0xFF}}


class PlayedSynthesis(Synthesis):
    """Notes in the trace when it is cancelled."""

    trace: list[tuple[str, Any]]

    def _let_go(self) -> None:
        if self.cancelled:
            self.trace.append(("cancel", self.request.text))


@dataclass
class PlayedLightning:
    """A `Synthesizer`. By default it says everything at once, with a sound of its own for each synthesis."""

    trace: list[tuple[str, Any]]
    stats: LightningStats = field(default_factory=LightningStats)
    syntheses: list[PlayedSynthesis] = field(default_factory=list)
    #: What to do about each synthesis; replace it to be worse.
    script: Callable[[int, Synthesis], None] | None = None
    last_error: LightningError | None = None

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def synthesize(
        self, request: SynthesisRequest, into: PartSink | None = None, *, wait_s: float | None = None
    ) -> Synthesis:
        synthesis = PlayedSynthesis(request, into)
        synthesis.trace = self.trace
        self.syntheses.append(synthesis)
        number = len(self.syntheses) - 1
        self.trace.append(("ask", number))
        asyncio.get_running_loop().call_soon(self.script or self.say_all, number, synthesis)
        return synthesis

    def say_all(self, number: int, synthesis: Synthesis) -> None:
        synthesis.deliver(sound(number, len(synthesis.request.text) * MS_PER_CHARACTER))
        synthesis.finish()


class PlayedLine:
    """A carrier's socket: plays what it gets in real (virtual) time and answers marks, `clear` at once."""

    def __init__(self, loop: asyncio.AbstractEventLoop, trace: list[tuple[str, Any]]) -> None:
        self._loop, self._trace = loop, trace
        self._until_s = 0.0
        self._marks: deque[tuple[str, asyncio.TimerHandle]] = deque()
        self.closes: list[tuple[int, str]] = []
        #: Where answered marks go; None answers none.
        self.answer: Callable[[str], None] | None = None

    def send(self, messages: list[bytes]) -> None:
        for message in messages:
            event = json.loads(message)
            getattr(self, f"_{event['event']}", self._other)(event)

    def _media(self, event: dict[str, Any]) -> None:
        packet = b64decode(event["media"]["payload"])
        self._trace.append(("audio", packet))
        self._until_s = max(self._until_s, self._loop.time()) + MULAW_8K.ms_in(len(packet)) / 1000

    def _mark(self, event: dict[str, Any]) -> None:
        name = event["mark"]["name"]
        self._trace.append(("mark", name))
        self._marks.append((name, self._loop.call_at(self._until_s, self._reached)))

    def _clear(self, _event: dict[str, Any]) -> None:
        self._trace.append(("clear", len(self._marks)))
        self._until_s = self._loop.time()
        while self._marks:
            self._marks[0][1].cancel()
            self._reached()

    def _other(self, event: dict[str, Any]) -> None:
        self._trace.append((event["event"], event))

    def _reached(self) -> None:
        name, _ = self._marks.popleft()
        if self.answer is not None:
            self._loop.call_soon(self.answer, name)

    def left_ms(self) -> float:
        """How much of what it has been sent it has yet to play."""
        return max(0.0, self._until_s - self._loop.time()) * 1000

    def hang_up(self, code: int, reason: str, *, patient: bool = False) -> None:
        self._trace.append(("wait for goodbye", code) if patient else ("close", code))
        self.closes.append((code, reason))


@dataclass
class Scene:
    """A call and what it is played to. `trace` tells in order what was asked, sent and cancelled."""

    call: Call
    line: PlayedLine
    lightning: PlayedLightning
    voice: Voice
    stats: BridgeStats
    playout: Playout
    pacer: Pacer
    trace: list[tuple[str, Any]]
    transcriber: ScriptedTranscriber
    _end_ms: float = 0.0

    @property
    def words(self) -> ScriptedTranscription:
        """Who tells the caller's words."""
        return self.transcriber.calls[self.call.id]

    @property
    def kinds(self) -> list[str]:
        """What happened, audio and what was asked of Lightning left out."""
        return [kind for kind, _ in self.trace if kind not in ("audio", "ask")]

    @property
    def audio(self) -> bytes:
        """All audio that was sent."""
        return b"".join(value for kind, value in self.trace if kind == "audio")

    def say(self, text: str, **options: Any) -> asyncio.Task[Heard]:
        """The agent says something, while the test goes on."""
        return asyncio.create_task(self.call.say(text, **options))

    def entries(self, kind: type[_E]) -> list[_E]:
        """The timeline's entries of one kind, in order."""
        return [entry for entry in self.call.timeline if isinstance(entry, kind)]

    def press(self, digits: str) -> None:
        """The caller presses keys."""
        for digit in digits:
            self.call.receive(Digit(digit))

    def hear(self, *probabilities: float, level_dbfs: float = -20.0) -> None:
        """The detector judges the caller's next windows, of 32 ms each."""
        for probability in probabilities:
            self._end_ms += WINDOW_MS
            self.call.listen(Window(self.call.ear, probability, level_dbfs, self._end_ms))

    async def send(self, audio: bytes, probability: float = 0.0) -> None:
        """The caller's audio comes in, packet by packet, and the detector judges all of it to be the same."""
        call = self.call
        self._end_ms = max(self._end_ms, call.ear.pushed_ms)
        for at in range(0, len(audio), PACKET_BYTES):
            call.taps.sink(audio[at : at + PACKET_BYTES])
            while self._end_ms + WINDOW_MS <= call.ear.pushed_ms:
                self.hear(probability)
            await asyncio.sleep(0.02)

    async def talk(self, ms: float, code: int = 0x80) -> bytes:
        """The caller talks for so long, and is found to. Returns the sound of it."""
        audio = bytes([code]) * MULAW_8K.bytes_in(ms)
        await self.send(audio, 0.95)
        return audio

    async def be_silent(self, ms: float) -> None:
        """The caller says nothing for so long."""
        await self.send(MULAW_8K.silence(ms))

    def move(self, trace: list[tuple[str, Any]]) -> PlayedLine:
        """The call goes on over another socket of its carrier; what happens there comes into `trace`."""
        line = PlayedLine(asyncio.get_running_loop(), trace)
        line.answer = self.line.answer
        dialect = TwilioDialect()
        dialect.receive(frame("start"))
        self.call.move(line, Wire(dialect))
        return line

    def close(self) -> None:
        """Leave the loop."""
        self.pacer.stop()


def twilio_control(stats: BridgeStats, config: TwilioConfig | None = None) -> CallControl:
    """What can be done with the call of a scene; through REST nothing, as no account is configured."""
    urls = StreamUrls("wss://b/media", "https://b/status", "https://b/ended", "https://b/answer")
    return CallControl(Twilio(config or TwilioConfig()), INCOMING, urls, Errands(stats))


def build_call(
    *,
    mode: BargeInMode = "both",
    can_speak: bool = True,
    lead_ms: int = 200,
    filler_after_s: float = 0.0,
    control: CallControl | None = None,
    dialect: TwilioDialect | None = None,
    in_band_keys: InBandKeys = "auto",
    edition: Edition | None = None,
    budget: BudgetConfig | None = None,
    min_words: int = 0,
    turns: TurnsConfig | None = None,
    transcribed: bool = False,
) -> Scene:
    """A call that has just started. Its clock is the running loop's, its pacer runs.

    Args:
        transcribed: whether there is somebody to tell the caller's words, see `Scene.words`.
        control: what can be done with it besides; by default Twilio without REST.
        dialect: one that differs from Twilio's in something.
    """
    loop = asyncio.get_running_loop()
    trace: list[tuple[str, Any]] = []
    lightning, line, stats = PlayedLightning(trace), PlayedLine(loop, trace), BridgeStats()
    transcriber = ScriptedTranscriber()
    dialect, pacer = dialect or TwilioDialect(), Pacer(loop.time)
    dialect.receive(frame("start"))
    # One question, one answer: second requests and probes have tests of their own.
    config = LightningConfig(hedge_after_s=0.0, breaker_failures=100)
    voice = one_voice(lightning, config, busy_backoff_s=0.1)
    voice.entries[0].answer_format = MULAW_8K  # so that no audio is held back to be guessed at
    how = dialect.delivery
    playout = Playout(MULAW_8K, lead_ms=lead_ms, message_ms=how.message_ms, marks=how.marks, clear=how.clear)
    call = Call(
        INCOMING,
        carrier="twilio",
        line=line,
        wire=Wire(dialect),
        control=control or twilio_control(stats),
        voice=voice.for_call(),
        playout=playout,
        barge_in=BargeIn(BargeInPolicy(mode=mode, min_words=min_words)),
        ear=SpeechDetector(model=_asked_nothing).open(),
        pacer=pacer,
        stats=stats,
        clock=loop.time,
        mode=mode,
        can_speak=can_speak,
        filler_after_s=filler_after_s,
        edition=edition,
        budget=Budget(budget, stats.agents, loop.time).for_call() if budget else None,
        in_band_keys=in_band_keys,
        turns=turns,
        transcriber=transcriber if transcribed else None,
    )
    line.answer = lambda name: call.receive(MarkPlayed(name))
    pacer.start()
    return Scene(call, line, lightning, voice, stats, playout, pacer, trace, transcriber)


def _asked_nothing(windows: Floats, memory: Floats) -> tuple[Floats, Floats]:
    raise AssertionError("tests judge the caller's windows themselves: see `Scene.hear`")
