"""A recogniser that knows by heart what will be said: it finds known recordings in what it hears. No I/O.

Strategy:

- A recording is a row of 20 ms frames, and every frame that is sound stands in one index, by its bytes. What is heard
  is looked up there, so that to recognise costs one look-up a frame.
- Frames repeat, in a tone above all, so a look-up gives places, and `_Chain`s of places that follow each other compete:
  the longest is what is being said. Frames may be missing from a chain, and the line's silence may stand in it.
- Where frames begin is found out: when sound matches nothing, all offsets are tried until one does.
- G.711 has two laws, and a way through the other one changes some bytes: frames are compared as they are after it.
- A recording's words are spread over its sound by their letters. Those are recognised whose end was heard, so an
  utterance that breaks off gives the words up to there.
- Audio that was resampled or mixed on its way matches nothing: this is for lines that carry G.711 as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from bridge.emulators.recogniser import FRAME_BYTES, FRAME_MS, RecognisedWord, is_sound
from telephony_codecs.formats import MULAW_8K
from telephony_codecs.g711 import alaw_to_mulaw, mulaw_to_alaw

#: Every byte of mu-law as it comes back from A-law; a second time changes nothing any more.
_THERE_AND_BACK: Final = alaw_to_mulaw(mulaw_to_alaw(bytes(range(256))))
#: So many frames that follow each other are no accident.
_CERTAIN_FRAMES: Final = 3
#: So many frames may be lost in a row.
_LOST_FRAMES: Final = 6
#: An utterance that is not gone on with for so long was broken off.
_BROKEN_OFF_FRAMES: Final = 25
#: A word is known so much before its end.
_EARLY_FRAMES: Final = 2
#: Places where a frame may stand that are followed at once; a long tone has hundreds.
_MAX_CHAINS: Final = 64


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    #: Frames of the recording: the first, and the last.
    first: int
    last: int


class _Recording:
    """A known utterance: where it is sound, and where its words are."""

    def __init__(self, text: str, audio: bytes) -> None:
        frames = [frame.ljust(FRAME_BYTES, MULAW_8K.silent_sample) for frame in _cut(_comparable(audio))]
        self.sound = {n: frame for n, frame in enumerate(frames) if is_sound(frame)}
        if not self.sound:
            raise ValueError(f"nothing is to be heard in the recording of {text!r}")
        self.last = max(self.sound)
        self.words = tuple(_spread(text.split(), min(self.sound), self.last))

    def pause_after(self, place: int) -> int:
        """Frames of silence that the recording itself has after `place`."""
        return next((n for n in range(place + 1, self.last + 1) if n in self.sound), place + 1) - place - 1


class KnownVoices:
    """Recognises the very recordings it was given, as texts with their audio: 8 kHz mu-law.

    Raises:
        ValueError: nothing is to be heard in one of them.
    """

    name = "known voices"
    blocks = False

    def __init__(self, voices: Mapping[str, bytes]) -> None:
        self._places: dict[bytes, list[tuple[_Recording, int]]] = {}
        for text, audio in voices.items():
            recording = _Recording(text, audio)
            for place, frame in recording.sound.items():
                self._places.setdefault(frame, []).append((recording, place))
        for places in self._places.values():
            places.sort(key=lambda found: found[1])  # what begins is likelier than what goes on

    def open(self) -> KnownVoicesRecognition:
        """See `Recogniser.open`."""
        return KnownVoicesRecognition(self._places)


@dataclass(slots=True, eq=False)
class _Chain:
    """Frames that may be `recording`, from `first` to `place` of it."""

    recording: _Recording
    first: int
    place: int
    #: Where the recording would begin in what is heard, in milliseconds.
    start_ms: float
    #: Count of the frame heard when `first` was, and when `place` was.
    began: int
    latest: int
    matched: int = 1
    #: How many of the recording's words were said for good.
    told: int = 0

    def follow(self, places: Sequence[tuple[_Recording, int]], now: int) -> bool:
        """Go on to the next of `places` that is near enough."""
        furthest = self.place + (now - self.latest) + _LOST_FRAMES
        for recording, place in places:
            if recording is self.recording and self.place < place <= furthest:
                self.place, self.latest = place, now
                self.matched += 1
                return True
        return False

    @property
    def rank(self) -> tuple[int, bool, int]:
        """What is greater is more likely what is said: the longer, the complete, the one from its beginning."""
        return self.matched, self.place == self.recording.last, -self.first

    def is_broken_off(self, now: int) -> bool:
        """Whether it ought to have gone on by `now`."""
        return now - self.latest > self.recording.pause_after(self.place) + _BROKEN_OFF_FRAMES

    @property
    def is_certain(self) -> bool:
        """Whether it is no accident."""
        return self.matched >= min(_CERTAIN_FRAMES, len(self.recording.sound))

    def known(self) -> int:
        """How many of the recording's words were heard to their end."""
        return sum(word.last <= self.place + _EARLY_FRAMES for word in self.recording.words)

    def words(self) -> Iterator[RecognisedWord]:
        """Those that were heard, and not said for good yet."""
        for word in self.recording.words[self.told : self.known()]:
            if self.first <= (word.first + word.last) / 2:  # less of it is a word that nobody could make out
                start_ms = self.start_ms + word.first * FRAME_MS
                yield RecognisedWord(word.text, start_ms, start_ms + (word.last + 1 - word.first) * FRAME_MS)


