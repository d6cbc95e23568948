"""One utterance of a voice: the task behind a `Speech`.

Strategy:

- It asks for a piece, waits until all of it has arrived, and asks for the next while the first is still being heard;
  but not while more than 20 s of audio are unread. Audio does not pass through it: it goes from the socket's callback
  to the reader's mailbox.
- Pieces come in order because there is never more than one synthesis at a time for an utterance. Text that streams
  in may instead be one synthesis whose text comes bit by bit, where the door knows that.
- After a failure it is clear what is left to say; who says it is decided in one place, `_decide`.
- All that is tried is tried within the voice's patience: so long a caller may hear nothing. Who may still be asked has
  a share of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterable
from typing import TYPE_CHECKING, Final

from bridge.catalogue import STREAMING_DOORS
from bridge.errors import CLOSED, REFUSED_HERE, Busy, LightningError, TimedOut, Unavailable
from bridge.lightning.attempt import NO_TIME, Attempt
from bridge.lightning.entries import Entry, VoiceOptions
from bridge.lightning.limits import QUEUE_TIMEOUT
from bridge.lightning.pieces import Splitter, pieces_of
from bridge.lightning.refusals import blank_text
from bridge.lightning.speech import (
    LessText,
    MoreText,
    PartSink,
    PieceEnded,
    PieceStarted,
    Speech,
    StreamingSynthesizer,
    Synthesis,
    TextSynthesis,
)
from bridge.lightning.text_queue import TextQueue, closed_after

if TYPE_CHECKING:
    from bridge.lightning.voice import CallVoice

#: Audio that may be unread before the next piece is asked for.
AHEAD_MS: Final = 20_000.0
#: Told to come back later than this, we apologise instead: a caller does not wait longer in silence.
MAX_BUSY_WAIT_S: Final = 2.0
#: ... and not even so long when somebody else can speak.
MAX_BUSY_WAIT_WITH_FALLBACK_S: Final = 0.5
#: In less time than this nobody is asked, nor blamed.
LEAST_CHANCE_S: Final = 1.0
#: What it means that a unit did not become free in time.
_QUEUED: Final = Busy("", code=QUEUE_TIMEOUT)


class Speaking:
    """The task behind a `Speech`."""

    def __init__(self, voice: CallVoice, text: str | AsyncIterable[str], options: VoiceOptions) -> None:
        self._call, self._voice, self._stats, self._options = voice, voice.voice, voice.voice.stats, options
        self.speech = Speech(self._stop)
        self._attempt: Attempt | None = None
        self._retried = False
        #: Who was asked last, and who failed before that: none of these is asked again in this utterance.
        self._entry: Entry | None = None
        self._failed: set[Entry] = set()
        self._loop = asyncio.get_running_loop()
        self._patient_until_s = 0.0
        #: How long the caller had heard nothing when the last piece was over.
        self._silent_s = 0.0
        self._task = asyncio.create_task(self._run(text))
        self._voice.note_speaking(self._task)

    def _stop(self) -> None:
        if self._attempt is not None:
            self._attempt.cancel()
        self._task.cancel()

    async def _run(self, text: str | AsyncIterable[str]) -> None:
        try:
            await self._speak_all(text)
        except asyncio.CancelledError:
            if self._task.cancelling():
                self.speech.finish(Unavailable("the voice is closed", code=CLOSED))
                raise
            self.speech.finish(RuntimeError("what gave the text was cancelled"))
        except SystemExit as error:  # an agent's iterator that wants to exit must not take the process along
            self.speech.finish(RuntimeError(f"what gave the text wanted to exit: {error}"))
        except Exception as error:  # of Lightning, or of the agent's iterator: the reader must know
            self._stats.speech_failures += isinstance(error, LightningError)
            self.speech.finish(error)
        else:
            self.speech.finish()
        finally:
            if self._attempt is not None:
                self._attempt.cancel()

    async def _speak_all(self, text: str | AsyncIterable[str]) -> None:
        if isinstance(text, str) and not text.strip():
            raise blank_text()
        if isinstance(text, str):
            await self._speak_pieces(text)
        elif not self._streams:
            async with closed_after(text):
                await self._speak_pieces(text)
        else:
            async with TextQueue(text) as queue:
                await self._speak_stream(queue)

    # -- piece by piece --------------------------------------------------------------------------------

    async def _speak_pieces(self, text: str | AsyncIterable[str]) -> None:
        whole = isinstance(text, str)  # then markup that spans pieces can be seen
        async with contextlib.aclosing(
            pieces_of(self.prepared(text) if isinstance(text, str) else text)
        ) as pieces:
            async for piece in pieces:
                if said := piece if whole else self.prepared(piece).strip():
                    await self.speech.room(AHEAD_MS)
                    await self._speak(said)

    async def _speak(self, piece: str) -> None:
        self.speech.deliver(PieceStarted(piece))
        self._begin_patience()
        rest, spoken_ms = piece, 0.0
        while rest:
            attempt = self._begin(rest, spoken_ms)
            try:
                await attempt.finished()
                break
            except LightningError as error:
                rest = await self._after_failure(attempt, error)
            spoken_ms += attempt.spoken_ms
        if attempt.heard_at_s:
            self._silent_s = max(0.0, self._loop.time() - attempt.heard_at_s)
        self.speech.deliver(PieceEnded())

    def _begin(self, text: str, offset_ms: float) -> Attempt:
        entry = self._next()
        options = self._call.options_for(entry, self._options)

        def ask(into: PartSink, wait_s: float | None) -> Synthesis:
            return entry.door.synthesize(entry.request(text, options), into, wait_s=wait_s)

        self._attempt = Attempt(
            entry,
            self.speech,
            self._stats,
            ask,
            offset_ms=offset_ms,
            wait_s=self._unit_wait_s(entry),
            until_s=self._loop.time() + self._share_s(entry),
        )
        return self._attempt

    def _pick(self) -> Entry:
        return self._call.pick(self._failed)

    def _next(self) -> Entry:
        """Who is asked now."""
        before, self._entry = self._entry, self._pick()
        if before is not None and before is not self._entry:
            self._failed.add(before)  # left alone meanwhile: that is as good a reason not to go back
        self.speech.as_asked &= self._entry is self._voice.entries[0]
        return self._entry

    def _unit_wait_s(self, entry: Entry) -> float | None:
        """How long to wait for a unit of `entry`: not long, when somebody with other units can speak."""
        if self._voice.after(entry, _QUEUED, self._failed) is None:
            return None
        return min(MAX_BUSY_WAIT_WITH_FALLBACK_S, entry.config.queue_timeout_s)

    # -- patience --------------------------------------------------------------------------------------

    def _begin_patience(self) -> None:
        """From now on silence counts, after what there is to hear. That of the agent, up to now, does not."""
        heard_at_s = self._loop.time() + self.speech.backlog_ms / 1000
        self._patient_until_s = heard_at_s - self._silent_s + self._voice.patience_s

    @property
    def _patience_left_s(self) -> float:
        return self._patient_until_s - self._loop.time()

    def _share_s(self, entry: Entry) -> float:
        """How long `entry` has to give its first audio, so that time is left for whoever comes after it."""
        candidates = 1 + len(self._voice.others(entry, self._failed))
        return max(LEAST_CHANCE_S, self._patience_left_s / candidates)

    # -- after a failure -------------------------------------------------------------------------------

    async def _after_failure(self, attempt: Attempt, error: LightningError) -> str:
        """What is left to say, when it is clear who says it.

        Raises:
            LightningError: `error`, when nobody can.
        """
        if error.code != NO_TIME or attempt.asked_s >= LEAST_CHANCE_S:
            self._voice.note_failure(attempt.entry, error)
        self.speech.as_asked = False
        attempt.cut_back()
        if attempt.spoken_ms:  # whose end may have been heard long before it was clear that no more comes
            patient_until_s = attempt.heard_at_s + self._voice.patience_s
            self._patient_until_s = max(self._patient_until_s, patient_until_s)
        rest = attempt.unsaid()
        if rest:
            await self._decide(attempt, error)
        return rest

    async def _decide(self, attempt: Attempt, error: LightningError) -> None:
        if error.code == REFUSED_HERE:  # asked for something wrong: nobody else can speak that either
            raise error
        entry = attempt.entry
        following = self._voice.after(entry, error, self._failed)
        wait_s = self._wait_s(error)
        if self._worth_a_retry(attempt, error, wait_s, following):
            self._retried = True
            self._stats.retries += 1
            await asyncio.sleep(wait_s)
        elif following is not None and self._patience_left_s > 0:
            self._failed.add(entry)
            self._call.fall_back(following)
        else:
            raise error

    def _worth_a_retry(
        self, attempt: Attempt, error: LightningError, wait_s: float, following: Entry | None
    ) -> bool:
        """Whether the same entry is asked once more."""
        if self._retried or not error.retryable or error.code == QUEUE_TIMEOUT:
            return False
        if wait_s + LEAST_CHANCE_S > self._patience_left_s:
            return False
        if following is None:
            return wait_s <= MAX_BUSY_WAIT_S
        # Time was lost already, or half a sentence: the caller does not wait to see whether it happens again.
        slow = isinstance(error, TimedOut) or attempt.spoken_ms > 0 or attempt.entry.breaker.open
        return not slow and wait_s <= MAX_BUSY_WAIT_WITH_FALLBACK_S

    def _wait_s(self, error: LightningError) -> float:
        if not isinstance(error, Busy):
            return 0.0
        return self._voice.busy_backoff_s if error.retry_after_s is None else error.retry_after_s

    # -- as it comes -----------------------------------------------------------------------------------

    @property
    def _streams(self) -> bool:
        entry = self._pick()
        # A fallback inherits `text_streaming`, whether its door can do that or not.
        able = entry.config.door in STREAMING_DOORS[entry.config.text_streaming]
        return able and isinstance(entry.door, StreamingSynthesizer)

    async def _speak_stream(self, queue: TextQueue) -> None:
        """Hand the text on as it comes; when that fails, what is left goes piece by piece."""
        if not (first := await _first_of(queue)):
            return
        if not self._streams:  # while the agent was thinking, another entry has had to take over
            await self._speak_pieces(_joined(first, queue))
            return
        self.speech.deliver(PieceStarted(""))
        attempt, synthesis = self._begin_stream()
        hand_on = _HandOn(self, attempt, synthesis, Splitter() if self._voice.normalise else None)
        pump = asyncio.create_task(hand_on.run(first, queue))
        rest = ""
        try:
            await attempt.finished()
        except LightningError as error:
            self._begin_patience()  # before that the silence may have been the agent's
            rest = await self._after_failure(attempt, error)
        finally:
            pump.cancel()
            await asyncio.wait([pump])
        if hand_on.error is not None:
            raise hand_on.error
        if rest:
            self.speech.deliver(LessText(rest))
        self.speech.deliver(PieceEnded())
        rest += hand_on.held_back()
        if rest or not queue.drained:
            await self._speak_pieces(_joined(rest, queue))

    def _begin_stream(self) -> tuple[Attempt, TextSynthesis]:
        entry = self._next()
        assert isinstance(entry.door, StreamingSynthesizer)
        request = entry.request("", self._call.options_for(entry, self._options))
        door = entry.door

        def expected_ms(text: str) -> float:
            return len(text) * entry.pace.ms_per_char(request)

        def ask(into: PartSink, wait_s: float | None) -> TextSynthesis:
            return door.open_text(request, into, wait_s=wait_s, expected_ms=expected_ms)

        wait_s = self._unit_wait_s(entry)
        self._attempt = Attempt(entry, self.speech, self._stats, ask, wait_s=wait_s, hedge=False)
        synthesis = self._attempt.synthesis
        assert isinstance(synthesis, TextSynthesis)
        return self._attempt, synthesis

    def prepared(self, text: str) -> str:
        """`text` as it is to be spoken."""
        normalise = self._voice.normalise
        if normalise is None:
            return text
        language = self._options.get("language", self._pick().config.language)
        return normalise(text, language)


class _HandOn:
    """Hands text that streams in on to a synthesis, and knows what it was given.

    Args:
        splitter: cuts it into sentences first, when it is to be normalised.
    """

    def __init__(
        self, speaking: Speaking, attempt: Attempt, synthesis: TextSynthesis, splitter: Splitter | None
    ) -> None:
        self._speaking, self._attempt, self._synthesis = speaking, attempt, synthesis
        self._splitter = splitter
        #: What the agent's own iterator raised.
        self.error: Exception | None = None

    async def run(self, first: str, queue: TextQueue) -> None:
        """Until `queue` ends, or it is cancelled."""
        speech = self._speaking.speech
        try:
            await self._say(self._cut(first))
            while True:
                await speech.room(AHEAD_MS)
                # What has been taken off the queue is given in the same step: a failure cannot come between.
                text = await anext(queue, None)
                if text is None:
                    break
                await self._say(self._cut(text))
            await self._say(self._prepared(self._splitter.flush() if self._splitter else []))
        except Exception as error:  # the agent's own iterator failed
            self.error = error
            self._attempt.fail(error)
        else:
            self._synthesis.end_text()

    def held_back(self) -> str:
        """Text that was taken off the queue and not given."""
        return self._splitter.take() if self._splitter else ""

    async def _say(self, text: str) -> None:
        if text:
            self._attempt.given += text
            self._speaking.speech.deliver(MoreText(text))
            await self._synthesis.say(text)

    def _cut(self, text: str) -> str:
        return self._prepared(self._splitter.feed(text)) if self._splitter else text

    def _prepared(self, pieces: list[str]) -> str:
        return "".join(f"{self._speaking.prepared(piece)} " for piece in pieces)


async def _first_of(queue: TextQueue) -> str:
    """The beginning of a text, without the white space before it; empty when there is none."""
    async for text in queue:
        if text.strip():
            return text.lstrip()
    return ""


async def _joined(rest: str, queue: TextQueue) -> AsyncGenerator[str, None]:
    yield rest
    async for text in queue:
        yield text
