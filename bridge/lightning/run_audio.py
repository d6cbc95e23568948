"""The audio of a synthesis that comes in runs: made one stream, and measured. No I/O.

Strategy:

- A server that puts a WAV header before its audio puts one before each run. They are all taken off: in the middle of
  the stream they would be a click, and what the first one says about length would end it there.
- Nothing is converted. How long audio lasts is measured in what it is: mu-law may be answered with 16-bit PCM, and the
  first bytes tell.
"""

from __future__ import annotations

from bridge.lightning.audio_guess import MOST_BYTES, evidence_bits
from telephony_codecs.formats import AudioFormat, Encoding
from telephony_codecs.wav import WavStripper


class RunAudio:
    """Raw audio in, the same without headers out.

    Args:
        asked: the format that was asked for.
    """

    def __init__(self, asked: AudioFormat) -> None:
        #: Whether any run came with a header.
        self.had_header = False
        self._asked = self._format = asked
        self._stripper = WavStripper()
        self._head = b""

    def feed(self, chunk: bytes) -> bytes:
        """The audio in `chunk`; empty while that may be a header.

        Raises:
            ValueError: it wears a header, of audio that nothing can be done with.
        """
        audio = self._stripper.feed(chunk)
        found = self._stripper.format
        if found is not None:
            self.had_header = True
            self._check(found, self._stripper.channels)
        return self._noted(audio)

    def end_run(self) -> bytes:
        """What was held back of a run that is over. The next one may begin with a header again."""
        audio, self._stripper = self._stripper.flush(), WavStripper()
        return self._noted(audio)

    def ms_in(self, audio: bytes) -> float:
        """How long `audio`, which was given out, lasts."""
        return self._format.ms_in(len(audio))

    def _check(self, found: AudioFormat, channels: int) -> None:
        guessable = self._asked.encoding is Encoding.MULAW and found.encoding is Encoding.PCM16
        if channels != 1 or found.rate_hz != self._asked.rate_hz or not (found == self._asked or guessable):
            raise ValueError(f"a WAV of {channels} x {found}, asked for {self._asked}")

    def _noted(self, audio: bytes) -> bytes:
        if len(self._head) < MOST_BYTES and self._asked.encoding is Encoding.MULAW:
            self._head += audio[: MOST_BYTES - len(self._head)]
            encoding = Encoding.PCM16 if evidence_bits(self._head) < 0 else Encoding.MULAW
            self._format = AudioFormat(encoding, self._asked.rate_hz)
        return audio
