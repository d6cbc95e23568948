"""A whole text as one recording, in any format that Lightning takes: for files and players, not for calls.

Strategy:

- Long texts go piece by piece over one connection, like a call's; there is no limit to their sum.
- Every door will do. One that knows nothing but PCM is asked for that, and the rest is done here.
- A recording is in the format that was asked for, whatever came. A header says what came. Without one, `ulaw` that
  is PCM is told by its bytes: the sources disagree whether the socket honours it.
- Of every piece whole samples are kept, so that half of one is no noise in all that follow.
- MP3 is passed on as it comes. Its frames join, and nothing here looks into them.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bridge.config import LightningConfig
from bridge.errors import Unavailable, refused_here
from bridge.lightning.answer import answer_in
from bridge.lightning.door import Door
from bridge.lightning.doors import answers_pcm_alone, open_door
from bridge.lightning.limits import Units
from bridge.lightning.messages import ENCODINGS, SynthesisRequest
from bridge.lightning.pieces import split
from bridge.lightning.refusals import blank_text
from bridge.lightning.stats import LightningStats
from bridge.names import ClipName
from telephony_codecs.formats import AudioFormat, Encoding
from telephony_codecs.pcm import SampleAligner
from telephony_codecs.wav import wav_bytes

_ENCODINGS: Final = ENCODINGS | {"wav": Encoding.PCM16}


@dataclass(frozen=True, slots=True)
class ClipFormat:
    """What to ask Lightning for: its own name of a format, and a rate in hertz."""

    name: ClipName
    rate_hz: int

    @property
    def audio(self) -> AudioFormat | None:
        """The format of the samples; None for MP3, which has none of its own."""
        encoding = _ENCODINGS.get(self.name)
        return AudioFormat(encoding, self.rate_hz) if encoding else None

    def seconds_in(self, size_bytes: int) -> float | None:
        """How long so much audio lasts; None for MP3, which is not decoded here."""
        return self.audio.ms_in(size_bytes) / 1000 if self.audio else None


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
        """Its length; None for MP3."""
        return self.format.seconds_in(len(self.audio))

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


class ClipStream:
    """A text's audio as it comes. Iterate over `audio`, once.

    Args:
        pronunciation_dicts: ids of dictionaries of the account.

    Raises:
        InvalidRequest: the text is blank, or the door cannot give the format; names the field.
    """

    def __init__(
        self,
        text: str,
        wanted: ClipFormat,
        config: LightningConfig,
        *,
        pronunciation_dicts: Sequence[str] = (),
    ) -> None:
        self._pieces = split(text)
        if not self._pieces:
            raise blank_text()
        self._wanted, self._config = wanted, config
        self._asked = asked_format(wanted, config)
        self._dictionaries = list(pronunciation_dicts)
        #: From the request to the first byte that came, and to the last; 0 until then.
        self.first_byte_s = self.total_s = 0.0

    async def audio(self) -> AsyncGenerator[bytes, None]:
        """The audio in the format that is wanted, in chunks of any size.

        Raises:
            InvalidRequest: Lightning would refuse something, or did; names the field.
            LightningError: it could not be had.
        """
        began_s = time.monotonic()
        came: AudioFormat | None = None
        async with self._door() as door:
            for piece in self._pieces:
                answer = PieceAnswer(self._wanted.audio, self._asked.audio, came)
                synthesis = door.synthesize(self._request(piece))
                async for part in synthesis:
                    if isinstance(part, bytes):
                        self.first_byte_s = self.first_byte_s or time.monotonic() - began_s
                        if audio := answer.feed(part):
                            yield audio
                if rest := answer.flush():
                    yield rest
                came = answer.format
            self.total_s = time.monotonic() - began_s

    def _door(self) -> Door:
        config, stats = self._config.with_changes({"spare_connections": 0}), LightningStats()
        return open_door(config, stats, Units(config.concurrency, stats))

    def _request(self, piece: str) -> SynthesisRequest:
        config, asked = self._config, self._asked
        return SynthesisRequest(
            text=piece,
            voice_id=config.voice_id,
            model=config.model,
            language=config.language,
            speed=config.speed,
            sample_rate=asked.rate_hz,
            output_format=asked.name,
            pronunciation_dicts=self._dictionaries,
            request_id=uuid.uuid4().hex,
        )


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
        progress: told, as audio comes, how many seconds of it there are; 0 for MP3.

    Raises:
        InvalidRequest: the text is blank, the door cannot give the format, or Lightning would refuse something;
            names the field.
        LightningError: it could not be had.
    """
    stream = ClipStream(text, wanted, config, pronunciation_dicts=pronunciation_dicts)
    audio = bytearray()
    async with contextlib.aclosing(stream.audio()) as chunks:
        async for chunk in chunks:
            audio += chunk
            progress(wanted.seconds_in(len(audio)) or 0.0)
    return Clip(bytes(audio), wanted, stream.first_byte_s, stream.total_s)


def asked_format(wanted: ClipFormat, config: LightningConfig) -> ClipFormat:
    """What to ask of `config`'s door so that the clip can be in the format `wanted`.

    Raises:
        InvalidRequest: it cannot.
    """
    if not answers_pcm_alone(config.door):
        return wanted
    if wanted.audio is None:
        reason = f'output_format: door "{config.door}" answers PCM, which is not made into MP3 here; take another door'
        raise refused_here(reason)
    return ClipFormat("pcm", wanted.rate_hz)


class PieceAnswer:
    """What Lightning answers for one piece, in the format that is wanted. Whole samples only.

    Args:
        wanted: None leaves it as it comes.
        asked: what Lightning was asked for.
        expected: what it answered for the piece before.
    """

    def __init__(
        self, wanted: AudioFormat | None, asked: AudioFormat | None, expected: AudioFormat | None = None
    ) -> None:
        self._answer = answer_in(asked or wanted, expected, wanted) if wanted else None
        halves = wanted is not None and wanted.encoding is Encoding.PCM16
        self._aligner = SampleAligner() if halves else None

    @property
    def format(self) -> AudioFormat | None:
        """What it turned out to be; None until that is clear."""
        return self._answer.format if self._answer else None

    def feed(self, chunk: bytes) -> bytes:
        """The audio in `chunk`, as far as it is certain.

        Raises:
            Unavailable: nothing can be done with it.
        """
        if self._answer is None:
            return chunk
        with _of_use():
            return self._whole(self._answer.feed(chunk))

    def flush(self) -> bytes:
        """The end of it.

        Raises:
            Unavailable: as `feed`.
        """
        if self._answer is None:
            return b""
        with _of_use():
            return self._whole(self._answer.flush())

    def _whole(self, audio: bytes) -> bytes:
        return self._aligner.feed(audio) if self._aligner else audio


@contextlib.contextmanager
def _of_use() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise Unavailable(f"answered with audio of no use: {error}", code="bad_audio") from None
