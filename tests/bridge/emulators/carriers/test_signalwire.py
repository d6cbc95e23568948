"""What SignalWire says and does, in virtual time, and that the bridge's own dialect and carrier agree with it."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.carriers.carrier import Ended, Ending, Upgrade, Webhook
from bridge.carriers.dialect import Audio, Connected, Digit, MarkPlayed, Started, Stopped
from bridge.carriers.signalwire import SignalWire, SignalWireConfig
from bridge.carriers.signalwire_dialect import SignalWireDialect
from bridge.emulators.caller_plan import CallPlan, Misbehaviour
from bridge.emulators.caller_webhooks import Addresses, Answer, Signature
from bridge.emulators.carrier_buffer import SLOT_BYTES
from bridge.emulators.carrier_line import Message
from bridge.emulators.carriers.signalwire import SOME_PROJECT, SignalWireExchange, SignalWireLine
from bridge.emulators.exchange import HttpAsk
from bridge.emulators.recording import CallRecording, ClearReceived, Faulted, MarkEchoed
from bridge.emulators.twiml import StreamOrder
from bridge.errors import ProtocolError, Refused
from bridge.secret import Secret
from telephony_codecs.formats import MULAW_8K, AudioFormat, Encoding
from telephony_codecs.transcoder import Transcoder
from tests.support.carrier_cases import urls_of

SOUND = b"\x20" * SLOT_BYTES
FRAME = bytes(range(160))
FORMATS = [MULAW_8K, AudioFormat(Encoding.PCM16, 16_000), AudioFormat(Encoding.PCM16, 24_000)]


def line(audio: AudioFormat = MULAW_8K, *, big_endian: bool = False) -> SignalWireLine:
    order = StreamOrder("wss://bridge.example/media", parameters={"token": "t"}, audio=audio)
    made = SignalWireLine(order, CallRecording(), call_id="call-1", buffer_ms=0, big_endian=big_endian)
    made.begin(1000)
    return made


def dialect_of(made: SignalWireLine, *, big_endian: bool = False) -> SignalWireDialect:
    dialect = SignalWireDialect(big_endian=big_endian)
    connected, started = (dialect.receive(encoded(message)) for message in made.opening())
    assert connected == Connected()
    assert started == Started("call-1", made.stream_id, SOME_PROJECT, True, {"token": "t"})
    return dialect


def encoded(message: Message) -> bytes:
    assert isinstance(message, str)
    return message.encode()


def command(made: SignalWireLine, event: str, **body: Any) -> str:
    return json.dumps({"event": event, "streamSid": made.stream_id} | body)


def faults(made: SignalWireLine) -> list[str]:
    return [entry.detail for entry in made.recording.entries if isinstance(entry, Faulted)]


# -- what it sends -------------------------------------------------------------------------------------


def test_messages_look_as_signalwire_documents_them() -> None:
    made = line()
    sent = [
        *made.opening(),
        *made.voice(FRAME),
        *made.voice(FRAME),
        *made.digit(1040, "A"),
        *made.receive(1040, command(made, "mark", mark={"name": "m"})),
        *made.stop(),
    ]
    connected, start, first, second, dtmf, mark, stop = map(json.loads, sent)
    assert connected == {"event": "connected", "protocol": "Call", "version": "0.2.0"}
    assert "streamSid" not in start and start["start"]["streamSid"] == made.stream_id
    assert first["media"] == {
        "track": "inbound",
        "chunk": "1",
        "timestamp": "0",
        "payload": b64encode(FRAME).decode(),
    }
    assert (second["media"]["timestamp"], "streamSid" in second) == ("20", False)
    assert dtmf == {"event": "dtmf", "sequenceNumber": "4", "dtmf": {"digit": "A", "duration": 200}}
    assert mark == {"event": "mark", "sequenceNumber": "5", "mark": {"name": "m"}}
    assert stop == {"event": "stop", "sequenceNumber": "6"}
    assert made.recording.said == FRAME * 2


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("audio", FORMATS, ids=str)
def test_the_bridge_understands_all_of_it(audio: AudioFormat, big_endian: bool) -> None:
    made = line(audio, big_endian=big_endian)
    dialect = dialect_of(made, big_endian=big_endian)
    assert dialect.inbound_format == audio
    sent = [
        *made.voice(FRAME),
        *made.digit(1000, "#"),
        *made.receive(1000, command(made, "mark", mark={"name": "ü"})),
        *made.stop(),
    ]
    heard = Transcoder(MULAW_8K, audio).feed(FRAME)
    assert [dialect.receive(encoded(message)) for message in sent] == [
        Audio(heard, 0),
        Digit("#"),
        MarkPlayed("ü"),
        Stopped(),
    ]


def test_a_frame_is_20_ms() -> None:
    with pytest.raises(ValueError, match="160 bytes, not 80"):
        line().voice(bytes(80))


# -- what it does with what it gets --------------------------------------------------------------------


@given(st.lists(st.one_of(st.binary(max_size=400), st.text(max_size=20), st.none()), max_size=10))
def test_it_accepts_all_that_the_bridge_writes(commands: list[bytes | str | None]) -> None:
    made = line()
    dialect = dialect_of(made)
    for each in commands:
        if each is None:
            messages = dialect.clear()
        else:
            messages = [dialect.audio(each)] if isinstance(each, bytes) else dialect.mark(each)
        for message in messages:
            made.receive(1000, message.decode())
    for message in dialect.send_digits("12#"):
        made.receive(1000, message.decode())
    assert faults(made) == []
    assert made.digits_heard == "12#"
    arrived = [arrival.payload for arrival in made.recording.arrivals]
    assert arrived == [each for each in commands if isinstance(each, bytes)]


@pytest.mark.parametrize("big_endian", [False, True])
def test_linear_audio_is_heard_as_it_was_meant(big_endian: bool) -> None:
    audio = FORMATS[1]
    made = line(audio, big_endian=big_endian)
    dialect = dialect_of(made, big_endian=big_endian)
    pcm = Transcoder(MULAW_8K, audio).feed(SOUND * 20)
    made.receive(1000, dialect.audio(pcm).decode())
    assert made.recording.arrivals[0].payload == Transcoder(audio, MULAW_8K).feed(pcm)


def test_a_clear_sends_all_marks_back_as_if_they_were_played() -> None:
    made = line()
    media = command(made, "media", media={"payload": b64encode(SOUND * 10).decode()})
    for text in (media, command(made, "mark", mark={"name": "a"}), command(made, "mark", mark={"name": "b"})):
        assert made.receive(1000, text) == []
    echoes = [json.loads(text)["mark"]["name"] for text in made.receive(1030, command(made, "clear"))]
    assert echoes == ["a", "b"]
    assert ClearReceived(at_ms=1030, dropped_ms=180, marks=("a", "b")) in made.recording.entries
    assert MarkEchoed(at_ms=1030, name="b", cleared=True) in made.recording.entries


def test_a_mark_comes_back_when_it_is_played() -> None:
    made = line()
    made.receive(1000, command(made, "media", media={"payload": b64encode(SOUND).decode()}))
    assert made.receive(1000, command(made, "mark", mark={"name": "m"})) == []
    assert made.advance(1039) == []
    assert [json.loads(text)["mark"]["name"] for text in made.advance(1040)] == ["m"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda made: b"\x00",
        lambda made: "",
        lambda made: "[" * 200_000,
        lambda made: json.dumps({"event": "clear"}),
        lambda made: json.dumps({"event": "clear", "streamSid": "another"}),
        lambda made: command(made, "clear", extra=1),
        lambda made: command(made, "hangup"),
        lambda made: command(made, "media", media={"payload": "%%%"}),
        lambda made: command(made, "media", media={"payload": "AAA=", "track": "x"}),
        lambda made: command(made, "dtmf", dtmf={"digit": "12"}),
        lambda made: command(made, "dtmf", dtmf={"digit": "x"}),
        lambda made: command(made, "mark", mark={"name": 5}),
    ],
)
def test_what_it_does_not_accept_is_a_fault_and_no_more(spoil: Any) -> None:
    made = line()
    assert made.receive(1000, spoil(made)) == []
    assert len(faults(made)) == 1
    assert made.recording.arrivals == [] and made.digits_heard == ""


def test_half_a_sample_is_a_fault() -> None:
    made = line(FORMATS[1])
    made.receive(1000, command(made, "media", media={"payload": b64encode(b"abc").decode()}))
    assert faults(made) == ["audio that ends in half a sample"]


# -- the call around it --------------------------------------------------------------------------------

PUBLIC = "https://bridge.example"
URLS = urls_of("signalwire", PUBLIC)
SECTION = SignalWireConfig(signing_key=Secret("PSK_key"), codec="L16@16000h")
CARRIER = SignalWire(SECTION)


def exchange(misbehaviour: Misbehaviour = Misbehaviour()) -> SignalWireExchange:  # noqa: B008 - it is frozen
    plan = CallPlan(answer_url=URLS.answer, section=SECTION, carrier="signalwire", misbehaviour=misbehaviour)
    return SignalWireExchange(plan, Addresses(URLS.answer), SECTION)


def webhook_of(ask: HttpAsk) -> Webhook:
    form = dict(parse_qsl(ask.body.decode(), keep_blank_values=True))
    return Webhook(url=ask.url, method=ask.method, headers=ask.headers, form=form, body=ask.body)


def ordered(made: SignalWireExchange) -> StreamOrder:
    announced = webhook_of(made.announce())
    CARRIER.verify_webhook(announced)
    call = CARRIER.incoming(announced)
    assert call is not None and call.call_id == made.call_id
    order = made.understand(Answer(200, CARRIER.answer(call, URLS, "one-time").body))
    assert order is not None
    return order


def test_a_call_goes_through_webhook_upgrade_start_and_end() -> None:
    made = exchange()
    order = ordered(made)
    assert (order.audio, order.url) == (FORMATS[1], URLS.media)
    shake = made.handshake(order)
    upgrade = Upgrade(url=shake.url, headers=shake.headers)
    CARRIER.verify_upgrade(upgrade)
    dialect = CARRIER.dialect(upgrade)
    events = [dialect.receive(encoded(m)) for m in made.line(order, CallRecording()).opening()]
    assert isinstance(events[1], Started)
    assert CARRIER.token_of(events[1], upgrade) == "one-time"
    assert events[1].call_id == made.call_id
    for event in ("started", "stopped", "error"):
        told = made.status(order, event, "it broke" if event == "error" else "")
        assert told is not None and told.url == URLS.status
        CARRIER.verify_webhook(webhook_of(told))
        assert CARRIER.status(webhook_of(told)) == event


def test_what_comes_next_is_asked_unless_the_caller_is_gone() -> None:
    made = exchange()
    order = ordered(made)
    assert made.ended(order, hung_up=True) is None
    ask = made.ended(order, hung_up=False)
    assert ask is not None and ask.url == URLS.ended
    CARRIER.verify_webhook(webhook_of(ask))
    reply = CARRIER.ended(webhook_of(ask), Ended(Ending.TRANSFERRED, "+15550003333"))
    assert [verb.name for verb in made.verbs(Answer(200, reply.body))] == ["Dial", "Hangup"]
    reply = CARRIER.ended(webhook_of(ask), Ended(Ending.LOST))
    assert [verb.name for verb in made.verbs(Answer(200, reply.body))] == ["Say", "Hangup"]


@pytest.mark.parametrize("signature", [Signature.FORGED, Signature.ABSENT])
def test_a_forged_webhook_is_refused(signature: Signature) -> None:
    with pytest.raises(Refused):
        CARRIER.verify_webhook(webhook_of(exchange(Misbehaviour(webhook_signature=signature)).announce()))


@pytest.mark.parametrize(
    "misbehaviour",
    [Misbehaviour(upgrade_signature=Signature.FORGED), Misbehaviour(upgrade_signature=Signature.ABSENT)],
)
def test_a_forged_upgrade_brings_no_token(misbehaviour: Misbehaviour) -> None:
    made = exchange(misbehaviour)
    shake = made.handshake(ordered(made))
    upgrade = Upgrade(url=shake.url, headers=shake.headers)
    started = Started("call", "stream", parameters={"token": "one-time"})
    assert CARRIER.token_of(started, upgrade) == ""


@pytest.mark.parametrize("token", ["another", ""])
def test_another_token_is_brought_in_both_places(token: str) -> None:
    made = exchange()
    order = made.with_token(ordered(made), token)
    upgrade = Upgrade(url=order.url, headers=made.handshake(order).headers)
    started = Started("call", "stream", parameters=order.parameters)
    assert CARRIER.token_of(started, upgrade) == token
    assert order.parameters["from"] == "+15550100001"


def test_a_codec_that_there_is_not_is_refused() -> None:
    body = '<Response><Connect><Stream url="wss://b.example/m" codec="OPUS@48000h"/></Connect></Response>'
    with pytest.raises(ProtocolError, match="codec_error"):
        exchange().understand(Answer(200, body))


def test_an_answer_without_a_stream_orders_none() -> None:
    assert exchange().understand(Answer(200, "<Response><Reject/></Response>")) is None
    assert urlsplit(exchange().announce().url).path == "/carriers/signalwire/answer"
