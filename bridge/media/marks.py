"""What the carrier has played of one utterance: its marks are the truth, the clock is the guess between. Clock-free.

Strategy:

- A mark that came back at position P says that P has been played; one that is still out says that its place has not
  been reached. The latter only of a carrier that has answered one before.
- A mark is named after its utterance, its place, and the stretch between two pauses that it belongs to. What comes
  back of another stretch or another utterance means nothing, and is counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from bridge.observe.stats import PlayoutStats


@dataclass(frozen=True, slots=True)
class Mark:
    """Ask the carrier to tell when everything before this has been played."""

    name: str


class Marks:
    """Those of one call, an utterance at a time."""

    def __init__(self, stats: PlayoutStats) -> None:
        self._stats = stats
        self._answered = False
        self._pending: dict[str, int] = {}  # name -> position, ms; in the order sent
        self._known: tuple[int, float] | None = None  # position in ms that was played at this time

    def restart(self) -> None:
        """Another utterance begins."""
        self._pending.clear()
        self._known = None

    def forget(self) -> None:
        """Those that are still out will not come back, or mean nothing when they do."""
        self._pending.clear()

    @property
    def pending(self) -> bool:
        """Whether one is still out."""
        return bool(self._pending)

    def set(self, generation: int, position_ms: int, pauses: int) -> Mark:
        """A new one, for `position_ms` of the utterance `generation` after so many pauses of it."""
        mark = Mark(f"{generation}.{position_ms}{f'.{pauses}' if pauses else ''}")
        self._pending[mark.name] = position_ms
        return mark

    def answered(self, name: str, generation: int, now_s: float) -> None:
        """The carrier says that it has come to the mark of that name; the newest utterance is `generation`."""
        position_ms = self._pending.get(name)
        if position_ms is None:
            self._count_strange(name, generation)
            return
        while self._pending and next(iter(self._pending.values())) <= position_ms:
            self._pending.pop(next(iter(self._pending)))
        self.reached(position_ms, now_s)
        self._answered = True

    def reached(self, position_ms: int, now_s: float) -> None:
        """So much has been played by `now_s`, and what follows is played from then on."""
        self._known = (position_ms, now_s)

    def corrected(self, heard_ms: float, now_s: float) -> float:
        """What was heard by `now_s`, where the clock says `heard_ms`."""
        if self._known is not None:
            position_ms, at_s = self._known
            heard_ms = max(position_ms, min(heard_ms, position_ms + (now_s - at_s) * 1000))
        if self._answered and self._pending:
            heard_ms = min(heard_ms, next(iter(self._pending.values())))
        return heard_ms

    def _count_strange(self, name: str, generation: int) -> None:
        named = name.partition(".")[0]
        if named.isascii() and named.isdigit() and int(named[:18]) <= generation:
            self._stats.stale_marks += 1
        else:
            self._stats.unknown_marks += 1
