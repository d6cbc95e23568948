"""A whole text as one recording, in any format that Lightning takes: for files, not for calls.

Long texts go piece by piece over one socket, like a call's. What comes back is joined as it is: linear and G.711
samples join seamlessly, MP3 frames do too, and a WAV's header is taken off and written anew at the end.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from bridge.config import LightningConfig
from bridge.errors import InvalidRequest
from bridge.lightning.live import LightningLive
from bridge.lightning.messages import SynthesisRequest
from bridge.lightning.pieces import split
from telephony_codecs.formats import AudioFormat, Encoding
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
    def seconds(self) -> float:
        """Its length; 0 for MP3, which is not decoded here."""
        return self.format.audio.ms_in(len(self.audio)) / 1000 if self.format.audio else 0.0

    @property
    def real_time_factor(self) -> float:
        """Seconds spent for each second of audio: under 1 is faster than real time."""
        return self.total_s / self.seconds if self.seconds else 0.0

    def wav(self) -> bytes:
        """As the bytes of a WAV file.

        Raises:
            ValueError: it is MP3.
        """
        if self.format.audio is None:
            raise ValueError("an MP3 is not put into a WAV")
        return wav_bytes(self.format.audio, self.audio)

    def write(self, path: Path) -> None:
        """Write it as a file: a WAV, or what Lightning sent when that was MP3."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.wav() if self.format.audio else self.audio)


async def synthesise_clip(
    text: str,
    wanted: ClipFormat,
    config: LightningConfig,
    *,
    progress: Callable[[float], None] = lambda _seconds: None,
) -> Clip:
    """Have `text` spoken and wait for all of it.

    Args:
        progress: told, as audio comes, how many seconds of it there are.

    Raises:
        InvalidRequest: the text is blank, or Lightning would refuse something; names the field.
        LightningError: it could not be had.
    """
    pieces = split(text)
    if not pieces:
        raise InvalidRequest("text: is empty or only whitespace", code="local_check")
    audio = bytearray()
    began_s = time.monotonic()
    first_s = 0.0
    async with LightningLive(config.with_changes({"spare_connections": 0})) as door:
        for piece in pieces:
            stripper = WavStripper()
            async for part in door.synthesize(_request(piece, wanted, config)):
                if isinstance(part, bytes):
                    first_s = first_s or time.monotonic()
                    audio += part if wanted.audio is None else stripper.feed(part)
                    progress(wanted.audio.ms_in(len(audio)) / 1000 if wanted.audio else 0.0)
            audio += stripper.flush()
    now_s = time.monotonic()
    return Clip(bytes(audio), wanted, (first_s or now_s) - began_s, now_s - began_s)


def _request(text: str, wanted: ClipFormat, config: LightningConfig) -> SynthesisRequest:
    return SynthesisRequest(
        text=text,
        voice_id=config.voice_id,
        model=config.model,
        language=config.language,
        speed=config.speed,
        sample_rate=wanted.rate_hz,
        output_format=wanted.name,
        request_id=uuid.uuid4().hex,
    )
