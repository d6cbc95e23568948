"""What a row of the table is made of: N calls through listening, speaking, being interrupted, hanging up.

Strategy:

- The same scenario for the bridge and for a peer; only the server differs.
- CPU is read in the two steady phases, in which nobody interrupts; interruptions have phases of their own, in
  which calls are interrupted one by one, at random moments in the middle of an utterance.
- Every wait is bounded: a server that stops answering costs a phase its samples, not the run its end.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.line import Line
from benchmarks.load import Door, Load
from benchmarks.process import Server, SpeedProbe, core_busy_s, cpu_s
from benchmarks.sound import Clip

#: An interruption must have this much of the utterance left to interrupt.
REST_MS = 2000.0
#: A voice that brought no `clear` in this time was missed.
MISSED_AFTER_S = 2.5


@dataclass(frozen=True)
class Timings:
    """Lengths of the phases, in seconds."""

    settle: float = 2.0
    listening: float = 6.0
    starting: float = 6.0
    speaking: float = 12.0
    digits: float = 10.0
    speech: float = 14.0
    opening_per_second: float = 100.0


QUICK = Timings(settle=0.5, listening=1, starting=1, speaking=3, digits=3, speech=3)


@dataclass(frozen=True)
class Usage:
    """What a stretch of time cost the server, and ourselves. Fractions of one core."""

    seconds: float
    server: float
    generator: float
    others_beside_server: float  # what else ran on its core
    others_beside_generator: float
    generator_late_ms: Sequence[float]
    pass_ns: float  # speed of the server's core: one pass of an empty loop


@dataclass
class Observation:
    """All that a row is computed from."""

    lines: list[Line]
    idle_mb: float = 0.0
    listening: Usage | None = None
    speaking: Usage | None = None
    speaking_from: float = 0.0
    speaking_until: float = 0.0
    full_mb: float = 0.0
    after_mb: float = 0.0
    failure: str = ""
    false_alarms: int = 0


class Meter:
    """Reads a server's and our own use of the cores over a stretch of time.

    Args:
        cores: the server's, and ours.
    """

    def __init__(self, server: Server, load: Load, probe: SpeedProbe, cores: tuple[int, int]) -> None:
        self._server, self._load, self._probe, self._cores = server, load, probe, cores

    async def over(self, seconds: float) -> Usage:
        """What the next `seconds` cost."""
        begun, first = self._read(), len(self._load.lateness_s)
        await asyncio.sleep(seconds)
        ended = self._read()
        took, *used = (after - before for after, before in zip(ended, begun, strict=True))
        server, own, server_core, own_core = (busy / took for busy in used)
        late_ms = [late * 1000 for late in self._load.lateness_s[first:]]
        speed = self._probe.pass_ns(begun[0], ended[0])
        return Usage(took, server, own, server_core - server, own_core - own, late_ms, speed)

    def _read(self) -> tuple[float, ...]:
        used = cpu_s(self._server.pid), cpu_s(os.getpid())
        return time.monotonic(), *used, *(core_busy_s(core) for core in self._cores)


async def observe(
    server: Server, load: Load, door: Door, calls: int, clips: Sequence[Clip], timings: Timings, meter: Meter
) -> Observation:
    """Run the phases with `calls` calls. A failure ends them early and is told in the observation."""
    seen = Observation([])
    try:
        await _warm_up(load, door)
        seen.idle_mb = server.resident_mb()
        seen.lines = await load.open(door, calls, per_second=timings.opening_per_second)
        await _steady_phases(seen, meter, server, clips, timings)
        await _interruptions(seen.lines, timings.digits, lambda line: line.press("5"))
        if clips:
            await _interruptions(seen.lines, timings.speech, lambda line: line.speak(random.choice(clips)))
        seen.full_mb = max(seen.full_mb, server.resident_mb())
        await load.close(seen.lines)
        await asyncio.sleep(timings.settle)
        seen.after_mb = server.resident_mb()
    except (ConnectionError, OSError, TimeoutError) as error:
        seen.failure = f"{type(error).__name__}: {error}"
    return seen


async def short_calls(
    server: Server, load: Load, door: Door, count: int, *, at_once: int = 50, lasting_s: float = 2.0
) -> list[float]:
    """Resident MB after each batch of short calls. The first batch is the warm-up; `count` calls follow it."""
    resident = []
    for _ in range(1 + -(-count // at_once)):
        lines = await load.open(door, at_once, per_second=200)
        for line in lines:
            line.press("1", to_interrupt=False)
        await asyncio.sleep(lasting_s)
        await load.close(lines)
        await asyncio.sleep(0.3)
        resident.append(server.resident_mb())
    return resident


async def _warm_up(load: Load, door: Door) -> None:
    """A few calls, so that what is made once per process is not booked to the calls of the row."""
    lines = await load.open(door, 3, per_second=10)
    for line in lines:
        line.press("1", to_interrupt=False)
    await asyncio.sleep(1.0)
    await load.close(lines)
    await asyncio.sleep(0.5)


async def _steady_phases(
    seen: Observation, meter: Meter, server: Server, clips: Sequence[Clip], timings: Timings
) -> None:
    await asyncio.sleep(timings.settle)
    talk = asyncio.create_task(_keep_talking(seen.lines, clips, timings.listening)) if clips else None
    seen.listening = await meter.over(timings.listening)
    if talk:
        await talk
        await asyncio.sleep(1.5)  # the last clips end
    await _one_by_one(seen.lines, timings.starting, lambda line: line.press("1", to_interrupt=False))
    await asyncio.sleep(timings.settle)
    alarms = sum(line.unasked_clears for line in seen.lines)
    seen.speaking_from = time.monotonic()
    seen.speaking = await meter.over(timings.speaking)
    seen.speaking_until = time.monotonic()
    seen.false_alarms = sum(line.unasked_clears for line in seen.lines) - alarms
    seen.full_mb = server.resident_mb()


async def _keep_talking(lines: Sequence[Line], clips: Sequence[Clip], seconds: float) -> None:
    """Callers who talk half of the time, while the bridge listens."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        await _one_by_one(
            lines, min(2.4, seconds), lambda line: line.speak(random.choice(clips), to_interrupt=False)
        )


async def _one_by_one(lines: Sequence[Line], seconds: float, act: Callable[[Line], None]) -> None:
    """Let each line do `act`, spread evenly over `seconds`."""
    begun = time.monotonic()
    for n, line in enumerate(lines):
        await asyncio.sleep(max(0.0, begun + n * seconds / len(lines) - time.monotonic()))
        if not line.is_over:
            act(line)
    await asyncio.sleep(max(0.0, begun + seconds - time.monotonic()))


async def _interruptions(lines: Sequence[Line], seconds: float, provoke: Callable[[Line], None]) -> None:
    """Interrupt every line about every five seconds, at random, when it is in the middle of an utterance."""
    until = time.monotonic() + seconds
    due = {line: time.monotonic() + random.uniform(0, min(4.0, seconds / 2)) for line in lines}
    while (now := time.monotonic()) < until:
        for line in lines:
            waiting = line.pending
            if waiting and now - waiting.at > MISSED_AFTER_S:
                line.give_up_pending()
            if now >= due[line] and not line.is_over and line.is_hearing(now, at_least_ms=REST_MS):
                provoke(line)
                due[line] = now + random.uniform(4.0, 6.0)
        await asyncio.sleep(0.02)
    await asyncio.sleep(min(MISSED_AFTER_S, seconds))
    for line in lines:
        line.give_up_pending()
