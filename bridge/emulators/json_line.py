"""What the lines share whose commands are JSON texts and whose audio is base64 in them. Clock-free, no I/O.

A line derives from it, lists its commands in `COMMANDS`, and fills in `obey` and `played`.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any, ClassVar

import msgspec
from msgspec import Struct

from bridge.emulators.carrier_buffer import SLOT_BYTES
from bridge.emulators.carrier_line import CarrierLine, Message
from bridge.emulators.recording import CallRecording, ClearReceived, DigitPressed
from telephony_codecs.formats import MULAW_8K, AudioFormat, Encoding
from telephony_codecs.pcm import swap_bytes
from telephony_codecs.transcoder import Transcoder


class Rejected(Exception):
    """The carrier does not take a command; `code` is its own number for that, `name` its own word."""

    def __init__(self, code: int, detail: str, name: str = "") -> None:
        self.code, self.detail, self.name = code, detail, name
        super().__init__(detail)


class JsonLine(CarrierLine):
    """One media stream of such a carrier.

    Args:
        recording: takes both tracks and every event.
        audio: what is on the wire, both ways.
        buffer_ms: the line's jitter buffer, see `CarrierBuffer`.
        big_endian: whether PCM is in network order.
    """

    #: Each type of message that is accepted.
    COMMANDS: ClassVar[tuple[type[Struct], ...]]
    #: The carrier's number for what cannot be read.
    unreadable: ClassVar[int] = 0

    def __init__(
        self,
        recording: CallRecording,
        audio: AudioFormat = MULAW_8K,
        *,
        buffer_ms: float = 40.0,
        big_endian: bool = False,
    ) -> None:
        super().__init__(recording, buffer_ms=buffer_ms)
        self.wire_format = audio
        self._swaps = big_endian and audio.encoding is Encoding.PCM16
        self._hears, self._speaks = Transcoder(audio, MULAW_8K), Transcoder(MULAW_8K, audio)
        commands: Any = None
        for command in self.COMMANDS:
            commands = command if commands is None else commands | command
        self._decoder = msgspec.json.Decoder[Any](commands)

    # -- for each carrier to fill in -------------------------------------------------------------------------

    def obey(self, now_ms: float, command: Any) -> list[Message]:
        """Do what the bridge asks. Returns what the carrier answers at once. Raises Rejected."""
        raise NotImplementedError

    def played(self, at_ms: float, name: str) -> Message:
        """What tells that a mark was reached. Note `MarkEchoed`."""
        raise NotImplementedError

    def refused(self, now_ms: float, rejected: Rejected) -> list[Message]:
        """What the carrier says to a command that it does not take."""
        return []

    # -- the rest is the same for all ------------------------------------------------------------------------

    def advance(self, now_ms: float) -> list[Message]:
        """Play what is due by now. Returns the marks that were reached."""
        echoes: list[Message] = []
        self._buffer.advance(now_ms, lambda at_ms, name: echoes.append(self.played(at_ms, name)))
        return echoes

    def receive(self, now_ms: float, message: Message) -> list[Message]:
        """Obey one message of the bridge. Returns what the carrier answers at once."""
        answers = self.advance(now_ms)
        try:
            return answers + self.obey(now_ms, self._accept(message))
        except Rejected as rejected:
            self.fault(now_ms, rejected.code, rejected.detail)
            return answers + self.refused(now_ms, rejected)

    def _accept(self, message: Message) -> Any:
        if isinstance(message, bytes):
            raise Rejected(self.unreadable, "a binary message")
        try:
            return self._decoder.decode(message)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            raise Rejected(self.unreadable, str(error)) from error

    def encoded(self, frame: bytes) -> str:
        """20 ms of the caller, recorded, as they go on the wire: base64, which is empty while a resampler waits."""
        if len(frame) != SLOT_BYTES:
            raise ValueError(f"a frame has {SLOT_BYTES} bytes, not {len(frame)}")
        self.recording.said += frame
        audio = self._speaks.feed(frame)
        return b64encode(swap_bytes(audio) if self._swaps else audio).decode("ascii")

    def queue(self, now_ms: float, payload: bytes) -> bool:
        """Take audio into the buffer. Returns False when it is full."""
        audio = self._hears.feed(swap_bytes(payload) if self._swaps else payload)
        self.recording.arrive(now_ms, audio)
        if self._buffer.push(now_ms, audio):
            return True
        self.discarded_bytes += len(audio)
        return False

    def mark(self, now_ms: float, name: str) -> list[Message]:
        """Remember a mark. Returns its echo when nothing is left to play."""
        return [self.played(now_ms, name)] if self._buffer.mark(name) else []

    def clear(self, now_ms: float) -> list[str]:
        """Empty the buffer. Returns the names of the marks that were pending."""
        dropped_ms, names = self._buffer.clear(now_ms)
        self._hears = Transcoder(self.wire_format, MULAW_8K)
        self.recording.note(ClearReceived(at_ms=now_ms, dropped_ms=dropped_ms, marks=tuple(names)))
        return names

    def press(self, now_ms: float, digit: str) -> None:
        """Note a key of the caller's."""
        self.recording.note(DigitPressed(at_ms=now_ms, digit=digit))


def text(**body: object) -> str:
    """One message, as JSON."""
    return json.dumps(body)
