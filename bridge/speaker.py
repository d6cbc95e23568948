"""What a call says: who may speak now, in what mode, and what is done about a voice that is late or fails.

Strategy:

- One at a time: whoever wants to speak waits for the floor. What is played while the caller is on hold has it only
  while nobody else does; it makes way at once and comes back afterwards.
- What is ready leaves in the turn of the event loop in which it is asked for. All else is one `Speech`, whoever
  makes it, so that it is interrupted, filled in and apologised for in one way.
- An utterance that nobody waits for any more is silenced.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from typing import Final, Self

from bridge.budget import CallBudget
from bridge.config import BargeInMode
from bridge.errors import BudgetSpent, CallEnded, LightningError, ListenOnly
from bridge.lightning.speech import Speech
from bridge.lightning.voice import CallVoice
from bridge.media.answer import Answer
from bridge.media.barge_in import BargeIn
from bridge.media.heard import Heard
from bridge.mouth import Mouth, Utterance
from bridge.observe import timeline as tl
from bridge.observe.stats import BridgeStats
from bridge.prompts import Prompt, Rendition, ToSpeak, apology, one_moment
from bridge.prompts.recital import recite
from bridge.prompts.relay import relay

#: What an utterance is over by when the call is.
ENDED: Final = "ended"


class Speaker:
    """Speaks for one call.

    Args:
        call_id: of the call.
        mouth: of the call; nobody else lets it begin anything.
        note: puts an entry into the timeline.
        answer: what is about to be said answers the caller's turn; None when no turn waits for an answer.
        can_speak: False for a carrier that only listens in.
        filler_after_s: when a caller who still hears nothing is asked for a moment; 0 is never.
    """

    def __init__(
        self,
        call_id: str,
        *,
        mouth: Mouth,
        voice: CallVoice,
        budget: CallBudget,
        barge_in: BargeIn,
        stats: BridgeStats,
        note: Callable[..., None],
        answer: Callable[[], Answer | None],
        can_speak: bool,
        filler_after_s: float,
    ) -> None:
        self._call_id = call_id
        self._mouth, self._voice, self._barge_in, self._budget = mouth, voice, barge_in, budget
        self._stats, self._note, self._answer = stats, note, answer
        self.can_speak, self._filler_after_s = can_speak, filler_after_s
        #: Why nothing more will be said; empty while something may.
        self._over = ""
        self._floor = asyncio.Lock()
        #: How many have the floor or wait for it.
        self._wanted = 0
        #: What is heard while nobody wants it, the newest last.
        self._holds: list[Prompt] = []
        #: Which of them is heard now, and as which utterance.
        self._held: Prompt | None = None
        self._hold: Utterance | None = None

    def close(self, why: str) -> None:
        """The call is over, and whoever speaks is told `why`. Lets go of it, as the mouth does."""
        self._over, self._note, self._answer = why, tl.nobody, _none
        self._hold = self._held = None

    # -- what is asked for -------------------------------------------------------------------------------------

    async def say(self, text: str | AsyncIterable[str], mode: BargeInMode, *, answers: bool = True) -> Heard:
        """See `bridge.call.Call.say`."""
        if isinstance(text, str) and not text.strip():
            return Heard()
        async with self._having_the_floor():
            utterance = self._begin(mode, text if isinstance(text, str) else "", answers=answers)
            return await self._speak(utterance, partial(self._voiced, utterance, text), mode)

    async def play(
        self, rendition: Rendition, mode: BargeInMode, for_s: float = 0.0, *, answers: bool = True
    ) -> Heard:
        """See `bridge.call.Call.play`."""
        prompts = [part for part in rendition.parts if isinstance(part, Prompt)]
        async with self._having_the_floor():
            utterance = self._begin(mode, rendition.shown, answers=answers)
            if len(prompts) < len(rendition.parts):
                return await self._speak(utterance, partial(self._recite, utterance, rendition), mode)
            self._mouth.token(utterance)
            if for_s and (ready := rendition.ready) and ready.audio:
                return await self._play(
                    utterance, partial(self._mouth.repeat, utterance, ready, for_s * 1000)
                )
            return await self._play(utterance, partial(self._mouth.play, utterance, *prompts))

    async def stream(self, audio: AsyncIterable[bytes | str], text: str, mode: BargeInMode) -> Heard:
        """See `bridge.call.Call.stream`."""
        async with self._having_the_floor():
            utterance = self._begin(mode, text, answers=True)
            return await self._speak(utterance, partial(relay, audio, text), mode)

    def interrupt(self, by: str) -> bool:
        """See `bridge.call.Call.interrupt`."""
        utterance = self._mouth.utterance
        if utterance is None or utterance.aside:
            return False
        self._mouth.stop(utterance, by)
        return True

    async def press(self, tones: Prompt, meanwhile: AbstractContextManager[None]) -> None:
        """Play the tones of keys, `meanwhile` entered: not while somebody else is still speaking."""
        async with self._having_the_floor():
            with meanwhile:
                utterance = self._begin("off", "")
                await self._play(utterance, partial(self._mouth.play, utterance, tones))

    @asynccontextmanager
    async def holding(self, prompt: Prompt) -> AsyncIterator[None]:
        """See `bridge.call.Call.holding`."""
        self._check()
        self._holds.append(prompt)
        self._hold_or_not()
        try:
            yield
        finally:
            self._holds.remove(prompt)
            self._hold_or_not()

    # -- the floor ---------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _having_the_floor(self) -> AsyncIterator[None]:
        self._wanted += 1
        try:
            async with self._floor:
                self._pause_hold()
                yield
        finally:
            self._wanted -= 1
            self._hold_or_not()

    def _pause_hold(self) -> None:
        if self._hold is not None:
            self._mouth.abandon(self._hold)
        self._hold = self._held = None

    def _hold_or_not(self) -> None:
        """Let be heard what is to be heard now that nobody wants to speak. Where it is heard already, it goes on."""
        prompt = None if self._wanted or self._over or not self._holds else self._holds[-1]
        if prompt == self._held:
            return
        self._pause_hold()
        self._held = prompt
        if prompt is not None and prompt.audio:
            self._hold = self._begin("off", prompt.text, aside=True)
            self._mouth.repeat(self._hold, prompt)

    # -- speaking ----------------------------------------------------------------------------------------------

    def _check(self) -> None:
        if self._over:
            raise CallEnded(self._over)
        if not self.can_speak:
            raise ListenOnly(
                f"call {self._call_id}: the carrier only listens in, nothing can be played to it"
            )

    def _begin(
        self, mode: BargeInMode, text: str, *, aside: bool = False, answers: bool = False
    ) -> Utterance:
        self._check()
        self._barge_in.set_mode(mode)
        self._barge_in.reset()
        utterance = self._mouth.begin(aside=aside, answer=self._answer() if answers else None)
        self._note(tl.SpeakingAsked, utterance=utterance.number, text=text)
        return utterance

    async def _speak(self, utterance: Utterance, speech: Callable[[], Speech], mode: BargeInMode) -> Heard:
        after_s = self._filler_after_s
        filler = asyncio.get_running_loop().call_later(after_s, self._fill, utterance) if after_s else None
        try:
            await self._mouth.speak(utterance, speech())
            return await self._until_heard(utterance)
        except LightningError as error:
            return await self._apologise(utterance, mode, error)
        except BudgetSpent:
            await self._until_heard(utterance)  # what is paid for
            raise
        finally:
            if filler is not None:
                filler.cancel()
            self._mouth.abandon(utterance)

    def _voiced(self, utterance: Utterance, text: str | AsyncIterable[str]) -> Speech:
        if isinstance(text, str):
            self._heed(utterance, len(text))
            return self._voice.speak(text)
        return self._voice.speak(_Heeded(text, partial(self._heed, utterance)))

    def _recite(self, utterance: Utterance, rendition: Rendition) -> Speech:
        self._heed(utterance, sum(len(part.text) for part in rendition.parts if isinstance(part, ToSpeak)))
        return recite(self._voice, rendition)

    def _heed(self, utterance: Utterance, characters: int) -> None:
        """The agent has more to say: the first of it is its first token, and all of it costs what it is long."""
        self._mouth.token(utterance)
        self._budget.spend("characters", characters)

    def _fill(self, utterance: Utterance) -> None:
        """The caller has heard nothing for a while: say that somebody is there."""
        if self._mouth.fill(utterance, one_moment()):
            self._stats.fillers += 1
            self._note(tl.FillerPlayed, utterance=utterance.number)

    async def _play(self, utterance: Utterance, take: Callable[[], None]) -> Heard:
        try:
            take()
            return await self._until_heard(utterance)
        finally:
            self._mouth.abandon(utterance)

    async def _until_heard(self, utterance: Utterance) -> Heard:
        if await self._mouth.until_over(utterance) == ENDED:
            raise CallEnded(self._over)
        return utterance.heard

    async def _apologise(self, utterance: Utterance, mode: BargeInMode, error: LightningError) -> Heard:
        """The voice failed: what came of it plays out, then the bundled apology, then the agent is told."""
        self._stats.voice_failures += 1
        self._note(tl.VoiceFailed, error=f"{type(error).__name__}: {error}")
        heard = await self._until_heard(utterance)
        if not heard.interrupted:
            self._mouth.no_answer(utterance)
            utterance = self._begin(mode, apology().text)
            await self._play(utterance, partial(self._mouth.play, utterance, apology()))
        error.heard_text = heard.text
        raise error


class _Heeded:
    """`text`, bit by bit, each told by its length as it is taken."""

    def __init__(self, text: AsyncIterable[str], heed: Callable[[int], None]) -> None:
        self._text, self._heed = aiter(text), heed

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        more = await anext(self._text)
        self._heed(len(more))
        return more


def _none() -> None:
    """What answers nobody any more."""
