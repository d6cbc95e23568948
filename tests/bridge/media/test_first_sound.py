"""Where the first sound of an utterance is, however it comes in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.media.first_sound import FirstSound
from telephony_codecs.formats import MULAW_8K
from telephony_codecs.g711 import mulaw_encode


def level(dbfs: float, ms: float) -> bytes:
    """A square wave of that level."""
    peak = round(32768 * 10 ** (dbfs / 20))
    pcm = b"".join(value.to_bytes(2, "little", signed=True) for value in (peak, -peak))
    return mulaw_encode(pcm * (MULAW_8K.bytes_in(ms) // 2))


@pytest.mark.parametrize(
    ("audio", "at_ms"),
    [
        pytest.param(level(-20, 100), 0.0, id="at once"),
        pytest.param(MULAW_8K.silence(120) + level(-20, 100), 120.0, id="after digital silence"),
        pytest.param(level(-60, 120) + level(-40, 100), 120.0, id="after hiss"),
        pytest.param(level(-54, 200), None, id="never"),
        pytest.param(b"", None, id="nothing"),
    ],
)
def test_silence_is_waited_through(audio: bytes, at_ms: float | None) -> None:
    assert FirstSound().feed(audio) == at_ms


@given(st.integers(0, 60), st.lists(st.integers(1, 500), min_size=1, max_size=60))
def test_it_is_found_at_the_same_place_in_any_chunks(slices: int, sizes: list[int]) -> None:
    audio = MULAW_8K.silence(10 * slices) + level(-20, 1000)
    found, looks, at = None, FirstSound(), 0
    while found is None and at < len(audio):
        size = sizes[at % len(sizes)]
        found = looks.feed(audio[at : at + size])
        at += size
    assert found == 10 * slices
