from __future__ import annotations

import io
import struct
import wave
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telephony_codecs import (
    ALAW_8K,
    MULAW_8K,
    PCM16_8K,
    AudioFormat,
    Encoding,
    Wav,
    WavStripper,
    read_wav,
    wav_bytes,
    wav_header,
    write_wav,
)
from tests.support.chunks import cut, run

AUDIO = bytes(range(200))
FORMATS = st.builds(AudioFormat, st.sampled_from(Encoding), st.sampled_from([8000, 22050, 44100]))
UNKNOWN = 0xFFFFFFFF


def fmt(tag: int = 1, channels: int = 1, rate_hz: int = 8000, bits: int = 16, more: bytes = b"") -> bytes:
    frame_bytes = channels * bits // 8
    return struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * frame_bytes, frame_bytes, bits) + more


def chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
    size = len(content) if size is None else size
    return struct.pack("<4sI", name, size) + content + b"\0" * (len(content) % 2)


def riff(*chunks: bytes, size: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return struct.pack("<4sI", b"RIFF", len(body) if size is None else size) + body


#: Subformat of an extensible header: the tag, then the fixed end of Microsoft's GUID.
EXTENSIBLE = struct.pack("<HHIH", 22, 16, 4, 1) + bytes.fromhex("000000001000800000aa00389b71")

USABLE = {
    "plain": (riff(chunk(b"fmt ", fmt()), chunk(b"data", AUDIO)), PCM16_8K),
    "mu-law": (riff(chunk(b"fmt ", fmt(7, bits=8, more=b"\0\0")), chunk(b"data", AUDIO)), MULAW_8K),
    "A-law": (riff(chunk(b"fmt ", fmt(6, bits=8)), chunk(b"data", AUDIO)), ALAW_8K),
    "extensible": (
        riff(chunk(b"fmt ", fmt(0xFFFE, more=EXTENSIBLE)), chunk(b"data", AUDIO)),
        PCM16_8K,
    ),
    "tags before, of odd length": (
        riff(
            chunk(b"LIST", b"INFOodd"), chunk(b"fmt ", fmt()), chunk(b"fact", b"1234"), chunk(b"data", AUDIO)
        ),
        PCM16_8K,
    ),
    "tags behind": (riff(chunk(b"fmt ", fmt()), chunk(b"data", AUDIO), chunk(b"LIST", b"INFO")), PCM16_8K),
    "streamed, sizes all ones": (
        riff(chunk(b"fmt ", fmt()), chunk(b"data", AUDIO, UNKNOWN), size=UNKNOWN),
        PCM16_8K,
    ),
    "streamed, sizes zero": (riff(chunk(b"fmt ", fmt()), chunk(b"data", AUDIO, 0), size=0), PCM16_8K),
    "streamed, header's own size": (
        riff(chunk(b"fmt ", fmt()), chunk(b"data", AUDIO, 0), size=36),
        PCM16_8K,
    ),
    "streamed, only the outer size all ones": (
        riff(chunk(b"fmt ", fmt()), chunk(b"data", AUDIO, 0), size=UNKNOWN),
        PCM16_8K,
    ),
    "streamed, a very big size": (
        riff(chunk(b"fmt ", fmt()), chunk(b"data", AUDIO, 0x7FFFF000), size=0x7FFFFFFF),
        PCM16_8K,
    ),
}

UNUSABLE = {
    "nothing": (b"", "ends before its audio"),
    "text": (b"hello, this is not a wave file at all", "does not begin with RIFF"),
    "another RIFF": (b"RIFF\x04\0\0\0AVI LIST", "does not begin with RIFF and WAVE"),
    "big endian": (b"RIFX\x04\0\0\0WAVEfmt ", "does not begin with RIFF"),
    "cut in the outer header": (b"RIFF\x04\0", "ends before its audio"),
    "cut in a chunk's header": (riff(chunk(b"fmt ", fmt()), b"da"), "ends before its audio"),
    "no data": (riff(chunk(b"fmt ", fmt())), "ends before its audio"),
    "data before fmt": (riff(chunk(b"data", AUDIO), chunk(b"fmt ", fmt())), "says what it is"),
    "short fmt": (riff(chunk(b"fmt ", b"\1\0"), chunk(b"data", AUDIO)), "chunk is 2 bytes"),
    "endless fmt": (riff(chunk(b"fmt ", fmt(), UNKNOWN), chunk(b"data", AUDIO)), "ends before its audio"),
    "8 bits": (riff(chunk(b"fmt ", fmt(bits=8)), chunk(b"data", AUDIO)), "8-bit PCM"),
    "24 bits": (riff(chunk(b"fmt ", fmt(bits=24)), chunk(b"data", AUDIO)), "24-bit PCM"),
    "floats": (riff(chunk(b"fmt ", fmt(3, bits=32)), chunk(b"data", AUDIO)), "32-bit floating point"),
    "MP3": (riff(chunk(b"fmt ", fmt(85, bits=0)), chunk(b"data", AUDIO)), "MP3"),
    "unheard of": (riff(chunk(b"fmt ", fmt(4711)), chunk(b"data", AUDIO)), "format 4711"),
    "extensible, cut short": (riff(chunk(b"fmt ", fmt(0xFFFE)), chunk(b"data", AUDIO)), "format 65534"),
    "no channel": (riff(chunk(b"fmt ", fmt(channels=0)), chunk(b"data", AUDIO)), "0 channels"),
    "surround": (riff(chunk(b"fmt ", fmt(channels=6)), chunk(b"data", AUDIO)), "6 channels"),
    "no rate": (riff(chunk(b"fmt ", fmt(rate_hz=0)), chunk(b"data", AUDIO)), "rate_hz must be positive"),
}


@pytest.mark.parametrize(("data", "format"), USABLE.values(), ids=USABLE.keys())
class TestEveryUsableHeader:
    def test_read(self, data: bytes, format: AudioFormat) -> None:
        wav = read_wav(data)
        assert (wav.format, wav.channels, wav.audio) == (format, 1, AUDIO)

    @pytest.mark.parametrize("size", [1, 3, 44, 1000])
    def test_stripped_from_a_stream(self, data: bytes, format: AudioFormat, size: int) -> None:
        stripper = WavStripper()
        assert run(stripper, cut(data, [size])) == AUDIO
        assert (stripper.format, stripper.channels) == (format, 1)


@pytest.mark.parametrize(("data", "reason"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_what_cannot_be_read_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_wav(data)


def test_the_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "greeting.wav"
    path.write_text("not audio")
    with pytest.raises(ValueError, match=r"greeting\.wav: not a WAV"):
        read_wav(path)
    with pytest.raises(FileNotFoundError):
        read_wav(tmp_path / "missing.wav")


@given(FORMATS, st.sampled_from([1, 2]), st.binary(max_size=300))
def test_written_and_read_again(format: AudioFormat, channels: int, audio: bytes) -> None:
    audio = audio[: len(audio) - len(audio) % (format.sample_bytes * channels)]
    data = wav_bytes(format, audio, channels)
    assert read_wav(data) == Wav(format, channels, audio)
    assert len(data) % 2 == 0
    assert struct.unpack_from("<I", data, 4)[0] == len(data) - 8


@given(st.sampled_from([8000, 44100]), st.sampled_from([1, 2]), st.binary(max_size=300))
def test_pcm_as_the_standard_library_writes_and_reads_it(rate_hz: int, channels: int, audio: bytes) -> None:
    audio = audio[: len(audio) - len(audio) % (2 * channels)]
    theirs = io.BytesIO()
    with wave.open(theirs, "wb") as writer:
        writer.setparams((channels, 2, rate_hz, 0, "NONE", ""))
        writer.writeframes(audio)
    ours = wav_bytes(AudioFormat(Encoding.PCM16, rate_hz), audio, channels)
    assert ours == theirs.getvalue()
    with wave.open(io.BytesIO(ours)) as reader:
        assert (reader.getnchannels(), reader.getframerate(), reader.getsampwidth()) == (channels, rate_hz, 2)
        assert reader.readframes(1000) == audio


def test_mulaw_says_what_the_standard_wants() -> None:
    data = wav_bytes(MULAW_8K, b"abc")
    assert data[12:] == (
        chunk(b"fmt ", fmt(7, bits=8, more=b"\0\0")) + chunk(b"fact", b"\3\0\0\0") + chunk(b"data", b"abc")
    )


@pytest.mark.parametrize(
    ("audio", "channels", "reason"),
    [(b"\0", 1, "not whole samples"), (b"\0\0", 2, "not whole samples"), (b"", 0, "neither mono nor stereo")],
)
def test_what_cannot_be_written(audio: bytes, channels: int, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        wav_bytes(PCM16_8K, audio, channels)


def test_a_file_on_disk_its_channels_and_its_length(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    write_wav(path, PCM16_8K, b"LlRrLlRr" * 80, channels=2)
    wav = read_wav(path)
    assert (wav.channel(0), wav.channel(1)) == (b"Ll" * 160, b"Rr" * 160)
    assert wav.duration_ms == 20
    assert read_wav(str(path)) == wav
    assert Wav(MULAW_8K, 2, b"LRLR").channel(1) == b"RR"
    with pytest.raises(IndexError, match="channel 2 of 2"):
        wav.channel(2)


def test_an_empty_file_with_tags_behind_is_empty() -> None:
    data = riff(chunk(b"fmt ", fmt()), chunk(b"data", b""), chunk(b"LIST", b"INFO"))
    assert read_wav(data).audio == b""


def test_a_file_cut_short_keeps_its_whole_samples() -> None:
    assert read_wav(USABLE["plain"][0][:-3]).audio == AUDIO[:196]


@given(st.sampled_from([data for data, _ in (*USABLE.values(), *UNUSABLE.values())]), st.data())
def test_a_damaged_file_is_read_or_refused(data: bytes, draw: st.DataObject) -> None:
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(0, 4)) if data else 0):
        damaged[draw.draw(st.integers(0, min(80, len(data) - 1)))] = draw.draw(st.integers(0, 255))
    for read in (read_wav, lambda damaged: run(WavStripper(), cut(damaged, [5]))):
        try:
            read(bytes(damaged))
        except ValueError as error:
            assert "WAV" in str(error) or "rate_hz" in str(error)


class TestStreamWithoutAHeader:
    @given(st.lists(st.binary(max_size=20), max_size=20))
    @example([b"R", b"I", b"F", b"Fabcd", b"WAV", b"!"])
    @example([b"RIFF", b"size", b"AVI "])
    @example([b"RIFFsizeWAV"])
    @example([b"RI"])
    def test_passes_through_untouched(self, chunks: list[bytes]) -> None:
        stripper, stream = WavStripper(), b"".join(chunks)
        if not stream.startswith(b"RIFF") or stream[8:12] != b"WAVE":
            assert run(stripper, iter(chunks)) == stream
            assert stripper.format is None

    @pytest.mark.parametrize("first", [b"\xff" * 160, b"RIFT", b"r", b"RIFF....WAVX"])
    def test_at_once(self, first: bytes) -> None:
        assert WavStripper().feed(first) == first

    def test_without_a_copy(self) -> None:
        stripper, packet = WavStripper(), b"\xff" * 160
        stripper.feed(packet)
        assert stripper.feed(packet) is packet


class TestStreamWithAHeader:
    def test_audio_comes_with_the_chunk_that_brings_it(self) -> None:
        data, stripper = USABLE["plain"][0], WavStripper()
        assert stripper.feed(data[:43]) == b""
        assert stripper.format is None
        assert stripper.feed(data[43:50]) == AUDIO[:6]
        assert stripper.format == PCM16_8K

    @pytest.mark.parametrize("kind", ["8 bits", "surround", "data before fmt"])
    def test_one_that_cannot_be_used_is_refused(self, kind: str) -> None:
        data, reason = UNUSABLE[kind]
        with pytest.raises(ValueError, match=reason):
            run(WavStripper(), cut(data, [10]))

    def test_a_header_without_end_is_refused(self) -> None:
        stripper = WavStripper()
        stripper.feed(riff(chunk(b"JUNK", b"", UNKNOWN)))
        with pytest.raises(ValueError, match="no audio in the first"):
            run(stripper, (bytes(1 << 16) for _ in range(17)))

    def test_a_stream_that_ends_in_its_header_had_no_audio(self) -> None:
        assert run(WavStripper(), iter([USABLE["plain"][0][:30]])) == b""


@given(FORMATS, st.binary(max_size=400))
@example(PCM16_8K, b"")
@example(MULAW_8K, b"1")
def test_audio_behind_a_header_of_unknown_length_is_all_of_it(format: AudioFormat, audio: bytes) -> None:
    audio = audio[: len(audio) - len(audio) % format.sample_bytes]
    assert read_wav(wav_header(format) + audio) == Wav(format, 1, audio)


def test_a_header_of_unknown_length_is_what_pythons_own_reader_takes() -> None:
    with wave.open(io.BytesIO(wav_header(PCM16_8K) + AUDIO)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8000)
        assert file.readframes(len(AUDIO)) == AUDIO


@pytest.mark.parametrize("format", [PCM16_8K, MULAW_8K, ALAW_8K])
def test_but_for_its_sizes_it_is_the_header_of_a_file(format: AudioFormat) -> None:
    streamed, whole = bytearray(wav_header(format)), bytearray(wav_bytes(format, b""))
    sizes = [whole.index(name) for name in (b"RIFF", b"fact", b"data") if name in whole]
    for at in sizes:
        # After a name: the size of the chunk, or in `fact` the size of four and the length in samples.
        size_at = at + 8 if whole[at : at + 4] == b"fact" else at + 4
        assert streamed[size_at : size_at + 4] == struct.pack("<I", UNKNOWN)
        streamed[size_at : size_at + 4] = whole[size_at : size_at + 4]
    assert streamed == whole
