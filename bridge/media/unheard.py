"""What has been sent to a carrier and may not have been played yet: so that it can be sent again. Pure.

Strategy:

- As many messages are kept as a carrier's buffer can hold, and those of the stretch that no mark has confirmed.
- What is to be sent again begins with the message that was being played: a packet is heard twice rather than not.
"""

from __future__ import annotations

from collections import deque


class Unheard:
    """The newest messages of one utterance.

    Args:
        message_ms: audio in each.
        keep_ms: so much of them is kept, in whole messages; 0 is none.
    """

    def __init__(self, message_ms: int, keep_ms: int) -> None:
        self._message_ms = message_ms
        self._messages: deque[bytes] = deque(maxlen=-(-keep_ms // message_ms))
        #: Where the newest one ends, in ms of the utterance.
        self._end_ms = 0

    def restart(self) -> None:
        """Another utterance begins."""
        self._messages.clear()
        self._end_ms = 0

    def add(self, message: bytes) -> None:
        """`message` has been sent."""
        self._messages.append(message)
        self._end_ms += self._message_ms

    def take_since(self, heard_ms: float) -> tuple[int, list[bytes]]:
        """Forget, and return with the place where they begin, the messages from the one that holds `heard_ms` on."""
        unheard_ms = self._end_ms - heard_ms // self._message_ms * self._message_ms
        count = min(len(self._messages), max(0, round(unheard_ms / self._message_ms)))
        taken = [self._messages.pop() for _ in range(count)]
        self._end_ms -= count * self._message_ms
        return self._end_ms, taken[::-1]
