"""The floor: the least that a Python server for phone calls can do, as a known quantity to compare with.

aiohttp, msgspec, uvloop; every inbound message is decoded and thrown away; once a key is pressed one shared loop
sends the line a prebuilt packet every 20 ms. No text-to-speech, no speech detector, no signatures, no marks, no
barge-in. What a bridge costs over this is what it does.

    python -m benchmarks.floor PORT
"""

from __future__ import annotations

import asyncio
import sys
import time
from base64 import b64encode

import msgspec
import uvloop
from aiohttp import WSMsgType, web

PACKET_S = 0.02


class Media(msgspec.Struct):
    """The part of a media message that is read."""

    payload: bytes


class Message(msgspec.Struct):
    """Any inbound message."""

    event: str
    streamSid: str = ""
    media: Media | None = None


decode = msgspec.json.Decoder(Message).decode
speaking: dict[web.WebSocketResponse, str] = {}


async def media(request: web.Request) -> web.WebSocketResponse:
    """One call."""
    line = web.WebSocketResponse(compress=False, decode_text=False)
    await line.prepare(request)
    audio = b64encode(b"\xff" * 160).decode()  # silence: of no synthesis
    async for message in line:
        if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            said = decode(message.data)
            if said.event == "dtmf":
                speaking[line] = (
                    f'{{"event":"media","streamSid":"{said.streamSid}","media":{{"payload":"{audio}"}}}}'
                )
    speaking.pop(line, None)
    return line


async def pace() -> None:
    """Send every speaking line its packet, on an absolute clock."""
    due = time.monotonic()
    while True:
        for line, packet in tuple(speaking.items()):
            if not line.closed:
                await line.send_str(packet)
        due += PACKET_S
        await asyncio.sleep(max(0.001, due - time.monotonic()))


async def main(port: int) -> None:
    """Serve until killed."""
    app = web.Application()
    app.router.add_get("/media", media)
    app.router.add_get("/ready", lambda _request: asyncio.sleep(0, web.Response()))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await pace()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
