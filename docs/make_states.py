"""Draws the state machines of the code into docs/states.md: python docs/make_states.py

A test fails when that file is stale.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bridge.carriers.dialect import Ignored
from bridge.carriers.json_dialect import ORDER, Kind, Phase
from bridge.media.barge_in import BARGE_IN_TABLE, TURN_TABLE
from bridge.media.turn_end import TURN_END_TABLE

TARGET = Path(__file__).with_name("states.md")

HEAD = """# State machines

Drawn from the tables in the code by `python docs/make_states.py`; a test fails when they differ.
"""


def diagram(title: str, source: str, arrows: Iterable[tuple[str, str, str]]) -> str:
    """One section: arrows are (from, to, label)."""
    lines = [f"    {a} --> {b}: {label}" for a, b, label in arrows]
    return "\n".join([f"\n## {title}\n", f"`{source}`\n", "```mermaid", "stateDiagram-v2", *lines, "```"])


def page() -> str:
    """The whole page."""
    barge_in = (
        (a.value, b.value, f"{evidence.value}{f' / {verdict}' if verdict != 'none' else ''}")
        for (a, evidence), (b, verdict) in BARGE_IN_TABLE.items()
        if a is not b or verdict != "none"
    )
    turns = ((a.value, b.value, voice.value) for (a, voice), b in TURN_TABLE.items() if a is not b)
    turn_end = (
        (a.value, b.value, f"{sign.value}{f' / {move.value}' if move.value != 'none' else ''}")
        for (a, sign), (b, move) in TURN_END_TABLE.items()
        if a is not b or move.value != "none"
    )
    stream = (
        (phase.value, then.value if isinstance(then, Phase) else phase.value, _stream_label(kind, then))
        for phase, row in ORDER.items()
        for kind, then in row.items()
    )
    return "\n".join(
        (
            HEAD,
            "Arrows are labelled with what was heard, and with the verdict where there is one.",
            "What changes nothing is left out.",
            diagram("Barge-in", "bridge/media/barge_in.py", barge_in),
            diagram("The caller's voice", "bridge/media/barge_in.py", turns),
            diagram("The caller's turn", "bridge/media/turn_end.py", turn_end),
            "\nMessages that are counted and ignored say so.",
            diagram("A carrier's media stream", "bridge/carriers/json_dialect.py", stream),
            "",
        )
    )


def _stream_label(kind: Kind, then: object) -> str:
    return f"{kind.value} (ignored)" if isinstance(then, Ignored) else kind.value


if __name__ == "__main__":
    TARGET.write_text(page(), "utf-8")
