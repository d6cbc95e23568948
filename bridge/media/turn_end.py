"""When the caller is done: from the detector's windows, the transcriber's words, and how both sound. Pure.

Strategy:

- Time is the audio's own, as the detector's windows tell it. Nothing here reads a clock.
- A pause asks for the words so far. With all of them told, patience decides; it is longer where what was said does
  not sound complete, to the ear (a model's verdict) or to the eye (a comma at the end).
- All that is said between two turns is one turn, however many stretches and transcripts it came in. No word of it is
  in two turns: what comes late of words that were taken as a guess is dropped.
- Words that are not there in time are not waited for; the guess at them is taken. A transcriber that is not able, or
  tells nothing, costs the words and never the turn.
- A voice without words is no turn where words can be expected. Words without a voice are one, of a quiet caller; but
  not while the bridge speaks, nor right after: those are its own, come back.
- The state machine is the table below; the class only looks up what the sound and the words amount to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from bridge.transcribers.transcriber import Transcript

#: What a text ends with that goes on.
GOING_ON: Final = (",", ";", ":", "-", "\N{EN DASH}", "\N{EM DASH}", "\N{HORIZONTAL ELLIPSIS}", "...",
                   "\N{ARABIC COMMA}", "\N{IDEOGRAPHIC COMMA}", "\N{FULLWIDTH COMMA}")  # fmt: skip
#: Words without a voice are taken for the bridge's own for so long after it has spoken.
ECHO_MS: Final = 1000.0
#: No caller says so much in one go; a transcriber gone mad may.
MAX_CHARACTERS: Final = 8000


class Phase(Enum):
    """States of `TurnEnd`."""

    IDLE = "idle"  #: between two turns
    SPEAKING = "speaking"
    PAUSED = "paused"  #: silent, and the words were asked for
    TOLD = "told"  #: silent, and all words are there


class Sign(Enum):
    """What a window or a transcript amounts to."""

    VOICE = "voice"  #: speech has lasted for `onset_ms`
    WORDS = "words"  #: there are new ones
    TOLD = "told"  #: the transcriber has told all that it was asked for
    PAUSE = "pause"  #: silence for `finalize_after_ms`
    PATIENCE = "patience"  #: all words are there, and it has been silent for as long as patience lasts
    LIMIT = "limit"  #: the same without all words, and no more waiting for them


class Move(Enum):
    """What is to be done about it."""

    NONE = "none"
    ASK = "ask"  #: the transcriber for the words so far
    CLOSE = "close"  #: the turn


TURN_END_TABLE: Final[dict[tuple[Phase, Sign], tuple[Phase, Move]]] = {
    (Phase.IDLE, Sign.VOICE): (Phase.SPEAKING, Move.NONE),
    (Phase.IDLE, Sign.WORDS): (Phase.SPEAKING, Move.NONE),
    (Phase.IDLE, Sign.TOLD): (Phase.IDLE, Move.NONE),
    (Phase.SPEAKING, Sign.VOICE): (Phase.SPEAKING, Move.NONE),
    (Phase.SPEAKING, Sign.WORDS): (Phase.SPEAKING, Move.NONE),
    (Phase.SPEAKING, Sign.TOLD): (Phase.SPEAKING, Move.NONE),
    (Phase.SPEAKING, Sign.PAUSE): (Phase.PAUSED, Move.ASK),
    (Phase.PAUSED, Sign.VOICE): (Phase.SPEAKING, Move.NONE),
    (Phase.PAUSED, Sign.WORDS): (Phase.PAUSED, Move.NONE),
    (Phase.PAUSED, Sign.TOLD): (Phase.TOLD, Move.NONE),
    (Phase.PAUSED, Sign.PAUSE): (Phase.PAUSED, Move.ASK),
    (Phase.PAUSED, Sign.LIMIT): (Phase.IDLE, Move.CLOSE),
    (Phase.TOLD, Sign.VOICE): (Phase.SPEAKING, Move.NONE),
    (Phase.TOLD, Sign.WORDS): (Phase.SPEAKING, Move.NONE),
    (Phase.TOLD, Sign.TOLD): (Phase.TOLD, Move.NONE),
    (Phase.TOLD, Sign.PAUSE): (Phase.PAUSED, Move.ASK),
    (Phase.TOLD, Sign.PATIENCE): (Phase.IDLE, Move.CLOSE),
}


@dataclass(frozen=True, slots=True)
class TurnEndPolicy:
    """How patient the bridge is. See ``[turns]`` and ``[barge_in]``, whose defaults these are."""

    patience_ms: float = 600
    unfinished_patience_ms: float = 1400
    finalize_after_ms: float = 200
    words_within_ms: float = 1000
    #: Fewer words than this, while the bridge speaks, are no turn.
    min_words: int = 0


@dataclass(frozen=True, slots=True)
class Finalize:
    """Ask the transcriber for the words so far; `pause` names the pause for a `TurnEnd.judge`."""

    pause: int


@dataclass(frozen=True, slots=True)
class Likely:
    """The caller may be done: all words are there, and patience is not over."""

    start_ms: float
    end_ms: float
    text: str
    language: str


@dataclass(frozen=True, slots=True)
class WentOn:
    """What was likely is not so: the caller goes on."""


@dataclass(frozen=True, slots=True)
class Over:
    """The caller is done."""

    start_ms: float
    end_ms: float
    text: str
    language: str


@dataclass(frozen=True, slots=True)
class Backchannel:
    """The caller said too little to be a turn while the bridge speaks."""

    text: str


@dataclass(frozen=True, slots=True)
class Wordless:
    """It was no word that the caller uttered, if it was the caller."""


Outcome: TypeAlias = Finalize | Likely | WentOn | Over | Backchannel | Wordless


class TurnEnd:
    """Decides when the caller is done. One for each call; feed it every window and every transcript."""

    def __init__(self, policy: TurnEndPolicy | None = None) -> None:
        self.policy = policy or TurnEndPolicy()
        self._phase = Phase.IDLE
        self._now_ms = 0.0
        self._able = self._talking = False
        self._talked_ms = -ECHO_MS
        #: Since the last turn: whether a voice was heard, from when to when.
        self._voiced = False
        self._start_ms = self._last_ms = 0.0
        #: What had been heard when the words were asked for, and how often they were.
        self._asked_ms, self._pauses = 0.0, 0
        self._complete: bool | None = None
        self._finals: list[str] = []
        self._partial = self._language = ""
        #: The text that was said to be likely.
        self._likely: str | None = None
        #: Words of a guess that was taken: so many to come are known already, until then.
        self._known, self._known_until_ms = 0, 0.0
        #: Whether the next final one is of words that were not the caller's.
        self._echo = False

    @property
    def idle(self) -> bool:
        """Whether the caller has said nothing since the last turn."""
        return self._phase is Phase.IDLE

    @property
    def going_on(self) -> bool:
        """Whether the caller is saying something that will be a turn, and is not likely to be all of it."""
        if self.idle or self._likely is not None:
            return False
        least = self.policy.min_words if self._talking else 1
        return not self._able or count_words(self.text) >= max(1, least)

    @property
    def voiced(self) -> bool:
        """Whether a voice was heard since the last turn."""
        return not self.idle and self._voiced

    @property
    def now_ms(self) -> float:
        """Where the newest window ended."""
        return self._now_ms

    @property
    def silent_ms(self) -> float:
        """How long nothing has been heard."""
        return self._now_ms - self._last_ms

    @property
    def text(self) -> str:
        """All that was said since the last turn, the guess included."""
        return " ".join((*self._finals, self._partial)).strip()

    @property
    def due_in_ms(self) -> float | None:
        """After how much more silence the turn is over; None while it takes more than silence."""
        told = self._phase is Phase.TOLD or (self._phase is Phase.PAUSED and not self._able)
        if not told or self._last_ms > self._asked_ms:
            return None
        return self._patience_ms - self.silent_ms

    # -- what comes in ---------------------------------------------------------------------------------------

    def window(
        self, end_ms: float, *, voiced_ms: float, last_speech_ms: float, able: bool, talking: bool
    ) -> None:
        """Take the detector's next window, which ends `end_ms` into the call.

        Args:
            voiced_ms: how long speech has lasted without a break up to here; 0 while that may be chance.
            last_speech_ms: where the newest speech ended.
            able: whether words can be expected.
            talking: whether the caller is hearing the bridge.
        """
        self._now_ms, self._able, self._talking = end_ms, able, talking
        if talking:
            self._talked_ms = end_ms
        if voiced_ms:
            self._hear(end_ms - voiced_ms)
        if not self.idle:
            self._last_ms = max(self._last_ms, last_speech_ms)

    def be_silent(self, ms: float) -> None:
        """Nothing has been heard for so long since the newest window, which is not yet the time of another."""
        self._now_ms += ms

    def transcript(self, transcript: Transcript, *, able: bool) -> None:
        """Take words."""
        self._able = able
        news = self._take(transcript)
        if news and (self.idle or not transcript.finalised):
            self._read()
        if transcript.finalised:
            self._known = 0
            self._sign(Sign.TOLD)

    def judge(self, complete: bool, pause: int) -> None:
        """Take the verdict whether what was said before `pause` sounds complete. One that is late counts nothing."""
        if self._phase in (Phase.PAUSED, Phase.TOLD) and pause == self._pauses:
            self._complete = complete

    def decide(self, *, talking: bool) -> list[Outcome]:
        """What follows from all that has come in, in order. Ask after each of it.

        Args:
            talking: whether the caller is hearing the bridge now.
        """
        self._talking = talking
        return [] if self.idle else list(self._outcomes())

    # -- sound and words -------------------------------------------------------------------------------------

    def _hear(self, start_ms: float) -> None:
        if self.idle:
            self._open(start_ms)
        self._voiced, self._echo = True, False
        self._last_ms = self._now_ms
        self._sign(Sign.VOICE)

    def _read(self) -> None:
        if self.idle:
            self._open(self._now_ms)
        if not self._voiced or self._phase is Phase.TOLD:
            self._last_ms = self._now_ms  # nobody else knows when it was said
        self._sign(Sign.WORDS)

    def _open(self, start_ms: float) -> None:
        self._start_ms, self._last_ms, self._voiced = start_ms, self._now_ms, False

    def _take(self, transcript: Transcript) -> bool:
        """Take the words of `transcript`. Returns whether there are new ones."""
        text = self._new_of(" ".join(transcript.text.split()), final=transcript.final)
        if self._is_echo(text, final=transcript.final):
            return False
        if self.idle and not has_words(text):
            text = ""  # punctuation that follows nothing
        before = self.text
        if not transcript.final:
            self._partial = text[:MAX_CHARACTERS]
        else:
            self._partial = ""
            if text := text[: max(0, MAX_CHARACTERS - len(self.text))]:
                self._finals.append(text)
        if text:
            self._language = transcript.language or self._language
        return self.text != before and has_words(text)

    def _new_of(self, text: str, *, final: bool) -> str:
        """`text` without the words that were taken as a guess."""
        if not self._known or self._now_ms > self._known_until_ms:
            return text
        words = text.split()
        new = " ".join(words[self._known :])
        if final:
            self._known = max(0, self._known - len(words))
        return new

    def _is_echo(self, text: str, *, final: bool) -> bool:
        """Whether these are the bridge's own words. What was taken for that as a guess is so when it is final."""
        heard = self.idle and (self._talking or self._now_ms - self._talked_ms < ECHO_MS)
        echo = has_words(text) and (self._echo or heard)
        self._echo = echo and not final
        return echo

    # -- what it amounts to ----------------------------------------------------------------------------------

    def _outcomes(self) -> Iterator[Outcome]:
        """All that follows by now, in order."""
        while (sign := self._due()) is not None:
            move = self._sign(sign)
            if move is Move.CLOSE:
                yield from self._close(told=sign is Sign.PATIENCE)
            elif move is Move.ASK:
                self._pauses, self._asked_ms, self._complete = self._pauses + 1, self._last_ms, None
                yield Finalize(self._pauses)
        if self._likely is not None and (self._phase is Phase.SPEAKING or self.text != self._likely):
            self._likely = None
            yield WentOn()
        if self._phase is Phase.TOLD and self._likely is None and self._seems_over:
            self._likely = self.text
            yield Likely(self._start_ms, self._last_ms, self.text, self._language)

    def _sign(self, sign: Sign) -> Move:
        self._phase, move = TURN_END_TABLE[self._phase, sign]
        return move

    def _due(self) -> Sign | None:
        """What silence amounts to by now."""
        policy, silent_ms = self.policy, self.silent_ms
        if self.idle:
            return None
        new = self._phase is Phase.SPEAKING or self._last_ms > self._asked_ms
        patience_ms = self._patience_ms
        if new and silent_ms >= min(policy.finalize_after_ms, patience_ms):
            return Sign.PAUSE
        if new or silent_ms < patience_ms:
            return None
        if self._phase is Phase.TOLD:
            return Sign.PATIENCE
        waited = not self._able or silent_ms >= patience_ms + policy.words_within_ms
        return Sign.LIMIT if waited else None

    @property
    def _patience_ms(self) -> float:
        return self.policy.unfinished_patience_ms if self._unfinished else self.policy.patience_ms

    @property
    def _unfinished(self) -> bool:
        """Whether what was said does not sound complete."""
        if self._complete is not None:
            return not self._complete
        return self.text.endswith(GOING_ON) and has_words(self.text)

    @property
    def _seems_over(self) -> bool:
        """Whether what was said sounds complete. While the bridge speaks it may be too little to count, and waits."""
        return has_words(self.text) and not self._unfinished and not self._talking

    def _close(self, *, told: bool) -> Iterator[Outcome]:
        text = self.text
        if self._likely not in (None, text):
            self._likely = None
            yield WentOn()
        yield self._verdict(text, told=told)
        if self._partial:
            self._known = len(self._partial.split())
            self._known_until_ms = self._now_ms + self.policy.words_within_ms
        self._finals.clear()
        self._partial, self._language, self._likely = "", "", None
        self._voiced, self._complete = False, None

    def _verdict(self, text: str, *, told: bool) -> Outcome:
        words = count_words(text)
        if self._able and not words and (told or self._talking):
            return Wordless()
        if self._able and self._talking and words < self.policy.min_words and self._likely is None:
            return Backchannel(text)
        return Over(self._start_ms, self._last_ms, text if words else "", self._language)


def has_words(text: str) -> bool:
    """Whether there is more to `text` than punctuation."""
    return any(map(str.isalnum, text))


def count_words(text: str) -> int:
    """How many words `text` has. Where words are not written apart, what stands between two spaces is one."""
    return sum(map(has_words, text.split()))
