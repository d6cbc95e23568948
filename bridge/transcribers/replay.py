"""What a caller said and the transcriber has not confirmed: kept, so that a new socket can hear it. No clock, no I/O.

Strategy:

- Audio is one line of bytes, counted from the call's beginning. On it lie, in this order: what is confirmed and
  forgotten, what was sent and may have to be sent again, what is still to be sent, and the end.
- The answer to a `finalize` confirms all that was pushed before that `finalize` was asked for: that is what it says.
- Any other final transcript confirms what was sent `UNSURE_MS` before it came: what was sent later may have been on
  its way, or not looked at yet. It confirms nothing while the transcriber may still be busy with a replay, which was
  sent faster than anybody speaks: until as much was sent after it as it was long. And never what lies behind a
  `finalize` that is not answered yet.
- So no word gets lost by a broken socket. One that was said in the last `UNSURE_MS` before such a final may come
  twice: `Seam` takes it away.
- What is too much is forgotten from the old end. It is lost only when no socket has ever heard it.
- A `finalize` stays at its place on the line until it is answered, whatever becomes of sockets.

Facts, from lightning.md 9: Pulse says when a word was only if it is asked to, in times of its own; its latency is
given as 64 to 300 ms.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

BYTES_PER_MS: Final = 8
#: Pulse's latency and the network's, with some to spare.
UNSURE_MS: Final = 500
#: What must always find room: whatever waits for a socket that is just being opened, or for its turn to be sent.
LEAST_MS: Final = 500
#: Half a second of fast speech.
SEAM_WORDS: Final = 4
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

    def final(self) -> bool:
        """A final transcript came that answers no `finalize`. Returns whether a part of it may be heard again."""
        since_replay = self._sent - self._replay_end
        if since_replay < self._replay_end - self._replay_start:
            return False
        position = self._sent - UNSURE_MS * BYTES_PER_MS
        if self._marks and self._marks[0].sent:
            position = min(position, self._marks[0].position)
        self._forget(position)
        return True

    def _forget(self, position: int) -> None:
        if position <= self._start:
            return
        del self._kept[: position - self._start]
        self._start = position
        self._sent = max(self._sent, position)


class Seam:
    """Takes away the words that come twice, where a replay begins a little before the end of what was confirmed."""

    def __init__(self) -> None:
        self._told: list[str] = []
        self._open = False

    def told(self, text: str, *, certain: bool) -> None:
        """A final transcript was handed on; `certain` when a replay cannot repeat any of it."""
        self._open = False
        self._told = [] if certain else text.split()[-SEAM_WORDS:]

    def rewind(self) -> None:
        """A replay begins: what comes next may begin with what was told."""
        self._open = bool(self._told)

    def mended(self, text: str) -> str:
        """`text` without the words at its beginning that were told already."""
        if not self._open:
            return text
        words = text.split()
        for count in range(min(len(self._told), len(words)), 0, -1):
            if _alike(self._told[-count:], words[:count]):
                return " ".join(words[count:])
        return text


def _alike(told: list[str], words: list[str]) -> bool:
    return all(_bare(one) == _bare(other) for one, other in zip(told, words, strict=True))


def _bare(word: str) -> str:
    return re.sub(r"\W+", "", word).casefold()
