"""WAV: telephone audio as files, and out of streams that wear a WAV header.

Strategy:

- One parser reads the header, whether it is in a file or still arriving: it wants more bytes, or it knows, or
  the input is wrong and it says how (`ValueError`, nothing else).
- Encodings are those of the telephone: PCM of 16 bits, mu-law, A-law; mono or stereo. Others are refused by
  name.
- A header is often written before the length is known: a data size beyond the end (0xFFFFFFFF, as a rule), or
  0 with audio behind it, means "until the end". Unknown chunks are stepped over, wherever they are.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from telephony_codecs.formats import AudioFormat, Encoding

_PCM, _ALAW, _MULAW, _EXTENSIBLE = 1, 6, 7, 0xFFFE
_ENCODINGS: Final = {(_PCM, 16): Encoding.PCM16, (_ALAW, 8): Encoding.ALAW, (_MULAW, 8): Encoding.MULAW}
_TAGS: Final = {Encoding.PCM16: _PCM, Encoding.ALAW: _ALAW, Encoding.MULAW: _MULAW}
_TAG_NAMES: Final = {_PCM: "PCM", 2: "ADPCM", 3: "floating point", 17: "IMA ADPCM", 49: "GSM", 85: "MP3"}

_RIFF_HEAD: Final = struct.Struct("<4sI4s")
_CHUNK_HEAD: Final = struct.Struct("<4sI")
_FMT: Final = struct.Struct("<HHIIHH")
#: Where an extensible `fmt ` chunk keeps the tag that a plain one begins with.
_SUBFORMAT_AT: Final = 24
_UNKNOWN_SIZE: Final = 0xFFFFFFFF
#: A stream with more than this before its audio is not one.
_MOST_HEADER_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Wav:
    """What a WAV file holds.

    Attributes:
        format: encoding and rate of each channel.
        channels: 1, or 2 with their samples taking turns in `audio`.
        audio: whole samples of every channel.
    """

    format: AudioFormat
    channels: int
    audio: bytes

    def channel(self, index: int) -> bytes:
        """One channel by itself: 0 is mono, or left.

        Raises:
            IndexError: there is no such channel.
        """
        if not 0 <= index < self.channels:
            raise IndexError(f"channel {index} of {self.channels}")
        size = self.format.sample_bytes
        samples = memoryview(self.audio).cast("H" if size == 2 else "B")
        return samples[index :: self.channels].tobytes()

    @property
    def duration_ms(self) -> float:
        """How long it plays."""
        return self.format.ms_in(len(self.audio) // self.channels)


class _Header(NamedTuple):
    format: AudioFormat
    channels: int
    audio_at: int
    #: None: until the end.
    audio_bytes: int | None


def read_wav(source: str | Path | bytes) -> Wav:
    """Read a WAV file, or the bytes of one.

    Raises:
        ValueError: not a WAV file, or one whose encoding a telephone does not speak; the message says which.
        OSError: the file cannot be read.
    """
    name = "" if isinstance(source, bytes) else f"{source}: "
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    try:
        header = _parse_header(data)
        if header is None:
            raise ValueError("the WAV ends before its audio begins")
    except ValueError as error:
        raise ValueError(f"{name}{error}") from None
    size = len(data) if header.audio_bytes is None else header.audio_bytes
    audio = data[header.audio_at : header.audio_at + size]
    frame_bytes = header.format.sample_bytes * header.channels
    return Wav(header.format, header.channels, audio[: len(audio) - len(audio) % frame_bytes])


def write_wav(path: str | Path, format: AudioFormat, audio: bytes, channels: int = 1) -> None:
    """Write `audio` to `path` as a WAV file, replacing what was there.

    Raises:
        ValueError: as `wav_bytes`.
        OSError: the file cannot be written.
    """
    Path(path).write_bytes(wav_bytes(format, audio, channels))


def wav_bytes(format: AudioFormat, audio: bytes, channels: int = 1) -> bytes:
    """`audio` as the bytes of a WAV file.

    Args:
        channels: 1, or 2 with their samples taking turns in `audio` (see `pcm.interleave`).

    Raises:
        ValueError: `audio` is not whole samples of every channel, or is over the 4 GiB of a WAV file.
    """
    frame_bytes = format.sample_bytes * channels
    if channels not in (1, 2):
        raise ValueError(f"a WAV of {channels} channels is neither mono nor stereo")
    if len(audio) % frame_bytes:
        raise ValueError(f"{len(audio)} bytes are not whole samples of {frame_bytes} bytes")
    body = _description(format, channels, len(audio) // frame_bytes)
    if len(body) + len(audio) + 16 > _UNKNOWN_SIZE:
        raise ValueError(f"{len(audio)} bytes are more than a WAV file can hold")
    body += _chunk(b"data", audio)
    return _RIFF_HEAD.pack(b"RIFF", 4 + len(body), b"WAVE") + body


def wav_header(format: AudioFormat) -> bytes:
    """What goes before mono audio that is written as it comes, its length unknown: all that follows is audio.

    All sizes are 0xFFFFFFFF, which players take for "until the end", as they do from other programs in a pipe.
    """
    head = _RIFF_HEAD.pack(b"RIFF", _UNKNOWN_SIZE, b"WAVE")
    return head + _description(format, 1, _UNKNOWN_SIZE) + _CHUNK_HEAD.pack(b"data", _UNKNOWN_SIZE)


def _description(format: AudioFormat, channels: int, length_samples: int) -> bytes:
    tag, rate_hz, frame_bytes = _TAGS[format.encoding], format.rate_hz, format.sample_bytes * channels
    fmt = _FMT.pack(tag, channels, rate_hz, rate_hz * frame_bytes, frame_bytes, format.sample_bytes * 8)
    if tag == _PCM:
        return _chunk(b"fmt ", fmt)
    # The standard wants both for whatever is not PCM: an (empty) extension, and the length in samples.
    return _chunk(b"fmt ", fmt + b"\0\0") + _chunk(b"fact", struct.pack("<I", length_samples))


def _chunk(name: bytes, content: bytes) -> bytes:
    return _CHUNK_HEAD.pack(name, len(content)) + content + b"\0" * (len(content) % 2)


def _looks_like_wav(data: bytes) -> bool:
    """Whether `data`, which may be short, is how a WAV begins."""
    return data[:4] == b"RIFF"[: len(data)] and data[8:12] == b"WAVE"[: max(0, len(data) - 8)]


def _parse_header(data: bytes) -> _Header | None:
    """Everything up to the audio, or None when `data` ends before that.

    Raises:
        ValueError: this is not a WAV, or not one that we can use.
    """
    if not _looks_like_wav(data):
        raise ValueError("not a WAV: it does not begin with RIFF and WAVE")
    at = _RIFF_HEAD.size
    described: tuple[AudioFormat, int] | None = None
    while at + _CHUNK_HEAD.size <= len(data):
        name, size = _CHUNK_HEAD.unpack_from(data, at)
        at += _CHUNK_HEAD.size
        if name == b"data":
            if described is None:
                raise ValueError("the WAV has audio before a `fmt ` chunk that says what it is")
            return _Header(*described, at, _audio_bytes(data, at, size))
        if name == b"fmt " and at + size <= len(data):
            described = _parse_fmt(data[at : at + size])
        at += size + size % 2
    return None


def _audio_bytes(data: bytes, audio_at: int, size: int) -> int | None:
    """The audio's length as the header means it, None when it was written before that was known."""
    _, riff_bytes, _ = _RIFF_HEAD.unpack_from(data)
    riff_end = _CHUNK_HEAD.size + riff_bytes
    # An empty file ends, by its own account, behind its empty audio or behind a chunk that follows it.
    is_left_open = size == 0 and (riff_end <= audio_at or riff_bytes == _UNKNOWN_SIZE)
    return None if is_left_open else size


