"""What may be asked on `/waves/v1/tts/live`: one table of fields, and the refusals Lightning would write.

Strategy:

- `FIELDS` is the whole schema: a name and a check. What is not in it is ignored, and null is as good as
  absent, because both is what the real schema says.
- A refusal is an `Issue` in the shape that was recorded from the real service (code, path, options, message),
  so that a client's error handling meets here what it will meet there.
- All issues of a message are found, not only the first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import msgspec

from bridge.emulators.lightning_voices import ids_of

MODELS: Final = (
    "lightning_v3.1",
    "lightning_v3.1_pro",
    "lightning_v3.1_pro_07_26",
    "lightning_v3.1_pro_10_26",  # a preview that only one third party mentions
)
LANGUAGES: Final = (
    "auto", "en", "hi", "mr", "kn", "ta", "bn", "gu", "de", "fr", "es", "it", "pl", "nl", "ru", "ar", "he",
    "sv", "ml", "te", "pt", "pa", "or", "el", "fi", "no", "zh", "id", "ja", "ko", "ms", "tr", "vi",
)  # fmt: skip
OUTPUT_FORMATS: Final = ("wav", "ulaw", "alaw", "pcm", "mp3")  # in the order of the recorded refusal
SAMPLE_RATES_HZ: Final = (8000, 16000, 24000, 44100)
MAX_TEXT_CHARS: Final = 8000

#: The voices that the documentation and the public clients name, of about 217.
BASE_VOICES: Final = ids_of("lightning-v3.1")
PRO_VOICES: Final = ids_of("lightning-v3.1-pro")
#: Other voices silently give no word events.
TIMED_VOICES: Final = frozenset({"meher", "devansh", "kartik", "maithili", "liam", "avery"})
TIMED_LANGUAGES: Final = frozenset({"en", "hi", "auto"})

_IDENTIFIER: Final = re.compile(r"[a-zA-Z0-9_\-.]+")
_CLONED_VOICE: Final = re.compile(r"voice_[a-zA-Z0-9_\-]+")

Fields: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing wrong with a request. `detail` holds what its code adds: options, maximum, expected, ..."""

    code: str
    path: str
    message: str
    detail: Mapping[str, object] = field(default_factory=dict)

    def wire(self) -> dict[str, object]:
        """As it stands in the answer."""
        return {
            "code": self.code,
            **self.detail,
            "path": [self.path] if self.path else [],
            "message": self.message,
        }


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """A valid request with its defaults filled in."""

    text: str = ""
    voice_id: str = "magnus"
    model: str = MODELS[0]
    language: str = "auto"
    sample_rate_hz: int = 44100
    speed: float = 1.0
    output_format: str = "pcm"
    add_wav_header: bool = False
    word_timestamps: bool = False
    continues: bool = False
    flush: bool = False
    max_buffer_flush_ms: float = 0
    complete_backoff_ms: float = 4000
    cancel_request: bool = False
    context_id: str = ""
    context_close: bool = False
    max_buffer_delay_ms: float = 3000


Check: TypeAlias = Callable[[str, object], Issue | None]


def one_of(*options: str) -> Check:
    """A string out of `options`."""

    def check(path: str, value: object) -> Issue | None:
        if not isinstance(value, str):
            return _wrong_type(path, "string", value)
        if value in options:
            return None
        listed = " | ".join(f"'{option}'" for option in options)
        message = f"Invalid enum value. Expected {listed}, received '{value}'"
        return Issue("invalid_enum_value", path, message, {"received": value, "options": list(options)})

    return check


def number(low: float, high: float, *, whole: bool = False) -> Check:
    """A number in `low`..`high`."""

    def check(path: str, value: object) -> Issue | None:
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            return _wrong_type(path, "integer" if whole else "number", value)
        if value < low:
            detail = {"minimum": low, "type": "number", "inclusive": True}
            return Issue("too_small", path, f"Number must be greater than or equal to {low:g}", detail)
        if value > high:
            detail = {"maximum": high, "type": "number", "inclusive": True}
            return Issue("too_big", path, f"Number must be less than or equal to {high:g}", detail)
        return None

    return check


def string(max_chars: int, pattern: re.Pattern[str] | None = None) -> Check:
    """A string of at most `max_chars` characters that matches `pattern` whole."""

    def check(path: str, value: object) -> Issue | None:
        if not isinstance(value, str):
            return _wrong_type(path, "string", value)
        if len(value) > max_chars:
            detail = {"maximum": max_chars, "type": "string", "inclusive": True}
            return Issue("too_big", path, f"String must contain at most {max_chars} character(s)", detail)
        if pattern and not pattern.fullmatch(value):
            return Issue("invalid_string", path, "Invalid", {"validation": "regex"})
        return None

    return check


def boolean(path: str, value: object) -> Issue | None:
    """True or false."""
    return None if isinstance(value, bool) else _wrong_type(path, "boolean", value)


