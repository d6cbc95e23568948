"""Is this speech: one detector for the whole process, fed by every call, run in batches.

Strategy:

- A call pushes its packets as they come; that only appends bytes. Whoever owns the event loop calls `run`
  while `due` says so, a few milliseconds after the first window fell due at best: one run over 30 calls
  costs a third of 30 runs over one.
- A window is 32 ms; packets are 20 ms. The mu-law bytes wait undecoded, the 4 ms of context that the model
  wants in front of a window simply stay at the front of the buffer.
- The model's memory of each call lives in one array, by slot. A slot is wiped when a call takes it.
- The memory drifts in hold music and long noise until it misses speech, so it is wiped after
  `RESET_QUIET_WINDOWS` windows that were surely not speech, at most every four seconds: each wipe in the
  middle of music is a chance to take it for speech.
- The model hears every line through faint noise. Without it, a voice out of digital silence is found 20 ms
  later, 30 ms in the worst tenth; with it, music passes for a voice more often, which the rarer wiping makes up for.
- What waits is bounded: a detector that is not run drops the oldest audio and counts it.

The figures behind these choices are in docs/barge-in.md.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from bridge.media.silero import CONTEXT_SAMPLES, SAMPLE_RATE_HZ, WINDOW_SAMPLES, load_model
from telephony_codecs.g711 import MULAW_TO_FLOAT
from telephony_codecs.pcm import SILENCE_DBFS

if TYPE_CHECKING:
    from bridge.media.silero import Floats, Model

WINDOW_MS: Final = WINDOW_SAMPLES * 1000 / SAMPLE_RATE_HZ

#: Below this a window is surely not speech. So many running, so long after the last wipe: wiped again.
RESET_PROBABILITY: Final = 0.1
RESET_QUIET_WINDOWS: Final = 5
RESET_EVERY_WINDOWS: Final = 125  # 4 s

#: Level of the noise under what the model hears, far below the quietest caller.
DITHER_DBFS: Final = -55.0

#: Audio of one call that may wait to be looked at.
MAX_PENDING_MS: Final = 1000.0

_DUE_BYTES: Final = CONTEXT_SAMPLES + WINDOW_SAMPLES
_MAX_PENDING_BYTES: Final = CONTEXT_SAMPLES + int(MAX_PENDING_MS * SAMPLE_RATE_HZ / 1000)
_SILENT_CONTEXT: Final = b"\xff" * CONTEXT_SAMPLES
_FIRST_CAPACITY: Final = 16
_CLOSED: Final = -1
_DITHER_WINDOWS: Final = 125
_SILENT_POWER: Final = np.float32(10 ** (SILENCE_DBFS / 10))

Indices: TypeAlias = NDArray[np.intp]


class Window(NamedTuple):
    """What the detector says about 32 ms of a call.

    `end_ms` is where the window ends in the audio pushed since the stream was opened.
    """

    stream: VadStream
    probability: float
    level_dbfs: float
    end_ms: float


@dataclass(slots=True)
class VadStats:
    """What happened since the detector was made."""

    windows: int = 0
    batches: int = 0
    resets: int = 0
    dropped_windows: int = 0  #: waited longer than `MAX_PENDING_MS`


class VadStream:
    """One call's audio on its way into the detector. Made by `SpeechDetector.open`."""

    __slots__ = ("_detector", "buffer", "due", "end_ms", "slot")

    def __init__(self, detector: SpeechDetector, slot: int) -> None:
        self._detector = detector
        #: The context of the next window, then what waits to be looked at.
        self.buffer = bytearray(_SILENT_CONTEXT)
        self.due = False
        self.end_ms = 0.0
        #: Where the detector keeps the call's memory; -1 once closed.
        self.slot = slot

    @property
    def pushed_ms(self) -> float:
        """The audio that has been pushed."""
        return self.end_ms + (len(self.buffer) - CONTEXT_SAMPLES) * 1000 / SAMPLE_RATE_HZ

    def push(self, mulaw: bytes) -> None:
        """Takes 8 kHz mu-law of any length. What comes after `close` is ignored."""
        buffer = self.buffer
        buffer += mulaw
        if len(buffer) >= _DUE_BYTES and not self.due:
            self._detector.fall_due(self)
        if len(buffer) > _MAX_PENDING_BYTES:
            self._detector.drop_oldest(self)


