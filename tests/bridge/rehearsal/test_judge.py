"""What a script expects, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.rehearsal.facts import Taken
from bridge.rehearsal.judge import Verdict, answer_waits, judged
from tests.support.rehearsal import call, said, script, turn


def told(verdicts: list[Verdict]) -> list[tuple[str, int, str, str, str]]:
    return [(v.where, v.line, v.expected, v.outcome, v.told) for v in verdicts]


def test_a_call_that_went_as_it_should() -> None:
    assert told(judged(script(), call())) == [
        ("greeting", 3, "says 'hello'", "pass", "“Hello.”"),
        ("step 1, says “A table.”", 6, "says 'when'", "pass", "“And when?”"),
        ("step 2, says “At eight.”", 9, "says 'goodbye'", "pass", "“Fine. Goodbye.”"),
        ("the call", 1, "takes place, within 120 s", "pass", "8.9 s; the caller hung up, as planned"),
    ]


def test_each_takes_as_long_as_its_part_of_the_call() -> None:
    assert [verdict.took_ms for verdict in judged(script(), call())] == [2000, 3000, 4000, 8900]


STEP = '[[caller]]\nsay = "A table."\n'
NEXT = '[[caller]]\nsay = "At eight."\n'


@pytest.mark.parametrize(
    "text, changes, expected, outcome, instead",
    [
        (f'{STEP}expect = "WHEN"', {}, "says 'WHEN'", "pass", "“And when?”"),
        (f'{STEP}expect = "what"\n{NEXT}', {}, "says 'what'", "fail", "“And when?”"),
        (f'{STEP}expect = "."\n{NEXT}', {"said": ()}, "says '.'", "fail", "nothing"),
        (f'{STEP}expect_not = "what"\n{NEXT}', {}, "does not say 'what'", "pass", ""),
        (f'{STEP}expect_not = "w.en"\n{NEXT}', {}, "does not say 'w.en'", "fail", "“when” in “And when?”"),
        (f"{STEP}within_ms = 800\n{NEXT}", {}, "is heard within 800 ms", "pass", "after 800 ms"),
        (f"{STEP}within_ms = 799\n{NEXT}", {}, "is heard within 799 ms", "fail", "after 800 ms"),
        (
            f"{STEP}within_ms = 500\n{NEXT}",
            {"turns": (turn(2900, 3350),)},
            "is heard within 500 ms",
            "pass",
            "after 450 ms",
        ),
        (f"{STEP}within_ms = 9\n{NEXT}", {"sounds_ms": (250,)}, "is heard within 9 ms", "fail", "nothing was heard"),
        (f'{STEP}tool = "find_table"\n{NEXT}', {}, "calls find_table", "pass", "called find_table:done"),
        (f'{STEP}tool = "book_table"\n{NEXT}', {}, "calls book_table", "fail", "called find_table:done"),
        (f'[call]\ntool = "book_table:failed"\n{STEP}', {}, "calls book_table:failed", "pass",
         "called find_table:done, book_table:failed"),
        (f'[call]\ntool = "book_table"\n{STEP}', {}, "calls book_table", "fail",
         "called find_table:done, book_table:failed"),
        (f'{STEP}sends_digits = "12"\n{NEXT}', {"digits_sent": ((3300, "1"), (3400, "2"))}, "presses 12", "pass",
         "pressed 12"),
        (f'{STEP}sends_digits = "12"\n{NEXT}', {}, "presses 12", "fail", "pressed nothing"),
        (f"{STEP}interrupts = true", {}, "interrupts the agent", "fail", "nothing was cut short"),
        (f"{STEP}interrupts = false", {}, "does not interrupt the agent", "pass", "nothing was cut short"),
        (f"{STEP}interrupts = true", {"said": (said("Hel", 500, 2200, "speech"),)}, "interrupts the agent", "pass",
         "after 1700 ms: “Hel”"),
        (f"{STEP}interrupts = false", {"said": (said("Hel", 500, 2200, "speech"),)}, "does not interrupt the agent",
         "fail", "after 1700 ms: “Hel”"),
        (f"{STEP}heard_less_than_ms = 1800", {"said": (said("Hel", 500, 2200, "speech"),)},
         "leaves less than 1800 ms heard", "pass", "1700 ms of it were heard"),
        (f"{STEP}heard_less_than_ms = 1800", {}, "leaves less than 1800 ms heard", "fail", "nothing was cut short"),
        (f"[greeting]\nwithin_ms = 150\n{STEP}", {}, "is heard within 150 ms", "pass", "after 150 ms"),
        (f"[greeting]\nwithin_ms = 149\n{STEP}", {}, "is heard within 149 ms", "fail", "after 150 ms"),
        (f'[call]\ntransferred_to = "+1"\n{STEP}', {"transferred_to": "+1"}, "is transferred to +1", "pass",
         "was transferred to +1"),
        (f'[call]\ntransferred_to = "+1"\n{STEP}', {}, "is transferred to +1", "fail", "was transferred to nobody"),
        (f'[call]\nended_by = "caller"\n{STEP}', {}, "is ended by the caller", "pass",
         "was ended by the caller: the caller hung up, as planned"),
        (f'[call]\nended_by = "agent"\n{STEP}', {}, "is ended by the agent", "fail",
         "was ended by the caller: the caller hung up, as planned"),
        (f"[call]\nshorter_than_s = 9\n{STEP}", {}, "is shorter than 9 s", "pass", "8.9 s"),
        (f"[call]\nshorter_than_s = 8\n{STEP}", {}, "is shorter than 8 s", "fail", "8.9 s"),
        (f"[call]\nwithin_ms = 900\n{STEP}{NEXT}", {}, "answers each time within 900 ms", "pass",
         "the slowest is step 2: 900 ms"),
        (f"[call]\nwithin_ms = 899\n{STEP}{NEXT}", {}, "answers each time within 899 ms", "fail",
         "the slowest is step 2: 900 ms"),
        (f"[call]\nwithin_ms = 9\n{STEP}", {"sounds_ms": ()}, "answers each time within 9 ms", "fail",
         "nothing was answered"),
        (f'[call]\nexpect = "hello.*when.*goodbye"\n{STEP}', {}, "says 'hello.*when.*goodbye'", "pass",
         "“Hello. And when? Fine. Goodbye.”"),
        (f"[rehearsal]\ndeadline_s = 8\n{STEP}", {}, "takes place, within 8 s", "fail",
         "8.9 s; the caller hung up, as planned"),
    ],
)  # fmt: skip
def test_each_expectation(
    text: str, changes: dict[str, Any], expected: str, outcome: str, instead: str
) -> None:
    (verdict,) = [v for v in judged(script(text), call(**changes)) if v.expected == expected]
    assert (verdict.outcome, verdict.told) == (outcome, instead)
    assert verdict.failed == (outcome == "fail")


def test_what_has_no_words_is_not_answered() -> None:
    text = f'[[caller]]\nnoise = "cough"\n{NEXT}heard_as = ""\n'
    assert answer_waits(script(text), call()) == []
    assert answer_waits(script(), call()) == [(800, 0), (900, 1)]


def test_a_step_of_which_nothing_is_expected_is_to_be_reached() -> None:
    (verdict, _) = judged(script(STEP), call())
    assert (verdict.expected, verdict.outcome, verdict.told) == ("is reached", "pass", "at 2000 ms")


def test_a_step_that_was_never_taken_fails_and_what_follows_is_skipped() -> None:
    text = f'{STEP}\n[[caller]]\nsay = "At eight."\nafter = "what time"\nexpect = "fine"\n[[caller]]\nhang_up = true'
    facts = call(
        taken=(Taken(2000, 3000, 2900),), ending="the caller hung up, the bridge was silent for 15 s"
    )
    verdicts = judged(script(text), facts)
    assert [(verdict.line, verdict.outcome) for verdict in verdicts] == [
        (1, "pass"),
        (4, "fail"),
        (8, "skip"),
        (1, "pass"),
    ]
    assert verdicts[1].told == (
        "the call was over before: the caller hung up, the bridge was silent for 15 s; it waits for 'what time'; "
        "the last that was heard is “Fine. Goodbye.”"
    )


def test_a_step_that_is_to_interrupt_and_never_can_says_so() -> None:
    (verdict, _) = judged(script(f"{STEP}interrupt_after_ms = 2500"), call(taken=()))
    assert "it waits until the agent has spoken for 2500 ms; " in verdict.told


def test_an_agent_whose_code_fails_has_failed_whatever_is_expected() -> None:
    *_, verdict = judged(script(STEP), call(agent_failed="KeyError: 'x'"))
    assert (verdict.expected, verdict.told) == ("the agent's code does not fail", "KeyError: 'x'")
    assert verdict.failed


def test_a_call_that_did_not_take_place() -> None:
    verdicts = judged(script(), call(taken=(), said=(), failure="webhook refused: 503"))
    assert [(verdict.expected, verdict.outcome) for verdict in verdicts] == [
        ("says 'hello'", "fail"),
        ("is reached", "fail"),
        ("what is expected of it", "skip"),
        ("takes place", "fail"),
    ]
    assert verdicts[1].told == "there was no call: webhook refused: 503"
    assert verdicts[3].told == "webhook refused: 503"


def test_what_is_said_in_answer_to_one_step_is_none_to_the_next() -> None:
    """However long it is heard."""
    answer = said("And when?", 4900, 5600)
    verdicts = judged(script(), call(said=(said("Hello.", 150, 1200), answer)))
    assert [verdict.outcome for verdict in verdicts] == ["pass", "pass", "fail", "pass"]
