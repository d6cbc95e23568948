"""Verdicts as JUnit XML, which every CI reads. Pure.

Strategy:

- A script is a ``testsuite``, a verdict a ``testcase``: its class is the script's file, its name what was expected.
- No two have the same class and name, repeated or not: CIs tell them apart by these, and drop the second.
- A verdict that failed says in its ``failure`` all that a developer needs, with the line of the script.
- What was said goes to ``system-out``, so that a failure can be read where it is shown.

Facts, from the schema that CIs share (Jenkins' xunit plugin): ``testsuites`` holds ``testsuite`` (name, tests,
failures, errors, skipped, time, timestamp), which holds ``testcase`` (name, classname, time, file, line), with at most
one of ``failure``, ``error`` and ``skipped``, then ``system-out``. What is before the last dot of a class is shown as
its package. Times are seconds, the timestamp is ISO 8601 without a zone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as Xml

from bridge.plain_text import plain
from bridge.rehearsal.judge import Verdict

#: More of a text than anybody reads.
_MAX_CHARS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Suite:
    """One rehearsal, as it is reported.

    Attributes:
        name: its title.
        path: the script's file.
        began: ISO 8601, in UTC and without a zone.
        took_s: how long the call lasted.
        said: the dialogue, in lines.
        error: why it could not be run at all; empty when it was.
        number: which of several times that the script is run; 0 when it is run once.
    """

    name: str
    path: str
    began: str
    took_s: float
    verdicts: Sequence[Verdict] = ()
    said: str = ""
    error: str = ""
    number: int = 0

    @property
    def failed(self) -> bool:
        """Whether anything of it failed, or it could not be run."""
        return bool(self.error) or any(verdict.failed for verdict in self.verdicts)

    @property
    def classname(self) -> str:
        """``rehearsals/night.toml`` is ``rehearsals.night``."""
        parts = self.path.removesuffix(".toml").replace("\\", "/").split("/")
        name = ".".join(part for part in parts if part.strip("."))
        return f"{name} ({self.number})" if self.number else name


def junit(suites: Iterable[Suite]) -> str:
    """The document."""
    elements = [_suite(suite) for suite in suites]
    root = Xml.Element("testsuites", {"name": "bridge rehearse", **_totals(elements)})
    root.extend(elements)
    Xml.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{Xml.tostring(root, encoding="unicode")}\n'


def _totals(suites: Sequence[Xml.Element]) -> dict[str, str]:
    counts = {name: str(sum(int(suite.attrib[name]) for suite in suites)) for name in _COUNTED}
    return {**counts, "time": _seconds(sum(float(suite.attrib["time"]) for suite in suites))}


_COUNTED: Final = ("tests", "failures", "errors", "skipped")


def _suite(suite: Suite) -> Xml.Element:
    cases = [_case(suite, verdict) for verdict in suite.verdicts]
    if suite.error:
        cases.append(_error(suite))
    element = Xml.Element(
        "testsuite",
        name=_plain(suite.name),
        tests=str(len(cases)),
        failures=str(sum(case.find("failure") is not None for case in cases)),
        errors=str(int(bool(suite.error))),
        skipped=str(sum(case.find("skipped") is not None for case in cases)),
        time=_seconds(suite.took_s),
        file=_plain(suite.path),
    )
    if suite.began:
        element.set("timestamp", suite.began)
    element.extend(cases)
    if suite.said:
        Xml.SubElement(element, "system-out").text = _plain(suite.said)
    return element


def _case(suite: Suite, verdict: Verdict) -> Xml.Element:
    case = Xml.Element(
        "testcase",
        name=_plain(f"{verdict.where}: {verdict.expected}"),
        classname=_plain(suite.classname),
        time=_seconds(verdict.took_ms / 1000),
        file=_plain(suite.path),
        line=str(verdict.line),
    )
    if verdict.failed:
        message = f"expected: {verdict.expected}; instead: {verdict.told}"
        failure = Xml.SubElement(case, "failure", message=_plain(message), type="miss")
        failure.text = _plain(f"{suite.path}:{verdict.line}: {verdict.where}\n{message}")
    elif verdict.outcome == "skip":
        Xml.SubElement(case, "skipped", message=_plain(verdict.told))
    return case


def _error(suite: Suite) -> Xml.Element:
    case = Xml.Element("testcase", name="can be run", classname=_plain(suite.classname), time="0.000")
    Xml.SubElement(case, "error", message=_plain(suite.error), type="error").text = _plain(suite.error)
    return case


def _plain(text: str) -> str:
    """What XML can hold: what an agent says can be anything."""
    return plain(text, _MAX_CHARS)


def _seconds(value: float) -> str:
    return f"{value:.3f}"
