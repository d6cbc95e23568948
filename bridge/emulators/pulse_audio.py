"""A client's audio as what recognisers take: 8 kHz mu-law, whatever encoding and rate its query declared. No I/O."""

from __future__ import annotations

from typing import Final

from bridge.emulators.pulse_query import PulseQuery
from telephony_codecs.formats import MULAW_8K, AudioFormat, Encoding
from telephony_codecs.transcoder import Transcoder

_ENCODINGS: Final = {
    "mulaw": Encoding.MULAW,
    "alaw": Encoding.ALAW,
    "linear16": Encoding.PCM16,
    "linear32": Encoding.PCM16,  # once its lower halves are gone
}
_SAMPLE32_BYTES: Final = 4


class MulawOf:
    """Bytes of the declared format in, mu-law out, chunk by chunk, cut anywhere.

    ``linear32`` is taken for whole numbers, little endian: no source says.
    """

    def __init__(self, query: PulseQuery) -> None:
        self._transcoder = Transcoder(AudioFormat(_ENCODINGS[query.encoding], query.sample_rate_hz), MULAW_8K)
        self._is_32_bit = query.encoding == "linear32"
        self._half = b""

    def feed(self, audio: bytes) -> bytes:
        """The mu-law as far as it is certain."""
        return self._transcoder.feed(self._upper_halves(audio) if self._is_32_bit else audio)

    def flush(self) -> bytes:
        """The end of it."""
        return self._transcoder.flush()

    def _upper_halves(self, audio: bytes) -> bytes:
        audio = self._half + audio
        whole = len(audio) - len(audio) % _SAMPLE32_BYTES
        audio, self._half = audio[:whole], audio[whole:]
        halves = bytearray(whole // 2)
        halves[0::2], halves[1::2] = audio[2::_SAMPLE32_BYTES], audio[3::_SAMPLE32_BYTES]
        return bytes(halves)
