"""What each socket takes, by table, and how a session speaks where its path is not `/tts/live`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.emulators.lightning_dialects import (
    DIALECTS,
    LIVE,
    STREAMING_TTS,
    V2,
    V2_LANGUAGES,
    V31,
    Dialect,
)
from bridge.emulators.lightning_options import EmulatorOptions
from bridge.emulators.lightning_protocol import Account, Action, Begin, Close, Send, Synthesis
from bridge.emulators.lightning_session import LightningSession

HELLO: dict[str, Any] = {"text": "Hello there.", "voice_id": "emily"}


class Line:
    """A session of one dialect, with the JSON taken care of."""

    def __init__(self, dialect: Dialect, **options: Any) -> None:
        self.account = Account(EmulatorOptions(**options))
        self.session = LightningSession(self.account, "ws_1", idle_timeout_s=60, now=0, dialect=dialect)

    def say(self, **fields: Any) -> list[Action]:
        return self.session.receive(json.dumps(fields), 0)

    def begin(self, **fields: Any) -> Synthesis:
        (action,) = self.say(**fields)
        assert isinstance(action, Begin)
        return action.synthesis

    def told(self, **fields: Any) -> dict[str, Any]:
        (action,) = self.say(**fields)
        assert isinstance(action, Send)
        message: dict[str, Any] = json.loads(action.message)
        return message


def test_every_path_is_served_once() -> None:
    assert len({dialect.path for dialect in DIALECTS}) == len(DIALECTS)


V2_REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"voice_id": None}, "invalid_type", "voice_id"),
    ({"text": None}, "invalid_type", "text"),
    ({"text": "x" * 8001}, "too_big", "text"),
    ({"language": "auto"}, "invalid_enum_value", "language"),
    ({"language": "sv"}, "invalid_enum_value", "language"),
    ({"sample_rate": 48000}, "custom", "sample_rate"),
    ({"speed": 0.09}, "too_small", "speed"),
    ({"speed": 5.1}, "too_big", "speed"),
    ({"consistency": 1.1}, "too_big", "consistency"),
    ({"similarity": -0.1}, "too_small", "similarity"),
    ({"enhancement": 3}, "too_big", "enhancement"),
    ({"enhancement": 0.5}, "invalid_type", "enhancement"),
    ({"add_wav_header": 1}, "invalid_type", "add_wav_header"),
    ({"max_buffer_flush_ms": 1001}, "too_big", "max_buffer_flush_ms"),
    ({"complete_backoff_ms": 10_001}, "too_big", "complete_backoff_ms"),
]


@pytest.mark.parametrize(("fields", "code", "path"), V2_REFUSED)
def test_what_v2_refuses(fields: dict[str, Any], code: str, path: str) -> None:
    issues = V2.issues(HELLO | fields, strict_voices=True)
    assert [(issue.code, issue.path) for issue in issues] == [(code, path)]


@pytest.mark.parametrize(
    "fields",
    [
        {"speed": 0.1, "consistency": 0.5, "similarity": 1, "enhancement": 2, "add_wav_header": True},
        {"speed": 5, "sample_rate": 44100},
        # Fields of other sockets are in no table of its own, so they are not looked at.
        {"output_format": "mulaw", "context_id": "no spaces", "model": "lightning_v9", "cancel_request": 7},
        *({"language": language} for language in V2_LANGUAGES),
    ],
)
def test_what_v2_takes(fields: dict[str, Any]) -> None:
    assert V2.issues(HELLO | fields, strict_voices=True) == []


@pytest.mark.parametrize("dialect", [V2, STREAMING_TTS])
def test_v2_is_pcm_at_24_khz_in_english_unless_it_is_told(dialect: Dialect) -> None:
    request = dialect.request({**HELLO, "output_format": "ulaw", "model": "lightning_v3.1"})
    assert (request.output_format, request.sample_rate_hz, request.language) == ("pcm", 24000, "en")
    assert request.model == "lightning_v2"
    told = dialect.request({**HELLO, "sample_rate": 8000, "language": "hi", "add_wav_header": True})
    assert (told.sample_rate_hz, told.language, told.add_wav_header) == (8000, "hi", True)


def test_messages_of_v2_carry_a_request_id_and_nothing_else() -> None:
    synthesis = Line(V2).begin(**HELLO, request_id="r-1", session_id="s-1")
    ids = {"request_id": "task_00000001"}
    assert json.loads(synthesis.chunk(b"AAAA")) == {**ids, "status": "chunk", "data": {"audio": "AAAA"}}
    assert json.loads(synthesis.complete()) == {**ids, "status": "complete"}
    old = Line(V2, old_complete=True).begin(**HELLO)
    assert json.loads(old.complete()) == {
        **ids,
        "status": "complete",
        "message": "All chunks sent",
        "done": True,
    }


def test_errors_of_v2_in_both_shapes() -> None:
    flat = Line(V2).told(**HELLO, speed=9)
    assert (flat["status"], flat["message"]) == ("error", "Number must be less than or equal to 5")
    nested = Line(V2, nested_errors=True).told(**HELLO, speed=9)
    assert nested == {"status": "error", "error": {"message": flat["message"], "code": "too_big"}}


def test_v2_knows_no_keepalive_and_survives_one() -> None:
    line = Line(V2)
    assert line.told(type="ping")["status"] == "error"
    assert "whitespace" in line.told(**HELLO | {"text": " "})["message"]
    line.begin(**HELLO)


def test_v2_knows_no_context_and_no_cancel() -> None:
    line = Line(V2)
    assert line.begin(**HELLO, context_id="turn-1").request.context_id == ""
    assert line.begin(**HELLO, cancel_request=True).request.text == HELLO["text"]


def test_text_for_v2_can_come_bit_by_bit() -> None:
    line = Line(V2)
    assert line.say(**HELLO | {"text": "One "}, **{"continue": True}, sample_rate=8000) == []
    request = line.begin(voice_id="emily", text="", flush=True).request
    assert (request.text, request.sample_rate_hz) == ("One ", 8000)


def test_the_words_of_streaming_tts_for_more_to_come() -> None:
    line = Line(STREAMING_TTS)
    assert line.say(**HELLO | {"text": "One "}, is_streaming=True) == []
    assert line.say(**HELLO | {"text": "two "}, is_streaming=True, is_final=False) == []
    assert (
        line.begin(**HELLO | {"text": "three"}, is_streaming=True, is_final=True).request.text
        == "One two three"
    )
    assert line.begin(**HELLO, is_streaming=False).request.text == HELLO["text"]


def test_the_model_of_v31_is_that_of_its_path() -> None:
    asked = {"text": "Hello.", "voice_id": "magnus", "model": "lightning_v3.1_pro"}
    assert V31.request(asked).model == "lightning_v3.1"
    assert LIVE.request(asked).model == "lightning_v3.1_pro"
    assert V31.request({"text": "Hello."}).voice_id == "magnus"


def test_v31_speaks_as_live_does() -> None:
    line = Line(V31)
    assert line.told(type="ping") == {"type": "pong"}
    assert line.told(**HELLO)["message"] == "Invalid Voice ID"
    synthesis = line.begin(text="Hello.", voice_id="magnus", request_id="r-1")
    assert json.loads(synthesis.complete()).keys() == {
        "session_id",
        "request_id",
        "external_request_id",
        "status",
    }


def test_v31_closes_after_the_first_synthesis_that_says_nothing_of_more() -> None:
    line = Line(V31, close_after_complete=True)
    magnus = {"voice_id": "magnus"}
    line.say(text="x" * 250, **magnus, **{"continue": True})
    piece = line.begin(text="y", **magnus, **{"continue": True})
    assert Close() not in line.session.finished(piece, 1)
    line.say(text="z", **magnus, **{"continue": True})
    last = line.begin(text="", **magnus, **{"continue": False}, flush=True)
    assert line.session.finished(last, 2)[-1] == Close()
