"""One open socket to Pulse, and what it is known by: whether it works, talks too much, or has nothing to say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from websockets.asyncio.client import ClientConnection

from bridge.transcribers.pulse_messages import FINALIZE, Kind, Refusal, Words
from bridge.transcribers.replay import BYTES_PER_MS

#: A socket that lives so long has been taken.
SETTLED_S: Final = 1.0
#: What speech can have: so many messages at once, and for each second of audio.
MESSAGES_AT_ONCE: Final = 200
MESSAGES_PER_S: Final = 50


@dataclass(frozen=True, slots=True)
class End:
    """How a socket ended.

    Attributes:
        worked: whether it had been of use, or open for a while.
        unanswered: whether we left it for not answering.
    """

    why: Refusal
    worked: bool = False
    unanswered: bool = False


class Link:
    """One open socket.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, socket: ClientConnection, clock: Callable[[], float]) -> None:
        self.socket, self._clock = socket, clock
        self._opened_s = clock()
        self._messages = self._sent_bytes = 0
        #: Undecodable messages in a row.
        self.malformed = 0
        #: The last error that it told.
        self.told = ""
        #: Whether it has said words, and whether the last of them were not final.
        self.worked = self._owes_words = False
        self.finals_since_asked = 0
        #: Whether it was excused for not answering, and has said nothing since.
        self._excused = False
        self._pong: Awaitable[float] | None = None
        #: Why we have left it.
        self.end: End | None = None

    @property
    def settled(self) -> bool:
        """Whether it has been open for a while."""
        return self._clock() - self._opened_s >= SETTLED_S

    async def send(self, audio: bytes) -> None:
        """Send audio."""
        self._sent_bytes += len(audio)
        await self.socket.send(audio)

    async def ask(self) -> None:
        """Ask for the words so far; and for a sign of life, in case there are none."""
        self.finals_since_asked = 0
        await self.socket.send(FINALIZE, text=True)
        self._pong = await self.socket.ping()

    def heard(self, words: Words) -> None:
        """It has said `words`."""
        self.worked, self._excused = True, False
        self._owes_words = bool(words.text) and not words.final
        self.finals_since_asked += words.final

    def is_too_much(self) -> bool:
        """Count a message. Whether there have been more than the audio can be the reason of."""
        self._messages += 1
        audio_s = self._sent_bytes / BYTES_PER_MS / 1000
        return self._messages > MESSAGES_AT_ONCE + MESSAGES_PER_S * audio_s

    def has_nothing_to_say(self) -> bool:
        """Whether it may well live and have no words: believed once, until it speaks again."""
        lives = isinstance(self._pong, asyncio.Future) and self._pong.done() and not self._pong.cancelled()
        believed = self.worked and not self._owes_words and not self._excused and lives
        self._excused = True
        return believed

    def leave(self, why: str, *, unanswered: bool = False) -> None:
        """Give it up."""
        self.end = End(Refusal(Kind.UNAVAILABLE, why), unanswered=unanswered)
        self.socket.transport.abort()
