"""The table of what is refused is also the table of what is tolerated: values on both sides."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.emulators.lightning_requests import FIELDS, external_ids, issues_in, request_from

ACCEPTED: list[dict[str, Any]] = [
    {},
    {"text": "Hello", "voice_id": "magnus"},
    {"text": "x" * 8000},
    {"voice_id": "voice_aB3-x"},
    {"model": "lightning_v3.1_pro", "voice_id": "magnus"},  # the wrong pool is not refused
    {"language": "auto"},
    {"language": "no"},
    {"sample_rate": 8000},
    {"speed": 0.5},
    {"speed": 2},
    {"output_format": "ulaw"},
    {"request_id": "a.B-9_" + "x" * 122},
    {"max_buffer_flush_ms": 1000},
    {"complete_backoff_ms": 0},
    {"enhancement": 2, "similarity": 0.5, "math_notation": True, "save_history": False},
    {"pronunciation_dicts": ["0123456789abcdef01234567"]},
    {"context_id": "turn-1", "continue": True, "max_buffer_delay_ms": 5000, "text": "Hello "},
    {"context_id": "turn-1", "context_close": True, "flush": False, "max_buffer_flush_ms": 0},
    {"something_new": {"deep": [1]}, "internal_voice_id": 7},
    dict.fromkeys(FIELDS),
]

REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"text": "x" * 8001}, "too_big", "text"),
    ({"text": 7}, "invalid_type", "text"),
    ({"voice_id": "nobody"}, "custom", "voice_id"),
    ({"voice_id": ["magnus"]}, "invalid_type", "voice_id"),
    ({"model": "lightning-v3.1"}, "invalid_enum_value", "model"),
    ({"model": "lightning_v2"}, "invalid_enum_value", "model"),
    ({"language": "tlh"}, "invalid_enum_value", "language"),
    ({"sample_rate": 22050}, "custom", "sample_rate"),
    ({"sample_rate": True}, "invalid_type", "sample_rate"),
    ({"sample_rate": "8000"}, "invalid_type", "sample_rate"),
    ({"speed": 0.49}, "too_small", "speed"),
    ({"speed": 2.01}, "too_big", "speed"),
    ({"speed": True}, "invalid_type", "speed"),
    ({"output_format": "mulaw"}, "invalid_enum_value", "output_format"),
    ({"output_format": "opus"}, "invalid_enum_value", "output_format"),
    ({"output_format": "mp3"}, "custom", "output_format"),
    ({"word_timestamps": 1}, "invalid_type", "word_timestamps"),
    ({"request_id": "no spaces"}, "invalid_string", "request_id"),
    ({"request_id": "line\n"}, "invalid_string", "request_id"),
    ({"session_id": "x" * 129}, "too_big", "session_id"),
    ({"max_buffer_flush_ms": 1001}, "too_big", "max_buffer_flush_ms"),
    ({"complete_backoff_ms": -1}, "too_small", "complete_backoff_ms"),
    ({"enhancement": 1.5}, "invalid_type", "enhancement"),
    ({"pronunciation_dicts": {}}, "invalid_type", "pronunciation_dicts"),
    ({"context_id": "no spaces"}, "invalid_string", "context_id"),
    ({"context_id": "turn-1", "flush": True}, "custom", "context_id"),
    ({"context_id": "turn-1", "continue": True, "max_buffer_flush_ms": 1}, "custom", "context_id"),
    ({"context_close": True}, "custom", "context_id"),
    ({"max_buffer_delay_ms": 5001}, "too_big", "max_buffer_delay_ms"),
]


@pytest.mark.parametrize("message", ACCEPTED, ids=lambda message: ",".join(message)[:40] or "nothing")
def test_accepted(message: dict[str, Any]) -> None:
    assert issues_in(message) == []


@pytest.mark.parametrize(("message", "code", "path"), REFUSED)
def test_refused(message: dict[str, Any], code: str, path: str) -> None:
    assert [(issue.code, issue.path) for issue in issues_in(message)] == [(code, path)]


def test_every_field_has_a_case_on_the_refused_side_or_takes_anything_of_its_type() -> None:
    refused = {path for _, _, path in REFUSED}
    for name in FIELDS.keys() - refused:
        assert issues_in({name: object()})[0].code == "invalid_type"


def test_mulaw_is_refused_in_the_recorded_shape() -> None:
    (issue,) = issues_in({"output_format": "mulaw"})
    assert issue.wire() == {
        "code": "invalid_enum_value",
        "received": "mulaw",
        "options": ["wav", "ulaw", "alaw", "pcm", "mp3"],
        "path": ["output_format"],
        "message": "Invalid enum value. Expected 'wav' | 'ulaw' | 'alaw' | 'pcm' | 'mp3', received 'mulaw'",
    }


def test_an_unknown_voice_is_refused_in_the_recorded_shape() -> None:
    (issue,) = issues_in({"voice_id": "nobody"})
    assert issue.wire() == {"code": "custom", "path": ["voice_id"], "message": "Invalid Voice ID"}
    assert issues_in({"voice_id": "nobody"}, strict_voices=False) == []


def test_all_issues_are_told() -> None:
    assert {issue.path for issue in issues_in({"speed": 9, "language": "xx", "flush": 0})} == {
        "speed",
        "language",
        "flush",
    }


def test_defaults_are_the_documented_ones() -> None:
    request = request_from({"text": "Hi", "voice_id": None, "speed": None})
    assert (request.model, request.voice_id, request.language) == ("lightning_v3.1", "magnus", "auto")
    assert (request.sample_rate_hz, request.output_format, request.speed) == (44100, "pcm", 1.0)
    assert (request.complete_backoff_ms, request.max_buffer_flush_ms) == (4000, 0)


def test_what_was_asked_replaces_the_defaults() -> None:
    request = request_from(
        {"text": "Hi", "sample_rate": 8000, "continue": True, "model": "lightning_v3.1_pro"}
    )
    assert (request.sample_rate_hz, request.continues, request.voice_id) == (8000, True, "meher")


def test_only_well_formed_ids_are_echoed() -> None:
    assert external_ids({"request_id": "r-1", "session_id": "s 1"}) == {"external_request_id": "r-1"}
    assert external_ids({"request_id": 5, "session_id": None}) == {}
