"""Hydra's messages: what is read of them, what is refused, and what is said."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import ProtocolError
from bridge.hydra import messages as m


def message(kind: str, **fields: Any) -> bytes:
    return json.dumps({"type": kind, "event_id": "sv_1", **fields}).encode()


READ = [
    (message("session.created", session_id="x"), m.Created()),
    (message("input_audio_buffer.speech_started", audio_start_ms=5, item_id="i"), m.SpeechStarted()),
    (message("input_audio_buffer.speech_stopped", audio_end_ms="1200"), m.SpeechStopped(1200)),
    (message("input_audio_buffer.speech_stopped", audio_end_ms=None), m.SpeechStopped()),
    (message("response.output_audio.delta", response_id="r", delta="AAEC"), m.AudioDelta(b"\0\1\2", "r")),
    (message("response.output_audio.delta", delta=""), m.AudioDelta(b"")),
    (message("response.output_audio.done", response_id=None), m.AudioDone()),
    (message("response.output_audio_transcript.delta", delta="Hi"), m.TranscriptDelta("Hi")),
    (message("response.function_call_arguments.delta", call_id="c", name="f", delta="{"),
     m.ArgumentsDelta("c", "{", "f")),
    (message("response.function_call_arguments.done", call_id="c", arguments="{}"), m.ArgumentsDone("c", "{}")),
    (message("conversation.item.added", item={"id": 7}), m.Unused("conversation.item.added")),
    (message("something.new", delta=[]), m.Unused("something.new")),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "wanted"), READ)
def test_what_is_read(raw: bytes, wanted: m.Message) -> None:
    assert m.decode(raw) == wanted
    assert m.decode(raw.decode()) == wanted


@pytest.mark.parametrize(
    ("session", "rate_hz"),
    [(None, 48_000), ({}, 48_000), ({"output_audio_sample_rate": 24_000}, 24_000)],
)
def test_the_rate_of_the_sound_is_what_the_session_says(session: object, rate_hz: int) -> None:
    configured = m.decode(message("session.configured", session=session))
    assert isinstance(configured, m.Configured)
    assert configured.output_hz == rate_hz


@pytest.mark.parametrize(
    ("response", "completed", "reason", "tokens"),
    [
        ({"id": "r"}, True, "", 0),
        ({"id": "r", "status": "completed", "usage": {"total_tokens": "9"}}, True, "", 9),
        ({"id": "r", "status": "cancelled", "status_details": {"reason": "interrupted"}}, False, "interrupted", 0),
        ({"id": "r", "status": "failed", "status_details": None, "usage": {"input_tokens": 2, "output_tokens": 3}},
         False, "", 5),
        ({"id": "r", "usage": {"total_tokens": -4}}, True, "", 0),
    ],
)  # fmt: skip
def test_how_an_answer_ended(response: object, completed: bool, reason: str, tokens: int) -> None:
    done = m.decode(message("response.done", response=response))
    assert isinstance(done, m.ResponseDone)
    assert (done.completed, done.reason, done.tokens) == (completed, reason, tokens)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"code": "server_full"}, "server_full"),
        ({"type": "error"}, "error"),
        ({}, "unknown"),
        (None, "unknown"),
    ],
)
def test_the_short_name_of_an_error(error: object, code: str) -> None:
    failed = m.decode(message("error", error=error))
    assert isinstance(failed, m.Failed)
    assert failed.code == code


BROKEN = [
    (b"", "bad_json"),
    (b"[]", "bad_json"),
    (b'{"type": 7}', "bad_json"),
    (b"\xff\xfe", "bad_json"),
    (b"{" * 2000, "bad_json"),
    (message("response.created"), "bad_message"),
    (message("response.created", response={"id": ""}), "bad_message"),
    (message("response.created", response={"id": 'a","x":"'}), "bad_message"),
    (message("response.created", response={"id": "a" * 129}), "bad_message"),
    (message("response.output_audio.delta", delta="not base64!"), "bad_message"),
    (message("response.function_call_arguments.done", call_id="a\nb"), "bad_message"),
    (message("response.done", response={"id": "r", "usage": {"total_tokens": "many"}}), "bad_message"),
]


@pytest.mark.parametrize(("raw", "kind"), BROKEN)
def test_what_is_broken_is_a_protocol_error_that_quotes_nothing(raw: bytes, kind: str) -> None:
    with pytest.raises(ProtocolError) as broken:
        m.decode(raw)
    assert (broken.value.kind, broken.value.peer) == (kind, "hydra")
    assert broken.value.__cause__ is None


@given(st.one_of(st.binary(max_size=300), st.builds(lambda raw, at, byte: raw[:at] + byte + raw[at:],
       st.sampled_from([raw for raw, _ in READ]), st.integers(0, 60), st.binary(max_size=3))))  # fmt: skip
def test_whatever_comes_is_a_message_or_a_protocol_error(raw: bytes) -> None:
    try:
        m.decode(raw)
    except ProtocolError:
        return


def test_what_we_say_is_as_documented() -> None:
    tool = m.Function("f", "Does f.", {"type": "object"})
    said = [
        m.encode_configure("Be brief.", "maya", [tool], speaks_first=True),
        m.encode_audio(b"\0\1"),
        m.encode_cancel("r"),
        m.encode_output("c", "7"),
        m.CREATE_RESPONSE,
    ]
    function = {"type": "function", "name": "f", "description": "Does f.", "parameters": {"type": "object"}}
    assert [json.loads(each) for each in said] == [
        {"type": "session.configure", "session": {"instructions": "Be brief.", "voice": "maya",
         "tools": [function], "generate_initial_response": True}},
        {"type": "input_audio_buffer.append", "audio": "AAE="},
        {"type": "response.cancel", "response_id": "r"},
        {"type": "conversation.item.create",
         "item": {"type": "function_call_output", "call_id": "c", "output": "7"}},
        {"type": "response.create"},
    ]  # fmt: skip
