"""A client's audio, in each encoding, as mu-law."""

from __future__ import annotations

import struct

import pytest

from bridge.emulators.pulse_audio import MulawOf
from bridge.emulators.pulse_query import PulseQuery
from telephony_codecs.formats import MULAW_8K, AudioFormat, Encoding
from telephony_codecs.g711 import mulaw_decode, mulaw_to_alaw
from telephony_codecs.pcm import level_dbfs, samples_of
from telephony_codecs.transcoder import Transcoder
from tests.support.pulse_client import spoken

MULAW = spoken("Hello there")
PCM = mulaw_decode(MULAW)
LINEAR32 = b"".join(struct.pack("<i", int(sample) << 16) for sample in samples_of(PCM))


@pytest.mark.parametrize("chunk_bytes", [1, 3, 160, 4096])
@pytest.mark.parametrize(("encoding", "audio"), [("mulaw", MULAW), ("linear16", PCM), ("linear32", LINEAR32)])
def test_at_its_own_rate_nothing_changes(encoding: str, audio: bytes, chunk_bytes: int) -> None:
    mulaw = MulawOf(PulseQuery(language="en", encoding=encoding, sample_rate_hz=8000))
    chunks = [audio[at : at + chunk_bytes] for at in range(0, len(audio), chunk_bytes)]
    assert mulaw_decode(b"".join(map(mulaw.feed, chunks)) + mulaw.flush()) == PCM


def test_the_other_law() -> None:
    mulaw = MulawOf(PulseQuery(language="en", encoding="alaw", sample_rate_hz=8000))
    there_and_back = mulaw.feed(mulaw_to_alaw(MULAW)) + mulaw.flush()
    assert len(there_and_back) == len(MULAW)
    assert level_dbfs(mulaw_decode(there_and_back)) == pytest.approx(level_dbfs(PCM), abs=0.5)


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 24_000, 44_100, 48_000])
def test_other_rates(rate_hz: int) -> None:
    wide = Transcoder(MULAW_8K, AudioFormat(Encoding.PCM16, rate_hz))
    mulaw = MulawOf(PulseQuery(language="en", sample_rate_hz=rate_hz))
    back = mulaw.feed(wide.feed(MULAW) + wide.flush()) + mulaw.flush()
    assert len(back) == pytest.approx(len(MULAW), abs=2)
    assert level_dbfs(mulaw_decode(back)) == pytest.approx(level_dbfs(PCM), abs=1)
