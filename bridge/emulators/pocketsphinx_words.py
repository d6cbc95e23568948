"""A recogniser that really recognises, offline: CMU PocketSphinx and the English model inside its package.

Strategy:

- The package is an extra: nothing here needs it before a `PocketsphinxRecogniser` is made.
- Its model wants 16 kHz and takes a good part of real time: it is fed in a thread, and with sound alone. Silence before
  an utterance is kept for a moment only, because a decoder needs the beginning of a word.
- On a telephone's 3.4 kHz it understands free speech badly. Given the lines that may be said it listens for those,
  and is right about most of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

from bridge.emulators.recogniser import FRAME_BYTES, RecognisedWord, is_sound
from bridge.errors import ConfigError
from telephony_codecs.formats import MULAW_8K, AudioFormat, Encoding
from telephony_codecs.reframer import Reframer
from telephony_codecs.transcoder import Transcoder

_WIDE: Final = AudioFormat(Encoding.PCM16, 16_000)
#: Of the decoder: a hundred a second.
_DECODER_FRAME_MS: Final = 10
#: What is kept of the silence before an utterance.
_LEAD_IN_FRAMES: Final = 10
_NOT_IN_A_WORD: Final = re.compile(r"[^\w']+")


class _Segment(Protocol):
    word: str
    start_frame: int
    end_frame: int


class _Decoder(Protocol):
    """What is used of ``pocketsphinx.Decoder``."""

    def start_utt(self) -> None: ...
    def process_raw(self, pcm: bytes, no_search: bool, full_utt: bool) -> int: ...
    def end_utt(self) -> None: ...
    def seg(self) -> Iterable[_Segment] | None: ...
    def lookup_word(self, word: str) -> str | None: ...
    def add_jsgf_string(self, name: str, grammar: str) -> None: ...
    def activate_search(self, name: str) -> None: ...


class PocketsphinxRecogniser:
    """Recognises English. With `lines` it knows those alone, and tells them as they are written there.

    Raises:
        ConfigError: the package is not installed, or its dictionary has not all words of `lines`.
    """

    name = "PocketSphinx"
    blocks = True

    def __init__(self, lines: Iterable[str] = ()) -> None:
        self._make = _decoder_maker()
        self._lines = {tuple(_plain(line)): line.split() for line in lines if _plain(line)}
        if self._lines:
            self._check_words()

    def open(self) -> PocketsphinxRecognition:
        """See `Recogniser.open`. The model is loaded with the first audio, which is in a thread."""
        return PocketsphinxRecognition(self._decoder, self._lines)

    def _decoder(self) -> _Decoder:
        # Its last pass looks for shorter ways, and loses the last word of a line to them.
        decoder = self._make(samprate=float(_WIDE.rate_hz), loglevel="FATAL", bestpath=False)
        if self._lines:
            decoder.add_jsgf_string("lines", _grammar(self._lines))
            decoder.activate_search("lines")
        return decoder

    def _check_words(self) -> None:
        decoder = self._make(loglevel="FATAL")
        words = sorted({word for line in self._lines for word in line})
        if unknown := [word for word in words if decoder.lookup_word(word) is None]:
            raise ConfigError(f"PocketSphinx does not know how to say {', '.join(unknown)}", key="--script")


class PocketsphinxRecognition:
    """What is recognised on one socket."""

    def __init__(self, decoder: Callable[[], _Decoder], lines: dict[tuple[str, ...], list[str]]) -> None:
        self._make, self._lines = decoder, lines
        self._decoder: _Decoder | None = None
        self._frames = Reframer(FRAME_BYTES)
        self._lead_in: list[bytes] = []
        self._heard_ms = 0.0
        #: Where the utterance begins that the decoder is in; None: it is in none.
        self._since_ms: float | None = None
        self._wide = Transcoder(MULAW_8K, _WIDE)

    def feed(self, mulaw: bytes) -> None:
        """See `Recognition.feed`."""
        for frame in self._frames.feed(mulaw):
            self._heard_ms += MULAW_8K.ms_in(len(frame))
            if self._since_ms is not None:
                self._decode(frame)
            elif is_sound(frame):
                self._begin(frame)
            else:
                self._lead_in = [*self._lead_in, frame][-_LEAD_IN_FRAMES:]

    def words(self) -> Sequence[RecognisedWord]:
        """See `Recognition.words`."""
        return [] if self._since_ms is None else self._as_written(list(self._segments(self._since_ms)))

    def finish(self) -> Sequence[RecognisedWord]:
        """See `Recognition.finish`."""
        if self._decoder is None or self._since_ms is None:
            return []
        self._decoder.process_raw(self._wide.flush(), False, False)
        so_far = self.words()
        self._decoder.end_utt()
        words = self.words() or so_far  # of a line that was not said to its end there is nothing any more
        self._since_ms = None
        return words

    def _begin(self, frame: bytes) -> None:
        self._decoder = self._decoder or self._make()
        self._decoder.start_utt()
        heard = b"".join(self._lead_in) + frame
        self._lead_in = []
        self._since_ms = self._heard_ms - MULAW_8K.ms_in(len(heard))
        self._decode(heard)

    def _decode(self, mulaw: bytes) -> None:
        assert self._decoder is not None
        self._decoder.process_raw(self._wide.feed(mulaw), False, False)

    def _segments(self, since_ms: float) -> Iterator[RecognisedWord]:
        segments = self._decoder.seg() if self._decoder else None
        for segment in segments or ():
            text, _, _ = segment.word.partition("(")  # one of several ways to say it
            if text and text[0] not in "<[":  # silence, and noises
                start_ms = since_ms + segment.start_frame * _DECODER_FRAME_MS
                yield RecognisedWord(text, start_ms, since_ms + (segment.end_frame + 1) * _DECODER_FRAME_MS)

    def _as_written(self, words: list[RecognisedWord]) -> list[RecognisedWord]:
        """`words` as they stand in the line that begins so."""
        heard = tuple(word.text for word in words)
        for line, written in self._lines.items():
            if line[: len(heard)] == heard and len(line) == len(written):
                pairs = zip(words, written, strict=False)
                return [RecognisedWord(text, word.start_ms, word.end_ms) for word, text in pairs]
        return words


def _decoder_maker() -> Callable[..., _Decoder]:
    try:
        from pocketsphinx import Decoder
    except ImportError:
        raise ConfigError(
            "PocketSphinx is not installed: pip install 'lightning-phone-bridge[recogniser]'",
            key="--recogniser",
        ) from None
    maker: Callable[..., _Decoder] = Decoder
    return maker


def _plain(line: str) -> list[str]:
    """The words of `line` as the decoder knows them."""
    return _NOT_IN_A_WORD.sub(" ", line.lower()).split()


def _grammar(lines: Iterable[Sequence[str]]) -> str:
    return f"#JSGF V1.0; grammar lines; public <line> = ( {' | '.join(' '.join(line) for line in lines)} );"
