"""What a caller said and the transcriber has not confirmed: kept, so that a new socket can hear it. No clock, no I/O.

Strategy:

- Audio is one line of bytes, counted from the call's beginning. On it lie, in this order: what is confirmed and
  forgotten, what was sent and may have to be sent again, what is still to be sent, and the end.
- The answer to a `finalize` confirms all that was pushed before that `finalize` was asked for: that is what it says.
- Any other final transcript confirms what was sent `UNSURE_MS` before it came: what was sent later may have been on
  its way, or not looked at yet. It confirms nothing while the transcriber may still be busy with a replay, which was
  sent faster than anybody speaks: until as much was sent after it as it was long, as it is transcribed at least
  `REPLAY_SPEED` times as fast as it was spoken. And never what lies behind a `finalize` that is not answered yet.
- So no word gets lost by a broken socket. Those of such a final may come twice: `Seam` takes them away.
- What is too much is forgotten from the old end. It is lost only when no socket has ever heard it.
- No replay begins with silence: the words after it would have to wait until the transcriber is through with it.
- A `finalize` stays at its place on the line until it is answered, whatever becomes of sockets. Of those whose audio is
  forgotten one is enough.

Facts, from lightning.md 9: Pulse says when a word was only if it is asked to, in times of its own; its latency is
given as 64 to 300 ms.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from unicodedata import category

BYTES_PER_MS: Final = 8
#: Pulse's latency and the network's, with some to spare.
UNSURE_MS: Final = 500
#: What must always find room: whatever waits for a socket that is just being opened, or for its turn to be sent.
LEAST_MS: Final = 500
#: `UNSURE_MS` of fast speech.
SEAM_WORDS: Final = 4
#: More than is told between two answers to `finalize`.
MOST_WORDS: Final = 200
REPLAY_SPEED: Final = 2.0
#: Mu-law so quiet, below -48 dBFS at its peaks, that no word is in it: its lowest segment, of both signs.
QUIET: Final = bytes([*range(0x70, 0x80), *range(0xF0, 0x100)])
#: What is kept of the silence before a word, or a `finalize`.
LEAD_IN_MS: Final = 200
#: Pulse advises 4096 bytes a message.
MOST_BYTES: Final = 4096


@dataclass(slots=True)
class _Mark:
    """A `finalize` that is not answered yet."""

    position: int
    sent: bool = False


class Replay:
    """The audio of one call that is not confirmed.

    Args:
        limit_ms: how much of it is kept.
    """

    def __init__(self, limit_ms: int) -> None:
        self._limit = max(limit_ms, LEAST_MS) * BYTES_PER_MS
        self._kept = bytearray()
        #: Where the kept audio begins, and how far it was sent: on this socket, and on any.
        self._start = self._sent = self._ever_sent = 0
        #: Where the last replay began and ended.
        self._replay_start = self._replay_end = 0
        self._marks: deque[_Mark] = deque()

    @property
    def pushed(self) -> int:
        """Bytes pushed since the call began."""
        return self._start + len(self._kept)

    @property
    def sent(self) -> int:
        """Bytes of these that this socket has been sent."""
        return self._sent

    @property
    def confirmed(self) -> int:
        """Bytes of these that are confirmed, or forgotten."""
        return self._start

    @property
    def unsent(self) -> int:
        """Bytes that this socket has not been sent."""
        return self.pushed - self._sent

    @property
    def asked(self) -> int:
        """How many times `finalize` was asked for and not answered."""
        return len(self._marks)

    def push(self, mulaw: bytes) -> int:
        """Take the caller's next audio. Returns how many bytes are lost, because there was no room for them."""
        self._kept += mulaw
        excess = len(self._kept) - self._limit
        if excess <= 0:
            return 0
        heard = max(self._ever_sent, self._start)
        self._forget(self._start + excess)
        return max(0, self._start - heard)

    def mark(self) -> bool:
        """`finalize` is asked for here. Returns whether it was not, yet."""
        if self._marks and self._marks[-1].position == self.pushed:
            return False
        self._marks.append(_Mark(self.pushed))
        return True

    def rewind(self) -> int:
        """There is a new socket, which has heard nothing. Returns how many bytes it will be sent once more."""
        self._forget_silence()
        while len(self._marks) > 1 and self._marks[1].position <= self._start:
            self._marks.popleft()
        again = max(0, self._ever_sent - self._start)
        self._sent = self._replay_start = self._start
        self._replay_end = self.pushed
        for mark in self._marks:
            mark.sent = False
        return again

    def take(self) -> Iterator[bytes | None]:
        """What is to be sent now, in order: audio, and None where `finalize` is to be asked for. It counts as sent."""
        for mark in [mark for mark in self._marks if not mark.sent]:
            yield from self._take_to(mark.position)
            mark.sent = True
            yield None
        yield from self._take_to(self.pushed)

    def _take_to(self, position: int) -> Iterator[bytes]:
        while self._sent < position:
            begin = self._sent - self._start
            piece = bytes(self._kept[begin : min(begin + MOST_BYTES, position - self._start)])
            self._sent += len(piece)
            self._ever_sent = max(self._ever_sent, self._sent)
            yield piece

    def answered(self) -> bool:
        """The oldest `finalize` was answered. Returns whether none is left."""
        if self._marks:
            self._forget(self._marks.popleft().position)
        return not self._marks

    def excuse(self) -> bool:
        """The oldest `finalize` will not be answered, and that proves nothing. Returns whether none is left."""
        if self._marks:
            self._marks.popleft()
        return not self._marks

    def final(self) -> int:
        """A final transcript came that answers no `finalize`. Returns how many words of it a replay may repeat."""
        since_replay = self._sent - self._replay_end
        if since_replay * (REPLAY_SPEED - 1) < self._replay_end - self._replay_start:
            return MOST_WORDS
        position = self._sent - UNSURE_MS * BYTES_PER_MS
        if self._marks and self._marks[0].position < position:
            self._forget(self._marks[0].position)
            return MOST_WORDS
        self._forget(position)
        return SEAM_WORDS

    def _forget_silence(self) -> None:
        """What is quiet before the first word, and before the first `finalize`."""
        quiet = len(self._kept) - len(self._kept.lstrip(QUIET))
        asked = next((mark.position for mark in self._marks if mark.position > self._start), self.pushed)
        self._forget(min(self._start + quiet, asked) - LEAD_IN_MS * BYTES_PER_MS)

    def _forget(self, position: int) -> None:
        if position <= self._start:
            return
        del self._kept[: position - self._start]
        self._start = position
        self._sent = max(self._sent, position)


