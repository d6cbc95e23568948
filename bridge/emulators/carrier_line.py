"""A carrier's end of one media stream: what every simulated one can do. Clock-free, no I/O.

Strategy:

- Messages in, messages out: `str` is a text message, `bytes` a binary one. Every method that can make the carrier
  speak returns what to send, in order.
- What the carrier accepts is stated in types, nothing else is accepted: an unknown command, a missing field, a frame
  of the wrong size is a fault, noted as `Faulted` in the recording, as the carrier's own pages have it.
- Both voices are recorded as 8 kHz mu-law, whatever is on the wire: a line converts (`Transcoder`), then plays
  through `CarrierBuffer`.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias

from bridge.emulators.carrier_buffer import CarrierBuffer
from bridge.emulators.recording import CallRecording, Faulted

Message: TypeAlias = str | bytes


class CarrierLine:
    """One media stream, seen from a carrier.

    Call `begin` once and send `opening`, then `voice` for each 20 ms of the caller's sound, `advance` whenever time
    has passed and `receive` for each message of the bridge; send whatever they return.

    Args:
        recording: takes both tracks and every event.
        buffer_ms: the line's jitter buffer, see `CarrierBuffer`.
    """

    #: The stream, as the carrier names it; empty where it names none.
    stream_id: str = ""
    #: Set when the carrier itself wants to close the socket, as after a protocol's own farewell: why.
    closing: str = ""
    #: With what.
    closing_code: int = 1000
    #: Whether, after `stop`, the carrier waits for the bridge's farewell: until `closing` is set.
    waits_for_farewell: ClassVar[bool] = False

    def __init__(self, recording: CallRecording, *, buffer_ms: float = 40.0) -> None:
        self.recording = recording
        self._buffer_ms = buffer_ms
        self._buffer = CarrierBuffer(recording, 0.0, buffer_ms=buffer_ms)
        #: Audio thrown away because too much was queued already.
        self.discarded_bytes = 0

    @property
    def spoken_ms(self) -> float:
        """Milliseconds of the bridge's sound, silence not counted, that the caller has heard."""
        return self._buffer.spoken_ms

    @property
    def spoke_until_ms(self) -> float:
        """When the caller last heard the bridge; when the stream began, if never."""
        return self._buffer.spoke_until_ms

    def begin(self, now_ms: float) -> None:
        """Both tracks begin now."""
        self.recording.began_ms = now_ms
        self._buffer = CarrierBuffer(self.recording, now_ms, buffer_ms=self._buffer_ms)

    def opening(self) -> list[Message]:
        """What the carrier sends first: its greeting, the message that binds the stream to its call."""
        raise NotImplementedError

    def voice(self, frame: bytes) -> list[Message]:
        """The next 20 ms of the caller, 160 bytes of mu-law; a carrier that sends more at once returns nothing yet.

        Append `frame` to `recording.said`.
        """
        raise NotImplementedError

    def digit(self, now_ms: float, digit: str) -> list[Message]:
        """A key pressed by the caller. Note `DigitPressed`, whether or not the carrier tells the bridge."""
        raise NotImplementedError

    def stop(self) -> list[Message]:
        """The end of the stream, because the caller hung up; nothing where closing says it all."""
        return []

    def advance(self, now_ms: float) -> list[Message]:
        """Play what is due by now. Returns the marks that were reached."""
        raise NotImplementedError

    def receive(self, now_ms: float, message: Message) -> list[Message]:
        """Obey one message of the bridge. Returns what the carrier answers at once."""
        raise NotImplementedError

    def pinged(self, now_ms: float) -> None:
        """The bridge sent a WebSocket ping, which is answered whatever is done here."""

    def fault(self, now_ms: float, code: int, detail: str) -> None:
        """Note that the bridge broke the carrier's rules; `code` is the carrier's own number, or 0."""
        self.recording.note(Faulted(at_ms=now_ms, code=code, detail=detail))
