"""Known recordings found in what is heard, however it was cut, broken off or damaged."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.emulators.known_voices import KnownVoices
from bridge.emulators.recogniser import FRAME_BYTES, FRAME_MS
from telephony_codecs.g711 import alaw_to_mulaw, mulaw_encode, mulaw_to_alaw
from telephony_codecs.tones import comfort_noise, tone
from tests.support.example_counts import at_most
from tests.support.pulse_client import silence, spoken

TEXTS = (
    "Hello there, I want a table.",
    "Hello.",
    "Yes",
    "Yes please, for four people.",
    "Tonight, at eight o'clock. Is that possible?",
)
RECORDINGS = {text: spoken(text) for text in TEXTS}
VOICES = KnownVoices(RECORDINGS)
TABLE, PLEASE, TONIGHT = RECORDINGS[TEXTS[0]], RECORDINGS[TEXTS[3]], RECORDINGS[TEXTS[4]]
NOISE = mulaw_encode(comfort_noise(1000, seed=7).tobytes())


def recognised(stream: bytes, voices: KnownVoices = VOICES, chunk_bytes: int = FRAME_BYTES) -> str:
    recognition = voices.open()
    for at in range(0, len(stream), chunk_bytes):
        recognition.feed(stream[at : at + chunk_bytes])
    return " ".join(word.text for word in recognition.words())


@pytest.mark.parametrize("text", TEXTS)
def test_each_recording_is_its_text(text: str) -> None:
    assert recognised(NOISE + RECORDINGS[text] + NOISE) == text


@pytest.mark.parametrize("chunk_bytes", [1, 37, 160, 320, 4096])
def test_how_the_stream_is_cut_does_not_matter(chunk_bytes: int) -> None:
    assert recognised(silence(500) + PLEASE + silence(500), chunk_bytes=chunk_bytes) == TEXTS[3]


@pytest.mark.parametrize("gap", [silence(20), silence(700), NOISE])
@pytest.mark.parametrize("second", TEXTS)
def test_one_after_the_other(gap: bytes, second: str) -> None:
    assert recognised(TABLE + gap + RECORDINGS[second]) == f"{TEXTS[0]} {second}"


def test_the_same_again_is_said_twice() -> None:
    assert recognised((TABLE + silence(300)) * 2) == f"{TEXTS[0]} {TEXTS[0]}"


def test_what_is_broken_off_gives_the_words_up_to_there() -> None:
    frames = range(0, len(TONIGHT) // FRAME_BYTES, 2)
    stops = [recognised(TONIGHT[: FRAME_BYTES * n] + silence(600)) for n in frames]
    words = TEXTS[4].split()
    assert {stop for stop in stops if stop} == {" ".join(words[:n]) for n in range(1, len(words) + 1)}
    assert sorted(stops, key=len) == stops, "never fewer for more"
    assert recognised(TONIGHT[: FRAME_BYTES * 40] + silence(100) + PLEASE) == f"{stops[20]} {TEXTS[3]}"


def test_what_begins_in_the_middle_gives_the_words_from_there() -> None:
    heard = recognised(TONIGHT[FRAME_BYTES * 60 :])
    assert heard
    assert TEXTS[4].endswith(heard)
    assert len(heard.split()) < len(TEXTS[4].split())


@pytest.mark.parametrize("at", range(5, 60, 7))
@pytest.mark.parametrize("lost", [1, 3, 5])
def test_frames_that_are_lost(at: int, lost: int) -> None:
    damaged = TABLE[: FRAME_BYTES * at] + TABLE[FRAME_BYTES * (at + lost) :]
    assert recognised(damaged + silence(500)) == TEXTS[0]


@pytest.mark.parametrize("silent_ms", [20, 60, 300])
def test_a_hole_of_silence(silent_ms: float) -> None:
    half = len(TABLE) // 2 // FRAME_BYTES * FRAME_BYTES
    assert recognised(TABLE[:half] + silence(silent_ms) + TABLE[half:]) == TEXTS[0]


@settings(max_examples=at_most(25), deadline=None)
@given(st.integers(0, 159), st.integers(0, 50), st.integers(1, 159))
def test_frames_that_begin_anywhere(before: int, at: int, lost_bytes: int) -> None:
    """The stream begins within a frame, and once more a part of a frame is lost."""
    cut = FRAME_BYTES * at
    stream = b"\xff" * before + TABLE[:cut] + TABLE[cut + lost_bytes :] + silence(200) + PLEASE
    assert recognised(stream) == f"{TEXTS[0]} {TEXTS[3]}"


def test_a_way_through_a_law_changes_nothing() -> None:
    there_and_back = alaw_to_mulaw(mulaw_to_alaw(TABLE))
    assert there_and_back != TABLE
    assert recognised(there_and_back) == TEXTS[0]
    assert recognised(TABLE, KnownVoices({TEXTS[0]: there_and_back})) == TEXTS[0]


@pytest.mark.parametrize("stream", [NOISE, silence(1000), mulaw_encode(tone([333], 900, -15).tobytes()), b""])
def test_nothing_known_is_nothing_heard(stream: bytes) -> None:
    assert recognised(stream) == ""


def test_words_come_as_they_are_said() -> None:
    recognition = VOICES.open()
    told: list[int] = []
    for at in range(0, len(PLEASE), FRAME_BYTES):
        recognition.feed(PLEASE[at : at + FRAME_BYTES])
        told.append(len(recognition.words()))
    assert told == sorted(told)
    assert set(told) == set(range(len(TEXTS[3].split()) + 1))


def test_words_are_told_for_good_once() -> None:
    recognition = VOICES.open()
    half = len(TABLE) // 2
    recognition.feed(TABLE[:half])
    first = recognition.finish()
    assert recognition.words() == recognition.finish() == []
    recognition.feed(TABLE[half:])
    assert recognition.words()
    told = [*first, *recognition.finish()]
    assert " ".join(word.text for word in told) == TEXTS[0]
    recognition.feed(silence(1000))
    assert recognition.finish() == []


def test_where_words_are() -> None:
    recognition = VOICES.open()
    recognition.feed(silence(500) + PLEASE)
    words = recognition.finish()
    assert words[0].start_ms == 500
    assert all(a.end_ms == b.start_ms for a, b in zip(words, words[1:], strict=False))
    sound_ms = len(PLEASE) / 8 - 40  # the engine's gap after each word
    assert words[-1].end_ms == pytest.approx(500 + sound_ms, abs=FRAME_MS)


@pytest.mark.parametrize("before", [0, 1, 37, 159])
def test_where_words_are_when_frames_begin_anywhere(before: int) -> None:
    recognition = VOICES.open()
    recognition.feed(silence(500) + b"\xff" * before + PLEASE)
    assert recognition.finish()[0].start_ms == pytest.approx(500 + before / 8, abs=2)  # a period of a tone


def test_where_words_are_after_a_long_break() -> None:
    recognition = VOICES.open()
    half = FRAME_BYTES * 40
    recognition.feed(TONIGHT[:half] + silence(3000) + TONIGHT[half:])
    words = recognition.finish()
    assert any(word.end_ms <= 40 * FRAME_MS for word in words)
    assert all(word.end_ms <= 41 * FRAME_MS or word.start_ms >= 3000 for word in words)


def test_a_long_pause_of_its_own_is_none() -> None:
    """Or what comes after it would be the other one that sounds like it."""
    well = spoken("Well then,") + silence(1500) + spoken("yes.")
    assert (
        recognised(well, KnownVoices({"Well then, yes.": well, "Yes!": spoken("yes.")})) == "Well then, yes."
    )


def test_many_that_begin_alike() -> None:
    recordings = {f"first-{n} last-{n}": spoken(f"unbelievable {'x' * n}") for n in range(1, 12)}
    voices = KnownVoices(recordings)
    assert [recognised(recording, voices) for recording in recordings.values()] == list(recordings)


def test_sockets_know_nothing_of_each_other() -> None:
    one, other = VOICES.open(), VOICES.open()
    one.feed(TABLE)
    assert other.words() == []
    assert one.words()


def test_a_recording_without_sound_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing is to be heard in the recording of 'Hm'"):
        KnownVoices({"Hm": silence(500)})
