"""The wire shapes of Pulse, `/waves/v1/stt/live`. No I/O, no clock.

Strategy:

- What comes in is decoded once, into one tolerant shape, and told apart by `type`. An unknown type is no error, and
  fields that nobody needs are not read.
- What cannot be decoded is a `ProtocolError` and nothing else, whatever the bytes are.
- Callers' words are text from outside: one line, no control characters, no longer than anybody speaks in one breath.
- The address says all that Pulse must know, and holds no secret: the key goes into a header.
- A refusal is of one of four kinds, by its number where it has one, else by its words: the kinds differ in whether it
  helps to ask again, and when.

Facts, from lightning.md 9: the query and its defaults; `from_finalize` and `language` may be missing; one place calls
the words `transcription` and another `transcript`. Vendors of the kind do not promise an answer to every `finalize`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias
from urllib.parse import urlencode

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from bridge.config import PulseConfig
from bridge.errors import ProtocolError
from bridge.plain_text import one_line, short

PATH: Final = "/waves/v1/stt/live"
RATE_HZ: Final = 8000
#: So many undecodable messages in a row are a broken peer.
MAX_MALFORMED: Final = 3
#: Some five minutes of fast speech: one transcript holds no more.
MAX_TEXT_CHARS: Final = 6000

FINALIZE: Final = b'{"type":"finalize"}'
CLOSE_STREAM: Final = b'{"type":"close_stream"}'

_LANGUAGE: Final = re.compile(r"[A-Za-z0-9_-]{1,35}")


def url_of(config: PulseConfig) -> str:
    """Where a call's socket is opened: it says what is sent, and what is wanted of it."""
    query = {
        "model": config.model,
        "language": config.language,
        "encoding": "mulaw",
        "sample_rate": str(RATE_HZ),
        "punctuate": _said(config.punctuate),
        "capitalize": _said(config.capitalize),
        "numerals": _said(config.numerals),
        "itn_normalize": _said(config.itn_normalize),
        "redact_pii": _said(config.redact_pii),
        "redact_pci": _said(config.redact_pci),
        "endpointing": _said(config.endpointing),
        "eou_timeout_ms": str(config.eou_timeout_ms),
        # Finals come where somebody pauses, not in the middle of a sentence.
        "finalize_on_words": _said(False),
    }
    if config.keywords:
        query["keywords"] = ",".join(config.keywords)
    return config.base_url.replace("http", "ws", 1).rstrip("/") + f"{PATH}?{urlencode(query)}"


def _said(flag: bool) -> str:
    return "true" if flag else "false"


# -- what comes in -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Words:
    """What was said since the last final words, or nothing.

    Attributes:
        answers: whether they answer a `finalize`; None when Pulse does not say.
    """

    text: str
    final: bool = False
    answers: bool | None = None
    language: str = ""


@dataclass(frozen=True, slots=True)
class VoiceEvent:
    """Pulse's own detector heard a voice begin or end. We have our own."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Well-formed, but nothing we know. Count it and go on."""

    kind: str


class Kind(StrEnum):
    """What is to be done about a refusal."""

    UNAUTHORIZED = "unauthorized"  #: the key is wrong, or the account may not do this: nothing, by ourselves
    REQUEST = "request"  #: what is asked is wrong, such as the language: nothing, by ourselves
    BUSY = "busy"  #: over the account's concurrency: wait
    UNAVAILABLE = "unavailable"  #: anything else: try again soon


@dataclass(frozen=True, slots=True)
class Refusal:
    """Pulse said no, in its own words."""

    kind: Kind
    message: str


Message: TypeAlias = Words | VoiceEvent | Refusal | Unknown


class _Envelope(Struct):
    type: str | None = None
    transcript: str | None | UnsetType = UNSET
    transcription: str | None | UnsetType = UNSET
    is_final: bool | None = None
    is_last: bool | None = None
    from_finalize: bool | None = None
    # Read only when they are needed, and then in any shape.
    language: Raw = Raw()
    message: Raw = Raw()
    error: Raw = Raw()


class _Typed(Struct):
    type: str | None = None


_KNOWN: Final = frozenset({"transcription", "speech_started", "speech_ended", "error"})
_decoder: Final = msgspec.json.Decoder(_Envelope)
_type_decoder: Final = msgspec.json.Decoder(_Typed)


