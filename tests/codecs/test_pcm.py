from __future__ import annotations

import math
import struct
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony_codecs import pcm

SAMPLES = st.lists(st.integers(-32768, 32767), max_size=200)


def packed(*samples: int) -> bytes:
    return struct.pack(f"<{len(samples)}h", *samples)


def unpacked(data: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(data) // 2}h", data))


@pytest.mark.parametrize(
    ("samples", "level_dbfs"),
    [
        ([], -120),
        ([0] * 160, -120),
        ([-32768] * 160, 0),
        ([16384, -16384] * 80, -6.02),
        ([round(32767 * math.sin(n * math.pi / 40)) for n in range(160)], -3.01),
        ([1, -1] * 80, -90.31),
        ([1] + [0] * 159, -112.35),
    ],
)
def test_level(samples: list[int], level_dbfs: float) -> None:
    assert pcm.level_dbfs(packed(*samples)) == pytest.approx(level_dbfs, abs=0.01)


def test_the_level_of_a_whisper_in_a_long_silence_is_no_lower_than_silence() -> None:
    assert pcm.level_dbfs(packed(1, *[0] * 100_000)) == pcm.SILENCE_DBFS


@pytest.mark.parametrize(
    ("samples", "db", "louder"),
    [
        ([1000, -1000], 0, [1000, -1000]),
        ([1000, -1000], 6.0206, [2000, -2000]),
        ([1000, -1000], -20, [100, -100]),
        ([3, -3, 1, -1], -6, [2, -2, 1, -1]),
        ([20000, -20000], 6.0206, [32767, -32768]),
        ([-32768, 32767], 120, [-32768, 32767]),
        ([-32768, 32767], -200, [0, 0]),
    ],
)
def test_gain(samples: list[int], db: float, louder: list[int]) -> None:
    assert unpacked(pcm.gain(packed(*samples), db)) == louder


@given(SAMPLES)
def test_swapping_is_what_the_array_module_does_and_undoes_itself(samples: list[int]) -> None:
    swapped = array("h", samples)
    swapped.byteswap()
    assert pcm.swap_bytes(packed(*samples)) == swapped.tobytes()
    assert pcm.swap_bytes(pcm.swap_bytes(packed(*samples))) == packed(*samples)


def test_two_tracks_take_turns_as_long_as_both_last() -> None:
    assert pcm.interleave(packed(1, 2, 3), packed(-1, -2)) == packed(1, -1, 2, -2)
    assert pcm.interleave(b"LLL", b"RRR", sample_bytes=1) == b"LRLRLR"
    assert pcm.interleave(b"", packed(1)) == b""


@given(SAMPLES, st.lists(st.integers(0, 7), min_size=1).filter(any))
def test_samples_cut_in_half_are_mended(samples: list[int], sizes: list[int]) -> None:
    aligner, stream, pieces, at = pcm.SampleAligner(), packed(*samples), [], 0
    for size in sizes * (len(stream) // sum(sizes) + 1):
        pieces.append(aligner.feed(stream[at : at + size]))
        at += size
    assert all(len(piece) % 2 == 0 for piece in pieces)
    assert b"".join(pieces) == stream


def test_half_a_sample_does_not_outlive_its_stream() -> None:
    aligner = pcm.SampleAligner()
    assert aligner.feed(packed(7) + b"\x01") == packed(7)
    assert aligner.flush() == b""
    assert aligner.feed(packed(9)) == packed(9)


@pytest.mark.parametrize("use", [pcm.level_dbfs, pcm.swap_bytes, lambda data: pcm.gain(data, 1)])
def test_half_a_sample_is_refused(use: object) -> None:
    assert callable(use)
    with pytest.raises(ValueError, match="buffer size"):
        use(b"\0\0\0")
