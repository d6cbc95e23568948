"""Requests and answers of `/waves/v1/tts/live`, by tables: shapes seen in the sources, and what must be refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.config import LightningConfig
from bridge.errors import InvalidRequest, ProtocolError
from bridge.lightning.messages import (
    Chunk,
    Complete,
    Failed,
    Message,
    Pong,
    Unknown,
    Word,
    decode,
    encode_cancel,
)
from bridge.lightning.wire import LIVE
from tests.support.lightning_requests import request

CONFIG = LightningConfig()
ALWAYS_SENT = {
    "text": "Hello.",
    "voice_id": "magnus",
    "model": "lightning_v3.1",
    "language": "en",
    "sample_rate": 8000,
    "output_format": "ulaw",
    "request_id": "r1",
    "complete_backoff_ms": 0,
}


def test_a_plain_request_sends_nothing_that_it_need_not() -> None:
    assert json.loads(LIVE.encode(request(), CONFIG)) == ALWAYS_SENT


def test_what_differs_from_the_default_is_sent() -> None:
    wanted = {
        "speed": 1.25,
        "word_timestamps": True,
        "pronunciation_dicts": ["0" * 24],
        "add_wav_header": True,
    }
    assert json.loads(LIVE.encode(request(**wanted), CONFIG)) == ALWAYS_SENT | wanted


def test_a_cancel_names_its_request() -> None:
    assert json.loads(encode_cancel("r1")) == {"cancel_request": True, "request_id": "r1"}
    assert json.loads(encode_cancel("r1", "c1"))["context_id"] == "c1"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"text": ""}, "text"),
        ({"text": " \n\t\u2003"}, "text"),
        ({"text": "x" * 8001}, "text"),
        ({"text": "\ud83d"}, "text"),
        ({"output_format": "mulaw"}, "ulaw"),
        ({"output_format": "opus"}, "output_format"),
        ({"sample_rate": 11025}, "sample_rate"),
        ({"speed": 0.4}, "speed"),
        ({"speed": 2.1}, "speed"),
        ({"request_id": "no spaces"}, "request_id"),
        ({"request_id": "r" * 129}, "request_id"),
    ],
)
def test_what_lightning_would_refuse_is_refused_here(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequest, match=named) as refused:
        LIVE.encode(request(**changes), CONFIG)
    assert refused.value.code == "local_check"
    assert not refused.value.retryable


@pytest.mark.parametrize(
    "changes", [{"text": "x" * 8000}, {"speed": 0.5}, {"speed": 2}, {"sample_rate": 44100}]
)
def test_the_very_limits_are_allowed(changes: dict[str, Any]) -> None:
    sent = json.loads(LIVE.encode(request(**changes), CONFIG))
    assert {name: sent[name] for name in changes} == changes


IDS = {"session_id": "ws_1", "request_id": "task_1"}
OURS = {**IDS, "external_session_id": "s", "external_request_id": "r1"}

ANSWERS: list[tuple[dict[str, Any], Message]] = [
    ({**OURS, "status": "chunk", "data": {"audio": "f38="}}, Chunk(b"\x7f\x7f", "r1")),
    ({"status": "chunk", "data": {"audio": "f38="}}, Chunk(b"\x7f\x7f", None)),
    ({**IDS, "status": "chunk", "data": {"audio": ""}}, Chunk(b"", None)),
    ({"status": "chunk", "external_request_id": None, "data": {"audio": "f38="}}, Chunk(b"\x7f\x7f", None)),
    ({"status": "chunk", "data": {"audio": "f38=", "new": [1]}, "new": {"a": 1}}, Chunk(b"\x7f\x7f", None)),
    (
        {**OURS, "status": "word_timestamp", "data": {"id": 3, "word": "Hello.", "start": 0.25, "end": 0.5}},
        Word("Hello.", 250, 500, "r1"),
    ),
    ({**OURS, "status": "complete"}, Complete("r1")),
    ({"status": "complete", "message": "All chunks sent", "done": True}, Complete(None)),
    ({"status": "comp", "done": True}, Complete(None)),
    ({"status": "comp", "done": "soon"}, Unknown("comp")),
    ({"payload": {"status": "chunk"}, "data": {"audio": "f38="}}, Chunk(b"\x7f\x7f", None)),
    ({**OURS, "payload": {"status": "chunk", "data": {"audio": "f38="}}}, Chunk(b"\x7f\x7f", "r1")),
    ({"payload": {**OURS, "status": "complete"}}, Complete("r1")),
    ({"payload": "odd"}, Unknown("")),
    ({"payload": {"status": 3}, "data": {"audio": "f38="}}, Unknown("")),
    ({"type": "pong", "payload": {"status": "complete"}}, Pong()),
    ({"type": "pong"}, Pong()),
    ({"type": "pong", "status": None}, Pong()),
    ({"status": "thinking", "data": None}, Unknown("thinking")),
    ({"status": "thinking", "data": ["of", "another"], "external_request_id": 7}, Unknown("thinking")),
    ({"type": "greeting"}, Unknown("greeting")),
    ({}, Unknown("")),
]


@pytest.mark.parametrize(("answer", "message"), ANSWERS)
def test_answers(answer: dict[str, Any], message: Message) -> None:
    wire = json.dumps(answer)
    assert decode(wire) == decode(wire.encode()) == message


@pytest.mark.parametrize(
    ("answer", "text", "code"),
    [
        ({"status": "error", "message": "Boom", "error_code": "X1"}, "Boom", "X1"),
        ({"error": "Boom"}, "Boom", ""),
        ({"error": {"message": "Boom", "code": "X1"}}, "Boom", "X1"),
        ({"payload": {"status": "error", "message": "Boom", "code": "X1"}}, "Boom", "X1"),
        ({"status": "error", "error": {"message": "Boom", "code": "X1"}}, "Boom", "X1"),
        ({"status": "error", "error": {"message": "Boom", "code": 429}}, "Boom", "429"),
        ({"status": "error", "error": "Boom"}, "Boom", ""),
        ({"status": "error", "error": [{"code": "custom", "path": ["voice_id"], "message": "Bad"}]},
         "voice_id: Bad", "custom"),
        ({"status": "error", "message": "Boom", "error": [{"code": "custom"}], "error_code": "X1"}, "Boom", "X1"),
        ({"type": "error", "code": "X1", "message": "Boom"}, "Boom", "X1"),
        ({"status": "error"}, "an error without a message", ""),
        ({"status": "error", "message": None, "error": None, "error_code": None}, "an error without a message", ""),
        ({"status": "error", "message": {"deep": 1}, "error": [[]]}, "an error without a message", ""),
        ({"status": "error", "error": []}, "an error without a message", ""),
        ({"status": "error", "message": "two\nlines   and more"}, "two lines and more", ""),
    ],
)  # fmt: skip
def test_errors_are_read_in_every_shape(answer: dict[str, Any], text: str, code: str) -> None:
    failed = decode(json.dumps({**OURS, **answer}))
    assert isinstance(failed, Failed)
    assert (failed.fault.message, failed.fault.code, failed.request_id) == (text, code, "r1")


@pytest.mark.parametrize(
    ("wire", "kind"),
    [
        (b"", "bad_json"),
        (b"\xff\xfe", "bad_json"),
        (b"{", "bad_json"),
        (b"RIFF....WAVE", "bad_json"),
        ("\ud800", "bad_json"),
        (b"null", "bad_message"),
        (b"[]", "bad_message"),
        (b"[" * 200_000, "bad_message"),
        (b'{"x":' + b"[" * 200_000, "bad_json"),
        (b'{"error":' + b"[" * 200_000, "bad_json"),
        (b'{"status":1}', "bad_message"),
        (b'{"status":"chunk"}', "bad_message"),
        (b'{"status":"chunk","data":{}}', "bad_message"),
        (b'{"status":"chunk","data":{"audio":null}}', "bad_message"),
        (b'{"status":"chunk","data":{"audio":"not base64!"}}', "bad_message"),
        (b'{"status":"chunk","data":"QUJD"}', "bad_message"),
        (b'{"status":"word_timestamp","data":{"word":"a"}}', "bad_message"),
        (b'{"type":[],"status":Infinity}', "bad_message"),  # wrong first, broken behind
        (b'{"status":"word_timestamp","data":{"word":"a","start":2,"end":1}}', "bad_message"),
        (b'{"status":"word_timestamp","data":{"word":"a","start":-1,"end":1}}', "bad_message"),
        (b'{"status":"word_timestamp","data":{"word":"a","start":0,"end":1e300}}', "bad_message"),
    ],
)
def test_garbage_is_a_protocol_error_and_nothing_else(wire: bytes | str, kind: str) -> None:
    with pytest.raises(ProtocolError) as broken:
        decode(wire)
    assert (broken.value.peer, broken.value.kind) == ("lightning", kind)
    assert len(str(broken.value)) < 200


@given(st.binary() | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner)
       | st.dictionaries(st.sampled_from(["status", "type", "data", "audio", "error", "message"]), inner)))  # fmt: skip
def test_anything_at_all_decodes_or_is_a_protocol_error(anything: object) -> None:
    wire = anything if isinstance(anything, bytes) else json.dumps(anything).encode()
    try:
        message = decode(wire)
    except ProtocolError:
        return
    assert isinstance(message, Chunk | Word | Complete | Failed | Pong | Unknown)
