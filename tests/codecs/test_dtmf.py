"""Telephone keys as tones: every key, as bad as Q.24 allows and a little worse; and what is no key.

All of it through mu-law, in a call that does not begin on a packet.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.emulators.espeak import EspeakEngine
from telephony_codecs import ALAW_8K, MULAW_8K, PCM16_8K, AudioFormat, Encoding, Transcoder, tones
from telephony_codecs.dtmf import COLUMNS_HZ, KEYS, ROWS_HZ, DtmfDetector, digits_audio, frequencies_of
from telephony_codecs.g711 import mulaw_decode
from telephony_codecs.pcm import level_dbfs
from tests.support import speech
from tests.support.chunks import cut, run
from tests.support.speech import RATE_HZ, Signal, packets, to_mulaw

#: Of a press and of the pause behind it.
ROOMY, BRISK, SHORTEST = (80.0, 80.0), (50.0, 50.0), (40.0, 40.0)
SEED = 24


def pressed(
    key: str,
    on_ms: float,
    *,
    dbfs: float = -12.0,
    twist_db: float = 0.0,
    off: Sequence[float] = (0.0, 0.0),
    phases: Sequence[float] | Signal = (0.0, 0.0),
) -> Signal:
    """A key as a cheap telephone makes it: `twist_db` is the high tone over the low, `off` how far each is off."""
    time_s = np.arange(round(on_ms * RATE_HZ / 1000)) / RATE_HZ
    gains = np.array([1.0, 10 ** (twist_db / 20)])
    gains *= np.sqrt(2) * 10 ** (dbfs / 20) / np.sqrt((gains**2).sum())
    hertz = [hz * (1 + error) for hz, error in zip(frequencies_of(key), off, strict=True)]
    parts = [
        gain * np.sin(2 * np.pi * hz * time_s + phase)
        for gain, hz, phase in zip(gains, hertz, phases, strict=True)
    ]
    return np.asarray(sum(parts))


def dialled(
    lengths: tuple[float, float], *, snr_db: float | None = None, dbfs: float = -12.0, **how: Any
) -> str:
    """What is found when all keys are pressed, three times over, each at another place in its packet."""
    random, parts = np.random.default_rng(SEED), [speech.silence(0.101)]
    for key in KEYS * 3:
        phases = random.uniform(0, 2 * np.pi, 2)
        parts += [
            pressed(key, lengths[0], dbfs=dbfs, phases=phases, **how),
            speech.silence((lengths[1] + 0.875) / 1000),
        ]
    signal = np.concatenate([*parts, speech.silence(0.1)])
    if snr_db is not None:
        signal = signal + random.standard_normal(signal.size) * 10 ** ((dbfs - snr_db) / 20)
    return found(signal)


def found(signal: Signal) -> str:
    return DtmfDetector().feed(to_mulaw(signal))


# -- keys --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lengths",
    [(40.0, 40.0), (40.0, 35.0), (36.0, 40.0), (50.0, 50.0), (65.0, 35.0), (100.0, 100.0), (300.0, 50.0)],
)
def test_every_key_of_any_length(lengths: tuple[float, float]) -> None:
    assert dialled(lengths) == KEYS * 3


@pytest.mark.parametrize("lengths", [ROOMY, BRISK, SHORTEST])
@pytest.mark.parametrize(
    "how",
    [
        *({"dbfs": dbfs} for dbfs in (0.0, -4.0, -25.0, -30.0, -36.0)),
        *({"twist_db": db} for db in (-8.0, -4.0, 4.0, 5.0)),
        *({"off": (error, error)} for error in (-0.018, -0.015, 0.015, 0.018)),
        *({"off": off} for off in ((0.015, -0.015), (-0.015, 0.015), (0.0, 0.018))),
        *({"snr_db": db} for db in (20.0, 15.0, 12.0)),
        {"off": (0.015, 0.015), "twist_db": -8.0, "snr_db": 18.0, "dbfs": -25.0},
        {"off": (-0.015, -0.015), "twist_db": 4.0, "snr_db": 18.0},
    ],
    ids=str,
)
def test_every_key_as_bad_as_it_may_be(lengths: tuple[float, float], how: dict[str, Any]) -> None:
    assert dialled(lengths, **how) == KEYS * 3


@pytest.mark.parametrize("lengths", [(50.0, 50.0), (200.0, 60.0)])
@pytest.mark.parametrize(
    "how",
    [
        *({"off": (error, error)} for error in (-0.05, -0.035, 0.035, 0.05)),
        *({"off": off} for off in ((0.035, 0.0), (-0.035, 0.0), (0.0, 0.035), (0.0, -0.035))),
        {"off": (0.0, 0.038), "twist_db": -8.0},
        *({"twist_db": db} for db in (-13.0, 9.0)),
        {"dbfs": -46.0},
    ],
    ids=str,
)
def test_what_is_too_bad_is_no_key(lengths: tuple[float, float], how: dict[str, Any]) -> None:
    assert dialled(lengths, **how) == ""


@pytest.mark.parametrize("ms", [10.0, 15.0, 20.0, 23.0])
def test_what_is_too_short_is_no_key(ms: float) -> None:
    assert dialled((ms, 60.0)) == ""


@pytest.mark.parametrize(
    "hz", [(hz,) for hz in (*ROWS_HZ, *COLUMNS_HZ)] + [(697.0, 852.0), (1209.0, 1477.0)], ids=str
)
def test_tones_that_are_not_one_of_each_group_are_no_key(hz: tuple[float, ...]) -> None:
    assert found(speech.tones(0.5, -12, *hz)) == ""


# -- presses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", range(0, 160, 16), ids=lambda at: f"{at / 8:g}ms into a packet")
@pytest.mark.parametrize(
    ("pieces_ms", "presses"),
    [
        ((2000.0,), 1),
        ((100.0, -10.0, 100.0), 1),
        ((60.0, -5.0, 60.0, -10.0, 60.0), 1),
        ((40.0, -40.0, 40.0), 2),
        ((100.0, -20.0, 100.0), 1),
        ((100.0, -40.0, 100.0), 2),
        ((40.0, -40.0) * 5, 5),
    ],
)
def test_a_hole_is_no_pause_and_a_pause_is_no_hole(pieces_ms: Sequence[float], presses: int, at: int) -> None:
    """Of one key; negative is silence, in which the telephone's oscillators run on."""
    tone, gate = (
        pressed("5", sum(map(abs, pieces_ms))),
        [np.full(round(abs(ms) * 8), ms > 0) for ms in pieces_ms],
    )
    signal = np.concatenate([np.zeros(400 + at), tone * np.concatenate(gate), speech.silence(0.1)])
    assert found(signal) == "5" * presses


