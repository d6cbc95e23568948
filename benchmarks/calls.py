"""How many calls does one core carry, and how well: the figures of README.md.

    python -m benchmarks.calls             N = 1, 25, 100, 300, 500, then memory over 500 short calls
    python -m benchmarks.calls --peers     Pipecat too, in the same run, so that every claim is a ratio
    python -m benchmarks.calls --carrier telnyx,plivo    what other carriers' calls cost, beside Twilio's
    python -m benchmarks.calls --quick     a smoke run: exit 1 on stale or lost audio or a crash, whatever the timing

One server process is pinned to core 0; the callers and a mock of Lightning share one process on core 1. What is
measured, and how, is in benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

import uvloop

from benchmarks import sound
from benchmarks.contenders import (
    BRIDGE,
    CREDENTIALS,
    FLOOR,
    PEERS_PYTHON,
    PIPECAT,
    ROOT,
    Contender,
    bridge_called_by,
    serving,
)
from benchmarks.process import SpeedProbe, pin
from benchmarks.report import Figures, figures, is_sound, markdown
from benchmarks.scenario import QUICK, Meter, Timings, observe, short_calls

SPEECH = ROOT / ".cache" / "speech"
SERVER_CORE, OWN_CORE = 0, 1
#: Finished calls of the memory run, and how many at a time: a peer that carries 25 calls is given 10.
SHORT_CALLS = {BRIDGE: (500, 50), PIPECAT: (100, 10)}


@dataclass
class Results:
    """What a run has measured so far."""

    rows: list[Figures] = field(default_factory=list)
    resident_mb: dict[str, list[float]] = field(default_factory=dict)  # after each batch of short calls
    crashes: list[str] = field(default_factory=list)


def main() -> int:
    """Run what the command line asks for; the exit status."""
    options = _options()
    pin(OWN_CORE)
    gc.disable()  # a collection over 500 lines would be a pause that looks like the server's
    results = Results()
    with ExitStack() as stack:
        logs = options.log_dir or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        logs.mkdir(parents=True, exist_ok=True)
        uvloop.run(_run(options, results, logs))
    print("\n".join(_summary(results)))
    if options.json:
        options.json.write_text(json.dumps(_document(results), indent=1) + "\n")
    return 1 if results.crashes or (options.quick and not all(map(is_sound, results.rows))) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.calls", description="How many calls one core carries."
    )
    parser.add_argument("--calls", type=_numbers, help="N of the bridge's rows, by default 1,25,100,300,500")
    parser.add_argument("--peers", action="store_true", help="measure Pipecat too (needs .venv-peers)")
    parser.add_argument("--peer-calls", type=_numbers, default=[1, 10, 20, 25], help="N of the peer's rows")
    parser.add_argument(
        "--floor",
        type=int,
        metavar="N",
        help="calls of the bare paced sender that the others are compared with (100; 0 leaves it out)",
    )
    parser.add_argument(
        "--carrier",
        type=lambda text: text.split(","),
        default=[],
        metavar="NAME,...",
        help=f"call by these carriers' emulators instead: {', '.join(CREDENTIALS)}",
    )
    parser.add_argument("--no-bridge", action="store_true", help="measure the peer alone")
    parser.add_argument("--no-memory", action="store_true", help="leave out the run of short calls")
    parser.add_argument(
        "--quick", action="store_true", help="smoke run: N = 1, 5, about three seconds a phase"
    )
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--log-dir", type=Path, help="keep the servers' output there")
    options = parser.parse_args()
    if options.floor is None:
        options.floor = 0 if options.quick else 100
    if options.calls is None:
        options.calls = [1, 5] if options.quick else [50] if options.carrier else [1, 25, 100, 300, 500]
    if strangers := set(options.carrier) - set(CREDENTIALS):
        parser.error(f"no emulator of {', '.join(sorted(strangers))}")
    if options.peers and not PEERS_PYTHON.exists():
        parser.error(f"{PEERS_PYTHON.relative_to(ROOT)} is missing: benchmarks/README.md says how to make it")
    return options


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


async def _run(options: argparse.Namespace, results: Results, logs: Path) -> None:
    clips = sound.load_clips(SPEECH) if SPEECH.exists() else []
    if not clips:
        print("no human voices in .cache/speech: speech to clear is not measured", file=sys.stderr)
    bench = Bench(sound.comfort_noise(500), clips, QUICK if options.quick else Timings(), logs, results)
    with_memory = not (options.no_memory or options.quick)
    if options.floor:
        await bench.row(FLOOR, options.floor)
    if options.carrier:
        for carrier in options.carrier:
            for calls in options.calls:
                await bench.row(bridge_called_by(carrier), calls)
        return
    for contender, rows in ((BRIDGE, options.calls), (PIPECAT, options.peer_calls)):
        if contender is BRIDGE and options.no_bridge or contender is PIPECAT and not options.peers:
            continue
        for calls in rows:
            await bench.row(contender, calls)
        if with_memory:
            await bench.memory(contender)


@dataclass(frozen=True)
class Bench:
    """What every row is made with, and where it goes."""

    noise: Sequence[bytes]
    clips: Sequence[sound.Clip]
    timings: Timings
    logs: Path
    results: Results

    async def row(self, contender: Contender, calls: int) -> None:
        """Measure `contender` with `calls` calls."""
        log = self.logs / f"{contender.name}-{calls}.log"
        try:
            async with serving(contender, calls, self.noise, core=SERVER_CORE, log=log) as stage:
                clips = [] if contender is FLOOR else self.clips  # it does not listen
                with SpeedProbe(SERVER_CORE, cwd=ROOT, log=self.logs / "probe.log") as probe:
                    meter = Meter(stage.server, stage.load, probe, (SERVER_CORE, OWN_CORE))
                    seen = await observe(
                        stage.server, stage.load, stage.door, calls, clips, self.timings, meter
                    )
                self.results.rows.append(figures(contender.name, calls, seen, stage.lightning.syntheses))
                if not stage.server.alive:
                    raise ChildProcessError(log.read_text(errors="replace")[-2000:])
        except (ChildProcessError, TimeoutError) as error:
            self.results.crashes.append(f"{contender.name} at N={calls}: {error}")
        else:
            print(markdown(self.results.rows[-1:]).splitlines()[-1], file=sys.stderr, flush=True)

    async def memory(self, contender: Contender) -> None:
        """Measure what finished calls leave behind."""
        count, at_once = SHORT_CALLS[contender]
        log = self.logs / f"{contender.name}-memory.log"
        try:
            async with serving(contender, at_once, self.noise, core=SERVER_CORE, log=log) as stage:
                resident = await short_calls(stage.server, stage.load, stage.door, count, at_once=at_once)
        except (OSError, TimeoutError) as error:
            self.results.crashes.append(f"{contender.name}, short calls: {type(error).__name__}: {error}")
        else:
            self.results.resident_mb[contender.name] = resident


def _summary(results: Results) -> list[str]:
    out = [_machine(), "", markdown(results.rows)]
    for name, resident in results.resident_mb.items():
        at_once = SHORT_CALLS[BRIDGE if name == BRIDGE.name else PIPECAT][1]
        figures_mb = ", ".join(f"{mb:.1f}" for mb in resident)
        out += [
            "",
            f"{name}: MB resident after each {at_once} finished calls (the first warm up): {figures_mb}",
        ]
    return out + [f"\nCRASHED: {crash}" for crash in results.crashes]


def _document(results: Results) -> dict[str, object]:
    return {"machine": _machine(), **asdict(results)}


def _machine() -> str:
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
