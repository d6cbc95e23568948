"""When the faults of one synthesis strike: by how much of its audio is out, as the options say by then.

What a fault does is the business of whoever sends the audio; here is only whether it is time, and that it was counted.
"""

from __future__ import annotations

from bridge.emulators.lightning_options import EmulatorOptions, EmulatorStats


class InducedError(Exception):
    """A synthesis is to end with an error, on purpose."""


class Faults:
    """The faults of the synthesis `number`. `at_ms` is where the audio that is about to go out begins."""

    def __init__(self, options: EmulatorOptions, stats: EmulatorStats, number: int) -> None:
        self._options, self._stats, self._number = options, stats, number
        self._garbled = False

    def garble(self, at_ms: float) -> bool:
        """Whether to send a message that cannot be read. Once."""
        if self._garbled:
            return False
        self._garbled = self._strikes(self._options.garble_after_ms, at_ms)
        return self._garbled

    def err(self, at_ms: float) -> bool:
        """Whether to end it with an error."""
        return self._strikes(self._options.error_after_ms, at_ms)

    def drop(self, at_ms: float) -> bool:
        """Whether to cut the connection."""
        return self._strikes(self._options.fail_after_ms, at_ms)

    def stall(self, at_ms: float) -> bool:
        """Whether to say nothing any more."""
        return self._strikes(self._options.stall_after_ms, at_ms)

    def _strikes(self, after_ms: float | None, at_ms: float) -> bool:
        if after_ms is None or at_ms < after_ms or not self._options.is_faulty(self._number):
            return False
        self._stats.faults += 1
        return True
