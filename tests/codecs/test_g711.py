"""Every one of the 65536 samples and 256 codes, against the rules of the standard and against audioop."""

from __future__ import annotations

import audioop
import struct
from pathlib import Path

import numpy as np
import pytest

from telephony_codecs import g711
from tests.support import g711_rules as rules

DATA = Path(__file__).parents[1] / "data" / "g711"
SAMPLES = range(-32768, 32768)
EVERY_SAMPLE = struct.pack("<65536h", *SAMPLES)
EVERY_CODE = bytes(range(256))


def samples_of(pcm: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(pcm) // 2}h", pcm))


def test_mulaw_encodes_every_sample_by_the_rules() -> None:
    assert g711.mulaw_encode(EVERY_SAMPLE) == bytes(map(rules.mulaw_code, SAMPLES))


def test_alaw_encodes_every_sample_by_the_rules() -> None:
    assert g711.alaw_encode(EVERY_SAMPLE) == bytes(map(rules.alaw_code, SAMPLES))


def test_mulaw_decodes_every_code_by_the_rules() -> None:
    assert samples_of(g711.mulaw_decode(EVERY_CODE)) == list(map(rules.mulaw_sample, EVERY_CODE))


def test_alaw_decodes_every_code_by_the_rules() -> None:
    assert samples_of(g711.alaw_decode(EVERY_CODE)) == list(map(rules.alaw_sample, EVERY_CODE))


@pytest.mark.parametrize(
    ("sample", "mulaw", "alaw"),
    [
        (0, 0xFF, 0xD5),
        (-1, 0x7F, 0x55),
        (-4, 0x7F, 0x55),
        (-5, 0x7E, 0x55),
        (3, 0xFF, 0xD5),
        (4, 0xFE, 0xD5),
        (16, 0xFD, 0xD4),
        (1000, 0xCE, 0xFA),
        (32767, 0x80, 0xAA),
        (-32768, 0x00, 0x2A),
    ],
)
def test_known_codes(sample: int, mulaw: int, alaw: int) -> None:
    pcm = struct.pack("<h", sample)
    assert (g711.mulaw_encode(pcm)[0], g711.alaw_encode(pcm)[0]) == (mulaw, alaw)


def test_the_golden_sweep_both_ways() -> None:
    pcm, mulaw, alaw = ((DATA / f"sweep.{kind}").read_bytes() for kind in ("s16le", "ulaw", "alaw"))
    assert g711.mulaw_encode(pcm) == mulaw
    assert g711.alaw_encode(pcm) == alaw
    assert g711.mulaw_encode(g711.mulaw_decode(mulaw)) == mulaw.replace(b"\x7f", b"\xff")
    assert g711.alaw_encode(g711.alaw_decode(alaw)) == alaw


class TestWhyMulawIsNotEncodedByAudioop:
    def test_it_differs_from_the_standard_on_508_negative_samples(self) -> None:
        theirs, ours = audioop.lin2ulaw(EVERY_SAMPLE, 2), g711.mulaw_encode(EVERY_SAMPLE)
        wrong = [s for s, their, our in zip(SAMPLES, theirs, ours, strict=True) if their != our]
        assert len(wrong) == 508
        assert (min(wrong), max(wrong)) == (-31612, -1)

    def test_one_bit_of_noise_on_a_silent_line_becomes_minus_eight(self) -> None:
        noise = struct.pack("<4h", -1, -2, -3, -4)
        assert samples_of(g711.mulaw_decode(audioop.lin2ulaw(noise, 2))) == [-8] * 4
        assert samples_of(g711.mulaw_decode(g711.mulaw_encode(noise))) == [0] * 4

    def test_its_other_three_directions_are_exact(self) -> None:
        assert audioop.lin2alaw(EVERY_SAMPLE, 2) == bytes(map(rules.alaw_code, SAMPLES))
        assert samples_of(audioop.ulaw2lin(EVERY_CODE, 2)) == list(map(rules.mulaw_sample, EVERY_CODE))
        assert samples_of(audioop.alaw2lin(EVERY_CODE, 2)) == list(map(rules.alaw_sample, EVERY_CODE))


class TestFromOneLawToTheOther:
    def test_each_code_becomes_what_its_sample_is_in_the_other_law(self) -> None:
        to_alaw = bytes(rules.alaw_code(rules.mulaw_sample(code)) for code in EVERY_CODE)
        to_mulaw = bytes(rules.mulaw_code(rules.alaw_sample(code)) for code in EVERY_CODE)
        assert g711.mulaw_to_alaw(EVERY_CODE) == to_alaw
        assert g711.alaw_to_mulaw(EVERY_CODE) == to_mulaw

    def test_there_and_back_changes_sixteen_codes(self) -> None:
        there_and_back = g711.alaw_to_mulaw(g711.mulaw_to_alaw(EVERY_CODE))
        assert sum(a != b for a, b in zip(there_and_back, EVERY_CODE, strict=True)) == 16
        there_and_back = g711.mulaw_to_alaw(g711.alaw_to_mulaw(EVERY_CODE))
        assert sum(a != b for a, b in zip(there_and_back, EVERY_CODE, strict=True)) == 16

    def test_only_the_second_zero_of_mulaw_is_lost_in_decoding(self) -> None:
        again = g711.mulaw_encode(g711.mulaw_decode(EVERY_CODE))
        assert again == EVERY_CODE.replace(b"\x7f", b"\xff")
        assert g711.alaw_encode(g711.alaw_decode(EVERY_CODE)) == EVERY_CODE


def test_the_float_table_is_the_decoder_scaled_and_cannot_be_changed() -> None:
    table = g711.MULAW_TO_FLOAT
    assert table.dtype == np.float32
    assert (table * 32768).tolist() == samples_of(g711.mulaw_decode(EVERY_CODE))
    with pytest.raises(ValueError, match="read-only"):
        table[0] = 0


@pytest.mark.parametrize("encode", [g711.mulaw_encode, g711.alaw_encode])
def test_half_a_sample_is_refused(encode: object) -> None:
    assert callable(encode)
    with pytest.raises(ValueError, match=r"buffer size|whole 16-bit samples"):
        encode(b"\0\0\0")


@pytest.mark.parametrize(
    "convert",
    [
        g711.mulaw_encode,
        g711.mulaw_decode,
        g711.alaw_encode,
        g711.alaw_decode,
        g711.mulaw_to_alaw,
        g711.alaw_to_mulaw,
    ],
)
def test_nothing_becomes_nothing(convert: object) -> None:
    assert callable(convert)
    assert convert(b"") == b""
