"""From observations to figures, and from figures to a table.

How each figure is defined (README.md says why):

- at 15 ns: CPU speaking, times 15 ns over the time that one pass of an empty loop took meanwhile on the same core.
- first audio: the line's first packet of a synthesis minus the mock's first byte of it, same clock.
- lateness: of the packets beyond an utterance's first 1.2 s, arrival minus place in the utterance, minus the
  smallest such difference of that utterance. A clock that drifts shows as growing lateness.
- underrun: a carrier that began to play 40 ms after an utterance's first packet has nothing to play.
- stale: bytes of a synthesis requested before a `clear` that arrive after it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from benchmarks.line import UTTERANCE_MS, Line, Utterance
from benchmarks.mock_lightning import Synthesis
from benchmarks.scenario import Observation, Usage

CARRIER_BUFFER_S = 0.040
#: Packets further on than this are due by the clock: those before fill the lead, or wait for Lightning.
SETTLED_MS = 1200.0
#: Beyond these the generator, or a neighbour, is part of what is measured.
GENERATOR_BUSY = 0.85
GENERATOR_LATE_MS = 5.0
NEIGHBOUR_TOOK = 0.15
#: The speed that CPU figures are converted to: one pass of an empty loop.
STANDARD_PASS_NS = 15.0


@dataclass(frozen=True)
class Figures:
    """One row. NaN is printed as a dash: not measured."""

    server: str
    calls: int
    cpu_listening_percent: float
    cpu_speaking_percent: float
    cpu_speaking_standard_percent: float
    core_percent: float
    mb_per_call: float
    first_audio_p50_ms: float
    first_audio_p95_ms: float
    lateness_p50_ms: float
    lateness_p99_ms: float
    underruns: int
    dry_ms: float
    utterances: int
    incomplete: int
    digit_p50_ms: float
    digit_p95_ms: float
    digits: int
    speech_p50_ms: float
    speech_p90_ms: float
    speeches: int
    speeches_missed: int
    false_alarms: int
    stale_bytes: int
    foreign_bytes: int
    lost_calls: int
    generator_core_percent: float
    generator_late_p99_ms: float
    pass_ns: float
    neighbours_percent: float
    notes: str


def figures(server: str, calls: int, seen: Observation, syntheses: dict[int, list[Synthesis]]) -> Figures:
    """The row of `seen`."""
    lines = seen.lines
    window = seen.speaking_from, seen.speaking_until
    spoken = [
        u for line in lines for u in line.utterances if u.arrivals[-1] >= window[0] and u.first_at < window[1]
    ]
    whole = [u for u in spoken if u.first_at + UTTERANCE_MS / 1000 + 0.5 < window[1] and not u.cut]
    first_ms = list(_first_audio_ms(lines, syntheses, window[1]))
    late_ms = [late for u in spoken for late in lateness_ms(u, window)]
    dry = [gap for u in spoken for gap in underruns_s(u, window)]
    digit_ms, _ = _to_clear_ms(lines, "digit")
    speech_ms, missed = _to_clear_ms(lines, "speech")
    speaking, generator_late = seen.speaking, sorted(seen.speaking.generator_late_ms) if seen.speaking else []
    return Figures(
        server=server,
        calls=calls,
        cpu_listening_percent=_each(seen.listening, calls),
        cpu_speaking_percent=_each(speaking, calls),
        cpu_speaking_standard_percent=_each(speaking, calls) * _to_standard(speaking),
        core_percent=100 * speaking.server if speaking else math.nan,
        mb_per_call=(seen.full_mb - seen.idle_mb) / calls if seen.full_mb else math.nan,
        first_audio_p50_ms=percentile(first_ms, 50),
        first_audio_p95_ms=percentile(first_ms, 95),
        lateness_p50_ms=percentile(late_ms, 50),
        lateness_p99_ms=percentile(late_ms, 99),
        underruns=len(dry),
        dry_ms=1000 * sum(dry),
        utterances=len(spoken),
        incomplete=sum(u.received_bytes != UTTERANCE_MS * 8 for u in whole),
        digit_p50_ms=percentile(digit_ms, 50),
        digit_p95_ms=percentile(digit_ms, 95),
        digits=len(digit_ms),
        speech_p50_ms=percentile(speech_ms, 50),
        speech_p90_ms=percentile(speech_ms, 90),
        speeches=len(speech_ms),
        speeches_missed=missed,
        false_alarms=seen.false_alarms,
        stale_bytes=sum(line.stale_bytes for line in lines),
        foreign_bytes=sum(line.foreign_bytes for line in lines),
        lost_calls=calls - len(lines) + sum(line.closed_code not in (None, 1000) for line in lines),
        generator_core_percent=100 * speaking.generator if speaking else math.nan,
        generator_late_p99_ms=percentile(generator_late, 99),
        pass_ns=speaking.pass_ns if speaking else math.nan,
        neighbours_percent=100 * speaking.others_beside_server if speaking else math.nan,
        notes="; ".join(_notes(seen)),
    )


def _to_standard(usage: Usage | None) -> float:
    return STANDARD_PASS_NS / usage.pass_ns if usage else math.nan


def _each(usage: Usage | None, calls: int) -> float:
    return 100 * usage.server / calls if usage else math.nan


def _first_audio_ms(
    lines: Iterable[Line], syntheses: dict[int, list[Synthesis]], until: float
) -> Iterable[float]:
    for line in lines:
        first_byte = {s.identity: s.first_byte_at for s in syntheses[line.number]}
        for utterance in line.utterances:
            if utterance.first_at < until:
                yield 1000 * (utterance.first_at - first_byte[utterance.identity])


def lateness_ms(utterance: Utterance, window: tuple[float, float]) -> list[float]:
    """How late each packet that arrived in `window` was, against the utterance's best one."""
    offsets = [
        (arrival, 1000 * arrival - position)
        for arrival, position in zip(utterance.arrivals, utterance.positions_ms, strict=True)
        if position >= SETTLED_MS
    ]
    best = min((offset for _, offset in offsets), default=0.0)
    return [offset - best for arrival, offset in offsets if window[0] <= arrival < window[1]]


