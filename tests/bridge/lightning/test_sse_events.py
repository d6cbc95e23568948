"""Server-sent events: the same events however the bytes are cut, and what each of them means."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import Busy, InvalidRequest, LightningError, ProtocolError, Unauthorized, Unavailable
from bridge.lightning.messages import Chunk, Complete, Failed, Message, Unknown, Word
from bridge.lightning.sse_events import MAX_EVENT_BYTES, Event, EventParser, meaning
from tests.support.chunks import cut
from tests.support.scripted_http import END_EVENT, audio_event

# -- the stream --------------------------------------------------------------------------------------------------------

STREAMS = [
    pytest.param(b"data: a\n\n", [Event("", b"a")], id="one"),
    pytest.param(b"data:a\r\n\r\ndata: b\r\n\r\n", [Event("", b"a"), Event("", b"b")], id="CRLF"),
    pytest.param(b"data: a\r\rdata: b\r\r", [Event("", b"a"), Event("", b"b")], id="CR"),
    pytest.param(b"data: a\r\n\ndata: b\n\r\n\r", [Event("", b"a"), Event("", b"b")], id="all ends mixed"),
    pytest.param(
        b"event: audio\ndata: a\n\ndata: b\n\n", [Event("audio", b"a"), Event("", b"b")], id="named"
    ),
    pytest.param(b"data: a\ndata: b\n\n", [Event("", b"a\nb")], id="data in lines"),
    pytest.param(b"data\ndata:\n\n", [Event("", b"\n")], id="data that is empty"),
    pytest.param(b": hello\n:\n\ndata: a\n: there\n\n", [Event("", b"a")], id="comments"),
    pytest.param(b"id: 7\nretry: 9\nfoo: bar\nfoo\ndata: a\n\n", [Event("", b"a")], id="other fields"),
    pytest.param(b"event: x\n\ndata: a\n\n", [Event("", b"a")], id="a name without data is none"),
    pytest.param(b"data:  a : b \n\n", [Event("", b" a : b ")], id="one blank goes, the others stay"),
    pytest.param(b"\xef\xbb\xbfdata: a\n\n", [Event("", b"a")], id="byte order mark"),
    pytest.param(b"data: a\n\ndata: b\n", [Event("", b"a"), Event("", b"b")], id="no empty line at the end"),
    pytest.param(b"data: a\n\ndata: b", [Event("", b"a"), Event("", b"b")], id="no line's end either"),
    pytest.param(b"\n\n\r\n\r\r", [], id="nothing but ends"),
    pytest.param(b"", [], id="nothing"),
    pytest.param(b'{"status":"error"}', [], id="no events at all"),
]


def events_in(stream: bytes, *sizes: int) -> list[Event]:
    parser = EventParser()
    events = [event for chunk in cut(stream, sizes) for event in parser.feed(chunk)]
    return events + parser.flush()


@pytest.mark.parametrize("stream, events", STREAMS)
@pytest.mark.parametrize("sizes", [(10_000,), (1,), (2,), (3, 0, 1), (1, 7)])
def test_the_same_events_however_it_is_cut(
    stream: bytes, events: list[Event], sizes: tuple[int, ...]
) -> None:
    assert events_in(stream, *sizes) == events


@pytest.mark.parametrize("stream, events", STREAMS[:5])
def test_events_are_told_as_soon_as_they_are_whole(stream: bytes, events: list[Event]) -> None:
    assert EventParser().feed(stream) == events


@given(st.binary(max_size=400), st.lists(st.integers(0, 9), min_size=1).filter(any))
def test_any_bytes_give_the_same_events_cut_or_whole(stream: bytes, sizes: list[int]) -> None:
    assert events_in(stream, *sizes) == events_in(stream, len(stream) + 1)


@pytest.mark.parametrize("filler", [b"x" * 40, b"data: x\n", b"data:\n", b"data: " + b"y" * 99 + b"\n"])
def test_no_event_grows_for_ever(filler: bytes) -> None:
    parser = EventParser()
    with pytest.raises(ProtocolError, match="more than"):
        for _ in range(MAX_EVENT_BYTES // len(filler) + 1):
            parser.feed(filler)


def test_what_is_no_event_may_go_on_for_ever() -> None:
    parser = EventParser()
    for _ in range(3):
        assert parser.feed((b": keep alive\n" * 9 + b"\n") * (MAX_EVENT_BYTES // 100)) == []
    assert parser.feed(b"data: a\n\n") == [Event("", b"a")]


# -- what they mean ----------------------------------------------------------------------------------------------------

AUDIO = b"\x00\xff\x7e"
B64 = base64.b64encode(AUDIO).decode()
CHUNK, END = Chunk(AUDIO, None), Complete(None)


@pytest.mark.parametrize(
    "data, messages",
    [
        pytest.param({"audio": B64, "done": False, "status": "206"}, [CHUNK], id="audio"),
        pytest.param({"audio": B64, "done": False, "status": 206}, [CHUNK], id="a number for a number"),
        pytest.param({"audio": B64}, [CHUNK], id="audio of old, without a word"),
        pytest.param({"status": "200", "done": True}, [END], id="end"),
        pytest.param({"status": "200"}, [END], id="end by its status"),
        pytest.param({"done": True}, [END], id="end by its word"),
        pytest.param({"audio": B64, "done": True, "status": "200"}, [CHUNK, END], id="audio and end"),
        pytest.param({"audio": B64, "status": "200"}, [CHUNK], id="no end that is not said"),
        pytest.param({"audio": "", "done": True}, [Chunk(b"", None), END], id="an end with empty audio"),
        pytest.param({"status": "chunk", "data": {"audio": B64}}, [CHUNK], id="the socket's audio"),
        pytest.param({"status": "complete"}, [END], id="the socket's end"),
        pytest.param({"status": "complete", "message": "All chunks sent", "done": True}, [END], id="of old"),
        pytest.param(
            {"status": "word_timestamp", "data": {"word": "a", "start": 0, "end": 0.5}},
            [Word("a", 0.0, 500.0, None)],
            id="the socket's word",
        ),
        pytest.param({"status": "thinking"}, [Unknown("thinking")], id="unknown"),
        pytest.param({"status": 102}, [Unknown("102")], id="an unknown number"),
        pytest.param({}, [Unknown("")], id="nothing"),
        pytest.param({"error": None, "audio": B64}, [CHUNK], id="no error"),
    ],
)
def test_both_envelopes(data: object, messages: list[Message]) -> None:
    assert list(meaning(Event("", json.dumps(data).encode()))) == messages


def test_the_end_as_other_streams_write_it() -> None:
    assert meaning(Event("", b" [DONE]")) == (END,)


def test_what_the_support_server_writes_is_what_lightning_writes() -> None:
    events = EventParser().feed(audio_event(AUDIO) + END_EVENT)
    assert [message for event in events for message in meaning(event)] == [CHUNK, END]


@pytest.mark.parametrize(
    "name, data, kind, told",
    [
        ("", {"status": "error", "message": "Invalid Voice ID"}, InvalidRequest, "Invalid Voice ID"),
        ("", {"status": "error", "error": {"message": "No key", "code": 401}}, Unauthorized, "No key"),
        ("", {"error": "Concurrency limit reached"}, Busy, "Concurrency limit reached"),
        ("", {"error": [{"message": "Invalid", "path": ["voice_id"]}]}, InvalidRequest, "voice_id: Invalid"),
        ("", {"status": "500", "message": "broke", "done": True}, Unavailable, "broke"),
        ("", {"status": 429, "message": "later"}, Busy, "later"),
        ("", {"status": "400", "error_code": "X", "message": "no"}, InvalidRequest, "no"),
        ("error", {"message": "broke"}, Unavailable, "broke"),
        ("error", {"audio": B64, "message": "broke"}, Unavailable, "broke"),
        ("error", "broke", Unavailable, "broke"),
    ],
)
def test_errors_in_every_shape(name: str, data: object, kind: type[LightningError], told: str) -> None:
    raw = data.encode() if isinstance(data, str) else json.dumps(data).encode()
    (message,) = meaning(Event(name, raw))
    assert isinstance(message, Failed)
    error = message.fault.as_error("r1")
    assert (type(error), error.message) == (kind, told)


BROKEN = [
    b"",
    b"{",
    b"[1]",
    b'"text"',
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"audio":"not base64!"}',
    b'{"audio":7}',
    b'{"audio":"AAA"}',
    b'{"status":[]}',
    b'{"done":"yes"}',
    b'{"status":"206"}',
    b'{"status":"206","done":false}',
    b'{"status":"chunk"}',
    b'{"status":"chunk","data":{}}',
]


@pytest.mark.parametrize("data", BROKEN)
def test_what_is_broken_is_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        meaning(Event("", data))
    assert caught.value.peer == "lightning"


@given(st.sampled_from(["", "audio", "error"]), st.binary() | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["status", "audio", "done", "data", "error", "message", "x"]), inner),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_anything_means_something_or_is_a_protocol_error(name: str, data: bytes) -> None:
    try:
        messages = meaning(Event(name, data))
    except ProtocolError:
        return
    assert messages