def decode(message: bytes | str) -> Message:
    """What `message` (one WebSocket message) means.

    Raises:
        ProtocolError: it is not what Pulse may send. Skip and count it; a row of them is a broken peer.
    """
    try:
        envelope = _decoder.decode(message)
    except msgspec.ValidationError as error:
        if stranger := _unknown(message):
            return stranger
        raise _broken(str(error), "bad_message") from None
    except (msgspec.DecodeError, UnicodeError):
        raise _broken("not JSON", "bad_json") from None
    except RecursionError:
        raise _broken("nested too deep", "bad_json") from None
    return _meaning(envelope)


def _unknown(message: bytes | str) -> Unknown | None:
    """A message of a type that nobody knows, whose other fields may be anything."""
    try:
        kind = _type_decoder.decode(message).type
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return Unknown(short(kind)) if kind and kind not in _KNOWN else None


def _meaning(envelope: _Envelope) -> Message:
    kind = envelope.type
    if kind in ("speech_started", "speech_ended"):
        return VoiceEvent()
    if kind == "error" or (kind is None and envelope.error):
        return refusal_of_message(_text(envelope.message) or _text(envelope.error))
    if kind == "transcription" or (kind is None and envelope.transcript is not UNSET):
        return _words(envelope)
    return Unknown(short(kind or ""))


def _words(envelope: _Envelope) -> Words:
    text = envelope.transcript if envelope.transcript is not UNSET else envelope.transcription
    if text is UNSET:
        raise _broken("a transcription without a transcript", "bad_message")
    text = one_line(text or "")
    if len(text) > MAX_TEXT_CHARS:
        raise _broken(f"a transcript of {len(text)} characters", "bad_message")
    language = _text(envelope.language)
    return Words(
        text,
        final=bool(envelope.is_final or envelope.is_last),
        answers=envelope.from_finalize,
        language=language if _LANGUAGE.fullmatch(language) else "",
    )


def _broken(reason: str, kind: str) -> ProtocolError:
    return ProtocolError(reason, peer="pulse", kind=kind)


# -- refusals ----------------------------------------------------------------------------------------------------------

_UNAUTHORIZED: Final = frozenset({401, 402, 403})
_REQUEST: Final = frozenset({400, 404, 405, 409, 410, 413, 414, 422})
#: Searched in the message. The order matters: a usage limit is not one that waiting mends.
_BY_WORDS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), kind)
    for pattern, kind in (
        (
            r"unauthori[sz]ed|forbidden|api.?key|access.?denied|credit|usage.?limit|trial|quota",
            Kind.UNAUTHORIZED,
        ),
        (r"concurren|rate.?limit|too.?many|limit.?(reached|exceeded)|busy", Kind.BUSY),
        (r"language.?not.?enabled|invalid|validation|unsupported|not.?supported|required", Kind.REQUEST),
    )
)
#: Over the account's sockets, and a server that is full.
BUSY_CLOSES: Final = frozenset({1008, 1013})


def refusal_of_http(status: int, body: bytes) -> Refusal:
    """What an HTTP answer to the handshake means."""
    message = _told_by(body) or f"HTTP {status}"
    if status in _UNAUTHORIZED:
        return Refusal(Kind.UNAUTHORIZED, message)
    if status == 429:
        return Refusal(Kind.BUSY, message)
    return Refusal(Kind.REQUEST if status in _REQUEST else Kind.UNAVAILABLE, message)


def refusal_of_close(code: int, reason: str) -> Refusal:
    """What a socket that was closed with `code` and `reason` means."""
    refusal = refusal_of_message(reason or f"closed with {code}")
    if code in BUSY_CLOSES and refusal.kind is Kind.UNAVAILABLE:
        return Refusal(Kind.BUSY, refusal.message)
    return refusal


def refusal_of_message(text: str) -> Refusal:
    """What the words `text` mean."""
    message = short(text) or "an error without a message"
    return Refusal(_kind_by_words(message), message)


def _kind_by_words(message: str) -> Kind:
    return next((kind for pattern, kind in _BY_WORDS if pattern.search(message)), Kind.UNAVAILABLE)


def _told_by(body: bytes) -> str:
    """What the JSON of an error says, in any of its shapes."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return ""
    if not isinstance(answer, dict):
        return ""
    error = answer.get("error")
    if isinstance(error, list):
        error = error[0] if error else None
    if isinstance(error, dict):
        error = error.get("message")
    return next(
        (short(told) for told in (answer.get("message"), error) if isinstance(told, str) and told), ""
    )


def _text(raw: Raw) -> str:
    """The JSON string in `raw`; for an object its `message`; empty for anything else."""
    try:
        value = msgspec.json.decode(raw) if bytes(raw) else ""
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return ""
    if isinstance(value, dict):
        value = value.get("message")
    return value if isinstance(value, str) else ""
