"""What a stretch of audio bytes means: its encoding and its rate. Mono, always."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Encoding(StrEnum):
    """How a sample is written in bytes."""

    MULAW = "mulaw"  #: G.711 mu-law, one byte a sample
    ALAW = "alaw"  #: G.711 A-law, one byte a sample
    PCM16 = "pcm16"  #: linear, signed, two bytes a sample, little endian


_SAMPLE_BYTES = {Encoding.MULAW: 1, Encoding.ALAW: 1, Encoding.PCM16: 2}
# A-law has no zero: 0xD5 decodes to +8, the nearest it can say.
_SILENT_SAMPLE = {Encoding.MULAW: b"\xff", Encoding.ALAW: b"\xd5", Encoding.PCM16: b"\0\0"}


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """Encoding and rate of mono audio.

    Raises:
        ValueError: the rate is not a positive whole number of hertz.
    """

    encoding: Encoding
    rate_hz: int

    def __post_init__(self) -> None:
        if self.rate_hz <= 0:
            raise ValueError(f"rate_hz must be positive, not {self.rate_hz}")

    @property
    def sample_bytes(self) -> int:
        """Bytes in one sample: 1 or 2."""
        return _SAMPLE_BYTES[self.encoding]

    @property
    def silent_sample(self) -> bytes:
        """One sample of silence."""
        return _SILENT_SAMPLE[self.encoding]

    def bytes_in(self, ms: float) -> int:
        """Bytes in `ms` milliseconds, rounded down to whole samples."""
        # The hair makes `bytes_in(ms_in(n))` n again where binary fractions fall just short of it.
        return int(self.rate_hz * ms / 1000 + 1e-6) * self.sample_bytes

    def ms_in(self, size_bytes: int) -> float:
        """Milliseconds in `size_bytes` bytes."""
        return size_bytes * 1000 / (self.rate_hz * self.sample_bytes)

    def silence(self, ms: float) -> bytes:
        """`ms` milliseconds of silence."""
        return self.silent_sample * (self.bytes_in(ms) // self.sample_bytes)

    def __str__(self) -> str:
        return f"{self.encoding} {self.rate_hz} Hz"


MULAW_8K = AudioFormat(Encoding.MULAW, 8000)
ALAW_8K = AudioFormat(Encoding.ALAW, 8000)
PCM16_8K = AudioFormat(Encoding.PCM16, 8000)