def test_a_key_right_after_another_is_another_press() -> None:
    assert found(np.concatenate([pressed(key, 60) for key in "1237*"] + [speech.silence(0.1)])) == "1237*"


def test_a_press_that_fades_is_one_press() -> None:
    faded = pressed("8", 1000) * 10 ** (np.linspace(0, -20, 8000) / 20)
    assert found(np.concatenate([faded, speech.silence(0.1)])) == "8"


@pytest.mark.parametrize("step_db", [-15.0, -12.0, -6.0, 6.0, 12.0, 20.0])
@pytest.mark.parametrize("at", range(0, 160, 40))
def test_a_press_that_is_turned_down_or_up_is_one_press(step_db: float, at: int) -> None:
    """By whatever keeps levels on the way."""
    turned = pressed("8", 300, dbfs=-24.0 if step_db > 0 else -9.0)
    turned[1000 + at :] *= 10 ** (step_db / 20)
    assert found(np.concatenate([speech.silence(0.1), turned, speech.silence(0.1)])) == "8"


@pytest.mark.parametrize("at", range(0, 160, 16))
@pytest.mark.parametrize("how", ["silent", "left out", "repeated"])
def test_a_packet_that_is_lost_does_not_make_two_presses_of_one(how: str, at: int) -> None:
    """Wherever the carrier's packets begin in ours, and whatever it does about one that has not come."""
    whole = pressed("5", 300)
    before, behind = whole[:800], whole[960:]
    instead = {"silent": speech.silence(0.02), "left out": whole[:0], "repeated": whole[640:800]}[how]
    parts = [np.zeros(400 + at), before, instead, behind, speech.silence(0.1)]
    assert found(np.concatenate(parts)) == "5"


