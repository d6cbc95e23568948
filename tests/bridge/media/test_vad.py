"""The shared detector: what goes into the model, what is remembered of whom, and what it says of real sound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.media.barge_in import BargeIn, BargeInPolicy, Verdict
from bridge.media.silero import CONTEXT_SAMPLES, WINDOW_SAMPLES, Floats
from bridge.media.vad import (
    DITHER_DBFS,
    MAX_PENDING_MS,
    RESET_EVERY_WINDOWS,
    RESET_QUIET_WINDOWS,
    WINDOW_MS,
    SpeechDetector,
    Window,
)
from telephony_codecs.pcm import SILENCE_DBFS
from tests.support import speech
from tests.support.speech import Signal, packets, to_mulaw

WINDOW = WINDOW_SAMPLES  # bytes of mu-law in a window
SILENCE = b"\xff" * WINDOW
PACKET_MS = 20.0


class Loudness:
    """A model with nothing to learn: speech is what is loud. Remembers how many windows each row has had."""

    def __init__(self) -> None:
        self.heard: list[Floats] = []
        self.ages: list[list[float]] = []

    def __call__(self, windows: Floats, state: Floats) -> tuple[Floats, Floats]:
        self.heard.append(windows)
        self.ages.append(state[0, :, 0].tolist())
        return np.abs(windows[:, CONTEXT_SAMPLES:]).mean(axis=1), state + 1


def drain(detector: SpeechDetector, limit: int = 64) -> list[Window]:
    windows = []
    while detector.due:
        windows += detector.run(limit)
    return windows


def random_mulaw(size: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8).tobytes()


# --- Windows out of packets ----------------------------------------------------------------------------------


@given(cuts=st.lists(st.integers(0, 700), max_size=12))
def test_how_the_audio_is_cut_makes_no_difference(cuts: list[int]) -> None:
    audio = random_mulaw(8 * WINDOW + 100)
    whole, cut = SpeechDetector(model=Loudness()), SpeechDetector(model=Loudness())
    whole.open().push(audio)
    stream, at = cut.open(), 0
    for size in [*cuts, len(audio)]:
        stream.push(audio[at : at + size])
        at += size
    assert [window[1:] for window in drain(cut)] == [window[1:] for window in drain(whole)]


def test_a_window_is_due_with_its_last_byte() -> None:
    detector = SpeechDetector(model=Loudness())
    stream = detector.open()
    stream.push(SILENCE[1:])
    assert (detector.due, detector.run()) == (0, [])
    stream.push(b"\xff")
    assert detector.due == 1
    assert [(w.stream, w.end_ms) for w in detector.run()] == [(stream, WINDOW_MS)]
    assert detector.due == 0


def test_each_window_comes_with_the_end_of_the_one_before() -> None:
    model = Loudness()
    detector = SpeechDetector(model=model)
    detector.open().push(random_mulaw(3 * WINDOW))
    drain(detector)
    first, second, third = (windows[0] for windows in model.heard)
    dither = 6 * 10 ** (DITHER_DBFS / 20)
    assert np.abs(first[:CONTEXT_SAMPLES]).max() < dither
    assert second[:CONTEXT_SAMPLES] == pytest.approx(first[-CONTEXT_SAMPLES:], abs=1e-6)
    assert third[:CONTEXT_SAMPLES] == pytest.approx(second[-CONTEXT_SAMPLES:], abs=1e-6)


@pytest.mark.parametrize(
    ("mulaw", "level_dbfs"),
    [(b"\xff", SILENCE_DBFS), (b"\x80", -0.1), (b"\x00\x80", -0.1), (b"\x8f", -5.8)],
    ids=["digital silence", "full scale", "full-scale square", "half scale"],
)
def test_the_level_is_that_of_the_audio_alone(mulaw: bytes, level_dbfs: float) -> None:
    detector = SpeechDetector(model=Loudness())
    detector.open().push((mulaw * WINDOW)[:WINDOW])
    [window] = detector.run()
    assert window.level_dbfs == pytest.approx(level_dbfs, abs=0.1)


# --- Many calls ----------------------------------------------------------------------------------------------


def test_a_batch_takes_one_window_of_each_call_in_order_of_need() -> None:
    detector = SpeechDetector(model=Loudness())
    hurried, calm = detector.open(), detector.open()
    hurried.push(SILENCE * 3)
    calm.push(SILENCE)
    batches = [[window.stream for window in detector.run(limit)] for limit in (1, 64, 64, 64)]
    assert batches == [[hurried], [calm, hurried], [hurried], []]


def test_batched_is_as_good_as_alone() -> None:
    lines = [to_mulaw(speech.pink_noise(1, -50 + 5 * seed, seed)) for seed in range(8)]
    together, alone = SpeechDetector(), SpeechDetector()
    shared = [together.open() for _ in lines]
    for stream, line in zip(shared, lines, strict=True):
        stream.push(line)
    windows = drain(together)
    assert len(windows) == 8 * 31
    for stream, line in zip(shared, lines, strict=True):
        alone.open().push(line)
        expected = [window.probability for window in drain(alone, limit=1)]
        assert [w.probability for w in windows if w.stream is stream] == pytest.approx(expected, abs=1e-5)


def test_memory_grows_with_the_calls_and_keeps_what_it_knows() -> None:
    model = Loudness()
    detector = SpeechDetector(model=model)
    streams = [detector.open() for _ in range(3)]
    for stream in streams:
        stream.push(SILENCE)
    drain(detector)
    streams += [detector.open() for _ in range(100)]
    for stream in streams:
        stream.push(SILENCE)
    drain(detector, limit=1000)
    assert model.ages[-1] == [1.0] * 3 + [0.0] * 100
    assert len({stream.slot for stream in streams}) == 103
    assert detector.streams == 103
    detector.close(streams.pop())
    assert detector.streams == 102


# --- The end of a call ---------------------------------------------------------------------------------------


def test_nothing_of_a_call_reaches_the_next_in_its_slot() -> None:
    model = Loudness()
    detector = SpeechDetector(model=model)
    first = detector.open()
    first.push(random_mulaw(2 * WINDOW + 100))
    drain(detector)
    slot = first.slot
    detector.close(first)
    second = detector.open()
    assert second.slot == slot
    second.push(SILENCE)
    [window] = detector.run()
    assert (window.stream, window.end_ms, model.ages[-1]) == (second, WINDOW_MS, [0.0])
    assert np.abs(model.heard[-1]).max() < 6 * 10 ** (DITHER_DBFS / 20)


def test_a_closed_call_is_not_looked_at_any_more() -> None:
    detector = SpeechDetector(model=Loudness())
    stays, goes = detector.open(), detector.open()
    for stream in (goes, stays):
        stream.push(SILENCE)
    detector.close(goes)
    detector.close(goes)
    goes.push(random_mulaw(10 * 8000))
    assert [window.stream for window in drain(detector)] == [stays]
    assert len(goes.buffer) < 2 * 8000
    assert detector.open().slot != detector.open().slot, "closed twice, free once"


def test_what_waits_is_bounded_and_time_goes_on() -> None:
    detector = SpeechDetector(model=Loudness())
    stream = detector.open()
    for packet in packets(random_mulaw(3 * 8000)):
        stream.push(packet)
    windows = drain(detector)
    assert len(windows) * WINDOW_MS <= MAX_PENDING_MS
    assert detector.stats.dropped_windows == 3000 // WINDOW_MS - len(windows)
    assert windows[-1].end_ms == 3000 // WINDOW_MS * WINDOW_MS


# --- Drift ---------------------------------------------------------------------------------------------------


def ages_after(*levels: bool) -> list[float]:
    """How many windows the memory goes back at each window; True is a loud one, that is speech to `Loudness`."""
    model = Loudness()
    detector = SpeechDetector(model=model)
    stream = detector.open()
    for loud in levels:
        stream.push(b"\x80" * WINDOW if loud else SILENCE)
        drain(detector)
    return [age for [age] in model.ages]


def test_memory_is_wiped_after_quiet_and_not_too_often() -> None:
    ages = ages_after(*[False] * (2 * RESET_EVERY_WINDOWS + 1))
    assert ages == [*range(RESET_EVERY_WINDOWS), *range(RESET_EVERY_WINDOWS), 0]


def test_memory_is_not_wiped_while_somebody_speaks() -> None:
    speaking = RESET_EVERY_WINDOWS + 50
    ages = ages_after(*[True] * speaking, *[False] * (RESET_QUIET_WINDOWS + 1))
    assert ages == [*range(speaking + RESET_QUIET_WINDOWS), 0]


def test_a_loud_window_starts_the_quiet_again() -> None:
    levels = [False] * (RESET_EVERY_WINDOWS - 1) + [True] + [False] * (RESET_QUIET_WINDOWS + 1)
    assert ages_after(*levels)[-2:] == [RESET_EVERY_WINDOWS + RESET_QUIET_WINDOWS - 1, 0]


# --- Real sound, through detector and barge-in as a call has it ---------------------------------------------------


def commits_ms(signal: Signal) -> list[float]:
    """When the bridge, talking all the while, would have stopped; the clock is that of the packets."""
    detector, barge_in = SpeechDetector(), BargeIn(BargeInPolicy())
    stream, stops = detector.open(), []
    for index, packet in enumerate(packets(to_mulaw(signal)), start=1):
        stream.push(packet)
        for window in drain(detector):
            if barge_in.window(window.probability, window.level_dbfs, talking=True) is Verdict.COMMIT:
                stops.append(index * PACKET_MS)
    return stops


NOT_SPEECH = {
    "digital silence": speech.silence(10),
    "comfort noise": speech.white_noise(10, -45, seed=1),
    "loud noise": speech.white_noise(10, -20, seed=2),
    "a noisy street": speech.pink_noise(10, -30, seed=3),
    "keys": speech.dtmf(10),
    "ringing": speech.cadence(speech.tones(2, -19, 440, 480), 2, 4, 12),
    "a busy line": speech.cadence(speech.tones(0.5, -19, 480, 620), 0.5, 0.5, 10),
    "hum": speech.hum(10, -30),
}


@pytest.mark.parametrize("signal", NOT_SPEECH.values(), ids=NOT_SPEECH)
def test_what_is_not_speech_does_not_interrupt(signal: Signal) -> None:
    assert commits_ms(signal) == []


def spoken(lead: Signal) -> tuple[Signal, float]:
    """`lead`, then somebody speaking; and when they begin."""
    voice = speech.load(next(path for path in speech.phrases() if path.stem == "vm-options"))[: 3 * 8000]
    line = np.concatenate([lead, speech.at_level(voice, -26)])
    begins_ms = len(lead) / 8 + speech.onset_ms(voice)
    return line + speech.white_noise(len(line) / 8000 + 1, -60, seed=4)[: len(line)], begins_ms


@pytest.mark.speech
def test_a_voice_interrupts() -> None:
    speech.require_speech()
    signal, begins_ms = spoken(speech.silence(3))
    assert begins_ms < commits_ms(signal)[0] < begins_ms + 200


@pytest.mark.speech
@pytest.mark.parametrize("seconds", [30, 60])
@pytest.mark.parametrize("track", range(5))
def test_a_voice_interrupts_after_hold_music(track: int, seconds: int) -> None:
    """The model's memory drifts in music: without the wiping, two voices in ten are missed here."""
    speech.require_speech()
    tune = speech.at_level(speech.load(speech.music()[track])[5 * 8000 :][: seconds * 8000], -26)
    signal, begins_ms = spoken(tune)
    assert [at for at in commits_ms(signal) if begins_ms < at < begins_ms + 400]


@pytest.mark.speech
def test_our_own_echo_does_not_interrupt() -> None:
    """The voice of an agent at -26 dBFS, back 30 dB weaker: at that level the model alone would hear it."""
    speech.require_speech()
    agent = np.concatenate([speech.load(path) for path in speech.phrases()[:12]])
    echo = speech.at_level(agent, -56) + speech.white_noise(len(agent) / 8000 + 1, -65, seed=5)[: len(agent)]
    assert commits_ms(echo) == []
    assert commits_ms(speech.at_level(agent, -26)) != []
