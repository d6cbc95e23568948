"""What is sound, and what is only the line."""

from __future__ import annotations

import pytest

from bridge.emulators.recogniser import is_sound
from telephony_codecs.g711 import mulaw_encode
from telephony_codecs.tones import comfort_noise, tone


@pytest.mark.parametrize(
    ("pcm", "sound"),
    [
        (bytes(320), False),
        (comfort_noise(20, -62).tobytes(), False),
        (tone([440], 20, -55, ramp_ms=0).tobytes(), False),
        (tone([440], 20, -35, ramp_ms=0).tobytes(), True),
        (tone([440], 20, -10, ramp_ms=0).tobytes(), True),
    ],
)
def test_what_is_sound(pcm: bytes, sound: bool) -> None:
    assert is_sound(mulaw_encode(pcm)) is sound
