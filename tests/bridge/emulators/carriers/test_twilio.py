"""What Twilio says and does, in virtual time, and that the bridge's own dialect agrees with it."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.carriers.dialect import Audio, Connected, Digit, MarkPlayed, Started, Stopped
from bridge.carriers.twilio import TwilioDialect
from bridge.emulators.carrier_buffer import CAPACITY_BYTES, SLOT_BYTES
from bridge.emulators.carrier_line import Message
from bridge.emulators.carriers.twilio import Fault, StreamIdentity, TwilioLine
from bridge.emulators.recording import Arrival, CallRecording, ClearReceived, Faulted, MarkEchoed

IDENTITY = StreamIdentity("AC" + "1" * 32, "CA" + "2" * 32, "MZ" + "3" * 32, {"token": "t"})
SOUND = b"\x20" * SLOT_BYTES
FRAME = bytes(range(160))


def line(*, bidirectional: bool = True) -> TwilioLine:
    made = TwilioLine(IDENTITY, CallRecording(), buffer_ms=0, bidirectional=bidirectional)
    made.begin(1000)
    return made


def message(event: str, **body: Any) -> str:
    return json.dumps({"event": event, "streamSid": IDENTITY.stream_sid} | body)


def media(payload: bytes = SOUND) -> str:
    return message("media", media={"payload": b64encode(payload).decode()})


def mark(name: str) -> str:
    return message("mark", mark={"name": name})


CLEAR = message("clear")


def marks_in(texts: list[Message]) -> list[str]:
    return [json.loads(text)["mark"]["name"] for text in texts]


def faults(made: TwilioLine) -> list[int]:
    return [entry.code for entry in made.recording.entries if isinstance(entry, Faulted)]


# -- what it sends -------------------------------------------------------------------------------------


def test_messages_look_as_twilio_documents_them() -> None:
    made = line()
    head = {"streamSid": IDENTITY.stream_sid}
    payload = b64encode(FRAME).decode()
    media_format = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    start = {
        "accountSid": IDENTITY.account_sid,
        "callSid": IDENTITY.call_sid,
        "streamSid": IDENTITY.stream_sid,
        "tracks": ["inbound"],
        "customParameters": {"token": "t"},
        "mediaFormat": media_format,
    }
    voice = {"track": "inbound", "payload": payload}
    stop = {"accountSid": IDENTITY.account_sid, "callSid": IDENTITY.call_sid}
    sent = [
        made.connected(),
        made.start(),
        *made.voice(FRAME),
        *made.voice(FRAME),
        *made.digit(1040, "5"),
        *made.receive(1040, mark("m")),
        *made.stop(),
    ]
    assert [json.loads(text) for text in sent] == [
        {"event": "connected", "protocol": "Call", "version": "1.0.0"},
        {"event": "start", "sequenceNumber": "1", "start": start} | head,
        {"event": "media", "sequenceNumber": "2", "media": voice | {"chunk": "1", "timestamp": "0"}} | head,
        {"event": "media", "sequenceNumber": "3", "media": voice | {"chunk": "2", "timestamp": "20"}} | head,
        {"event": "dtmf", "sequenceNumber": "4", "dtmf": {"track": "inbound_track", "digit": "5"}} | head,
        {"event": "mark", "sequenceNumber": "5", "mark": {"name": "m"}} | head,
        {"event": "stop", "sequenceNumber": "6", "stop": stop} | head,
    ]
    assert made.recording.said == FRAME * 2


def test_the_bridge_understands_all_of_it() -> None:
    made, dialect = line(), TwilioDialect()
    sent = [
        made.connected(),
        made.start(),
        *made.voice(FRAME),
        *made.digit(1000, "#"),
        *made.receive(1000, mark("ü")),
        *made.stop(),
    ]
    assert [dialect.receive(str(text).encode()) for text in sent] == [
        Connected(),
        Started(IDENTITY.call_sid, IDENTITY.stream_sid, IDENTITY.account_sid, True, {"token": "t"}),
        Audio(FRAME, 0),
        Digit("#"),
        MarkPlayed("ü"),
        Stopped(),
    ]


def test_a_frame_is_20_ms() -> None:
    with pytest.raises(ValueError, match="160 bytes, not 80"):
        line().voice(bytes(80))


def test_a_stream_that_only_listens_is_not_told_of_digits() -> None:
    made = line(bidirectional=False)
    assert made.digit(1000, "1") == []


# -- what it does with what it gets --------------------------------------------------------------------


@given(st.lists(st.one_of(st.binary(max_size=400), st.text(max_size=20), st.none()), max_size=10))
def test_it_accepts_all_that_the_bridge_writes(commands: list[bytes | str | None]) -> None:
    made, dialect = line(), TwilioDialect()
    dialect.receive(made.start().encode())
    for command in commands:
        if command is None:
            texts = dialect.clear()
        else:
            texts = [dialect.audio(command)] if isinstance(command, bytes) else dialect.mark(command)
        for text in texts:
            made.receive(1000, text.decode())
    assert faults(made) == []
    arrived = [arrival.payload for arrival in made.recording.arrivals]
    assert arrived == [command for command in commands if isinstance(command, bytes)]


def test_a_mark_comes_back_when_it_is_played() -> None:
    made = line()
    assert made.receive(1000, mark("now")) != []
    assert made.receive(1000, media()) + made.receive(1000, mark("later")) == []
    assert made.advance(1039) == []
    assert marks_in(made.advance(1040)) == ["later"]
    assert MarkEchoed(at_ms=1040, name="later") in made.recording.entries


def test_what_was_played_before_a_message_is_told_before_its_answer() -> None:
    made = line()
    for text in (media(), mark("played"), media(), mark("cleared")):
        made.receive(1000, text)
    assert marks_in(made.receive(1045, CLEAR)) == ["played", "cleared"]
    assert made.recording.entries[-2:] == [
        ClearReceived(at_ms=1045, dropped_ms=0, marks=("cleared",)),
        MarkEchoed(at_ms=1045, name="cleared", cleared=True),
    ]


def test_a_clear_empties_the_buffer_and_sends_all_marks_back() -> None:
    made = line()
    for text in (media(SOUND * 10), mark("a"), media(), mark("b")):
        made.receive(1000, text)
    assert marks_in(made.receive(1030, CLEAR)) == ["a", "b"]
    made.advance(1100)
    assert made.recording.heard == b"\xff" * SLOT_BYTES + SOUND + b"\xff" * 4 * SLOT_BYTES
    assert ClearReceived(at_ms=1030, dropped_ms=200, marks=("a", "b")) in made.recording.entries


def test_audio_after_a_clear_is_played_and_its_arrival_kept() -> None:
    made = line()
    made.receive(1000, CLEAR)
    made.receive(1001, media())
    made.advance(1060)
    assert made.recording.arrivals == [Arrival(1001, SOUND)]
    assert made.spoken_ms == 20 and made.spoke_until_ms == 1040


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"\x00\x01", Fault.MALFORMED),
        (CLEAR.encode(), Fault.MALFORMED),  # right, but binary
        ("", Fault.INVALID),
        ("hello", Fault.INVALID),
        ("[1]", Fault.INVALID),
        ("[" * 200_000, Fault.INVALID),
        ('{"event":"clear"}', Fault.INVALID),
        ('{"event":"clear","streamSid":"MZ' + "4" * 32 + '"}', Fault.INVALID),
        (message("clear", extra=1), Fault.INVALID),
        (message("hangup"), Fault.INVALID),
        (message("start"), Fault.INVALID),
        (message("media"), Fault.INVALID),
        (message("media", media={}), Fault.INVALID),
        (message("media", media={"payload": "%%%"}), Fault.INVALID),
        (message("media", media={"payload": 5}), Fault.INVALID),
        (message("media", media={"payload": "", "track": "outbound"}), Fault.INVALID),
        (message("mark"), Fault.INVALID),
        (message("mark", mark={"name": 5}), Fault.INVALID),
        (message("mark", mark={"name": "\ud800"}), Fault.INVALID),
    ],
)
def test_what_twilio_does_not_accept_is_a_fault_and_no_more(text: str | bytes, fault: Fault) -> None:
    made = line()
    assert made.receive(1000, text) == []
    assert faults(made) == [fault]
    made.receive(1000, media())
    assert len(made.recording.arrivals) == 1


@pytest.mark.parametrize("text", [media(), mark("m"), CLEAR])
def test_a_stream_that_only_listens_accepts_nothing(text: str) -> None:
    made = line(bidirectional=False)
    assert made.receive(1000, text) == []
    assert faults(made) == [Fault.PROTOCOL]


def test_more_than_ten_minutes_are_discarded_and_told_once() -> None:
    made = line()
    for payload in (bytes(CAPACITY_BYTES), SOUND, SOUND):
        made.receive(999, media(payload))
    assert faults(made) == [Fault.DISCARDED]
    assert made.discarded_bytes == 2 * SLOT_BYTES
