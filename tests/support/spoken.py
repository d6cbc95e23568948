"""What somebody says, as a WAV."""

from __future__ import annotations

from bridge.emulators.espeak import EspeakEngine
from telephony_codecs.formats import AudioFormat, Encoding
from telephony_codecs.wav import wav_bytes


def spoken(words: str) -> bytes:
    """`words`, spoken by eSpeak NG."""
    speech = EspeakEngine().speak(words, voice_id="sophia", language="en", speed=1.0)
    return wav_bytes(AudioFormat(Encoding.PCM16, speech.rate_hz), speech.pcm)
