"""Telephone audio: formats, G.711, PCM, resampling, framing, WAV.

Bytes in, bytes out: nothing here reads a clock, waits, or opens a connection. PCM is always signed 16 bit,
little endian.
"""

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
from telephony_codecs.transcoder import Transcoder
from telephony_codecs.wav import Wav, WavStripper, read_wav, wav_bytes, wav_header, write_wav

__all__ = [
    "ALAW_8K",
    "MULAW_8K",
    "MULAW_TO_FLOAT",
    "PCM16_8K",
    "AudioFormat",
    "Encoding",
    "Reframer",
    "Resampler",
    "Transcoder",
    "Wav",
    "WavStripper",
    "alaw_decode",
    "alaw_encode",
    "alaw_to_mulaw",
    "gain",
    "interleave",
    "level_dbfs",
    "mulaw_decode",
    "mulaw_encode",
    "mulaw_to_alaw",
    "read_wav",
    "swap_bytes",
    "wav_bytes",
    "wav_header",
    "write_wav",
]
