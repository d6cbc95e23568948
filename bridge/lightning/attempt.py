"""One attempt to speak a text with one entry, on its way into a speech; asked twice when the first byte is late.

Strategy:

- The first audio decides which of two equal requests speaks. The other is cancelled in that very moment, and what
  still comes of it is nobody's.
- A second request never waits for a unit of concurrency, and a failure before any audio only counts when both have
  failed.
- What failed half way knows what is still unsaid: by the words' times when Lightning sends them, else by how long
  this voice takes for a character.
- A word is told when its audio has come. Its time may be sent ahead of it, and after a failure somebody else speaks it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeAlias

from bridge.errors import Busy, LightningError, TimedOut, Unavailable
from bridge.lightning.answer import answer_in
from bridge.lightning.entries import Entry
from bridge.lightning.limits import QUEUE_TIMEOUT
from bridge.lightning.messages import SynthesisRequest
from bridge.lightning.pieces import is_spoken, rest_after_chars, rest_after_words
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
#: Spoken so long after the last word whose time is known, it was no pause: words' times have not come along.
_UNTIMED_MS: Final = 1000.0
#: `TimedOut.code` when there was no patience left, whatever the entry's own deadlines say.
NO_TIME: Final = "no_time"
#: Floating point may put a timer a hair before its time.
_HAIR_S: Final = 1e-3


class Attempt:
    """One text with one entry.

    Args:
        speech: where parts go.
        ask: asks the entry's door.
        offset_ms: audio of the piece that came before.
        wait_s: how long to wait for a unit, instead of what the entry says.
        until_s: when it is stopped if it has given no audio, in the loop's seconds.
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
        until_s: float | None = None,
        hedge: bool = True,
    ) -> None:
        self.entry, self._speech, self._stats, self._ask = entry, speech, stats, ask
        self._offset_ms = offset_ms
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[Exception | None] = self._loop.create_future()
        self._first_error: LightningError | None = None
        self._first = _Run(self, wait_s)
        self._runs = [self._first]
        self._speaking: _Run | None = None
        #: When all that it gave will have been heard, or was, in the loop's seconds; 0 before any audio.
        self.heard_at_s = 0.0
        #: The text so far, where it comes bit by bit.
        self.given = ""
        self._was_open = entry.breaker.open
        after_s = entry.config.hedge_after_s
        self._hedging = self._loop.call_later(after_s, self._hedge) if hedge and after_s else None
        self._limit = self._loop.call_at(until_s, self._too_late) if until_s is not None else None

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

    @property
    def asked_s(self) -> float:
        """For how long it has had a unit."""
        unit_at_s = self._first.synthesis.unit_at_s
        return 0.0 if unit_at_s is None else self._loop.time() - unit_at_s

    async def finished(self) -> None:
        """Wait until all of it is in the speech.

        Raises:
            LightningError: it is not, and will not be; or what `fail` was told.
        """
        try:
            error = await self._over
        finally:
            self._unwatch()
            self._note_timing()
        if error:
            raise error
        run = self._speaking or self._first
        self.give(run, run.flush())
        self._tell(run, run.coming)
        if not self.spoken_ms and is_spoken(self.text):
            raise Unavailable("no audio for the text", code="no_audio", request_id=self.request.request_id)
        self._learn(run)

    def cancel(self) -> None:
        """Stop, now."""
        self._unwatch()
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
        timed_ms = run.timed_ms if run else None
        if run and timed_ms is not None and self.spoken_ms - timed_ms >= _LEAST_CUT_MS:
            taken_ms = self._speech.take_back(self.spoken_ms - timed_ms)
            run.spoken_bytes -= MULAW_8K.bytes_in(taken_ms)
            self.heard_at_s -= taken_ms / 1000

    def unsaid(self) -> str:
        """What is left to say after it failed."""
        rest, untimed_ms = self.text, self.spoken_ms
        if self._speaking and self._speaking.words:
            rest = rest_after_words(rest, [word.word for word in self._speaking.words])
            untimed_ms -= max(word.end_ms for word in self._speaking.words)
            if untimed_ms < _UNTIMED_MS:
                return rest
        return rest_after_chars(rest, untimed_ms / self.entry.pace.ms_per_char(self.request))

    # -- for its runs ----------------------------------------------------------------------------------

    def ask(self, into: PartSink, wait_s: float | None) -> Synthesis:
        """Ask the door."""
        return self._ask(into, wait_s)

    def may_speak(self, run: _Run) -> bool:
        """Whether `run`, which has audio, is the one that speaks: the first one is."""
        if self._speaking is None:
            self._speaking = run
            self._stats.hedges_won += run is not self._first
            self._unwatch()
            for other in self._runs:
                if other is not run:
                    other.synthesis.cancel()
            self._note_timing()
        return run is self._speaking

    def give(self, run: _Run, audio: bytes) -> None:
        """Hand on `audio`."""
        if audio and self.may_speak(run):
            run.spoken_bytes += len(audio)
            self._speech.deliver(SpeechAudio(audio))
            self.heard_at_s = self._loop.time() + self._speech.backlog_ms / 1000
            if run.coming:
                self.tell_words(run)

    def tell_words(self, run: _Run) -> None:
        """Hand on the words whose audio has come."""
        if run is self._speaking:
            spoken_ms = self.spoken_ms
            self._tell(run, [word for word in run.coming if word.end_ms <= spoken_ms])

    def _tell(self, run: _Run, words: list[SpokenWord]) -> None:
        if not words:
            return
        offset_ms = self._offset_ms
        run.coming = [word for word in run.coming if word not in words]
        run.words += words
        for word in words:
            self._speech.deliver(SpokenWord(word.word, word.start_ms + offset_ms, word.end_ms + offset_ms))

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
        units, after_s = self.entry.units, self.entry.config.hedge_after_s
        if self._speaking or self._over.done() or self._first.synthesis.over or self.entry.breaker.open:
            return
        if self._first.synthesis.unit_at_s is not None and self.asked_s < after_s - _HAIR_S:
            # It waited for its unit: it is not late yet.
            self._hedging = self._loop.call_later(after_s - self.asked_s, self._hedge)
        elif units is None or units.free:
            self._stats.hedges += 1
            self._runs.append(_Run(self, 0.0))

    def _unwatch(self) -> None:
        for timer in (self._hedging, self._limit):
            if timer is not None:
                timer.cancel()

    def _too_late(self) -> None:
        """Nothing has been heard, and there is no time left."""
        if self._speaking or self._over.done():
            return
        request_id = self.request.request_id
        late: LightningError = TimedOut(
            "no audio in the time that was left", code=NO_TIME, request_id=request_id
        )
        if self._first.synthesis.unit_at_s is None:
            late = Busy("no unit of concurrency became free", code=QUEUE_TIMEOUT, request_id=request_id)
        for run in self._runs:
            run.synthesis.finish(late)  # it has failed; only who is interrupted is cancelled

    # -- what is learnt --------------------------------------------------------------------------------

    def _note_timing(self) -> None:
        speech = self._speech
        if speech.requested_at_s is None:
            speech.requested_at_s = self._first.synthesis.requested_at_s
        if speech.first_audio_at_s is None:
            speech.first_audio_at_s = self.synthesis.first_audio_at_s

    def _learn(self, run: _Run) -> None:
        entry, answer = self.entry, run.answer
        now_s = self._loop.time()
        entry.breaker.succeeded(now_s)
        if self._was_open and entry.breaker.open:
            entry.breaker.probed(now_s, worked=True)  # asked because nobody else was left: as good as a probe
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
        #: The words that it has spoken, and those that are to come.
        self.words: list[SpokenWord] = []
        self.coming: list[SpokenWord] = []
        self.spoken_bytes = 0
        self.synthesis = attempt.ask(self._take, wait_s)
        self.synthesis.when_over(lambda: attempt.run_over(self))

    @property
    def timed_ms(self) -> float | None:
        """Up to where words' times tell which words have been spoken; None when they tell nothing."""
        if self.words:
            return max(word.end_ms for word in self.words)
        return min((word.start_ms for word in self.coming), default=None)

    def flush(self) -> bytes:
        """The end of its audio.

        Raises:
            Unavailable: it is of no use.
        """
        try:
            return self.answer.flush()
        except ValueError as error:
            raise _unusable(error) from error

    def _take(self, part: SynthesisPart) -> None:
        attempt = self._attempt
        if isinstance(part, SpokenWord):
            self.coming.append(part)
            attempt.tell_words(self)
            return
        if not attempt.may_speak(self):
            return
        try:
            attempt.give(self, self.answer.feed(part))
        except ValueError as error:
            self.synthesis.finish(_unusable(error))


def _unusable(error: ValueError) -> Unavailable:
    return Unavailable(f"unusable audio: {error}", code="audio_format")
