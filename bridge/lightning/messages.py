"""The wire shapes of `/waves/v1/tts/live`. No I/O, no clock.

Strategy:

- What comes in is decoded once, into one tolerant shape, and told apart by `status`. Every id is optional,
  unknown fields and statuses are no error, and an error is read in all the shapes that the sources show.
- What cannot be decoded is a `ProtocolError` and nothing else, whatever the bytes are.
- What goes out always names `sample_rate` (the default is 44100), `language` (the default is disputed) and
  `complete_backoff_ms` (the default lets `complete` trail the last audio by 4 s).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec
from msgspec import Raw, Struct

from bridge.errors import ProtocolError, refused_here
from bridge.lightning.faults import Fault, fault_of, plain
from telephony_codecs.formats import Encoding

#: The voices that time their words, and the languages they do it in. Others ignore the wish.
WORD_TIMED_VOICES: Final = frozenset({"meher", "devansh", "kartik", "maithili", "liam", "avery"})
WORD_TIMED_LANGUAGES: Final = frozenset({"en", "hi"})
#: So many undecodable messages in a row, or events, are a broken peer.
MAX_MALFORMED: Final = 3
#: No request of 8000 characters lasts longer.
MAX_WORD_S: Final = 3600.0

#: What the samples are in each of Lightning's raw formats, by its name of them.
ENCODINGS: Final = {"pcm": Encoding.PCM16, "ulaw": Encoding.MULAW, "alaw": Encoding.ALAW}

PING: Final = b'{"type":"ping"}'
_ID: Final = re.compile(r"[a-zA-Z0-9_\-.]{1,128}")


class SynthesisRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked of Lightning. Fields and ranges: its generated AsyncAPI contract."""

    text: str
    voice_id: str
    model: str
    language: str
    sample_rate: int
    output_format: str
    #: Echoed as `external_request_id`: what ties an answer to its request.
    request_id: str
    speed: float = 1.0
    add_wav_header: bool = False
    word_timestamps: bool = False
    pronunciation_dicts: list[str] = msgspec.field(default_factory=list)
    # A factory, because a plain default would be left out of the message.
    complete_backoff_ms: int = msgspec.field(default_factory=int)


class _Cancel(Struct, omit_defaults=True):
    request_id: str
    cancel_request: bool
    context_id: str = ""


_encoder: Final = msgspec.json.Encoder()


def check_id(request_id: str) -> None:
    """Refuse an id that Lightning would.

    Raises:
        InvalidRequest: it is no id.
    """
    if not _ID.fullmatch(request_id):
        problem = "request_id: must be 1 to 128 letters, digits, '_', '-' or '.'"
        raise refused_here(problem, request_id)


def encode(message: object, request_id: str) -> bytes:
    """`message` of the request `request_id` as JSON.

    Raises:
        InvalidRequest: its text cannot be sent.
    """
    try:
        return _encoder.encode(message)
    except UnicodeEncodeError:
        problem = "text: holds half of a surrogate pair, which no JSON can carry"
    raise refused_here(problem, request_id)


def encode_cancel(request_id: str, context_id: str = "") -> bytes:
    """The message that stops a synthesis. Nothing acknowledges it."""
    return _encoder.encode(_Cancel(request_id, True, context_id))


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of audio, in the format that was asked for, or so it should be."""

    audio: bytes
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Word:
    """When a word is spoken, in milliseconds from the start of its request's audio."""

    word: str
    start_ms: float
    end_ms: float
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Complete:
    """All audio of the request has been sent."""

    request_id: str | None


@dataclass(frozen=True, slots=True)
class Failed:
    """The request failed, or, without an id, perhaps the whole session."""

    fault: Fault
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to our keepalive."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Well-formed, but nothing we know. Count it and go on."""

    status: str


#: `request_id` is always our own id, or None where the answer names none.
Message: TypeAlias = Chunk | Word | Complete | Failed | Pong | Unknown