class SpeechDetector:
    """The speech detector of a process. Not for use from several threads.

    Args:
        model: what to ask; Silero v6 by default, loaded here (0.1 s, 45 MB).
        reset_every_windows: the least number of windows from one wipe of a call's memory to the next.
        dither_dbfs: level of the noise under what the model hears.

    Raises:
        FileNotFoundError: the model's package is not installed.
    """

    def __init__(
        self,
        *,
        model: Model | None = None,
        reset_every_windows: int = RESET_EVERY_WINDOWS,
        dither_dbfs: float = DITHER_DBFS,
    ) -> None:
        self.stats = VadStats()
        self._reset_every_windows = reset_every_windows
        self._dither = _dither(dither_dbfs)
        self._model = model or load_model()
        self._due: deque[VadStream] = deque()
        self._free_slots: list[int] = []
        self._memory = np.zeros((2, 0, 128), np.float32)
        self._quiet_windows = np.zeros(0, np.int64)
        self._windows_since_reset = np.zeros(0, np.int64)

    @property
    def due(self) -> int:
        """Calls with a window to look at. Call `run` until it is 0."""
        return len(self._due)

    @property
    def streams(self) -> int:
        """Streams that are open."""
        return self._memory.shape[1] - len(self._free_slots)

    def open(self) -> VadStream:
        """A stream for a new call. Close it with the call."""
        if not self._free_slots:
            self._grow()
        slot = self._free_slots.pop()
        self._forget(slot)
        return VadStream(self, slot)

    def close(self, stream: VadStream) -> None:
        """Ends a stream: what it has pushed is not looked at any more. Again is harmless."""
        if stream.slot == _CLOSED:
            return
        if stream.due:
            self._due.remove(stream)
        self._free_slots.append(stream.slot)
        # A due stream is not queued again, so nothing pushed from now on can reach the slot's next owner.
        stream.slot, stream.due = _CLOSED, True

    def run(self, limit: int = 64) -> list[Window]:
        """Looks at one window of each due call, longest due first, and of `limit` calls at most."""
        streams = [self._due.popleft() for _ in range(min(limit, len(self._due)))]
        if not streams:
            return []
        codes = np.frombuffer(b"".join([stream.buffer[:_DUE_BYTES] for stream in streams]), np.uint8)
        windows = MULAW_TO_FLOAT.take(codes).reshape(-1, _DUE_BYTES)
        slots = np.array([stream.slot for stream in streams])
        levels_dbfs = _levels_dbfs(windows[:, CONTEXT_SAMPLES:])
        probabilities = self._ask(windows, slots)
        self._advance(streams)
        for index in self._drifted(slots, probabilities):
            self._wipe(streams[index])
        self.stats.windows += len(streams)
        self.stats.batches += 1
        return [
            Window(stream, probability, level_dbfs, stream.end_ms)
            for stream, probability, level_dbfs in zip(
                streams, probabilities.tolist(), levels_dbfs.tolist(), strict=True
            )
        ]

    def fall_due(self, stream: VadStream) -> None:
        """Queues a stream that has a whole window. For `VadStream` only."""
        stream.due = True
        self._due.append(stream)

    def drop_oldest(self, stream: VadStream) -> None:
        """Brings a stream back to its bound by whole windows. For `VadStream` only."""
        if stream.slot == _CLOSED:
            stream.buffer.clear()
            return
        excess = -(-(len(stream.buffer) - _MAX_PENDING_BYTES) // WINDOW_SAMPLES)
        del stream.buffer[: excess * WINDOW_SAMPLES]
        stream.end_ms += excess * WINDOW_MS
        self.stats.dropped_windows += excess

    def _ask(self, windows: Floats, slots: Indices) -> Floats:
        """What the model says to each window, and what it remembers from now on."""
        heard = windows + self._dither.take(self._windows_since_reset[slots], axis=0, mode="wrap")
        probabilities, self._memory[:, slots] = self._model(heard, self._memory.take(slots, axis=1))
        return probabilities

    def _advance(self, streams: list[VadStream]) -> None:
        """Past the window just looked at; a stream with another one queues again, behind the others."""
        for stream in streams:
            del stream.buffer[:WINDOW_SAMPLES]
            stream.end_ms += WINDOW_MS
            if len(stream.buffer) >= _DUE_BYTES:
                self._due.append(stream)
            else:
                stream.due = False

    def _drifted(self, slots: Indices, probabilities: Floats) -> list[int]:
        """Which of the calls have been quiet for long enough to wipe their memory."""
        quiet = (self._quiet_windows[slots] + 1) * (probabilities < RESET_PROBABILITY)
        since = self._windows_since_reset[slots] + 1
        self._quiet_windows[slots], self._windows_since_reset[slots] = quiet, since
        drifted: list[int] = np.flatnonzero(
            (quiet >= RESET_QUIET_WINDOWS) & (since >= self._reset_every_windows)
        ).tolist()
        return drifted

    def _wipe(self, stream: VadStream) -> None:
        stream.buffer[:CONTEXT_SAMPLES] = _SILENT_CONTEXT
        self._forget(stream.slot)
        self.stats.resets += 1

    def _forget(self, slot: int) -> None:
        self._memory[:, slot] = 0.0
        self._quiet_windows[slot] = self._windows_since_reset[slot] = 0

    def _grow(self) -> None:
        """Doubles the room for calls."""
        used = self._memory.shape[1]
        capacity = max(_FIRST_CAPACITY, 2 * used)
        memory = np.zeros((2, capacity, 128), np.float32)
        memory[:, :used] = self._memory
        self._memory = memory
        counters = np.zeros((2, capacity), np.int64)
        counters[:, :used] = self._quiet_windows, self._windows_since_reset
        self._quiet_windows, self._windows_since_reset = counters
        self._free_slots.extend(range(capacity - 1, used - 1, -1))


def _dither(dbfs: float) -> Floats:
    """Rows of noise that follow on each other as windows do, context included. The same in every process."""
    noise = np.random.default_rng(0).standard_normal(_DITHER_WINDOWS * WINDOW_SAMPLES + CONTEXT_SAMPLES)
    rows = sliding_window_view(noise * 10 ** (dbfs / 20), _DUE_BYTES)[::WINDOW_SAMPLES]
    return rows.astype(np.float32)


def _levels_dbfs(windows: Floats) -> Floats:
    """Each row's level; the square wave of full scale is 0 dBFS."""
    power = np.einsum("ij,ij->i", windows, windows) / windows.shape[1]
    levels: Floats = 10 * np.log10(np.maximum(power, _SILENT_POWER))
    return levels
