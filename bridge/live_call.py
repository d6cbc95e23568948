"""A call as the server has it: made, fed with what comes in, moved to another socket, ended.

Strategy:

- The pure rooms decide (playout: which packets; barge-in: whether to stop; turns: whether the caller is done); this
  one only carries their answers to the line. It runs in one event loop and no method of it blocks.
- Two halves: the speaker says one utterance at a time, the ears (detector, barge-in, turns) decide who has the floor.
- When the call ends, whatever the agent waits for raises `CallEnded`. Nothing waits for ever.
- A carrier may lose its socket and open another one: meanwhile the call is silent, and the agent notices nothing.

What an agent does with it is `bridge.call.Call`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from bridge.budget import Budget, CallBudget
from bridge.carriers.carrier import IncomingCall
from bridge.carriers.dialect import Digit, Event, FlowResumed, FlowStopped, MarkPlayed
from bridge.config import BargeInMode
from bridge.config_agents import BudgetConfig, TurnsConfig
from bridge.control import CallControl
from bridge.ears import Ears
from bridge.flows.library import Edition
from bridge.lightning.voice import CallVoice
from bridge.media.answer import Answer
from bridge.media.barge_in import BargeIn, TurnDetector
from bridge.media.pacer import Pacer
from bridge.media.playout import Playout
from bridge.media.smart_turn import SmartTurn
from bridge.media.taps import Taps
from bridge.media.vad import VadStream, Window
from bridge.mouth import Line, Mouth, Utterance
from bridge.observe import timeline as tl
from bridge.observe.latency import TurnClock, in_words
from bridge.observe.stats import BridgeStats
from bridge.observe.timeline import Timeline
from bridge.speaker import ENDED, Speaker
from bridge.surroundings import Surroundings
from bridge.transcribers.transcriber import Transcriber
from bridge.wire import Wire
from telephony_codecs.dtmf import DtmfDetector

log = logging.getLogger(__name__)

#: Why a call is over whose caller was handed on.
TRANSFERRED: Final = "transferred"
#: Ends that come from the other side.
_CARRIERS_ENDS: Final = frozenset({"carrier", "carrier_lost"})
#: Ends that somebody meant: nothing is left to be done about them.
_INTENDED: Final = frozenset({"agent", "carrier", TRANSFERRED})
#: Whether keys are heard in the caller's audio: where the carrier tells of none, always, never.
InBandKeys: TypeAlias = Literal["auto", "always", "never"]


class LiveCall:
    """One live call: the server makes it, feeds it the carrier's events and the detector's windows, and ends it."""

    def __init__(
        self,
        incoming: IncomingCall,
        *,
        carrier: str,
        line: Line,
        wire: Wire,
        control: CallControl,
        voice: CallVoice,
        playout: Playout,
        barge_in: BargeIn,
        ear: VadStream,
        pacer: Pacer,
        stats: BridgeStats,
        clock: Callable[[], float],
        options: Mapping[str, Any] = MappingProxyType({}),
        mode: BargeInMode = "both",
        can_speak: bool = True,
        turn_detector: TurnDetector | None = None,
        turns: TurnsConfig | None = None,
        smart_turn: SmartTurn | None = None,
        filler_after_s: float = 0.0,
        edition: Edition | None = None,
        budget: CallBudget | None = None,
        in_band_keys: InBandKeys = "auto",
        transcriber: Transcriber | None = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        self.id = incoming.call_id
        #: What it was called when we had it placed, where that may be another name than its id.
        self.placed_as = incoming.placed_as
        self.carrier = carrier
        self.from_number = incoming.from_number
        self.to_number = incoming.to_number
        #: The table ``[agent.options]``.
        self.options = options
        #: The prompts and flows that it began with.
        self.edition = edition or Edition()
        #: What it shares with other calls, and may know of the process.
        self.surroundings = surroundings or Surroundings()
        self.timeline = Timeline()
        #: How long the caller waited for each answer.
        self.turn_clock = TurnClock(stats.agents, self._note_turn)
        #: What the call has cost, and may.
        self.budget = budget or Budget(BudgetConfig(), stats.agents, clock).for_call()
        self.budget.on_spent = self._note_spent
        #: Monotonic seconds at which the media stream was admitted.
        self.started_s = clock()
        #: Why the call ended; empty while it lives. `over` is set with it.
        self.ended = ""
        self.over = asyncio.Event()
        #: Whom the caller is handed on to; set as soon as the carrier is asked for it.
        self.transfer_to = ""
        #: Whether the media socket is lost, and another one may come.
        self.suspended = False
        #: Messages received from the carrier, for the watchdogs.
        self.messages = 0
        self.media_s = self.started_s
        #: The detector's end of the caller's audio, and where that audio goes.
        self.ear, self.taps = ear, Taps(ear.push)
        self._line, self._wire, self._control = line, wire, control
        self._barge_in, self._pacer, self._stats, self._clock = barge_in, pacer, stats, clock
        self._mode = mode
        self._mouth = self._open_mouth(playout)
        self._speaker = self._open_speaker(voice, can_speak, filler_after_s)
        self._ears = self._open_ears(turn_detector or TurnDetector(), turns or TurnsConfig())
        if in_band_keys == "always" or (in_band_keys == "auto" and not control.tells_keys):
            self._ears.detect_tones(DtmfDetector())
        if transcriber is not None:
            self._transcribe(transcriber)
        if smart_turn is not None:
            self._judge(smart_turn)
        self._note(tl.CallStarted, carrier=carrier, call_id=self.id,
                   from_number=self.from_number, to_number=self.to_number)  # fmt: skip

    def _transcribe(self, transcriber: Transcriber) -> None:
        transcription = transcriber.open(self.id, self._ears.transcript)
        self._ears.transcription = transcription
        self.taps.add(transcription.push)

    def _judge(self, smart_turn: SmartTurn) -> None:
        judge = smart_turn.open()
        self._ears.judge = judge
        self.taps.add(judge.push)

    def _open_mouth(self, playout: Playout) -> Mouth:
        return Mouth(
            line=self._line,
            wire=self._wire,
            playout=playout,
            pacer=self._pacer,
            stats=self._stats,
            clock=self._clock,
            on_first_audio=self._note_first_audio,
            on_over=self._note_over,
        )

    def _open_speaker(self, voice: CallVoice, can_speak: bool, filler_after_s: float) -> Speaker:
        return Speaker(
            self.id,
            mouth=self._mouth,
            voice=voice,
            budget=self.budget,
            barge_in=self._barge_in,
            stats=self._stats,
            note=self._note,
            answer=self._answer,
            can_speak=can_speak,
            filler_after_s=filler_after_s,
        )

    def _open_ears(self, turn_detector: TurnDetector, turns: TurnsConfig) -> Ears:
        return Ears(
            mouth=self._mouth,
            barge_in=self._barge_in,
            turn_detector=turn_detector,
            taps=self.taps,
            turns=turns,
            turn_clock=self.turn_clock,
            stats=self._stats,
            clock=self._clock,
            started_s=self.started_s,
            note=self._note,
        )

    # -- what comes in -----------------------------------------------------------------------------------------

    def receive(self, event: Event) -> None:
        """Take one event of the carrier that is for the call itself; its audio goes to `taps`."""
        if isinstance(event, MarkPlayed):
            self._mouth.mark_played(event.name)
        elif isinstance(event, Digit):
            self._ears.press(event.digit)
        elif isinstance(event, FlowStopped):
            self._mouth.playout.stop_flow(self._clock(), event.for_s)
        elif isinstance(event, FlowResumed):
            self._mouth.playout.resume_flow()

    def listen(self, window: Window) -> None:
        """Take one window of the detector: the caller's last 32 ms."""
        self._ears.listen(window)

    # -- ending ----------------------------------------------------------------------------------------------

    def drop(self, code: int, reason: str) -> None:
        """End the call from our side, for `reason`, and close its socket with `code`."""
        self._close(code, reason, self._wire.dialect.goodbye(reason))

    def _close(self, code: int, reason: str, goodbye: Sequence[bytes]) -> None:
        if self.ended:
            return
        if goodbye:
            self._line.send(list(goodbye))
        self._line.hang_up(code, reason, patient=self._wire.dialect.carrier_closes)
        self.end(reason)

    def probe(self) -> None:
        """The line is silent: ask the carrier whether it is still there, where it can be asked."""
        if asked := self._wire.dialect.probe():
            self._line.send(list(asked))

    def abandon(self) -> None:
        """The call is over here, and neither side has ended it: leave nobody on a silent line."""
        if self.ended not in _INTENDED:
            self._control.abandon()

    def suspend(self) -> None:
        """The media socket is lost, and another one may come: be silent until `move`."""
        self.suspended = True
        self._mouth.playout.suspend()
        self._note(tl.LineLost)

    def move(self, line: Line, wire: Wire) -> None:
        """Go on over another socket of the same carrier."""
        self.suspended = False
        self._line, self._wire = line, wire
        self._stats.calls_resumed += 1
        self._note(tl.LineResumed)
        self._mouth.move(line, wire)

    def end(self, reason: str) -> None:
        """The call is over, for `reason` (a closed set of names). Idempotent; the first reason stands."""
        if self.ended:
            return
        # A carrier that is told to connect the caller elsewhere may end the stream before it has said that it will.
        self.ended = TRANSFERRED if self.transfer_to and reason in _CARRIERS_ENDS else reason
        self.over.set()
        if self._mouth.utterance is not None:
            self._mouth.stop(self._mouth.utterance, ENDED, clear=False)
        self._pacer.remove(self._mouth)
        self._mouth.close()
        self.turn_clock.close(self.now_ms)
        self.budget.close()
        self._stats.playout.add(self._mouth.playout.stats)
        self._note(tl.CallEnded, reason=self.ended)
        why = f"call {self.id} is over: {self.ended}"
        self._speaker.close(why)
        self._ears.close(why)

    @property
    def now_ms(self) -> float:
        """Milliseconds since the call began."""
        return (self._clock() - self.started_s) * 1000

    def _note(self, kind: Callable[..., tl.Entry], **fields: Any) -> None:
        self.timeline.add(kind(at_ms=self.now_ms, **fields))

    def _note_turn(self, turn: tl.TurnTimed) -> None:
        self.timeline.add(turn)
        log.info("call %s turn %d: %s", self.id, turn.turn, in_words(turn))

    def _note_spent(self, limit: str) -> None:
        self._note(tl.BudgetSpent, limit=limit)
        log.warning("call %s has cost what it may: budget.%s is spent", self.id, limit)

    def _answer(self) -> Answer | None:
        return Answer(self.turn_clock, self.started_s) if self.turn_clock.waiting else None

    def _note_first_audio(self, utterance: Utterance) -> None:
        after_ms = (self._clock() - utterance.asked_s) * 1000
        lightning_ms = utterance.speech.first_audio_ms if utterance.speech else None
        self._note(tl.FirstAudio, utterance=utterance.number, after_ms=after_ms, lightning_ms=lightning_ms)

    def _note_over(self, utterance: Utterance) -> None:
        self._ears.bridge_fell_silent(counts=not utterance.aside)
        heard = utterance.heard
        self._note(tl.SpeakingEnded, utterance=utterance.number, heard_ms=heard.ms, total_ms=heard.total_ms,
                   heard_text=utterance.shown, by=heard.by)  # fmt: skip
