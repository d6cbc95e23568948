"""What a real Asterisk may do on the media socket that the simulated one does not, over a live server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import msgspec
import pytest

from bridge.carriers.rest import basic
from telephony_codecs.formats import MULAW_8K
from tests.bridge.carriers.cases.asterisk import CALL_ID, CASES, PASSWORD
from tests.support.bridge import Stage, stage
from tests.support.waiting import until

HELLO = "tests.support.agents:says_hello"
WAITS = "tests.support.agents:waits_for_ever"
#: As much sound as may come before MEDIA_START when Asterisk is busy, and one frame less than is too much.
EARLY = [CASES.frame("media")] * 249


@asynccontextmanager
async def channel(s: Stage, *protocols: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A channel's socket, by hand."""
    url = f"{s.config.server.public_url}/carriers/asterisk/media"
    headers = basic("asterisk", PASSWORD)
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, headers=headers, protocols=protocols, autoping=False) as socket,
    ):
        yield socket


async def said(socket: aiohttp.ClientWebSocketResponse) -> list[aiohttp.WSMessage]:
    """All that the bridge sends until it closes. Its marks are answered."""
    messages = []
    async for message in socket:
        messages.append(message)
        if message.type is aiohttp.WSMsgType.TEXT and "MARK_MEDIA" in message.data:
            await socket.send_str(f"MEDIA_MARK_PROCESSED {message.data.rpartition(' ')[2]}")
    return messages


def test_the_early_sound_is_seconds_of_it() -> None:
    assert MULAW_8K.ms_in(sum(map(len, EARLY))) > 4900


@pytest.mark.parametrize(
    ("offered", "taken"), [((), None), (("media",), "media"), (("other", "media"), "other")]
)
async def test_any_subprotocol_is_agreed_to(offered: tuple[str, ...], taken: str | None) -> None:
    async with (
        stage(WAITS, carrier="asterisk", section=CASES.section) as s,
        channel(s, *offered) as socket,
    ):
        assert socket.protocol == taken
        await socket.send_bytes(CASES.frame("start_plain"))  # sound, whatever is in it
        await socket.send_str(CASES.frame("start_plain").decode())
        assert (await socket.receive()).data == "ANSWER"


async def test_seconds_of_sound_before_media_start_and_a_second_one_behind_it() -> None:
    start = CASES.frame("start_plain").decode()
    async with (
        stage(HELLO, carrier="asterisk", section=CASES.section) as s,
        channel(s, "media") as socket,
    ):
        for frame in EARLY:
            await socket.send_bytes(frame)
        await socket.send_str(start)
        await socket.send_str(start)
        messages = await said(socket)
        await until(lambda: bool(s.ended))
        ignored = s.server.runtime.stats.ignored_messages
    assert (ignored["media_before_start"], ignored["duplicate_start"]) == (len(EARLY), 1)
    assert (s.the_call.id, s.the_call.ended, socket.close_code) == (CALL_ID, "agent", 1000)
    texts = [message.data for message in messages if message.type is aiohttp.WSMsgType.TEXT]
    assert (texts[0], texts[-1]) == ("ANSWER", "HANGUP")
    assert {message.type for message in messages} == {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}


@pytest.mark.parametrize(
    ("codec", "frame_bytes", "message_bytes"),
    [("ulaw", 80, 160), ("ulaw", 240, 480), ("ulaw", 320, 320), ("slin16", 640, 640), ("slin16", 960, 1920)],
)
async def test_every_message_is_whole_frames_the_last_one_too(
    codec: str, frame_bytes: int, message_bytes: int
) -> None:
    start = msgspec.json.decode(CASES.frame("start")) | {"format": codec, "optimal_frame_size": frame_bytes}
    async with (
        stage(HELLO, carrier="asterisk", section=CASES.section) as s,
        channel(s, "media") as socket,
    ):
        await socket.send_json(start)
        sizes = set()
        async for message in socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                sizes.add(len(message.data))
            elif "MARK_MEDIA" in message.data:
                name = message.json()["correlation_id"]
                await socket.send_json({"event": "MEDIA_MARK_PROCESSED", "correlation_id": name})
    assert sizes == {message_bytes}
    assert message_bytes % frame_bytes == 0
    assert socket.close_code == 1000
