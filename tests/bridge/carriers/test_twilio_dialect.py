"""Twilio's wire, both ways: one table of messages drives reading, order, truncation, junk and fuzz."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.carriers.dialect import (
    Audio,
    Connected,
    Digit,
    Event,
    Ignored,
    MarkPlayed,
    Started,
    Stopped,
)
from bridge.carriers.twilio import TwilioDialect
from bridge.errors import ProtocolError
from tests.support.twilio_frames import (
    ACCOUNT_ID,
    CALL_ID,
    PARAMETERS,
    PAYLOAD,
    STREAM_ID,
    frame,
    frames,
)

STARTED = Started(CALL_ID, STREAM_ID, ACCOUNT_ID, True, PARAMETERS)

STARTS = {
    "start": STARTED,
    "start_bare": Started(CALL_ID, STREAM_ID),
    "start_listening": Started(CALL_ID, STREAM_ID, ACCOUNT_ID, False),
    "start_listening_by_parameter": Started(
        CALL_ID, STREAM_ID, ACCOUNT_ID, False, {"direction": "unidirectional"}
    ),
}

ON_A_STREAM: dict[str, Event] = {
    "media": Audio(PAYLOAD, 5),
    "media_numbers": Audio(PAYLOAD, 5),
    "media_extra_fields": Audio(PAYLOAD, 5),
    "media_empty": Audio(b"", 5),
    "media_outbound": Ignored("outbound_track"),
    "media_foreign": Ignored("foreign_stream"),
    "dtmf": Digit("1"),
    "dtmf_hash": Digit("#"),
    "mark": MarkPlayed("label"),
    "mark_unicode": MarkPlayed("h\u00e9\u4f60\U0001f600"),
    "stop": Stopped(),
    "start": Ignored("duplicate_start"),
    "unknown_event": Ignored("unknown_event"),
}

VALID = [*STARTS, *(name for name in ON_A_STREAM if name not in STARTS), "connected", "start_other_call"]
BAD = [*frames("broken"), *frames("hopeless")]

# Every phase x every event. The phases are named by what has been received to get there.
ORDER: dict[tuple[str, ...], dict[str, Event]] = {
    (): {
        "connected": Connected(),
        "start": STARTED,
        "media": Ignored("media_before_start"),
        "dtmf": Ignored("dtmf_before_start"),
        "mark": Ignored("mark_before_start"),
        "stop": Ignored("stop_before_start"),
        "unknown_event": Ignored("unknown_event"),
    },
    ("connected", "start"): {
        "connected": Ignored("connected_after_start"),
        "start": Ignored("duplicate_start"),
        "media": Audio(PAYLOAD, 5),
        "dtmf": Digit("1"),
        "mark": MarkPlayed("label"),
        "stop": Stopped(),
        "unknown_event": Ignored("unknown_event"),
    },
    ("connected", "start", "stop"): {
        "connected": Ignored("connected_after_stop"),
        "start": Ignored("start_after_stop"),
        "start_other_call": Ignored("start_after_stop"),
        "media": Ignored("media_after_stop"),
        "dtmf": Ignored("dtmf_after_stop"),
        "mark": Ignored("mark_after_stop"),
        "stop": Ignored("stop_after_stop"),
        "unknown_event": Ignored("unknown_event"),
    },
}

PHASES = [pytest.param(before, id="-".join(before) or "fresh") for before in ORDER]

DEEP = {
    "brackets": b"[" * 200_000,
    "brackets in a field": b'{"event":"media","x":' + b"[" * 200_000,
    "braces in a field": b'{"event":"media","x":' + b'{"x":' * 40_000,
    "closed brackets in a field": b'{"event":"stop","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "brackets in the payload": b'{"event":"media","media":{"payload":' + b"[" * 200_000,
}


def after(*names: str) -> TwilioDialect:
    dialect = TwilioDialect()
    for name in names:
        dialect.receive(frame(name))
    return dialect


@pytest.mark.parametrize(("name", "event"), STARTS.items())
def test_a_start_binds_the_stream_to_its_call(name: str, event: Started) -> None:
    assert after("connected").receive(frame(name)) == event


@pytest.mark.parametrize(("name", "event"), ON_A_STREAM.items())
def test_messages_on_a_stream_become_events(name: str, event: Event) -> None:
    assert after("start").receive(frame(name)) == event


@pytest.mark.parametrize(
    ("before", "name", "event"),
    [(before, name, event) for before, row in ORDER.items() for name, event in row.items()],
)
def test_every_event_has_a_verdict_in_every_phase(before: tuple[str, ...], name: str, event: Event) -> None:
    assert after(*before).receive(frame(name)) == event


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


@pytest.mark.parametrize("name", BAD)
def test_a_broken_message_is_skipped_during_a_call(name: str) -> None:
    dialect = after("start")
    with pytest.raises(ProtocolError) as caught:
        dialect.receive(frame(name))
    assert (caught.value.peer, caught.value.close_code) == ("twilio", None)
    assert caught.value.kind in {"bad_json", "bad_message"}
    assert dialect.receive(frame("media")) == Audio(PAYLOAD, 5)


@pytest.mark.parametrize("name", BAD)
def test_a_stranger_who_sends_no_event_or_a_broken_start_is_closed(name: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        after("connected").receive(frame(name))
    assert caught.value.close_code == (1008 if name.startswith("hopeless/") else None)


@pytest.mark.parametrize("before", PHASES)
@pytest.mark.parametrize("message", DEEP.values(), ids=DEEP.keys())
def test_deep_nesting_is_a_protocol_error(before: tuple[str, ...], message: bytes) -> None:
    with pytest.raises(ProtocolError):
        after(*before).receive(message)


def test_a_reason_is_one_short_line_whatever_the_message_held() -> None:
    with pytest.raises(ProtocolError) as caught:
        TwilioDialect().receive(frame("hopeless/start_wrong_encoding").replace(b"paid", b"\\u001b[2J" * 500))
    assert caught.value.reason.isprintable()
    assert len(caught.value.reason) <= 200
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("name", VALID)
def test_every_truncation_is_a_protocol_error(name: str) -> None:
    message = frame(name).rstrip()
    dialect = after("start")
    for end in range(len(message)):
        with pytest.raises(ProtocolError):
            dialect.receive(message[:end])


@pytest.mark.parametrize("name", VALID)
@pytest.mark.parametrize("junk", [b"x", b"}", b"{}", b"\0", b'{"event":"stop"}'])
def test_trailing_junk_is_a_protocol_error(name: str, junk: bytes) -> None:
    with pytest.raises(ProtocolError):
        after("start").receive(frame(name) + junk)


@pytest.mark.parametrize("name", VALID)
def test_order_of_keys_and_white_space_mean_nothing(name: str) -> None:
    parsed = json.loads(frame(name))
    spread = json.dumps(dict(reversed(parsed.items())), indent=3).encode()
    assert verdict(after("connected"), spread) == verdict(after("connected"), frame(name))
    assert verdict(after("start"), spread) == verdict(after("start"), frame(name))


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_are_an_event_or_a_protocol_error(message: bytes) -> None:
    verdict(after(), message)
    verdict(after("start"), message)


@settings(deadline=None)
@given(
    name=st.sampled_from([*VALID, *BAD]),
    start=st.integers(0, 600),
    length=st.integers(0, 12),
    patch=st.one_of(
        st.binary(max_size=12),
        st.sampled_from(
            [b"null", b"[]", b"{}", b"-1", b"1e999", b"\\ud800", b"\\ud83d\\u0041", b"\xed\xa0\x80"]
        ),
    ),
)
def test_any_patch_of_a_message_is_an_event_or_a_protocol_error(
    name: str, start: int, length: int, patch: bytes
) -> None:
    message = frame(name)
    patched = message[:start] + patch + message[start + length :]
    verdict(after(), patched)
    verdict(after("start"), patched)


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


def verdict(dialect: TwilioDialect, message: bytes) -> object:
    """The event, or what the server would be told; anything else fails the test that asks."""
    try:
        event = dialect.receive(message)
    except ProtocolError as error:
        assert error.close_code in {None, 1008}
        return error.kind, error.close_code
    match event:
        case Started():
            repr(event).encode()
            assert event.call_id.startswith("CA") and len(event.call_id) == 34
        case MarkPlayed(name):
            name.encode()  # a lone surrogate would raise here, and in every log
        case Audio(payload, timestamp_ms):
            assert isinstance(payload, bytes) and timestamp_ms >= 0
        case Digit(digit):
            assert digit in list("0123456789*#ABCD")
        case Ignored(kind):
            assert kind.isidentifier()
        case _:
            assert event in (Connected(), Stopped())
    return event


def test_the_token_stays_out_of_the_repr() -> None:
    assert "one-time" not in repr(after().receive(frame("start")))


# -- commands --------------------------------------------------------------------------------------


def test_audio_goes_out_as_twilio_documents_it() -> None:
    assert after("start").audio(PAYLOAD) == (
        b'{"event":"media","streamSid":"%b","media":{"payload":"%b"}}'
        % (STREAM_ID.encode(), json.loads(frame("media"))["media"]["payload"].encode())
    )


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


def test_clear_goes_out_as_twilio_documents_it() -> None:
    assert after("start").clear() == (b'{"event":"clear","streamSid":"%b"}' % STREAM_ID.encode(),)


@pytest.mark.parametrize("before", [(), ("connected",), ("connected", "media")])
def test_nothing_can_be_sent_before_a_start(before: tuple[str, ...]) -> None:
    dialect = after(*before)
    with pytest.raises(AssertionError, match="before start"):
        dialect.audio(PAYLOAD)
    with pytest.raises(AssertionError, match="before start"):
        dialect.mark("label")
    with pytest.raises(AssertionError, match="before start"):
        dialect.clear()
