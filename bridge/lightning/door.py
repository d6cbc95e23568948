"""What every door is: an entry's settings, its account's units, and the syntheses that are on their way.

A door of its own adds how it gets ready, how it closes, and what a synthesis through it is.
"""

from __future__ import annotations

from typing import Self

from bridge.config import LightningConfig
from bridge.errors import LightningError, client_closed
from bridge.lightning.limits import Units
from bridge.lightning.messages import SynthesisRequest
from bridge.lightning.speech import PartSink, Synthesis
from bridge.lightning.stats import LightningStats


class Door:
    """The beginnings of a `Synthesizer`. One for a process and entry of the configuration.

    Args:
        config: address, key, deadlines, spares, concurrency.
        stats: where to count; shared by the doors of a process.
        units: the account's concurrency; shared by the doors of an account.
    """

    def __init__(
        self, config: LightningConfig, *, stats: LightningStats | None = None, units: Units | None = None
    ) -> None:
        self.config = config
        self._stats = stats or LightningStats()
        self.units = units or Units(config.concurrency, self._stats)
        self._active: set[Synthesis] = set()
        self._last_error: LightningError | None = None

    @property
    def stats(self) -> LightningStats:
        """Where everything that goes other than well is counted."""
        return self._stats

    @property
    def last_error(self) -> LightningError | None:
        """Why it cannot be reached; None when it could be, the last time it was tried."""
        return self._last_error

    async def start(self) -> None:
        """Get ready in the background. Does not wait, and does not fail."""

    async def close(self) -> None:
        """What is being synthesised, or waits for it, fails."""
        for synthesis in list(self._active):
            synthesis.finish(client_closed())

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    def synthesize(
        self, request: SynthesisRequest, into: PartSink | None = None, *, wait_s: float | None = None
    ) -> Synthesis:
        """Ask for `request`. Returns at once; whatever goes wrong is told by the synthesis."""
        synthesis = self._synthesis(request, into, wait_s)
        self._active.add(synthesis)
        return synthesis

    def _synthesis(self, request: SynthesisRequest, into: PartSink | None, wait_s: float | None) -> Synthesis:
        """What a door adds."""
        raise NotImplementedError

    def forget(self, synthesis: Synthesis) -> None:
        """It is over."""
        self._active.discard(synthesis)
