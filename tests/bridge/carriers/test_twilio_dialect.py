"""Twilio's wire, beyond what its table of cases shows: see `test_every_dialect`."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.carriers.dialect import Audio, Ignored, MarkPlayed
from bridge.carriers.twilio import TwilioDialect
from bridge.errors import ProtocolError
from tests.support.dialect_checks import verdict
from tests.support.twilio_frames import CALL_ID, PAYLOAD, STREAM_ID, frame


def after(*names: str) -> TwilioDialect:
    dialect = TwilioDialect()
    for name in names:
        dialect.receive(frame(name))
    return dialect


def test_a_start_of_another_stream_closes_the_socket() -> None:
    dialect = after("start")
    with pytest.raises(ProtocolError) as caught:
        dialect.receive(frame("start_other_call"))
    assert (caught.value.kind, caught.value.close_code) == ("second_start", 1008)
    assert caught.value.call_id == CALL_ID


@pytest.mark.parametrize("name", ["media_foreign", "start"])
def test_what_is_ignored_changes_nothing(name: str) -> None:
    dialect = after("start", name)
    assert dialect.receive(frame("media")) == Audio(PAYLOAD, 5)


def test_a_foreign_stop_does_not_stop_the_stream() -> None:
    dialect = after("start")
    foreign = frame("stop").replace(STREAM_ID.encode(), b"MZ" + b"f" * 32)
    assert dialect.receive(foreign) == Ignored("foreign_stream")
    assert dialect.receive(frame("media")) == Audio(PAYLOAD, 5)


def test_a_reason_is_one_short_line_whatever_the_message_held() -> None:
    with pytest.raises(ProtocolError) as caught:
        TwilioDialect().receive(frame("hopeless/start_wrong_encoding").replace(b"paid", b"\\u001b[2J" * 500))
    assert caught.value.reason.isprintable()
    assert len(caught.value.reason) <= 200
    assert caught.value.__suppress_context__


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(
    event=st.sampled_from(["connected", "start", "media", "dtmf", "mark", "stop"]),
    stream=st.just(STREAM_ID) | JSON,
    body=JSON,
    fields=st.dictionaries(
        st.sampled_from(["payload", "timestamp", "track", "digit", "name", "callSid", "streamSid", "tracks"]),
        JSON,
    ),
)
def test_any_json_in_any_field_is_an_event_or_a_protocol_error(
    event: str, stream: object, body: object, fields: dict[str, object]
) -> None:
    for content in (body, fields):
        message = json.dumps({"event": event, "streamSid": stream, event: content}).encode()
        verdict(after(), message)
        verdict(after("start"), message)


def test_the_token_stays_out_of_the_repr() -> None:
    assert "one-time" not in repr(after().receive(frame("start")))


# -- commands --------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_audio_comes_back_as_it_went_out(payload: bytes) -> None:
    dialect = after("start")
    assert dialect.receive(dialect.audio(payload)) == Audio(payload)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_marks_come_back_as_they_went_out(name: str) -> None:
    dialect = after("start")
    (message,) = dialect.mark(name)
    assert json.loads(message) == {"event": "mark", "streamSid": STREAM_ID, "mark": {"name": name}}
    assert dialect.receive(message) == MarkPlayed(name)


@pytest.mark.parametrize("before", [(), ("connected",), ("connected", "media")])
def test_nothing_can_be_sent_before_a_start(before: tuple[str, ...]) -> None:
    dialect = after(*before)
    with pytest.raises(AssertionError, match="before start"):
        dialect.audio(PAYLOAD)
    with pytest.raises(AssertionError, match="before start"):
        dialect.mark("label")
    with pytest.raises(AssertionError, match="before start"):
        dialect.clear()