def _parse_fmt(content: bytes) -> tuple[AudioFormat, int]:
    if len(content) < _FMT.size:
        raise ValueError(f"the WAV's `fmt ` chunk is {len(content)} bytes, {_FMT.size} are the least")
    tag, channels, rate_hz, _, _, bits = _FMT.unpack_from(content)
    if tag == _EXTENSIBLE and len(content) >= _SUBFORMAT_AT + 2:
        (tag,) = struct.unpack_from("<H", content, _SUBFORMAT_AT)
    encoding = _ENCODINGS.get((tag, bits))
    if encoding is None:
        what = _TAG_NAMES.get(tag, f"format {tag}")
        raise ValueError(f"the WAV holds {bits}-bit {what}; 16-bit PCM, mu-law and A-law can be used")
    if channels not in (1, 2):
        raise ValueError(f"the WAV has {channels} channels; mono and stereo can be used")
    return AudioFormat(encoding, rate_hz), channels


class WavStripper:
    """Takes the WAV header, if there is one, off a stream of audio bytes.

    Feed it every chunk as it comes. A stream that does not begin as a WAV passes through untouched, from the
    first byte that shows it. Bytes behind the audio (a list of tags, say) are dropped.
    """

    def __init__(self) -> None:
        #: What the header said; None while none has been seen.
        self.format: AudioFormat | None = None
        #: Channels by the header; 1 while none has been seen.
        self.channels = 1
        self._head: bytes | None = b""
        self._left_bytes: int | None = None

    def feed(self, chunk: bytes) -> bytes:
        """The audio in `chunk` and before it that has not been given out yet.

        Raises:
            ValueError: the stream begins as a WAV, but as none that can be used.
        """
        if self._head is None:
            return self._limited(chunk)
        head = self._head + chunk
        self._head = head
        if _looks_like_wav(head):
            return self._past_header(head)
        self._head = None
        return head

    def _past_header(self, head: bytes) -> bytes:
        header = _parse_header(head)
        if header is None:
            if len(head) > _MOST_HEADER_BYTES:
                raise ValueError(f"no audio in the first {len(head)} bytes of the WAV")
            return b""
        self.format, self.channels, self._left_bytes = header.format, header.channels, header.audio_bytes
        self._head = None
        return self._limited(head[header.audio_at :])

    def _limited(self, audio: bytes) -> bytes:
        if self._left_bytes is None:
            return audio
        audio = audio[: self._left_bytes]
        self._left_bytes -= len(audio)
        return audio

    def flush(self) -> bytes:
        """What is undecided when the stream ends: bytes that began like a header and never became one."""
        held, self._head = self._head or b"", None
        return b"" if len(held) >= _RIFF_HEAD.size else held
