"""What the bridge adds to the wait for an answer, and what is left of an answer that is interrupted.

    python -m benchmarks.agents             50 calls, 60 s; then interruptions at every phase of a turn
    python -m benchmarks.agents --check     a few calls: exit 1 on stale audio or a lost turn, whatever the timing

- **Added.** One bridge on core 0 runs `bridge.agents.llm:agent`; on core 1 are simulated Twilio lines, and, in a
  process of their own, emulated Pulse, language model and Lightning with fixed delays (`agent_engines`). A caller says
  something and waits for the answer. From the last packet of the voice to the first packet of the answer, less the
  patience that is configured, less Lightning's delay: transcript and tokens come while patience runs. What is left is
  the bridge: detector, turn, sockets, playout. Bar: median 30 ms.
- **Interrupted.** The caller goes on at a phase of the turn: before the words are final, while the model thinks, just
  before and after the first audio, in the middle, at the end. After a `clear`, nothing of an older answer may come.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gc
import json
import random
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path
from typing import Any, cast

import numpy as np
import uvloop

from benchmarks import sound
from benchmarks.agent_engines import (
    ANSWER_MS,
    FIRST_BYTE_MS,
    FIRST_TOKEN_MS,
    PULSE_FINAL_MS,
    Engines,
    identity_of,
)
from benchmarks.contenders import BRIDGE, ROOT, Contender, Stage, serving
from benchmarks.line import Line
from benchmarks.process import SpeedProbe, pin
from benchmarks.report import percentile
from benchmarks.scenario import Meter
from bridge.media.vad import SpeechDetector
from telephony_codecs.g711 import mulaw_decode, mulaw_encode

BRIDGE_CORE, OTHER_CORE = 0, 1
MEDIAN_BAR_MS = 30.0
PATIENCE_MS, FINALIZE_AFTER_MS = 600.0, 200.0
#: A turn that brought no answer in this time was lost.
LOST_AFTER_S = 5.0
#: Questions after which a voice may come again: fewer than there are voices.
RECENT = 8
#: The voices that end so near to their loudest are cut off in the middle of a sound: then the end of speech is one.
ENDS_WITHIN_DB = 12.0
#: Of the detector, that it is speech.
SURE = 0.9
SPEECH = ROOT / ".cache" / "speech"
#: When the caller goes on, in ms after the end of what was said before; the last ones are counted from there as well.
PHASES_MS: Mapping[str, Sequence[float]] = {
    "before the words": (60, 140, 220),
    "thinking": (300, 400, 500, 580),
    "before the first audio": (640, 700, 740),
    "the first audio": (760, 780, 800, 840),
    "in the middle": (1200, 2000),
    "at the end": (PATIENCE_MS + FIRST_BYTE_MS + ANSWER_MS - 400, PATIENCE_MS + FIRST_BYTE_MS + ANSWER_MS - 100),
}  # fmt: skip
_CONFIG = """
[lightning]
voice_id = "magnus"
language = "en"
[pulse]
base_url = "{pulse}"
[turns]
patience_ms = {patience}
finalize_after_ms = {finalize}
[agent]
entrypoint = "bridge.agents.llm:agent"
[agent.options]
base_url = "{llm}"
api_key = "benchmark"
greeting = ""
idle_s = 600.0
"""


class Caller(Line):
    """One call, whose caller asks and listens."""

    def __init__(self, *line: Any) -> None:
        super().__init__(*line)
        #: When each answer was first heard, by its sound.
        self.first_at: dict[int, float] = {}
        self._asked: list[int] = []
        self._stopped: asyncio.Event = asyncio.Event()
        self._news: asyncio.Event = asyncio.Event()

    async def ask(self, question: int, clip: sound.Clip) -> float:
        """Say something; not what was said a moment ago. Returns when the last of it went out."""
        identity = identity_of(question)
        self._stale.discard(identity)
        self.first_at.pop(identity, None)
        self._asked.append(identity)
        self._stopped.clear()
        self.speak(clip, to_interrupt=False)
        await self._stopped.wait()
        return time.monotonic()

    async def answer(self, question: int, since: float) -> float | None:
        """Seconds from `since` to the first packet of the answer; None: there was none."""
        try:
            async with asyncio.timeout(LOST_AFTER_S):
                while identity_of(question) not in self.first_at:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return None
        return self.first_at[identity_of(question)] - since

    def tick(self) -> None:
        """Send the next 20 ms."""
        spoke = bool(self._speech)
        super().tick()
        if spoke and not self._speech:
            self._stopped.set()

    def _audio(self, identity: int, size: int, now: float) -> None:
        self._play_until = max(self._play_until, now) + size / sound.BYTES_PER_MS / 1000
        if identity == sound.SILENCE_ID:
            return
        if identity in self._stale:
            self.stale_bytes += size
            return
        if identity not in self.first_at:
            self.first_at[identity] = now
            self._news.set()

    def _cleared(self, now: float) -> None:
        super()._cleared(now)
        self._stale.update(self._asked[:-1][-RECENT:])  # of what is being asked, nothing can have come


@dataclass
class Waits:
    """What came of the questions of a row."""

    added_ms: list[float] = field(default_factory=list)
    lost: int = 0
    stale_bytes: int = 0

    @property
    def is_sound(self) -> bool:
        """Whether nothing went wrong that timing cannot excuse."""
        return bool(self.added_ms) and not (self.lost or self.stale_bytes)


async def conversations(lines: Sequence[Caller], clips: Sequence[sound.Clip], seconds: float) -> Waits:
    """Have everybody ask, listen to some of the answer, and ask again, for so long."""
    waits = Waits()
    expected_ms = max(PATIENCE_MS, FINALIZE_AFTER_MS + PULSE_FINAL_MS + FIRST_TOKEN_MS) + FIRST_BYTE_MS

    async def converse(line: Caller) -> None:
        dice, numbers = random.Random(line.number), cycle(range(len(clips)))
        until = time.monotonic() + seconds
        await asyncio.sleep(dice.uniform(0.5, 4.0))
        while time.monotonic() < until and not line.is_over:
            question = next(numbers)
            since = await line.ask(question, clips[question])
            after_s = await line.answer(question, since)
            if after_s is None:
                waits.lost += 1
            else:
                waits.added_ms.append(after_s * 1000 - expected_ms)
            await asyncio.sleep(ANSWER_MS / 1000 + dice.uniform(0.3, 1.0))

    await asyncio.gather(*map(converse, lines))
    waits.stale_bytes = sum(line.stale_bytes for line in lines)
    return waits


async def interruptions(
    lines: Sequence[Caller], clips: Sequence[sound.Clip], rounds: int
) -> dict[str, Waits]:
    """Have everybody go on at every phase of a turn; what was heard of the older answer after a clear is stale."""
    outcome = {phase: Waits() for phase in PHASES_MS}
    moments = [(phase, at_ms) for phase, times in PHASES_MS.items() for at_ms in times] * rounds

    async def converse(line: Caller) -> None:
        dice, numbers = random.Random(line.number), cycle(range(len(clips)))
        for phase, at_ms in dice.sample(moments, len(moments)):
            stale_before = line.stale_bytes
            question = next(numbers)
            since = await line.ask(question, clips[question])
            await asyncio.sleep(max(0.0, since + at_ms / 1000 - time.monotonic()))
            question = next(numbers)
            since = await line.ask(question, clips[question])
            after_s = await line.answer(question, since)
            await asyncio.sleep(ANSWER_MS / 1000 + 0.4)
            waits = outcome[phase]
            waits.stale_bytes += line.stale_bytes - stale_before
            if after_s is None:
                waits.lost += 1
            else:
                waits.added_ms.append(after_s * 1000)

    await asyncio.gather(*map(converse, lines))
    return outcome


# -- the stage ---------------------------------------------------------------------------------------------------------


def contender(folder: Path, engines: Engines) -> Contender:
    """The bridge with the agent."""
    config = folder / "bridge.toml"
    config.write_text(
        _CONFIG.format(
            pulse=engines.pulse, llm=engines.llm, patience=int(PATIENCE_MS), finalize=int(FINALIZE_AFTER_MS)
        )
    )

    def environ(port: int, lightning_port: int, calls: int) -> Mapping[str, str]:
        return {
            **BRIDGE.environ(port, lightning_port, calls),
            "BRIDGE_LIGHTNING__BASE_URL": engines.lightning,
        }

    command = (sys.executable, "-m", "bridge.cli.main", "serve", "--config", str(config))
    return replace(BRIDGE, name="agents", command=lambda _port, _lightning: command, environ=environ)


@asynccontextmanager
async def engines_on(core: int, calls: int, voices: Path) -> AsyncIterator[Engines]:
    """The engines, in a process of their own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.agent_engines", str(core), str(calls), str(voices),
        cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield Engines(**json.loads(await process.stdout.readline()))
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def voices() -> list[sound.Clip]:
    """Human voices that break off in the middle of a sound, on a line so quiet that nothing takes it for sound."""
    clips = [clip for clip in sound.load_clips(SPEECH, count=400) if _breaks_off(clip)]
    return [clip for clip in clips[:40] if _is_speech(clip)]


