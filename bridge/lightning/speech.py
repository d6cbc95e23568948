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
from typing import Final, Generic, Protocol, Self, TypeAlias, TypeVar, runtime_checkable

from bridge.errors import LightningError
from bridge.lightning.mailbox import Mailbox
from bridge.lightning.messages import SynthesisRequest
from bridge.lightning.stats import LightningStats
from telephony_codecs.formats import MULAW_8K, AudioFormat

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PieceStarted:
    """All that follows, up to `PieceEnded`, speaks `text`; when that is private, the timeline does not show it."""

    text: str
    private: bool = False


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
class MoreText:
    """The piece's text goes on with `text`: it came while its beginning was already being spoken."""

    text: str


@dataclass(frozen=True, slots=True)
class LessText:
    """The piece ends before `text`, the end of its text so far: another piece speaks that."""

    text: str


@dataclass(frozen=True, slots=True)
class PieceEnded:
    """All audio of the piece has been given."""


SpeechPart: TypeAlias = PieceStarted | MoreText | LessText | SpeechAudio | SpokenWord | PieceEnded
#: Raw audio, in the format that was asked for or whatever came instead; the words, when they were asked for.
SynthesisPart: TypeAlias = bytes | SpokenWord
PartSink: TypeAlias = Callable[[SynthesisPart], None]


