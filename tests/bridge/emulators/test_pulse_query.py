"""Queries of the handshake, and what is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.emulators.lightning_refusals import Refusal
from bridge.emulators.pulse_query import ENCODINGS, LANGUAGES, SAMPLE_RATES_HZ, PulseQuery, parse_query

LEAST = {"model": "pulse", "language": "en"}


def refused(query: dict[str, str], **more: Any) -> str:
    refusal = parse_query(query, **more)
    assert isinstance(refusal, Refusal)
    assert refusal.status == 400
    told: dict[str, Any] = msgspec.json.decode(refusal.body)
    return str(told["error"])


def test_the_least_there_must_be() -> None:
    assert parse_query(LEAST) == PulseQuery(language="en")
    assert parse_query({"language": "en"}, default_model="pulse") == PulseQuery(language="en")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"sample_rate": "8000", "encoding": "mulaw"}, {"sample_rate_hz": 8000, "encoding": "mulaw"}),
        ({"word_timestamps": "true", "diarize": "true"}, {"word_timestamps": True, "diarize": True}),
        ({"sentence_timestamps": "true"}, {"sentence_timestamps": True}),
        ({"full_transcript": "true"}, {"full_transcript": True}),
        ({"vad_events": "true"}, {"vad_events": True}),
        ({"vad": "true"}, {"vad_events": True}),
        ({"vad": "true", "vad_events": "false"}, {"vad_events": False}),
        ({"eou_timeout_ms": "100"}, {"ends_after_ms": 100}),
        ({"eou_timeout_ms": "10000", "endpointing_timeout": "300"}, {"ends_after_ms": 300}),
        ({"endpointing": "false", "eou_timeout_ms": "300"}, {"ends_after_ms": None}),
        ({"max_words": "7"}, {"max_words": 7}),
        ({"max_words": "7", "finalize_on_words": "false"}, {"max_words": 0}),
        ({"punctuate": "false"}, {"punctuate": False}),
        ({"capitalize": "false"}, {"capitalize": False}),
        ({"format": "false", "punctuate": "true"}, {"punctuate": False, "capitalize": False}),
        ({"redact_pii": "true", "redact_pci": "false"}, {"redact_pii": True}),
        ({"redact_pii": "phone,email"}, {"redact_pii": True}),  # as the vendor's package has it
        (
            {"keywords": "I:20,small model:3.5,NVIDIA"},
            {"keywords": (("I", 20), ("small model", 3.5), ("NVIDIA", 1))},
        ),
        ({"itn_normalize": "true", "numerals": "true"}, {}),
        ({"external_session_id": "x", "whatever": "y", "keywords": ""}, {}),
    ],
)
def test_what_may_be_asked(asked: dict[str, str], told: dict[str, Any]) -> None:
    assert parse_query(LEAST | asked) == PulseQuery(**({"language": "en"} | told))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("language", LANGUAGES),
        ("encoding", ENCODINGS),
        ("sample_rate", [str(rate) for rate in SAMPLE_RATES_HZ]),
    ],
)
def test_all_that_is_documented_is_taken(name: str, values: list[str]) -> None:
    assert all(isinstance(parse_query(LEAST | {name: value}), PulseQuery) for value in values)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"model": "pulse-pro"}, "Pulse Pro has no streaming transport"),
        ({"model": "whisper"}, "model must be pulse"),
        ({"model": ""}, "model is required"),
        ({"language": ""}, "language is required: en, hi"),
        ({"language": "xx"}, "language must be en, hi"),
        ({"language": "EN"}, "language must be"),
        ({"sample_rate": "8001"}, "sample_rate must be 8000, 16000"),
        ({"encoding": "ulaw"}, "encoding must be linear16, linear32, alaw, mulaw"),  # Lightning's name for it
        ({"encoding": "opus"}, "opus is not emulated: use one of linear16"),
        ({"encoding": "ogg_opus"}, "ogg_opus is not emulated"),
        ({"word_timestamps": "True"}, "word_timestamps must be true, false"),
        ({"endpointing": "1"}, "endpointing must be true, false"),
        ({"eou_timeout_ms": "99"}, "eou_timeout_ms must be a whole number from 100 to 10000"),
        ({"eou_timeout_ms": "10001"}, "eou_timeout_ms"),
        ({"eou_timeout_ms": "800.0"}, "eou_timeout_ms"),
        ({"eou_timeout_ms": "\u0661\u0660\u0660"}, "eou_timeout_ms"),
        ({"max_words": "0"}, "max_words"),
        ({"keywords": "I:21"}, "keywords must be at most 100"),
        ({"keywords": "I:-1"}, "keywords"),
        ({"keywords": "I:much"}, "keywords"),
        ({"keywords": ":2"}, "keywords"),
        ({"keywords": ",".join(["word"] * 101)}, "keywords"),
    ],
)
def test_what_is_refused(asked: dict[str, str], told: str) -> None:
    assert told in refused(LEAST | asked)


def test_all_that_is_wrong_is_told_at_once() -> None:
    refusal = parse_query({"sample_rate": "1", "encoding": "mp3"})
    assert isinstance(refusal, Refusal)
    paths = [issue["path"] for issue in msgspec.json.decode(refusal.body)["details"]]
    assert sorted(paths) == [["encoding"], ["language"], ["model"], ["sample_rate"]]


@given(
    st.dictionaries(st.sampled_from(["model", "language", "keywords", "eou_timeout_ms", "format"]), st.text())
)
def test_whatever_is_asked_is_understood_or_refused(query: dict[str, str]) -> None:
    assert isinstance(parse_query(query), PulseQuery | Refusal)
