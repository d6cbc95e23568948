"""One simulated call: Twilio's side of a media stream, with the ear of a carrier.

Strategy:

- Frames go out from prebuilt parts and come in by byte search: no JSON on the paths of audio. A message that is
  not understood is counted (`unknown`).
- A media packet is stamped once, on arrival, and filed under the synthesis its bytes carry.
- The carrier's buffer is one number, the time until which there is audio to play. Marks come back when it is
  reached, and at once on a `clear`, as Twilio's do.
- After a `clear`, audio of any synthesis requested before it is stale.
"""

from __future__ import annotations

import asyncio
import json
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

from benchmarks import sound, wire

_TEXT_OF = [str(n).encode() for n in range(200_000)]
_MEDIA, _CLEAR, _MARK = b'"payload":', b'"clear"', b'"mark"'
_HEADS: dict[int, bytes] = {}


class _Identities(dict[bytes, int]):
    """The id in four characters of base64; each decoded once."""

    def __missing__(self, quad: bytes) -> int:
        return self.setdefault(quad, sound.identity_of(quad))


_IDENTITIES = _Identities()


@dataclass(slots=True)
class Utterance:
    """What arrived of one synthesis: when, and from which millisecond of the utterance."""

    identity: int
    arrivals: array[float] = field(default_factory=lambda: array("d"))
    positions_ms: array[float] = field(default_factory=lambda: array("d"))
    received_bytes: int = 0
    cut: bool = False  # a clear threw away its rest

    @property
    def first_at(self) -> float:
        return self.arrivals[0]


@dataclass(slots=True)
class Interruption:
    """What a caller did to stop the bridge, and when the `clear` came (0.0: never)."""

    kind: str
    at: float
    clear_at: float = 0.0