def _is_speech(clip: sound.Clip) -> bool:
    """Whether the detector is sure of its last sound: among the recordings are monkeys."""
    detector = SpeechDetector()
    ear = detector.open()
    last = 0.0
    for packet in clip.packets:
        ear.push(base64.b64decode(packet))
        for window in detector.run(1):
            last = window.probability
    return last > SURE


def _breaks_off(clip: sound.Clip) -> bool:
    levels = [_level_db(packet) for packet in clip.packets]
    return min(levels[-2:]) >= float(np.percentile(levels, 95)) - ENDS_WITHIN_DB


def _level_db(packet: bytes) -> float:
    pcm = np.frombuffer(mulaw_decode(base64.b64decode(packet)), "<i2").astype(float)
    return float(10 * np.log10((pcm**2).mean() + 1e-9))


def quiet_line(packets: int) -> list[bytes]:
    """Noise at -60 dBFS, base64."""
    pcm = np.random.default_rng(7).normal(0, 33, packets * 160).astype("<i2").tobytes()
    coded = mulaw_encode(pcm)
    return [base64.b64encode(coded[at : at + 160]) for at in range(0, len(coded), 160)]


async def measure(calls: int, seconds: float, rounds: int, folder: Path) -> bool:
    """Both halves, each unless it is 0; whether nothing went wrong that timing cannot excuse."""
    clips = voices()
    if len(clips) <= RECENT:
        print("no human voices in .cache/speech: see benchmarks/README.md", file=sys.stderr)
        return False
    known, log = folder / "voices.json", folder / "bridge.log"
    known.write_text(json.dumps([[packet.decode() for packet in clip.packets] for clip in clips]))
    is_sound = True
    async with engines_on(OTHER_CORE, calls, known) as engines:
        bridge = contender(folder, engines)
        served = serving(bridge, calls, quiet_line(500), core=BRIDGE_CORE, log=log, line_type=Caller)
        async with served as stage:
            if seconds:
                await _conversations(stage, calls, clips, 3.0, folder, tell=False)
                waits = await _conversations(stage, calls, clips, seconds, folder, tell=True)
                is_sound &= waits.is_sound
                _tell_log(log)
            if rounds:
                lines = await stage.load.open(stage.door, min(calls, 10), per_second=50)
                by_phase = await interruptions(cast(list[Caller], lines), clips, rounds)
                await stage.load.close(lines)
                is_sound &= all(waits.is_sound for waits in by_phase.values())
                _tell_interruptions(by_phase)
    return is_sound


