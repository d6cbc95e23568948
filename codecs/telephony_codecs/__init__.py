"""Telephone audio: formats, G.711, PCM, resampling, framing, WAV, tones and keys.

Bytes in, bytes out: nothing here reads a clock, waits, or opens a connection. PCM is always signed 16 bit,
little endian.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from telephony_codecs.dtmf import DtmfDetector, digits_audio
    from telephony_codecs.formats import ALAW_8K, MULAW_8K, PCM16_8K, AudioFormat, Encoding
    from telephony_codecs.g711 import (
        MULAW_TO_FLOAT,
        alaw_decode,
        alaw_encode,
        alaw_to_mulaw,
        mulaw_decode,
        mulaw_encode,
        mulaw_to_alaw,
    )
    from telephony_codecs.pcm import gain, interleave, level_dbfs, swap_bytes
    from telephony_codecs.reframer import Reframer
    from telephony_codecs.resample import Resampler
    from telephony_codecs.tones import comfort_noise, tone
    from telephony_codecs.transcoder import Transcoder
    from telephony_codecs.wav import Wav, WavStripper, read_wav, wav_bytes, wav_header, write_wav

__all__ = [
    "ALAW_8K",
    "MULAW_8K",
    "MULAW_TO_FLOAT",
    "PCM16_8K",
    "AudioFormat",
    "DtmfDetector",
    "Encoding",
    "Reframer",
    "Resampler",
    "Transcoder",
    "Wav",
    "WavStripper",
    "alaw_decode",
    "alaw_encode",
    "alaw_to_mulaw",
    "comfort_noise",
    "digits_audio",
    "gain",
    "interleave",
    "level_dbfs",
    "mulaw_decode",
    "mulaw_encode",
    "mulaw_to_alaw",
    "read_wav",
    "swap_bytes",
    "tone",
    "wav_bytes",
    "wav_header",
    "write_wav",
]

#: Where each name is. They are fetched when asked for: half of them need numpy, which takes a fifth of a second.
_HOME = {
    "ALAW_8K": "formats",
    "AudioFormat": "formats",
    "DtmfDetector": "dtmf",
    "Encoding": "formats",
    "MULAW_8K": "formats",
    "MULAW_TO_FLOAT": "g711",
    "PCM16_8K": "formats",
    "Reframer": "reframer",
    "Resampler": "resample",
    "Transcoder": "transcoder",
    "Wav": "wav",
    "WavStripper": "wav",
    "alaw_decode": "g711",
    "alaw_encode": "g711",
    "alaw_to_mulaw": "g711",
    "comfort_noise": "tones",
    "digits_audio": "dtmf",
    "gain": "pcm",
    "interleave": "pcm",
    "level_dbfs": "pcm",
    "mulaw_decode": "g711",
    "mulaw_encode": "g711",
    "mulaw_to_alaw": "g711",
    "read_wav": "wav",
    "swap_bytes": "pcm",
    "tone": "tones",
    "wav_bytes": "wav",
    "wav_header": "wav",
    "write_wav": "wav",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
