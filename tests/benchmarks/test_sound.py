"""The marks in the benchmark's audio must survive whatever a bridge may rightly do to it."""

from __future__ import annotations

import base64

import pytest

from benchmarks import sound
from telephony_codecs.g711 import mulaw_encode


@pytest.mark.parametrize("identity", [sound.IDS[0], sound.IDS[-1]])
@pytest.mark.parametrize("offset", [0, 1, 160, 161])
def test_any_packet_tells_its_synthesis(identity: int, offset: int) -> None:
    packet = sound.synthesis(identity, 100)[offset : offset + 160]
    assert sound.identity_of(base64.b64encode(packet)[:4]) == identity


def test_the_mark_survives_a_peer_that_asks_for_pcm() -> None:
    for identity in sound.IDS:
        audio = sound.synthesis(identity, 20)
        assert mulaw_encode(sound.as_pcm(audio)) == audio


def test_padding_is_no_id() -> None:
    assert sound.SILENCE_ID not in sound.IDS
