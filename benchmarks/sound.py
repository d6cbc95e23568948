"""What goes over the benchmark's lines: marked syntheses one way, comfort noise and human voices the other.

Strategy:

- Every synthesis is noise of one mu-law magnitude, and the magnitude is its id. One byte anywhere in a payload
  tells which synthesis it is of, however the bridge cut the stream: that is how stale audio is caught.
- All audio is made once and kept as base64: pacing 500 lines leaves no time for more.
- A caller's line is never digitally silent: comfort noise at -45 dBFS, so that a detector of speech has work.
"""

from __future__ import annotations

import base64
import binascii
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from telephony_codecs.g711 import mulaw_decode, mulaw_encode

PACKET_BYTES = 160
PACKET_S = 0.020
BYTES_PER_MS = 8
NOISE_DBFS = -45.0

#: Magnitudes used as ids: those of speech. Louder ones would be taken for PCM, by a bridge that judges the bytes;
#: close to 0x7F is silence, which is what padding looks like.
IDS = range(0x28, 0x70)
SILENCE_ID = 0x7F

_RANDOM = np.random.default_rng(20)


def synthesis(identity: int, duration_ms: int) -> bytes:
    """Mu-law audio of which every byte carries `identity`: random signs, one magnitude."""
    signs = _RANDOM.integers(0, 2, duration_ms * BYTES_PER_MS, dtype=np.uint8) << 7
    return (signs | np.uint8(identity)).tobytes()


def identity_of(base64_quad: bytes) -> int:
    """The id of the synthesis that four characters of base64 were cut from."""
    return binascii.a2b_base64(base64_quad)[0] & 0x7F


def comfort_noise(packets: int) -> list[bytes]:
    """Packets of a quiet line, base64."""
    return _packets(_noise(packets * PACKET_BYTES))


@dataclass(frozen=True)
class Clip:
    """A human voice, cut into packets."""

    name: str
    packets: Sequence[bytes]  # base64, 20 ms each, comfort noise mixed in
    onset_packet: int  # index of the packet in which the voice begins

    @property
    def duration_s(self) -> float:
        return len(self.packets) * PACKET_S


def load_clips(folder: Path, *, count: int = 40, lead_in_ms: int = 100, length_ms: int = 1200) -> list[Clip]:
    """Up to `count` human voices from the WAV files (8 kHz, 16 bit, mono) under `folder`, in a fixed order.

    Each begins `lead_in_ms` before its voice. Empty when there are none.
    """
    clips: list[Clip] = []
    for path in sorted(folder.rglob("*.wav")):
        if clip := _clip(path, lead_in_ms * BYTES_PER_MS, length_ms * BYTES_PER_MS):
            clips.append(clip)
    step = max(1, len(clips) // count)
    return clips[::step][:count]


def _clip(path: Path, lead_in: int, length: int) -> Clip | None:
    pcm = _read(path)
    onset = _onset(pcm)
    if onset is None or len(pcm) - onset < length - lead_in:
        return None
    start = max(0, onset - lead_in)
    cut = pcm[start : start + length // PACKET_BYTES * PACKET_BYTES]
    mixed = np.clip(cut + _noise(len(cut)), -32768, 32767)
    return Clip(path.stem, _packets(mixed), (onset - start) // PACKET_BYTES)


def _read(path: Path) -> np.ndarray:
    try:
        with wave.open(str(path)) as wav:
            if (wav.getframerate(), wav.getnchannels(), wav.getsampwidth()) != (8000, 1, 2):
                return np.zeros(0)
            return np.frombuffer(wav.readframes(wav.getnframes()), "<i2").astype(float)
    except wave.Error:
        return np.zeros(0)


def _onset(pcm: np.ndarray) -> int | None:
    """The sample where the voice begins: the first of three 10 ms windows within 25 dB of the loud parts."""
    windows = pcm[: len(pcm) // 80 * 80].reshape(-1, 80)
    if not len(windows):
        return None
    levels = 20 * np.log10(np.sqrt((windows**2).mean(axis=1)) / 32768 + 1e-6)
    loud = levels > max(float(np.percentile(levels, 95)) - 25, NOISE_DBFS + 3)
    for at in np.flatnonzero(loud[:-2] & loud[1:-1] & loud[2:]):
        return int(at) * 80
    return None


def _noise(samples: int) -> np.ndarray:
    return _RANDOM.normal(0, 32768 * 10 ** (NOISE_DBFS / 20), samples)


def _packets(pcm: np.ndarray) -> list[bytes]:
    coded = mulaw_encode(pcm.astype("<i2").tobytes())
    return [base64.b64encode(coded[at : at + PACKET_BYTES]) for at in range(0, len(coded), PACKET_BYTES)]


def as_pcm(mulaw: bytes) -> bytes:
    """The same audio as 16-bit PCM, for a peer that asks for it."""
    return mulaw_decode(mulaw)
