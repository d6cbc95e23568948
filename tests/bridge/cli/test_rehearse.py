"""``bridge rehearse``: calls that are run and judged, and everything that can keep them from being run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from telephony_codecs.wav import read_wav
from tests.support.cli import Invoke

#: One thing that the greeter says, and one that it does not.
MISS = """
[rehearsal]
title = "A greeting"
linger_s = 0.2
[agent]
options = { greeting = "Hello.", reply = "Thank you." }
[engines]
pulse = "off"
[[caller]]
say = "Good day."
expect = ["thank you", "you are welcome"]
"""
GOOD = """
[rehearsal]
linger_s = 0.2
[agent]
options = { greeting = "Hello." }
[greeting]
expect = "hello"
[[caller]]
hang_up = true
"""


def write(**scripts: str) -> None:
    for name, text in scripts.items():
        Path(f"{name}.toml").write_text(text, "utf-8")


def test_what_was_missed_is_told_everywhere(invoke: Invoke) -> None:
    Path("night").mkdir()
    write(miss=MISS, **{"night/miss": GOOD})
    done = invoke(
        "rehearse", "miss.toml", "night/miss.toml", "--out", "calls", "--junit", "reports/report.xml"
    )
    assert (done.code, done.err) == (1, "wrote reports/report.xml\n")
    assert "“Thank you.”" in done.out
    assert "PASS  step 1, says “Good day.”: says 'thank you'" in done.out
    missed = "FAIL  miss.toml:11: step 1, says “Good day.”: says 'you are welcome'; instead: “Thank you.”"
    assert missed in done.out
    assert "2 of 3 expectations met" in done.out
    assert "Listen: calls/miss_2.wav" in done.out
    assert done.out.endswith("2 rehearsals: 1 passed, 1 failed\n")
    assert {path.name for path in Path("calls").iterdir()} == {"miss.wav", "miss_2.wav"}
    assert read_wav(Path("calls/miss.wav")).channels == 2
    root = ElementTree.parse("reports/report.xml").getroot()
    assert [suite.attrib["name"] for suite in root] == ["A greeting", "miss"]
    assert {case.attrib["classname"] for case in root.iter("testcase")} == {"miss", "night.miss"}
    assert [suite.attrib["failures"] for suite in root] == ["1", "0"]
    (failure,) = root.iter("failure")
    assert failure.attrib["message"] == "expected: says 'you are welcome'; instead: “Thank you.”"


def test_it_can_be_repeated_and_told_as_json(invoke: Invoke) -> None:
    write(good=GOOD)
    done = invoke("rehearse", "good.toml", "--repeat", 2, "--json", "-o", "calls")
    assert (done.code, done.err) == (0, "")
    suites = json.loads(done.out)
    assert [suite["name"] for suite in suites] == ["good (1 of 2)", "good (2 of 2)"]
    assert {verdict["outcome"] for suite in suites for verdict in suite["verdicts"]} == {"pass"}
    assert {path.name for path in Path("calls").iterdir()} == {"good-1.wav", "good-2.wav"}


@pytest.mark.parametrize(
    "scripts, arguments, told",
    [
        ({}, ["none.toml"], "none.toml: cannot be read: No such file or directory"),
        ({"a": "x = "}, ["a.toml"], "a.toml: is not TOML: Invalid value (at "),
        ({"a": "[[caller]]\nsya = 1"}, ["a.toml"], "a.toml:2: caller[0].sya: is not a setting; did you mean `say`?"),
        ({"a": GOOD}, ["a.toml", "--config", "b.toml"], "b.toml: cannot be read: No such file or directory"),
        ({"a": GOOD, "b": "port = 1"}, ["a.toml", "-c", "b.toml"], "b.toml: port: is not a setting; here are server"),
        ({"a": GOOD}, ["a.toml", "--agent", "nobody:has"], "a.toml: agent.entrypoint: cannot import nobody"),
        # Where it is to be mended is in the script.
        ({"a": "[agent]\nentrypoint = 'nobody:has'\n[[caller]]\npress = '1'"}, ["a.toml"],
         "a.toml:2: agent.entrypoint: cannot import nobody"),
        ({"a": "[[caller]]\npress = '1'\n[[model]]\nsay = 'Hi.'"}, ["a.toml"],
         "a.toml:3: model: bridge.agents.greeter:greeter has no options base_url and api_key"),
        ({"a": "[agent]\noptions = { nonsense = 1 }\n[[caller]]\npress = '1'"}, ["a.toml"],
         "a.toml:2: agent.options.nonsense: is not a setting"),
        ({"a": ""}, ["a.toml"], "a.toml: caller: is missing"),
        ({"a": GOOD, "f": ""}, ["a.toml", "--out", "f.toml"], "f.toml/a.wav: cannot be written: "),
        ({"a": GOOD, "f": ""}, ["a.toml", "--junit", "f.toml/x"], "f.toml/x: cannot be written: "),
    ],
)  # fmt: skip
def test_wrong_use(invoke: Invoke, scripts: dict[str, str], arguments: list[str], told: str) -> None:
    write(**scripts)
    done = invoke("rehearse", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-1].startswith(f"bridge: {told}")
    assert not list(Path().glob("**/*.wav"))


def test_all_mistakes_of_all_scripts_are_told(invoke: Invoke) -> None:
    write(a="[[caller]]\nsya = 1\npress = 2", b='[call]\nended_by = 3\n[[caller]]\npress = "1"')
    write(c=f"[rehearsal]\nconfig = 'none'\n{GOOD.partition('0.2')[2]}", d="x = ")
    done = invoke("rehearse", "a.toml", "c.toml", "d.toml", "b.toml")
    assert done.code == 2
    places = [line.split(": ")[1] for line in done.err.splitlines()]
    assert places == ["a.toml:2", "a.toml:3", "c.toml:2", "d.toml", "b.toml:2"]


def test_what_is_wrong_with_a_configuration_is_told_once(invoke: Invoke) -> None:
    write(a=GOOD, b=GOOD, bridge="port = 1")
    done = invoke("rehearse", "a.toml", "b.toml", "-c", "bridge.toml")
    assert (done.code, len(done.err.splitlines())) == (2, 1)


def test_what_cannot_be_run_takes_nothing_else_along(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMALLEST_API_KEY", raising=False)
    write(real="[engines]\nlightning = 'real'\n[[caller]]\npress = '1'")
    done = invoke("rehearse", "real.toml", "--repeat", 2, "--json")
    assert (done.code, done.err) == (1, "")
    suites = json.loads(done.out)
    assert [suite["number"] for suite in suites] == [1, 2]
    assert all("lightning.api_key: is missing" in suite["error"] for suite in suites)


def test_nothing_to_rehearse(invoke: Invoke) -> None:
    assert invoke("rehearse").code == 2


def test_without_the_offline_voice_it_says_how_to_get_it(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    write(miss=MISS)
    done = invoke("rehearse", "miss.toml")
    assert done.code == 2
    assert "pip install 'lightning-phone-bridge[demo]'" in done.err
