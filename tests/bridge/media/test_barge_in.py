"""When to stop talking and when the caller is done: tables of windows in, verdicts out."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.media.barge_in import (
    BARGE_IN_TABLE,
    TURN_TABLE,
    BargeIn,
    BargeInPolicy,
    Evidence,
    Listening,
    SpeechEnded,
    SpeechStarted,
    Turn,
    TurnDetector,
    TurnPolicy,
    Verdict,
    Voice,
)
from bridge.media.vad import WINDOW_MS

LOUD_DBFS = -26.0

_LETTERS = {Verdict.NONE: ".", Verdict.HOLD: "h", Verdict.RELEASE: "r", Verdict.COMMIT: "C"}

# Probabilities of windows running, in tenths: 7 and over is speech, 5 and 6 may be, less is quiet.
VERDICTS = {
    "nothing is said": ("0000", "...."),
    "two windows of speech commit, the first holds": ("077", ".hC"),
    "a window that may be speech holds as well": ("0577", ".h.C"),
    "a quiet window between starts the count again": ("07077", ".h..C"),
    "a window that may be speech starts it again too": ("07677", ".h..C"),
    "two quiet windows release": ("0700", ".h.r"),
    "quiet windows before a hold are not doubts about it": ("000070", "....h."),
    "a hold may be followed by another": ("07007007", ".h.rh.rh"),
    "patience ends a hold, and quiet must come before the next": ("56565656505", "h....r....h"),
    "speech commits even after patience has ended": ("565656577", "h....r..C"),
    "speech that goes on is committed again": ("7777", "hChC"),
}


def verdicts(barge_in: BargeIn, tenths: str, *, level_dbfs: float = LOUD_DBFS, talking: bool = True) -> str:
    """One letter for each window's verdict."""
    return "".join(
        _LETTERS[barge_in.window(int(tenth) / 10, level_dbfs, talking=talking)] for tenth in tenths
    )


@pytest.mark.parametrize(("tenths", "expected"), VERDICTS.values(), ids=VERDICTS)
def test_windows_become_verdicts(tenths: str, expected: str) -> None:
    assert verdicts(BargeIn(BargeInPolicy()), tenths) == expected


@pytest.mark.parametrize(
    ("onset_ms", "expected"),
    [(32, "C"), (33, "hC"), (64, "hC"), (65, "h.C"), (96, "h.C"), (320, "h" + "." * 8 + "C")],
)
def test_speech_must_last_for_the_onset(onset_ms: float, expected: str) -> None:
    """A hold outlasts its limit while speech goes on: letting go just before the commit helps nobody."""
    assert verdicts(BargeIn(BargeInPolicy(onset_ms=onset_ms)), "9" * len(expected)) == expected


def test_a_threshold_below_the_hold_threshold_commits() -> None:
    assert verdicts(BargeIn(BargeInPolicy(threshold=0.3)), "0333") == ".hCh"


@pytest.mark.parametrize(
    ("level_dbfs", "expected"), [(-50.1, "...."), (-50.0, "hChC")], ids=["below the gate", "at the gate"]
)
def test_sound_below_the_gate_is_our_own_echo(level_dbfs: float, expected: str) -> None:
    assert verdicts(BargeIn(BargeInPolicy(gate_dbfs=-50)), "9999", level_dbfs=level_dbfs) == expected


def test_a_gap_of_echo_breaks_the_run() -> None:
    barge_in = BargeIn(BargeInPolicy())
    assert verdicts(barge_in, "9") == "h"
    assert verdicts(barge_in, "9", level_dbfs=-60) == "."
    assert verdicts(barge_in, "9") == "."
    assert verdicts(barge_in, "9") == "C"


def test_nobody_interrupts_a_silent_bridge() -> None:
    barge_in = BargeIn(BargeInPolicy())
    assert verdicts(barge_in, "9999", talking=False) == "...."
    assert verdicts(barge_in, "99") == "hC", "what was said before the bridge talked does not count"


def test_a_hold_is_released_when_the_bridge_falls_silent() -> None:
    barge_in = BargeIn(BargeInPolicy())
    assert verdicts(barge_in, "9") == "h"
    assert verdicts(barge_in, "99", talking=False) == "r."


@pytest.mark.parametrize(
    ("mode", "speech", "digit"),
    [("off", "..", "."), ("digits", "..", "C"), ("speech", "hC", "."), ("both", "hC", "C")],
)
def test_the_mode_says_what_interrupts(mode: str, speech: str, digit: str) -> None:
    configured = BargeIn(BargeInPolicy(mode=mode))  # type: ignore[arg-type]
    changed = BargeIn(BargeInPolicy(mode="off" if mode == "both" else "both"))
    changed.set_mode(mode)  # type: ignore[arg-type]
    for barge_in in (configured, changed):
        assert verdicts(barge_in, "99") == speech
        assert _LETTERS[barge_in.digit(talking=True)] == digit
        assert barge_in.digit(talking=False) is Verdict.NONE


