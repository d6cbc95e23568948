"""What speech is made of: the parts of it, one synthesis, and one utterance of a voice.

Strategy:

- A `Synthesizer` is a door to Lightning: a request in, a `Synthesis` out. Doors differ in how they get the
  audio; what happens to it, how it ends and how it is stopped is the same for all and stands here.
- Parts are handed on by plain calls, from the socket's callback to the reader's mailbox: no task and no timer
  for each.
- `cancel` is immediate, idempotent and final. After it nothing is handed on, whatever still arrives and
  whoever has already been woken for it.
- An error comes after the parts that arrived before it, never instead of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from bridge.errors import LightningError
from bridge.lightning.mailbox import Mailbox
from bridge.lightning.messages import SynthesisRequest
from bridge.lightning.stats import LightningStats
from telephony_codecs.formats import MULAW_8K, AudioFormat


@dataclass(frozen=True, slots=True)
class PieceStarted:
    """All that follows, up to `PieceEnded`, speaks `text`."""

    text: str


@dataclass(frozen=True, slots=True)
class SpeechAudio:
    """Audio in the voice's `audio_format`, of any size."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """When a word is spoken, in milliseconds from the start of its piece (in a `Synthesis`: its request)."""

    word: str
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class PieceEnded:
    """All audio of the piece has been given."""


SpeechPart: TypeAlias = PieceStarted | SpeechAudio | SpokenWord | PieceEnded
#: Raw audio, in the format that was asked for or whatever came instead; the words, when they were asked for.
SynthesisPart: TypeAlias = bytes | SpokenWord
PartSink: TypeAlias = Callable[[SynthesisPart], None]


class Synthesis:
    """One request on its way.

    Iterate it for its parts, or have them handed `into` a function as they arrive and wait for `received`.

    Args:
        request: what was asked.
        into: where parts go. It is called from the event loop, must return at once and not raise.
    """

    def __init__(self, request: SynthesisRequest, into: PartSink | None = None) -> None:
        self.request = request
        #: When it was sent to Lightning and when its first audio came; `time.monotonic` seconds.
        self.requested_at_s: float | None = None
        self.first_audio_at_s: float | None = None
        self.audio_bytes = 0
        self.cancelled = False
        self.error: LightningError | None = None
        self._mailbox: Mailbox[SynthesisPart] = Mailbox()
        self._into = into or self._mailbox.put
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def request_id(self) -> str:
        """Our own id of it."""
        return self.request.request_id

    @property
    def over(self) -> bool:
        """Whether nothing more will come: complete, failed or cancelled."""
        return self._over.done()

    def __aiter__(self) -> Synthesis:
        return self

    async def __anext__(self) -> SynthesisPart:
        return await self._mailbox.get()

    async def received(self) -> None:
        """Wait until everything has arrived, or it was cancelled.

        Raises:
            LightningError: it failed; the parts before that have been handed on.
        """
        await asyncio.shield(self._over)
        if self.error:
            raise self.error

    def cancel(self) -> None:
        """Stop, now. Nothing is handed on after this call, not even what has arrived already."""
        self._mailbox.drop()
        if not self.over:
            self.cancelled = True
            self._end()

    # -- for the door that fetches it ------------------------------------------------------------------

    def deliver(self, part: SynthesisPart) -> None:
        """Hand on a part. Ignored once the synthesis is over."""
        if self._over.done():
            return
        if isinstance(part, bytes):
            if self.first_audio_at_s is None:
                self.first_audio_at_s = time.monotonic()
            self.audio_bytes += len(part)
        self._into(part)

    def finish(self, error: LightningError | None = None) -> None:
        """Say that nothing more will come. Only the first call counts."""
        if not self.over:
            self.error = error
            self._mailbox.close(error)
            self._end()

    def _end(self) -> None:
        self._over.set_result(None)
        self._let_go()

    def _let_go(self) -> None:
        """Doors free here what the synthesis holds. Called once, at the end, however that came about."""


