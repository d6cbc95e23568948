"""docs/flows.md says what the code does, and the flow in it is one."""

from __future__ import annotations

import re
import runpy
from textwrap import indent

from bridge.flows.check import check
from bridge.flows.draw import text
from bridge.flows.model import Flow
from bridge.flows.reader import read_flow
from bridge.prompts.spec import Book
from bridge.toml_source import TomlSource
from tests.support.source import ROOT

PAGE = (ROOT / "docs" / "flows.md").read_text("utf-8")


def example() -> tuple[Flow, Book]:
    found = re.search(r"^```toml\n(# flows/clinic.toml\n.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None
    flow, book, problems = read_flow(TomlSource.parse(found[1], "clinic.toml"))
    assert flow is not None and problems == []
    return flow, book


def test_the_tables_are_those_of_the_types() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_flows.py"))
    assert made["with_reference"](PAGE) == PAGE, "run: python docs/make_flows.py"
    assert "| `choices` |" in made["reference"]()


def test_every_key_is_explained() -> None:
    """Where nothing is said of a key, its name must say it all."""
    said_by_its_name = {"next", "method"}
    unexplained = set(re.findall(r"^\| `(\w+)` \|.*\|  \|$", PAGE, re.MULTILINE))
    assert unexplained <= said_by_its_name | {"equals", "one_of", "above", "below"}


def test_nothing_is_wrong_with_the_flow_in_it() -> None:
    flow, book = example()
    assert check(flow, book) == []


def test_the_outline_in_it_is_that_of_its_flow() -> None:
    assert indent(text(*example()), "    ") in PAGE
