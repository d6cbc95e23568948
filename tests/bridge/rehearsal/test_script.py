"""Rehearsals as they are read, and every mistake in one told by its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.problems import FilesRefused
from bridge.rehearsal.script import Rehearsal, Step, parsed, read_script, texts
from bridge.toml_source import TomlSource

WHOLE = """
[rehearsal]
title = "A table for two"
config = "../booking.toml"

[agent]
entrypoint = "agents:booking"
options = { greeting = "Hello." }

[greeting]
expect = "hello"

[[caller]]
say = "A table, please."
expect = ["for how many", "when"]

[[caller]]
press = "2#"
after = "how many"
tool = "book_table"

[[caller]]
hang_up = true

[call]
ended_by = "caller"
"""


def read(text: str, path: str = "table.toml") -> Rehearsal:
    return parsed(TomlSource.parse(text, path))


def test_a_whole_one() -> None:
    rehearsal = read(WHOLE, "rehearsals/table.toml")
    script = rehearsal.script
    assert (rehearsal.title, rehearsal.folder) == ("A table for two", Path("rehearsals"))
    assert (script.agent.entrypoint, script.agent.options) == ("agents:booking", {"greeting": "Hello."})
    assert script.caller == [
        Step(say="A table, please.", expect=["for how many", "when"]),
        Step(press="2#", after="how many", tool="book_table"),
        Step(hang_up=True),
    ]
    assert texts(script.greeting.expect) == ["hello"]
    assert (rehearsal.line("caller[1].after"), rehearsal.line("call.ended_by")) == (19, 26)


def test_its_title_is_by_default_that_of_its_file() -> None:
    assert read('[[caller]]\nsay = "Hello."', "some/where/hello.toml").title == "hello"


@pytest.mark.parametrize(
    "step, does",
    [
        ('say = "Hi."', "says “Hi.”"),
        ('press = "12#"', "presses 12#"),
        ('noise = "cough"', "makes a noise: cough"),
        ("wait_s = 2.5", "waits 2.5 s"),
        ("hang_up = true", "hangs up"),
    ],
)
def test_each_step_in_words(step: str, does: str) -> None:
    assert read(f"[[caller]]\n{step}").script.caller[0].does == does


@pytest.mark.parametrize(
    "text, told",
    [
        ("", ["table.toml: caller: is missing: at least one step, as in"]),
        (
            "[rehearsal]\nlinger = 3",
            ["table.toml:2: rehearsal.linger: is not a setting; did you mean `linger_s`?"],
        ),
        (
            '[[caller]]\nsay = "Hi."\npress = "1"',
            [
                "table.toml:3: caller[0].press: a step does one of say, press, noise, wait_s, hang_up, not say "
                "and press"
            ],
        ),
        ('[[caller]]\nexpect = "hi"', ["table.toml:1: caller[0]: a step does one of say, press"]),
        (
            '[[caller]]\nsay = "..."',
            ["table.toml:2: caller[0].say: has no word in it; for a pause there is wait_s"],
        ),
        ('[[caller]]\npress = "1 2"', ["table.toml:2: caller[0].press: must be keys of a telephone"]),
        (
            '[[caller]]\nnoise = "bang"',
            ['table.toml:2: caller[0].noise: must be one of "hiss", "cough", "music"'],
        ),
        ("[[caller]]\nhang_up = false", ["table.toml:2: caller[0].hang_up: "]),
        (
            '[[caller]]\nsay = "Hi."\nexpect = "("',
            ["table.toml:3: caller[0].expect: '(' is no regular expression: missing )"],
        ),
        (
            '[[caller]]\nsay = "Hi."\nafter = "["',
            ["table.toml:3: caller[0].after: '[' is no regular expression"],
        ),
        (
            '[greeting]\nexpect = 7\n[[caller]]\nsay = "Hi."',
            ["table.toml:2: greeting.expect: must be text in quotes, or a list of such"],
        ),
        (
            '[[caller]]\nsay = "Hi."\nafter_s = 1\ninterrupt_after_ms = 2',
            [
                "table.toml:3: caller[0].after_s: a step has one of after_silence_ms, interrupt_after_ms, after_s"
            ],
        ),
        (
            '[[caller]]\nsay = "Hi."\nafter = "x"\ninterrupt_after_ms = 2',
            ["table.toml:3: caller[0].after: is heard when an utterance is over"],
        ),
        (
            '[[caller]]\npress = "1"\nheard_as = ""\ndbfs = -3',
            [
                "table.toml:3: caller[0].heard_as: is for a step with say alone",
                "table.toml:4: caller[0].dbfs: is for a step with noise alone",
            ],
        ),
        (
            '[[caller]]\nhang_up = true\n[[caller]]\nsay = "Hi."',
            ["table.toml:2: caller[0].hang_up: must be the last step: nothing can follow it"],
        ),
        (
            '[call]\ntool = ["book", "book:nonsense"]\n[[caller]]\nsay = "Hi."',
            [
                "table.toml:2: call.tool: 'book:nonsense' ends in no outcome; there are done, failed, late, ref"
            ],
        ),
        (
            '[[caller]]\nsay = "Hi."\nsends_digits = "one"',
            ["table.toml:3: caller[0].sends_digits: must be keys: 0-9, *, #, A-D, w"],
        ),
        (
            '[engines]\nllm = "emulated"\n[[caller]]\nsay = "Hi."',
            ["table.toml: model: is missing: an emulated language model answers by the rules in [[model]]"],
        ),
        (
            '[call]\nended_by = "nobody"\n[[caller]]\nsay = 3\nwithin_ms = -1',
            [
                'table.toml:2: call.ended_by: must be one of "agent", "caller", "transfer"',
                "table.toml:4: caller[0].say: must be text in quotes, not a whole number",
                "table.toml:5: caller[0].within_ms: must be >= 0",
            ],
        ),
    ],
)
def test_mistakes_are_all_told_by_line(text: str, told: list[str]) -> None:
    with pytest.raises(FilesRefused) as refused:
        read(text)
    found = list(map(str, refused.value.problems))
    assert len(found) == len(told), found
    for problem, beginning in zip(found, told, strict=True):
        assert problem.startswith(beginning)


def test_it_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "table.toml"
    path.write_text(WHOLE, "utf-8")
    assert read_script(path).path == str(path)
