"""Flow files: as they are read, and how far, when something is wrong with them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bridge.flows.model import Flow, Menu, Say
from bridge.flows.reader import read_flow, read_flows
from bridge.problems import Problem
from bridge.prompts.spec import Book
from bridge.toml_source import TomlSource

CLINIC = """
start = "welcome"
voice = "sophia"
language = "en"
speed = 1.1

[prompts.again]
text = "Once more."
speed = 0.9

[steps.welcome]
do = "say"
text = "Welcome."
next = "main"

[steps.main]
do = "menu"
text = "Press 1."
no_match = "again"
choices = { 1 = "main" }
"""
FINE = '\nstart = "hi"\n[steps.hi]\ndo = "say"\ntext = "Hello."\n'


def read(text: str, name: str = "clinic.toml") -> tuple[Flow | None, Book, list[Problem]]:
    return read_flow(TomlSource.parse(text, name))


def test_each_step_is_of_the_kind_that_it_does() -> None:
    flow, _, problems = read(CLINIC)
    assert flow is not None and problems == []
    assert (flow.name, flow.source, flow.whole) == ("clinic", "clinic.toml", True)
    assert flow.steps["welcome"] == Say(text="Welcome.", next="main")
    assert flow.steps["main"] == Menu(text="Press 1.", no_match="again", choices={"1": "main"})
    assert flow.line_of("steps.main.choices.1") == 20


def test_what_its_steps_say_is_in_the_book_in_the_voice_of_the_file() -> None:
    flow, book, _ = read(CLINIC)
    assert flow is not None
    assert set(book.specs) == {"again", "clinic.welcome", "clinic.main"}
    said = book.specs[flow.prompt_of("welcome")]
    assert (said.text, said.voice, said.language, said.speed) == ("Welcome.", "sophia", "en", 1.1)
    again = book.specs["again"]
    assert (again.voice, again.speed) == ("sophia", 0.9)
    assert book.places["clinic.welcome"] == ("clinic.toml", 13)


@pytest.mark.parametrize(
    "wrong, right",
    [
        ('next = "main"\nnxt = "main"', 'next = "main"'),
        ('next = "main"\nbarge_in = 7', 'next = "main"'),
        ('next = "Main"', ""),
    ],
)
def test_a_step_is_read_without_its_mistakes_and_the_flow_is_not_whole(wrong: str, right: str) -> None:
    flow, _, problems = read(CLINIC.replace('next = "main"', wrong))
    expected, _, _ = read(CLINIC.replace('next = "main"', right))
    assert flow is not None and expected is not None
    assert flow.steps["welcome"] == expected.steps["welcome"]
    assert (len(problems), problems[0].fatal, flow.whole) == (1, True, False)


def test_a_step_without_what_it_needs_is_left_out_and_the_others_are_not() -> None:
    flow, book, problems = read(CLINIC.replace('choices = { 1 = "main" }', "choices = {}"))
    assert flow is not None
    assert (list(flow.steps), flow.whole) == (["welcome"], False)
    assert [problem.key for problem in problems] == ["steps.main.choices"]
    assert "clinic.welcome" in book.specs


def test_steps_are_read_even_when_the_head_cannot_be() -> None:
    flow, _, problems = read('[steps.hi]\ndo = "sya"\n')
    assert flow is None
    assert [problem.key for problem in problems] == ["start", "steps.hi.do"]


def test_a_text_that_no_prompt_may_have_is_told_at_its_step() -> None:
    _, _, problems = read(FINE.replace("Hello.", "..."))
    assert [(problem.key, problem.line) for problem in problems] == [("steps.hi.text", 5)]


def test_a_mistake_in_a_step_is_not_a_mistake_in_what_the_file_held() -> None:
    """Reading leaves the tree alone: others read it, too."""
    source = TomlSource.parse(CLINIC + "nonsense = 1\n", "clinic.toml")
    read_flow(source)
    assert source.tree["steps"]["main"]["nonsense"] == 1


# -- folders -----------------------------------------------------------------------------------------------------------


def test_a_folder_of_flows(tmp_path: Path) -> None:
    (tmp_path / "bank.toml").write_text(FINE, "utf-8")
    (tmp_path / "clinic.toml").write_text(CLINIC, "utf-8")
    (tmp_path / "notes.txt").write_text("not a flow", "utf-8")
    flows, book, problems = read_flows(tmp_path)
    assert (list(flows), problems) == (["bank", "clinic"], [])
    assert set(book.specs) == {"again", "bank.hi", "clinic.welcome", "clinic.main"}


def test_one_bad_file_hides_none_of_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("start = ]", "utf-8")
    (tmp_path / "b.toml").write_bytes(b"\xff")
    (tmp_path / "c.toml").write_text(FINE + "nonsense = 1\n", "utf-8")
    (tmp_path / "d.toml").write_text(FINE, "utf-8")
    flows, _, problems = read_flows(tmp_path)
    assert list(flows) == ["c", "d"]
    assert [(Path(problem.source).name, problem.line) for problem in problems] == [
        ("a.toml", 1),
        ("b.toml", 0),
        ("c.toml", 6),
    ]


def test_a_prompt_of_two_flows_is_told_with_both_places(tmp_path: Path) -> None:
    for name in ("a.toml", "b.toml"):
        (tmp_path / name).write_text(FINE + '[prompts.bye]\ntext = "Good bye."\n', "utf-8")
    _, _, (problem,) = read_flows(tmp_path)
    assert (Path(problem.source).name, problem.line, problem.key) == ("b.toml", 6, "prompts.bye")
    assert f"{tmp_path / 'a.toml'}:6" in problem.reason


def test_no_folder_is_told(tmp_path: Path) -> None:
    (problem,) = read_flows(tmp_path / "flows")[2]
    assert problem.source == str(tmp_path / "flows") and problem.fatal
    assert "cannot be read" in problem.reason


def test_what_is_no_file_of_the_author_is_told_or_left_alone_and_never_waited_for(tmp_path: Path) -> None:
    (tmp_path / "clinic.toml").write_text(CLINIC, "utf-8")
    (tmp_path / ".#clinic.toml").symlink_to("somebody@host.4711")  # as Emacs leaves it beside what is open
    (tmp_path / ".clinic.toml").write_text("half a", "utf-8")
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "folder.toml").mkdir()
    flows, _, problems = read_flows(tmp_path)
    assert list(flows) == ["clinic"]
    assert [(Path(problem.source).name, problem.reason) for problem in problems] == [
        ("folder.toml", "is no file"),
        ("pipe.toml", "is no file"),
    ]


def test_an_empty_folder_holds_no_flows(tmp_path: Path) -> None:
    assert read_flows(tmp_path) == ({}, Book(), [])
