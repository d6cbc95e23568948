"""When to stop asking a door that fails, and when to look whether it works again. No clock, no I/O.

Strategy:

- It opens after so many failures within ten seconds, when they are more than what went well in that time: a few
  unlucky syntheses among hundreds are no outage. What asking again cannot mend, such as a wrong key, opens it at
  once.
- While it is open nobody asks, except for a probe, ever more rarely. One that succeeds closes it.
"""

from __future__ import annotations

from collections import deque
from typing import Final

WINDOW_S: Final = 10.0
FIRST_PROBE_S: Final = 2.0
MAX_PROBE_S: Final = 60.0


class Breaker:
    """The state of one door.

    Args:
        failures: how many within `WINDOW_S` open it.
    """

    def __init__(self, failures: int) -> None:
        self._failures = failures
        self._outcomes: deque[tuple[float, bool]] = deque()
        self._wait_s = FIRST_PROBE_S
        #: When to probe, in the seconds of `now_s`; None while it is closed.
        self.probe_at_s: float | None = None

    @property
    def open(self) -> bool:
        """Whether the door is to be left alone."""
        return self.probe_at_s is not None

    def succeeded(self, now_s: float) -> None:
        """The door gave audio."""
        self._note(now_s, True)

    def failed(self, now_s: float, *, for_good: bool = False) -> bool:
        """The door failed; `for_good` when asking again cannot help. Returns whether that opened it."""
        self._note(now_s, False)
        if self.open or not (for_good or self._tripped()):
            return False
        self._outcomes.clear()
        self.probe_at_s, self._wait_s = now_s + FIRST_PROBE_S, FIRST_PROBE_S
        return True

    def probed(self, now_s: float, *, worked: bool) -> None:
        """A probe is over."""
        if worked:
            self.probe_at_s = None
            return
        self._wait_s = min(MAX_PROBE_S, 2 * self._wait_s)
        self.probe_at_s = now_s + self._wait_s

    def postpone(self, now_s: float) -> None:
        """The probe could not be made now: look again as soon."""
        self.probe_at_s = now_s + FIRST_PROBE_S

    def _note(self, now_s: float, went_well: bool) -> None:
        outcomes = self._outcomes
        outcomes.append((now_s, went_well))
        while outcomes[0][0] <= now_s - WINDOW_S:
            outcomes.popleft()

    def _tripped(self) -> bool:
        failed = sum(not went_well for _, went_well in self._outcomes)
        return failed >= self._failures and 2 * failed > len(self._outcomes)
