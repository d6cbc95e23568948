"""A text as a file: what is asked, in which format it ends up whatever came, and the figures."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import numpy as np
import pytest

from bridge.errors import InvalidRequest, LightningError, Unavailable
from bridge.lightning.clip import Clip, ClipFormat, ClipStream, PieceAnswer, synthesise_clip
from telephony_codecs.formats import ALAW_8K, MULAW_8K, PCM16_8K, AudioFormat, Encoding
from telephony_codecs.g711 import alaw_encode, mulaw_encode
from telephony_codecs.transcoder import Transcoder
from telephony_codecs.wav import read_wav, wav_bytes
from tests.support.lightning_live import config
from tests.support.scripted_lightning import Line, ScriptedLightning
from tests.support.waiting import until

PCM_24K = AudioFormat(Encoding.PCM16, 24000)
MULAW_24K = AudioFormat(Encoding.MULAW, 24000)


def voice(ms: int = 300, rate_hz: int = 8000) -> bytes:
    """Something like speech: a hum that swells and fades, as PCM. Begins as quietly as speech does."""
    at_s = np.arange(ms * rate_hz // 1000) / rate_hz
    loud = 6000 * np.sin(np.pi * at_s * 1000 / ms) ** 2
    wave = loud * (np.sin(2 * np.pi * 140 * at_s) + 0.4 * np.sin(2 * np.pi * 710 * at_s))
    return wave.astype("<i2").tobytes()


def converted(audio: bytes, came: AudioFormat, wanted: AudioFormat) -> bytes:
    transcoder = Transcoder(came, wanted)
    return transcoder.feed(audio) + transcoder.flush()


# -- the format --------------------------------------------------------------------------------------------------------

PCM = voice()
STEREO = wav_bytes(PCM16_8K, PCM + PCM, channels=2)
GSM = STEREO[:20] + b"\x31" + STEREO[21:]


@pytest.mark.parametrize(
    "answer, wanted, audio",
    [
        pytest.param(PCM, PCM16_8K, PCM, id="pcm as asked"),
        pytest.param(PCM + b"\x01", PCM16_8K, PCM, id="pcm with half a sample too much"),
        pytest.param(wav_bytes(PCM16_8K, PCM), PCM16_8K, PCM, id="pcm in a wav"),
        pytest.param(
            wav_bytes(PCM_24K, voice(rate_hz=24000)),
            PCM16_8K,
            converted(voice(rate_hz=24000), PCM_24K, PCM16_8K),
            id="at another rate than asked, and a header that says so",
        ),
        pytest.param(mulaw_encode(PCM), MULAW_8K, mulaw_encode(PCM), id="mu-law as asked"),
        pytest.param(mulaw_encode(PCM), MULAW_24K, mulaw_encode(PCM), id="mu-law at any rate"),
        pytest.param(PCM, MULAW_8K, mulaw_encode(PCM), id="pcm instead of mu-law"),
        pytest.param(PCM, MULAW_24K, mulaw_encode(PCM), id="pcm instead of mu-law at any rate"),
        pytest.param(
            wav_bytes(PCM16_8K, PCM), MULAW_8K, mulaw_encode(PCM), id="pcm instead of mu-law, in a wav"
        ),
        pytest.param(bytes(960) + PCM, MULAW_8K, mulaw_encode(bytes(960) + PCM), id="pcm that begins silent"),
        pytest.param(
            b"\xff" * 480 + mulaw_encode(PCM), MULAW_8K, b"\xff" * 480 + mulaw_encode(PCM), id="so too"
        ),
        pytest.param(alaw_encode(PCM), ALAW_8K, alaw_encode(PCM), id="a-law as asked"),
        pytest.param(
            wav_bytes(MULAW_8K, b"\x00" * 99), ALAW_8K, None, id="mu-law instead of a-law, in a wav"
        ),
        pytest.param(b"ID3 anything", None, b"ID3 anything", id="mp3 is not looked into"),
        pytest.param(b"", PCM16_8K, b"", id="nothing"),
        pytest.param(b"", MULAW_8K, b"", id="nothing of mu-law"),
    ],
)
def test_whatever_comes_ends_up_as_what_was_asked(
    answer: bytes, wanted: AudioFormat | None, audio: bytes | None
) -> None:
    if audio is None:
        assert wanted is not None
        audio = converted(b"\x00" * 99, MULAW_8K, wanted)
    piece = PieceAnswer(wanted, wanted)
    assert piece.feed(answer) + piece.flush() == audio


@pytest.mark.parametrize("answer, reason", [(STEREO, "2 channels"), (GSM, "GSM")])
def test_audio_of_no_use_is_a_typed_error(answer: bytes, reason: str) -> None:
    with pytest.raises(Unavailable, match=reason):
        PieceAnswer(PCM16_8K, PCM16_8K).feed(answer)


# -- the file ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, format",
    [("pcm", PCM_24K), ("wav", PCM_24K), ("ulaw", MULAW_24K), ("alaw", AudioFormat(Encoding.ALAW, 24000))],
)
def test_it_is_a_wav_of_its_format(tmp_path: Path, name: str, format: AudioFormat) -> None:
    wanted = ClipFormat(name, 24000)  # type: ignore[arg-type]
    clip = Clip(b"\1\2" * 2400, wanted, 0.1, 0.5)
    clip.write(tmp_path / "new" / "a.wav")
    wav = read_wav(tmp_path / "new" / "a.wav")
    assert (wav.format, wav.channels, wav.audio) == (format, 1, b"\1\2" * 2400)
    assert clip.seconds == wav.duration_ms / 1000


def test_figures_of_a_clip() -> None:
    clip = Clip(bytes(48000), ClipFormat("pcm", 24000), first_byte_s=0.2, total_s=0.5)
    assert (clip.seconds, clip.real_time_factor) == (1.0, 0.5)


def test_an_mp3_is_written_as_it_came_and_has_no_length(tmp_path: Path) -> None:
    clip = Clip(b"ID3", ClipFormat("mp3", 24000), 0.1, 0.5)
    clip.write(tmp_path / "a.mp3")
    assert (tmp_path / "a.mp3").read_bytes() == b"ID3"
    assert (clip.seconds, clip.real_time_factor) == (None, None)


def test_an_empty_clip_has_no_factor() -> None:
    assert Clip(b"", ClipFormat("pcm", 24000), 0.1, 0.5).real_time_factor is None


# -- the way to it -----------------------------------------------------------------------------------------------------


async def each_in_three_chunks(line: Line) -> None:
    """The text's own bytes as audio, cut where no sample ends."""
    while True:
        asked = await line.request()
        audio = asked["text"].encode()
        for part in (audio[:1], audio[1:4], audio[4:]):
            await line.chunk(part, asked)
        await line.complete(asked)


