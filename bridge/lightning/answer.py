"""What a door answered, in the format that is wanted: 8 kHz mu-law for a call, anything for a recording.

`ulaw` is guessed at, because the sources disagree whether it is honoured (see `audio_guess`). Anything
else that was asked for is taken for what it is, unless a WAV header says otherwise, and goes through the transcoder.
"""

from __future__ import annotations

from typing import Protocol

from bridge.lightning.audio_guess import MulawAnswer
from telephony_codecs.formats import MULAW_8K, AudioFormat, Encoding
from telephony_codecs.transcoder import Transcoder
from telephony_codecs.wav import WavStripper


class Answer(Protocol):
    """One synthesis's audio on its way to the format that is wanted."""

    #: What it turned out to be; None until that is clear.
    format: AudioFormat | None
    #: Whether it came with a WAV header.
    had_header: bool

    def feed(self, chunk: bytes) -> bytes:
        """The audio in `chunk`.

        Raises:
            ValueError: it wears a WAV header, of audio that nothing can be done with.
        """

    def flush(self) -> bytes:
        """The end of it."""


def answer_in(
    asked: AudioFormat, expected: AudioFormat | None = None, wanted: AudioFormat = MULAW_8K
) -> Answer:
    """For a synthesis that was asked for `asked`; `expected` is what came the last time."""
    if asked == wanted and asked.encoding is Encoding.MULAW:
        return MulawAnswer(expected, asked.rate_hz)
    return ConvertedAnswer(asked, wanted)


class ConvertedAnswer:
    """Audio in a format that is known, or that its header tells."""

    def __init__(self, asked: AudioFormat, wanted: AudioFormat = MULAW_8K) -> None:
        self.format: AudioFormat | None = None
        self.had_header = False
        self._asked, self._wanted = asked, wanted
        self._stripper: WavStripper | None = WavStripper()
        self._transcoder: Transcoder | None = None

    def feed(self, chunk: bytes) -> bytes:
        """See `Answer`."""
        stripper = self._stripper
        if stripper is None:
            return self._convert(chunk)
        audio = stripper.feed(chunk)
        if self._transcoder is None and audio:
            self._begin(stripper)
        return self._convert(audio) if audio else b""

    def flush(self) -> bytes:
        """See `Answer`."""
        tail = b""
        if self._stripper is not None and (rest := self._stripper.flush()):
            if self._transcoder is None:
                self._begin(self._stripper)
            tail = self._convert(rest)
        return tail + (self._transcoder.flush() if self._transcoder else b"")

    def _begin(self, stripper: WavStripper) -> None:
        if stripper.channels != 1:
            raise ValueError(f"{stripper.channels} channels of audio; speech has one")
        self.had_header = stripper.format is not None
        self.format = stripper.format or self._asked
        self._transcoder = Transcoder(self.format, self._wanted)
        if not self.had_header:
            self._stripper = None

    def _convert(self, audio: bytes) -> bytes:
        assert self._transcoder is not None
        return self._transcoder.feed(audio)
