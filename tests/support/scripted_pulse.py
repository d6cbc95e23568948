"""A Pulse that says exactly what a test tells it to, and hears words in bytes.

    async def script(line: Line) -> None:
        await line.until_asked()
        await line.final("hello", from_finalize=True)
        await line.silent()

    async with ScriptedPulse(script) as pulse:
        ...  # connect to pulse.url

Each connection follows the next script; the last one serves all that come after. `spoken` makes audio of words that
`listening` understands.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

# It would log the handshake, key included, where tests look whether the client does.
_quiet = logging.getLogger("scripted_pulse")
_quiet.setLevel(logging.ERROR)

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


class Line:
    """The server's side of one connection."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
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

    async def send(self, message: dict[str, Any] | str | bytes) -> None:
        """Say `message`; a dictionary as JSON."""
        await self.socket.send(json.dumps(message) if isinstance(message, dict) else message, text=True)

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

    def drop(self) -> None:
        """Vanish without a goodbye."""
        self.socket.transport.abort()

    async def silent(self) -> None:
        """Say nothing any more, but listen until the client goes."""
        while True:
            await self.receive()


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


class ScriptedPulse:
    """A server on a loopback port that follows `scripts`.

    Args:
        refuse: answers a handshake instead of a socket; None lets it in.
    """

    def __init__(self, *scripts: Script, refuse: Callable[[Request], Response | None] | None = None) -> None:
        self._scripts = list(scripts) or [listening]
        self._refuse = refuse
        self._server: Server | None = None
        #: Handshakes that asked to come in.
        self.handshakes: list[Request] = []
        #: Every connection so far.
        self.lines: list[Line] = []
        self.open = 0

    @property
    def url(self) -> str:
        """What ``pulse.base_url`` must be to talk to it."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> ScriptedPulse:
        self._server = await serve(
            self._follow, "127.0.0.1", 0, process_request=self._gate, close_timeout=1, logger=_quiet
        )
        return self

    async def __aexit__(self, *_exc: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    def _gate(self, _socket: ServerConnection, request: Request) -> Response | None:
        self.handshakes.append(request)
        return self._refuse(request) if self._refuse else None

    async def _follow(self, socket: ServerConnection) -> None:
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        line = Line(socket)
        self.lines.append(line)
        self.open += 1
        try:
            await script(line)
        except ConnectionClosed:
            pass
        finally:
            self.open -= 1
