"""A flow of a few steps, and what it wants done, answered by a script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from bridge.flows.actions import Action, Announce, HangUp, Outcome
from bridge.flows.machine import run
from bridge.flows.model import Flow, FlowFile, Step, Value

#: What is wanted, and what came of it.
Script: TypeAlias = Sequence[tuple[Action, Outcome]]

#: A Wednesday.
NOON = datetime(2026, 3, 11, 12, 0, tzinfo=UTC)


def flow_of(start: str, keys: Mapping[str, Any] | None = None, /, **steps: Step) -> Flow:
    """A flow named ``f`` with these keys in its file; what a step says itself is the prompt ``f.step``."""
    file = FlowFile(start=start, steps={}, **(keys or {}))
    return Flow(name="f", source="f.toml", file=file, steps=steps)


def say(prompt: str, **more: Any) -> Announce:
    """A prompt without variables."""
    return Announce(prompt=prompt, **more)


def follow(
    flow: Flow, script: Script, variables: Mapping[str, Value] | None = None, now: datetime = NOON
) -> list[str]:
    """Answer `flow` as the script says, in which each action must be the next one; then it must hang up.

    Returns:
        What was noted.
    """
    notes: list[str] = []
    running = run(flow, variables or {}, lambda: now, notes.append)
    action = next(running)
    for number, (wanted, outcome) in enumerate(script):
        assert action == wanted, f"action {number}"
        action = running.send(outcome)
    assert action == HangUp()
    running.close()
    return notes