class Synthesizer(Protocol):
    """A door to Lightning."""

    @property
    def stats(self) -> LightningStats:
        """Where everything that goes other than well is counted."""

    def synthesize(self, request: SynthesisRequest, into: PartSink | None = None) -> Synthesis:
        """Ask for `request`. Returns at once; whatever goes wrong is told by the synthesis."""


class Speech:
    """One utterance of a voice, piece by piece. Iterate it for its parts.

    Iteration raises `LightningError` after the last part when the voice failed, and whatever the iterator of
    text raised when that did.

    Args:
        on_cancel: called once if `cancel` comes before the end.
    """

    audio_format: Final[AudioFormat] = MULAW_8K

    def __init__(self, on_cancel: Callable[[], None]) -> None:
        #: When its first piece was sent to Lightning and when its first audio came; `time.monotonic` seconds.
        self.requested_at_s: float | None = None
        self.first_audio_at_s: float | None = None
        #: Audio that nobody has taken yet.
        self.unread_ms = 0.0
        self.over = False
        self._on_cancel = on_cancel
        self._mailbox: Mailbox[SpeechPart] = Mailbox()
        self._into: Callable[[SpeechPart], None] = self._mailbox.put
        self._backlog_ms: Callable[[], float] = lambda: self.unread_ms
        self._taken = asyncio.Event()
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._error: Exception | None = None

    @property
    def first_audio_ms(self) -> float | None:
        """How long Lightning took to answer with its first audio."""
        if self.requested_at_s is None or self.first_audio_at_s is None:
            return None
        return (self.first_audio_at_s - self.requested_at_s) * 1000

    def __aiter__(self) -> Speech:
        return self

    async def __anext__(self) -> SpeechPart:
        part = await self._mailbox.get()
        if isinstance(part, SpeechAudio):
            self.unread_ms -= self.audio_format.ms_in(len(part.payload))
            self._taken.set()
        return part

    def hand_over(self, into: Callable[[SpeechPart], None], backlog_ms: Callable[[], float]) -> None:
        """Have parts handed `into` a function the moment they arrive, instead of iterating for them.

        Saves a wake-up of the reader for every chunk. Call it before anything has arrived: right after `speak`.

        Args:
            into: called from the event loop; must return at once and not raise.
            backlog_ms: how much audio waits where the parts went. Whoever lowers it calls `wake`.
        """
        self._into, self._backlog_ms = into, backlog_ms

    def wake(self) -> None:
        """Say that the backlog has shrunk."""
        self._taken.set()

    async def finished(self) -> None:
        """Wait until all parts have been handed over, or it was cancelled.

        Raises:
            LightningError: the voice failed; or whatever the iterator of text raised.
        """
        await asyncio.shield(self._ended)
        if self._error is not None:
            raise self._error

    def cancel(self) -> None:
        """Stop, now: nothing is given after this call, and what is being synthesised is cancelled."""
        self._mailbox.drop()
        self._into = _nowhere
        if not self.over:
            self.over = True
            self._on_cancel()
            self._end()

    # -- for the voice that speaks it ------------------------------------------------------------------

    def deliver(self, part: SpeechPart) -> None:
        """Hand on a part."""
        if isinstance(part, SpeechAudio):
            self.unread_ms += self.audio_format.ms_in(len(part.payload))
        self._into(part)

    def finish(self, error: Exception | None = None) -> None:
        """Say that nothing more will come."""
        self.over = True
        self._error = error
        self._mailbox.close(error)
        self._end()

    async def room(self, ahead_ms: float) -> None:
        """Wait until at most `ahead_ms` of the audio given so far are unread."""
        while self._backlog_ms() > ahead_ms:
            self._taken.clear()
            await self._taken.wait()

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)


def _nowhere(_part: SpeechPart) -> None:
    """Where the parts of a cancelled speech go."""
