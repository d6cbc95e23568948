"""What the end-to-end tests share."""

from __future__ import annotations

import pytest

from bridge.emulators.espeak import EspeakEngine
from telephony_codecs.formats import AudioFormat, Encoding
from telephony_codecs.wav import wav_bytes


@pytest.fixture(scope="session")
def caller_voice() -> bytes:
    """Somebody who says something, as a WAV."""
    speech = EspeakEngine().speak(
        "Excuse me, I would like to ask something.", voice_id="sophia", language="en", speed=1.0
    )
    return wav_bytes(AudioFormat(Encoding.PCM16, speech.rate_hz), speech.pcm)