async def _conversations(
    stage: Stage, calls: int, clips: Sequence[sound.Clip], seconds: float, folder: Path, *, tell: bool
) -> Waits:
    lines = await stage.load.open(stage.door, calls if tell else min(calls, 5), per_second=50)
    with SpeedProbe(BRIDGE_CORE, cwd=ROOT, log=folder / "probe.log") as probe:
        meter = Meter(stage.server, stage.load, probe, (BRIDGE_CORE, OTHER_CORE))
        usage, waits = await asyncio.gather(
            meter.over(seconds), conversations(cast(list[Caller], lines), clips, seconds)
        )
    await stage.load.close(lines)
    if tell:
        _tell(calls, waits)
        print(
            f"  bridge {100 * usage.server:.0f} % of its core, others"
            f" {100 * usage.others_beside_server:.0f} %; generator late p99"
            f" {percentile(usage.generator_late_ms, 99):.1f} ms; pass {usage.pass_ns:.1f} ns"
        )
    return waits


def _tell(calls: int, waits: Waits) -> None:
    marks = "   ".join(f"p{p} {percentile(waits.added_ms, p):6.1f}" for p in (5, 25, 50, 75, 90, 99))
    held = "held" if percentile(waits.added_ms, 50) < MEDIAN_BAR_MS else "NOT HELD"
    print(f"From the end of speech to the first packet of the answer, {calls} calls: what the bridge adds")
    print(f"  {len(waits.added_ms)} turns   {marks} ms")
    print(
        f"  bar (median {MEDIAN_BAR_MS:g} ms): {held}; turns lost {waits.lost}, stale bytes {waits.stale_bytes}"
    )


def _tell_log(log: Path) -> None:
    """The same by the bridge's own clock: what its log says of the turns."""
    found = re.findall(
        r"transcript (\d+), token (\d+), audio (\d+), audible (\d+) ms$", log.read_text(), re.M
    )
    if found:
        medians = [percentile([float(row[part]) for row in found], 50) for part in range(4)]
        told = zip(("transcript", "token", "audio", "audible"), medians, strict=True)
        print(f"  by its own log, median: {', '.join(f'{name} {ms:.0f}' for name, ms in told)} ms")


def _tell_interruptions(by_phase: Mapping[str, Waits]) -> None:
    print("Interrupted: audio of the older answer after a clear")
    for phase, waits in by_phase.items():
        count = len(waits.added_ms) + waits.lost
        print(f"  {phase:24} {count:4} times   stale bytes {waits.stale_bytes}, turns lost {waits.lost}")


def main() -> int:
    """Measure what the command line asks for; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.agents", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--calls", type=int, help="calls at once (50)")
    parser.add_argument("--seconds", type=float, help="for how long they talk (60)")
    parser.add_argument(
        "--rounds", type=int, default=1, help="how often each of ten callers interrupts at each moment"
    )
    parser.add_argument("--only", choices=("added", "interrupted"), help="one half")
    parser.add_argument("--check", action="store_true", help="a few of each: does it work at all")
    asked = parser.parse_args()
    calls = asked.calls or (3 if asked.check else 50)
    seconds = 0.0 if asked.only == "interrupted" else asked.seconds or (8.0 if asked.check else 60.0)
    rounds = 0 if asked.only == "added" else asked.rounds
    pin(OTHER_CORE)
    gc.disable()  # a collection over 50 lines would be a pause that looks like the bridge's
    with tempfile.TemporaryDirectory() as folder:
        is_sound = uvloop.run(measure(calls, seconds, rounds, Path(folder)))
    return 0 if is_sound else 1


if __name__ == "__main__":
    sys.exit(main())