class Line(asyncio.Protocol):
    """One call.

    Args:
        number: which call; its caller's number ends in it.
        noise: packets of the quiet line.
        requested: ids of the syntheses that Lightning was asked for by this call, so far.
        parameters: `start.customParameters`.
    """

    def __init__(
        self,
        number: int,
        noise: Sequence[bytes],
        requested: Callable[[int], Iterable[int]],
        host: str,
        path: str,
        headers: dict[str, str],
        parameters: dict[str, str],
    ) -> None:
        self.number, self.call_sid, self.stream_sid = number, call_sid(number), f"MZ{number:032d}"
        self.utterances: list[Utterance] = []
        self.interruptions: list[Interruption] = []
        self.stale_bytes = self.foreign_bytes = self.unknown = 0
        self.unasked_clears = 0
        self.closed_code: int | None = None
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._noise, self._requested = noise, requested
        self._upgrade = wire.upgrade_request(host, path, headers)
        self._parameters = parameters
        self._frames: wire.FrameReader | None = None
        self._head = b""
        self._speech: deque[bytes] = deque()
        self._speech_onset: deque[int] = deque()
        self._sent = 0
        self._sequence = 1
        self._stale: set[int] = set()
        self._pending: Interruption | None = None
        self._play_until = 0.0
        self._marks: deque[tuple[float, bytes]] = deque()
        self._packet_head, self._packet_size, self._packet_at = b"", 0, 0
        self._tail = f'"}},"streamSid":"{self.stream_sid}"}}'.encode()

    # What the caller does

    def tick(self) -> None:
        """Send the next 20 ms, and the marks that are due."""
        now = time.monotonic()
        if self._marks:
            self._return_marks(now)
        sent = self._sent
        if self._speech:
            payload = self._speech.popleft()
            if self._speech_onset and self._speech_onset.popleft():
                self._provoke("speech", now)
        else:
            payload = self._noise[(sent + 7 * self.number) % len(self._noise)]
        self._sent = sent + 1
        self._sequence += 1
        body = b"".join((
            b'{"event":"media","sequenceNumber":"', _TEXT_OF[self._sequence],
            b'","media":{"track":"inbound","chunk":"', _TEXT_OF[sent + 1],
            b'","timestamp":"', _TEXT_OF[sent * 20], b'","payload":"', payload, self._tail,
        ))  # fmt: skip
        size = len(body)
        head = _HEADS.get(size) or _HEADS.setdefault(size, wire.client_head(size))
        self._transport.write(head + body)

    def press(self, digit: str, *, to_interrupt: bool = True) -> None:
        """Press a key."""
        if to_interrupt:
            self._provoke("digit", time.monotonic())
        self._send({"event": "dtmf", "dtmf": {"track": "inbound_track", "digit": digit}})

    def speak(self, clip: sound.Clip, *, to_interrupt: bool = True) -> None:
        """Begin to talk with the next packet."""
        self._speech.extend(clip.packets)
        self._speech_onset.extend(
            int(to_interrupt and n == clip.onset_packet) for n in range(len(clip.packets))
        )

    @property
    def is_over(self) -> bool:
        """Whether either side has closed."""
        return self.closed.done() or self._transport.is_closing()

    def hang_up(self) -> None:
        """End the stream and close, as Twilio does when the caller hangs up."""
        if self.is_over:
            return
        self._send({"event": "stop", "stop": {"accountSid": ACCOUNT_SID, "callSid": self.call_sid}})
        self._transport.write(wire.client_frame(b"\x03\xe8", wire.CLOSE))

    def is_hearing(self, now: float, *, at_least_ms: float) -> bool:
        """Whether the bridge is in the middle of an utterance, with that much of it still to come."""
        if not self.utterances or self._pending:
            return False
        last = self.utterances[-1]
        rest_ms = UTTERANCE_MS - last.received_bytes / sound.BYTES_PER_MS
        return not last.cut and now - last.arrivals[-1] < 0.5 and rest_ms >= at_least_ms

    @property
    def pending(self) -> Interruption | None:
        """The interruption that still waits for its `clear`."""
        return self._pending

    def give_up_pending(self) -> None:
        """Book the interruption as missed."""
        self._pending = None

    # What the bridge does

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self._transport.write(self._upgrade)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(ConnectionError(f"refused: {self._head[:80]!r}"))
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        if len(data) == self._packet_size and data.startswith(self._packet_head):
            self._audio(_IDENTITIES[data[self._packet_at : self._packet_at + 4]], sound.PACKET_BYTES, now)
            return
        if self._frames is None:
            data = self._upgraded(data)
            if self._frames is None:
                return
        for opcode, payload in self._frames.feed(data):
            if opcode == wire.TEXT:
                self._hear(payload, now)
            elif opcode == wire.PING:
                self._transport.write(wire.client_frame(payload, wire.PONG))
            elif opcode == wire.CLOSE:
                self.closed_code = int.from_bytes(payload[:2], "big")
                self._transport.close()

    def _upgraded(self, data: bytes) -> bytes:
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end:
            return b""
        if b" 101 " not in head.split(b"\r\n", 1)[0]:
            self._transport.close()
            return b""
        self._frames = wire.FrameReader()
        self._start()
        self.opened.set_result(None)
        return rest

    def _start(self) -> None:
        hello = b'{"event":"connected","protocol":"Call","version":"1.0.0"}'
        self._transport.write(wire.client_frame(hello))
        start = {
            "streamSid": self.stream_sid,
            "accountSid": ACCOUNT_SID,
            "callSid": self.call_sid,
            "tracks": ["inbound"],
            "customParameters": self._parameters,
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        }
        self._send({"event": "start", "start": start})

    def _hear(self, message: bytes, now: float) -> None:
        at = message.find(_MEDIA)
        if at > 0:
            at = message.index(b'"', at + len(_MEDIA)) + 1
            end = message.index(b'"', at)
            size = (end - at) * 3 // 4 - message.count(b"=", end - 2, end)
            self._audio(_IDENTITIES[message[at : at + 4]], size, now)
            if size == sound.PACKET_BYTES:
                self._learn_packet(message, at)
        elif _MARK in message:
            self._mark(message, now)
        elif _CLEAR in message:
            self._cleared(now)
        else:
            self.unknown += 1

    def _learn_packet(self, message: bytes, at: int) -> None:
        """Remember what a whole packet looks like on the wire, so that the next is known by its first bytes."""
        frame = wire.server_frame(message)
        self._packet_at = at + len(frame) - len(message)
        self._packet_head, self._packet_size = frame[: self._packet_at], len(frame)

    def _audio(self, identity: int, size: int, now: float) -> None:
        self._play_until = max(self._play_until, now) + size / sound.BYTES_PER_MS / 1000
        if identity in self._stale:
            self.stale_bytes += size
            return
        if identity == sound.SILENCE_ID:
            return
        utterance = self.utterances[-1] if self.utterances else None
        if utterance is None or utterance.identity != identity:
            if identity not in self._requested(self.number):
                self.foreign_bytes += size
                return
            utterance = Utterance(identity)
            self.utterances.append(utterance)
        utterance.arrivals.append(now)
        utterance.positions_ms.append(utterance.received_bytes / sound.BYTES_PER_MS)
        utterance.received_bytes += size

    def _mark(self, message: bytes, now: float) -> None:
        name = message.index(b'"', message.index(b'"name":') + 7)
        self._marks.append((self._play_until, message[name + 1 : message.index(b'"', name + 1)]))
        if self._play_until <= now:
            self._return_marks(now)

    def _return_marks(self, now: float) -> None:
        while self._marks and self._marks[0][0] <= now:
            self._send({"event": "mark", "mark": {"name": self._marks.popleft()[1].decode()}})

    def _cleared(self, now: float) -> None:
        if self._pending:
            self._pending.clear_at, self._pending = now, None
        elif now < self._play_until:
            self.unasked_clears += 1
        self._stale.update(self._requested(self.number))
        if self.utterances:
            self.utterances[-1].cut = True
        self._play_until = now
        self._return_marks(float("inf"))

    def _provoke(self, kind: str, now: float) -> None:
        self._pending = Interruption(kind, now)
        self.interruptions.append(self._pending)

    def _send(self, message: dict[str, object]) -> None:
        self._sequence += 1
        message |= {"sequenceNumber": str(self._sequence), "streamSid": self.stream_sid}
        self._transport.write(wire.client_frame(json.dumps(message).encode()))


UTTERANCE_MS = 6000
ACCOUNT_SID = "AC" + "0" * 32


def call_sid(number: int) -> str:
    """The CallSid of call `number`."""
    return f"CA{number:032d}"
