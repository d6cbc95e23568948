"""The report that CIs read, held against the shape that they share."""

from __future__ import annotations

from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.rehearsal.judge import Verdict
from bridge.rehearsal.junit import Suite, junit

BEGAN = "2026-11-22T08:00:00"
SUITE = Suite(
    "Booking",
    "booking.toml",
    BEGAN,
    12.5,
    (
        Verdict("greeting", 3, "says 'hello'", "pass", "“Hello.”", 1500),
        Verdict("step 1, says “A table.”", 7, "says 'when'", "fail", "“What?”", 2500),
        Verdict("step 2, hangs up", 9, "what is expected of it", "skip", "the call did not get so far"),
    ),
    said="  0.00 s  caller  dials",
)
#: Which attributes an element must have, may have, and what it may hold.
SHAPE: dict[str, tuple[set[str], set[str], list[str]]] = {
    "testsuites": ({"name", "tests", "failures", "errors", "time"}, {"skipped"}, ["testsuite"]),
    "testsuite": (
        {"name", "tests", "failures", "errors", "skipped", "time"},
        {"file", "timestamp"},
        ["testcase", "system-out"],
    ),
    "testcase": ({"name", "classname", "time"}, {"file", "line"}, ["failure", "error", "skipped"]),
    "failure": ({"message", "type"}, set(), []),
    "error": ({"message", "type"}, set(), []),
    "skipped": ({"message"}, set(), []),
    "system-out": (set(), set(), []),
}


def assert_shaped(element: Xml.Element) -> None:
    needed, allowed, children = SHAPE[element.tag]
    assert needed <= element.attrib.keys() <= needed | allowed
    for child in element:
        assert child.tag in children
        assert_shaped(child)


def root_of(*suites: Suite) -> Xml.Element:
    root = Xml.fromstring(junit(suites))
    assert root.tag == "testsuites"
    assert_shaped(root)
    return root


def test_a_suite_for_each_script_and_a_case_for_each_expectation() -> None:
    root = root_of(SUITE, Suite("Other", "other.toml", BEGAN, 1.0, (SUITE.verdicts[0],)))
    assert root.attrib == {
        "name": "bridge rehearse", "tests": "4", "failures": "1", "errors": "0", "skipped": "1", "time": "13.500"
    }  # fmt: skip
    assert [suite.attrib["name"] for suite in root] == ["Booking", "Other"]
    cases = root[0].findall("testcase")
    assert cases[0].attrib == {
        "name": "greeting: says 'hello'", "classname": "booking", "time": "1.500", "file": "booking.toml",
        "line": "3",
    }  # fmt: skip
    assert [[child.tag for child in case] for case in cases] == [[], ["failure"], ["skipped"]]
    assert root[0].findtext("system-out") == "  0.00 s  caller  dials"


def test_a_failure_says_all_that_a_developer_needs() -> None:
    (failure,) = root_of(SUITE).iter("failure")
    assert failure.attrib["message"] == "expected: says 'when'; instead: “What?”"
    assert failure.text == (
        "booking.toml:7: step 1, says “A table.”\nexpected: says 'when'; instead: “What?”"
    )


def test_a_script_that_could_not_be_run_is_an_error() -> None:
    root = root_of(Suite("Booking", "booking.toml", "", 0.0, error="the emulated Lightning did not start"))
    assert (root.attrib["tests"], root.attrib["errors"]) == ("1", "1")
    (error,) = root.iter("error")
    assert error.attrib["message"] == "the emulated Lightning did not start"
    assert "timestamp" not in root[0].attrib, "an empty one is none"


@pytest.mark.parametrize(
    "path, number, classname",
    [
        ("night.toml", 0, "night"),
        ("rehearsals/night.toml", 0, "rehearsals.night"),
        ("../a/./night.toml", 2, "a.night (2)"),
        ("/srv/night.toml", 0, "srv.night"),
    ],
)
def test_no_two_cases_are_taken_for_one_another(path: str, number: int, classname: str) -> None:
    root = root_of(Suite("Booking", path, BEGAN, 1.0, SUITE.verdicts[:1], number=number))
    assert [case.attrib["classname"] for case in root.iter("testcase")] == [classname]


@given(st.text())
def test_whatever_is_said_can_be_read_again(text: str) -> None:
    root = root_of(Suite(text, text, BEGAN, 1, (Verdict(text, 1, text, "fail", text),), text, text))
    assert len(list(root.iter("testcase"))) == (2 if text else 1)
