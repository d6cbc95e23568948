"""What ``bridge say`` does once it knows what: audio as it comes, to a file or a player, and how long it took.

Strategy:

- A whole text is a clip, in any format and at any rate. Text that arrives on standard input is spoken as on a call: by
  the same voice, with its fallbacks, in the telephone's mu-law.
- A file is written when all of it is there. A player gets each chunk as it comes, behind a WAV header that leaves the
  length open, and is never more than `AHEAD_S` behind.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, TypeAlias

from bridge.cli.standard_streams import PipeWriter, text_from
from bridge.config import LightningConfig
from bridge.errors import ConfigError
from bridge.lightning.client import Lightning
from bridge.lightning.clip import ClipFormat, ClipStream
from bridge.lightning.voice import normaliser
from bridge.tasks import end
from telephony_codecs.wav import wav_bytes, wav_header

#: Audio that waits for a player, at most.
AHEAD_S: Final = 20
#: What a call hears.
TELEPHONE: Final = ClipFormat("ulaw", 8000)

_Sink: TypeAlias = Callable[[bytes], Awaitable[None]]
#: Told, as audio comes, how many seconds of it there are; 0 for MP3.
Progress: TypeAlias = Callable[[float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be said, and how."""

    #: None: what arrives on the descriptor `stdin`, as it arrives.
    text: str | None
    stdin: int = -1
    format: ClipFormat
    config: LightningConfig
    normalise: bool = False
    pronunciation_dicts: tuple[str, ...] = ()


@dataclass(slots=True)
class Spoken:
    """How long it took."""

    format: ClipFormat
    size_bytes: int = 0
    #: From the first request to its first byte.
    first_byte_s: float = 0.0
    #: From the request, or from the first text that arrived, to the last byte.
    total_s: float = 0.0
    #: From the first text that arrived to the first audio.
    text_to_audio_s: float | None = None

    @property
    def seconds(self) -> float | None:
        """How long it lasts; None for MP3."""
        return self.format.seconds_in(self.size_bytes)

    @property
    def real_time_factor(self) -> float | None:
        """Seconds spent for each second of audio: under 1 is faster than real time."""
        return self.total_s / self.seconds if self.seconds else None


async def into_memory(job: Job, progress: Progress) -> tuple[Spoken, bytes]:
    """Speak; returns the bytes of a file with all of it, too.

    Raises:
        LightningError: it could not be had.
        ConfigError: standard input is of no use.
    """
    kept = bytearray()

    async def keep(audio: bytes) -> None:
        kept.extend(audio)

    spoken = await _speak(job, keep, progress)
    audio, format = bytes(kept), job.format.audio
    return spoken, wav_bytes(format, audio) if format else audio


async def into_pipe(job: Job, fd: int, progress: Progress) -> Spoken:
    """Speak into the descriptor `fd` as audio comes. Returns when all of it is written.

    Raises:
        LightningError: it could not be had; what came before is written.
        ConfigError: standard input is of no use, or standard output cannot be written.
        BrokenPipeError: nobody reads any more.
    """
    format = job.format.audio
    header = wav_header(format) if format else b""
    most_bytes = AHEAD_S * (format.bytes_in(1000) if format else job.format.rate_hz)
    async with PipeWriter(fd, most_bytes) as pipe:

        async def write(audio: bytes) -> None:
            nonlocal header
            await pipe.write(header + audio)
            header = b""

        return await _unless_broken(pipe, _speak(job, write, progress))


async def _unless_broken(pipe: PipeWriter, speaks: Coroutine[None, None, Spoken]) -> Spoken:
    """What `speaks` returns. A player that leaves ends it at once, even while it waits for more text."""
    speaking, watching = asyncio.create_task(speaks), asyncio.create_task(pipe.until_broken())
    both = {speaking, watching}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not speaking.done():
            await watching
        return await speaking
    finally:
        await end(*both)


async def _speak(job: Job, sink: _Sink, progress: Progress) -> Spoken:
    spoken = Spoken(job.format)
    source = _clip(job, job.text, spoken) if job.text is not None else _stream(job, spoken)
    async with aclosing(source) as chunks:
        async for audio in chunks:
            spoken.size_bytes += len(audio)
            await sink(audio)
            progress(spoken.seconds or 0.0)
    return spoken


async def _clip(job: Job, text: str, spoken: Spoken) -> AsyncGenerator[bytes, None]:
    normalise = normaliser(job.normalise)
    said = normalise(text, job.config.language) if normalise else text
    if not said.strip():
        raise ConfigError("there is nothing to say", key="TEXT")
    stream = ClipStream(said, job.format, job.config, pronunciation_dicts=job.pronunciation_dicts)
    async with aclosing(stream.audio()) as chunks:
        async for audio in chunks:
            yield audio
    spoken.first_byte_s, spoken.total_s = stream.first_byte_s, stream.total_s


async def _stream(job: Job, spoken: Spoken) -> AsyncGenerator[bytes, None]:
    text = _TimedText(text_from(job.stdin))
    # One socket ready when the first words come: this is one utterance, not a server's.
    config = job.config.with_changes({"spare_connections": min(1, job.config.spare_connections)})
    async with (
        Lightning(config, normalise=job.normalise) as lightning,
        lightning.say(text.arriving(), pronunciation_dicts=list(job.pronunciation_dicts)) as utterance,
    ):
        async for audio in utterance:
            if spoken.text_to_audio_s is None:
                spoken.text_to_audio_s = text.age_s
            yield audio
        spoken.first_byte_s, spoken.total_s = (utterance.first_audio_ms or 0.0) / 1000, text.age_s
    if not spoken.size_bytes:
        raise ConfigError("there is nothing to say", source="standard input")


class _TimedText:
    """Text, and how long ago the first of it arrived."""

    def __init__(self, source: AsyncGenerator[str, None]) -> None:
        self._source = source
        self._first_at_s: float | None = None

    @property
    def age_s(self) -> float:
        """Since its first word; 0 before."""
        return time.monotonic() - self._first_at_s if self._first_at_s is not None else 0.0

    async def arriving(self) -> AsyncIterator[str]:
        """The text, as it arrives."""
        async with aclosing(self._source) as source:
            async for text in source:
                if self._first_at_s is None and text.strip():
                    self._first_at_s = time.monotonic()
                yield text