class KnownVoicesRecognition:
    """What is recognised on one socket."""

    def __init__(self, places: Mapping[bytes, Sequence[tuple[_Recording, int]]]) -> None:
        self._places = places
        self._pending = b""
        #: The last frame, if it was sound and matched nothing.
        self._stray = b""
        self._heard_bytes = 0
        self._now = 0
        self._chains: list[_Chain] = []
        self._done: list[RecognisedWord] = []

    def feed(self, mulaw: bytes) -> None:
        """See `Recognition.feed`."""
        self._pending += _comparable(mulaw)
        while len(self._pending) >= FRAME_BYTES:
            frame, self._pending = self._pending[:FRAME_BYTES], self._pending[FRAME_BYTES:]
            self._heard_bytes += FRAME_BYTES
            self._hear(frame)

    def words(self) -> Sequence[RecognisedWord]:
        """See `Recognition.words`."""
        best = self._best()
        return [*self._done, *best.words()] if best else list(self._done)

    def finish(self) -> Sequence[RecognisedWord]:
        """See `Recognition.finish`."""
        words = self.words()
        self._done.clear()
        for chain in self._chains:
            chain.told = max(chain.told, chain.known())
        return words

    def _best(self) -> _Chain | None:
        """What is being said, or was last."""
        certain = [chain for chain in self._chains if chain.is_certain]
        return max(certain, key=lambda chain: chain.rank, default=None)

    def _hear(self, frame: bytes) -> None:
        self._now += 1
        places = self._places.get(frame)
        stray = b""
        if places:
            self._match(places)
        elif is_sound(frame):
            stray = frame
            self._realign(self._stray + frame)
        self._stray = stray
        self._give_up()

    def _match(self, places: Sequence[tuple[_Recording, int]]) -> None:
        followed = [chain for chain in self._chains if chain.follow(places, self._now)]
        if not followed:
            begun = [self._begin(recording, place) for recording, place in places[:_MAX_CHAINS]]
            self._chains = [chain for chain in self._chains if chain.is_certain] + begun
            return
        if certain := [chain for chain in followed if chain.is_certain]:
            said = max(certain, key=lambda chain: chain.rank)
            self._leave_behind([chain for chain in self._chains if chain.latest < said.began])
        self._chains = _apart(self._chains)

    def _begin(self, recording: _Recording, place: int) -> _Chain:
        start_ms = MULAW_8K.ms_in(self._heard_bytes - FRAME_BYTES) - place * FRAME_MS
        return _Chain(recording, place, place, start_ms, began=self._now, latest=self._now)

    def _give_up(self) -> None:
        """Nothing goes on with what was being said: those are its words."""
        broken_off = [chain for chain in self._chains if chain.is_broken_off(self._now)]
        if len(broken_off) < len(self._chains):  # one of the others may still be what is being said
            broken_off = [chain for chain in broken_off if not chain.is_certain]
        self._leave_behind(broken_off)

    def _leave_behind(self, chains: list[_Chain]) -> None:
        certain = [chain for chain in chains if chain.is_certain]
        if certain:
            self._done += max(certain, key=lambda chain: chain.rank).words()
        self._chains = [chain for chain in self._chains if chain not in chains]

    def _realign(self, sound: bytes) -> None:
        """Find where frames begin in `sound` of two frames, which both match nothing."""
        for offset in range(1, len(sound) - FRAME_BYTES):
            window = sound[offset : offset + FRAME_BYTES]
            if window in self._places:
                self._heard_bytes -= len(sound) - offset
                self._pending = sound[offset:] + self._pending
                return


def _apart(chains: Sequence[_Chain]) -> list[_Chain]:
    """Of those that have come to the same place the likeliest, because they will go on alike."""
    at: dict[tuple[int, int], _Chain] = {}
    for chain in chains:
        key = id(chain.recording), chain.place
        if key not in at or chain.rank > at[key].rank:
            at[key] = chain
    return list(at.values())


def _cut(audio: bytes) -> Iterator[bytes]:
    return (audio[at : at + FRAME_BYTES] for at in range(0, len(audio), FRAME_BYTES))


def _comparable(mulaw: bytes) -> bytes:
    return mulaw.translate(_THERE_AND_BACK)


def _spread(texts: Sequence[str], first: int, last: int) -> Iterator[_Word]:
    """`texts` over the frames from `first` to `last`, each as long as its letters."""
    ends = list(accumulate(len(text) + 1 for text in texts))
    frames = last + 1 - first
    begin = first
    for text, end in zip(texts, ends, strict=True):
        after = first + round(frames * end / ends[-1])
        yield _Word(text, begin, max(begin, after - 1))
        begin = after