class _Data(Struct):
    audio: bytes | None = None  # msgspec decodes the base64
    word: str | None = None
    start: float | None = None
    end: float | None = None


class _Envelope(Struct):
    status: str | None = None
    type: str | None = None
    external_request_id: str | None = None
    data: _Data | None = None
    # Read only when they are needed, and then in any shape.
    done: Raw = Raw()
    payload: Raw = Raw()
    message: Raw = Raw()
    error: Raw = Raw()
    error_code: Raw = Raw()
    code: Raw = Raw()
    recommended_endpoint: Raw = Raw()


class _Kind(Struct):
    status: str | None = None


_STATUSES: Final = frozenset({"chunk", "complete", "comp", "word_timestamp", "error"})
_decoder: Final = msgspec.json.Decoder(_Envelope)
_kind_decoder: Final = msgspec.json.Decoder(_Kind)


def decode(message: bytes | str) -> Message:
    """What `message` (one WebSocket message) means.

    Raises:
        ProtocolError: it is not what Lightning may send. Skip and count it; a row of them is a broken peer.
    """
    try:
        envelope = _decoder.decode(message)
    except msgspec.ValidationError as error:
        if stranger := _unknown_kind(message):
            return stranger
        raise _broken(str(error), "bad_message") from None
    except (msgspec.DecodeError, UnicodeError):
        raise _broken("not JSON", "bad_json") from None
    except RecursionError:
        raise _broken("nested too deep", "bad_json") from None
    return _meaning(envelope)


def _unknown_kind(message: bytes | str) -> Unknown | None:
    """A message with a status that nobody knows, whose other fields may be anything."""
    try:
        kind = _kind_decoder.decode(message)
    except msgspec.DecodeError:  # broken behind the field that was wrong first
        return None
    return Unknown(kind.status) if kind.status and kind.status not in _STATUSES else None


def _meaning(envelope: _Envelope) -> Message:
    status, request_id = envelope.status, envelope.external_request_id
    if status is None and envelope.type is None:
        envelope = _unwrapped(envelope)
        status, request_id = envelope.status, request_id or envelope.external_request_id
    data = envelope.data
    if status == "chunk":
        if data is None or data.audio is None:
            raise _broken("a chunk without audio", "bad_message")
        return Chunk(data.audio, request_id)
    if status == "complete" or (status == "comp" and plain(envelope.done) is True):
        return Complete(request_id)
    if status == "word_timestamp":
        return _word(data, request_id)
    if status == "error" or envelope.type == "error":
        code = plain(envelope.error_code) or plain(envelope.code)
        instead = plain(envelope.recommended_endpoint)
        fault = fault_of(plain(envelope.message), plain(envelope.error), code, instead=instead)
        return Failed(fault, request_id)
    return Pong() if envelope.type == "pong" else Unknown(status or envelope.type or "")


def _unwrapped(envelope: _Envelope) -> _Envelope:
    """An envelope without a status: older ones keep it in `payload`, and an error may have none at all."""
    if envelope.payload and (inner := _inside(envelope.payload)):
        return msgspec.structs.replace(inner, data=inner.data or envelope.data)
    if plain(envelope.error):
        return msgspec.structs.replace(envelope, status="error")
    return envelope


def _inside(payload: Raw) -> _Envelope | None:
    try:
        return _decoder.decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None


def _word(data: _Data | None, request_id: str | None) -> Word:
    if data is None or data.word is None or data.start is None or data.end is None:
        raise _broken("a word without its times", "bad_message")
    if not 0 <= data.start <= data.end < MAX_WORD_S:
        raise _broken("a word at an impossible time", "bad_message")
    return Word(data.word, data.start * 1000, data.end * 1000, request_id)


def _broken(reason: str, kind: str) -> ProtocolError:
    return ProtocolError(reason, peer="lightning", kind=kind)
