"""What the demo shows: a table of the call, and a picture of it. Pure but for the writing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from bridge.emulators import recording as heard
from bridge.observe import timeline as tl

if TYPE_CHECKING:
    from bridge.call import Call
    from bridge.emulators.call_report import CallReport

CALLER: Final = "caller"
BRIDGE: Final = "bridge"


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the story: when (since the caller dialled), who, what; `short` is for the picture."""

    at_ms: float
    who: str
    what: str
    short: str = ""


@dataclass(frozen=True, slots=True)
class CallStory:
    """One call as both sides saw it. `offset_ms` puts the bridge's times on the caller's clock."""

    call: Call
    report: CallReport
    offset_ms: float

    def moments(self) -> list[Moment]:
        """Everything worth telling, in order."""
        told = [*self._of_caller(), *self._of_bridge()]
        return sorted(told, key=lambda moment: moment.at_ms)

    def figures(self) -> list[tuple[str, str]]:
        """What one would ask first."""
        report = self.report
        onset = next((ms for ms in report.onset_to_clear_ms if ms is not None), None)
        first = next((e for e in self.call.timeline if isinstance(e, tl.FirstAudio)), None)
        cut = next((e for e in self.call.timeline if isinstance(e, tl.SpeakingEnded) and e.by), None)
        figures = [("webhook answered", _ms(report.webhook_ms))]
        if first is not None and first.lightning_ms is not None:
            ours = first.after_ms - first.lightning_ms
            figures.append(
                (
                    "first audio",
                    f"{first.after_ms:.0f} ms (Lightning {first.lightning_ms:.0f} ms, bridge {ours:.1f} ms)",
                )
            )
        figures.append(("speech onset to clear", _ms(onset)))
        if cut is not None:
            figures.append(
                ("heard of the greeting", f"{cut.heard_ms / 1000:.2f} s of {cut.total_ms / 1000:.2f} s")
            )
            figures.append(("heard text", f"“{cut.heard_text}”"))
        figures.append(("underruns", str(len(report.of(heard.Underrun)))))
        return figures

    def _of_caller(self) -> list[Moment]:
        told = [Moment(0, CALLER, "dials")]
        for entry in self.report.recording.entries:
            if isinstance(entry, heard.StreamOpened):
                told.append(Moment(entry.at_ms, CALLER, "carrier opens the media stream"))
            elif isinstance(entry, heard.BridgeStarted):
                told.append(Moment(entry.at_ms, CALLER, "hears the bridge", "hears"))
            elif isinstance(entry, heard.CallerStarted):
                told.append(Moment(entry.at_ms, CALLER, "begins to speak", "speaks"))
            elif isinstance(entry, heard.CallerStopped):
                told.append(Moment(entry.at_ms, CALLER, "has said it"))
            elif isinstance(entry, heard.ClearReceived):
                told.append(
                    Moment(
                        entry.at_ms,
                        CALLER,
                        f"carrier clears {entry.dropped_ms:.0f} ms of buffered audio",
                        "clear",
                    )
                )
            elif isinstance(entry, heard.BridgeClosed):
                told.append(Moment(entry.at_ms, CALLER, "line is closed by the bridge", "ends"))
        return told

    def _of_bridge(self) -> list[Moment]:
        told = []
        for entry in self.call.timeline:
            at_ms = self.offset_ms + entry.at_ms
            if isinstance(entry, tl.SpeakingAsked):
                told.append(Moment(at_ms, BRIDGE, f"agent says: {_shortened(entry.text)}"))
            elif isinstance(entry, tl.FirstAudio):
                told.append(
                    Moment(at_ms, BRIDGE, f"first audio leaves, {entry.after_ms:.0f} ms after it was asked")
                )
            elif isinstance(entry, tl.BargeIn):
                told.append(
                    Moment(at_ms, BRIDGE, f"barge-in by {entry.by}: {entry.dropped_ms:.0f} ms are not played")
                )
            elif isinstance(entry, tl.SpeakingEnded):
                end = "cut short" if entry.by else "heard whole"
                told.append(Moment(at_ms, BRIDGE, f"{end}: “{_shortened(entry.heard_text)}”"))
            elif isinstance(entry, tl.CallerSpoke):
                told.append(Moment(at_ms, BRIDGE, "notices that the caller has fallen silent"))
            elif isinstance(entry, tl.CallEnded):
                told.append(Moment(at_ms, BRIDGE, f"call ended by the {entry.reason}"))
        return told


