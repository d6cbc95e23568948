"""How soon a voice stops the bridge, what it misses, and what else stops it.

``python benchmarks/barge_in.py`` measures what is shipped, ``--choices`` compares it with what was not chosen.

Strategy:

- The code that runs in a call: mu-law packets of 20 ms into one `SpeechDetector`, its windows into a
  `BargeIn` for each line, with the defaults of the configuration. All lines of a table are calls at the
  same time.
- Human recordings (``tests/support/fetch_speech.py``), each table a fixed choice of them. Where the voice
  begins is read off the clean recording, before any level, noise or coding.
- The clock is the audio's: a commit comes with the packet that completes its window, plus the wait for the
  detector's next turn (0 to 10 ms, 5 on average, from a seeded generator). The network is not in it.
- The bridge talks all the while; that is when the gate is up and a commit means something.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "codecs")]

from bridge.media.barge_in import BargeIn, BargeInPolicy, Verdict  # noqa: E402
from bridge.media.silero import load_model  # noqa: E402
from bridge.media.vad import WINDOW_MS, SpeechDetector, VadStream  # noqa: E402
from telephony_codecs.pcm import SILENCE_DBFS  # noqa: E402
from tests.support import speech  # noqa: E402
from tests.support.fetch_speech import MORE_VOICES, SPEECH_FOLDER  # noqa: E402
from tests.support.speech import RATE_HZ, Signal  # noqa: E402

PACKET_MS: Final = 20.0
#: The detector looks every 10 ms.
LONGEST_WAIT_MS: Final = 10.0
#: Commits within this of an alarm are the same one: the bridge has stopped.
ALARM_MS: Final = 1000.0
#: How long after its last sample a voice may still be found.
GRACE_MS: Final = 300.0
VOICES: Final = 100
LINES: Final = 10

Noise = Callable[[float, int], Signal]


@dataclass
class Voice:
    """One utterance on a line."""

    start_ms: float  # of the recording, which may begin with silence
    onset_ms: float
    end_ms: float


@dataclass
class Line:
    """What one caller sends, and what came of it."""

    signal: Signal
    voices: list[Voice] = field(default_factory=list)
    holds_ms: list[float] = field(default_factory=list)
    commits_ms: list[float] = field(default_factory=list)

    @property
    def minutes(self) -> float:
        return len(self.signal) / RATE_HZ / 60


def call(
    lines: Sequence[Line], policy: BargeInPolicy | None = None, detector: SpeechDetector | None = None
) -> None:
    """Calls on all lines at once, and writes what happened into them, instead of what was there."""
    detector, wait_ms = detector or SpeechDetector(), np.random.default_rng(1)
    for line in lines:
        line.holds_ms, line.commits_ms = [], []
    streams = [detector.open() for _ in lines]
    lines_of = dict(zip(streams, lines, strict=True))
    deciders = {stream: BargeIn(policy or BargeInPolicy()) for stream in streams}
    audio = [list(speech.packets(speech.to_mulaw(line.signal))) for line in lines]
    for step in range(max(map(len, audio))):
        for stream, packets in zip(streams, audio, strict=True):
            if step < len(packets):
                stream.push(packets[step])
        now_ms = (step + 1) * PACKET_MS + wait_ms.uniform(0, LONGEST_WAIT_MS)
        look(detector, deciders, lines_of, now_ms)


def look(
    detector: SpeechDetector,
    deciders: dict[VadStream, BargeIn],
    lines: dict[VadStream, Line],
    now_ms: float,
) -> None:
    """The detector's turn."""
    while detector.due:
        for stream, probability, level_dbfs, _ in detector.run():
            verdict = deciders[stream].window(probability, level_dbfs, talking=True)
            if verdict is Verdict.HOLD:
                lines[stream].holds_ms.append(now_ms)
            elif verdict is Verdict.COMMIT:
                lines[stream].commits_ms.append(now_ms)


# --- Lines -------------------------------------------------------------------------------------------------------


def conversation(paths: Iterable[Path], dbfs: float, noise: Noise | None, seed: int) -> Line:
    """Utterances 1.5 to 3 s apart after 5 s of nothing, at one level, with noise under it all."""
    random = np.random.default_rng(seed)
    parts, voices, at_ms = [speech.silence(5 + random.uniform(0, 0.1))], [], 0.0
    for path in paths:
        at_ms = sum(map(len, parts)) * 1000 / RATE_HZ
        clean = speech.load(path)
        voices.append(Voice(at_ms, at_ms + speech.onset_ms(clean), at_ms + len(clean) * 1000 / RATE_HZ))
        parts += [speech.at_level(clean, dbfs), speech.silence(random.uniform(1.5, 3))]
    return Line(under(np.concatenate(parts), noise, seed), voices)


