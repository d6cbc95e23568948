"""Callers' words from Pulse: one socket per call, opened when the call begins.

Strategy:

- The call pushes audio and never waits: a writer sends it, in pieces of `BATCH_MS`. What is pending goes out at once
  with a `finalize`, so that a turn's last words wait for nothing of ours.
- A socket that breaks is replaced, ever more rarely while that fails. The new one is sent everything that is not
  confirmed (`replay`), and asked for every `finalize` that is not answered.
- Who does not answer `finalize` in time has not heard it: there is another socket, once. Only a socket that has
  talked before, owes no words and answers a ping may be taken to have nothing to say.
- Who talks nonsense, or far more than anybody can speak, is left.
- What asking again does not mend, such as a wrong key, ends it for the call, and for a while for new calls. It is told
  once, in the log, and in no call.
- Nothing that goes wrong is raised into the call: `able` is False then.

Facts, from lightning.md 9, 13 and 14: 1008 is over the account's concurrency; others send silence every 5 s to keep the
socket; idle and session limits are unknown.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from bridge.config import PulseConfig
from bridge.errors import ProtocolError
from bridge.observe.stats import TranscriberStats
from bridge.transcribers.pulse_link import End, Link
from bridge.transcribers.pulse_messages import MAX_MALFORMED, Kind, Refusal, Unknown, Words, decode
from bridge.transcribers.pulse_socket import Dialer, say_goodbye
from bridge.transcribers.replay import BYTES_PER_MS, REPLAY_SPEED, Replay, Seam
from bridge.transcribers.transcriber import Transcript, TranscriptSink

log = logging.getLogger(__name__)

#: Audio in one message. Pieces of 20 ms cost nearly twice as much, and only words that are not final come sooner.
BATCH_MS: Final = 40
#: What keeps an idle socket open.
SILENCE: Final = b"\xff" * 20 * BYTES_PER_MS
#: Refusals that asking again does not mend.
_FOR_GOOD: Final = frozenset({Kind.UNAUTHORIZED, Kind.REQUEST})


@dataclass(frozen=True, slots=True)
class Pace:
    """How long Pulse is waited for, in seconds."""

    #: For the answer to a `finalize`. A turn does not wait longer for words anyway.
    finalize_s: float = 1.0
    #: Before another socket: at first, and at most. The same where there are too many already.
    backoff_s: tuple[float, float] = (0.1, 5.0)
    busy_s: tuple[float, float] = (1.0, 15.0)
    #: Before new calls ask again, after a refusal that asking again does not mend.
    refused_s: float = 30.0


class Pulse:
    """A `Transcriber`.

    Args:
        config: with the key in it.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        config: PulseConfig,
        stats: TranscriberStats,
        *,
        pace: Pace = Pace(),  # noqa: B008 - frozen
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config, self.stats, self.pace, self.clock = config, stats, pace, clock
        self.dialer = Dialer(config)
        #: Whether it says which finals answer a `finalize`; None while that is not known.
        self.says_answers: bool | None = None
        self._open: set[PulseTranscription] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._refused_until_s = 0.0
        #: The calls that it has failed last, and whether the log says so.
        self._troubled: set[PulseTranscription] = set()
        self._told = False

    async def start(self) -> None:
        """Read the machine's authorities, before a call waits for it."""
        _ = self.dialer.tls

    async def close(self) -> None:
        """Close every socket."""
        for transcription in list(self._open):
            transcription.close()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def open(self, call_id: str, into: TranscriptSink) -> PulseTranscription:
        """Begin to transcribe a call: its socket is opened in the background."""
        self.stats.calls += 1
        transcription = PulseTranscription(self, call_id, into)
        self._open.add(transcription)
        return transcription

    def forget(self, transcription: PulseTranscription) -> None:
        """Its call is over."""
        self._open.discard(transcription)
        self._troubled.discard(transcription)

    def in_background(self, work: Awaitable[None]) -> asyncio.Task[None]:
        """Run `work`; `close` waits for it."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # -- how it fares, for all calls ---------------------------------------------------------------------------

    @property
    def refuses(self) -> bool:
        """Whether it has just refused what asking again does not mend."""
        return self.clock() < self._refused_until_s

    def works(self, transcription: PulseTranscription) -> None:
        """A call has been heard words of."""
        self._troubled.discard(transcription)
        if self._told and not self._troubled:
            log.info("Pulse can be reached again")
            self._told = False

    def failed(self, transcription: PulseTranscription, refusal: Refusal, *, for_good: bool) -> None:
        """It has failed a call. Told once until it works again for all of them."""
        if refusal.kind is not Kind.UNAVAILABLE:
            self.stats.refusals[refusal.kind.value] += 1
        if for_good:
            self._refused_until_s = self.clock() + self.pace.refused_s
        self._troubled.add(transcription)
        if not self._told:
            log.warning("Pulse does not transcribe (%s): %s", refusal.kind.value, refusal.message)
        self._told = True


class PulseTranscription:
    """A `Transcription`: one call's socket, and the next one when that breaks."""

    def __init__(self, pulse: Pulse, call_id: str, into: TranscriptSink) -> None:
        self._pulse, self._stats, self._into = pulse, pulse.stats, into
        self.call_id = call_id
        self._replay = Replay(pulse.config.replay_ms)
        self._seam = Seam()
        self._wake = asyncio.Event()
        self._closed = False
        self._given_up = pulse.refuses
        #: Whether the last attempt failed, and whether a socket hears and does not answer.
        self._failed = self._mute = False
        self._backoff_s = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._link: Link | None = None
        #: Whether this socket is here because the one before did not answer.
        self._second_try = False
        #: When it ought to be through with what it was sent again.
        self._caught_up_s = 0.0
        self._task = None if self._given_up else pulse.in_background(self._run())

    @property
    def able(self) -> bool:
        """Whether words can be expected."""
        if self._given_up or self._closed or self._mute:
            return False
        return not self._failed or (self._link is not None and self._link.settled)

    def push(self, mulaw: bytes) -> None:
        """Take the caller's next audio."""
        if self._closed:
            return
        self._stats.lost_ms += self._replay.push(mulaw) / BYTES_PER_MS
        if self._replay.unsent >= BATCH_MS * BYTES_PER_MS:
            self._wake.set()

    def finalize(self) -> None:
        """Ask for the words of all that was pushed, now or as soon as there is a socket."""
        if self._closed or self._given_up or not self._replay.mark():
            return
        self._stats.finalizes += 1
        self._wake.set()
        if self._link is not None and self._watch is None:
            self._expect_answer()

    def close(self) -> None:
        """The call is over."""
        if self._closed:
            return
        self._closed = True
        self._expect_nothing()
        self._pulse.forget(self)
        link, self._link = self._link, None
        if self._task is not None:
            self._task.cancel()
        if link is not None:
            self._pulse.in_background(say_goodbye(link.socket))

    # -- sockets, one after the other --------------------------------------------------------------------------

    async def _run(self) -> None:
        while not self._given_up:
            end = await self._transcribe()
            await asyncio.sleep(self._pause_after(end))

    async def _transcribe(self) -> End:
        """Open a socket and use it to its end."""
        opened = await self._pulse.dialer.dial()
        if isinstance(opened, Refusal):
            self._stats.connect_failures += 1
            return End(opened)
        self._stats.connects += 1
        link = self._begin(opened)
        writer = asyncio.create_task(self._write(link))
        try:
            return await self._read(link)
        finally:
            writer.cancel()
            self._link = None
            self._expect_nothing()
            if not self._closed:
                opened.transport.abort()
            await asyncio.wait([writer])

    def _begin(self, socket: ClientConnection) -> Link:
        link = self._link = Link(socket, self._pulse.clock)
        if again := self._replay.rewind():
            self._stats.replayed_ms += again / BYTES_PER_MS
        self._seam.confirmed(self._replay.confirmed)
        self._seam.rewind()
        self._caught_up_s = self._pulse.clock() + self._replay.unsent / BYTES_PER_MS / 1000 / REPLAY_SPEED
        if self._replay.asked:
            self._expect_answer()
        return link

    def _pause_after(self, end: End) -> float:
        """Take note of how a socket ended. Returns the seconds to wait before the next."""
        if end.unanswered:
            self._second_try = True
            return 0.0
        # Who has worked is expected to work again at once.
        self._second_try, self._failed = False, not end.worked
        self._given_up = not end.worked and end.why.kind in _FOR_GOOD
        self._pulse.failed(self, end.why, for_good=self._given_up)
        pace = self._pulse.pace
        first_s, longest_s = pace.busy_s if end.why.kind is Kind.BUSY else pace.backoff_s
        before_s = 0.0 if end.worked else self._backoff_s
        self._backoff_s = min(longest_s, max(first_s, 2 * before_s))
        # Spread out, so that many calls do not knock at the same moment.
        return self._backoff_s * random.uniform(0.5, 1.0)  # noqa: S311

    async def _write(self, link: Link) -> None:
        keepalive_s, idle = self._pulse.config.keepalive_s, False
        try:
            while True:
                self._wake.clear()
                if idle and not self._replay.unsent:
                    await link.send(SILENCE)
                for piece in self._replay.take():
                    await (link.send(piece) if piece is not None else link.ask())
                idle = not await self._woken(keepalive_s)
        except ConnectionClosed:
            return  # the reader tells why

    async def _woken(self, within_s: float) -> bool:
        try:
            async with asyncio.timeout(within_s):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    async def _read(self, link: Link) -> End:
        try:
            while link.end is None:
                self._take(await link.socket.recv(decode=False), link)
        except ConnectionClosed as closed:
            if link.end is None:
                self._stats.dropped_sockets += 1
                why = self._pulse.dialer.why(closed, link.told)
                return End(why, worked=link.worked or link.settled)
        assert link.end is not None
        return link.end

    # -- what it says ------------------------------------------------------------------------------------------

    def _take(self, raw: bytes, link: Link) -> None:
        if link.is_too_much():
            self._stats.floods += 1
            link.leave("far more messages than anybody can speak")
            return
        try:
            message = decode(raw)
        except ProtocolError as broken:
            self._stats.malformed_messages += 1
            link.malformed += 1
            log.debug("skipped a message: %s", broken)
            if link.malformed >= MAX_MALFORMED:
                link.leave(f"{link.malformed} broken messages in a row")
            return
        link.malformed = 0
        if isinstance(message, Words):
            self._hear(message, link)
        elif isinstance(message, Refusal):
            self._stats.error_messages += 1
            link.told = self._pulse.dialer.hushed(message).message
        elif isinstance(message, Unknown):
            self._stats.unknown_messages += 1

    def _hear(self, words: Words, link: Link) -> None:
        self._failed = self._mute = self._second_try = False
        self._pulse.works(self)
        link.heard(words)
        if words.answers is not None:
            self._pulse.says_answers = True
        text = self._seam.mended(words.text, final=words.final)
        if not words.final:
            self._stats.partials += 1
            self._tell(Transcript(text, language=words.language))
            return
        self._stats.finals += 1
        if self._is_answer(words):
            self._answered(text, words.language)
            return
        self._seam.told(text, said_by=self._replay.sent, most=self._replay.final())
        self._tell(Transcript(text, final=True, language=words.language))

    def _is_answer(self, words: Words) -> bool:
        if not self._replay.asked:
            return False
        return words.answers is True or (words.answers is None and self._pulse.says_answers is False)

    def _answered(self, text: str = "", language: str = "") -> None:
        """The oldest `finalize` is answered, with `text`."""
        done = self._replay.answered()
        self._seam.confirmed(self._replay.confirmed)
        self._expect_next()
        self._tell(Transcript(text, final=True, finalised=done, language=language))

    def _tell(self, transcript: Transcript) -> None:
        if not self._closed:
            self._into(transcript)

    # -- answers that do not come ------------------------------------------------------------------------------

    def _expect_answer(self) -> None:
        busy_s = max(0.0, self._caught_up_s - self._pulse.clock())
        within_s = self._pulse.pace.finalize_s + busy_s
        self._watch = asyncio.get_running_loop().call_later(within_s, self._unanswered)

    def _expect_nothing(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._watch = None

    def _expect_next(self) -> None:
        self._expect_nothing()
        if self._replay.asked:
            self._expect_answer()

    def _unanswered(self) -> None:
        self._watch, link = None, self._link
        if link is None:
            return
        self._stats.late_finals += 1
        if link.finals_since_asked and not self._pulse.says_answers:
            self._pulse.says_answers = False  # one of those was the answer, then
            self._answered()
        elif link.has_nothing_to_say():
            self._excuse()
        elif not self._second_try:
            link.leave("no answer to finalize in time", unanswered=True)
        else:
            self._second_try, self._mute = False, True
            self._pulse.failed(self, Refusal(Kind.UNAVAILABLE, "it does not answer"), for_good=False)
            self._replay.excuse()
            self._expect_next()

    def _excuse(self) -> None:
        done = self._replay.excuse()
        self._expect_next()
        self._tell(Transcript("", final=True, finalised=done))
