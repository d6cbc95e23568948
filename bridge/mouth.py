"""The bridge's half of a conversation: one utterance at a time, from its first chunk to its last mark.

Strategy:

- The playout decides which packets leave when; this carries them to the line and tells who waits when it is over.
- New audio goes out the moment it comes, not with the next tick; after that the pacer asks every 20 ms.
- Silence comes in one synchronous step, in this order: the playout drops its queue and ends its generation, the
  carrier's `clear` goes out, the synthesis is cancelled, whoever waits for the utterance is woken. Nothing can come
  between.
- A pause is the first half of that: the playout takes back what was not heard, the `clear` goes out. The synthesis is
  held by its own back-pressure, and nobody is woken, until the utterance goes on or is stopped after all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from math import inf
from typing import Final, Protocol

from bridge.lightning.speech import (
    LessText,
    MoreText,
    PieceEnded,
    PieceStarted,
    Speech,
    SpeechAudio,
    SpeechPart,
    SpokenWord,
)
from bridge.media.answer import Answer
from bridge.media.heard import Heard, Script
from bridge.media.pacer import Pacer
from bridge.media.playout import Playout
from bridge.observe.stats import BridgeStats
from bridge.prompts import Prompt
from bridge.prompts.recital import parts_of
from bridge.wire import Wire
from telephony_codecs.formats import MULAW_8K

#: What ends an utterance because the caller wants to say something.
CALLERS: Final = frozenset({"speech", "digit"})
#: Of what could go on for ever, so much is queued: enough for a process that stalls, and soon thrown away.
REST_AHEAD_MS: Final = 900.0
_SLICE_BYTES: Final = MULAW_8K.bytes_in(100)


class Line(Protocol):
    """The carrier's socket, as a call sees it."""

    def send(self, messages: list[bytes]) -> None:
        """Write `messages`, each one a WebSocket message, binary where it is `Binary`, without waiting."""

    def hang_up(self, code: int, reason: str, *, patient: bool = False) -> None:
        """Close the socket soon; what has been sent goes out first.

        Args:
            patient: give the carrier its time to say goodbye and to close it itself.
        """


@dataclass(slots=True)
class Utterance:
    """Something that is being said. `over` tells what ended it: "" when it was heard whole."""

    number: int
    generation: int
    asked_s: float
    over: asyncio.Future[str]
    #: Whether it is no answer to anything, as music on hold is.
    aside: bool = False
    #: As an answer to the caller's turn; None when it is none.
    answer: Answer | None = None
    script: Script = field(default_factory=Script)
    speech: Speech | None = None
    heard: Heard = Heard()
    #: The text of that as it may be shown: without what is private.
    shown: str = ""
    #: Whether any audio has come; all of it may have been taken back.
    sounded: bool = False
    #: Whether any of it has left.
    begun: bool = False
    #: What there is of it beyond what has been written.
    rest: Iterator[SpeechPart] | None = None


