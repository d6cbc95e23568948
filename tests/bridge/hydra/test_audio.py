"""Sound to and from Hydra: rates, sizes, quality, and what waits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.hydra.audio import KEPT_MS, Downward, Uplink, Upward
from bridge.observe.stats import HydraStats
from telephony_codecs.g711 import mulaw_decode, mulaw_encode

PACKET = 160


def sine(hz: float, ms: float, rate_hz: int, amplitude: float = 8000.0) -> bytes:
    times = np.arange(int(rate_hz * ms / 1000)) / rate_hz
    return np.rint(amplitude * np.sin(2 * np.pi * hz * times)).astype("<i2").tobytes()


def power_db(pcm: bytes, rate_hz: int, hz: float) -> float:
    """Of the middle of `pcm` at `hz`, against full scale."""
    samples = np.frombuffer(pcm, "<i2")[rate_hz // 10 : -rate_hz // 10] / 32768
    window = np.hanning(samples.size)
    at = np.exp(-2j * np.pi * hz * np.arange(samples.size) / rate_hz)
    return float(20 * np.log10(abs(np.sum(samples * window * at)) / window.sum() * 2 + 1e-12))


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=30))
def test_up_however_it_is_cut_the_sound_is_the_same_in_messages_of_20_to_40_ms(sizes: list[int]) -> None:
    mulaw = mulaw_encode(sine(440, sum(sizes) / 8 + 1, 8000))[: sum(sizes)]
    upward, whole = Upward(), b"".join(Upward().feed(mulaw))
    chunks: list[bytes] = []
    at = 0
    for size in sizes:
        chunks += upward.feed(mulaw[at : at + size])
        at += size
    assert all(640 <= len(chunk) <= 1280 for chunk in chunks)
    joined = b"".join(chunks)
    shorter = min(len(joined), len(whole))
    assert joined[:shorter] == whole[:shorter]
    assert abs(len(joined) - len(whole)) < 640


def test_up_a_packet_waits_for_no_other_but_the_first() -> None:
    upward = Upward()
    chunks = [upward.feed(b"\x80" * PACKET) for _ in range(10)]
    assert [len(each) for each in chunks] == [0] + [1] * 9


@pytest.mark.parametrize("hz", [300, 1000, 3000])
def test_up_what_is_heard_is_as_loud_and_has_no_image(hz: float) -> None:
    pcm = b"".join(Upward().feed(mulaw_encode(sine(hz, 1000, 8000))))
    assert power_db(pcm, 16_000, hz) == pytest.approx(20 * np.log10(8000 / 32768), abs=0.3)
    assert power_db(pcm, 16_000, 8000 - hz) < -60


@pytest.mark.parametrize(("hz", "rate_hz"), [(300, 48_000), (1000, 48_000), (3000, 48_000), (1000, 24_000)])
def test_down_what_is_heard_is_as_loud(hz: float, rate_hz: int) -> None:
    downward = Downward(rate_hz)
    pcm = mulaw_decode(downward.feed(sine(hz, 1000, rate_hz)) + downward.flush())
    assert len(pcm) == 16_000
    assert power_db(pcm, 8000, hz) == pytest.approx(20 * np.log10(8000 / 32768), abs=0.3)


def test_down_what_no_telephone_can_carry_is_gone() -> None:
    pcm = mulaw_decode(Downward().feed(sine(5000, 1000, 48_000)))
    assert power_db(pcm, 8000, 3000) < -60


@given(st.lists(st.integers(1, 4000), min_size=1, max_size=20))
def test_down_odd_bytes_are_carried(sizes: list[int]) -> None:
    pcm = sine(440, 500, 48_000)
    whole, cut = Downward(), Downward()
    wanted = whole.feed(pcm) + whole.flush()
    heard, at = b"", 0
    for size in [*sizes, len(pcm)]:
        heard += cut.feed(pcm[at : at + size])
        at += size
    assert heard + cut.flush() == wanted


def test_nothing_can_be_made_of_a_strange_rate() -> None:
    with pytest.raises(ValueError, match="7"):
        Downward(7)


class Heard:
    """Where the uplink sends, chunk by chunk."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    @property
    def ms(self) -> float:
        return sum(len(chunk) for chunk in self.chunks) / 32


def test_the_newest_second_waits_and_goes_out_at_twice_real_time() -> None:
    stats, heard = HydraStats(), Heard()
    uplink = Uplink(stats)
    for _ in range(100):
        uplink.push(b"\x80" * PACKET)
    assert stats.lost_ms == pytest.approx(2000 - KEPT_MS, abs=45)
    uplink.open(heard.chunks.append)
    assert heard.ms == 0, "not all at once"
    for _ in range(25):
        uplink.push(b"\x80" * PACKET)
    assert heard.ms == pytest.approx(1000, abs=45)
    for _ in range(50):
        uplink.push(b"\x80" * PACKET)
    assert heard.ms == pytest.approx(KEPT_MS + 1500, abs=45), "all of it"
    assert uplink.sent_ms == heard.ms


def test_between_two_sockets_it_waits_and_counts_anew() -> None:
    stats, first, second = HydraStats(), Heard(), Heard()
    uplink = Uplink(stats)
    uplink.open(first.chunks.append)
    for _ in range(10):
        uplink.push(b"\x80" * PACKET)
    uplink.close()
    for _ in range(10):
        uplink.push(b"\x80" * PACKET)
    uplink.open(second.chunks.append)
    assert uplink.sent_ms == 0
    for _ in range(20):
        uplink.push(b"\x80" * PACKET)
    assert first.ms + second.ms == pytest.approx(800, abs=45)
    assert stats.lost_ms == 0


@pytest.mark.parametrize(("audio_ms", "ago_ms"), [(None, 0), (0, 200), (150, 50), (900, 0), (-1e300, 0)])
def test_how_long_ago_something_was_said(audio_ms: float | None, ago_ms: float) -> None:
    uplink = Uplink(HydraStats())
    uplink.open(lambda _chunk: None)
    uplink.sent_ms = 200.0
    assert uplink.ago_ms(audio_ms) == ago_ms


def test_what_waits_to_be_sent_was_said_after_what_was_sent() -> None:
    uplink = Uplink(HydraStats())
    for _ in range(26):
        uplink.push(b"\x80" * 160)
    uplink.open(lambda _chunk: None)
    for _ in range(4):
        uplink.push(b"\x80" * 160)
    assert uplink.ago_ms(0) == pytest.approx(600, abs=25)