class PartStream(Generic[T]):
    """Parts on their way to one reader, with an end, which may be an error or a cancellation.

    Iterate it, or have the parts handed `into` a function as they arrive and wait for `finished`.

    Args:
        into: where parts go. It is called from the event loop, must return at once and not raise.
    """

    def __init__(self, into: Callable[[T], None] | None = None) -> None:
        self.cancelled = False
        self.error: Exception | None = None
        self._mailbox: Mailbox[T] = Mailbox()
        self._into = into or self._mailbox.put
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def over(self) -> bool:
        """Whether nothing more will come: complete, failed or cancelled."""
        return self._over.done()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        return await self._mailbox.get()

    async def finished(self) -> None:
        """Wait until everything has arrived, or it was cancelled.

        Raises:
            Exception: why it failed; the parts before that have been handed on.
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

    def when_over(self, then: Callable[[], None]) -> None:
        """Have `then` called soon after it is over."""
        self._over.add_done_callback(lambda _: then())

    # -- for whoever fills it --------------------------------------------------------------------------

    def deliver(self, part: T) -> None:
        """Hand on a part. Ignored once it is over."""
        if not self._over.done():
            self._into(part)

    def finish(self, error: Exception | None = None) -> None:
        """Say that nothing more will come. Only the first call counts."""
        if not self.over:
            self.error = error
            self._mailbox.close(error)
            self._end()

    def _end(self) -> None:
        self._over.set_result(None)
        self._let_go()

    def _let_go(self) -> None:
        """Free what is held for it. Called once, at the end, however that came about."""


class Synthesis(PartStream[SynthesisPart]):
    """One request on its way. Raises nothing but `LightningError`; doors to Lightning fill it."""

    def __init__(self, request: SynthesisRequest, into: PartSink | None = None) -> None:
        super().__init__(into)
        self.request = request
        #: When it was sent to Lightning and when its first audio came; `time.monotonic` seconds.
        self.requested_at_s: float | None = None
        self.first_audio_at_s: float | None = None
        #: When it got its unit of concurrency, in the loop's seconds.
        self.unit_at_s: float | None = None
        self.audio_bytes = 0

    @property
    def request_id(self) -> str:
        """Our own id of it."""
        return self.request.request_id

    def deliver(self, part: SynthesisPart) -> None:
        """Hand on a part. Ignored once it is over."""
        if isinstance(part, bytes) and not self.over:
            if self.first_audio_at_s is None:
                self.first_audio_at_s = time.monotonic()
            self.audio_bytes += len(part)
        super().deliver(part)


class TextSynthesis(Synthesis):
    """A synthesis whose text comes bit by bit while its audio goes out. `request.text` is empty."""

    @property
    def text(self) -> str:
        """All the text that has been given so far."""
        raise NotImplementedError

    async def say(self, text: str) -> None:
        """Give more text, white space and all. Returns when it is on its way, or when the synthesis is over."""
        raise NotImplementedError

    def end_text(self) -> None:
        """Say that no more text will come. What has been given is still spoken."""
        raise NotImplementedError


class Synthesizer(Protocol):
    """A door to Lightning: one for a process and entry of the configuration."""

    @property
    def stats(self) -> LightningStats:
        """Where everything that goes other than well is counted."""

    @property
    def last_error(self) -> LightningError | None:
        """Why it cannot be reached; None when it could be, the last time it was tried."""

    async def start(self) -> None:
        """Get ready in the background. Does not wait, and does not fail."""

    async def close(self) -> None:
        """Close every connection. What is being synthesised, or waits for it, fails."""

    def synthesize(
        self, request: SynthesisRequest, into: PartSink | None = None, *, wait_s: float | None = None
    ) -> Synthesis:
        """Ask for `request`. Returns at once; whatever goes wrong is told by the synthesis.

        Args:
            into: where parts go, instead of being iterated over.
            wait_s: how long to wait for a unit of concurrency, instead of `queue_timeout_s`.
        """


@runtime_checkable
class StreamingSynthesizer(Synthesizer, Protocol):
    """A door that takes text as it comes."""

    def open_text(
        self,
        request: SynthesisRequest,
        into: PartSink | None = None,
        *,
        wait_s: float | None = None,
        expected_ms: Callable[[str], float] | None = None,
    ) -> TextSynthesis:
        """Begin a synthesis whose text is still to come. Returns at once.

        Args:
            expected_ms: how long a text takes in this voice; by default what English takes.
        """


class Speech(PartStream[SpeechPart]):
    """One utterance of a voice, piece by piece.

    Raises `LightningError` after the last part when the voice failed, and whatever the iterator of text raised
    when that did.

    Args:
        on_cancel: called once if `cancel` comes before the end.
    """

    audio_format: Final[AudioFormat] = MULAW_8K

    def __init__(self, on_cancel: Callable[[], None]) -> None:
        super().__init__()
        #: When its first piece was sent to Lightning and when its first audio came; `time.monotonic` seconds.
        self.requested_at_s: float | None = None
        self.first_audio_at_s: float | None = None
        #: Whether all of it so far is the first entry's, each piece of it at the first attempt.
        self.as_asked = True
        self._on_cancel = on_cancel
        self._unread_bytes = 0
        self._backlog_ms: Callable[[], float] = lambda: self.unread_ms
        self._take_back: Callable[[float], float] = lambda _ms: 0.0
        self._taken = asyncio.Event()

    @property
    def unread_ms(self) -> float:
        """Audio that has not been iterated over yet."""
        return self.audio_format.ms_in(self._unread_bytes)

    @property
    def backlog_ms(self) -> float:
        """Audio that has been given and not been heard yet."""
        return self._backlog_ms()

    @property
    def first_audio_ms(self) -> float | None:
        """How long Lightning took to answer with its first audio."""
        if self.requested_at_s is None or self.first_audio_at_s is None:
            return None
        return (self.first_audio_at_s - self.requested_at_s) * 1000

    async def __anext__(self) -> SpeechPart:
        part = await super().__anext__()
        if isinstance(part, SpeechAudio):
            self._unread_bytes -= len(part.payload)
            self._taken.set()
        return part

    def hand_over(
        self,
        into: Callable[[SpeechPart], None],
        backlog_ms: Callable[[], float],
        take_back: Callable[[float], float] = lambda _ms: 0.0,
    ) -> None:
        """Have parts handed `into` a function the moment they arrive, instead of iterating for them.

        Saves a wake-up of the reader for every chunk. Call it before anything has arrived: right after `speak`.

        Args:
            into: called from the event loop; must return at once and not raise.
            backlog_ms: how much audio waits where the parts went. Whoever lowers it calls `wake`.
            take_back: drops up to so many milliseconds of the newest audio and returns how many it did.
        """
        self._into, self._backlog_ms, self._take_back = into, backlog_ms, take_back

    def wake(self) -> None:
        """Say that the backlog has shrunk."""
        self._taken.set()

    # -- for the voice that speaks it ------------------------------------------------------------------

    def deliver(self, part: SpeechPart) -> None:
        """Hand on a part. Ignored once it is over."""
        if isinstance(part, SpeechAudio):
            self._unread_bytes += len(part.payload)
        super().deliver(part)

    def take_back(self, ms: float) -> float:
        """Take back up to `ms` of the newest audio, where it has not gone out yet. Returns how much it was."""
        return 0.0 if self.over else self._take_back(ms)

    async def room(self, ahead_ms: float) -> None:
        """Wait until at most `ahead_ms` of the audio given so far wait to be heard."""
        while self._backlog_ms() > ahead_ms:
            self._taken.clear()
            await self._taken.wait()

    def _let_go(self) -> None:
        if self.cancelled:
            self._on_cancel()
