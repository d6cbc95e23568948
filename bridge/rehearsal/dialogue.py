"""A rehearsal as people read it: who said what, when, and how long the caller waited. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final, Literal, TypeAlias

from bridge.observe.timeline import TurnTimed
from bridge.rehearsal.facts import Facts, Said
from bridge.rehearsal.script import Rehearsal, Step

Who: TypeAlias = Literal["caller", "agent", ""]

#: The parts of a wait, in order: what has just come, and what it waited for.
_PARTS = (("words", "transcript_ms"), ("agent", "token_ms"), ("voice", "audio_ms"), ("line", "audible_ms"))

#: When the simulation itself was later than this, its latencies prove nothing.
_LATE_MS: Final = 100.0
_LATE: Final = (
    "this was late by up to {:.0f} ms, so its latencies prove nothing: the machine is busy, or an agent "
    "blocks (time.sleep or the like where it should await)"
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of it.

    Attributes:
        at_ms: since the caller dialled.
        who: who speaks or acts; empty for what happened on the line.
        text: what is said or done.
        note: what is worth knowing about it.
    """

    at_ms: float
    who: Who
    text: str
    note: str = ""


def dialogue(rehearsal: Rehearsal, facts: Facts) -> list[Line]:
    """The call, line by line."""
    lines = [
        *_of_caller(rehearsal.script.caller, facts),
        *(_of_agent(said, facts) for said in facts.said if said.text),
        *(Line(at_ms, "agent", text) for at_ms, text in facts.notes),
        Line(facts.ended_ms, "", facts.ending or facts.failure),
    ]
    if facts.late_ms > _LATE_MS:
        lines.append(Line(facts.ended_ms, "", _LATE.format(facts.late_ms)))
    return sorted(lines, key=lambda line: line.at_ms)


def plain_lines(lines: Sequence[Line]) -> str:
    """The same for a file: a line each."""
    return "\n".join(
        f"{line.at_ms / 1000:6.2f} s  {line.who:6}  {line.text}{f'  ({line.note})' if line.note else ''}"
        for line in lines
    )


def _of_caller(steps: Sequence[Step], facts: Facts) -> Iterator[Line]:
    yield Line(0.0, "caller", "dials")
    for number, (step, taken) in enumerate(zip(steps, facts.taken, strict=False)):
        text = f"“{step.say}”" if step.say is not None else step.does
        notes = ["interrupts"] if facts.cut_by(number) else []
        if step.heard_as is not None:
            notes.append(f"heard as “{step.heard_as}”" if step.heard_as else "no words in it")
        yield Line(taken.began_ms, "caller", text, "; ".join(notes))


def _of_agent(said: Said, facts: Facts) -> Line:
    begins_ms = said.asked_ms if said.began_ms is None else said.began_ms
    notes = []
    if turn := _answered(said, facts):
        notes.append(waited(turn))
    if said.by:
        notes.append(f"cut short after {said.heard_ms / 1000:.1f} s")
    return Line(begins_ms, "agent", f"“{said.text}{' …' if said.by else ''}”", "; ".join(notes))


def _answered(said: Said, facts: Facts) -> TurnTimed | None:
    """The turn that `said` is the beginning of the answer to."""
    begins_ms, ends_ms = said.asked_ms, said.ended_ms
    answered = (turn for turn in facts.turns if begins_ms <= (turn.audible_ms or inf) <= ends_ms)
    return next(answered, None)


def waited(turn: TurnTimed) -> str:
    """How long the caller waited for an answer, and for what of it."""
    if turn.audible_ms is None:
        return turn.outcome
    parts, since_ms = [], turn.speech_end_ms
    for name, field in _PARTS:
        at_ms = getattr(turn, field)
        if at_ms is not None:
            parts.append(f"{name} {max(0.0, at_ms - since_ms):.0f}")
            since_ms = max(since_ms, at_ms)
    return f"after {turn.audible_ms - turn.speech_end_ms:.0f} ms: {', '.join(parts)}"
