"""Flows as pictures: golden files, and what must be in the picture of any flow."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.flows.check import check
from bridge.flows.draw import SHAPES, mermaid, text
from bridge.flows.model import STEPS, Flow, FlowFile, Play, Say, Step
from bridge.flows.outline import columns, cut
from bridge.flows.reader import read_flow
from bridge.prompts.spec import Book, PromptSpec
from bridge.toml_source import TomlSource
from tests.support.flows import flow_of, flows, menu
from tests.support.source import ROOT

DRAWN = ROOT / "tests" / "data" / "flows" / "drawn"


def clinic() -> tuple[Flow, Book]:
    """A flow with every kind of step, in which nothing is wrong."""
    flow, book, problems = read_flow(TomlSource.read(DRAWN / "clinic.toml"))
    assert flow is not None
    assert [*problems, *check(flow, book, webhook_hosts=["crm.example"])] == []
    return flow, book


def test_the_golden_flow_has_every_kind_of_step() -> None:
    flow, _ = clinic()
    assert {step.do for step in flow.steps.values()} == STEPS.keys()
    assert SHAPES.keys() == set(STEPS.values())


def test_as_mermaid() -> None:
    assert mermaid(*clinic()) == (DRAWN / "clinic.mmd").read_text("utf-8")


@pytest.mark.parametrize("width", [100, 64])
def test_as_an_outline(width: int) -> None:
    assert text(*clinic(), width=width) == (DRAWN / f"clinic-{width}.txt").read_text("utf-8")


# -- what a file's words must not do -----------------------------------------------------------------------------------

#: A line of a flowchart, in so much of Mermaid's grammar as is written here. Words have no character of its own but
#: the markup that a label begins with.
_WORDS = r'"(?:<b>\w+</b> \([a-z ]+\)(?:<br/>)?)?(?:[^"#`<>{}()\[\]|\\;:&*]|#\d+;)*"'
_NODE = re.compile(rf"    \w+[(\[{{>][(\[{{/\\]{{0,2}}{_WORDS}[)\]}}/\\]{{1,3}}")
_EDGE = re.compile(rf"    \w+ (?:-->|-\.->)(?:\|{_WORDS}\|)? \w+")
HOSTILE = (
    'say "hello"',
    "]; click a href",
    "<script>alert(1)</script>",
    "a --> b",
    "1. one",
    "- one",
    "`code` **bold** [a](b)",
    "#quot; &amp; &#35;",
    "style a: #f00;",
    "100 % {name} | end",
    "日本語 العربية 🎉",
    "line one\nline two\r\n\x1b[31mred\u202eright to left",
)


def saying(words: str) -> tuple[Flow, Book]:
    """A flow with these words wherever a file has some."""
    steps: dict[str, Step] = {"end": Say(text=words, next="graph"), "graph": Play(sound="beep")}
    flow = Flow(
        name="flow", source="", file=FlowFile(start="end", title=words, steps=dict(steps)), steps=steps
    )
    return flow, Book({"flow.end": PromptSpec(text=words)})


def assert_is_a_flowchart(drawn: str) -> None:
    head, *lines = drawn.splitlines()
    assert head == "flowchart TD"
    assert [line for line in lines if not (_NODE.fullmatch(line) or _EDGE.fullmatch(line))] == []


@pytest.mark.parametrize("words", HOSTILE)
def test_no_words_change_the_picture(words: str) -> None:
    harmless = mermaid(*saying("harmless")).splitlines()
    drawn = mermaid(*saying(words))
    assert_is_a_flowchart(drawn)
    assert [line for line in drawn.splitlines() if "-->" in line] == [
        line for line in harmless if "-->" in line
    ]
    assert len(drawn.splitlines()) == len(harmless)


@given(st.text())
def test_any_words_at_all(words: str) -> None:
    assert_is_a_flowchart(mermaid(*saying(words)))
    outline = text(*saying(words), width=60)
    assert len(outline.splitlines()) == len(text(*saying("harmless"), width=60).splitlines())
    assert all(char.isprintable() for line in outline.split("\n") for char in line)


# -- any flow at all ---------------------------------------------------------------------------------------------------


@given(flows)
def test_every_step_and_every_way_is_in_the_picture(flow: Flow) -> None:
    drawn = mermaid(flow, Book())
    assert_is_a_flowchart(drawn)
    nodes = re.findall(r"^    step_(\w+)[^\w ]", drawn, re.MULTILINE)
    edges = set(re.findall(r"^    step_(\w+) \S+-?>(?:\|.*\|)? (?:step_)?(\w+)$", drawn, re.MULTILINE))
    ways = {(name, exit.to) for name, step in flow.steps.items() for exit in step.exits()}
    ends = {(name, "over") for name, step in flow.steps.items() if any(step.ends())}
    assert nodes == list(flow.steps)
    assert edges == ways | ends


@given(flows, st.integers(40, 80))
def test_the_outline_tells_every_step_once_and_fits(flow: Flow, width: int) -> None:
    lines = text(flow, Book(), width=width).splitlines()
    assert max(map(columns, lines)) <= width
    told = [found[1] for line in lines if (found := re.search(r"(?:^|[│├└ ]|→ )([a-g])  (?:\w+)", line))]
    assert sorted(told) == sorted(flow.steps)


def test_a_long_way_is_not_indented() -> None:
    steps: dict[str, Step] = {f"s{n}": Say(text="x", next=f"s{n + 1}") for n in range(2000)}
    lines = text(flow_of(steps | {"s2000": Say(text="x")}, start="s0"), Book()).splitlines()
    assert lines[2] == "s0  say  flow.s0"
    assert lines[-1] == "s2000  say  flow.s2000 ■"


def test_what_is_too_deep_goes_on_below() -> None:
    """However deep, and however wide the terminal."""
    steps: dict[str, Step] = {f"s{n}": menu(f"s{n + 1}") for n in range(2000)}
    flow = flow_of(steps | {"s2000": Say(text="x")}, start="s0")
    lines = text(flow, Book(), width=10_000).splitlines()
    assert max(map(columns, lines)) < 120
    at = next(number for number, line in enumerate(lines) if line.endswith("↓"))
    (below,) = re.findall(r"→ (s\d+) ↓$", lines[at])
    assert lines[lines.index("", at) + 1].startswith(f"{below}  menu")
    assert {name for line in lines for name in re.findall(r"(s\d+)  (?:menu|say)", line)} == flow.steps.keys()


@pytest.mark.parametrize(
    "words, width, expected",
    [
        ("short", 5, "short"),
        ("longer", 5, "long…"),
        ("two words", 5, "two…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("e\u0301te\u0301", 3, "e\u0301te\u0301"),
    ],
)
def test_words_are_cut_by_columns(words: str, width: int, expected: str) -> None:
    assert cut(words, width) == expected
    assert columns(expected) <= width
