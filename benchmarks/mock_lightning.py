"""A Lightning that costs next to nothing: marked audio at a fixed pace, and a stamp on every first byte.

Strategy:

- Speaks enough of `/waves/v1/tts/live` for the bridge and for Pipecat, and refuses nothing. The faithful one is
  the emulator in `bridge.emulators`.
- 100 ms to the first byte, then chunks of 100 ms of audio at eight times real time; every synthesis lasts
  `utterance_ms`, whatever its text.
- The text names the call ("... call 17 ..."), so each synthesis is known by (call, id), and the load generator,
  in the same process and on the same clock, subtracts.
- One heap of due chunks and one timer for all sessions.
"""

from __future__ import annotations

import asyncio
import base64
import heapq
import itertools
import json
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from benchmarks import sound, wire

CHUNK_MS = 100


@dataclass(slots=True)
class Synthesis:
    """One request, as Lightning saw it."""

    call: int
    identity: int
    requested_at: float
    first_byte_at: float = 0.0
    cancelled: bool = False


class MockLightning:
    """Serves on a loopback port until closed.

    Args:
        utterance_ms: length of every synthesis.
        first_byte_s: from the request to its first chunk.
        times_real_time: how fast the chunks follow.
    """

    def __init__(
        self, *, utterance_ms: int = 6000, first_byte_s: float = 0.1, times_real_time: float = 8.0
    ) -> None:
        self.utterance_ms = utterance_ms
        self.first_byte_s = first_byte_s
        self.chunk_interval_s = CHUNK_MS / 1000 / times_real_time
        self.port = 0
        self.sockets_opened = 0
        self.syntheses: defaultdict[int, list[Synthesis]] = defaultdict(list)
        self._audio: dict[tuple[int, str], bytes] = {}
        self._due: list[tuple[float, int, Iterator[bool]]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; `port` says where."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Session(self), "127.0.0.1", 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Stop listening and sending."""
        if self._server:
            self._server.close()
        if self._timer:
            self._timer.cancel()
        self._due.clear()

    def begin(self, call: int) -> Synthesis:
        """Note a request of `call`; ids of a call go round in `sound.IDS`."""
        mine = self.syntheses[call]
        identity = sound.IDS[(7 * call + len(mine)) % len(sound.IDS)]
        mine.append(Synthesis(call, identity, time.monotonic()))
        return mine[-1]

    def chunk(self, identity: int, output_format: str) -> bytes:
        """100 ms of audio of `identity`, base64."""
        key = identity, output_format
        if key not in self._audio:
            mulaw = sound.synthesis(identity, CHUNK_MS)
            self._audio[key] = base64.b64encode(mulaw if output_format == "ulaw" else sound.as_pcm(mulaw))
        return self._audio[key]

    def schedule(self, at: float, chunks: Iterator[bool]) -> None:
        """Take the next of `chunks` at `at`, and the others at the pace, until it is used up."""
        heapq.heappush(self._due, (at, next(self._order), chunks))
        self._arm()

    def _arm(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = None
        if self._due:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, self._due[0][0] - time.monotonic()), self._run)

    def _run(self) -> None:
        self._timer = None
        horizon = time.monotonic() + 0.0005
        while self._due and self._due[0][0] <= horizon:
            at, _, chunks = heapq.heappop(self._due)
            if next(chunks, False):
                heapq.heappush(self._due, (at + self.chunk_interval_s, next(self._order), chunks))
        self._arm()


class _Session(asyncio.Protocol):
    """One client's socket: requests in, chunks out, one synthesis after the other."""

    def __init__(self, lightning: MockLightning) -> None:
        self._lightning = lightning
        self._frames: wire.FrameReader | None = None
        self._head = b""
        self._current: Synthesis | None = None
        self._waiting: list[dict[str, object]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()

    def data_received(self, data: bytes) -> None:
        if self._frames is None:
            self._head += data
            if b"\r\n\r\n" not in self._head:
                return
            head, _, data = self._head.partition(b"\r\n\r\n")
            self._transport.write(wire.upgrade_answer(head))
            self._frames = wire.FrameReader()
            self._lightning.sockets_opened += 1
        for opcode, payload in self._frames.feed(data):
            self._message(opcode, payload)

    def _message(self, opcode: int, payload: bytes) -> None:
        if opcode == wire.TEXT:
            self._request(json.loads(payload))
        elif opcode == wire.PING:
            self._transport.write(wire.server_frame(payload, wire.PONG))
        elif opcode == wire.CLOSE:
            self._transport.write(wire.server_frame(payload[:2], wire.CLOSE))
            self._transport.close()

    def _request(self, message: dict[str, object]) -> None:
        if message.get("type"):
            self._transport.write(wire.server_frame(b'{"type":"pong"}'))
        elif message.get("cancel_request"):
            self._cancel()
        elif str(message.get("text") or "").strip():
            self._waiting.append(message)
            self._next()

    def _next(self) -> None:
        if self._current is None and self._waiting:
            message = self._waiting.pop(0)
            found = re.search(r"call (\d+)", str(message["text"]))
            self._current = self._lightning.begin(int(found[1]) if found else -1)
            at = self._current.requested_at + self._lightning.first_byte_s
            self._lightning.schedule(at, self._chunks(self._current, message))

    def _chunks(self, synthesis: Synthesis, message: dict[str, object]) -> Iterator[bool]:
        """Sends one chunk each time it is asked for the next."""
        ids = {"session_id": "ws_1", "request_id": f"task_{id(synthesis)}"}
        if own := message.get("request_id"):
            ids["external_request_id"] = str(own)
        audio = self._lightning.chunk(synthesis.identity, str(message.get("output_format", "pcm")))
        text = json.dumps({**ids, "status": "chunk", "data": {"audio": audio.decode()}})
        frame = wire.server_frame(text.encode())
        synthesis.first_byte_at = time.monotonic()
        for _ in range(self._lightning.utterance_ms // CHUNK_MS):
            if synthesis.cancelled or self._transport.is_closing():
                return
            self._transport.write(frame)
            yield True
        if synthesis.cancelled or self._transport.is_closing():
            return
        self._transport.write(wire.server_frame(json.dumps({**ids, "status": "complete"}).encode()))
        self._current = None
        self._next()

    def _cancel(self) -> None:
        self._waiting.clear()
        if self._current:
            self._current.cancelled, self._current = True, None