def test_a_hold_ends_when_the_mode_no_longer_allows_it() -> None:
    barge_in = BargeIn(BargeInPolicy())
    assert verdicts(barge_in, "9") == "h"
    barge_in.set_mode("digits")
    assert verdicts(barge_in, "99") == "r."


@pytest.mark.parametrize("forget", [BargeIn.reset, lambda b: b.digit(talking=True)], ids=["reset", "digit"])
def test_a_stop_for_another_reason_leaves_nothing_behind(forget) -> None:  # type: ignore[no-untyped-def]
    barge_in = BargeIn(BargeInPolicy())
    assert verdicts(barge_in, "9") == "h"
    forget(barge_in)
    assert verdicts(barge_in, "099") == ".hC"


def test_the_tables_cover_what_can_happen() -> None:
    only_in_a_hold = {Evidence.DOUBT, Evidence.IMPATIENCE}
    possible = {
        (state, evidence)
        for state, evidence in itertools.product(Listening, Evidence)
        if state is Listening.HELD or evidence not in only_in_a_hold
    }
    assert set(BARGE_IN_TABLE) == possible
    impossible = {(Turn.SILENT, Voice.HANGOVER), (Turn.SPEAKING, Voice.ONSET)}
    assert set(TURN_TABLE) == set(itertools.product(Turn, Voice)) - impossible


_windows = st.lists(st.tuples(st.floats(0, 1), st.floats(-90, 0), st.booleans()), max_size=200)


@given(_windows)
def test_a_hold_always_ends_and_never_comes_twice(windows: list[tuple[float, float, bool]]) -> None:
    barge_in, held = BargeIn(BargeInPolicy()), 0
    for probability, level_dbfs, talking in windows:
        verdict = barge_in.window(probability, level_dbfs, talking=talking)
        if verdict is Verdict.HOLD:
            assert held == 0
            held = 1
        elif verdict is Verdict.RELEASE:
            assert held
            held = 0
        elif verdict is Verdict.COMMIT:
            held = 0
        elif held:
            held += 1
        # 160 ms and the window of speech that may be under way when they are over.
        assert held <= 6


# --- The caller's turn ---------------------------------------------------------------------------------------


def turns(
    detector: TurnDetector, tenths: str, *, level_dbfs: float = LOUD_DBFS, talking: bool = False
) -> list[SpeechStarted | SpeechEnded]:
    events = (
        detector.window(int(tenth) / 10, level_dbfs, WINDOW_MS * index, talking=talking)
        for index, tenth in enumerate(tenths, start=1)
    )
    return [event for event in events if event]


HANGOVER = "0" * 19  # 600 ms and a bit

TURNS = {
    "silence": ("0" * 100, []),
    "one window is no speech": ("09" * 20, []),
    "speech starts where its first window did": ("0099", [SpeechStarted(64)]),
    "speech ends after the hangover, where its last window did": (
        "0099" + HANGOVER,
        [SpeechStarted(64), SpeechEnded(64, 128)],
    ),
    "one window less and it goes on": ("0099" + HANGOVER[1:], [SpeechStarted(64)]),
    "a pause within the hangover is part of it": (
        "99" + HANGOVER[1:] + "4" + HANGOVER,
        [SpeechStarted(0), SpeechEnded(0, 21 * WINDOW_MS)],
    ),
    "speech that fades still goes on": ("99" + "4" * 60, [SpeechStarted(0)]),
    "fading does not start it": ("4" * 60, []),
    "a second turn": (
        "99" + HANGOVER + "99",
        [SpeechStarted(0), SpeechEnded(0, 64), SpeechStarted(21 * WINDOW_MS)],
    ),
}


@pytest.mark.parametrize(("tenths", "expected"), TURNS.values(), ids=TURNS)
def test_windows_become_turns(tenths: str, expected: list[SpeechStarted | SpeechEnded]) -> None:
    assert turns(TurnDetector(), tenths) == expected


@pytest.mark.parametrize(
    ("level_dbfs", "talking", "heard"),
    [(-55.0, True, False), (-55.0, False, True), (-40.0, True, True), (-65.0, False, False)],
    ids=["echo", "a quiet caller", "a caller over the bridge", "next to nothing"],
)
def test_the_gate_is_lower_while_the_bridge_is_silent(level_dbfs: float, talking: bool, heard: bool) -> None:
    assert bool(turns(TurnDetector(), "999", level_dbfs=level_dbfs, talking=talking)) is heard


def test_speaking_lasts_until_the_hangover_is_over() -> None:
    detector = TurnDetector(TurnPolicy(hangover_ms=64))
    seen = []
    for index, tenth in enumerate("09900", start=1):
        detector.window(int(tenth) / 10, LOUD_DBFS, WINDOW_MS * index)
        seen.append(detector.speaking)
    assert seen == [False, False, True, True, False]


def test_dropped_audio_counts_as_silence() -> None:
    """A detector that was not run for a while leaves a gap in the time; what is in it is not known to be speech."""
    detector = TurnDetector()
    assert turns(detector, "99") == [SpeechStarted(0)]
    assert detector.window(0.0, LOUD_DBFS, 2000.0) == SpeechEnded(0, 64)
