"""The line's playout buffer, in virtual time."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.emulators.carrier_buffer import CAPACITY_BYTES, SLOT_BYTES, CarrierBuffer
from bridge.emulators.recording import BridgeStarted, BridgeStopped, CallRecording, Underrun

SOUND = b"\x20"
SILENCE = b"\xff"


@dataclass
class Played:
    """What came of a scenario."""

    recording: CallRecording
    marks: list[tuple[float, str]] = field(default_factory=list)
    cleared: list[str] = field(default_factory=list)

    def underruns(self) -> list[tuple[float, float]]:
        return [(e.at_ms, e.gap_ms) for e in self.recording.entries if isinstance(e, Underrun)]

    def spans(self) -> list[tuple[str, float]]:
        kinds = {BridgeStarted: "on", BridgeStopped: "off"}
        return [(kinds[type(e)], e.at_ms) for e in self.recording.entries if type(e) in kinds]


#: At this time push so many ms of sound, set a mark of this name, or (None) clear.
Step = tuple[float, float | str | None]


def play(*steps: Step, until_ms: float, buffer_ms: float = 40, began_ms: float = 0) -> Played:
    recording = CallRecording()
    buffer = CarrierBuffer(recording, began_ms, buffer_ms=buffer_ms)
    played = Played(recording)

    def reached(at_ms: float, name: str) -> None:
        played.marks.append((at_ms, name))

    for now_ms, what in steps:
        buffer.advance(now_ms, reached)
        if what is None:
            played.cleared += buffer.clear(now_ms)[1]
        elif isinstance(what, str):
            if buffer.mark(what):
                reached(now_ms, what)
        else:
            buffer.push(now_ms, SOUND * int(what * 8))
    buffer.advance(until_ms, reached)
    return played


def heard(slots: str) -> bytes:
    """`#` is a slot of sound, `.` one of silence."""
    return b"".join((SOUND if slot == "#" else SILENCE) * SLOT_BYTES for slot in slots)


@pytest.mark.parametrize(
    ("steps", "buffer_ms", "slots"),
    [
        ([], 40, "......"),
        ([(0, 60)], 0, ".###.."),
        ([(0, 60)], 40, ".###.."),
        ([(0, 20), (20, 20)], 40, "..##.."),  # waits for 40 ms of sound
        ([(0, 20)], 40, "..#..."),  # or for 40 ms of time, when there is no more sound
        ([(0, 20), (50, 20)], 0, ".#.#.."),
        ([(0, 100), (30, None)], 0, ".#...."),
        ([(0, 100), (30, None), (30, 40)], 0, ".###.."),  # what comes after a clear is played
    ],
)
def test_the_caller_hears(steps: list[Step], buffer_ms: float, slots: str) -> None:
    played = play(*steps, until_ms=100, buffer_ms=buffer_ms)
    assert bytes(played.recording.heard) == heard(slots)


def test_half_a_slot_is_filled_with_silence() -> None:
    played = play((0, 30), until_ms=60, buffer_ms=0)
    assert bytes(played.recording.heard) == heard(".#") + SOUND * 80 + SILENCE * 80 + heard(".")


def test_slots_are_counted_from_when_the_stream_began() -> None:
    played = play((1003, 40), until_ms=1060, buffer_ms=0, began_ms=1003)
    assert bytes(played.recording.heard) == heard(".##")
    assert played.spans() == [("on", 1023)]


@pytest.mark.parametrize(
    ("steps", "marks"),
    [
        ([(0, "a")], [(0, "a")]),  # nothing queued: at once
        ([(0, 40), (0, "a")], [(60, "a")]),  # plays from 20 to 60
        ([(0, 40), (0, "a"), (0, "b")], [(60, "a"), (60, "b")]),
        ([(0, 20), (0, "a"), (0, 40), (0, "b")], [(40, "a"), (80, "b")]),
        ([(0, 20), (30, "a")], [(40, "a")]),  # taken, but not played to its end
        ([(0, 20), (40, "a")], [(40, "a")]),
        ([(0, 30), (0, "a")], [(60, "a")]),  # half a slot counts as a whole one
        ([(0, 100), (0, "a"), (30, None)], []),
        ([(0, 100), (30, None), (30, "a")], [(30, "a")]),
    ],
)
def test_a_mark_is_reached_when_all_before_it_is_played(
    steps: list[Step], marks: list[tuple[float, str]]
) -> None:
    assert play(*steps, until_ms=200, buffer_ms=0).marks == marks


def test_a_clear_hands_back_all_that_waits() -> None:
    recording = CallRecording()
    buffer = CarrierBuffer(recording, 0, buffer_ms=0)
    buffer.push(0, SOUND * 800)
    buffer.mark("a")
    buffer.mark("b")
    buffer.advance(20, lambda *_: pytest.fail("no mark is due"))
    assert buffer.clear(25) == (60, ["a", "b"])
    assert buffer.clear(25) == (0, [])
    assert recording.entries == [BridgeStarted(at_ms=0), BridgeStopped(at_ms=25)]


@pytest.mark.parametrize(
    ("story", "steps", "underruns"),
    [
        ("a burst", [(0, 400)], []),
        ("20 ms each 20 ms", [(n * 20.0, 20) for n in range(20)], []),
        ("one packet 20 ms late", [(n * 20.0 + 20 * (n >= 10), 20) for n in range(20)], []),
        ("and one 80 ms late", [(n * 20.0 + 80 * (n >= 10), 20) for n in range(20)], [(240, 80)]),
        ("a stall", [(0, 100), (200, 100)], [(120, 100)]),
        ("a stall in half a slot", [(0, 90), (200, 100)], [(110, 110)]),
        ("a stall, and then crumbs", [(0, 100), (200, 20), (210, 20)], [(120, 100)]),
        ("two stalls", [(0, 100), (200, 100), (400, 100)], [(120, 100), (320, 100)]),
        ("400 ms of pause", [(0, 100), (520, 100)], [(120, 420)]),
        ("more, so another utterance", [(0, 100), (521, 100)], []),
        ("a mark between", [(0, 100), (0, "end"), (200, 100)], []),
        ("a mark between, a little late", [(0, 100), (150, "end"), (200, 100)], []),
        ("a mark before the end", [(0, 80), (0, "middle"), (0, 20), (200, 100)], [(120, 100)]),
        ("a mark after the stall", [(0, 100), (200, 100), (200, "end")], [(120, 100)]),
        ("a mark between, one after", [(0, 100), (0, "a"), (200, 20), (200, "b")], []),
        ("a clear between", [(0, 100), (130, None), (200, 100)], []),
        ("a clear while it played", [(0, 100), (70, None), (200, 100)], []),
    ],
)
def test_underruns(story: str, steps: list[Step], underruns: list[tuple[float, float]]) -> None:
    assert play(*steps, until_ms=1000).underruns() == underruns, story


def test_it_notes_when_the_bridge_is_heard() -> None:
    played = play((0, 100), (0, "end"), (300, 100), (350, None), until_ms=1000)
    assert played.spans() == [("on", 20), ("off", 120), ("on", 320), ("off", 350)]


def test_silence_is_played_but_is_not_speech() -> None:
    buffer = CarrierBuffer(CallRecording(), 0, buffer_ms=0)
    buffer.push(0, (SOUND + SILENCE + b"\x7f") * 160)
    buffer.push(0, SILENCE * SLOT_BYTES + b"\x7f" * SLOT_BYTES)
    buffer.advance(200, lambda *_: None)
    assert (buffer.spoken_ms, buffer.spoke_until_ms) == (60, 60)


def test_ten_minutes_are_the_most_that_it_holds() -> None:
    buffer = CarrierBuffer(CallRecording(), 0)
    assert buffer.push(0, SOUND * CAPACITY_BYTES)
    assert not buffer.push(0, SOUND)
    assert buffer.queued_ms == 600_000
    buffer.advance(0, lambda *_: None)
    assert buffer.push(0, SOUND * SLOT_BYTES)


_TIMES = st.floats(0, 2000).map(lambda ms: round(ms, 1))
_STEPS = st.lists(
    st.tuples(_TIMES, st.one_of(st.integers(1, 200), st.sampled_from(["a", "b", "c"]), st.none())),
    max_size=30,
).map(lambda steps: sorted(steps, key=lambda step: step[0]))


@given(_STEPS, st.sampled_from([0, 40, 100]))
def test_every_mark_comes_back_once_and_every_slot_is_filled(steps: list[Step], buffer_ms: float) -> None:
    played = play(*steps, until_ms=9980, buffer_ms=buffer_ms)
    asked = [what for _, what in steps if isinstance(what, str)]
    assert sorted([name for _, name in played.marks] + played.cleared) == sorted(asked)
    assert len(played.recording.heard) == 500 * SLOT_BYTES
    if not any(what is None for _, what in steps):
        pushed = sum(int(what * 8) for _, what in steps if isinstance(what, float | int))
        assert bytes(played.recording.heard).count(SOUND) == pushed


@given(_STEPS, st.lists(_TIMES, max_size=20))
def test_how_often_it_is_asked_changes_nothing(steps: list[Step], looks: list[float]) -> None:
    # A push of no audio does nothing but advance.
    looked = sorted([*steps, *((at_ms, 0) for at_ms in looks)], key=lambda step: step[0])
    once, often = play(*steps, until_ms=3000), play(*looked, until_ms=3000)
    assert once.recording.heard == often.recording.heard
    assert once.recording.entries == often.recording.entries
    assert once.marks == often.marks
