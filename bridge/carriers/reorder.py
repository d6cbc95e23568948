"""Numbered audio that may arrive out of order, put back in order. Clock-free.

Strategy:

- In order costs a comparison. What comes too early waits for what is missing; what comes too late is dropped: the
  caller's words cannot be unheard.
- Waiting is bounded: once `window` messages wait, or the newest of them is so far ahead, the gap is lost.
- A number far from the expected one is a new count, not a gap: whatever a carrier does to its numbers, the audio
  that comes is heard.
"""

from __future__ import annotations

from typing import Final

from bridge.carriers.dialect import Audio, Event, Ignored, Several

#: Messages of 20 ms that wait for a missing one, at most.
WINDOW: Final = 10
#: Further than this from the expected number is no gap and no echo.
FAR: Final = 50

EARLY: Final = Ignored("media_out_of_order")
LATE: Final = Ignored("media_too_late")
DOUBLE: Final = Ignored("media_twice")
LOST: Final = Ignored("media_lost")


class Reorder:
    """The audio of one stream, in the order of its numbers, which begin anywhere.

    Args:
        window: messages to wait for a missing one.
    """

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._next: int | None = None
        self._waiting: dict[int, Audio] = {}

    def take(self, number: int, audio: Audio) -> Event:
        """What is to be heard now that `audio` has come: it alone, with all that waited for it, or nothing yet."""
        if number == self._next and not self._waiting:
            self._next = number + 1
            return audio
        if self._next is None or abs(number - self._next) > FAR:
            return self._anew(number, audio)
        if number < self._next:
            return LATE
        if number in self._waiting:
            return DOUBLE
        self._waiting[number] = audio
        return _as_one(self._released()) or EARLY

    def _anew(self, number: int, audio: Audio) -> Event:
        waited = [self._waiting[early] for early in sorted(self._waiting)]
        self._waiting.clear()
        self._next = number + 1
        return _as_one([*waited, audio]) or audio

    def _released(self) -> list[Event]:
        released: list[Event] = []
        while self._waiting:
            first = min(self._waiting)
            if first != self._next:
                if not self._gap_is_lost():
                    break
                released.append(LOST)
            released.append(self._waiting.pop(first))
            self._next = first + 1
        return released

    def _gap_is_lost(self) -> bool:
        newest = max(self._waiting)
        return len(self._waiting) >= self._window or newest - (self._next or 0) >= self._window


def _as_one(events: list[Event]) -> Event | None:
    if len(events) < 2:
        return events[0] if events else None
    return Several(tuple(events))
