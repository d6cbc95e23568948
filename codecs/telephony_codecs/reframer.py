"""Chunks of any size in, frames of one size out, no byte lost or moved between chunks."""

from __future__ import annotations


class Reframer:
    """Cuts a stream of audio bytes into frames of `frame_bytes`.

    Raises:
        ValueError: `frame_bytes` is not positive.
    """

    def __init__(self, frame_bytes: int) -> None:
        if frame_bytes <= 0:
            raise ValueError(f"frame_bytes must be positive, not {frame_bytes}")
        self.frame_bytes = frame_bytes
        self._pending = b""

    @property
    def pending_bytes(self) -> int:
        """Bytes that wait for the rest of their frame; always less than a frame."""
        return len(self._pending)

    def feed(self, chunk: bytes) -> list[bytes]:
        """The frames that `chunk` completes, in order; none when it completes none."""
        stream = self._pending + chunk if self._pending else chunk
        size = self.frame_bytes
        whole = len(stream) - len(stream) % size
        self._pending = stream[whole:]
        return [stream[start : start + size] for start in range(0, whole, size)]

    def flush(self, silent_sample: bytes) -> bytes:
        """The last frame, padded with silence; ``b""`` when nothing is pending. For the end of a stream.

        Args:
            silent_sample: one sample of silence, as in `AudioFormat.silent_sample`.

        Raises:
            ValueError: a frame is not a whole number of such samples.
        """
        if self.frame_bytes % len(silent_sample):
            raise ValueError(f"{self.frame_bytes} bytes are not whole samples of {len(silent_sample)}")
        # Half a sample says nothing, and silence put behind it would be out of step by a byte: noise.
        samples = len(self._pending) // len(silent_sample)
        audio, self._pending = self._pending[: samples * len(silent_sample)], b""
        if not audio:
            return b""
        return audio + silent_sample * (self.frame_bytes // len(silent_sample) - samples)

    def take(self) -> bytes:
        """What is pending, which is forgotten here."""
        pending, self._pending = self._pending, b""
        return pending

    def clear(self) -> None:
        """Forget what is pending: what comes next is other audio."""
        self._pending = b""
