"""What a carrier does with the audio it is sent: buffer it, play it slot by slot, notice when it runs dry.

Strategy:

- Clock-free. Slot n is played at `began + n x 20 ms`, whatever the time at which `advance` is called: a late
  caller of it catches up, and nothing drifts.
- Every slot adds exactly 160 bytes to what was heard; what is missing is silence.
- A mark is reached when the slot with the last byte before it is over; at once when nothing is left to play.
- Dry is not late. Running dry is an underrun only when audio comes again within `RESUMED_MS`, with neither a
  mark (the utterance had been closed) nor a clear between.
- Having run dry, the line fills `buffer_ms` before it plays again, as a jitter buffer does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from bridge.emulators.recording import BridgeStarted, BridgeStopped, CallRecording, Underrun
from telephony_codecs.formats import MULAW_8K

SLOT_MS: Final = 20
SLOT_BYTES: Final = MULAW_8K.bytes_in(SLOT_MS)
#: Audio that comes within this time after the line ran dry belonged to the same utterance.
RESUMED_MS: Final = 400.0
#: Twilio discards what comes once more than ten minutes are queued (warning 31931).
CAPACITY_BYTES: Final = MULAW_8K.bytes_in(600_000)

_SILENCE: Final = MULAW_8K.silence(SLOT_MS)
#: mu-law writes zero in two ways.
_ZEROS: Final = b"\xff\x7f"


class CarrierBuffer:
    """The playout buffer of one stream; writes what is heard into `recording`.

    Args:
        recording: its `heard` grows by one slot for each 20 ms; starts, stops and underruns are noted in it.
        began_ms: when slot 0 is played.
        buffer_ms: audio to have before playing begins. Shorter audio is played once it has waited that long.
    """

    def __init__(self, recording: CallRecording, began_ms: float, *, buffer_ms: float = 40.0) -> None:
        self._recording = recording
        self._began_ms = began_ms
        self._buffer_ms = buffer_ms
        self._slot = 0
        self._queue = bytearray()
        self._marks: deque[tuple[int, str]] = deque()  # position in bytes, name
        self._accepted = self._taken = self._finished = (
            0  # positions in bytes: queued, begun, played to the end
        )
        self._closed_at = 0  # position of the newest mark or clear: an utterance that ends there was meant to
        self._playing = False
        self._dry_ms: float | None = None
        self._waiting_since_ms = 0.0
        self._late = False  # what waits should have been here when the line ran dry
        #: Milliseconds of sound (silence not counted) that the caller has heard so far.
        self.spoken_ms = 0.0
        #: When the caller last heard sound.
        self.spoke_until_ms = began_ms

    @property
    def playing(self) -> bool:
        """Whether the caller hears something, silence included."""
        return self._playing

    @property
    def queued_ms(self) -> float:
        """Audio waiting to be played."""
        return MULAW_8K.ms_in(len(self._queue))

    def push(self, now_ms: float, payload: bytes) -> bool:
        """Queue audio. Returns False when it was discarded because the buffer is full."""
        if len(self._queue) + len(payload) > CAPACITY_BYTES:
            return False
        if not self._queue and payload:
            self._waiting_since_ms = now_ms
            self._late = self._belongs_to_what_ran_dry(now_ms)
        self._queue += payload
        self._accepted += len(payload)
        return True

    def _belongs_to_what_ran_dry(self, now_ms: float) -> bool:
        closed = self._closed_at == self._accepted
        return self._dry_ms is not None and not closed and now_ms - self._dry_ms <= RESUMED_MS

    def mark(self, name: str) -> bool:
        """Remember a mark at the end of what is queued. Returns True when it is reached already."""
        self._closed_at = self._accepted
        if self._finished == self._accepted:
            return True
        self._marks.append((self._accepted, name))
        return False

    def clear(self, now_ms: float) -> tuple[float, list[str]]:
        """Throw away what waits. Returns how much, in milliseconds, and the names of all pending marks."""
        dropped_ms, names = self.queued_ms, [name for _, name in self._marks]
        self._queue.clear()
        self._marks.clear()
        self._taken = self._finished = self._closed_at = self._accepted
        self._stop(now_ms)
        self._dry_ms = None
        return dropped_ms, names

    def advance(self, now_ms: float, reached: Callable[[float, str], None]) -> None:
        """Play every slot due by `now_ms`; `reached(at_ms, name)` is called for each mark on the way."""
        while (at_ms := self._began_ms + self._slot * SLOT_MS) <= now_ms:
            self._slot += 1
            self._finished = self._taken
            self._reach_marks(at_ms, reached)
            self._play(at_ms)

    def _reach_marks(self, at_ms: float, reached: Callable[[float, str], None]) -> None:
        while self._marks and self._marks[0][0] <= self._finished:
            reached(at_ms, self._marks.popleft()[1])

    def _play(self, at_ms: float) -> None:
        if not self._playing and self._ready(at_ms):
            self._start(at_ms)
        if not self._playing:
            self._recording.heard += _SILENCE
            return
        chunk = bytes(self._queue[:SLOT_BYTES])
        del self._queue[: len(chunk)]
        self._taken += len(chunk)
        self._hear(at_ms, chunk)
        if len(chunk) < SLOT_BYTES:
            self._dry_ms = at_ms + MULAW_8K.ms_in(len(chunk))
            self._stop(self._dry_ms)

    def _ready(self, at_ms: float) -> bool:
        waited_ms = at_ms - self._waiting_since_ms
        return bool(self._queue) and (self.queued_ms >= self._buffer_ms or waited_ms >= self._buffer_ms)

    def _start(self, at_ms: float) -> None:
        self._playing = True
        if self._late and self._dry_ms is not None:
            self._recording.note(Underrun(at_ms=self._dry_ms, gap_ms=at_ms - self._dry_ms))
        self._dry_ms = None
        self._recording.note(BridgeStarted(at_ms=at_ms))

    def _stop(self, at_ms: float) -> None:
        if self._playing:
            self._playing = False
            self._recording.note(BridgeStopped(at_ms=at_ms))

    def _hear(self, at_ms: float, chunk: bytes) -> None:
        self._recording.heard += chunk.ljust(SLOT_BYTES, MULAW_8K.silent_sample)
        if chunk.strip(_ZEROS):
            self.spoken_ms += MULAW_8K.ms_in(len(chunk))
            self.spoke_until_ms = at_ms + MULAW_8K.ms_in(len(chunk))
