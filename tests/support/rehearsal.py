"""What rehearsals are made of, for tests: scripts from a few lines, and calls that went in some way."""

from __future__ import annotations

from typing import Any

from bridge.observe.timeline import TurnTimed
from bridge.rehearsal.facts import Facts, Said, Taken, ToolCall
from bridge.rehearsal.script import Rehearsal, parsed
from bridge.toml_source import TomlSource

#: Says hello, is asked for a table, asks when, is told, and says goodbye.
SCRIPT = """
[greeting]
expect = "hello"
[[caller]]
say = "A table."
expect = "when"
[[caller]]
say = "At eight."
expect = "goodbye"
"""


def script(text: str = SCRIPT) -> Rehearsal:
    """The script that `text` is, of the file ``table.toml``."""
    return parsed(TomlSource.parse(text, "table.toml"))


def said(text: str, from_ms: float, to_ms: float, by: str = "") -> Said:
    """An utterance that was asked for at `from_ms` and left 100 ms later."""
    return Said(from_ms, from_ms + 100, to_ms, text, to_ms - from_ms, to_ms - from_ms, by)


def turn(speech_end_ms: float, audible_ms: float | None, **times: float | None) -> TurnTimed:
    outcome = "answered" if audible_ms is not None else "unanswered"
    at_ms = speech_end_ms if audible_ms is None else audible_ms
    return TurnTimed(
        at_ms=at_ms, turn=1, speech_end_ms=speech_end_ms, audible_ms=audible_ms, outcome=outcome, **times
    )


def call(**changes: Any) -> Facts:
    """What `SCRIPT` wants, with `changes`."""
    as_it_should: dict[str, Any] = {
        "began_ms": 100.0,
        "ended_ms": 9000.0,
        "taken": (Taken(2000, 3000, 2900), Taken(5000, 6000, 5900)),
        "said": (
            said("Hello.", 150, 1200),
            said("And when?", 3500, 4300),
            said("Fine. Goodbye.", 6500, 7400),
        ),
        "sounds_ms": (250.0, 3700.0, 6800.0),
        "tools": (ToolCall(3400, "find_table", "done"), ToolCall(6400, "book_table", "failed")),
        "ended_by": "caller",
        "ending": "the caller hung up, as planned",
    }
    return Facts(**{**as_it_should, **changes})