def tell(story: CallStory, wav: Path, picture: Path) -> None:
    """Print the story."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("ms", justify="right")
    table.add_column("who")
    table.add_column("what")
    for moment in story.moments():
        style = "cyan" if moment.who == CALLER else "green"
        table.add_row(f"{moment.at_ms:.0f}", Text(moment.who, style), Text(moment.what))
    console.print(table)
    figures = Table(box=None, show_header=False)
    for label, value in story.figures():
        figures.add_row(Text(f"  {label}", "dim"), Text(value, "bold"))
    console.print(figures)
    console.print(f"\n  Listen: {wav}   (caller left, bridge right)\n  Look:   {picture}", highlight=False)


# -- the picture -----------------------------------------------------------------------------------------------------

_WIDTH, _LANE, _MARGIN = 960, 84, 70
_COLUMN_PX: Final = 2


def draw(story: CallStory, path: Path) -> Path:
    """Write the call as an SVG: both voices, and what happened when. Returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(svg(story), "utf-8")
    return path


def svg(story: CallStory) -> str:
    """Both voices as waveforms on one axis of time, with the moments that have a short name."""
    recording = story.report.recording
    total_ms = recording.began_ms + max(len(recording.said), len(recording.heard)) / 8
    scale = (_WIDTH - _MARGIN - 10) / total_ms
    lanes = (("Caller", recording.said, "#0e7490", 40), ("Bridge", recording.heard, "#15803d", 40 + _LANE))
    parts = [_wave(audio, colour, top, recording.began_ms, scale) for _, audio, colour, top in lanes]
    parts += [
        f'<text x="8" y="{top + _LANE / 2 + 5}" font-weight="bold" fill="{colour}">{name}</text>'
        for name, _, colour, top in lanes
    ]
    parts += [_flag(moment, _MARGIN + moment.at_ms * scale) for moment in story.moments() if moment.short]
    parts += [_second(second, scale) for second in range(int(total_ms / 1000) + 1)]
    height = 40 + 2 * _LANE + 46
    figures = " · ".join(f"{label} {value}" for label, value in story.figures()[1:4])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="#ffffff"/>{"".join(parts)}'
        f'<text x="{_MARGIN}" y="{height - 6}" fill="#374151">{escape(figures)}</text></svg>\n'
    )


def _wave(mulaw: bytes | bytearray, colour: str, top: int, began_ms: float, scale: float) -> str:
    import numpy as np

    from telephony_codecs.g711 import MULAW_TO_FLOAT

    samples = np.abs(MULAW_TO_FLOAT[np.frombuffer(bytes(mulaw), np.uint8)])
    step = max(1, int(_COLUMN_PX / scale * 8))
    peaks = [float(samples[i : i + step].max()) for i in range(0, len(samples), step)]
    middle = top + _LANE / 2
    bars = "".join(
        f"M{x:.1f} {middle - peak * _LANE / 2:.1f}v{max(0.6, peak * _LANE):.1f}"
        for x, peak in ((_MARGIN + (began_ms + n * step / 8) * scale, peak) for n, peak in enumerate(peaks))
    )
    return f'<path d="{bars}" stroke="{colour}" stroke-width="1.4"/>'


def _flag(moment: Moment, x: float) -> str:
    bottom = 40 + 2 * _LANE
    y = 16 if moment.who == CALLER and moment.short != "clear" else 30
    return (
        f'<path d="M{x:.1f} {y + 4}V{bottom}" stroke="#9ca3af" stroke-dasharray="3 3"/>'
        f'<text x="{x + 3:.1f}" y="{y}" fill="#111827">{escape(moment.short)} {moment.at_ms / 1000:.2f} s</text>'
    )


def _second(second: int, scale: float) -> str:
    x, y = _MARGIN + second * 1000 * scale, 40 + 2 * _LANE
    return (
        f'<path d="M{x:.1f} {y}v5" stroke="#6b7280"/>'
        f'<text x="{x:.1f}" y="{y + 18}" fill="#6b7280" text-anchor="middle">{second} s</text>'
    )


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"


def _shortened(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
