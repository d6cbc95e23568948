"""What a phone menu takes: from a key to the next prompt, and prompts rendered ahead.

    python -m benchmarks.ivr             100 calls; 500 prompts at concurrency 1, 5 and 20
    python -m benchmarks.ivr --check     a few calls and prompts: exit 1 if anything is lost, whatever the timing

- **Key to prompt.** One bridge on core 0, plays a flow whose prompts are in the cache; simulated Twilio lines on core 1
  press keys, half of them over the prompt that is on, half when it is over. Measured from writing the key's message to
  reading the first packet of the next prompt. Bars: median 5 ms, 99th percentile 25 ms.
- **Rendering.** `Renderer`, as `bridge prompts render` uses it, on core 0; an emulated Lightning on core 1 notes how
  many units are in use, over HTTP. It is three times faster than the real one, which makes every gap three times
  larger. Bar: 95 % of the units' time, from the first synthesis to the end of the last.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import uvloop

from benchmarks import sound
from benchmarks.contenders import ROOT, serving
from benchmarks.menu import WHENS, Answered, MenuLine, menu_of_the_bridge
from benchmarks.metered_lightning import Seen
from benchmarks.process import SpeedProbe, pin
from benchmarks.report import percentile
from benchmarks.scenario import Meter, Usage
from bridge.config import LightningConfig, Secret
from bridge.observe.stats import PromptStats
from bridge.prompts.cache import PromptCache
from bridge.prompts.renderer import Renderer
from bridge.prompts.template import Piece

BRIDGE_CORE, OTHER_CORE = 0, 1
MEDIAN_BAR_MS, P99_BAR_MS, BUSY_BAR_PERCENT = 5.0, 25.0, 95.0
#: Of the emulated Lightning: the real one has 150 ms and 3.3.
FIRST_BYTE_MS, REALTIME_FACTOR = 50.0, 10.0
_WORDS = "press one for the time of your next appointment or stay on the line and we will be with you"


# -- from a key to the next prompt -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Keys:
    """What came of the keys of a row."""

    keys: Sequence[Answered]
    stale_bytes: int
    foreign_bytes: int
    calls_lost: int

    @property
    def lost(self) -> int:
        """Keys that brought no prompt."""
        return sum(key.after_ms is None for key in self.keys)

    @property
    def is_sound(self) -> bool:
        """Whether nothing went wrong that timing cannot excuse."""
        return bool(self.keys) and not (
            self.lost or self.stale_bytes or self.foreign_bytes or self.calls_lost
        )

    def after_ms(self, *whens: str) -> list[float]:
        """Times of the keys that were answered."""
        return [key.after_ms for key in self.keys if key.after_ms is not None and key.when in whens]


async def key_to_prompt(calls: int, seconds: float, folder: Path) -> Keys:
    """Have `calls` callers go down the menu for so long, and say how that went."""
    noise, log = sound.comfort_noise(500), folder / "bridge.log"
    menu = menu_of_the_bridge(folder)
    async with serving(menu, calls, noise, core=BRIDGE_CORE, log=log, line_type=MenuLine) as stage:
        warm = await stage.load.open(stage.door, 3, per_second=10)
        await _go_down(warm, 3.0)
        await stage.load.close(warm)
        lines = await stage.load.open(stage.door, calls, per_second=100)
        with SpeedProbe(BRIDGE_CORE, cwd=ROOT, log=folder / "probe.log") as probe:
            meter = Meter(stage.server, stage.load, probe, (BRIDGE_CORE, OTHER_CORE))
            usage, _ = await asyncio.gather(meter.over(seconds), _go_down(lines, seconds))
        lost = sum(line.closed_code not in (None, 1000) for line in lines)
        await stage.load.close(lines)
    keys = Keys(
        [key for line in lines for key in cast(MenuLine, line).keys],
        sum(line.stale_bytes for line in lines),
        sum(line.foreign_bytes for line in lines),
        lost,
    )
    _tell_keys(calls, keys)
    _tell_usage(usage)
    return keys


async def _go_down(lines: Sequence[object], seconds: float) -> None:
    dice = [random.Random(n) for n in range(len(lines))]
    await asyncio.gather(
        *(cast(MenuLine, line).go_down(seconds, own) for line, own in zip(lines, dice, strict=True))
    )


def _tell_usage(usage: Usage) -> None:
    beside = [max(0.0, 100 * share) for share in (usage.others_beside_server, usage.others_beside_generator)]
    print(
        f"  bridge {100 * usage.server:.0f} % of its core, others {beside[0]:.0f} %; generator"
        f" {100 * usage.generator:.0f} % of its, others {beside[1]:.0f} %, late p99"
        f" {percentile(usage.generator_late_ms, 99):.1f} ms; pass {usage.pass_ns:.1f} ns"
    )


def _tell_keys(calls: int, keys: Keys) -> None:
    print(f"From a key to the first packet of the next cached prompt, {calls} calls")
    for name, whens in (("all", WHENS), *((when, (when,)) for when in WHENS)):
        times = keys.after_ms(*whens)
        marks = "   ".join(f"p{p} {percentile(times, p):6.2f}" for p in (5, 50, 95, 99, 100))
        print(f"  {name:16} {len(times):5} keys   {marks} ms")
    times = keys.after_ms(*WHENS)
    held = percentile(times, 50) < MEDIAN_BAR_MS and percentile(times, 99) < P99_BAR_MS
    print(
        f"  bars (median {MEDIAN_BAR_MS:g} ms, p99 {P99_BAR_MS:g} ms): {'held' if held else 'NOT HELD'}; keys lost"
        f" {keys.lost}, calls lost {keys.calls_lost}, stale bytes {keys.stale_bytes}, foreign {keys.foreign_bytes}"
    )


# -- rendering ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rendered:
    """A run of the renderer, and what Lightning saw of it."""

    units: int
    failures: int
    seen: Seen

    @property
    def is_sound(self) -> bool:
        """Whether all was rendered, once, and nothing was asked for in vain."""
        return not self.failures and not self.seen.refused


async def rendering(units: int, prompts: int, folder: Path) -> Rendered:
    """Render `prompts` with `units` of concurrency, and say how busy they were."""
    pieces = [Piece(text, {}) for text in texts(prompts)]
    async with _metered(units) as emulator:
        config = LightningConfig(base_url=emulator.url, api_key=Secret("any"), concurrency=units)
        cache = PromptCache(folder / f"cache-{units}", PromptStats())
        async with Renderer(config, cache, PromptStats()) as renderer:
            report = await renderer.render(pieces)
        rendered = Rendered(units, len(report.failures), await emulator.seen())
    told = rendered.seen
    held = "held" if told.busy_percent >= BUSY_BAR_PERCENT else "NOT HELD"
    print(
        f"  concurrency {units:3}: {told.completed} prompts in {told.seconds:6.1f} s, units busy"
        f" {told.busy_percent:5.1f} % ({told.busy_while_asked_percent:.1f} % until the last was asked for): {held};"
        f" refused {told.refused}, failed {rendered.failures}"
    )
    return rendered


def texts(count: int) -> list[str]:
    """Prompts of all lengths, from two words to a long sentence; no two are the same."""
    dice = random.Random(5)
    words = _WORDS.split()
    return [f"{' '.join(dice.choices(words, k=dice.randint(2, 24)))} {number}." for number in range(count)]


class _Emulator:
    """The metered Lightning, in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self._process, self.url = process, url

    async def seen(self) -> Seen:
        """Ends it."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        return Seen(**json.loads(await self._process.stdout.readline()))


@asynccontextmanager
async def _metered(units: int) -> AsyncIterator[_Emulator]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.metered_lightning",
        str(units), str(FIRST_BYTE_MS), str(REALTIME_FACTOR), str(OTHER_CORE),
        cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield _Emulator(process, (await process.stdout.readline()).decode().strip())
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def main() -> int:
    """Measure what the command line asks for; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ivr", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--calls", type=int, help="calls at once (100)")
    parser.add_argument("--seconds", type=float, help="for how long they press keys (60)")
    parser.add_argument("--prompts", type=int, help="prompts to render (500)")
    parser.add_argument("--units", type=lambda text: [int(part) for part in text.split(",")], help="1,5,20")
    parser.add_argument("--only", choices=("keys", "rendering"), help="one half")
    parser.add_argument("--check", action="store_true", help="a few of each: does it work at all")
    asked = parser.parse_args()
    calls, seconds = (
        asked.calls or (3 if asked.check else 100),
        asked.seconds or (6.0 if asked.check else 60.0),
    )
    prompts, units = (
        asked.prompts or (20 if asked.check else 500),
        asked.units or ([4] if asked.check else [1, 5, 20]),
    )
    sound_so_far = True
    with tempfile.TemporaryDirectory() as folder:
        if asked.only != "rendering":
            pin(OTHER_CORE)
            gc.disable()  # a collection over 100 lines would be a pause that looks like the bridge's
            sound_so_far = uvloop.run(key_to_prompt(calls, seconds, Path(folder))).is_sound
            gc.enable()
        if asked.only != "keys":
            pin(BRIDGE_CORE)
            print(f"Rendering {prompts} prompts over HTTP")
            for count in units:
                sound_so_far &= uvloop.run(rendering(count, prompts, Path(folder))).is_sound
    return 0 if sound_so_far else 1


if __name__ == "__main__":
    sys.exit(main())
