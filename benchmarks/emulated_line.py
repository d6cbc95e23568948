"""One simulated call of any carrier: the emulator's own line, with the ear of the benchmark.

Strategy:

- What goes over the wire is the emulator's affair: its `Exchange` opens the call, its `CarrierLine` writes and reads.
  So a carrier needs nothing here, at a price: some ten times the generator's CPU of `benchmarks.line`.
- What the carrier was sent is listened to where the emulator records it, as mu-law: 8 kHz L16 comes back to the same
  bytes, so a synthesis is known by its magnitude on every carrier.
- No messages are written by hand: whatever the emulator faults in the bridge's messages is counted as `unknown`.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import urlsplit

from benchmarks import sound, wire
from benchmarks.line import Line
from bridge.emulators.carrier_line import CarrierLine, Message
from bridge.emulators.exchange import Exchange, Handshake
from bridge.emulators.recording import CallRecording, ClearReceived, Entry, Faulted
from bridge.emulators.twiml import StreamOrder


class _Ear(CallRecording):
    """Hands on what it is told, and keeps nothing."""

    def __init__(self, line: EmulatedLine) -> None:
        super().__init__()
        self._line = line

    def note(self, entry: Entry) -> None:
        """What the carrier noticed."""
        if isinstance(entry, ClearReceived):
            self._line.was_cleared()
        elif isinstance(entry, Faulted):
            self._line.unknown += 1

    def arrive(self, at_ms: float, payload: bytes) -> None:
        """What the bridge sent."""
        self._line.was_sent(payload)
        self.heard.clear()
        self.said.clear()


class EmulatedLine(Line):
    """One call.

    Args:
        exchange: the carrier, for this call.
        order: the stream that the bridge asked for.
        handshake: how to ask for the socket.
    """

    def __init__(
        self,
        number: int,
        noise: Sequence[bytes],
        requested: Callable[[int], Iterable[int]],
        exchange: Exchange,
        order: StreamOrder,
        handshake: Handshake,
    ) -> None:
        url, headers = urlsplit(handshake.url), dict(handshake.headers)
        if handshake.subprotocols:
            headers["Sec-WebSocket-Protocol"] = ", ".join(handshake.subprotocols)
        path = f"{url.path}?{url.query}" if url.query else url.path
        super().__init__(number, noise, requested, url.netloc, path, headers, {})
        self._emulated: CarrierLine = exchange.line(order, _Ear(self))

    # What the caller does

    def tick(self) -> None:
        """Send the next 20 ms, and what is due to be told."""
        now = time.monotonic()
        if self._speech:
            frame = self._speech.popleft()
            if self._speech_onset and self._speech_onset.popleft():
                self._provoke("speech", now)
        else:
            frame = self._noise[(self._sent + 7 * self.number) % len(self._noise)]
        self._sent += 1
        messages = self._emulated.advance(now * 1000)
        messages += self._emulated.voice(base64.b64decode(frame))
        self._write(messages)

    def press(self, digit: str, *, to_interrupt: bool = True) -> None:
        """Press a key."""
        now = time.monotonic()
        if to_interrupt:
            self._provoke("digit", now)
        self._write(self._emulated.digit(now * 1000, digit))

    def hang_up(self) -> None:
        """End the stream; close, or wait until the farewells are said."""
        if self.is_over:
            return
        self._write(self._emulated.stop())
        if not self._emulated.waits_for_farewell:
            self._close()

    # What the bridge does

    def was_sent(self, payload: bytes) -> None:
        """Audio, as mu-law."""
        self._audio(
            payload[0] & sound.SILENCE_ID if payload else sound.SILENCE_ID, len(payload), time.monotonic()
        )

    def was_cleared(self) -> None:
        """The buffer was thrown away."""
        self._cleared(time.monotonic())

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self._frames is None:
            data = self._upgraded(data)
            if self._frames is None:
                return
        now_ms = time.monotonic() * 1000
        for opcode, payload in self._frames.feed(data):
            if opcode == wire.TEXT:
                self._write(self._emulated.receive(now_ms, payload.decode()))
            elif opcode == wire.BINARY:
                self._write(self._emulated.receive(now_ms, payload))
            elif opcode == wire.PING:
                self._transport.write(wire.client_frame(payload, wire.PONG))
            elif opcode == wire.CLOSE:
                self.closed_code = int.from_bytes(payload[:2], "big")
                self._transport.close()
        if self._emulated.closing:
            self._close()

    def _start(self) -> None:
        self._emulated.begin(time.monotonic() * 1000)
        self._write(self._emulated.opening())

    def _close(self) -> None:
        self._transport.write(wire.client_frame(b"\x03\xe8", wire.CLOSE))

    def _write(self, messages: Sequence[Message]) -> None:
        if messages:
            self._transport.write(b"".join(map(_frame, messages)))


def _frame(message: Message) -> bytes:
    if isinstance(message, str):
        return wire.client_frame(message.encode())
    return wire.client_frame(message, wire.BINARY)
