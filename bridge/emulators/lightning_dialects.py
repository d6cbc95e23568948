"""The sockets that the emulated Lightning has, and what each of them takes and implies. Data; no I/O.

Strategy:

- A `Dialect` is data beside the session that all sockets share: a path, a table of fields, what is required,
  what the defaults are and what the path implies whatever a message says.
- Only `/tts/live` is the service of today. The per-model sockets are kept as they were last documented
  (lightning.md 1 and 2); `streaming-tts` is described by nothing but the vendor's own SDK, which still has a
  client for it.
- What a table does not name is ignored, as everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from bridge.emulators.lightning_requests import (
    FIELDS,
    MAX_TEXT_CHARS,
    MODELS,
    Check,
    Fields,
    Issue,
    SpeechRequest,
    boolean,
    external_ids,
    issues_in,
    number,
    one_of,
    request_from,
    sample_rate,
    string,
)

V2_MODEL: Final = "lightning_v2"
V2_LANGUAGES: Final = (
    "en", "hi", "mr", "kn", "ta", "bn", "gu", "de", "fr", "es", "it", "pl", "nl", "ru", "ar", "he",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one path takes, and what its messages look like."""

    path: str
    fields: Mapping[str, Check] = field(default_factory=lambda: FIELDS)
    required: tuple[str, ...] = ()
    #: Where they differ from those of `SpeechRequest`.
    defaults: Fields = field(default_factory=dict)
    #: What holds whatever a message says.
    implied: Fields = field(default_factory=dict)
    #: Whether ``{"type": "ping"}`` is answered, and a lone space taken for one.
    keepalives: bool = True
    #: Whether messages carry a `session_id` and echo the client's ids.
    tells_session: bool = True
    #: Whether there is a list of voices to refuse others by.
    knows_voices: bool = True
    #: Whether it goes when Lightning v2 goes.
    is_v2: bool = False

    def issues(self, message: Fields, *, strict_voices: bool) -> list[Issue]:
        """Everything wrong with `message`, except that blank text is judged by who knows what is buffered."""
        strict = strict_voices and self.knows_voices
        return issues_in(message, strict_voices=strict, table=self.fields, required=self.required)

    def request(self, message: Fields) -> SpeechRequest:
        """The request that a `message` without issues makes."""
        told = {name: value for name, value in message.items() if value is not None and name in self.fields}
        if "is_streaming" in told:  # streaming-tts says in these words that there is more to come
            told["continue"] = bool(told["is_streaming"]) and not told.get("is_final")
        return request_from({**self.defaults, **told, **self.implied})

    def echoed(self, message: Fields) -> dict[str, str]:
        """The client's own ids, as they are echoed."""
        return external_ids(message) if self.tells_session else {}


_V2_FIELDS: Final[Mapping[str, Check]] = {
    "voice_id": string(128),
    "text": string(MAX_TEXT_CHARS),
    "language": one_of(*V2_LANGUAGES),
    "sample_rate": sample_rate,
    "speed": number(0.1, 5),
    "consistency": number(0, 1),
    "similarity": number(0, 1),
    "enhancement": number(0, 2, whole=True),
    "add_wav_header": boolean,
    "continue": boolean,
    "flush": boolean,
    "max_buffer_flush_ms": number(0, 1000),
    "complete_backoff_ms": number(0, 10_000),
}

LIVE: Final = Dialect("/waves/v1/tts/live")
V31: Final = Dialect("/waves/v1/lightning-v3.1/get_speech/stream", implied={"model": MODELS[0]})
V2: Final = Dialect(
    "/waves/v1/lightning-v2/get_speech/stream",
    fields=_V2_FIELDS,
    required=("voice_id", "text"),
    defaults={"language": "en", "sample_rate": 24000},
    implied={"model": V2_MODEL, "output_format": "pcm"},
    keepalives=False,
    tells_session=False,
    knows_voices=False,
    is_v2=True,
)
#: What v2 takes and a little more; but it does not go when v2 goes.
STREAMING_TTS: Final = replace(
    V2,
    path="/waves/v1/streaming-tts/stream",
    fields={**_V2_FIELDS, "is_streaming": boolean, "is_final": boolean},
    is_v2=False,
)
DIALECTS: Final = (LIVE, V31, V2, STREAMING_TTS)