class Mouth:
    """What one call says.

    Args:
        line: the carrier's socket.
        wire: that carrier's protocol.
        playout: of this call; nobody else writes to it.
        pacer: the process's clock.
        stats: of the process.
        clock: monotonic seconds.
        on_first_audio: told when the first packet of an utterance has left.
        on_over: told when an utterance is over, before whoever waits for it is woken.
    """

    def __init__(
        self,
        *,
        line: Line,
        wire: Wire,
        playout: Playout,
        pacer: Pacer,
        stats: BridgeStats,
        clock: Callable[[], float],
        on_first_audio: Callable[[Utterance], None],
        on_over: Callable[[Utterance], None],
    ) -> None:
        self._line, self._wire, self.playout = line, wire, playout
        self._pacer, self._stats, self._clock = pacer, stats, clock
        self._on_first_audio, self._on_over = on_first_audio, on_over
        self._heard = Heard()
        self._count = 0
        #: The one that is on.
        self.utterance: Utterance | None = None

    def begin(self, *, aside: bool = False, answer: Answer | None = None) -> Utterance:
        """Open an utterance; `speak` or `play` it next, and `abandon` it when nobody waits for it any more.

        Args:
            aside: `heard` does not tell of it.
            answer: told when the caller hears it, if it is the answer to a turn.
        """
        self._count += 1
        self._stats.utterances += 1
        self._wire.begin()
        over = asyncio.get_running_loop().create_future()
        utterance = Utterance(self._count, self.playout.begin(), self._clock(), over, aside, answer)
        self.utterance = utterance
        return utterance

    def token(self, utterance: Utterance) -> None:
        """The agent has some of what it says."""
        if utterance.answer is not None:
            utterance.answer.token(self._clock())

    def no_answer(self, utterance: Utterance) -> None:
        """It could not be said."""
        if utterance.answer is not None:
            utterance.answer.failed(self._clock())

    async def speak(self, utterance: Utterance, speech: Speech) -> None:
        """Take all of `speech`. Returns when it has been taken or cancelled; it may not have been heard yet.

        Raises:
            LightningError: the voice failed; or whatever the iterator of text raised.
        """
        utterance.speech = speech
        playout = self.playout
        take_back = partial(playout.take_back, utterance.generation)
        speech.hand_over(partial(self._take, utterance), lambda: playout.queued_ms, take_back)
        await speech.finished()

    def play(self, utterance: Utterance, *prompts: Prompt) -> None:
        """Take all of `prompts`, one behind the other."""
        for prompt in prompts:
            for part in parts_of(prompt):
                self._take(utterance, part)

    def repeat(self, utterance: Utterance, prompt: Prompt, for_ms: float = inf) -> None:
        """Take `prompt`, which has audio, over and over for so long: never much more of it than is needed."""
        utterance.rest = _over_and_over(prompt, for_ms)
        self._take_rest(utterance)

    def fill(self, utterance: Utterance, prompt: Prompt) -> bool:
        """Play `prompt` before the first audio of `utterance`, which is late. False when it is not, or is over.

        While it is paused, that is what it goes on with.
        """
        playout = self.playout
        if utterance.over.done() or utterance.sounded:
            return False
        utterance.script.interject(playout.written_ms, playout.written_ms + prompt.ms)
        playout.write(utterance.generation, prompt.audio)
        self._send_due(self._clock())
        self._pacer.add(self)
        return True

    async def until_over(self, utterance: Utterance) -> str:
        """Say that all of it has been written, and wait until it has been heard. Returns what ended it."""
        if not utterance.over.done() and utterance.rest is None:
            self.playout.finish(utterance.generation)
            if not self.playout.written_ms:  # then no tick will come
                self._finish(utterance, "")
        return await asyncio.shield(utterance.over)  # who waits may be cancelled, the utterance's end may not

    def abandon(self, utterance: Utterance) -> None:
        """Nobody waits for it any more (the agent was cancelled, or failed): be silent."""
        if not utterance.over.done():
            self.stop(utterance, "")

    def stop(self, utterance: Utterance, by: str, *, clear: bool = True) -> None:
        """Silence, in the one right order: see above. Without `clear` when there is no line to send it on."""
        playout, now_s, dialect = self.playout, self._clock(), self._wire.dialect
        if by in CALLERS and utterance.answer is not None:
            utterance.answer.stopped(playout, now_s)
        cleared = playout.paused
        heard_ms = playout.clear(now_s) if clear else playout.heard_ms(now_s)
        self._settle(utterance, heard_ms, by)
        if clear and dialect.delivery.clear and not cleared:
            self._line.send(list(dialect.clear()))
        if utterance.speech is not None:
            utterance.speech.cancel()
        self._finish(utterance, by)

    def pause(self) -> bool:
        """Silence, and keep the rest of what is said; `go_on` or `stop` is next. False where that cannot be done."""
        if not self.playout.pause(self._clock()):
            return False
        self._line.send(list(self._wire.dialect.clear()))
        return True

    def go_on(self) -> None:
        """Let the rest of what was paused be heard."""
        now_s = self._clock()
        self._wire.begin()
        self.playout.go_on(now_s)
        self._send_due(now_s)

    def close(self) -> None:
        """The call is over: let go of it, so that its memory is free now and not when the collector comes round."""
        self._on_first_audio = self._on_over = _nobody

    def move(self, line: Line, wire: Wire) -> None:
        """Go on over another socket of the same carrier."""
        self._line, self._wire = line, wire
        self.playout.resume(self._clock())

    def mark_played(self, name: str) -> None:
        """The carrier answered a mark."""
        now_s = self._clock()
        self.playout.mark_played(name, now_s)
        self._finish_if_heard(now_s)

    def tick(self, now_s: float) -> bool:
        """The pacer's call, every 20 ms while there is something to say."""
        self._send_due(now_s)
        if self.utterance is None:
            return False
        if self.utterance.answer is not None:
            self.utterance.answer.heed(self.playout, now_s)
        speech = self.utterance.speech
        if speech is not None and not speech.over:
            speech.wake()
        if self.utterance.rest is not None:
            self._take_rest(self.utterance)
        self._finish_if_heard(now_s)
        return self.utterance is not None

    @property
    def heard(self) -> Heard:
        """What became of the last utterance; of the one that is on, what has been heard so far."""
        utterance = self.utterance
        if utterance is None or utterance.aside:
            return self._heard
        return self._heard_of(utterance, self.playout.heard_ms(self._clock()), "")

    def _settle(self, utterance: Utterance, heard_ms: float, by: str) -> None:
        """What was heard of it by now is all that will have been."""
        utterance.heard = self._heard_of(utterance, heard_ms, by)
        utterance.shown = utterance.script.heard_text(heard_ms, self.playout.written_ms, shown=True)

    def _heard_of(self, utterance: Utterance, heard_ms: float, by: str) -> Heard:
        written_ms = self.playout.written_ms
        text = utterance.script.heard_text(heard_ms, written_ms)
        return Heard(text, round(heard_ms), round(written_ms), by)

    def _take(self, utterance: Utterance, part: SpeechPart) -> None:
        playout, script = self.playout, utterance.script
        if isinstance(part, SpeechAudio):
            if utterance.answer is not None:
                made = utterance.speech is not None
                utterance.answer.written(part.payload, playout.written_ms, self._clock(), made=made)
            if playout.write(utterance.generation, part.payload):
                if not utterance.sounded:
                    utterance.sounded = True
                    self._pacer.add(self)
                self._send_due(self._clock())
        elif isinstance(part, SpokenWord):
            script.add_word(part.word, part.end_ms)
        elif isinstance(part, PieceStarted):
            script.start_piece(part.text, playout.written_ms, private=part.private)
        elif isinstance(part, MoreText):
            script.add_text(part.text)
        elif isinstance(part, LessText):
            script.drop_text(part.text)
        else:
            script.end_piece(playout.written_ms)

    def _take_rest(self, utterance: Utterance) -> None:
        """Take as much of the rest as is needed for now; at its end, the utterance is complete."""
        while utterance.rest is not None and self.playout.queued_ms < REST_AHEAD_MS and self.playout.active:
            if (part := next(utterance.rest, None)) is not None:
                self._take(utterance, part)
            else:
                utterance.rest = None
                self.playout.finish(utterance.generation)

    def _send_due(self, now_s: float) -> None:
        due = self.playout.due(now_s)
        if due:
            self._line.send(self._wire.messages(due))
            if self.utterance is not None and not self.utterance.begun:
                self._note_begun(self.utterance)
            late_ms = self.playout.late_ms
            stats = self._stats
            stats.lateness_count += 1
            stats.lateness_ms_sum += late_ms
            if late_ms > stats.lateness_ms_max:
                stats.lateness_ms_max = late_ms

    def _note_begun(self, utterance: Utterance) -> None:
        if utterance.sounded:
            utterance.begun = True
            self._on_first_audio(utterance)

    def _finish_if_heard(self, now_s: float) -> None:
        if self.utterance is not None and self.playout.done(now_s):
            self._finish(self.utterance, "")

    def _finish(self, utterance: Utterance, by: str) -> None:
        if not by and self.playout.active:
            self._settle(utterance, self.playout.heard_ms(self._clock()), "")
        self.playout.close()
        self._heard, self.utterance = self._heard if utterance.aside else utterance.heard, None
        self._on_over(utterance)
        utterance.over.set_result(by)


def _over_and_over(prompt: Prompt, for_ms: float) -> Iterator[SpeechPart]:
    """`prompt` again and again, `for_ms` of it, in slices. Its text is said once, however often it is heard."""
    audio = prompt.audio
    left_bytes = MULAW_8K.bytes_in(for_ms) if for_ms < inf else inf
    yield PieceStarted(prompt.text)
    for number in count():
        for at in range(0, len(audio), _SLICE_BYTES):
            if left_bytes <= 0:
                return
            part = audio[at : at + int(min(_SLICE_BYTES, left_bytes))]
            left_bytes -= len(part)
            yield SpeechAudio(part)
        if not number:
            yield PieceEnded()


def _nobody(_utterance: Utterance) -> None:
    """Who is told once the call is over."""