def under(signal: Signal, noise: Noise | None, seed: int) -> Signal:
    """The signal with noise under it."""
    return signal + noise(len(signal) / RATE_HZ + 1, seed)[: len(signal)] if noise else signal


def chosen(paths: Sequence[Path], count: int, seed: int = 3) -> list[Path]:
    """The same `count` of them every time, none shorter than a third of a second."""
    order = np.random.default_rng(seed).permutation(len(paths))
    long_enough = (paths[i] for i in order if len(speech.load(paths[i])) > RATE_HZ / 3)
    return [path for path, _ in zip(long_enough, range(count), strict=False)]


def white(dbfs: float) -> Noise:
    return lambda seconds, seed: speech.white_noise(seconds, dbfs, seed)


def pink(dbfs: float) -> Noise:
    return lambda seconds, seed: speech.pink_noise(seconds, dbfs, seed)


def babble(dbfs: float, talkers: int = 6) -> Noise:
    """Other people talking."""
    paths = chosen(speech.phrases(), 60, seed=11)

    def talk(seconds: float, seed: int) -> Signal:
        random, size = np.random.default_rng(seed), int(seconds * RATE_HZ)
        room = np.zeros(size)
        for _ in range(talkers):
            order = random.permutation(len(paths))
            said = np.concatenate([speech.at_level(speech.load(paths[i]), -26) for i in order])
            room += np.resize(said[random.integers(RATE_HZ) :], size)
        return np.asarray(room * 10 ** ((dbfs - speech.active_level_dbfs(room)) / 20))

    return talk


# --- Figures -----------------------------------------------------------------------------------------------------


def latencies_ms(lines: Sequence[Line]) -> tuple[list[float], list[float], int, int]:
    """From onset to the first hold and to the first commit of each voice found; voices missed; alarms in between."""
    holds, commits, missed, alarms = [], [], 0, 0
    for line in lines:
        theirs = 0
        for voice in line.voices:
            found = [at for at in line.commits_ms if voice.start_ms <= at <= voice.end_ms + GRACE_MS]
            held = [at for at in line.holds_ms if voice.start_ms <= at <= voice.end_ms + GRACE_MS]
            commits += [at - voice.onset_ms for at in found[:1]]
            holds += [at - voice.onset_ms for at in held[:1]]
            missed += not found
            theirs += len(found)
        alarms += len(line.commits_ms) - theirs
    return holds, commits, missed, alarms


def onset_row(name: str, lines: Sequence[Line], policy: BargeInPolicy | None = None) -> str:
    call(lines, policy)
    holds, commits, missed, alarms = latencies_ms(lines)
    minutes = sum(line.minutes for line in lines)
    return (
        f"| {name} | {np.median(holds):.0f} | {np.median(commits):.0f} | {np.percentile(commits, 90):.0f} "
        f"| {max(commits):.0f} | {missed} of {missed + len(commits)} | {alarms / minutes:.1f} |"
    )


def alarms_per_minute(lines: Sequence[Line]) -> float:
    alarms = 0
    for line in lines:
        last_ms = -ALARM_MS
        for at in line.commits_ms:
            if at - last_ms >= ALARM_MS:
                alarms, last_ms = alarms + 1, at
    return alarms / sum(line.minutes for line in lines)


ONSET_HEAD: Final = """\
| line | hold, median ms | stop, median ms | stop, p90 ms | stop, worst ms | missed | false stops a minute |
|---|---|---|---|---|---|---|"""


