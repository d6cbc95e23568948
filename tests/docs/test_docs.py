"""The documents say what the code does."""

from __future__ import annotations

import runpy
from pathlib import Path

from bridge.carriers.registry import carrier_types

ROOT = Path(__file__).parents[2]


def test_the_drawn_state_machines_are_those_of_the_code() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_states.py"))
    assert (ROOT / "docs" / "states.md").read_text("utf-8") == made["page"](), (
        "run: python docs/make_states.py"
    )


def test_the_agent_in_the_docs_is_the_one_that_is_tested() -> None:
    example = (ROOT / "config" / "agents" / "concierge.py").read_text("utf-8")
    body = example[example.index("from bridge.call") :]
    assert body.strip() in (ROOT / "docs" / "agents.md").read_text("utf-8")


def test_the_table_of_carriers_is_what_the_code_says() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_carriers.py"))
    readme = (ROOT / "README.md").read_text("utf-8")
    assert readme == made["with_table"](readme), "run: python docs/make_carriers.py"
    for name in carrier_types():
        assert f"(docs/carriers/{name}.md)" in made["capabilities_table"]()
