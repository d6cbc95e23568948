"""A message: what ends it, and what is kept of it."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.media.recorder import TAIL_MS, Recorder, Recording
from bridge.media.vad import WINDOW_MS
from telephony_codecs.formats import MULAW_8K

SPEECH, SILENCE = 0.95, 0.02
Stretch = tuple[float, float]  # probability, for so many windows


def fed(recorder: Recorder, stretches: list[Stretch], start_ms: float = 0.0) -> int:
    """Have it hear `stretches`. Returns how many windows it took until it was over; its audio tells windows apart."""
    number = 0
    for probability, windows in stretches:
        for _ in range(int(windows)):
            if recorder.by is not None:
                return number
            recorder.feed(sound(number))
            number += 1
            recorder.window(probability, -20.0, start_ms + number * WINDOW_MS)
    return number


def sound(number: int) -> bytes:
    """The caller's audio of one window."""
    return bytes([number % 256]) * MULAW_8K.bytes_in(WINDOW_MS)


def kept(windows: int) -> bytes:
    """All audio up to a window's end, and the tail behind it."""
    audio = b"".join(map(sound, range(windows + 20)))
    return audio[: MULAW_8K.bytes_in(windows * WINDOW_MS + TAIL_MS)]


def recorder(*, start_ms: float = 0.0, max_s: float = 60.0, silence_s: float = 1.6) -> Recorder:
    """Of 1.6 s of silence, which is 50 windows."""
    return Recorder(start_ms=start_ms, max_s=max_s, silence_s=silence_s)


@pytest.mark.parametrize("start_ms", [0.0, 123_456.0])
def test_silence_behind_what_was_said_ends_it_and_is_cut(start_ms: float) -> None:
    taken = recorder(start_ms=start_ms)
    assert fed(taken, [(SILENCE, 10), (SPEECH, 20), (SILENCE, 100)], start_ms) == 80
    assert taken.take("limit") == Recording(kept(30), round(30 * WINDOW_MS + TAIL_MS), "silence")


def test_pauses_do_not_end_it() -> None:
    taken = recorder()
    assert fed(taken, [(SPEECH, 10), (SILENCE, 49), (SPEECH, 5), (SILENCE, 49), (SPEECH, 5)]) == 118
    assert taken.by is None
    assert taken.take("digit") == Recording(kept(118)[: len(sound(0)) * 118], 3776, "digit")


def test_silence_alone_ends_it_and_nothing_is_kept() -> None:
    taken = recorder()
    assert fed(taken, [(SILENCE, 100)]) == 50
    assert taken.take("limit") == Recording(b"", 0, "silence")


def test_a_cough_is_no_message() -> None:
    taken = recorder()
    assert fed(taken, [(SILENCE, 10), (SPEECH, 1), (SILENCE, 100)]) == 50
    assert taken.take("limit").audio == b""


def test_who_begins_to_talk_late_is_heard_out() -> None:
    taken = recorder()
    assert fed(taken, [(SILENCE, 48), (SPEECH, 100), (SILENCE, 10)]) == 158
    assert taken.by is None


def test_no_longer_than_it_may_be_to_the_byte() -> None:
    taken = recorder(max_s=1.0)
    fed(taken, [(SPEECH, 100)])
    recording = taken.take("hang_up")
    assert (len(recording.audio), recording.ms, recording.by) == (8000, 1000, "limit")


@pytest.mark.parametrize("by", ["digit", "hang_up"])
def test_however_it_ends_the_silence_behind_it_is_cut(by: str) -> None:
    taken = recorder()
    fed(taken, [(SPEECH, 20), (SILENCE, 40)])
    assert taken.take(by) == Recording(kept(20), round(20 * WINDOW_MS + TAIL_MS), by)  # type: ignore[arg-type]


def test_what_was_said_before_it_began_is_none_of_it() -> None:
    """The detector is behind: windows still come of audio that the recorder never had."""
    taken = recorder(start_ms=1000.0)
    for number in range(1, 32):
        taken.window(SPEECH, -20.0, number * WINDOW_MS)
    assert taken.take("hang_up").audio == b""


def test_once_it_is_over_it_takes_nothing_more() -> None:
    taken = recorder()
    fed(taken, [(SPEECH, 10), (SILENCE, 60)])
    taken.feed(bytes(80_000))
    taken.window(SPEECH, -20.0, 100_000.0)
    assert taken.take("digit") == Recording(kept(10), round(10 * WINDOW_MS + TAIL_MS), "silence")


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.4, 0.62, 0.95]), st.integers(1, 60)), max_size=12),
    st.floats(0.1, 20.0),
)
def test_it_is_a_beginning_of_what_came_and_never_too_long(stretches: list[Stretch], max_s: float) -> None:
    taken = recorder(max_s=max_s)
    windows = fed(taken, stretches)
    recording = taken.take("hang_up")
    assert b"".join(map(sound, range(windows))).startswith(recording.audio)
    assert len(recording.audio) <= max_s * 8000
    assert recording.ms == round(len(recording.audio) / 8)
    if recording.by == "hang_up":
        assert sum(n for _, n in stretches) == windows


def test_what_is_taken_is_over_and_nothing_more_is_kept() -> None:
    """A socket that was replaced may still deliver what it has."""
    taken = recorder()
    fed(taken, [(SPEECH, 20)])
    assert taken.take("hang_up").by == "hang_up"
    fed(taken, [(SPEECH, 20)])
    taken.feed(sound(1))
    assert taken.by == "hang_up"
    assert taken.take("limit") == Recording(b"", 0, "hang_up")


def test_ten_minutes_are_ten_minutes_of_memory_and_no_more() -> None:
    taken = recorder(max_s=600.0)
    more, size = bytes(MULAW_8K.bytes_in(660_000)), MULAW_8K.bytes_in(600_000)
    taken.window(SPEECH, -20.0, WINDOW_MS)
    tracemalloc.start()
    try:
        for at in range(0, len(more), 1600):
            taken.feed(more[at : at + 1600])
        assert tracemalloc.get_traced_memory()[1] < 1.3 * size
    finally:
        tracemalloc.stop()
    assert taken.by == "limit"
