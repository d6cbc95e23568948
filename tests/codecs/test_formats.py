from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony_codecs import ALAW_8K, MULAW_8K, PCM16_8K, AudioFormat, Encoding
from telephony_codecs.g711 import alaw_decode, mulaw_decode

FORMATS = st.builds(
    AudioFormat, st.sampled_from(Encoding), st.sampled_from([8000, 11025, 22050, 24000, 44100])
)


@pytest.mark.parametrize(
    ("format", "frame_bytes", "silence"),
    [(MULAW_8K, 160, b"\xff"), (ALAW_8K, 160, b"\xd5"), (PCM16_8K, 320, b"\0\0")],
)
def test_twenty_milliseconds(format: AudioFormat, frame_bytes: int, silence: bytes) -> None:
    assert format.bytes_in(20) == frame_bytes
    assert format.ms_in(frame_bytes) == 20
    assert format.silence(20) == silence * 160


@given(FORMATS, st.integers(0, 10_000_000))
def test_bytes_to_milliseconds_and_back(format: AudioFormat, samples: int) -> None:
    size_bytes = samples * format.sample_bytes
    assert format.bytes_in(format.ms_in(size_bytes)) == size_bytes


@given(FORMATS, st.floats(0, 100_000))
def test_only_whole_samples(format: AudioFormat, ms: float) -> None:
    assert format.bytes_in(ms) % format.sample_bytes == 0
    assert len(format.silence(ms)) == format.bytes_in(ms)


def test_silence_decodes_to_the_nearest_to_nothing() -> None:
    assert mulaw_decode(MULAW_8K.silent_sample) == b"\0\0"
    assert alaw_decode(ALAW_8K.silent_sample) == b"\x08\0"


def test_it_reads_as_a_person_would_say_it() -> None:
    assert str(MULAW_8K) == "mulaw 8000 Hz"


@pytest.mark.parametrize("rate_hz", [0, -8000])
def test_a_rate_must_be_positive(rate_hz: int) -> None:
    with pytest.raises(ValueError, match="rate_hz must be positive"):
        AudioFormat(Encoding.PCM16, rate_hz)
