"""When the faults of one synthesis strike: by how much of its audio is out, as the options say by then.

Whoever sends the audio says how its door garbles, cuts and stalls; here is whether it is time, in which order, and
that it was counted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from bridge.emulators.lightning_options import EmulatorOptions, EmulatorStats


class InducedError(Exception):
    """A synthesis is to end with an error, on purpose."""


class Faults:
    """The faults of the synthesis `number`. `at_ms` is where the audio that is about to go out begins."""

    def __init__(self, options: EmulatorOptions, stats: EmulatorStats, number: int) -> None:
        self._options, self._stats, self._number = options, stats, number
        self._garbled = False

    async def suffer(
        self,
        at_ms: float,
        *,
        garble: Callable[[], Awaitable[None]],
        cut: Callable[[], None],
        stall: Callable[[], Awaitable[object]],
    ) -> None:
        """Have every fault strike whose time has come.

        Args:
            garble: sends a message that cannot be read. Called once.
            cut: cuts the connection.
            stall: says nothing, until nobody waits for more.

        Raises:
            InducedError: it is to end with an error.
            ConnectionError: the connection was cut, or the client is gone.
        """
        options = self._options
        if not self._garbled and self._strikes(options.garble_after_ms, at_ms):
            self._garbled = True
            await garble()
        if self.err(at_ms):
            raise InducedError
        if self._strikes(options.fail_after_ms, at_ms):
            cut()
            raise ConnectionAbortedError("dropped on purpose")
        if self._strikes(options.stall_after_ms, at_ms):
            await stall()

    def err(self, at_ms: float) -> bool:
        """Whether to end it with an error, for who must know before anything of it is out."""
        return self._strikes(self._options.error_after_ms, at_ms)

    def _strikes(self, after_ms: float | None, at_ms: float) -> bool:
        if after_ms is None or at_ms < after_ms or not self._options.is_faulty(self._number):
            return False
        self._stats.faults += 1
        return True
