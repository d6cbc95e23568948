"""An emulated Lightning that notes when its units of concurrency are in use.

    python -m benchmarks.metered_lightning CONCURRENCY FIRST_BYTE_MS REALTIME_FACTOR CORE

Prints its address; when its input ends, what it has seen, as JSON of `Seen`, and is over.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

from benchmarks.process import pin
from bridge.emulators.lightning import EmulatedLightning
from bridge.emulators.lightning_options import EmulatorOptions, EmulatorStats


@dataclass(frozen=True)
class Seen:
    """What the emulator saw.

    Attributes:
        busy_percent: of all units, from the first synthesis to the end of the last.
        busy_while_asked_percent: the same until the last synthesis began: then nothing was left to ask for.
    """

    completed: int
    refused: int
    seconds: float
    busy_percent: float
    busy_while_asked_percent: float


class MeteredStats(EmulatorStats):
    """Remembers each change of `active`."""

    def __init__(self) -> None:
        self.changes: list[tuple[float, int]] = []
        super().__init__()
        self.changes.clear()

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name == "active" and isinstance(value, int):
            self.changes.append((time.monotonic(), value))


def seen(stats: MeteredStats, units: int) -> Seen:
    """What came of it."""
    changes = stats.changes
    last_began = max(
        (n for n, (one, two) in enumerate(pairwise([(0.0, 0), *changes])) if two[1] > one[1]), default=0
    )
    return Seen(
        completed=stats.completed,
        refused=stats.over_concurrency,
        seconds=changes[-1][0] - changes[0][0] if changes else 0.0,
        busy_percent=busy_percent(changes, units),
        busy_while_asked_percent=busy_percent(changes[: last_began + 1], units),
    )


def busy_percent(changes: Sequence[tuple[float, int]], units: int) -> float:
    """The share of `units` that was in use from the first of `changes` (when, how many from then on) to the last."""
    if len(changes) < 2:
        return 0.0
    used_s = sum((later - at) * active for (at, active), (later, _) in pairwise(changes))
    return 100 * used_s / ((changes[-1][0] - changes[0][0]) * units)


async def main(units: int, first_byte_ms: float, factor: float, core: int) -> None:
    """Serve until the input ends."""
    pin(core)
    stats = MeteredStats()
    options = EmulatorOptions(concurrency=units, first_byte_ms=first_byte_ms, realtime_factor=factor)
    async with EmulatedLightning(options, stats=stats) as emulator:
        print(emulator.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        print(json.dumps(asdict(seen(stats, units))), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
