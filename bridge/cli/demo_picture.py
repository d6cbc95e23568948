"""The demo's call as a picture: both voices on one axis of time, what was said, and what happened when. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple
from xml.sax.saxutils import escape

import numpy as np

from bridge.cli.demo_report import shortened
from bridge.emulators import recording as heard
from bridge.observe import timeline as tl
from telephony_codecs.g711 import MULAW_TO_FLOAT

if TYPE_CHECKING:
    from bridge.cli.demo_report import CallStory

_WIDTH, _HEIGHT = 960, 278
_LEFT, _RIGHT = 70, _WIDTH - 14
_ROWS, _WAVE, _BOTTOM = 3, 68, 232
_CALLER_TOP, _BRIDGE_TOP = 48, 138
_CALLER, _BRIDGE, _INK = "#0e7490", "#15803d", "#111827"
_COLUMN_PX: Final = 2
#: About what a letter of the picture's small type takes.
_LETTER_PX: Final = 5.6
_FLAG_LETTER_PX: Final = 6.6
#: What a mark of time needs.
_TICK_PX: Final = 40


class _Flag(NamedTuple):
    at_ms: float
    text: str


class _Words(NamedTuple):
    at_ms: float
    text: str


class _Axis(NamedTuple):
    total_ms: float

    def x(self, at_ms: float) -> float:
        """Where a moment is, in pixels from the left."""
        return _LEFT + at_ms * (_RIGHT - _LEFT) / self.total_ms


def svg(story: CallStory) -> str:
    """The whole picture."""
    recording = story.report.recording
    ends_ms = recording.began_ms + max(len(recording.said), len(recording.heard)) / 8
    axis = _Axis(max(ends_ms, 1.0))
    parts = [
        *_reaction(story, axis),
        _wave(recording.said, _CALLER, _CALLER_TOP, recording.began_ms, axis),
        _wave(recording.heard, _BRIDGE, _BRIDGE_TOP, recording.began_ms, axis),
        _text(8, _CALLER_TOP + _WAVE / 2 + 4, "Caller", _CALLER, "font-weight='bold'"),
        _text(8, _BRIDGE_TOP + _WAVE / 2 + 4, "Bridge", _BRIDGE, "font-weight='bold'"),
        *_subtitles(_said_by_caller(story), _CALLER, _CALLER_TOP, axis),
        *_subtitles(_heard_of_bridge(story), _BRIDGE, _BRIDGE_TOP, axis),
        *_labels(_flags(story), axis),
        *_seconds(axis),
        _text(
            _LEFT,
            _HEIGHT - 8,
            " · ".join(f"{label} {value}" for label, value in story.figures()[1:4]),
            "#374151",
        ),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><title>A call: the caller interrupts the bridge</title>'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _flags(story: CallStory) -> Iterator[_Flag]:
    spoke = 0
    for entry in story.report.recording.entries:
        match entry:
            case heard.BridgeStarted():
                spoke += 1
                yield _Flag(entry.at_ms, "bridge greets" if spoke == 1 else "bridge answers")
            case heard.CallerStarted():
                yield _Flag(entry.at_ms, "caller speaks")
            case heard.ClearReceived():
                yield _Flag(entry.at_ms, "bridge is silent")
            case heard.BridgeClosed():
                yield _Flag(entry.at_ms, "bridge hangs up")
            case heard.HungUp():
                yield _Flag(entry.at_ms, "caller hangs up")


def _said_by_caller(story: CallStory) -> list[_Words]:
    began_ms = [entry.at_ms for entry in story.report.of(heard.CallerStarted)]
    return [_Words(began_ms[0], story.caller_says)] if began_ms and story.caller_says else []


def _heard_of_bridge(story: CallStory) -> list[_Words]:
    texts = [entry.heard_text for entry in story.call.timeline if isinstance(entry, tl.SpeakingEnded)]
    began_ms = [entry.at_ms for entry in story.report.of(heard.BridgeStarted)]
    return [_Words(*spoken) for spoken in zip(began_ms, texts, strict=False)]


# -- strokes -----------------------------------------------------------------------------------------------------------


def _wave(mulaw: bytes | bytearray, colour: str, top: int, began_ms: float, axis: _Axis) -> str:
    samples = np.abs(MULAW_TO_FLOAT[np.frombuffer(bytes(mulaw), np.uint8)])
    step = max(1, int(_COLUMN_PX * axis.total_ms / (_RIGHT - _LEFT) * 8))
    peaks = [float(samples[at : at + step].max()) for at in range(0, len(samples), step)]
    bars = "".join(
        f"M{axis.x(began_ms + n * step / 8):.1f} {top + (1 - peak) * _WAVE / 2:.1f}v{max(0.6, peak * _WAVE):.1f}"
        for n, peak in enumerate(peaks)
    )
    return f'<path d="{bars}" stroke="{colour}" stroke-width="1.4"/>'


def _reaction(story: CallStory, axis: _Axis) -> Iterator[str]:
    """The time between the caller's first sound and silence, as a band; and what was not played because of it."""
    took_ms, cut = story.onset_to_clear_ms, story.cut_short
    clear = next(iter(story.report.of(heard.ClearReceived)), None)
    if took_ms is None or cut is None or clear is None:
        return
    x, width = axis.x(clear.at_ms - took_ms), axis.x(clear.at_ms) - axis.x(clear.at_ms - took_ms)
    yield f'<path d="M{x:.1f} 40h{width:.1f}V{_BOTTOM}h-{width:.1f}z" fill="#fde68a"/>'
    lost = f"{took_ms:.0f} ms later: {(cut.total_ms - cut.heard_ms) / 1000:.1f} s more were made and are not played"
    yield _text(axis.x(clear.at_ms) + 6, _BRIDGE_TOP + _WAVE / 2 - 6, lost, "#6b7280", "font-size='11'")