@pytest.mark.parametrize(
    ("gain_db", "offset", "dbfs"), [(12.0, 0.0, -6.0), (0.0, 0.02, -25.0), (0.0, -0.1, -12.0)], ids=str
)
def test_keys_are_found_though_the_line_clips_them_or_is_off_its_middle(
    gain_db: float, offset: float, dbfs: float
) -> None:
    parts = [np.concatenate([pressed(key, 60, dbfs=dbfs), speech.silence(0.06)]) for key in KEYS]
    signal = np.concatenate([speech.silence(0.1), *parts]) * 10 ** (gain_db / 20) + offset
    assert found(signal.clip(-1, 1)) == KEYS


@given(
    key=st.sampled_from(KEYS),
    at=st.integers(0, 400),
    on_ms=st.integers(40, 250),
    dbfs=st.floats(-30, -4),
    twist_db=st.floats(-7.5, 3.5),
    off=st.tuples(st.floats(-0.015, 0.015), st.floats(-0.015, 0.015)),
    phases=st.tuples(st.floats(0, 6.28), st.floats(0, 6.28)),
)
def test_any_key_within_the_bars_is_found_once(
    key: str, at: int, on_ms: int, dbfs: float, twist_db: float, off: tuple[float, float], phases: Any
) -> None:
    press = pressed(key, on_ms, dbfs=dbfs, twist_db=twist_db, off=off, phases=phases)
    assert found(np.concatenate([np.zeros(at), press, speech.silence(0.04), press, np.zeros(800)])) == key * 2


def test_a_press_is_told_while_it_lasts_and_once() -> None:
    detector = DtmfDetector()
    told = [detector.feed(packet) for packet in packets(to_mulaw(pressed("0", 400)))]
    assert [n for n, keys in enumerate(told) if keys] == [1]
    assert "".join(told) == "0"


def test_what_is_left_at_the_end_counts_and_is_forgotten() -> None:
    """Its last window is in a packet that never becomes whole."""
    detector, audio = DtmfDetector(), to_mulaw(np.concatenate([speech.silence(0.018), pressed("9", 38)]))
    assert detector.feed(audio) == ""
    assert detector.flush() == "9"
    assert (detector.flush(), detector.feed(audio), detector.flush()) == ("", "", "9")


AUDIO = to_mulaw(
    np.concatenate([speech.silence(0.03), *(pressed(key, 45) for key in "4711"), speech.silence(0.05)])
)
PAUSED = digits_audio("5w#0", on_ms=45, off_ms=45, pause_ms=70)


@given(sizes=st.lists(st.integers(0, 400), min_size=1, max_size=8).filter(any))
def test_how_the_audio_is_cut_makes_no_difference(sizes: list[int]) -> None:
    for audio in (AUDIO, PAUSED):
        whole, pieces = DtmfDetector(), DtmfDetector()
        expected = whole.feed(audio) + whole.flush()
        assert "".join(map(pieces.feed, cut(audio, sizes))) + pieces.flush() == expected
        assert expected


@given(audio=st.binary(max_size=2000))
def test_any_bytes_are_audio(audio: bytes) -> None:
    detector = DtmfDetector()
    assert set(detector.feed(audio) + detector.flush()) <= set(KEYS)


# -- talk-off ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sound",
    [
        partial(tones.dial_tone, 5000.0),
        tones.ringback,
        tones.busy,
        tones.beep,
        partial(tones.comfort_noise, 5000.0, -30.0),
    ],
    ids=["dial tone", "ringback", "busy", "beep", "comfort noise"],
)
def test_sounds_of_the_network_are_no_keys(sound: Any) -> None:
    assert found(np.resize(sound() / 32768, 10 * RATE_HZ)) == ""


@pytest.mark.parametrize(
    "signal",
    [
        speech.white_noise(20, -20, seed=1),
        speech.pink_noise(20, -20, seed=2),
        speech.hum(5, -15),
        speech.cadence(speech.tones(3, -12, 1100.0), 0.5, 3.0, 10),  # a fax that calls
        speech.tones(3, -12, 2100.0),  # a fax that answers
        speech.tones(3, -12, 950.0, 1400.0, 1800.0),  # no such number
    ],
    ids=["white noise", "pink noise", "hum", "fax calling", "fax answering", "special information"],
)
def test_noise_and_other_tones_are_no_keys(signal: Signal) -> None:
    assert found(signal) == ""


