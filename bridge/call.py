"""One live call, as an agent sees it.

Strategy:

- An agent is an async function of a `Call`. It sees `say`, `play`, `stream`, `holding`, `gather`, `collect`, `record`,
  `turns`, `digits`, `heard`, `transfer`, `send_digits`, `hang_up` and nothing of carriers, sockets or packets.
- What carriers differ in is settled here: who cannot press keys by message is sent their tones.
- What an agent gets wrong is said at once, with the mend, before the caller hears anything of it.
- When the call ends, whatever the agent waits for raises `CallEnded`; but a message that the caller left is given.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Callable, Collection, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Final, Literal

from bridge.config import BargeInMode
from bridge.errors import CallEnded, Unsupported
from bridge.keypad import MASK, Keys
from bridge.listening_call import ListeningCall
from bridge.live_call import TRANSFERRED
from bridge.media.heard import Heard
from bridge.media.recorder import Recorder, Recording
from bridge.observe import timeline as tl
from bridge.observe.stats import BridgeStats
from bridge.prompts import Prompt, Rendition, ToSpeak
from bridge.prompts.sounds import sound as bundled
from bridge.turns import Turn
from telephony_codecs.dtmf import digits_audio

__all__ = ["TRANSFERRED", "Call", "Heard", "Keys", "Recording", "Turn"]

#: What `send_digits` can press: keys, and ``w``, a pause.
_KEYS: Final = re.compile(r"[0-9A-D*#w]{1,64}")


class Call(ListeningCall):
    """One live call. What agents use of it is here; `LiveCall` is for the server."""

    # -- speaking ----------------------------------------------------------------------------------------------

    async def say(
        self,
        text: str | AsyncIterable[str],
        *,
        interruptible: bool = True,
        barge_in: BargeInMode | None = None,
        answers: bool = True,
    ) -> Heard:
        """Speak, and return when the caller has heard it all or has cut it short.

        Args:
            text: what to say; an async iterator is spoken sentence by sentence as it comes.
            interruptible: False lets nothing interrupt; the same as ``barge_in="off"``.
            barge_in: what may interrupt this utterance, instead of the configured mode.
            answers: False for what is no answer to the caller, such as a filler or a question whether they are there.

        Raises:
            CallEnded: the call is over, or ended meanwhile.
            ListenOnly: the carrier only listens in.
            LightningError: the voice failed, even after a retry. The caller has heard an apology.
        """
        return await self._speaker.say(text, self._mode_of(interruptible, barge_in), answers=answers)

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
        answers: bool = True,
    ) -> Heard:
        """Play a prompt, and return when the caller has heard it all or has cut it short.

        Args:
            prompt: a recording; the id of a prompt of the prompt files, or of a sound that is always there; or what
                the shelf has made of one.
            variables: what fills in the prompt of that id.
            language: in which of its languages.
            private: of `variables`, whose sound is never kept.
            for_s: over and over for so long; 0 is once, to its end. What has yet to be spoken is said once.
            interruptible: False lets nothing interrupt; the same as ``barge_in="off"``.
            barge_in: what may interrupt this utterance, instead of the configured mode.
            answers: as `say` has it.

        Raises:
            CallEnded: the call is over, or ended meanwhile.
            ListenOnly: the carrier only listens in.
            PromptError: there is no prompt of that id.
            LightningError: a part had to be spoken, and the voice failed. The caller has heard an apology.
            TypeError: a recording was given variables, a language or what is private: only ids have those.
        """
        if for_s < 0:
            raise ValueError(f"for_s must be 0 (once) or more, not {for_s:g}")
        rendition = self._rendition(prompt, variables, language, private)
        mode = self._mode_of(interruptible, barge_in)
        return await self._speaker.play(rendition, mode, for_s, answers=answers)

    async def stream(
        self, audio: AsyncIterable[bytes | str], *, text: str = "", barge_in: BargeInMode | None = None
    ) -> Heard:
        """Let the caller hear sound as it comes from elsewhere. Returns when they have, or have cut it short.

        Args:
            audio: 8 kHz mu-law of any size. Faster than real time, it is asked for more as it is heard. Among it may
                be, as str, more of the text that it speaks.
            text: what it speaks, as far as that is known: what is heard of it is told by that.
            barge_in: what may interrupt this utterance, instead of the configured mode.

        Raises:
            CallEnded: the call is over, or ended meanwhile.
            ListenOnly: the carrier only listens in.
            Exception: what `audio` raised. The caller hears no more of it.
        """
        return await self._speaker.stream(audio, text, barge_in or self._mode)

    def interrupt(self, by: Literal["agent", "speech"] = "agent") -> bool:
        """Be silent now: the utterance that is on is over, whatever may interrupt it. Music on hold goes on.

        Args:
            by: what its `Heard.by` will be; ``speech`` when somebody else than the bridge has heard the caller speak.

        Returns:
            Whether there was one.
        """
        return self._speaker.interrupt(by)

    def holding(self, sound: Prompt | str = "hold_music") -> AbstractAsyncContextManager[None]:
        """While the ``async with`` block runs, the caller hears `sound`, over and over, whenever nothing else is said.

        Nothing interrupts it; keys pressed meanwhile are kept. What has yet to be spoken cannot be repeated: the hold
        music stands in for it.

        Raises:
            CallEnded: the call is over. When it ends inside the block, the block goes on.
            ListenOnly: the carrier only listens in.
            PromptError: there is no prompt of that id.
        """
        rendition = self._rendition(sound)
        return self._speaker.holding(rendition.ready or _stand_in(rendition))

    # -- the caller's voice ----------------------------------------------------------------------------------

    async def record(
        self, *, max_s: float = 120.0, silence_s: float = 4.0, finish_on: str = "#", beep: bool = True
    ) -> Recording:
        """Record what the caller says. Keys pressed before the beep was over are forgotten.

        Args:
            max_s: no longer than this.
            silence_s: so much silence ends it: after the last word, or when there is none.
            finish_on: keys that end it.
            beep: sound one before. Nothing interrupts it.

        Returns:
            The message, without the silence behind it; empty when nothing was said. When the caller hangs up meanwhile,
            what was said until then.

        Raises:
            CallEnded: the call was over before.
            ListenOnly: the carrier only listens in, and there was to be a beep.
        """
        if min(max_s, silence_s) <= 0:
            raise ValueError(f"max_s and silence_s must be more than 0, not {max_s:g} and {silence_s:g}")
        self._check()
        try:
            if beep:
                await self.play(bundled("beep"), interruptible=False)
        except CallEnded:
            return Recording(b"", 0, "hang_up")
        self._ears.forget_digits()
        recorder = Recorder(start_ms=self.ear.pushed_ms, max_s=max_s, silence_s=silence_s)
        recording = await self._ears.record(recorder, finish_on, max_s)
        self._note(tl.MessageTaken, ms=recording.ms, by=recording.by)
        return recording

    @contextmanager
    def hearing(self, sink: Callable[[bytes], None], *, tells_turns: bool = False) -> Iterator[None]:
        """While the ``with`` block runs, the caller's voice goes to `sink` too, as 8 kHz mu-law of any size.

        Args:
            sink: called for every packet; must return at once and not raise.
            tells_turns: whoever hears it knows when the caller is done, and says so with `note_turn`.

        Raises:
            CallEnded: the call is over.
        """
        self._check()
        self.taps.add(sink)
        self._ears.times_turns = not tells_turns
        try:
            yield
        finally:
            self._ears.times_turns = True
            self.taps.remove(sink)

    # -- past the media socket ---------------------------------------------------------------------------------

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

        Where the carrier cannot, or lacks settings for it, their tones are played, and nothing interrupts them.

        Raises:
            ValueError: other keys, or none, or more than 64.
            CallEnded: the call is over.
            CarrierError: it did not work, or (Unsupported) the carrier cannot, and nothing can be played to it.
        """
        if not _KEYS.fullmatch(digits):
            raise ValueError("digits must be 1 to 64 of 0-9, *, #, A-D, w")
        self._check()
        if self._control.sends_digits_by_message:
            self._line.send(list(self._wire.dialect.send_digits(digits)))
        else:
            await self._send_digits(digits)
        self._note(tl.DigitsSent, digits=MASK * len(digits) if self.digits_masked else digits)

    async def hang_up(self) -> None:
        """End the call. Harmless when it is over."""
        if not self.ended:
            self.drop(1000, "agent")
            self._control.hang_up()

    # -- for agents that think --------------------------------------------------------------------------------

    @property
    def stats(self) -> BridgeStats:
        """The counters of the process, for what an agent has to count."""
        return self._stats

    def note_turn(self, speech_end_ms: float) -> None:
        """The caller is done, and was silent from `speech_end_ms` of the call on. Only for who `hearing` is told so."""
        self.turn_clock.turn(speech_end_ms, None, self.now_ms)

    def note_token(self) -> None:
        """The agent has some of its answer. `say` tells by itself; who thinks before it says so earlier."""
        self.turn_clock.token(self.now_ms)

    def note_failed(self) -> None:
        """The caller's turn will not be answered: an apology is said instead, or nothing."""
        self.turn_clock.failed(self.now_ms)

    def note(self, kind: Callable[..., tl.Entry], **fields: object) -> None:
        """Put an entry into the timeline, with the time it is now."""
        self._note(kind, **fields)

    # -- how ---------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        if self.ended:
            raise CallEnded(f"call {self.id} is over: {self.ended}")

    def _mode_of(self, interruptible: bool, mode: BargeInMode | None) -> BargeInMode:
        return "off" if not interruptible else mode or self._mode

    def _rendition(
        self,
        prompt: Prompt | Rendition | str,
        variables: Mapping[str, object] | None = None,
        language: str = "",
        private: Collection[str] = (),
    ) -> Rendition:
        """What is to be played for `prompt`."""
        if isinstance(prompt, str):
            return self.edition.shelf.rendition(prompt, variables, language=language, private=private)
        if variables or language or private:
            raise TypeError(
                f"variables, language and private are for prompts of the prompt files: give the id of one, "
                f"not a {type(prompt).__name__}"
            )
        return prompt if isinstance(prompt, Rendition) else Rendition((prompt,))

    async def _send_digits(self, digits: str) -> None:
        try:
            await self._control.send_digits(digits)
        except Unsupported:
            if not self._speaker.can_speak:
                raise
            await self._speaker.press(Prompt(digits_audio(digits)), self._ears.own_tones())

    async def _hand_on(self, to: str) -> None:
        by_message = self._control.transfers_by_message
        if not by_message:
            await self._control.transfer(to)
        self._note(tl.Transferred, to=to)
        dialect = self._wire.dialect
        self._close(1000, TRANSFERRED, dialect.transfer(to) if by_message else dialect.goodbye(TRANSFERRED))


def _stand_in(rendition: Rendition) -> Prompt:
    """What is repeated instead of what cannot be yet; it is got ready meanwhile."""
    for part in rendition.parts:
        if isinstance(part, ToSpeak):
            part.on_spoken(None)
    return bundled("hold_music")
