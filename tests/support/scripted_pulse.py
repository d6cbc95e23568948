"""A Pulse that says exactly what a test tells it to, and hears words in bytes.

    async def script(line: Line) -> None:
        await line.until_asked()
        await line.final("hello", from_finalize=True)
        await line.silent()

    async with ScriptedPulse(script) as pulse:
        ...  # connect to pulse.url

`spoken` makes audio of words that
`listening` understands.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from tests.support.scripted_socket import ScriptedLine, ScriptedServer

SILENT = 0xFF
#: Each word is one of these, said with a byte of its own.
WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
WORD_BYTES = 1280


def spoken(*words: str) -> bytes:
    """The audio of some of `WORDS`: 160 ms each, and 40 ms of silence."""
    return b"".join(bytes([WORDS.index(word) + 1]) * WORD_BYTES + bytes([SILENT]) * 320 for word in words)


def silence(ms: int) -> bytes:
    """So much silence."""
    return bytes([SILENT]) * 8 * ms


def understood(audio: bytes | bytearray) -> str:
    """The words in `audio`, also those of which only a part is there."""
    found: list[int] = []
    before = SILENT
    for byte in audio:
        if byte != before and byte != SILENT:
            found.append(byte)
        before = byte
    return " ".join(WORDS[byte - 1] for byte in found)


class Line(ScriptedLine):
    """The server's side of one connection."""

    def __init__(self, socket: ServerConnection) -> None:
        super().__init__(socket)
        #: The audio since the last final, and in all.
        self.audio = bytearray()
        self.heard_bytes = 0
        #: The lengths of the audio messages, and the other messages.
        self.pieces: list[int] = []
        self.asked: list[str] = []

    async def receive(self) -> str:
        """The type of the client's next message; empty when it is audio."""
        message = await self.socket.recv()
        if isinstance(message, bytes):
            self.audio += message
            self.heard_bytes += len(message)
            self.pieces.append(len(message))
            return ""
        self.asked.append(str(json.loads(message)["type"]))
        return self.asked[-1]

    async def until_asked(self, kind: str = "finalize") -> None:
        """Listen until the client asks for it."""
        while await self.receive() != kind:
            pass

    async def hear(self, ms: int) -> None:
        """Listen to so much audio."""
        until = self.heard_bytes + 8 * ms
        while self.heard_bytes < until:
            await self.receive()

    async def partial(self, text: str) -> None:
        """Words that are not final."""
        await self.send(transcription(text))

    async def final(self, text: str, **fields: Any) -> None:
        """Words that are."""
        self.audio.clear()
        await self.send(transcription(text, is_final=True, **fields))

    async def answer(self) -> None:
        """What was said since the last final, as the answer to a `finalize`."""
        await self.final(understood(self.audio), from_finalize=True)

    async def error(self, message: str) -> None:
        """An error."""
        await self.send({"type": "error", "status": "error", "message": message})


def transcription(text: str, **fields: Any) -> dict[str, Any]:
    """One as Pulse sends it."""
    told = {"type": "transcription", "status": "success", "session_id": "stt_1", "transcript": text}
    return {**told, "is_final": False, "is_last": False, **fields}


async def listening(line: Line) -> None:
    """Answer every `finalize`, as long as the client likes."""
    while True:
        if (kind := await line.receive()) == "finalize":
            await line.answer()
        elif kind == "close_stream":
            await line.final(understood(line.audio), is_last=True)
            return


Script: TypeAlias = Callable[[Line], Awaitable[None]]


class ScriptedPulse(ScriptedServer[Line]):
    """A server that follows `scripts`; without any it is `listening`."""

    def __init__(self, *scripts: Script, refuse: Callable[[Request], Response | None] | None = None) -> None:
        super().__init__(*(scripts or (listening,)), refuse=refuse)
        #: Every connection so far.
        self.lines: list[Line] = []

    def line(self, socket: ServerConnection) -> Line:
        self.lines.append(Line(socket))
        return self.lines[-1]