async def in_a_header_of_its_own(line: Line) -> None:
    while True:
        asked = await line.request()
        await line.chunk(wav_bytes(PCM16_8K, asked["text"].encode()[:4]), asked)
        await line.complete(asked)


async def one_and_no_more(line: Line) -> None:
    asked = await line.request()
    await line.chunk(b"ab", asked)
    await line.complete(asked)
    await line.error(await line.request(), message="Invalid Voice ID")


TWO_PIECES = "a" * 200 + ". " + "b" * 200 + "."


async def test_what_is_asked_for_each_piece() -> None:
    async with ScriptedLightning(each_in_three_chunks) as lightning:
        wanted = ClipFormat("mp3", 44100)
        changed = config(lightning.url, voice_id="rhea", model="lightning_v3.1_pro", language="hi", speed=1.5)
        clip = await synthesise_clip(TWO_PIECES, wanted, changed, pronunciation_dicts=["names"])
        assert len(lightning.handshakes) == 1, "over one socket"
    first, second = lightning.requests
    assert [first["text"], second["text"]] == TWO_PIECES.split(" ")
    assert first["request_id"] != second["request_id"]
    for asked in (first, second):
        del asked["text"], asked["request_id"]
        assert asked == {
            "voice_id": "rhea",
            "model": "lightning_v3.1_pro",
            "language": "hi",
            "speed": 1.5,
            "sample_rate": 44100,
            "output_format": "mp3",
            "pronunciation_dicts": ["names"],
            "complete_backoff_ms": 0,
        }
    assert clip.audio == TWO_PIECES.replace(" ", "").encode()
    assert 0 < clip.first_byte_s <= clip.total_s


