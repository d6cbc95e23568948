"""One audio format to another, as a stream.

Strategy:

- The chain of stages is drawn up once, when the two formats are known, and `str` prints it: one log line per
  call shows everything that is done to its audio.
- As little as possible is done. Equal formats pass the very bytes through; mu-law and A-law of one rate meet
  in a table; linear PCM is gone through only where the rate changes or one end is linear.
- Every stage may hold bytes back, so a stream must be flushed, and the flush runs through the whole chain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from telephony_codecs.formats import AudioFormat, Encoding
from telephony_codecs.g711 import (
    alaw_decode,
    alaw_encode,
    alaw_to_mulaw,
    mulaw_decode,
    mulaw_encode,
    mulaw_to_alaw,
)
from telephony_codecs.pcm import SampleAligner
from telephony_codecs.resample import Resampler

_Convert = Callable[[bytes], bytes]

#: From one encoding to another at the same rate, without state.
_CONVERSIONS: Final[dict[tuple[Encoding, Encoding], _Convert]] = {
    (Encoding.MULAW, Encoding.PCM16): mulaw_decode,
    (Encoding.ALAW, Encoding.PCM16): alaw_decode,
    (Encoding.PCM16, Encoding.MULAW): mulaw_encode,
    (Encoding.PCM16, Encoding.ALAW): alaw_encode,
    (Encoding.MULAW, Encoding.ALAW): mulaw_to_alaw,
    (Encoding.ALAW, Encoding.MULAW): alaw_to_mulaw,
}


class _Stage(Protocol):
    def feed(self, chunk: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Stateless:
    """A conversion, byte for byte, that holds nothing back."""

    def __init__(self, convert: _Convert) -> None:
        self.feed = convert

    def flush(self) -> bytes:
        return b""


class Transcoder:
    """Audio in `source` in, audio in `target` out, chunk by chunk.

    Feed it a stream's bytes, cut anywhere, then flush. After `flush` it is as new.

    Raises:
        ValueError: the rates differ and one of them cannot be resampled (see `Resampler`).
    """

    def __init__(self, source: AudioFormat, target: AudioFormat) -> None:
        self.source, self.target = source, target
        #: How much of the newest input is held back.
        self.delay_ms = 0.0
        self._stages: list[_Stage] = []
        self._chain = [str(source)]
        if source != target:
            self._plan()

    def _plan(self) -> None:
        source, target = self.source, self.target
        if source.encoding is Encoding.PCM16:
            self._stages.append(SampleAligner())
        if source.rate_hz == target.rate_hz:
            self._convert(source, target)
            return
        linear = AudioFormat(Encoding.PCM16, source.rate_hz)
        resampled = AudioFormat(Encoding.PCM16, target.rate_hz)
        self._convert(source, linear)
        self._resample(linear, resampled)
        self._convert(resampled, target)

    def _convert(self, source: AudioFormat, target: AudioFormat) -> None:
        if source != target:
            self._stages.append(_Stateless(_CONVERSIONS[source.encoding, target.encoding]))
            self._chain.append(str(target))

    def _resample(self, source: AudioFormat, target: AudioFormat) -> None:
        resampler = Resampler(source.rate_hz, target.rate_hz)
        self.delay_ms = resampler.delay_ms
        self._stages.append(resampler)
        self._chain += ["resample", str(target)]

    @property
    def is_identity(self) -> bool:
        """Whether audio passes through untouched."""
        return not self._stages

    def feed(self, audio: bytes) -> bytes:
        """The output as far as it is certain; `audio` itself when the formats are equal."""
        for stage in self._stages:
            audio = stage.feed(audio)
        return audio

    def flush(self) -> bytes:
        """The end of the output. What is fed after it is another stream."""
        tail = b""
        for stage in self._stages:
            tail = stage.feed(tail) + stage.flush()
        return tail

    def __str__(self) -> str:
        return " -> ".join(self._chain) + (" (untouched)" if self.is_identity else "")