def _subtitles(spoken: list[_Words], colour: str, top: int, axis: _Axis) -> Iterator[str]:
    for words, following in pairwise([*spoken, _Words(axis.total_ms, "")]):
        room = int((axis.x(following.at_ms) - axis.x(words.at_ms)) / _LETTER_PX) - 3
        if room > 3 and words.text:
            said = f"“{shortened(words.text, room)}”"
            yield _text(
                axis.x(words.at_ms), top + _WAVE + 12, said, colour, "font-size='11' font-style='italic'"
            )


def _labels(flags: Iterator[_Flag], axis: _Axis) -> Iterator[str]:
    """Each flag in the first row where it covers none before it: beside its pole, or before it near the edge.

    Where there is no such row, the pole stands alone: the table has its time.
    """
    rows: list[list[tuple[float, float]]] = [[] for _ in range(_ROWS)]
    for flag in flags:
        x, label = axis.x(flag.at_ms), f"{flag.text} {flag.at_ms / 1000:.2f} s"
        width = len(label) * _FLAG_LETTER_PX
        fits = x + width < _WIDTH
        left, right = (x, x + width) if fits else (x - width, x)
        free = (n for n, row in enumerate(rows) if all(right < start or end < left for start, end in row))
        row = next(free, _ROWS)
        y = 14 + 14 * row
        yield f'<path d="M{x:.1f} {y - 9}V{_BOTTOM}" stroke="#9ca3af" stroke-dasharray="3 3"/>'
        if row == _ROWS:
            continue
        rows[row].append((left, right))
        yield _text(x + 4, y, label, _INK) if fits else _text(x - 4, y, label, _INK, "text-anchor='end'")


def _seconds(axis: _Axis) -> Iterator[str]:
    """Marks of time, as many as have room for their numbers."""
    wanted_s = axis.total_ms / 1000 * _TICK_PX / (_RIGHT - _LEFT)
    step_s = next((step for step in (1, 2, 5, 10, 20, 60, 300) if step >= wanted_s), 1800)
    for second in range(0, int(axis.total_ms / 1000) + 1, step_s):
        x = axis.x(second * 1000)
        yield f'<path d="M{x:.1f} {_BOTTOM}v5" stroke="#6b7280"/>'
        yield _text(x, _BOTTOM + 18, f"{second} s", "#6b7280", "text-anchor='middle'")


def _text(x: float, y: float, text: str, colour: str, more: str = "") -> str:
    more = f" {more}" if more else ""
    return f"<text x='{x:.1f}' y='{y:.1f}' fill='{colour}'{more}>{escape(text)}</text>"
