"""What happened in a rehearsal, from both ends of the call, on one axis of time. Pure.

Strategy:

- Every time is milliseconds since the caller dialled, as in the recording; the bridge's are moved there.
- What the agent said is what the caller heard of it. An utterance belongs to the step that the agent had asked for it
  after; the greeting is what was asked for before the first step.
- How long the caller waited is told by the bridge where it timed the turn, and else by the recording: the ear of the
  caller needs nobody's word for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final, TypeVar

from msgspec import structs

from bridge.emulators import recording as ear
from bridge.emulators.call_report import CallReport
from bridge.observe import timeline as tl
from bridge.rehearsal.cast import Part
from telephony_codecs.formats import MULAW_8K
from telephony_codecs.g711 import mulaw_decode
from telephony_codecs.pcm import level_dbfs

_E = TypeVar("_E", bound=tl.Entry)

#: Who ended a call, by the reason in its timeline.
_ENDED_BY: Final = {"agent": "agent", "carrier": "caller", "transferred": "transfer"}
_ENDINGS: Final = {"agent": "the agent hung up", "transferred": "the caller was handed on"}
#: What cuts an utterance short, besides the end of the call.
_CUT_BY: Final = frozenset({"speech", "digit"})
#: What is this loud can be heard; it begins anew after so much that is not.
_AUDIBLE_DBFS: Final = -50.0
_PAUSE_SLOTS: Final = 10
_SLOT_MS: Final = 20
_SLOT_BYTES: Final = MULAW_8K.bytes_in(_SLOT_MS)


@dataclass(frozen=True, slots=True)
class Said:
    """One utterance of the agent, as it was heard.

    Attributes:
        asked_ms: when the agent asked for it.
        began_ms: when its first packet left; None when none did.
        by: what cut it short, ``speech`` or ``digit``; empty when nothing did.
    """

    asked_ms: float
    began_ms: float | None
    ended_ms: float
    text: str
    heard_ms: float
    total_ms: float
    by: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """When a step of the script was taken; of one that is no speech, or broke off, `speech_end_ms` is None."""

    began_ms: float
    ended_ms: float | None
    speech_end_ms: float | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    at_ms: float
    name: str
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One rehearsal.

    Attributes:
        taken: the steps that began, in order.
        sounds_ms: when the caller began to hear the bridge anew.
        turns: the bridge's own account of the waits.
        ending: how it ended, in words.
        failure: why there was no call to speak of; empty when there was.
        agent_failed: what the agent's code raised; empty when it did not.
        late_ms: the most by which the simulation was late.
        notes: what else is worth telling, and when.
    """

    taken: Sequence[Taken] = ()
    said: Sequence[Said] = ()
    sounds_ms: Sequence[float] = ()
    turns: Sequence[tl.TurnTimed] = ()
    tools: Sequence[ToolCall] = ()
    digits_sent: Sequence[tuple[float, str]] = ()
    transferred_to: str = ""
    ended_by: str = ""
    ending: str = ""
    failure: str = ""
    agent_failed: str = ""
    began_ms: float = 0.0
    ended_ms: float = 0.0
    late_ms: float = 0.0
    notes: Sequence[tuple[float, str]] = ()

    def window(self, number: int | None) -> tuple[float, float]:
        """From when to when a step is answered; None is before the first one."""
        begins = [step.began_ms for step in self.taken]
        if number is None:
            return 0.0, begins[0] if begins else inf
        return begins[number], begins[number + 1] if number + 1 < len(begins) else inf

    def said_in(self, window: tuple[float, float]) -> list[Said]:
        """What the agent asked for in that time."""
        return [said for said in self.said if window[0] <= said.asked_ms < window[1]]

    def cut_by(self, number: int) -> Said | None:
        """What was being said when a step began, and was cut short before the next one."""
        begins, until = self.window(number)
        cut = (said for said in self.said if said.by and said.asked_ms < begins <= said.ended_ms < until)
        return next(cut, None)

    def turn_in(self, window: tuple[float, float]) -> tl.TurnTimed | None:
        """The turn that was answered in that time, of several the first."""
        answered = (turn for turn in self.turns if turn.audible_ms is not None)
        return next((turn for turn in answered if window[0] <= turn.speech_end_ms < window[1]), None)

    def wait_ms(self, number: int | None) -> float | None:
        """From the caller's last sound of a step to the first sound of the answer; None: there was none.

        Before the first step: from the beginning of the stream.
        """
        window = self.window(number)
        if number is None:
            since_ms: float | None = self.began_ms
        elif (turn := self.turn_in(window)) is not None and turn.audible_ms is not None:
            return turn.audible_ms - turn.speech_end_ms
        else:
            since_ms = self.taken[number].speech_end_ms or self.taken[number].ended_ms
        if since_ms is None:
            return None
        first = next((at_ms for at_ms in self.sounds_ms if since_ms <= at_ms < window[1]), None)
        return None if first is None else first - since_ms


