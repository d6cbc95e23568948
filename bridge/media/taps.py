"""Who hears the caller: the detector always, a recorder or a listener for tones while there is one. Pure.

Strategy:

- The caller's audio passes 50 times a second and call. While nobody but the detector listens, the detector's own
  method is what the audio is handed to: a tap that is not there costs nothing.
- So whoever reads the carrier's messages is told whenever that changes, and there is one such reader at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

#: Takes 8 kHz mu-law of any length, at once, and does not raise.
Sink: TypeAlias = Callable[[bytes], None]


class Taps:
    """Where the caller's audio goes.

    Args:
        ear: where all of it goes, first.
    """

    def __init__(self, ear: Sink) -> None:
        self._ear = ear
        self._others: tuple[Sink, ...] = ()
        self._reader: Callable[[Sink], None] = _nobody

    @property
    def sink(self) -> Sink:
        """What is to be handed the audio now."""
        sinks = (self._ear, *self._others)
        if len(sinks) == 1:
            return self._ear

        def fan_out(mulaw: bytes) -> None:
            for sink in sinks:
                sink(mulaw)

        return fan_out

    def follow(self, reader: Callable[[Sink], None]) -> None:
        """Tell `reader`, instead of whoever was told before, where audio goes: now, and whenever that changes."""
        self._reader = reader
        reader(self.sink)

    def add(self, tap: Sink) -> None:
        """From now on, `tap` hears the caller too."""
        self._others = (*self._others, tap)
        self._reader(self.sink)

    def remove(self, tap: Sink) -> None:
        """`tap` hears no more. Harmless when it is not there."""
        self._others = tuple(other for other in self._others if other != tap)
        self._reader(self.sink)

    def close(self) -> None:
        """The call is over: let go of everybody."""
        self._others = ()
        self._reader(self.sink)
        self._reader = _nobody


def _nobody(_sink: Sink) -> None:
    """Who reads before anybody does."""
