"""From spoken words to the chunks of the wire: converted, cut and encoded once, then shared by every call.

Strategy:

- `WireFormat` is everything that decides the bytes of an utterance besides its words and voice, so that the
  two together are a cache key.
- An `Utterance` is finished: its chunks are base64 already, with the place of each on the audio's own
  timeline. Sending one costs a concatenation, which is what lets one emulator feed hundreds of calls.
- Faults that are in the bytes (PCM instead of mu-law, odd cuts, a header nobody asked for) are made here,
  from options; faults in time are made by who sends.
"""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from bridge.emulators.lightning_options import EmulatorOptions, EmulatorStats
from bridge.emulators.lightning_requests import SpeechRequest
from bridge.emulators.speech_engine import Speech, SpeechEngine, TimedWord
from telephony_codecs.formats import AudioFormat, Encoding
from telephony_codecs.g711 import alaw_encode, mulaw_encode
from telephony_codecs.resample import Resampler

_ENCODINGS: Final = {
    "pcm": Encoding.PCM16,
    "wav": Encoding.PCM16,
    "ulaw": Encoding.MULAW,
    "alaw": Encoding.ALAW,
}
_ENCODERS: Final[dict[Encoding, Callable[[bytes], bytes]]] = {
    Encoding.PCM16: bytes,
    Encoding.MULAW: mulaw_encode,
    Encoding.ALAW: alaw_encode,
}
_WAV_FORMAT_TAGS: Final = {Encoding.PCM16: 1, Encoding.ALAW: 6, Encoding.MULAW: 7}
#: A server that streams does not know the size when it writes the header.
_WAV_SIZE_UNKNOWN: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Script:
    """What is said, and how."""

    text: str
    voice_id: str
    language: str
    speed: float


@dataclass(frozen=True, slots=True)
class WireFormat:
    """What the bytes of an utterance look like."""

    audio: AudioFormat
    chunk_ms: float
    wav_header: bool = False
    odd_chunks: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """One `chunk` message's audio; `at_ms` is where it starts in the utterance."""

    at_ms: float
    audio_base64: bytes


@dataclass(frozen=True, slots=True)
class Utterance:
    """Everything that is sent for one script in one format."""

    chunks: tuple[Chunk, ...]
    words: tuple[TimedWord, ...]
    duration_ms: float

    @property
    def size_bytes(self) -> int:
        """What it takes in memory, about."""
        return sum(len(chunk.audio_base64) for chunk in self.chunks)


class Emulator(Protocol):
    """What those who send audio need of their server."""

    options: EmulatorOptions
    stats: EmulatorStats

    async def utterance(self, request: SpeechRequest) -> Utterance:
        """What is sent for `request`. Raises whatever the engine raises."""


def script_of(request: SpeechRequest) -> Script:
    """The part of `request` that the engine hears."""
    return Script(request.text, request.voice_id, request.language, request.speed)


def wire_format_of(request: SpeechRequest, options: EmulatorOptions) -> WireFormat:
    """The part of `request` that the engine does not hear, as `options` distort it."""
    encoding = Encoding.PCM16 if options.answer_pcm else _ENCODINGS[request.output_format]
    header = request.add_wav_header or request.output_format == "wav" or options.wav_header
    return WireFormat(
        AudioFormat(encoding, request.sample_rate_hz), options.chunk_ms, header, options.odd_chunks
    )


def render(speech: Speech, wire: WireFormat) -> Utterance:
    """`speech` as the chunks of `wire`."""
    audio = _ENCODERS[wire.audio.encoding](_resampled(speech, wire.audio.rate_hz))
    header = wav_header(wire.audio) if wire.wav_header else b""
    chunks = []
    for start, piece in _cut(audio, wire):
        payload = piece if start else header + piece
        chunks.append(Chunk(wire.audio.ms_in(start), b64encode(payload)))
    return Utterance(tuple(chunks), speech.words, wire.audio.ms_in(len(audio)))


def wav_header(audio: AudioFormat) -> bytes:
    """The 44 bytes before a WAV stream of unknown length."""
    size, rate_hz = audio.sample_bytes, audio.rate_hz
    tag = _WAV_FORMAT_TAGS[audio.encoding]
    described = struct.pack("<HHIIHH", tag, 1, rate_hz, rate_hz * size, size, size * 8)
    unknown = struct.pack("<I", _WAV_SIZE_UNKNOWN)
    return b"RIFF" + unknown + b"WAVEfmt " + struct.pack("<I", len(described)) + described + b"data" + unknown


def _resampled(speech: Speech, rate_hz: int) -> bytes:
    if speech.rate_hz == rate_hz:
        return speech.pcm
    resampler = Resampler(speech.rate_hz, rate_hz)
    return resampler.feed(speech.pcm) + resampler.flush()


def _cut(audio: bytes, wire: WireFormat) -> Iterator[tuple[int, bytes]]:
    """The pieces of `audio`, each with the byte that it starts at."""
    whole = max(wire.audio.sample_bytes, wire.audio.bytes_in(wire.chunk_ms))
    # All odd: sample boundaries of 16-bit audio wander through the chunks, and no two neighbours are alike.
    sizes = [whole | 1, whole // 3 | 1, 1, whole * 2 | 1] if wire.odd_chunks else [whole]
    start = index = 0
    while start < len(audio):
        piece = audio[start : start + sizes[index % len(sizes)]]
        yield start, piece
        start, index = start + len(piece), index + 1


class Studio:
    """An engine with a memory: what was spoken once is not spoken again.

    `ready` may be called from any thread; `render` from one thread at a time.
    """

    def __init__(self, engine: SpeechEngine, *, max_bytes: int = 64 << 20) -> None:
        self._engine = engine
        self._max_bytes = max_bytes
        self._held_bytes = 0
        self._made: dict[tuple[Script, WireFormat], Utterance] = {}

    def ready(self, script: Script, wire: WireFormat) -> Utterance | None:
        """The utterance, if it is there already. Never blocks."""
        return self._made.get((script, wire))

    def render(self, script: Script, wire: WireFormat) -> Utterance:
        """The utterance; blocks while it is made.

        Raises:
            RuntimeError: the engine failed.
        """
        if found := self.ready(script, wire):  # while this call waited for its turn
            return found
        speech = self._engine.speak(
            script.text, voice_id=script.voice_id, language=script.language, speed=script.speed
        )
        utterance = render(speech, wire)
        self._keep((script, wire), utterance)
        return utterance

    def _keep(self, key: tuple[Script, WireFormat], utterance: Utterance) -> None:
        self._made[key] = utterance
        self._held_bytes += utterance.size_bytes
        while self._held_bytes > self._max_bytes and len(self._made) > 1:
            oldest = self._made.pop(next(iter(self._made)))
            self._held_bytes -= oldest.size_bytes
