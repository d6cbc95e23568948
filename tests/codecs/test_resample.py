"""What a telephone needs of a resampler, measured for every pair of rates.

Levels are measured on tones that last a whole number of periods, so that a mean square is exact.
"""

from __future__ import annotations

from itertools import permutations
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from telephony_codecs import Resampler
from telephony_codecs.resample import _COEFFICIENT_STEP, _polyphase
from tests.support.chunks import cut, run

RATES_HZ = (8000, 16000, 22050, 24000, 44100, 48000)
PAIRS = list(permutations(RATES_HZ, 2))
TO_PHONE = [(rate_hz, 8000) for rate_hz in RATES_HZ if rate_hz > 8000]
AMPLITUDE = 30000
MARGIN_S, MEASURED_S = 0.01, 0.2

Signal = NDArray[np.float64]


def tone(hz: float, rate_hz: int) -> Signal:
    times = np.arange(ceil((MEASURED_S + 2 * MARGIN_S) * rate_hz)) / rate_hz
    return AMPLITUDE * np.sin(2 * np.pi * hz * times)


def as_pcm(signal: Signal) -> bytes:
    return np.rint(signal).astype("<i2").tobytes()


def as_signal(pcm: bytes) -> Signal:
    return np.frombuffer(pcm, "<i2").astype(np.float64)


def resampled(signal: Signal, from_hz: int, to_hz: int) -> Signal:
    resampler = Resampler(from_hz, to_hz)
    return as_signal(resampler.feed(as_pcm(signal)) + resampler.flush())


def middle(signal: Signal, rate_hz: int) -> Signal:
    """The measured part: the edges, where the tone is switched on and off, are not a tone."""
    start = ceil(MARGIN_S * rate_hz)
    return signal[start : start + round(MEASURED_S * rate_hz)]


def db(signal: Signal, reference: Signal) -> float:
    return float(10 * np.log10(np.mean(signal**2) / np.mean(reference**2) + 1e-20))


@pytest.mark.parametrize(("from_hz", "to_hz"), TO_PHONE)
def test_what_would_alias_is_70_db_down_from_4300_hz_up(from_hz: int, to_hz: int) -> None:
    near, far = np.arange(4300, 5000, 25), np.geomspace(5000, from_hz / 2 - 100, 30)
    loudest = max(
        db(middle(resampled(tone(hz, from_hz), from_hz, to_hz), to_hz), tone(hz, from_hz))
        for hz in (*near, *far)
        if hz < from_hz / 2
    )
    assert loudest < -70


