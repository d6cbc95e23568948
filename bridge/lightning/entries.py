"""The voices that are configured, in order: each a door, what to ask it for, and how it has fared.

Strategy:

- An entry is all that there is to know about one way to speak: where, in whose voice, whether it works at the
  moment, and what it taught us (its pace, and the format it answers in).
- Doors of one account share its units of concurrency; all of them share the process's counters.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final, TypedDict

from bridge.config import LightningConfig, Secret
from bridge.errors import CLOSED, InvalidRequest, LightningError, TimedOut, Unauthorized, Unavailable
from bridge.lightning.breaker import Breaker
from bridge.lightning.doors import open_door, wanted_format
from bridge.lightning.end_of_text import MS_PER_CHAR
from bridge.lightning.limits import Units
from bridge.lightning.messages import ENCODINGS, WORD_TIMED_LANGUAGES, WORD_TIMED_VOICES, SynthesisRequest
from bridge.lightning.speech import Synthesizer
from bridge.lightning.stats import LightningStats
from telephony_codecs.formats import AudioFormat

#: Codes of refusals that every request would meet: the route or the model is gone.
_GONE: Final = frozenset({"404", "410", "MODEL_DEPRECATED"})
_OUTPUT_NAMES: Final = {encoding: name for name, encoding in ENCODINGS.items()}


class VoiceOptions(TypedDict, total=False):
    """What a single utterance may have otherwise than the configuration says."""

    voice_id: str
    model: str
    language: str
    speed: float
    word_timestamps: bool
    pronunciation_dicts: list[str]


class Pace:
    """How long a character takes, by voice and language, at speed 1."""

    def __init__(self) -> None:
        self._ms_per_char: dict[tuple[str, str], float] = {}

    def ms_per_char(self, request: SynthesisRequest) -> float:
        """Milliseconds that a character of `request` takes."""
        return self._ms_per_char.get((request.voice_id, request.language), MS_PER_CHAR) / request.speed

    def learn(self, request: SynthesisRequest, spoken_ms: float, text: str) -> None:
        """`text`, all that `request` came to ask for, was spoken whole in `spoken_ms`."""
        if len(text) < 20:
            return  # the silence around a short text says more than its characters
        now = spoken_ms / len(text) * request.speed
        before = self._ms_per_char.get((request.voice_id, request.language), now)
        self._ms_per_char[request.voice_id, request.language] = 0.7 * before + 0.3 * now


@dataclass(eq=False)
class Entry:
    """One way to speak."""

    #: Unique and short, for metrics: its place and its door.
    name: str
    config: LightningConfig
    door: Synthesizer
    breaker: Breaker
    units: Units | None = None
    #: What it answered last when it was asked for `ulaw`.
    answer_format: AudioFormat | None = None

    def __post_init__(self) -> None:
        self.pace = Pace()
        self.asked = wanted_format(self.config)

    def __str__(self) -> str:
        config = self.config
        return f"{self.name} ({config.voice_id}, {config.model}, {config.base_url})"

    def request(self, text: str, options: VoiceOptions) -> SynthesisRequest:
        """What to ask for `text`."""
        config = self.config
        voice_id = options.get("voice_id", config.voice_id)
        language = options.get("language", config.language)
        timed = voice_id in WORD_TIMED_VOICES and language in WORD_TIMED_LANGUAGES
        return SynthesisRequest(
            text=text,
            voice_id=voice_id,
            model=options.get("model", config.model),
            language=language,
            speed=options.get("speed", config.speed),
            word_timestamps=options.get("word_timestamps", timed),
            pronunciation_dicts=options.get("pronunciation_dicts", []),
            sample_rate=self.asked.rate_hz,
            output_format=_OUTPUT_NAMES[self.asked.encoding],
            request_id=uuid.uuid4().hex,
        )

    def stands_in_for(self, other: Entry) -> bool:
        """Whether it speaks with the same voice of the same model, only elsewhere."""
        ours, theirs = self.config, other.config
        return (ours.voice_id, ours.model) == (theirs.voice_id, theirs.model)

    def failed(self, error: LightningError, now_s: float) -> bool:
        """Note a failure. Returns whether the entry is left alone from now on."""
        gone = isinstance(error, InvalidRequest) and error.code in _GONE
        if not (gone or isinstance(error, Unauthorized | Unavailable | TimedOut)):
            return False  # busy, or asked for something wrong: no fault of its own
        if error.code == CLOSED:
            return False
        return self.breaker.failed(now_s, for_good=gone or isinstance(error, Unauthorized))


def open_entries(config: LightningConfig, stats: LightningStats) -> list[Entry]:
    """The entries of `config`, with their doors, which are not started yet."""
    accounts: dict[Secret | int, Units] = {}
    entries = []
    for number, each in enumerate(config.entries, 1):
        account = number if each.account is None else each.account  # what a program may run is its own
        units = accounts.setdefault(account, Units(each.concurrency, stats))
        door = open_door(each, stats, units)
        entries.append(Entry(f"{number}-{each.door}", each, door, Breaker(each.breaker_failures), units))
    return entries
