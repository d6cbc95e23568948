from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony_codecs import ALAW_8K, MULAW_8K, PCM16_8K, AudioFormat, Encoding, Resampler, Transcoder, g711
from tests.support.chunks import cut, run

PCM16_24K = AudioFormat(Encoding.PCM16, 24000)
FORMATS = [AudioFormat(*pair) for pair in product(Encoding, (8000, 22050, 24000))]
SPEECH = bytes(range(256)) * 12


@pytest.mark.parametrize(
    ("source", "target", "chain"),
    [
        (MULAW_8K, MULAW_8K, "mulaw 8000 Hz (untouched)"),
        (MULAW_8K, ALAW_8K, "mulaw 8000 Hz -> alaw 8000 Hz"),
        (ALAW_8K, PCM16_8K, "alaw 8000 Hz -> pcm16 8000 Hz"),
        (PCM16_24K, PCM16_8K, "pcm16 24000 Hz -> resample -> pcm16 8000 Hz"),
        (PCM16_24K, MULAW_8K, "pcm16 24000 Hz -> resample -> pcm16 8000 Hz -> mulaw 8000 Hz"),
        (
            ALAW_8K,
            AudioFormat(Encoding.MULAW, 16000),
            "alaw 8000 Hz -> pcm16 8000 Hz -> resample -> pcm16 16000 Hz -> mulaw 16000 Hz",
        ),
    ],
)
def test_it_prints_its_chain(source: AudioFormat, target: AudioFormat, chain: str) -> None:
    assert str(Transcoder(source, target)) == chain


@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_equal_formats_pass_the_very_bytes_through(format: AudioFormat) -> None:
    transcoder = Transcoder(format, AudioFormat(format.encoding, format.rate_hz))
    assert transcoder.is_identity
    assert transcoder.feed(SPEECH) is SPEECH
    assert (transcoder.flush(), transcoder.delay_ms) == (b"", 0)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (MULAW_8K, ALAW_8K, g711.mulaw_to_alaw(SPEECH)),
        (ALAW_8K, MULAW_8K, g711.alaw_to_mulaw(SPEECH)),
        (MULAW_8K, PCM16_8K, g711.mulaw_decode(SPEECH)),
        (ALAW_8K, PCM16_8K, g711.alaw_decode(SPEECH)),
        (PCM16_8K, MULAW_8K, g711.mulaw_encode(SPEECH)),
        (PCM16_8K, ALAW_8K, g711.alaw_encode(SPEECH)),
    ],
)
def test_at_one_rate_it_is_the_codec_alone(source: AudioFormat, target: AudioFormat, expected: bytes) -> None:
    transcoder = Transcoder(source, target)
    assert not transcoder.is_identity
    assert run(transcoder, cut(SPEECH, [7])) == expected


def test_across_rates_it_is_decoder_resampler_encoder() -> None:
    source = AudioFormat(Encoding.ALAW, 24000)
    resampled = run(Resampler(24000, 8000), iter([g711.alaw_decode(SPEECH)]))
    transcoder = Transcoder(source, MULAW_8K)
    assert run(transcoder, iter([SPEECH])) == g711.mulaw_encode(resampled)
    assert transcoder.delay_ms == Resampler(24000, 8000).delay_ms


@pytest.mark.parametrize(("source", "target"), list(product(FORMATS, repeat=2)))
def test_it_lasts_as_long_as_it_did(source: AudioFormat, target: AudioFormat) -> None:
    out = run(Transcoder(source, target), iter([source.silence(1000)]))
    assert len(out) == target.bytes_in(1000)


@given(
    st.sampled_from(FORMATS),
    st.sampled_from(FORMATS),
    st.binary(max_size=1500),
    st.lists(st.integers(0, 200), min_size=1, max_size=6).filter(any),
)
def test_how_the_stream_is_cut_changes_nothing(
    source: AudioFormat, target: AudioFormat, stream: bytes, sizes: list[int]
) -> None:
    whole = run(Transcoder(source, target), iter([stream]))
    assert run(Transcoder(source, target), cut(stream, sizes)) == whole


def test_after_a_flush_it_is_as_new() -> None:
    transcoder = Transcoder(PCM16_24K, MULAW_8K)
    first = run(transcoder, iter([SPEECH + b"\x01"]))
    assert run(transcoder, iter([SPEECH])) == first


def test_a_rate_that_cannot_be_resampled_is_known_at_once() -> None:
    with pytest.raises(ValueError, match="cannot resample 96000 Hz"):
        Transcoder(AudioFormat(Encoding.PCM16, 96000), MULAW_8K)
