"""A whole text as one recording, in any format that Lightning takes: for files, not for calls.

Strategy:

- Long texts go piece by piece over one connection, like a call's; there is no limit to their sum.
- Every door will do. One that knows nothing but PCM is asked for that, and the rest is done here.
- A recording is in the format that was asked for, whatever came. A header says what came. Without one, `ulaw` that
  is PCM is told by its bytes: the sources disagree whether the socket honours it.
- MP3 is passed on as it comes. Its frames join, and nothing here looks into them.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from bridge.catalogue import PCM_DOORS
from bridge.config import LightningConfig
from bridge.errors import InvalidRequest, Unavailable
from bridge.lightning.audio_guess import MOST_BYTES, evidence_bits
from bridge.lightning.doors import open_door
from bridge.lightning.limits import Units
from bridge.lightning.messages import SynthesisRequest
from bridge.lightning.pieces import split
from bridge.lightning.speech import Synthesizer
from bridge.lightning.stats import LightningStats
from telephony_codecs.formats import AudioFormat, Encoding
from telephony_codecs.transcoder import Transcoder
from telephony_codecs.wav import WavStripper, wav_bytes

_ENCODINGS: Final = {
    "pcm": Encoding.PCM16,
    "wav": Encoding.PCM16,
    "ulaw": Encoding.MULAW,
    "alaw": Encoding.ALAW,
}


@dataclass(frozen=True, slots=True)
class ClipFormat:
    """What to ask Lightning for: its own name of a format, and a rate in hertz."""

    name: Literal["pcm", "wav", "mp3", "ulaw", "alaw"]
    rate_hz: int

    @property
    def audio(self) -> AudioFormat | None:
        """The format of the samples; None for MP3, which has none of its own."""
        encoding = _ENCODINGS.get(self.name)
        return AudioFormat(encoding, self.rate_hz) if encoding else None


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording, and how long it took to get."""

    audio: bytes
    format: ClipFormat
    #: From the request to the first byte of audio, and to the last.
    first_byte_s: float
    total_s: float

    @property
    def seconds(self) -> float | None:
        """Its length; None for MP3, which is not decoded here."""
        return self.format.audio.ms_in(len(self.audio)) / 1000 if self.format.audio else None

    @property
    def real_time_factor(self) -> float | None:
        """Seconds spent for each second of audio: under 1 is faster than real time."""
        return self.total_s / self.seconds if self.seconds else None

    def file(self) -> bytes:
        """As the bytes of a file: a WAV, or what Lightning sent when that was MP3."""
        return wav_bytes(self.format.audio, self.audio) if self.format.audio else self.audio

    def write(self, path: Path) -> None:
        """Write `file` to `path`, making its folder where needed."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.file())


async def synthesise_clip(
    text: str,
    wanted: ClipFormat,
    config: LightningConfig,
    *,
    pronunciation_dicts: Sequence[str] = (),
    progress: Callable[[float], None] = lambda _seconds: None,
) -> Clip:
    """Have `text` spoken and wait for all of it.

    Args:
        pronunciation_dicts: ids of dictionaries of the account.
        progress: told, as audio comes, about how many seconds of it there are; 0 for MP3.

    Raises:
        InvalidRequest: the text is blank, the door cannot give the format, or Lightning would refuse something;
            names the field.
        LightningError: it could not be had.
    """
    pieces = split(text)
    if not pieces:
        raise InvalidRequest("text: is empty or only whitespace", code="local_check")
    asked = asked_format(wanted, config)
    audio = bytearray()
    began_s = time.monotonic()
    first_s = None
    async with _opened(config) as door:
        for piece in pieces:
            answer = bytearray()
            async for part in door.synthesize(_request(piece, asked, config, pronunciation_dicts)):
                if isinstance(part, bytes):
                    first_s = first_s or time.monotonic()
                    answer += part
                    progress(_seconds(wanted, len(audio)) + _seconds(asked, len(answer)))
            audio += as_wanted(bytes(answer), wanted.audio, asked.audio)
        now_s = time.monotonic()
    return Clip(bytes(audio), wanted, (first_s or now_s) - began_s, now_s - began_s)


def asked_format(wanted: ClipFormat, config: LightningConfig) -> ClipFormat:
    """What to ask of `config`'s door so that the clip can be in the format `wanted`.

    Raises:
        InvalidRequest: it cannot.
    """
    if config.door not in PCM_DOORS and config.door != "local":
        return wanted
    if wanted.audio is None:
        reason = f'output_format: door "{config.door}" answers PCM, which is not made into MP3 here; take another door'
        raise InvalidRequest(reason, code="local_check")
    return ClipFormat("pcm", wanted.rate_hz)


@asynccontextmanager
async def _opened(config: LightningConfig) -> AsyncIterator[Synthesizer]:
    stats = LightningStats()
    door = open_door(config.with_changes({"spare_connections": 0}), stats, Units(config.concurrency, stats))
    await door.start()
    try:
        yield door
    finally:
        await door.close()


def as_wanted(answer: bytes, wanted: AudioFormat | None, asked: AudioFormat | None = None) -> bytes:
    """A piece's whole audio in the format `wanted`, from whatever Lightning answered; None leaves it as it is.

    Args:
        asked: what Lightning was asked for, where that was another format.

    Raises:
        Unavailable: it answered with audio that nothing can be done with.
    """
    if wanted is None:
        return answer
    try:
        came, audio = _unwrapped(answer)
        came = came or _guessed(audio, asked or wanted)
        audio = audio[: len(audio) - len(audio) % came.sample_bytes]
        if came == wanted:
            return audio
        transcoder = Transcoder(came, wanted)
        return transcoder.feed(audio) + transcoder.flush()
    except ValueError as error:
        raise Unavailable(f"answered with audio of no use: {error}", code="bad_audio") from None


def _unwrapped(answer: bytes) -> tuple[AudioFormat | None, bytes]:
    """The audio in `answer` and what its header said of it, if it has one."""
    stripper = WavStripper()
    audio = stripper.feed(answer) + stripper.flush()
    if stripper.channels != 1:
        raise ValueError(f"{stripper.channels} channels; speech has one")
    return stripper.format, audio


def _guessed(audio: bytes, wanted: AudioFormat) -> AudioFormat:
    if wanted.encoding is not Encoding.MULAW:
        return wanted
    # The evidence of all of it: a beginning that is nearly silent says little.
    bits = sum(evidence_bits(audio[at : at + MOST_BYTES]) for at in range(0, len(audio), MOST_BYTES))
    return wanted if bits >= 0 else AudioFormat(Encoding.PCM16, wanted.rate_hz)


def _seconds(wanted: ClipFormat, size_bytes: int) -> float:
    return wanted.audio.ms_in(size_bytes) / 1000 if wanted.audio else 0.0


def _request(
    text: str, wanted: ClipFormat, config: LightningConfig, pronunciation_dicts: Sequence[str]
) -> SynthesisRequest:
    return SynthesisRequest(
        text=text,
        voice_id=config.voice_id,
        model=config.model,
        language=config.language,
        speed=config.speed,
        sample_rate=wanted.rate_hz,
        output_format=wanted.name,
        pronunciation_dicts=list(pronunciation_dicts),
        request_id=uuid.uuid4().hex,
    )
