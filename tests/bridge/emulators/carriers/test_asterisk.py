"""What Asterisk's driver says and does, in virtual time, and that the bridge's own dialect agrees with it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.carriers.asterisk import Asterisk, AsteriskConfig
from bridge.carriers.asterisk_dialect import FORMATS, AsteriskDialect
from bridge.carriers.carrier import Upgrade, Webhook
from bridge.carriers.dialect import (
    Audio,
    Binary,
    Digit,
    Event,
    FlowResumed,
    FlowStopped,
    Ignored,
    MarkPlayed,
    Started,
)
from bridge.emulators.caller_plan import CallPlan, Misbehaviour
from bridge.emulators.caller_webhooks import Addresses, Answer, Signature
from bridge.emulators.carrier_buffer import SLOT_BYTES
from bridge.emulators.carrier_line import Message
from bridge.emulators.carriers.asterisk import (
    AsteriskExchange,
    AsteriskIncomingExchange,
    AsteriskLine,
    Channel,
)
from bridge.emulators.exchange import Handshake, HttpAsk
from bridge.emulators.recording import CallRecording, ClearReceived, Faulted, MarkEchoed
from bridge.emulators.twiml import Verb
from bridge.errors import Refused
from bridge.secret import Secret
from telephony_codecs.formats import MULAW_8K
from telephony_codecs.transcoder import Transcoder
from tests.support.carrier_cases import urls_of

SOUND = b"\x20" * SLOT_BYTES
SECTION = AsteriskConfig(username="asterisk", password=Secret("password"), media_url="ws://127.0.0.1:8088")
ANSWER_URL = "http://127.0.0.1:8080/carriers/asterisk/answer"


def line(**channel: Any) -> AsteriskLine:
    made = AsteriskLine(replace(Channel("1795260005.2"), **channel), CallRecording(), buffer_ms=0)
    made.begin(1000)
    return made


def exchange(kind: type[AsteriskExchange] = AsteriskExchange, **misbehaviour: Any) -> AsteriskExchange:
    plan = CallPlan(answer_url=ANSWER_URL, section=SECTION, misbehaviour=Misbehaviour(**misbehaviour))
    return kind(plan, Addresses(ANSWER_URL), SECTION)


def faults(made: AsteriskLine) -> list[str]:
    return [entry.detail for entry in made.recording.entries if isinstance(entry, Faulted)]


def wire(message: Message) -> bytes:
    """A message as a dialect gets it."""
    return message.encode() if isinstance(message, str) else Binary(message)


def events(dialect: AsteriskDialect, messages: list[Message]) -> list[Event]:
    return [dialect.receive(wire(message)) for message in messages]


def sent(message: bytes) -> Message:
    """A message of a dialect as a line gets it."""
    return bytes(message) if isinstance(message, Binary) else message.decode()


# -- what it sends -------------------------------------------------------------------------------------


def test_it_begins_as_was_seen_of_a_real_one() -> None:
    (start,) = line().opening()
    assert isinstance(start, str)
    assert json.loads(start) == {
        "event": "MEDIA_START",
        "connection_id": "bridge",
        "channel": "WebSocket/bridge/0x7f1c2c0062a0",
        "channel_id": "1795260005.2",
        "format": "ulaw",
        "optimal_frame_size": 160,
        "ptime": 20,
        "channel_variables": {},
    }


def test_it_begins_in_plain_text() -> None:
    assert line(json=False).opening() == [
        "MEDIA_START connection_id:bridge channel:WebSocket/bridge/0x7f1c2c0062a0 channel_id:1795260005.2"
        " format:ulaw optimal_frame_size:160 ptime:20"
    ]


@pytest.mark.parametrize("codec", FORMATS)
def test_its_frames_are_of_20_ms(codec: str) -> None:
    made = line(codec=codec)
    frames = [message for _ in range(50) for message in made.voice(SOUND)]
    assert {len(frame) for frame in frames} == {FORMATS[codec].bytes_in(20)}
    assert len(frames) >= 48
    assert made.recording.said == SOUND * 50


def test_a_frame_of_odd_size_comes_among_them() -> None:
    made = line(odd_frames=True)
    frames = [
        bytes(message) for _ in range(20) for message in made.voice(SOUND) if isinstance(message, bytes)
    ]
    assert sorted(set(map(len, frames))) == [79, 81, 160]
    assert b"".join(frames) == SOUND * 20


# -- what it does with what it gets ----------------------------------------------------------------------


def test_what_is_no_whole_frame_is_dropped() -> None:
    made = line()
    made.receive(1000, SOUND + b"\x20" * 81)
    assert made.queued_frames == 1
    assert faults(made) == ["81 bytes beyond whole frames of 160 are dropped"]


def test_the_queue_says_stop_and_go_on_and_is_full() -> None:
    made = line()
    said = [message for _ in range(11) for message in made.receive(1000, SOUND * 90)]
    assert made.queued_frames == 990
    assert [json.loads(message)["event"] for message in said] == ["MEDIA_XOFF"]
    made.receive(1000, SOUND * 90)  # accepted, for there was room when it came
    made.receive(1000, SOUND * 90)
    assert made.discarded_bytes == len(SOUND) * 90
    assert faults(made) == ["1000 frames are queued already"]
    seconds_until_800 = (made.queued_frames - 799) / 50
    assert made.advance(1000 + (seconds_until_800 - 0.02) * 1000) == []
    (go_on,) = made.advance(1000 + (seconds_until_800 + 0.02) * 1000)
    assert json.loads(go_on)["event"] == "MEDIA_XON"


def test_a_flush_takes_the_marks_along_and_tells_nothing() -> None:
    made = line()
    made.receive(1000, SOUND * 10)
    made.receive(1000, '{"command":"MARK_MEDIA","correlation_id":"1.200"}')
    assert made.receive(1060, '{"command":"FLUSH_MEDIA"}') == []
    assert made.advance(2000) == []
    cleared = [entry for entry in made.recording.entries if isinstance(entry, ClearReceived)]
    assert [entry.marks for entry in cleared] == [("1.200",)]
    assert not [entry for entry in made.recording.entries if isinstance(entry, MarkEchoed)]


def test_a_flush_leaves_a_paused_queue_paused() -> None:
    made = line()
    for command in ("PAUSE_MEDIA", "FLUSH_MEDIA"):
        made.receive(1000, json.dumps({"command": command}))
    made.receive(1000, SOUND)
    assert faults(made) == ["sound while the queue is paused: the caller hears nothing"]
    made.receive(1000, '{"command":"CONTINUE_MEDIA"}')
    made.receive(1000, SOUND)
    assert len(faults(made)) == 1


def test_a_mark_comes_back_when_all_before_it_is_played() -> None:
    made = line(json=False)
    made.receive(1000, SOUND * 2)
    assert made.receive(1000, "MARK_MEDIA 1.40") == []
    assert made.advance(1040) == []
    assert made.advance(1060) == ["MEDIA_MARK_PROCESSED 1.40"]
    assert made.receive(1060, "MARK_MEDIA 1.40") == ["MEDIA_MARK_PROCESSED 1.40"]


@pytest.mark.parametrize(
    ("message", "answers"),
    [
        ('{"command":"GET_STATUS"}', ["STATUS"]),
        ('{"command":"REPORT_QUEUE_DRAINED"}', []),
        ('{"command":"ANSWER"}', []),
        ("HANGUP", ["ERROR"]),
        ("{}", ["ERROR"]),
        ("", []),
        ('{"command":"DANCE"}', []),
        ('{"command":"START_MEDIA_BUFFERING"}', []),
        ('{"command":"MARK_MEDIA","correlation_id":"%s"}' % ("m" * 100), []),
    ],
)
def test_commands_are_obeyed_or_are_faults(message: str, answers: list[str]) -> None:
    made = line()
    said = made.receive(1000, message)
    assert [json.loads(text)["event"] for text in said] == answers
    obeyed = any(word in message for word in ("GET_STATUS", "REPORT", "ANSWER"))
    assert bool(faults(made)) is not obeyed


def test_it_tells_once_that_the_queue_is_empty() -> None:
    made = line(json=False)
    made.receive(1000, SOUND)
    made.receive(1000, "REPORT_QUEUE_DRAINED")
    assert made.advance(1100) == ["QUEUE_DRAINED"]
    assert made.advance(1200) == []


def test_a_ping_hangs_up_and_so_does_a_message_that_is_too_big() -> None:
    pinged, flooded = line(), line()
    pinged.pinged(1000)
    flooded.receive(1000, b"\xff" * 65_600)
    assert (bool(pinged.closing), pinged.closing_code) == (True, 1000)
    assert (bool(flooded.closing), flooded.closing_code) == (True, 1009)
    assert faults(pinged) and faults(flooded)


def test_hangup_ends_the_channel_without_a_word() -> None:
    made = line()
    assert made.receive(1000, '{"command":"HANGUP"}') == []
    assert (made.closing, made.closing_code, made.stop()) == ("HANGUP", 1000, [])


# -- with the bridge's dialect ---------------------------------------------------------------------------


@pytest.mark.parametrize("codec", FORMATS)
@pytest.mark.parametrize("in_json", [True, False], ids=["json", "plain"])
def test_dialect_and_line_understand_each_other(codec: str, in_json: bool) -> None:
    made, dialect = line(codec=codec, json=in_json), AsteriskDialect({})
    assert events(dialect, made.voice(SOUND)) in ([Ignored("media_before_start")], [])
    assert events(dialect, made.opening()) == [Started("1795260005.2", "1795260005.2")]
    heard = [event for _ in range(10) for event in events(dialect, made.voice(SOUND))]
    assert {len(event.payload) for event in heard if isinstance(event, Audio)} == {
        FORMATS[codec].bytes_in(20)
    }
    assert events(dialect, made.digit(1000, "#")) == [Digit("#")]
    speech = Transcoder(MULAW_8K, dialect.outbound_format).feed(SOUND * 20)
    size = dialect.outbound_format.bytes_in(dialect.delivery.message_ms)
    for message in [
        *dialect.opened(),
        *(dialect.audio(speech[at : at + size]) for at in range(0, len(speech) - size, size)),
    ]:
        made.receive(1000, sent(message))
    for message in dialect.mark("1.400"):
        made.receive(1000, sent(message))
    assert events(dialect, made.advance(1500)) == [MarkPlayed("1.400")]
    assert made.spoken_ms >= 360
    for message in [*dialect.mark("1.800"), *dialect.clear(), *dialect.goodbye("agent")]:
        made.receive(1500, sent(message))
    assert made.closing == "HANGUP"
    assert faults(made) == []


@pytest.mark.parametrize("in_json", [True, False], ids=["json", "plain"])
def test_stop_and_go_on_are_understood(in_json: bool) -> None:
    made, dialect = line(json=in_json), AsteriskDialect({})
    events(dialect, made.opening())
    stopped = [event for _ in range(10) for event in events(dialect, made.receive(1000, SOUND * 95))]
    assert stopped == [FlowStopped()]
    assert events(dialect, made.advance(9000)) == [FlowResumed()]
    assert events(dialect, made.receive(9000, '{"command":"GET_STATUS"}' if in_json else "GET_STATUS")) == [
        Ignored("status")
    ]


@given(st.lists(st.integers(0, 400), max_size=20))
def test_all_whole_frames_are_heard_and_nothing_else(sizes: list[int]) -> None:
    made = line()
    for size in sizes:
        made.receive(1000, b"\x20" * size)
    made.advance(1000 + 60_000)
    assert made.spoken_ms == sum(size // 160 for size in sizes) * 20


# -- around the stream -----------------------------------------------------------------------------------


def test_it_dials_the_bridge_as_its_dialplan_says() -> None:
    made = exchange()
    assert made.announce() is None
    order = made.understand(None)
    assert order is not None
    shake = made.handshake(order)
    assert shake.subprotocols == ("media",)
    upgrade = Upgrade(url=shake.url, headers=shake.headers)
    Asterisk(SECTION).verify_upgrade(upgrade)
    dialect = Asterisk(SECTION).dialect(upgrade)
    (started,) = events(dialect, made.line(order, CallRecording()).opening())
    assert isinstance(started, Started)
    assert (started.call_id, started.from_number, started.to_number) == (
        made.call_id,
        made.plan.from_number,
        made.plan.to_number,
    )


@pytest.mark.parametrize("signature", [Signature.FORGED, Signature.ABSENT])
def test_a_forged_request_for_the_socket_is_refused(signature: Signature) -> None:
    order = exchange(upgrade_signature=signature).understand(None)
    assert order is not None
    with pytest.raises(Refused):
        Asterisk(SECTION).verify_upgrade(Upgrade(url=order.url, headers=order.headers))


def test_the_dialplan_asks_whom_to_dial_unless_the_caller_is_gone() -> None:
    made = exchange()
    order = made.understand(None)
    assert order is not None
    assert made.ended(order, hung_up=True) is None
    ask = made.ended(order, hung_up=False)
    assert ask is not None
    assert Asterisk(SECTION).call_id_of(webhook_of(ask)) == made.call_id
    assert made.verbs(Answer(200, "+15550009999\n")) == (Verb("Dial", text="+15550009999"),)
    assert made.verbs(Answer(200, "")) == made.verbs(Answer(500, "oops")) == ()


def test_a_channel_that_waits_is_announced_and_let_in_once() -> None:
    made, carrier = exchange(AsteriskIncomingExchange), Asterisk(SECTION)
    assert isinstance(made, AsteriskIncomingExchange)
    webhook = webhook_of(made.announce())
    carrier.verify_webhook(webhook)
    call = carrier.incoming(webhook)
    assert call is not None
    dial = carrier.answer(call, urls_of("asterisk"), "").dial
    assert dial is not None
    shake = Handshake(dial.url, dial.headers, dial.subprotocols)
    path = dial.url.removeprefix(SECTION.media_url)
    assert [made.judge(where, shake) for where in ("/media/another-one", path, path)] == [404, 101, 409]
    assert made.judge(path, Handshake(dial.url)) == 409
    assert made.verbs(Answer(200, "connecting\n")) == ()
    order = made.understand(None)
    assert order is not None
    (started,) = events(AsteriskDialect({}), made.line(order, CallRecording()).opening())
    assert isinstance(started, Started)
    assert (started.call_id, started.from_number) == (call.call_id, call.from_number)


def webhook_of(ask: HttpAsk | None) -> Webhook:
    """A request of the simulation as a carrier gets it."""
    assert ask is not None
    return Webhook(
        url=ask.url,
        method=ask.method,
        headers=ask.headers,
        form=dict(parse_qsl(ask.body.decode())),
        body=ask.body,
    )