def test_synthetic_voices_are_no_keys() -> None:
    engine = EspeakEngine()
    text = "Press nine to hear all of this again, or stay on the line; our agents will be with you shortly."
    for voice, language in (("magnus", "en"), ("sophia", "en"), ("avery", "es"), ("meher", "de")):
        spoken = engine.speak(text, voice_id=voice, language=language, speed=1)
        source = AudioFormat(Encoding.PCM16, spoken.rate_hz)
        assert DtmfDetector().feed(run(Transcoder(source, MULAW_8K), iter([spoken.pcm]))) == ""


@pytest.mark.speech
def test_human_voices_and_music_are_no_keys() -> None:
    """Ten minutes of prompts and as much music, as loud as they come; benchmarks/dtmf.py takes all there are."""
    speech.require_speech()
    recordings = [*speech.phrases()[::3], *speech.words(), *speech.music()]
    signals = [speech.load(path)[: 120 * RATE_HZ] for path in recordings]
    assert sum(signal.size for signal in signals) > 15 * 60 * RATE_HZ
    told = {
        path.name: keys for path, signal in zip(recordings, signals, strict=True) if (keys := found(signal))
    }
    assert told == {}


@pytest.mark.speech
def test_keys_are_found_over_a_voice_that_is_softer() -> None:
    """The agent's echo, or somebody in the room, 15 dB below the tones."""
    speech.require_speech()
    voice = np.concatenate([speech.load(path) for path in speech.phrases()[:20]])
    keys = np.concatenate([np.concatenate([pressed(key, 100), speech.silence(0.1)]) for key in KEYS * 2])
    mixed = keys + speech.at_level(voice, -27)[: keys.size]
    assert found(mixed) == KEYS * 2


# -- made --------------------------------------------------------------------------------------------------------------


def test_what_is_made_is_found() -> None:
    assert DtmfDetector().feed(digits_audio(KEYS * 4 + "1w1w1", on_ms=50, off_ms=40)) == KEYS * 4 + "111"


def test_each_key_has_its_time_and_its_level() -> None:
    audio = digits_audio("5w#", on_ms=80, off_ms=40, dbfs=-9, pause_ms=300)
    lengths = [MULAW_8K.bytes_in(ms) for ms in (80, 40, 300, 80, 40)]
    five, pause, long_pause, hash_, end = np.split(np.frombuffer(audio, np.uint8), np.cumsum(lengths)[:-1])
    assert end.size == lengths[-1]
    for tone in (five, hash_):
        assert level_dbfs(mulaw_decode(tone[80:-80].tobytes())) == pytest.approx(-9, abs=0.3)
    for silent in (pause, long_pause, end):
        assert set(silent.tolist()) == {0xFF}


def test_nothing_to_press_is_nothing_to_hear() -> None:
    assert digits_audio("") == b""


@pytest.mark.parametrize("digits", ["E", "1 2", "a", "٣", "1W"])
def test_only_keys_can_be_made(digits: str) -> None:
    with pytest.raises(ValueError, match="no key of a telephone"):
        digits_audio(digits)


@pytest.mark.parametrize("key", ["", "12", "w"])
def test_a_key_is_one_character(key: str) -> None:
    with pytest.raises(ValueError, match="no key of a telephone"):
        frequencies_of(key)


@pytest.mark.parametrize(
    "carriers",
    [
        ALAW_8K,
        PCM16_8K,
        *(AudioFormat(Encoding.PCM16, hz) for hz in (11025, 16000, 22050, 24000, 44100, 48000)),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "how", [{}, {"twist_db": -8.0, "off": (-0.015, 0.015)}, {"twist_db": 4.0, "dbfs": -25.0}], ids=str
)
def test_keys_are_heard_in_every_format_that_a_carrier_may_send(carriers: AudioFormat, how: Any) -> None:
    """What the transcoder makes of it, packet by packet: the resampler's slope must not look like twist."""
    keys = [np.concatenate([pressed(key, 45, **how), speech.silence(0.0455)]) for key in KEYS]
    audio = run(
        Transcoder(MULAW_8K, carriers), iter([to_mulaw(np.concatenate([speech.silence(0.1), *keys]))])
    )
    inbound, detector = Transcoder(carriers, MULAW_8K), DtmfDetector()
    told = [detector.feed(inbound.feed(packet)) for packet in cut(audio, [carriers.bytes_in(20)])]
    assert "".join(told) + detector.feed(inbound.flush()) == KEYS
