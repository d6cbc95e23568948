"""How fast a core is while something else is measured on it. Run by `benchmarks.process`, pinned to that core.

Every 200 ms it makes 20 000 empty passes of a loop and writes when (monotonic seconds), and how many nanoseconds of
its own CPU time a pass took. Being preempted does not count; a slower clock, and a stranger on the other half of the
physical core, do. It takes a third of a per cent of the core.
"""

from __future__ import annotations

import sys
import time

PASSES = 20_000
EVERY_S = 0.2


def main() -> None:
    """Probe until killed, or until nobody reads."""
    while True:
        time.sleep(EVERY_S)
        begun = time.thread_time_ns()
        for _ in range(PASSES):
            pass
        took_ns = time.thread_time_ns() - begun
        sys.stdout.write(f"{time.monotonic():.3f} {took_ns / PASSES:.3f}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