@pytest.mark.parametrize(("from_hz", "to_hz"), [*TO_PHONE, *((b, a) for a, b in TO_PHONE)])
def test_the_telephone_band_is_level_to_a_tenth_of_a_decibel(from_hz: int, to_hz: int) -> None:
    gains = [
        db(middle(resampled(tone(hz, from_hz), from_hz, to_hz), to_hz), middle(tone(hz, to_hz), to_hz))
        for hz in range(300, 3401, 100)
    ]
    assert max(gains) - min(gains) < 0.1
    assert abs(max(gains)) < 0.05


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_a_tone_in_the_band_comes_out_as_itself_and_at_its_time(from_hz: int, to_hz: int) -> None:
    """Gain, phase, images and distortion in one: what is left after taking the true tone away."""
    lower_hz = min(from_hz, to_hz)
    for share in (0.04, 0.1, 0.2, 0.3, 0.4, 0.425):
        hz = round(share * lower_hz / 5) * 5
        wanted = middle(tone(hz, to_hz), to_hz)
        error = middle(resampled(tone(hz, from_hz), from_hz, to_hz), to_hz) - wanted
        assert db(error, wanted) < -60, f"{hz} Hz"


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_never_more_than_the_stated_delay_is_held_back(from_hz: int, to_hz: int) -> None:
    resampler, given_out, held_ms = Resampler(from_hz, to_hz), 0, 0.0
    for fed in range(1, from_hz // 20):
        given_out += len(resampler.feed(b"\0\0")) // 2
        held_ms = max(held_ms, 1000 * (fed / from_hz - given_out / to_hz))
    assert held_ms <= resampler.delay_ms + 1000 / from_hz
    assert resampler.delay_ms < 4.1


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_a_click_at_the_very_end_is_heard_there(from_hz: int, to_hz: int) -> None:
    click, click_samples = np.zeros(from_hz // 10), ceil(from_hz / to_hz)
    click[-click_samples:] = AMPLITUDE
    heard = resampled(click, from_hz, to_hz)
    assert heard[-ceil(to_hz / from_hz) - 1 :].max() > AMPLITUDE / 2
    assert not heard[: -ceil(0.005 * to_hz)].any()


@given(st.sampled_from(PAIRS), st.integers(0, 3000))
def test_it_lasts_as_long_as_it_did(pair: tuple[int, int], samples: int) -> None:
    from_hz, to_hz = pair
    out = run(Resampler(from_hz, to_hz), iter([bytes(2 * samples)]))
    assert len(out) == 2 * -(-samples * to_hz // from_hz)


@given(
    st.sampled_from([*PAIRS, (8000, 8000), (11025, 8000), (32000, 12000)]),
    st.binary(max_size=4000),
    st.lists(st.integers(0, 700), min_size=1, max_size=8).filter(any),
)
def test_how_the_stream_is_cut_changes_not_one_bit(
    pair: tuple[int, int], stream: bytes, sizes: list[int]
) -> None:
    whole = run(Resampler(*pair), iter([stream]))
    assert run(Resampler(*pair), cut(stream, sizes)) == whole


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_the_sums_are_exact_in_a_double_so_their_order_is_free(from_hz: int, to_hz: int) -> None:
    """Else another cut could change a bit: too seldom for a test to meet, often enough in a day of calls."""
    steps = _polyphase(from_hz, to_hz) / _COEFFICIENT_STEP
    assert (steps == np.rint(steps)).all()
    assert np.abs(steps).sum(axis=1).max() * 32768 < 2**53


@pytest.mark.parametrize(("from_hz", "to_hz"), [(24000, 8000), (22050, 8000), (8000, 16000)])
def test_byte_by_byte_is_the_same_as_all_at_once(from_hz: int, to_hz: int) -> None:
    noise = np.random.default_rng(1).integers(-32768, 32767, 5000).astype("<i2").tobytes()
    whole = run(Resampler(from_hz, to_hz), iter([noise]))
    assert run(Resampler(from_hz, to_hz), cut(noise, [1])) == whole


@pytest.mark.parametrize(("from_hz", "to_hz"), [(24000, 8000), (44100, 8000), (8000, 24000)])
def test_full_scale_is_held_and_never_wraps_round(from_hz: int, to_hz: int) -> None:
    """A square wave overshoots by a tenth when its harmonics are cut off."""
    half_period = from_hz // 100
    square = np.where(np.arange(from_hz // 5) // half_period % 2, -32768, 32767).astype(np.float64)
    heard = resampled(square, from_hz, to_hz)
    assert (heard.max(), heard.min()) == (32767, -32768)
    is_high = np.arange(heard.size) * from_hz // to_hz // half_period % 2 == 0
    away_from_edges = np.convolve(np.abs(np.diff(is_high, prepend=is_high[0])), np.ones(5), "same") == 0
    assert (np.sign(heard[away_from_edges]) == np.where(is_high, 1, -1)[away_from_edges]).all()


def test_silence_stays_silent_and_a_constant_stays_itself() -> None:
    assert not resampled(np.zeros(4800), 48000, 8000).any()
    for from_hz, to_hz in PAIRS:
        constant = resampled(np.full(from_hz // 10, 12345.0), from_hz, to_hz)
        reach = ceil(0.005 * to_hz)
        assert (constant[reach:-reach] == 12345).all()


def test_equal_rates_pass_through_at_once() -> None:
    resampler = Resampler(8000, 8000)
    assert (resampler.delay_ms, resampler.feed(b"\x01\x02\x03"), resampler.feed(b"\x04")) == (
        0,
        b"\x01\x02",
        b"\x03\x04",
    )
    assert resampler.flush() == b""


def test_after_a_flush_it_is_as_new() -> None:
    resampler, noise = Resampler(22050, 8000), np.random.default_rng(2).bytes(2001)
    assert run(resampler, iter([noise])) == run(resampler, iter([noise]))


@pytest.mark.parametrize("rate_hz", [0, -8000, 7975, 48025, 8001, 96000])
def test_rates_that_no_telephone_audio_has(rate_hz: int) -> None:
    with pytest.raises(ValueError, match=f"cannot resample {rate_hz} Hz"):
        Resampler(rate_hz, 8000)
    with pytest.raises(ValueError, match=f"cannot resample {rate_hz} Hz"):
        Resampler(8000, rate_hz)
