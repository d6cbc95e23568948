"""What Pulse says and is asked, to the byte."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.config import PulseConfig, Secret
from bridge.errors import ProtocolError
from bridge.transcribers.pulse_messages import (
    MAX_TEXT_CHARS,
    Kind,
    Message,
    Refusal,
    Unknown,
    VoiceEvent,
    Words,
    decode,
    refusal_of_close,
    refusal_of_http,
    refusal_of_message,
    url_of,
)


def test_the_address_says_everything_and_holds_no_secret() -> None:
    config = PulseConfig(base_url="https://api.example.com/", api_key=Secret("sk-hidden"))
    parts = urlsplit(url_of(config))
    assert (parts.scheme, parts.netloc, parts.path) == ("wss", "api.example.com", "/waves/v1/stt/live")
    assert dict(parse_qsl(parts.query)) == {
        "model": "pulse",
        "language": "en",
        "encoding": "mulaw",
        "sample_rate": "8000",
        "punctuate": "true",
        "capitalize": "true",
        "numerals": "false",
        "itn_normalize": "false",
        "redact_pii": "false",
        "redact_pci": "false",
        "endpointing": "true",
        "eou_timeout_ms": "800",
        "finalize_on_words": "false",
    }
    assert "sk-hidden" not in url_of(config)


@pytest.mark.parametrize(
    "config, name, value",
    [
        (PulseConfig(model="pulse-2"), "model", "pulse-2"),
        (PulseConfig(language="multi-south-indic"), "language", "multi-south-indic"),
        (PulseConfig(keywords=["New York:4", "Müller & Söhne"]), "keywords", "New York:4,Müller & Söhne"),
        (PulseConfig(redact_pii=True), "redact_pii", "true"),
        (PulseConfig(redact_pci=True), "redact_pci", "true"),
        (PulseConfig(punctuate=False), "punctuate", "false"),
        (PulseConfig(capitalize=False), "capitalize", "false"),
        (PulseConfig(numerals=True), "numerals", "true"),
        (PulseConfig(itn_normalize=True), "itn_normalize", "true"),
        (PulseConfig(endpointing=False), "endpointing", "false"),
        (PulseConfig(eou_timeout_ms=300), "eou_timeout_ms", "300"),
    ],
)
def test_every_setting_gets_there(config: PulseConfig, name: str, value: str) -> None:
    assert dict(parse_qsl(urlsplit(url_of(config)).query))[name] == value


def test_an_address_without_tls_stays_without() -> None:
    assert url_of(PulseConfig(base_url="http://127.0.0.1:9003")).startswith("ws://127.0.0.1:9003/waves/")


TRANSCRIPTION = {"type": "transcription", "status": "success", "session_id": "stt_1", "transcript": "one two"}


@pytest.mark.parametrize(
    "message, meaning",
    [
        (TRANSCRIPTION, Words("one two")),
        ({**TRANSCRIPTION, "is_final": False, "is_last": False}, Words("one two")),
        ({**TRANSCRIPTION, "is_final": True}, Words("one two", final=True)),
        ({**TRANSCRIPTION, "is_last": True}, Words("one two", final=True)),
        (
            {**TRANSCRIPTION, "is_final": True, "from_finalize": True, "language": "en"},
            Words("one two", final=True, answers=True, language="en"),
        ),
        (
            {**TRANSCRIPTION, "is_final": True, "from_finalize": False},
            Words("one two", final=True, answers=False),
        ),
        ({"type": "transcription", "transcription": "one"}, Words("one")),
        ({"transcript": "one", "is_final": True}, Words("one", final=True)),
        ({**TRANSCRIPTION, "transcript": None}, Words("")),
        ({**TRANSCRIPTION, "language": None, "languages": 3, "words": "x"}, Words("one two")),
        ({**TRANSCRIPTION, "language": ["en"]}, Words("one two")),
        ({**TRANSCRIPTION, "language": "en\nINFO paid"}, Words("one two")),
        (
            {**TRANSCRIPTION, "transcript": "  one\r\n\x1b[2Jtwo \u202ethree\x00 "},
            Words("one [2Jtwo three"),
        ),
        ({**TRANSCRIPTION, "transcript": "नमस्ते 👍🏽"}, Words("नमस्ते 👍🏽")),
        ({"type": "speech_started", "timestamp": 1.5}, VoiceEvent()),
        ({"type": "speech_ended"}, VoiceEvent()),
        ({"type": "error", "message": "Bad\n audio"}, Refusal(Kind.UNAVAILABLE, "Bad audio")),
        ({"type": "error", "error": {"message": "Bad"}}, Refusal(Kind.UNAVAILABLE, "Bad")),
        ({"error": "Bad audio"}, Refusal(Kind.UNAVAILABLE, "Bad audio")),
        ({"type": "error"}, Refusal(Kind.UNAVAILABLE, "an error without a message")),
        ({"type": "error", "message": 3}, Refusal(Kind.UNAVAILABLE, "an error without a message")),
        ({"type": "pong"}, Unknown("pong")),
        ({"type": "weather", "transcript": 3, "is_final": "perhaps"}, Unknown("weather")),
        ({}, Unknown("")),
    ],
)
def test_what_a_message_means(message: dict[str, object], meaning: Message) -> None:
    assert decode(json.dumps(message)) == meaning
    assert decode(json.dumps(message, ensure_ascii=False).encode()) == meaning


@pytest.mark.parametrize(
    "message, kind",
    [
        (b"", "bad_json"),
        (b"\xff\xfe", "bad_json"),
        (b'{"type":"transcription","transcript":"hel', "bad_json"),
        (b'{"type":"transcription","transcript":"\\ud800"}', "bad_json"),
        (b'{"x":' + b"[" * 100_000, "bad_json"),
        (b"[]", "bad_message"),
        (b"17", "bad_message"),
        (b'{"type":"transcription"}', "bad_message"),
        (b'{"type":"transcription","transcript":17}', "bad_message"),
        (b'{"type":"transcription","transcript":"x","is_final":"perhaps"}', "bad_message"),
        (json.dumps({**TRANSCRIPTION, "transcript": "x" * (MAX_TEXT_CHARS + 1)}).encode(), "bad_message"),
    ],
)
def test_what_no_message_is(message: bytes, kind: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode(message)
    assert (caught.value.kind, caught.value.peer) == (kind, "pulse")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    "type",
    "transcript",
    "transcription",
    "is_final",
    "is_last",
    "from_finalize",
    "language",
    "message",
    "error",
)
TYPES = st.sampled_from(["transcription", "error", "speech_started", "weather"])


@given(st.dictionaries(st.sampled_from(FIELDS), JSON | TYPES, max_size=6) | JSON)
def test_any_json_is_a_message_or_a_protocol_error(message: object) -> None:
    try:
        meaning = decode(json.dumps(message))
    except ProtocolError:
        return
    assert isinstance(meaning, Words | VoiceEvent | Refusal | Unknown)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_a_protocol_error(message: bytes) -> None:
    try:
        decode(message)
    except ProtocolError as error:
        assert str(error).isprintable()


@pytest.mark.parametrize(
    "status, body, refusal",
    [
        (401, b"", Refusal(Kind.UNAUTHORIZED, "HTTP 401")),
        (401, b'{"status":"error","message":"Invalid key"}', Refusal(Kind.UNAUTHORIZED, "Invalid key")),
        (402, b"", Refusal(Kind.UNAUTHORIZED, "HTTP 402")),
        (403, b'{"error":"Usage limit reached"}', Refusal(Kind.UNAUTHORIZED, "Usage limit reached")),
        (429, b"{}", Refusal(Kind.BUSY, "HTTP 429")),
        (400, b'{"error":[{"message":"Unknown model"}]}', Refusal(Kind.REQUEST, "Unknown model")),
        (400, b'{"error":{"message":"LANGUAGE_NOT_ENABLED_IN_REGION"}}',
         Refusal(Kind.REQUEST, "LANGUAGE_NOT_ENABLED_IN_REGION")),
        (404, b"<html>", Refusal(Kind.REQUEST, "HTTP 404")),
        (410, b"[]", Refusal(Kind.REQUEST, "HTTP 410")),
        (200, b"hello", Refusal(Kind.UNAVAILABLE, "HTTP 200")),
        (500, b'{"message":7,"error":[]}', Refusal(Kind.UNAVAILABLE, "HTTP 500")),
        (503, b'{"message":"%s"}' % (b"x" * 400), Refusal(Kind.UNAVAILABLE, "x" * 299 + "…")),
    ],
)  # fmt: skip
def test_what_a_refused_handshake_means(status: int, body: bytes, refusal: Refusal) -> None:
    assert refusal_of_http(status, body) == refusal


@pytest.mark.parametrize(
    "code, reason, kind",
    [
        (1008, "", Kind.BUSY),
        (1008, "Concurrency limit reached", Kind.BUSY),
        (1008, "Invalid API key", Kind.UNAUTHORIZED),
        (1008, "Usage limit reached", Kind.UNAUTHORIZED),
        (1013, "", Kind.BUSY),
        (1000, "", Kind.UNAVAILABLE),
        (1011, "internal", Kind.UNAVAILABLE),
        (1000, "LANGUAGE_NOT_ENABLED_IN_REGION", Kind.REQUEST),
    ],
)
def test_what_a_close_means(code: int, reason: str, kind: Kind) -> None:
    assert refusal_of_close(code, reason) == Refusal(kind, reason or f"closed with {code}")


@pytest.mark.parametrize(
    "message, kind",
    [
        ("Too many sessions", Kind.BUSY),
        ("rate-limit", Kind.BUSY),
        ("Unauthorized", Kind.UNAUTHORIZED),
        ("out of credits", Kind.UNAUTHORIZED),
        ("unsupported sample rate", Kind.REQUEST),
        ("Connection timed out", Kind.UNAVAILABLE),
    ],
)
def test_what_an_error_means(message: str, kind: Kind) -> None:
    assert refusal_of_message(message).kind is kind