async def test_headers_of_later_pieces_do_not_end_up_as_clicks() -> None:
    async with ScriptedLightning(in_a_header_of_its_own) as lightning:
        clip = await synthesise_clip(TWO_PIECES, ClipFormat("pcm", 8000), config(lightning.url))
    assert clip.audio == b"aaaabbbb"


async def test_progress_is_told_in_seconds() -> None:
    told: list[float] = []
    async with ScriptedLightning(each_in_three_chunks) as lightning:
        await synthesise_clip(
            "a" * 15 + ".", ClipFormat("pcm", 8000), config(lightning.url), progress=told.append
        )
    assert told == [4 / 16000, 16 / 16000], "half a sample is none yet"


async def test_progress_of_an_mp3_is_that_there_is_some() -> None:
    told: list[float] = []
    async with ScriptedLightning(each_in_three_chunks) as lightning:
        await synthesise_clip("abcdef", ClipFormat("mp3", 8000), config(lightning.url), progress=told.append)
    assert told == [0.0, 0.0, 0.0]


async def test_a_stream_of_it_gives_what_there_is_before_more_comes() -> None:
    more = asyncio.Event()

    async def in_two_halves(line: Line) -> None:
        asked = await line.request()
        await line.chunk(b"abcd", asked)
        await more.wait()
        await line.chunk(b"efgh", asked)
        await line.complete(asked)

    async with ScriptedLightning(in_two_halves) as lightning:
        stream = ClipStream("Hello.", ClipFormat("pcm", 8000), config(lightning.url))
        async with contextlib.aclosing(stream.audio()) as audio:
            assert await anext(audio) == b"abcd"
            assert (stream.first_byte_s > 0, stream.total_s) == (True, 0)
            more.set()
            assert [chunk async for chunk in audio] == [b"efgh"]
    assert 0 < stream.first_byte_s < stream.total_s


async def test_a_stream_that_is_not_read_to_its_end_closes_its_connection() -> None:
    async def says_and_waits(line: Line) -> None:
        await line.chunk(b"abcd", await line.request())
        await line.request()

    async with ScriptedLightning(says_and_waits) as lightning:
        stream = ClipStream("Hello.", ClipFormat("pcm", 8000), config(lightning.url))
        async with contextlib.aclosing(stream.audio()) as audio:
            await anext(audio)
        await until(lambda: not lightning.open)


async def test_half_a_sample_at_the_end_of_a_piece_does_not_spoil_the_next() -> None:
    async def odd(line: Line) -> None:
        while True:
            asked = await line.request()
            await line.chunk(b"abc", asked)
            await line.complete(asked)

    async with ScriptedLightning(odd) as lightning:
        clip = await synthesise_clip(TWO_PIECES, ClipFormat("pcm", 8000), config(lightning.url))
    assert clip.audio == b"abab"


async def test_a_failure_half_way_is_a_failure() -> None:
    async with ScriptedLightning(one_and_no_more) as lightning:
        with pytest.raises(LightningError, match="Invalid Voice ID"):
            await synthesise_clip(TWO_PIECES, ClipFormat("pcm", 8000), config(lightning.url))


@pytest.mark.parametrize("text", ["", " \n\t"])
async def test_nothing_to_say_is_refused_before_anybody_is_asked(text: str) -> None:
    with pytest.raises(InvalidRequest, match="only whitespace"):
        await synthesise_clip(text, ClipFormat("pcm", 8000), config("http://127.0.0.1:1"))
