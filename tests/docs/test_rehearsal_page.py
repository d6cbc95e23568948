"""docs/rehearsal.md: its tables are those of the code, and what it shows can be run."""

from __future__ import annotations

import re
import runpy

import pytest

from bridge.rehearsal.script import parsed
from bridge.toml_source import TomlSource
from tests.support.source import ROOT

PAGE = (ROOT / "docs" / "rehearsal.md").read_text("utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def test_its_tables_are_what_the_code_says() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_rehearsal.py"))
    assert made["page"]() == PAGE, "run: python docs/make_rehearsal.py"


@pytest.mark.parametrize("text", EXAMPLES)
def test_its_examples_can_be_read(text: str) -> None:
    caller = "" if "[[caller]]" in text else '[[caller]]\nsay = "Hello."\n'
    parsed(TomlSource.parse(f"{caller}{text}", "docs/rehearsal.md"))


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 2
