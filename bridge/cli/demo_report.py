"""What the demo tells: the call in order, and the figures one would ask for. Pure but for the printing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bridge.emulators import recording as heard
from bridge.observe import timeline as tl

if TYPE_CHECKING:
    from bridge.call import Call
    from bridge.emulators.call_report import CallReport

CALLER: Final = "caller"
BRIDGE: Final = "bridge"


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the story: when (since the caller dialled), who, what."""

    at_ms: float
    who: str
    what: str


@dataclass(frozen=True, slots=True)
class CallStory:
    """One call as both sides saw it.

    Attributes:
        offset_ms: puts the bridge's times on the caller's clock.
        caller_says: the caller's words, where they are known.
    """

    call: Call
    report: CallReport
    offset_ms: float
    caller_says: str = ""

    @property
    def interrupted(self) -> bool:
        """Whether the caller's voice cut the bridge short, and the carrier was told."""
        by_voice = any(isinstance(entry, tl.BargeIn) and entry.by == "speech" for entry in self.call.timeline)
        return by_voice and bool(self.report.of(heard.ClearReceived))

    @property
    def caller_spoke(self) -> bool:
        """Whether the call lasted until the caller began to speak."""
        return bool(self.report.of(heard.CallerStarted))

    @property
    def cut_short(self) -> tl.SpeakingEnded | None:
        """The utterance that was interrupted."""
        return next((e for e in self.call.timeline if isinstance(e, tl.SpeakingEnded) and e.by), None)

    @property
    def onset_to_clear_ms(self) -> float | None:
        """From the caller's first sound to the order that silenced the bridge."""
        return next((ms for ms in self.report.onset_to_clear_ms if ms is not None), None)

    def moments(self) -> list[Moment]:
        """Everything worth telling, in order."""
        told = [Moment(0, CALLER, "dials"), *self._of_caller(), *self._of_bridge()]
        return sorted(told, key=lambda moment: moment.at_ms)

    def figures(self) -> list[tuple[str, str]]:
        """What one would ask first: label and value."""
        first = next((e for e in self.call.timeline if isinstance(e, tl.FirstAudio)), None)
        cut = self.cut_short
        figures = [("webhook answered", _ms(self.report.webhook_ms))]
        if first is not None and first.lightning_ms is not None:
            shares = (
                f"Lightning {first.lightning_ms:.0f} ms, bridge {first.after_ms - first.lightning_ms:.1f} ms"
            )
            figures.append(("first audio", f"{first.after_ms:.0f} ms ({shares})"))
        figures.append(("speech onset to clear", _ms(self.onset_to_clear_ms)))
        if cut is not None:
            figures.append(("heard of the greeting", f"{_s(cut.heard_ms)} of {_s(cut.total_ms)} made"))
            figures.append(("heard text", f"“{cut.heard_text}”"))
        figures.append(("underruns", str(len(self.report.of(heard.Underrun)))))
        return figures

    def _of_caller(self) -> Iterator[Moment]:
        for entry in self.report.recording.entries:
            if what := _seen_by_caller(entry):
                yield Moment(entry.at_ms, CALLER, what)

    def _of_bridge(self) -> Iterator[Moment]:
        for entry in self.call.timeline:
            if what := seen_by_bridge(entry):
                yield Moment(self.offset_ms + entry.at_ms, BRIDGE, what)


def _seen_by_caller(entry: heard.Entry) -> str:
    match entry:
        case heard.StreamOpened():
            return "carrier opens the media stream"
        case heard.BridgeStarted():
            return "hears the bridge"
        case heard.CallerStarted():
            return "begins to speak"
        case heard.CallerStopped():
            return "has said it"
        case heard.ClearReceived():
            return f"carrier drops {entry.dropped_ms:.0f} ms of buffered audio: silence"
        case heard.BridgeClosed():
            return "the bridge has hung up"
        case heard.HungUp():
            return f"hangs up: {entry.reason}"
    return ""


def seen_by_bridge(entry: tl.Entry) -> str:
    """What is worth telling of an entry of the timeline; empty when nothing is."""
    match entry:
        case tl.SpeakingAsked():
            return f"agent says: “{shortened(entry.text)}”"
        case tl.FirstAudio():
            return f"first audio leaves, {entry.after_ms:.0f} ms after it was asked for"
        case tl.SpeakingEnded():
            end = "the caller has heard" if not entry.by else f"barge-in by {entry.by}; the caller has heard"
            return f"{end}: “{shortened(entry.heard_text)}”"
        case tl.BargeIn():
            return f"{_s(entry.dropped_ms)} that were made are never played"
        case tl.CallerSpoke():
            return "notices that the caller has fallen silent"
        case tl.CallEnded():
            return f"call ended by the {entry.reason}"
    return ""


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
    # Not through the console: a path must stay in one piece however narrow the window is.
    print(f"\n  Listen: {wav}   (caller left, bridge right)\n  Look:   {picture}")


def shortened(text: str, limit: int = 60) -> str:
    """`text`, or the beginning of it in at most `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"


def _s(ms: float) -> str:
    return f"{ms / 1000:.2f} s"