class Seam:
    """Takes away the words that come twice, because a replay begins before the end of what was told.

    The words that may come twice are known, and so is that they come first and in order. What begins with them, or is a
    part of them, is cut by so much.
    """

    def __init__(self) -> None:
        #: Words that were told and are not confirmed; and those of them that this socket may still repeat. Both bare.
        self._told: list[str] = []
        self._ahead: list[str] = []
        #: They were said before this place.
        self._said_by = 0

    def told(self, text: str, *, said_by: int, most: int) -> None:
        """A final transcript was handed on, of what was said before `said_by` bytes of the call.

        A replay may repeat no more than the last `most` words.
        """
        self._told = [*self._told, *_bare(text.split())][-most:]
        self._said_by = said_by

    def confirmed(self, to: int) -> None:
        """Everything that was said before `to` bytes of the call is confirmed."""
        if to >= self._said_by:
            self._told, self._ahead = [], []

    def rewind(self) -> None:
        """A replay begins."""
        self._ahead = list(self._told)

    def mended(self, text: str, *, final: bool) -> str:
        """`text` without the words at its beginning that were told already."""
        words, ahead = text.split(), self._ahead
        bare = _bare(words[: len(ahead)])
        for begin in range(len(ahead)):
            end = min(begin + len(words), len(ahead))
            if words and ahead[begin:end] == bare[: end - begin]:
                if final:
                    self._ahead = ahead[end:]
                return " ".join(words[end - begin :])
        if final and words:
            self._ahead = []
        return text


def _bare(words: Iterable[str]) -> list[str]:
    """`words` without capitals and stops, which may come differently the second time."""
    return [
        "".join(letter for letter in word if not category(letter).startswith("P")).casefold()
        for word in words
    ]