def sample_rate(path: str, value: object) -> Issue | None:
    """One of four rates, in hertz."""
    if isinstance(value, bool) or not isinstance(value, int):
        return _wrong_type(path, "number", value)
    if value in SAMPLE_RATES_HZ:
        return None
    return Issue("custom", path, f"sample_rate must be one of {', '.join(map(str, SAMPLE_RATES_HZ))}")


def array(path: str, value: object) -> Issue | None:
    """A list; what is in it is not looked at."""
    return None if isinstance(value, list) else _wrong_type(path, "array", value)


FIELDS: Final[Mapping[str, Check]] = {
    "text": string(MAX_TEXT_CHARS),
    "voice_id": string(128),
    "model": one_of(*MODELS),
    "language": one_of(*LANGUAGES),
    "number_pronunciation_language": string(128),
    "sample_rate": sample_rate,
    "speed": number(0.5, 2),
    "output_format": one_of(*OUTPUT_FORMATS),
    "add_wav_header": boolean,
    "word_timestamps": boolean,
    "pronunciation_dicts": array,
    "math_notation": boolean,
    "enhancement": number(0, 2, whole=True),
    "similarity": number(0, 1),
    "save_history": boolean,
    "request_id": string(128, _IDENTIFIER),
    "session_id": string(128, _IDENTIFIER),
    "continue": boolean,
    "flush": boolean,
    "max_buffer_flush_ms": number(0, 1000),
    "complete_backoff_ms": number(0, 10_000),
    "cancel_request": boolean,
    "context_id": string(128, _IDENTIFIER),
    "context_close": boolean,
    "max_buffer_delay_ms": number(0, 5000),
}


def json_object(raw: str | bytes) -> dict[str, object] | None:
    """The JSON object in `raw`, which may be anything; None when it is none."""
    try:
        fields = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    return fields if isinstance(fields, dict) else None


def issues_in(
    message: Fields,
    *,
    strict_voices: bool = True,
    table: Mapping[str, Check] = FIELDS,
    required: Sequence[str] = (),
) -> list[Issue]:
    """Everything wrong with `message`, except that blank text is judged by who knows what is buffered."""
    present = {name: value for name, value in message.items() if value is not None and name in table}
    found = [check(name, present[name]) for name, check in table.items() if name in present]
    issues = [missing(name) for name in required if name not in present]
    issues += [issue for issue in found if issue]
    return issues or list(_across(present, strict_voices))


def missing(name: str) -> Issue:
    """The refusal of a request without the field `name`."""
    return Issue("invalid_type", name, "Required", {"expected": "string", "received": "undefined"})


def _across(present: Fields, strict_voices: bool) -> Sequence[Issue]:
    """What only shows once every field is well-formed."""
    issues = []
    if strict_voices and "voice_id" in present and not _is_voice(str(present["voice_id"])):
        issues.append(Issue("custom", "voice_id", "Invalid Voice ID"))
    if present.get("output_format") == "mp3":
        issues.append(Issue("custom", "output_format", "mp3 is not available in the emulator"))
    if "context_id" in present and (present.get("flush") or present.get("max_buffer_flush_ms")):
        message = "context_id cannot be combined with flush or max_buffer_flush_ms"
        issues.append(Issue("custom", "context_id", message))
    if present.get("context_close") and "context_id" not in present:
        issues.append(Issue("custom", "context_id", "context_close needs a context_id"))
    return issues


def _is_voice(voice_id: str) -> bool:
    # A voice of the other model's pool is not refused: the real service speaks it, wrongly.
    return voice_id in BASE_VOICES or voice_id in PRO_VOICES or bool(_CLONED_VOICE.fullmatch(voice_id))


def request_from(message: Fields) -> SpeechRequest:
    """The request that a `message` without issues makes."""
    values = {wire: value for wire, value in message.items() if value is not None}
    if str(values.get("model", "")).startswith("lightning_v3.1_pro"):
        values.setdefault("voice_id", PRO_VOICES[0])
    names = {"continue": "continues", "sample_rate": "sample_rate_hz"}
    known = {names.get(wire, wire): value for wire, value in values.items()}
    return SpeechRequest(**{name: known[name] for name in SpeechRequest.__slots__ if name in known})  # type: ignore[arg-type]


def blank_text() -> Issue:
    """The refusal of text with nothing to say in it."""
    return Issue("custom", "text", "Text must not be empty or only whitespace")


def external_ids(message: Fields) -> dict[str, str]:
    """The client's own ids, as they are echoed. Ids that are not well-formed are not."""
    found = {}
    for name in ("session_id", "request_id"):
        value = message.get(name)
        if isinstance(value, str) and FIELDS[name](name, value) is None:
            found[f"external_{name}"] = value
    return found


def _wrong_type(path: str, expected: str, value: object) -> Issue:
    kinds = {bool: "boolean", str: "string", int: "number", float: "number", list: "array", dict: "object"}
    received = kinds.get(type(value), "unknown")
    detail = {"expected": expected, "received": received}
    return Issue("invalid_type", path, f"Expected {expected}, received {received}", detail)
