"""What a door answered, as 8 kHz mu-law.

`ulaw` at 8000 Hz is guessed at, because the sources disagree whether it is honoured (see `audio_guess`). Anything
else that was asked for is taken for what it is, unless a WAV header says otherwise, and goes through the transcoder.
"""

from __future__ import annotations

from typing import Protocol

from bridge.lightning.audio_guess import MulawAnswer
from telephony_codecs.formats import MULAW_8K, AudioFormat
from telephony_codecs.transcoder import Transcoder
from telephony_codecs.wav import WavStripper


class Answer(Protocol):
    """One synthesis's audio on its way to mu-law."""

    #: What it turned out to be; None until that is clear.
    format: AudioFormat | None
    #: Whether it came with a WAV header.
    had_header: bool

    def feed(self, chunk: bytes) -> bytes:
        """The mu-law in `chunk`.

        Raises:
            ValueError: it wears a WAV header, of audio that nothing can be done with.
        """

    def flush(self) -> bytes:
        """The end of it."""


def answer_in(asked: AudioFormat, expected: AudioFormat | None = None) -> Answer:
    """For a synthesis that was asked for `asked`; `expected` is what came the last time."""
    return MulawAnswer(expected) if asked == MULAW_8K else ConvertedAnswer(asked)


class ConvertedAnswer:
    """Audio in a format that is known, or that its header tells."""

    def __init__(self, asked: AudioFormat) -> None:
        self.format: AudioFormat | None = None
        self.had_header = False
        self._asked = asked
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
        self._transcoder = Transcoder(self.format, MULAW_8K)
        if not self.had_header:
            self._stripper = None

    def _convert(self, audio: bytes) -> bytes:
        assert self._transcoder is not None
        return self._transcoder.feed(audio)
