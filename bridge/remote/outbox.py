"""The events of a call, on their way to an agent: numbered, bounded, and sent again where they may be lost. Pure.

Strategy:

- Each event is numbered as it happens. `take` hands out the next one that was not sent.
- An agent that acknowledges is sent again, over a new connection, whatever it has not acknowledged. One that never does
  has, as far as anybody knows, had all that was sent: it is sent what happened since.
- No more than `most` are kept. The oldest go first; the numbers show the gap.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from bridge.remote.protocol import Event, Start

#: Some minutes of a lively call.
MOST: Final = 64


class Outbox:
    """What `start` begins.

    Args:
        start: the first event; its `call_id` is that of all.
        most: so many events are kept at most, `start` not counted.
    """

    def __init__(self, start: Start, most: int = MOST) -> None:
        self._start = msgspec.structs.replace(start, seq=1)
        self._kept: deque[Event] = deque()
        self._most = most
        #: The number of the newest event, and of the newest that was sent.
        self._newest, self._sent = 1, 0
        #: The newest that was acknowledged.
        self.acknowledged = 0
        #: Pushed out by newer ones before they were sent.
        self.dropped = 0

    def add(self, event: Event) -> int:
        """Something has happened. Returns its number."""
        self._newest += 1
        self._kept.append(msgspec.structs.replace(event, seq=self._newest, call_id=self._start.call_id))
        if len(self._kept) > self._most:
            self.dropped += self._kept.popleft().seq > self._sent
        return self._newest

    def open(self) -> Start:
        """What a connection begins with."""
        if not self._sent:
            self._sent = 1
            return self._start
        return msgspec.structs.replace(self._start, resumed=True, acknowledged=self.acknowledged)

    def take(self) -> Event | None:
        """The next event to be sent; None when all are."""
        due = next((event for event in self._kept if event.seq > self._sent), None)
        if due is not None:
            self._sent = due.seq
        return due

    @property
    def waiting(self) -> bool:
        """Whether there is an event to be sent."""
        return bool(self._kept) and self._kept[-1].seq > self._sent

    def acknowledge(self, seq: int) -> None:
        """The agent has everything up to `seq`. What it cannot have is not believed."""
        self.acknowledged = max(self.acknowledged, min(seq, self._sent))
        while self._kept and self._kept[0].seq <= self.acknowledged:
            self._kept.popleft()

    def lost(self, unsent: Event | None = None) -> None:
        """The connection is gone. What was not acknowledged is due again; where nothing ever was, `unsent` is."""
        if self.acknowledged:
            self._sent = max(1, self.acknowledged)
        elif unsent is not None:
            self._sent = min(self._sent, max(1, unsent.seq - 1))
