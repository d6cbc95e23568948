"""One attempt to speak a text with one entry, on its way into a speech; asked twice when the first byte is late.

Strategy:

- The first audio decides which of two equal requests speaks. The other is cancelled in that very moment, and what
  still comes of it is nobody's.
- A second request never waits for a unit of concurrency, and a failure before any audio only counts when both have
  failed.
- What failed half way knows what is still unsaid: by the words' times when Lightning sends them, else by how long
  this voice takes for a character.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeAlias

from bridge.errors import LightningError, Unavailable
from bridge.lightning.answer import answer_in
from bridge.lightning.entries import Entry
from bridge.lightning.messages import SynthesisRequest
from bridge.lightning.pieces import rest_after_chars, rest_after_words
from bridge.lightning.speech import (
    PartSink,
    Speech,
    SpeechAudio,
    SpokenWord,
    Synthesis,
    SynthesisPart,
)
from bridge.lightning.stats import LightningStats
from telephony_codecs.formats import MULAW_8K

#: Asks for the synthesis; the second argument is how long it may wait for a unit.
Ask: TypeAlias = Callable[[PartSink, float | None], Synthesis]
#: A word that ended so long before the audio did leaves nothing to take back.
_LEAST_CUT_MS: Final = 20.0


class Attempt:
    """One text with one entry.

    Args:
        speech: where parts go.
        ask: asks the entry's door.
        offset_ms: audio of the piece that came before.
        wait_s: how long to wait for a unit, instead of what the entry says.
        hedge: whether the same may be asked twice.
    """

    def __init__(
        self,
        entry: Entry,
        speech: Speech,
        stats: LightningStats,
        ask: Ask,
        *,
        offset_ms: float = 0.0,
        wait_s: float | None = None,
        hedge: bool = True,
    ) -> None:
        self.entry, self._speech, self._stats, self._ask = entry, speech, stats, ask
        self._offset_ms = offset_ms
        loop = asyncio.get_running_loop()
        self._over: asyncio.Future[Exception | None] = loop.create_future()
        self._first_error: LightningError | None = None
        self._first = _Run(self, wait_s)
        self._runs = [self._first]
        self._speaking: _Run | None = None
        #: The text so far, where it comes bit by bit.
        self.given = ""
        after_s = entry.config.hedge_after_s
        self._hedging = loop.call_later(after_s, self._hedge) if hedge and after_s else None

    @property
    def synthesis(self) -> Synthesis:
        """The one that speaks, or will."""
        return (self._speaking or self._first).synthesis

    @property
    def request(self) -> SynthesisRequest:
        """What was asked for."""
        return self._first.synthesis.request

    @property
    def text(self) -> str:
        """What it is to speak."""
        return self.request.text or self.given

    @property
    def spoken_ms(self) -> float:
        """Its audio so far."""
        return MULAW_8K.ms_in(self._speaking.spoken_bytes) if self._speaking else 0.0

    async def finished(self) -> None:
        """Wait until all of it is in the speech.

        Raises:
            LightningError: it is not, and will not be; or what `fail` was told.
        """
        try:
            error = await self._over
        finally:
            self._unhedge()
            self._note_timing()
        if error:
            raise error
        run = self._speaking or self._first
        self.give(run, run.answer.flush())
        if not self.spoken_ms and any(c.isalnum() for c in self.text):
            raise Unavailable("no audio for the text", code="no_audio", request_id=self.request.request_id)
        self._learn(run)

    def cancel(self) -> None:
        """Stop, now."""
        self._unhedge()
        for run in self._runs:
            run.synthesis.cancel()

    def fail(self, error: Exception) -> None:
        """Whoever gives the text cannot go on: stop, and let `finished` raise `error`."""
        self.cancel()
        if not self._over.done():
            self._over.set_result(error)

    def cut_back(self) -> None:
        """It failed: take back what has been given of a word that was not given whole, as far as that is possible."""
        run = self._speaking
        if run is None:
            return
        end_ms = max((word.end_ms for word in run.words if word.end_ms <= self.spoken_ms), default=None)
        if end_ms is not None and self.spoken_ms - end_ms >= _LEAST_CUT_MS:
            run.spoken_bytes -= MULAW_8K.bytes_in(self._speech.take_back(self.spoken_ms - end_ms))

    def unsaid(self) -> str:
        """What is left to say after it failed."""
        spoken_ms, text = self.spoken_ms, self.text
        words = (
            [word.word for word in self._speaking.words if word.end_ms <= spoken_ms] if self._speaking else []
        )
        if words:
            return rest_after_words(text, words)
        return rest_after_chars(text, spoken_ms / self.entry.pace.ms_per_char(self.request))

    # -- for its runs ----------------------------------------------------------------------------------

    def ask(self, into: PartSink, wait_s: float | None) -> Synthesis:
        """Ask the door."""
        return self._ask(into, wait_s)

    def may_speak(self, run: _Run) -> bool:
        """Whether `run`, which has audio, is the one that speaks: the first one is."""
        if self._speaking is None:
            self._speaking = run
            self._stats.hedges_won += run is not self._first
            self._unhedge()
            for other in self._runs:
                if other is not run:
                    other.synthesis.cancel()
            self._note_timing()
            for word in run.words:
                self.give_word(word)
        return run is self._speaking

    def give(self, run: _Run, audio: bytes) -> None:
        """Hand on `audio`."""
        if audio and self.may_speak(run):
            run.spoken_bytes += len(audio)
            self._speech.deliver(SpeechAudio(audio))

    def give_word(self, word: SpokenWord) -> None:
        """Hand on a word of the one that speaks."""
        offset_ms = self._offset_ms
        self._speech.deliver(SpokenWord(word.word, word.start_ms + offset_ms, word.end_ms + offset_ms))

    def speaks(self, run: _Run) -> bool:
        """Whether `run` is the one that speaks."""
        return run is self._speaking

    def run_over(self, run: _Run) -> None:
        """`run` has come to its end."""
        synthesis = run.synthesis
        if self._over.done() or synthesis.cancelled:
            return
        error = synthesis.error
        assert error is None or isinstance(error, LightningError)
        if error is not None and run is not self._speaking:
            self._first_error = self._first_error or error
            if any(not other.synthesis.over for other in self._runs):
                return  # the other one may still make it
            error = self._first_error
        self._over.set_result(error)

    # -- the second request ----------------------------------------------------------------------------

    def _hedge(self) -> None:
        units = self.entry.units
        if self._speaking or self._over.done() or (units is not None and not units.free):
            return
        self._stats.hedges += 1
        self._runs.append(_Run(self, 0.0))

    def _unhedge(self) -> None:
        if self._hedging is not None:
            self._hedging.cancel()

    # -- what is learnt --------------------------------------------------------------------------------

    def _note_timing(self) -> None:
        speech = self._speech
        if speech.requested_at_s is None:
            speech.requested_at_s = self._first.synthesis.requested_at_s
        if speech.first_audio_at_s is None:
            speech.first_audio_at_s = self.synthesis.first_audio_at_s

    def _learn(self, run: _Run) -> None:
        entry, answer = self.entry, run.answer
        entry.breaker.succeeded(asyncio.get_running_loop().time())
        if not run.spoken_bytes:
            return
        entry.pace.learn(self.request, self.spoken_ms, self.text)
        self._stats.wav_answers += answer.had_header and entry.asked == MULAW_8K
        self._stats.pcm_answers += answer.format != MULAW_8K and entry.asked == MULAW_8K
        if not answer.had_header:
            entry.answer_format = answer.format


class _Run:
    """One of the requests of an attempt."""

    def __init__(self, attempt: Attempt, wait_s: float | None) -> None:
        self._attempt = attempt
        self.answer = answer_in(attempt.entry.asked, attempt.entry.answer_format)
        self.words: list[SpokenWord] = []
        self.spoken_bytes = 0
        self.synthesis = attempt.ask(self._take, wait_s)
        self.synthesis.when_over(lambda: attempt.run_over(self))

    def _take(self, part: SynthesisPart) -> None:
        attempt = self._attempt
        if isinstance(part, SpokenWord):
            self.words.append(part)
            if attempt.speaks(self):
                attempt.give_word(part)
            return
        if not attempt.may_speak(self):
            return
        try:
            attempt.give(self, self.answer.feed(part))
        except ValueError as error:
            self.synthesis.finish(Unavailable(f"unusable audio: {error}", code="audio_format"))