def onsets() -> None:
    """How soon people are heard."""
    print("\n### From the first sound of a voice to the stop\n")
    print(ONSET_HEAD)
    sentences, words = chosen(speech.phrases(), VOICES), chosen(speech.words(), VOICES)
    conditions: list[tuple[str, float, Noise | None]] = [
        ("digital silence between", -26, None),
        ("comfort noise -65 dBFS", -26, white(-65)),
        ("comfort noise -45 dBFS", -26, white(-45)),
        ("quiet caller, -40 dBFS", -40, white(-65)),
        ("pink noise, SNR 20 dB", -26, pink(-46)),
        ("pink noise, SNR 10 dB", -26, pink(-36)),
        ("six people talking, SNR 10 dB", -26, babble(-36)),
    ]
    for name, dbfs, noise in conditions:
        print(onset_row(name, conversations(sentences, dbfs, noise)), flush=True)
    print(onset_row("single words, comfort noise -45 dBFS", conversations(words, -26, white(-45))))
    print(onset_row("single words, quiet caller", conversations(words, -40, white(-65))))
    for package in MORE_VOICES:
        if (SPEECH_FOLDER / package).is_dir():
            others = conversations(chosen(speech.phrases(package), VOICES), -26, white(-45))
            print(onset_row(f"voice of {package}, comfort noise -45 dBFS", others), flush=True)
    for seconds in (5, 30, 60):
        print(onset_row(f"right after {seconds} s of hold music", after_music(seconds)), flush=True)


def conversations(paths: Sequence[Path], dbfs: float, noise: Noise | None) -> list[Line]:
    return [conversation(paths[index::LINES], dbfs, noise, seed=index) for index in range(LINES)]


