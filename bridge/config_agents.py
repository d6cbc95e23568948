"""The sections of what listens and thinks: transcription, turns, and what a call may cost."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from bridge.config_tree import Section
from bridge.secret import Secret

Milliseconds = Annotated[int, Meta(ge=0, le=60_000)]
Ceiling = Annotated[int, Meta(ge=0)]
#: They go into a URL.
MOST_KEYWORDS: Final = 100


#: Pulse separates keywords by commas, and a word from its boost by a colon.
Keyword = Annotated[
    str,
    Meta(
        pattern=r"^[^\x00-\x1f\x7f,:]{1,100}(:(10|[1-9])(\.\d)?)?$",
        description='a word or phrase without commas, and perhaps its boost from 1 to 10, such as "Smallest:4"',
    ),
]


class PulseConfig(Section, frozen=True):
    """``[pulse]``: Smallest AI's speech-to-text. With this section, or a key for it, callers' words are known."""

    base_url: str = "https://api.smallest.ai"
    #: Empty: that of ``[lightning]``.
    api_key: Secret = msgspec.field(default_factory=Secret)
    model: Annotated[str, Meta(min_length=1)] = "pulse"
    language: Annotated[str, Meta(min_length=1)] = "en"
    #: Words to expect: "Smallest", or with a boost "Smallest:4".
    keywords: list[Keyword] = []
    #: Names, addresses and the like come as placeholders, such as [PHONENUMBER_1]; cards and accounts likewise.
    redact_pii: bool = False
    redact_pci: bool = False
    #: Full stops, capitals; numbers as digits; dates, amounts and the like as they are written.
    punctuate: bool = True
    capitalize: bool = True
    numerals: bool = False
    itn_normalize: bool = False
    #: Pulse's own end of turn as well as ours; and after how much silence it is.
    endpointing: bool = True
    eou_timeout_ms: Annotated[int, Meta(ge=100, le=10_000)] = 800
    connect_timeout_s: Annotated[float, Meta(gt=0, le=60)] = 3.0
    #: Silence is sent when nothing else was for so long, so that the socket stays open.
    keepalive_s: Annotated[float, Meta(gt=0, le=60)] = 5.0
    #: What was said and is not confirmed yet is sent once more when the socket broke: so much of it at most.
    replay_ms: Annotated[int, Meta(ge=0, le=60_000)] = 15_000
    #: URL of an HTTP proxy, secret because it may hold a password. Empty: none, whatever the environment says.
    proxy: Secret = msgspec.field(default_factory=Secret)


class TranscriberConfig(Section, frozen=True):
    """``[transcriber]``: another one than Pulse."""

    #: Makes it: "module:function". Empty: Pulse, where there is ``[pulse]``.
    entrypoint: Annotated[str, Meta(pattern=r"^([\w.]+:\w+)?$", description='"module:function"')] = ""
    options: dict[str, Any] = msgspec.field(default_factory=dict)


class TurnsConfig(Section, frozen=True):
    """``[turns]``: when the caller is done, and when an interruption was none."""

    #: Silence after which the caller is taken to be done.
    patience_ms: Annotated[int, Meta(ge=100, le=10_000)] = 600
    #: The same where what was said does not sound complete.
    unfinished_patience_ms: Annotated[int, Meta(ge=100, le=20_000)] = 1400
    #: Silence after which the transcriber is asked for the words so far.
    finalize_after_ms: Annotated[int, Meta(ge=64, le=10_000)] = 200
    #: How long after patience is over the words are still waited for.
    words_within_ms: Milliseconds = 1000
    #: An agent may think about the answer while the turn is not certain to be over.
    eager: bool = True
    #: A smart-turn model (ONNX) that judges by the sound whether the caller is done. Empty: none.
    smart_turn: str = ""
    smart_turn_threshold: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    #: When the caller interrupted, and has said no word for so long, the rest of the utterance is said. 0: never.
    resume_after_ms: Milliseconds = 1000


class BudgetConfig(Section, frozen=True):
    """``[budget]``: what calls may cost; 0 is no limit. A day is one of UTC, as this process counts it."""

    #: Sent to Lightning.
    characters_per_call: Ceiling = 0
    characters_per_day: Ceiling = 0
    #: Of language models, in and out.
    tokens_per_call: Ceiling = 0
    tokens_per_day: Ceiling = 0
    #: Of calls.
    seconds_per_call: Ceiling = 0
    seconds_per_day: Ceiling = 0
