"""A text as a recording, by any of the doors: the same audio, in any format."""

from __future__ import annotations

import pytest

from bridge.emulators.lightning import EmulatedLightning
from bridge.errors import InvalidRequest, Unavailable
from bridge.lightning.clip import ClipFormat, asked_format, synthesise_clip
from telephony_codecs.formats import ALAW_8K, MULAW_8K, PCM16_8K, AudioFormat
from tests.support.lightning_live import config
from tests.support.scripted_http import END_EVENT, answering, audio_event, cut, scripted_http, streaming
from tests.support.tone_words import spoken

TWO_PIECES = "a" * 200 + ". " + "b" * 200 + "."


@pytest.mark.parametrize("door", ["live", "sse", "http", "v3.1", "v3.1-sse", "v2", "v2-sse", "v4"])
@pytest.mark.parametrize(
    "name, format", [("pcm", PCM16_8K), ("wav", PCM16_8K), ("ulaw", MULAW_8K), ("alaw", ALAW_8K)]
)
async def test_every_door_gives_every_format(door: str, name: str, format: AudioFormat) -> None:
    changes = {"voice_id": "brannock", "model": "lightning_v4"} if door == "v4" else {"voice_id": "magnus"}
    async with EmulatedLightning() as emulator:
        wanted = config(emulator.url, door=door, **changes)
        clip = await synthesise_clip("Hello there.", ClipFormat(name, 8000), wanted)  # type: ignore[arg-type]
    assert clip.audio == spoken("Hello there.", changes["voice_id"], format)


@pytest.mark.parametrize("door", ["live", "sse", "http", "v3.1", "v3.1-sse"])
async def test_mp3_is_passed_on_by_every_door_that_knows_it(door: str) -> None:
    assert asked_format(ClipFormat("mp3", 44100), config("http://127.0.0.1:1", door=door)).name == "mp3"


@pytest.mark.parametrize("door", ["v2", "v2-sse", "v4", "local"])
async def test_mp3_is_refused_where_only_pcm_comes_before_anybody_is_asked(door: str) -> None:
    with pytest.raises(InvalidRequest, match=f'door "{door}" answers PCM'):
        await synthesise_clip("Hello.", ClipFormat("mp3", 44100), config("http://127.0.0.1:1", door=door))


@pytest.mark.parametrize("door", ["sse", "http"])
async def test_a_long_text_goes_over_one_connection(door: str) -> None:
    handler = streaming(audio_event(b"ab"), END_EVENT) if door == "sse" else answering(b"ab")
    async with scripted_http(handler) as server:
        clip = await synthesise_clip(TWO_PIECES, ClipFormat("pcm", 8000), config(server.url, door=door))
        assert [body["text"] for body in server.bodies] == TWO_PIECES.split(" ")
        assert len(server.paths) == 2, "and nobody is asked for anything else"
    assert clip.audio == b"abab"


async def test_an_http_answer_that_is_cut_is_no_clip() -> None:
    async with scripted_http(streaming(b"ab", then=cut)) as server:
        with pytest.raises(Unavailable, match="lost"):
            await synthesise_clip("Hello.", ClipFormat("pcm", 8000), config(server.url, door="http"))
