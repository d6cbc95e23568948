"""One live call, and the interface that an agent sees.

Strategy:

- An agent is an async function of a `Call`. It sees `say`, `play`, `gather`, `turns`, `digits`, `heard`, `transfer`,
  `send_digits`, `hang_up` and nothing of carriers, sockets or packets.
- The pure rooms decide (playout: which packets; barge-in: whether to stop; turns: whether the caller is done); this
  one only carries their answers to the line. It runs in one event loop and no method of it blocks.
- Two halves: the mouth says one utterance at a time, the ears (detector, barge-in, turns) decide who has the floor.
- When the call ends, whatever the agent waits for raises `CallEnded`. Nothing waits for ever.
- A carrier may lose its socket and open another one: meanwhile the call is silent, and the agent notices nothing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from bridge.carriers.carrier import IncomingCall
from bridge.carriers.dialect import Digit, Event, FlowResumed, FlowStopped, MarkPlayed
from bridge.config import BargeInMode
from bridge.control import CallControl
from bridge.ears import Ears, Keys, Turn
from bridge.errors import CallEnded, LightningError, ListenOnly
from bridge.flows.library import Edition
from bridge.lightning.voice import CallVoice
from bridge.media.barge_in import BargeIn, TurnDetector
from bridge.media.heard import Heard
from bridge.media.pacer import Pacer
from bridge.media.playout import Playout
from bridge.media.recorder import Recording
from bridge.media.vad import VadStream, Window
from bridge.mouth import Line, Mouth, Utterance
from bridge.observe import timeline as tl
from bridge.observe.stats import BridgeStats
from bridge.observe.timeline import Timeline
from bridge.prompts import Prompt, Rendition, apology, one_moment
from bridge.wire import Wire

__all__ = ["Call", "Heard", "Keys", "Recording", "Turn"]

#: What an utterance is over by when the call is.
ENDED: Final = "ended"
#: Why a call is over whose caller was handed on.
TRANSFERRED: Final = "transferred"
#: Ends that come from the other side.
_CARRIERS_ENDS: Final = frozenset({"carrier", "carrier_lost"})
#: Ends that somebody meant: nothing is left to be done about them.
_INTENDED: Final = frozenset({"agent", "carrier", TRANSFERRED})
#: What `send_digits` can press: keys, and ``w``, a pause.
_KEYS: Final = re.compile(r"[0-9A-D*#w]{1,64}")
#: Whether keys are heard in the caller's audio: where the carrier tells of none, always, never.
InBandKeys: TypeAlias = Literal["auto", "always", "never"]


class Call:
    """One live call.

    Agents use the public methods down to `hang_up`. The rest is for the server, which makes the call, feeds it the
    carrier's events and the detector's windows, and ends it.
    """

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
        filler_after_s: float = 0.0,
        edition: Edition | None = None,
        in_band_keys: InBandKeys = "auto",
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
        #: Whether timeline and logs show keys as "•".
        self.digits_masked = False
        self.timeline = Timeline()
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
        self._line, self._wire, self._control = line, wire, control
        self._voice, self._barge_in, self._pacer = voice, barge_in, pacer
        #: The detector's end of the caller's audio.
        self.ear = ear
        self._mouth = Mouth(
            line=line,
            wire=wire,
            playout=playout,
            pacer=pacer,
            stats=stats,
            clock=clock,
            on_first_audio=self._note_first_audio,
            on_over=self._note_over,
        )
        self._stats, self._clock = stats, clock
        self._mode, self._can_speak, self._filler_after_s = mode, can_speak, filler_after_s
        self._floor = asyncio.Lock()
        self._ears = Ears(
            mouth=self._mouth,
            barge_in=barge_in,
            turn_detector=turn_detector or TurnDetector(),
            stats=stats,
            clock=clock,
            note=self._note,
        )
        self._note(tl.CallStarted, carrier=carrier, call_id=self.id,
                   from_number=self.from_number, to_number=self.to_number)  # fmt: skip

    # -- for agents --------------------------------------------------------------------------------------------

    async def say(
        self,
        text: str | AsyncIterable[str],
        *,
        interruptible: bool = True,
        barge_in: BargeInMode | None = None,
    ) -> Heard:
        """Speak, and return when the caller has heard it all or has cut it short.

        Args:
            text: what to say; an async iterator is spoken sentence by sentence as it comes.
            interruptible: False lets nothing interrupt; the same as ``barge_in="off"``.
            barge_in: what may interrupt this utterance, instead of the configured mode.

        Raises:
            CallEnded: the call is over, or ended meanwhile.
            ListenOnly: the carrier only listens in.
            LightningError: the voice failed, even after a retry. The caller has heard an apology.
        """
        if isinstance(text, str) and not text.strip():
            return Heard()
        async with self._floor:
            mode = self._mode_of(interruptible, barge_in)
            utterance = self._begin(mode, text if isinstance(text, str) else "")
            return await self._speak(utterance, text, mode)

    async def play(
        self,
        prompt: Prompt | Rendition | str,
        *,
        variables: Mapping[str, object] | None = None,
        language: str = "",
        private: Collection[str] = (),
        for_s: float = 0.0,
        interruptible: bool = True,
        barge_in: BargeInMode | None = None,
    ) -> Heard:
        """Play a prompt, and return when the caller has heard it all or has cut it short.

        Args:
            prompt: a recording, what the shelf made of a prompt, or the id of one of the prompt files.
            variables: what fills in the prompt of that id.
            language: in which of its languages.
            private: of `variables`, whose sound is never kept.
            for_s: over and over for so long; 0 is once, to its end.

        Raises:
            CallEnded: the call is over, or ended meanwhile.
            ListenOnly: the carrier only listens in.
            PromptError: there is no prompt of that id.
            LightningError: a part had to be spoken, and the voice failed. The caller has heard an apology.
        """
        if not isinstance(prompt, Prompt):
            raise NotImplementedError
        async with self._floor:
            utterance = self._begin(self._mode_of(interruptible, barge_in), prompt.text)
            return await self._play(utterance, prompt)

    async def gather(self, digits: int = 1, timeout_s: float = 5.0, finish_on: str = "#") -> str:
        """Collect keys. What was pressed since the last `gather` counts, so callers may type ahead.

        Args:
            digits: how many to collect at most.
            timeout_s: how long to wait for each next one.
            finish_on: keys that end the input at once; they are not part of the result.

        Returns:
            The keys, fewer than `digits` (or none) when time ran out or a `finish_on` key came.

        Raises:
            CallEnded: the call is over, or ended meanwhile.
        """
        return await self._ears.gather(digits, timeout_s, finish_on)

    async def collect(
        self,
        digits: int = 1,
        *,
        first_timeout_s: float = 5.0,
        next_timeout_s: float | None = None,
        finish_on: str = "#",
        masked: bool = False,
        until_speech: bool = False,
    ) -> Keys:
        """Collect keys, and tell what ended them."""
        raise NotImplementedError

    def forget_digits(self) -> None:
        """Drop the keys that were pressed and not yet gathered."""
        raise NotImplementedError

    def holding(self, sound: Prompt | str = "hold_music") -> AbstractAsyncContextManager[None]:
        """While the block runs, the caller hears `sound` over and over. Nothing interrupts it; keys are kept."""
        raise NotImplementedError

    async def record(
        self, *, max_s: float = 120.0, silence_s: float = 4.0, finish_on: str = "#", beep: bool = True
    ) -> Recording:
        """Record what the caller says. Does not raise when the caller hangs up: what was said is kept."""
        raise NotImplementedError

    def turns(self, *, timeout_s: float | None = None) -> AsyncIterator[Turn]:
        """What the caller says, a turn at a time: each comes when the caller has fallen silent again.

        Ends when the call does, or when the caller has not begun to speak for `timeout_s`.
        """
        return self._ears.turns(timeout_s)

    @property
    def digits(self) -> str:
        """The keys pressed and not yet gathered."""
        return self._ears.digits

    @property
    def heard(self) -> Heard:
        """What became of the last utterance; of the one that is on, what has been heard so far."""
        return self._mouth.heard

    async def transfer(self, to: str) -> None:
        """Hand the caller on to `to`, a number or whatever else the carrier can dial, and end the call here.

        Speaks nothing: say what is to be said before.

        Raises:
            CallEnded: the call is over.
            CarrierError: it did not work, or (Unsupported) the carrier cannot, or lacks settings for it. The call
                goes on.
        """
        self._check()
        self.transfer_to = to  # before it is asked: the carrier may want to know before it has answered
        try:
            await self._hand_on(to)
        except BaseException:
            self.transfer_to = ""
            raise

    async def send_digits(self, digits: str) -> None:
        """Press keys towards the caller: ``0``-``9``, ``*``, ``#``, ``A``-``D``; ``w`` is a pause.

        Raises:
            ValueError: other keys, or none, or more than 64.
            CallEnded: the call is over.
            CarrierError: it did not work, or (Unsupported) the carrier cannot, or lacks settings for it.
        """
        if not _KEYS.fullmatch(digits):
            raise ValueError("digits must be 1 to 64 of 0-9, *, #, A-D, w")
        self._check()
        if self._control.sends_digits_by_message:
            self._line.send(list(self._wire.dialect.send_digits(digits)))
        else:
            await self._control.send_digits(digits)
        self._note(tl.DigitsSent, digits=digits)

    async def hang_up(self) -> None:
        """End the call. Harmless when it is over."""
        if not self.ended:
            self.drop(1000, "agent")
            self._control.hang_up()

    # -- speaking ----------------------------------------------------------------------------------------------

    def _mode_of(self, interruptible: bool, mode: BargeInMode | None) -> BargeInMode:
        return "off" if not interruptible else mode or self._mode

    def _begin(self, mode: BargeInMode, text: str) -> Utterance:
        self._check()
        if not self._can_speak:
            raise ListenOnly(f"call {self.id}: the carrier only listens in, nothing can be played to it")
        self._barge_in.set_mode(mode)
        self._barge_in.reset()
        utterance = self._mouth.begin()
        self._note(tl.SpeakingAsked, utterance=utterance.number, text=text)
        return utterance

    async def _speak(self, utterance: Utterance, text: str | AsyncIterable[str], mode: BargeInMode) -> Heard:
        after_s = self._filler_after_s
        filler = asyncio.get_running_loop().call_later(after_s, self._fill, utterance) if after_s else None
        try:
            await self._mouth.speak(utterance, self._voice.speak(text))
            return await self._until_heard(utterance)
        except LightningError as error:
            return await self._apologise(utterance, mode, error)
        finally:
            if filler is not None:
                filler.cancel()
            self._mouth.abandon(utterance)

    def _fill(self, utterance: Utterance) -> None:
        """The caller has heard nothing for a while: say that somebody is there."""
        if self._mouth.fill(utterance, one_moment()):
            self._stats.fillers += 1
            self._note(tl.FillerPlayed, utterance=utterance.number)

    async def _play(self, utterance: Utterance, prompt: Prompt) -> Heard:
        try:
            self._mouth.play(utterance, prompt)
            return await self._until_heard(utterance)
        finally:
            self._mouth.abandon(utterance)

    async def _until_heard(self, utterance: Utterance) -> Heard:
        if await self._mouth.until_over(utterance) == ENDED:
            raise CallEnded(f"call {self.id} ended while it was spoken to: {self.ended}")
        return utterance.heard

    async def _apologise(self, utterance: Utterance, mode: BargeInMode, error: LightningError) -> Heard:
        """The voice failed: what came of it plays out, then the bundled apology, then the agent is told."""
        self._stats.voice_failures += 1
        self._note(tl.VoiceFailed, error=f"{type(error).__name__}: {error}")
        heard = await self._until_heard(utterance)
        if not heard.interrupted:
            await self._play(self._begin(mode, apology().text), apology())
        raise error

    def _note_first_audio(self, utterance: Utterance) -> None:
        after_ms = (self._clock() - utterance.asked_s) * 1000
        lightning_ms = utterance.speech.first_audio_ms if utterance.speech else None
        self._note(tl.FirstAudio, utterance=utterance.number, after_ms=after_ms, lightning_ms=lightning_ms)

    def _note_over(self, utterance: Utterance) -> None:
        self._barge_in.reset()
        heard = utterance.heard
        self._note(tl.SpeakingEnded, utterance=utterance.number, heard_ms=heard.ms, total_ms=heard.total_ms,
                   heard_text=heard.text, by=heard.by)  # fmt: skip

    # -- what comes in -----------------------------------------------------------------------------------------

    def receive(self, event: Event) -> None:
        """Take one event of the carrier that is for the call itself; its audio goes to `ear`."""
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

    def _check(self) -> None:
        if self.ended:
            raise CallEnded(f"call {self.id} is over: {self.ended}")

    async def _hand_on(self, to: str) -> None:
        by_message = self._control.transfers_by_message
        if not by_message:
            await self._control.transfer(to)
        self._note(tl.Transferred, to=to)
        dialect = self._wire.dialect
        self._close(1000, TRANSFERRED, dialect.transfer(to) if by_message else dialect.goodbye(TRANSFERRED))

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
        self._stats.playout.add(self._mouth.playout.stats)
        self._note(tl.CallEnded, reason=self.ended)
        self._ears.close(f"call {self.id} is over: {self.ended}")

    def _note(self, kind: Callable[..., tl.Entry], **fields: Any) -> None:
        self.timeline.add(kind(at_ms=(self._clock() - self.started_s) * 1000, **fields))
