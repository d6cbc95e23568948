from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony_codecs import Reframer

CHUNKS = st.lists(st.binary(max_size=50), max_size=30)


@given(CHUNKS, st.integers(1, 40))
def test_nothing_is_lost_moved_or_made_up(chunks: list[bytes], frame_bytes: int) -> None:
    reframer, stream = Reframer(frame_bytes), b"".join(chunks)
    frames = [frame for chunk in chunks for frame in reframer.feed(chunk)]
    whole = len(stream) - len(stream) % frame_bytes
    assert all(len(frame) == frame_bytes for frame in frames)
    assert b"".join(frames) == stream[:whole]
    assert reframer.pending_bytes == len(stream) - whole
    last = reframer.flush(b"\xff")
    assert last == (stream[whole:].ljust(frame_bytes, b"\xff") if len(stream) > whole else b"")
    assert reframer.pending_bytes == 0


def test_a_frame_comes_as_soon_as_it_is_complete() -> None:
    reframer = Reframer(4)
    assert reframer.feed(b"abc") == []
    assert reframer.feed(b"d") == [b"abcd"]
    assert reframer.feed(b"efghijkl") == [b"efgh", b"ijkl"]


@pytest.mark.parametrize(
    ("pending", "silent_sample", "last"),
    [
        (b"", b"\xff", b""),
        (b"a", b"\xff", b"a\xff\xff\xff"),
        (b"ab", b"\0\0", b"ab\0\0"),
        (b"abc", b"\0\0", b"ab\0\0"),
        (b"a", b"\0\0", b""),
    ],
)
def test_the_last_frame_is_padded_by_whole_samples(pending: bytes, silent_sample: bytes, last: bytes) -> None:
    reframer = Reframer(4)
    assert reframer.feed(pending) == []
    assert reframer.flush(silent_sample) == last
    assert reframer.feed(b"wxyz") == [b"wxyz"]


def test_cleared_it_starts_afresh() -> None:
    reframer = Reframer(4)
    reframer.feed(b"old")
    reframer.clear()
    assert reframer.feed(b"news") == [b"news"]


def test_what_is_pending_can_be_taken_out() -> None:
    reframer = Reframer(4)
    reframer.feed(b"frame??")
    assert (reframer.take(), reframer.take()) == (b"e??", b"")
    assert reframer.feed(b"news") == [b"news"]


@pytest.mark.parametrize("frame_bytes", [0, -160])
def test_a_frame_has_bytes(frame_bytes: int) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        Reframer(frame_bytes)


def test_a_frame_is_whole_samples() -> None:
    with pytest.raises(ValueError, match="not whole samples"):
        Reframer(5).flush(b"\0\0")