def after_music(seconds: float, seed: int = 5) -> list[Line]:
    """Four voices after a piece of each of the five tracks; stops during the music are in the other table."""
    lines = []
    voices = chosen(speech.phrases(), 20, seed)
    for index, path in enumerate(voices):
        track = speech.load(speech.music()[index % 5])
        at = int((10 + 20 * (index // 5)) * RATE_HZ)
        tune, clean = speech.at_level(track, -26)[at : at + int(seconds * RATE_HZ)], speech.load(path)
        start_ms = len(tune) * 1000 / RATE_HZ
        signal = np.concatenate([tune, speech.at_level(clean, -26)])
        end_ms = len(signal) * 1000 / RATE_HZ
        line = Line(
            under(signal, white(-65), index), [Voice(start_ms, start_ms + speech.onset_ms(clean), end_ms)]
        )
        lines.append(line)
    return lines


def false_alarms() -> None:
    """What is taken for a voice and is none."""
    print("\n### What stops the bridge and is nobody\n")
    print("| line | minutes | false stops a minute | holds a minute |\n|---|---|---|---|")
    tracks = [speech.at_level(speech.load(path), -26) for path in speech.music()]
    for path, track in zip(speech.music(), tracks, strict=True):
        alarm_row(f"hold music: {path.stem}", Line(track))
    noises = {
        "keys (DTMF), all sixteen": speech.dtmf(60),
        "ringing": speech.cadence(speech.tones(2, -19, 440, 480), 2, 4, 60),
        "busy line": speech.cadence(speech.tones(0.5, -19, 480, 620), 0.5, 0.5, 60),
        "fax calling": speech.cadence(speech.tones(0.5, -19, 1100), 0.5, 3, 60),
        "50 Hz hum, -30 dBFS": speech.hum(60, -30),
        "comfort noise, -45 dBFS": speech.white_noise(180, -45, seed=1),
        "pink noise, -30 dBFS": speech.pink_noise(60, -30, seed=2),
        "six people talking, -40 dBFS": babble(-40)(60, 3),
    }
    for name, signal in noises.items():
        alarm_row(name, Line(signal))


def alarm_row(name: str, line: Line) -> None:
    call([line])
    holds = len(line.holds_ms) / line.minutes
    print(f"| {name} | {line.minutes:.1f} | {alarms_per_minute([line]):.1f} | {holds:.1f} |", flush=True)


def echoes() -> None:
    """The agent's own voice coming back, and what the gate against it costs a caller."""
    print("\n### Our own voice, 30 dB weaker, and the gate\n")
    print(
        "| `gate_dbfs` | agent at -26 dBFS: false stops a minute | agent at -20 | agent at -16 "
        "| caller at -26 dBFS: median / p90 ms, missed | caller at -40 |\n|---|---|---|---|---|---|"
    )
    agent = np.concatenate([speech.load(path) for path in chosen(speech.phrases(), 60, seed=9)])
    sentences = chosen(speech.phrases(), VOICES)
    for gate_dbfs in (-90, -50, -45, -40):
        policy = BargeInPolicy(gate_dbfs=gate_dbfs)
        cells = [f"{echo_alarms(agent, dbfs - 30, policy):.1f}" for dbfs in (-26, -20, -16)]
        for dbfs in (-26, -40):
            lines = conversations(sentences, dbfs, white(-65))
            call(lines, policy)
            _, commits, missed, _ = latencies_ms(lines)
            cells.append(f"{np.median(commits):.0f} / {np.percentile(commits, 90):.0f}, {missed}")
        print(f"| {gate_dbfs} | {' | '.join(cells)} |", flush=True)


def echo_alarms(agent: Signal, dbfs: float, policy: BargeInPolicy) -> float:
    line = Line(under(speech.at_level(agent, dbfs), white(-65), seed=1))
    call([line], policy)
    return alarms_per_minute([line])


def cost() -> None:
    """What one window costs, CPU time of one thread, by how many calls share a run."""
    print("\n### Cost of a window (32 ms of one call), in microseconds of CPU\n")
    sizes = (1, 2, 8, 16, 32, 64, 128)
    print(f"| | {' | '.join(f'{size} calls' for size in sizes)} |\n|---|{'---|' * len(sizes)}")
    for name, dense in (("graph as published", False), ("as matrix products", True)):
        cells = []
        for size in sizes:
            cells.append(f"{window_us(SpeechDetector(model=load_model(dense=dense)), size):.0f}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def window_us(detector: SpeechDetector, calls: int, packets: int = 160) -> float:
    """Median over the runs of everything a window takes: pushes, model, levels, results."""
    streams = [detector.open() for _ in range(calls)]
    noise = list(speech.packets(speech.to_mulaw(speech.white_noise(2, -45, seed=1))))
    costs, spent = [], 0
    for step in range(packets):
        before = time.process_time_ns()
        for stream in streams:
            stream.push(noise[step % len(noise)])
        found = len(detector.run(calls))
        spent += time.process_time_ns() - before
        if found:
            costs.append(spent / found / 1000)
            spent = 0
    return float(np.median(costs))


CHOICES: Final[tuple[tuple[float, float], ...]] = (
    # seconds between wipes of the memory, dither in dBFS
    *((2, SILENCE_DBFS), (4, SILENCE_DBFS)),
    *((2, -55), (4, -55), (6, -55), (8, -55), (math.inf, -55)),
)


def choices() -> None:
    """How often to wipe the memory, and whether to dither, on lines drawn anew from every voice that is there."""
    print("\n### Wiping and dither\n")
    print(
        "| wiped every, dither | digital silence: median / p90 ms, missed | comfort noise -45 dBFS | caller at -40 "
        "| words at -40 | after music | music: false stops (minutes) |\n|---|---|---|---|---|---|---|"
    )
    packages = [p for p in (speech.ENGLISH, *MORE_VOICES) if (SPEECH_FOLDER / p).is_dir()]
    each = VOICES // len(packages)
    sentences = [path for p in packages for path in chosen(speech.phrases(p), each, seed=21)]
    words = [path for p in packages for path in chosen(speech.words(p), each, seed=21)]
    sets = (
        conversations(sentences, -26, None),
        conversations(sentences, -26, white(-45)),
        conversations(sentences, -40, white(-65)),
        conversations(words, -40, white(-65)),
        [line for seconds in (5, 10, 30, 60) for line in after_music(seconds, seed=21)],
    )
    tracks = [speech.load(path) for path in speech.music()]
    tunes = [Line(speech.at_level(track, dbfs)) for track in tracks for dbfs in (-26, -18)]
    minutes = sum(tune.minutes for tune in tunes)
    for seconds, dither_dbfs in CHOICES:
        every = int(min(seconds, 1e6) * 1000 / WINDOW_MS)

        def heard(lines: Sequence[Line], every: int = every, dither_dbfs: float = dither_dbfs) -> None:
            call(lines, detector=SpeechDetector(reset_every_windows=every, dither_dbfs=dither_dbfs))

        cells = []
        for lines in sets:
            heard(lines)
            _, commits, missed, _ = latencies_ms(lines)
            cells.append(f"{np.median(commits):.0f} / {np.percentile(commits, 90):.0f}, {missed}")
        heard(tunes)
        cells.append(f"{alarms_per_minute(tunes) * minutes:.0f} ({minutes:.0f})")
        name = "never" if seconds == math.inf else f"{seconds:.0f} s"
        print(f"| {name}, {dither_dbfs:.0f} dBFS | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Prints the tables of docs/barge-in.md."""
    if reason := speech.missing_speech():
        sys.exit(reason)
    began = time.monotonic()
    tables = (choices,) if "--choices" in sys.argv[1:] else (onsets, false_alarms, echoes, cost)
    for table in tables:
        table()
    print(f"\n{time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
