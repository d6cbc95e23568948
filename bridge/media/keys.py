"""Keys that are told twice: by a message of the carrier's, and by their tones in the caller's audio. Pure.

Strategy:

- Either may come first, and either may be missing. So the first that tells of a press counts at once.
- The other one's word for the same key, soon enough, is taken for the same press and belongs to it alone: who presses a
  key twice is told of four times, and pressed it twice.
- A carrier may tell of a press when it is over, so "soon enough" begins when the tones end.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Literal, TypeAlias

Source: TypeAlias = Literal["carrier", "tones"]
#: How far apart the two may come: a long press, and the carrier's own way of noticing it.
SAME_PRESS_MS: Final = 400.0


class Presses:
    """Tells which of the keys told are presses of their own."""

    def __init__(self) -> None:
        self._alone: deque[tuple[str, Source, float]] = deque()

    def is_new(self, key: str, source: Source, now_s: float) -> bool:
        """Whether `source` tells of a press that is not known yet."""
        alone = self._alone
        while alone and (now_s - alone[0][2]) * 1000 > SAME_PRESS_MS:
            alone.popleft()
        for known in alone:
            if known[0] == key and known[1] != source:
                alone.remove(known)
                return False
        alone.append((key, source, now_s))
        return True

    def is_held(self, key: str, now_s: float) -> None:
        """The tones of `key` go on: the press that they told of is not over yet."""
        for known in reversed(self._alone):
            if known[:2] == (key, "tones"):
                self._alone.remove(known)
                self._alone.append((key, "tones", now_s))
                return
