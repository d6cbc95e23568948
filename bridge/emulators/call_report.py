"""How a simulated call went, as data for tests and as lines for people.

Every time is in milliseconds since the caller dialled, on the axis of `CallRecording`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from bridge.emulators.recording import (
    BridgeStarted,
    CallerStarted,
    CallRecording,
    ClearReceived,
    DigitPressed,
    Entry,
    Faulted,
    MarkEchoed,
    Underrun,
    WebhookAnswered,
)
from bridge.emulators.twiml import Verb
from telephony_codecs.formats import MULAW_8K

_E = TypeVar("_E", bound=Entry)

#: How the bridge may close without that being a failure: done, going away, no reason given.
_GOOD_CLOSES = frozenset({1000, 1001, 1005})


class Outcome(StrEnum):
    """How the call ended."""

    HUNG_UP = "hung_up"  #: by the caller, as planned
    BRIDGE_CLOSED = "bridge_closed"  #: the bridge closed the media socket, or had the carrier close it
    NO_STREAM = "no_stream"  #: the webhook was answered, but with no stream to open
    WEBHOOK_REFUSED = (
        "webhook_refused"  #: the webhook was answered with an error, or with what cannot be read
    )
    STREAM_REFUSED = "stream_refused"  #: the upgrade was not answered with 101
    UNREACHABLE = "unreachable"  #: nobody answers there


@dataclass(slots=True)
class CallReport:
    """One simulated call.

    Attributes:
        outcome: how it ended.
        detail: that in words, with what the bridge answered when it refused.
        call_sid: the call, as the bridge knows it.
        stream_sid: the media stream; empty when none was opened.
        close_code: with which the media socket was closed; None when it was never open.
        verbs: what the carrier would have done next, of those that take verbs: of the answer to ``ended``, or those
            after the stream.
        recording: everything that happened, and both voices.
        late_ms: the most by which this simulation itself was late. Over about 40, underruns prove nothing.
        discarded_bytes: audio that the carrier would have thrown away, with too much queued already.
    """

    call_sid: str
    outcome: Outcome = Outcome.UNREACHABLE
    detail: str = ""
    stream_sid: str = ""
    close_code: int | None = None
    verbs: tuple[Verb, ...] = ()
    recording: CallRecording = field(default_factory=CallRecording)
    late_ms: float = 0.0
    discarded_bytes: int = 0

    @property
    def ok(self) -> bool:
        """Whether a media stream ran and was ended in good order."""
        closed_well = self.outcome is Outcome.BRIDGE_CLOSED and self.close_code in _GOOD_CLOSES
        return self.outcome is Outcome.HUNG_UP or closed_well

    def of(self, kind: type[_E]) -> list[_E]:
        """The entries of one kind, in order."""
        return [entry for entry in self.recording.entries if isinstance(entry, kind)]

    @property
    def heard(self) -> bytes:
        """Mu-law that the caller heard, since the stream began."""
        return bytes(self.recording.heard)

    @property
    def said(self) -> bytes:
        """Mu-law that the caller sent, since the stream began."""
        return bytes(self.recording.said)

    @property
    def arrived_ms(self) -> float:
        """Audio that the bridge sent in all."""
        return sum(MULAW_8K.ms_in(len(arrival.payload)) for arrival in self.recording.arrivals)

    @property
    def first_media_ms(self) -> float | None:
        """When the bridge's first audio arrived."""
        arrivals = self.recording.arrivals
        return arrivals[0].at_ms if arrivals else None

    @property
    def first_heard_ms(self) -> float | None:
        """When the caller first heard the bridge."""
        return next((entry.at_ms for entry in self.of(BridgeStarted)), None)

    @property
    def webhook_ms(self) -> float | None:
        """How long the bridge took to answer the call's webhook."""
        return next((entry.took_ms for entry in self.of(WebhookAnswered) if entry.purpose == "answer"), None)

    @property
    def marks(self) -> list[str]:
        """Marks that went back to the bridge, whether they were played or cleared."""
        return [entry.name for entry in self.of(MarkEchoed)]

    @property
    def onset_to_clear_ms(self) -> list[float | None]:
        """For each of the caller's utterances, from its first sound to the next `clear`; None: none came."""
        return self._clear_after([entry.at_ms for entry in self.of(CallerStarted)])

    @property
    def digit_to_clear_ms(self) -> list[float | None]:
        """The same for each key."""
        return self._clear_after([entry.at_ms for entry in self.of(DigitPressed)])

    def _clear_after(self, starts_ms: list[float]) -> list[float | None]:
        clears_ms = [entry.at_ms for entry in self.of(ClearReceived)]
        ends_ms = [*starts_ms[1:], float("inf")]
        return [
            next((clear - start for clear in clears_ms if start <= clear < end), None)
            for start, end in zip(starts_ms, ends_ms, strict=False)
        ]

    def write_stereo(self, path: Path | str) -> Path:
        """Write the call as a WAV file, caller left, bridge right. Returns the path."""
        return self.recording.write_stereo(path)

    def summary(self) -> list[tuple[str, str]]:
        """The report in lines for a person: (label, value)."""
        lines = [("outcome", f"{self.outcome.replace('_', ' ')}: {self.detail}"), ("call", self.call_sid)]
        lines += _line("webhook answered after", self.webhook_ms)
        lines += _line("bridge first heard at", self.first_heard_ms)
        lines += _line("speech onset to clear", *self.onset_to_clear_ms)
        lines += _line("digit to clear", *self.digit_to_clear_ms)
        if self.stream_sid:
            lines += self._of_the_stream()
        lines += [("fault", f"{fault.code}: {fault.detail}") for fault in self.of(Faulted)]
        if self.verbs:
            lines.append(("then", " ".join(map(str, self.verbs))))
        return lines

    def _of_the_stream(self) -> list[tuple[str, str]]:
        gaps = self.of(Underrun)
        late = f", {sum(gap.gap_ms for gap in gaps):.0f} ms of silence" if gaps else ""
        return [
            ("audio from the bridge", f"{self.arrived_ms:.0f} ms, in {len(self.recording.arrivals)} packets"),
            ("underruns", f"{len(gaps)}{late}"),
            ("marks echoed", str(len(self.marks))),
            ("simulation late by at most", f"{self.late_ms:.0f} ms"),
        ]


def _line(label: str, *values_ms: float | None) -> list[tuple[str, str]]:
    """One line, or none when there is nothing to tell."""
    told = ["-" if value is None else f"{value:.0f} ms" for value in values_ms]
    return [(label, ", ".join(told))] if any(value is not None for value in values_ms) else []