def facts_of(
    timeline: Iterable[tl.Entry], report: CallReport, parts: Sequence[Part], offset_ms: float
) -> Facts:
    """What happened.

    Args:
        timeline: the bridge's account; empty when there was no call.
        report: the caller's.
        parts: what the caller had to say, step by step.
        offset_ms: puts the bridge's times on the caller's axis.
    """
    entries = [_moved(entry, offset_ms) for entry in timeline]
    ended = _first(entries, tl.CallEnded)
    handed_on = _first(entries, tl.Transferred)
    raised = _first(entries, tl.AgentFailed)
    recording = report.recording
    return Facts(
        taken=tuple(_taken(recording.actions, parts)),
        said=tuple(utterances(entries)),
        sounds_ms=tuple(sounds(bytes(recording.heard), recording.began_ms)),
        turns=tuple(_all(entries, tl.TurnTimed)),
        tools=tuple(ToolCall(entry.at_ms, entry.name, entry.outcome) for entry in _all(entries, tl.ToolRan)),
        digits_sent=tuple((entry.at_ms, entry.digits) for entry in _all(entries, tl.DigitsSent)),
        transferred_to=handed_on.to if handed_on else "",
        ended_by=_ENDED_BY.get(ended.reason, ended.reason) if ended else "",
        ending=_ending(report, ended),
        failure="" if report.ok and ended else f"{report.outcome.replace('_', ' ')}: {report.detail}",
        agent_failed=raised.error if raised else "",
        began_ms=recording.began_ms,
        ended_ms=recording.began_ms + MULAW_8K.ms_in(len(recording.heard)),
        late_ms=report.late_ms,
        notes=tuple(_notes(entries)),
    )


def sounds(heard: bytes, began_ms: float) -> Iterator[float]:
    """When something begins to be heard in 8 kHz mu-law that begins at `began_ms`."""
    silent = _PAUSE_SLOTS
    for at in range(0, len(heard), _SLOT_BYTES):
        if level_dbfs(mulaw_decode(heard[at : at + _SLOT_BYTES])) < _AUDIBLE_DBFS:
            silent += 1
            continue
        if silent >= _PAUSE_SLOTS:
            yield began_ms + MULAW_8K.ms_in(at)
        silent = 0


def _moved(entry: _E, by_ms: float) -> _E:
    """`entry` on another axis of time."""
    times = [name for name in entry.__struct_fields__ if name.endswith("_ms")]
    of_the_call = times if isinstance(entry, tl.TurnTimed) else ["at_ms"]
    known = {name: value for name in of_the_call if (value := getattr(entry, name)) is not None}
    return structs.replace(entry, **{name: value + by_ms for name, value in known.items()})


def _all(entries: Sequence[tl.Entry], kind: type[_E]) -> list[_E]:
    return [entry for entry in entries if isinstance(entry, kind)]


def _first(entries: Sequence[tl.Entry], kind: type[_E]) -> _E | None:
    return next(iter(_all(entries, kind)), None)


def _taken(actions: Sequence[tuple[float, float | None]], parts: Sequence[Part]) -> Iterator[Taken]:
    for (began_ms, ended_ms), part in zip(actions, parts, strict=False):
        spoken = part.speech_end_ms and ended_ms is not None
        yield Taken(began_ms, ended_ms, began_ms + part.speech_end_ms if spoken else None)


def utterances(entries: Sequence[tl.Entry]) -> Iterator[Said]:
    """Utterances that are over, in the order in which they were asked for."""
    ended = {entry.utterance: entry for entry in _all(entries, tl.SpeakingEnded)}
    began = {entry.utterance: entry.at_ms for entry in _all(entries, tl.FirstAudio)}
    for asked in _all(entries, tl.SpeakingAsked):
        if end := ended.get(asked.utterance):
            times = (asked.at_ms, began.get(asked.utterance), end.at_ms)
            by = end.by if end.by in _CUT_BY else ""
            yield Said(*times, end.heard_text, end.heard_ms, end.total_ms, by)


def _ending(report: CallReport, ended: tl.CallEnded | None) -> str:
    if hung_up := report.of(ear.HungUp):
        return f"the caller hung up, {hung_up[0].reason}"
    if ended and ended.reason in _ENDINGS:
        return _ENDINGS[ended.reason]
    return f"the bridge ended it {report.detail}" if report.ok else report.detail


def _notes(entries: Sequence[tl.Entry]) -> Iterator[tuple[float, str]]:
    for entry in entries:
        match entry:
            case tl.Backchannel():
                yield entry.at_ms, f"a backchannel, which interrupts nothing: “{entry.text}”"
            case tl.Resumed():
                yield entry.at_ms, "no word came: goes on where it was heard"
            case tl.FillerPlayed():
                yield entry.at_ms, "“One moment, please.” (Lightning is late)"
            case tl.VoiceFailed():
                yield entry.at_ms, f"Lightning failed: {entry.error}"
            case tl.AgentFailed():
                yield entry.at_ms, f"the agent's code failed: {entry.error}"
            case tl.ThinkingFailed():
                yield entry.at_ms, f"there is no answer: {entry.failure}"
            case tl.BudgetSpent():
                yield entry.at_ms, f"the budget is spent: {entry.limit}"
            case tl.Transferred():
                yield entry.at_ms, f"transfers the caller to {entry.to}"
            case tl.DigitsSent():
                yield entry.at_ms, f"presses {entry.digits}"
            case tl.ToolRan():
                yield entry.at_ms, f"tool {entry.name}: {entry.outcome}, {entry.took_ms:.0f} ms"
