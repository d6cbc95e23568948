"""What happened on one simulated call: who was heard when, and what was sent when.

Strategy:

- One axis of time for everything: milliseconds since the caller dialled. A second of the stereo file is the
  same second of the entries.
- Both voices are kept as the mu-law that crossed the wire, in whole slots of 20 ms, silence included: a
  position is a time, and what is compared in a test is what was sent.
- `heard` is what the line played to the caller, not what the bridge sent: what a `clear` threw away is not in
  it, and where the bridge was late there is silence.
- Everything that arrived is kept with its time of arrival, because only a test can say what was stale.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, TypeAlias

from msgspec import Struct

from telephony_codecs.formats import MULAW_8K, PCM16_8K
from telephony_codecs.g711 import mulaw_decode
from telephony_codecs.pcm import interleave
from telephony_codecs.wav import write_wav


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class _Entry(Struct, frozen=True, kw_only=True, tag_field="kind", tag=_snake_case):
    """Base of all: `at_ms` is milliseconds since the caller dialled."""

    at_ms: float


class WebhookAnswered(_Entry, frozen=True):
    """A webhook was answered; `purpose` is ``answer``, ``status`` or ``ended``. Status 0: nobody answered."""

    purpose: str
    status: int
    took_ms: float


class StreamOpened(_Entry, frozen=True):
    """The media socket is open."""

    took_ms: float


class BridgeStarted(_Entry, frozen=True):
    """The caller begins to hear the bridge."""


class BridgeStopped(_Entry, frozen=True):
    """Nothing is left to play: the utterance ended, was cleared, or the bridge is late."""


class Underrun(_Entry, frozen=True):
    """The line ran dry in the middle of an utterance; the caller heard `gap_ms` of silence."""

    gap_ms: float


class ClearReceived(_Entry, frozen=True):
    """The bridge threw away what was buffered, and with it these marks came back."""

    dropped_ms: float
    marks: tuple[str, ...] = ()


class MarkEchoed(_Entry, frozen=True):
    """A mark went back to the bridge, because all before it was played, or because of a clear."""

    name: str
    cleared: bool = False


class Faulted(_Entry, frozen=True):
    """The bridge broke a rule of the carrier; `code` is the carrier's own number for that, or 0."""

    code: int
    detail: str


class CallerStarted(_Entry, frozen=True):
    """The caller's recording is first loud enough to be speech. `utterance` counts from 0."""

    utterance: int


class CallerStopped(_Entry, frozen=True):
    """The caller's recording is over."""

    utterance: int


class DigitPressed(_Entry, frozen=True):
    digit: str


class HungUp(_Entry, frozen=True):
    """The caller hung up."""

    reason: str


class BridgeClosed(_Entry, frozen=True):
    """The bridge closed the media socket, or had the carrier close it. 1006: it vanished without a close frame."""

    code: int
    reason: str = ""


Entry: TypeAlias = (
    WebhookAnswered
    | StreamOpened
    | BridgeStarted
    | BridgeStopped
    | Underrun
    | ClearReceived
    | MarkEchoed
    | Faulted
    | CallerStarted
    | CallerStopped
    | DigitPressed
    | HungUp
    | BridgeClosed
)


class Arrival(Struct, frozen=True):
    """One `media` message of the bridge: raw mu-law, and when it came."""

    at_ms: float
    payload: bytes


#: After this the call goes on, but its further entries and arrivals are no longer kept.
MAX_KEPT: Final = 200_000


class CallRecording:
    """Both voices and every event of one call.

    Append to `said` and `heard` in whole slots from `began_ms` on; use `note` and `arrive` for the rest.
    """

    def __init__(self) -> None:
        #: When the media stream, and with it both tracks, began.
        self.began_ms = 0.0
        self.said = bytearray()
        self.heard = bytearray()
        self.entries: list[Entry] = []
        #: When each of the caller's actions began, and when it ended: None as long as it has not.
        self.actions: list[tuple[float, float | None]] = []
        self.arrivals: list[Arrival] = []

    def note(self, entry: Entry) -> None:
        """Keep `entry`."""
        if len(self.entries) < MAX_KEPT:
            self.entries.append(entry)

    def begin_action(self, at_ms: float) -> None:
        """The caller's next action begins."""
        self.actions.append((at_ms, None))

    def end_action(self, at_ms: float) -> None:
        """The newest of them is over."""
        self.actions[-1] = (self.actions[-1][0], at_ms)

    def arrive(self, at_ms: float, payload: bytes) -> None:
        """Keep what the bridge sent."""
        if len(self.arrivals) < MAX_KEPT:
            self.arrivals.append(Arrival(at_ms, payload))

    def stereo(self) -> bytes:
        """Caller left, bridge right: interleaved PCM16 at 8 kHz. Begins when the caller dialled."""
        size = max(len(self.said), len(self.heard))
        left, right = (mulaw_decode(_padded(track, size)) for track in (self.said, self.heard))
        return PCM16_8K.silence(self.began_ms) * 2 + interleave(left, right)

    def write_stereo(self, path: Path | str) -> Path:
        """Write `stereo` as a WAV file, making its folder where needed. Returns the path."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_wav(path, PCM16_8K, self.stereo(), channels=2)
        return path


def _padded(track: bytearray, size: int) -> bytes:
    return bytes(track).ljust(size, MULAW_8K.silent_sample)
