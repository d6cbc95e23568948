"""What a caller heard of two texts that two voices may speak, for tests that make Lightning fail meanwhile.

Every word of the texts sounds unlike every other in either voice, so nothing but the sound is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from bridge.emulators.call_report import CallReport
from bridge.prompts import apology
from telephony_codecs.formats import MULAW_8K
from tests.support.tone_words import SaidWord, Vocabulary, tones_in

FIRST: Final = "one two three four seven eight"
SECOND: Final = "ten eleven twelve"
#: Both time their words, so that nobody need guess what has been said.
VOICE, OTHER_VOICE = "devansh", "liam"
VOCABULARY: Final = Vocabulary([FIRST, SECOND], [VOICE, OTHER_VOICE])

#: What a caller may wait for without any fault: a handshake, a first byte, the line's own buffer, an agent's turn;
#: and for a machine that does eight things at once. What the simulated line itself came too late is added to it.
ALLOWANCE_MS: Final = 450.0
#: By so much of it the apology is known. An underrun in the rest of it is not what these tests are about.
_KNOWN_BY_MS: Final = 200.0


@dataclass(frozen=True, slots=True)
class Hearing:
    """What was heard, up to the apology if there was one."""

    words: list[SaidWord]
    #: The longest silence before a word or the apology: at the beginning, in the middle, between two utterances.
    silence_ms: float
    apologised: bool
    #: How long a silence may be without any fault.
    allowance_ms: float

    @property
    def text(self) -> str:
        """The words that were heard whole."""
        return " ".join(word.text for word in self.words if word.whole)

    def text_by(self, voice: str) -> str:
        """Those of one voice."""
        return " ".join(word.text for word in self.words if word.whole and word.voice == voice)

    @property
    def repeated(self) -> list[str]:
        """Words of which the caller heard more than one beginning."""
        again = [word.text for word in self.words if word.times > 1]
        return again + [a.text for a, b in pairwise(self.words) if not a.whole and a.text == b.text]

    @property
    def broken_off(self) -> list[str]:
        """Words that were begun, and not said again."""
        following = [*(word.text for word in self.words), ""][1:]
        pairs = zip(self.words, following, strict=False)
        return [word.text for word, after in pairs if not word.whole and word.text != after]


def hearing_of(heard: bytes, *, late_ms: float = 0.0) -> Hearing:
    """What is to be heard in `heard`, mu-law.

    Raises:
        ValueError: there is something else in it than the words and the apology.
    """
    known = apology().audio.lstrip(MULAW_8K.silent_sample)[: MULAW_8K.bytes_in(_KNOWN_BY_MS)]
    before, apologised, _ = heard.partition(known)
    tones = tones_in(before)
    starts_ms = [tone.start_ms for tone in tones] + ([MULAW_8K.ms_in(len(before))] if apologised else [])
    ends_ms = [0.0, *(tone.end_ms for tone in tones)]
    return Hearing(
        VOCABULARY.words(tones),
        max((start - end for start, end in zip(starts_ms, ends_ms, strict=False)), default=0.0),
        bool(apologised),
        ALLOWANCE_MS + late_ms,
    )


def hearing_in(report: CallReport) -> Hearing:
    """What the caller of `report` heard."""
    return hearing_of(report.heard, late_ms=report.late_ms)


def sent_to(report: CallReport) -> bytes:
    """All that the bridge sent to the caller, heard or not."""
    return b"".join(arrival.payload for arrival in report.recording.arrivals)