def underruns_s(utterance: Utterance, window: tuple[float, float]) -> Iterable[float]:
    """How long each dry spell of the carrier's buffer lasted that ended in `window`."""
    ends = [*utterance.positions_ms[1:], utterance.received_bytes / 8]
    play_until = utterance.first_at + CARRIER_BUFFER_S
    for arrival, start, end in zip(utterance.arrivals, utterance.positions_ms, ends, strict=True):
        if arrival > play_until:
            if window[0] <= arrival < window[1]:
                yield arrival - play_until
            play_until = arrival + CARRIER_BUFFER_S
        play_until += (end - start) / 1000


def _to_clear_ms(lines: Iterable[Line], kind: str) -> tuple[list[float], int]:
    asked = [i for line in lines for i in line.interruptions if i.kind == kind]
    answered = [1000 * (i.clear_at - i.at) for i in asked if i.clear_at]
    return answered, len(asked) - len(answered)


def _notes(seen: Observation) -> Iterable[str]:
    if seen.failure:
        yield f"FAILED: {seen.failure}"
    usage = seen.speaking
    if usage is None:
        return
    if usage.generator > GENERATOR_BUSY:
        yield "generator saturated"
    elif percentile(usage.generator_late_ms, 99) > GENERATOR_LATE_MS:
        yield "generator late"
    others = usage.others_beside_server, usage.others_beside_generator
    if max(others) > NEIGHBOUR_TOOK:
        shares = " and ".join(f"{max(0.0, 100 * share):.0f} %" for share in others)
        yield f"neighbours took {shares} of the cores"


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile; NaN of nothing."""
    if not values:
        return math.nan
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, math.ceil(len(ranked) * percent / 100) - 1)]


COLUMNS: Sequence[tuple[str, str]] = (
    ("server", "{server}"),
    ("N", "{calls}"),
    ("CPU % listening", "{cpu_listening_percent:.3f}"),
    ("CPU % speaking", "{cpu_speaking_percent:.3f}"),
    ("at 15 ns", "{cpu_speaking_standard_percent:.3f}"),
    ("core %", "{core_percent:.0f}"),
    ("MB/call", "{mb_per_call:.3f}"),
    ("first audio p50/p95 ms", "{first_audio_p50_ms:.1f}/{first_audio_p95_ms:.1f}"),
    ("lateness p50/p99 ms", "{lateness_p50_ms:.1f}/{lateness_p99_ms:.1f}"),
    ("underruns (dry ms)", "{underruns} ({dry_ms:.0f})"),
    ("digit to clear p50/p95 ms", "{digit_p50_ms:.2f}/{digit_p95_ms:.2f}"),
    ("speech to clear p50/p90 ms", "{speech_p50_ms:.0f}/{speech_p90_ms:.0f}"),
    ("missed", "{speeches_missed}/{speeches_total}"),
    ("false alarms", "{false_alarms}"),
    ("stale bytes", "{stale_bytes}"),
    ("generator core %, late p99 ms", "{generator_core_percent:.0f}, {generator_late_p99_ms:.1f}"),
    ("pass ns", "{pass_ns:.1f}"),
    ("notes", "{notes_full}"),
)


def markdown(rows: Iterable[Figures]) -> str:
    """The table."""
    out = ["| " + " | ".join(title for title, _ in COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for row in rows:
        cells = asdict(row) | {
            "speeches_total": row.speeches + row.speeches_missed,
            "notes_full": "; ".join(filter(None, [row.notes, *_troubles(row)])),
        }
        out.append("| " + " | ".join(cell.format(**cells).replace("nan", "-") for _, cell in COLUMNS) + " |")
    return "\n".join(out)


def _troubles(row: Figures) -> Iterable[str]:
    if row.incomplete:
        yield f"{row.incomplete} utterances incomplete"
    if row.foreign_bytes:
        yield f"{row.foreign_bytes} bytes of another call or of an apology"
    if row.lost_calls:
        yield f"{row.lost_calls} calls lost"


def is_sound(row: Figures) -> bool:
    """Whether nothing went wrong that timing cannot excuse: the quick run's verdict."""
    return not (
        row.stale_bytes
        or row.foreign_bytes
        or row.incomplete
        or row.lost_calls
        or row.notes.startswith("FAILED")
    )
