"""The telephone's sound as Hydra wants it, and Hydra's as the telephone does. Clock-free.

Strategy:

- Up: what has come is sent at once, in messages of 20 to 40 ms; less than that waits for the next packet. The
  resampler holds back 4 ms, and that is all that is added.
- What cannot be sent yet waits, the newest second of it: a caller who speaks while the socket opens is heard. It goes
  out at twice real time, because Hydra wants a live stream.
- Down: each answer is a stream of its own, cut anywhere, odd bytes and all.

Facts, from the AsyncAPI contract `hydra-ws.yaml`: 16 kHz in, 20 to 40 ms a message; and from the vendor's Python
quickstart: a file that is sent all at once gets the session closed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from bridge.hydra.messages import INPUT_HZ, OUTPUT_HZ
from bridge.observe.stats import HydraStats
from telephony_codecs.formats import MULAW_8K, AudioFormat, Encoding
from telephony_codecs.transcoder import Transcoder

_HYDRA_HEARS: Final = AudioFormat(Encoding.PCM16, INPUT_HZ)
_LEAST_BYTES: Final = _HYDRA_HEARS.bytes_in(20)
_MOST_BYTES: Final = _HYDRA_HEARS.bytes_in(40)
#: So much of the caller's voice is kept while nothing can be sent.
KEPT_MS: Final = 1000.0


class Upward:
    """8 kHz mu-law of any size in, PCM16 at `INPUT_HZ` in chunks of 20 to 40 ms out."""

    def __init__(self) -> None:
        self._transcoder = Transcoder(MULAW_8K, _HYDRA_HEARS)
        self._pending = b""

    def feed(self, mulaw: bytes) -> list[bytes]:
        """The chunks that are complete."""
        chunks, rest = [], self._pending + self._transcoder.feed(mulaw)
        while len(rest) >= _LEAST_BYTES:
            chunks.append(rest[:_MOST_BYTES])
            rest = rest[_MOST_BYTES:]
        self._pending = rest
        return chunks


class Downward:
    """One answer: PCM16 at `rate_hz` in, 8 kHz mu-law out.

    Raises:
        ValueError: nothing can be made of that rate.
    """

    def __init__(self, rate_hz: int = OUTPUT_HZ) -> None:
        self._transcoder = Transcoder(AudioFormat(Encoding.PCM16, rate_hz), MULAW_8K)

    def feed(self, pcm: bytes) -> bytes:
        """As much as is certain."""
        return self._transcoder.feed(pcm)

    def flush(self) -> bytes:
        """The end of it."""
        return self._transcoder.flush()


class Uplink:
    """The caller's voice on its way to Hydra, over as many sockets as it takes.

    Args:
        stats: where what is lost is counted.
    """

    def __init__(self, stats: HydraStats) -> None:
        self._stats = stats
        self._upward = Upward()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._send: Callable[[bytes], None] | None = None
        #: What was sent over the socket that is open.
        self.sent_ms = 0.0

    def push(self, mulaw: bytes) -> None:
        """The caller's next audio. Does not wait."""
        for chunk in self._upward.feed(mulaw):
            self._waiting.append(chunk)
            self._waiting_bytes += len(chunk)
            for _ in range(2):
                self._send_oldest()
        while _HYDRA_HEARS.ms_in(self._waiting_bytes) > KEPT_MS:
            self._stats.lost_ms += self._take_oldest()[1]

    def open(self, send: Callable[[bytes], None]) -> None:
        """From now on, `send` takes it: PCM16 at `INPUT_HZ`, at once."""
        self._send, self.sent_ms = send, 0.0

    def close(self) -> None:
        """Nothing can be sent for now."""
        self._send = None

    def ago_ms(self, audio_ms: float | None) -> float:
        """How long before now the caller said what was `audio_ms` into this socket's audio; 0 when that cannot be."""
        if audio_ms is None or not 0 <= audio_ms <= self.sent_ms:
            return 0.0
        return self.sent_ms - audio_ms + _HYDRA_HEARS.ms_in(self._waiting_bytes)

    def _send_oldest(self) -> None:
        if self._send is not None and self._waiting:
            chunk, ms = self._take_oldest()
            self.sent_ms += ms
            self._send(chunk)

    def _take_oldest(self) -> tuple[bytes, float]:
        chunk = self._waiting.popleft()
        self._waiting_bytes -= len(chunk)
        return chunk, _HYDRA_HEARS.ms_in(len(chunk))
