"""The simulated jambonz: its line's rules, what it reads into verbs, and the dialect at the other end of the line."""

from __future__ import annotations

import json
from array import array
from typing import Any

import msgspec
import pytest

from bridge.carriers.carrier import Ended, Ending, Upgrade, Webhook
from bridge.carriers.dialect import Audio, Binary, Digit, Ignored, MarkPlayed, Started
from bridge.carriers.jambonz import SIGNATURE_HEADER, Jambonz, JambonzConfig
from bridge.carriers.jambonz_dialect import TAIL_MS
from bridge.emulators.caller_plan import CallPlan, Misbehaviour
from bridge.emulators.caller_webhooks import Addresses, Answer, Signature
from bridge.emulators.carrier_line import Message
from bridge.emulators.carriers.jambonz import (
    MAX_MARKS,
    PREBUFFER_MS,
    SUBPROTOCOL,
    JambonzExchange,
    JambonzLine,
    read_verbs,
)
from bridge.emulators.exchange import HttpAsk, exchange_type
from bridge.emulators.recording import CallRecording, ClearReceived, Faulted, MarkEchoed
from bridge.emulators.twiml import StreamOrder
from bridge.errors import ProtocolError, Refused
from bridge.secret import Secret
from telephony_codecs.formats import MULAW_8K, PCM16_8K, AudioFormat, Encoding
from telephony_codecs.g711 import mulaw_decode
from tests.support.carrier_cases import urls_of

SECTION = JambonzConfig(webhook_secret=Secret("wh_secret"), account_sid="9351f46a")
LOCKED = msgspec.structs.replace(SECTION, username="bridge", password=Secret("of-the-socket"))
URLS = urls_of("jambonz")
CALL_ID = "CA0123456789"
ATTRIBUTES = {"callSid": CALL_ID, "accountSid": "9351f46a", "token": "t0ken", "from": "+1555", "to": "+1556"}
#: Some 160 codes, without the second zero, which comes back as the first.
TONE = bytes(range(0x80, 0x100)) + bytes(range(0x20))
FRAME = mulaw_decode(TONE)


def line_of(rate_hz: int = 8000, **options: Any) -> JambonzLine:
    line = JambonzLine(AudioFormat(Encoding.PCM16, rate_hz), ATTRIBUTES, CallRecording(), **options)
    line.begin(0.0)
    return line


def faults(line: JambonzLine) -> list[str]:
    return [entry.detail for entry in line.recording.entries if isinstance(entry, Faulted)]


def told(messages: list[Message]) -> list[Any]:
    return [json.loads(message) for message in messages]


def mark(name: str) -> str:
    return json.dumps({"type": "mark", "data": {"name": name}})


def returned(name: str, event: str) -> dict[str, object]:
    return {"type": "mark", "data": {"name": name, "event": event}}


def later(line: JambonzLine, until_ms: int = 1000) -> list[Any]:
    """What it tells while time passes."""
    return told([message for now_ms in range(0, until_ms, 20) for message in line.advance(now_ms)])


# -- the line -------------------------------------------------------------------------------------------------


def test_it_says_who_calls_and_nothing_that_names_the_message() -> None:
    (opening,) = told(line_of(16000).opening())
    assert opening == {"sampleRate": 16000, "mixType": "mono", **ATTRIBUTES}
    assert not {"event", "type"} & set(opening)


def test_what_is_less_than_the_prebuffer_is_never_heard() -> None:
    line = line_of()
    for _ in range(PREBUFFER_MS // 20 - 1):
        line.receive(0.0, FRAME)
    line.receive(0.0, mark("1.60"))
    assert later(line) == []
    assert line.spoken_ms == 0
    assert TONE not in bytes(line.recording.heard)


def test_the_tail_of_an_utterance_brings_it_out() -> None:
    line = line_of()
    line.receive(0.0, FRAME)
    line.receive(0.0, mark("1.20"))
    for _ in range(TAIL_MS // 20):
        line.receive(0.0, PCM16_8K.silence(20))
    assert later(line) == [returned("1.20", "playout")]
    assert TONE in bytes(line.recording.heard)


def test_while_something_plays_nothing_waits() -> None:
    line = line_of()
    for _ in range(PREBUFFER_MS // 20):
        line.receive(0.0, FRAME)
    line.receive(20.0, FRAME)
    later(line)
    assert bytes(TONE * 5) in bytes(line.recording.heard)


def test_a_mark_with_nothing_before_it_comes_back_at_once() -> None:
    assert told(line_of().receive(0.0, mark("1.0"))) == [returned("1.0", "playout")]


@pytest.mark.parametrize("waiting", [1, 20])
def test_killing_the_audio_returns_pending_marks_as_cleared(waiting: int) -> None:
    line = line_of()
    for _ in range(waiting):
        line.receive(0.0, FRAME)
    line.receive(0.0, mark("1.20"))
    line.receive(0.0, mark("1.40"))
    answers = told(line.receive(0.0, '{"type":"killAudio"}'))
    assert answers == [returned("1.20", "cleared"), returned("1.40", "cleared")]
    (cleared,) = [entry for entry in line.recording.entries if isinstance(entry, ClearReceived)]
    assert cleared.marks == ("1.20", "1.40") and cleared.dropped_ms >= waiting * 20 - 40
    assert [e.cleared for e in line.recording.entries if isinstance(e, MarkEchoed)] == [True, True]
    assert later(line) == []


def test_marks_that_are_cleared_as_such_are_forgotten() -> None:
    line = line_of()
    for _ in range(10):
        line.receive(0.0, FRAME)
    line.receive(0.0, mark("1.200"))
    assert line.receive(0.0, '{"type":"clearMarks"}') == []
    assert later(line) == []


def test_one_mark_too_many_is_a_fault() -> None:
    line = line_of()
    line.receive(0.0, FRAME)
    for n in range(MAX_MARKS + 1):
        line.receive(0.0, mark(f"1.{n}"))
    assert len(faults(line)) == 1
    assert len(told(line.receive(0.0, '{"type":"killAudio"}'))) == MAX_MARKS


@pytest.mark.parametrize(("pending", "number"), [(True, 1), (False, 0)])
def test_a_sample_of_minus_one_is_a_fault_while_a_mark_is_pending(pending: bool, number: int) -> None:
    line = line_of()
    line.receive(0.0, FRAME)
    if pending:
        line.receive(0.0, mark("1.20"))
    line.receive(0.0, array("h", [5, -1, 5]).tobytes())
    assert len(faults(line)) == number


def test_audio_that_was_not_asked_for_is_a_fault() -> None:
    line = line_of(streams=False)
    line.receive(0.0, FRAME)
    assert len(faults(line)) == 1 and not line.recording.arrivals


@pytest.mark.parametrize(("passes", "number"), [(True, 1), (False, 0)])
def test_keys_are_told_if_the_answer_asked_for_them(passes: bool, number: int) -> None:
    assert len(line_of(passes_dtmf=passes).digit(0.0, "5")) == number


def test_a_disconnect_ends_the_verb_and_an_empty_frame_the_call() -> None:
    line = line_of()
    line.receive(0.0, '{"type":"disconnect"}')
    assert line.closing == "disconnect"
    assert line_of().stop() == [b""]


@pytest.mark.parametrize(
    "message",
    ["", "{}", '{"type":"playAudio","data":{}}', '{"type":"killAudio","x":1}', "[" * 5000, "\ud800"],
)
def test_an_unknown_command_is_a_fault_and_costs_nothing_else(message: str) -> None:
    line = line_of()
    assert line.receive(0.0, message) == []
    assert len(faults(line)) == 1 and not line.closing


# -- the dialect at the other end -----------------------------------------------------------------------------


def test_the_dialect_understands_the_line_and_the_line_the_dialect() -> None:
    line, dialect = line_of(), Jambonz(SECTION).dialect(Upgrade(url=URLS.media))
    (opening,) = line.opening()
    assert dialect.receive(str(opening).encode()) == Started(
        CALL_ID,
        CALL_ID,
        "9351f46a",
        parameters={"token": "t0ken"},
        from_number="+1555",
        to_number="+1556",
    )
    (voice,) = line.voice(TONE)
    assert isinstance(voice, bytes)
    assert dialect.receive(Binary(voice)) == Audio(FRAME, 0)
    (digit,) = line.digit(0.0, "#")
    assert dialect.receive(str(digit).encode()) == Digit("#")
    for _ in range(PREBUFFER_MS // 20):
        line.receive(0.0, bytes(dialect.audio(FRAME)))
    (asked,) = dialect.mark("1.80")
    line.receive(0.0, asked.decode())
    (reached,) = later(line)
    assert dialect.receive(json.dumps(reached).encode()) == MarkPlayed("1.80")
    line.receive(1000.0, bytes(dialect.audio(FRAME)))
    (asked,) = dialect.mark("1.100")
    line.receive(1000.0, asked.decode())
    (clear,) = dialect.clear()
    (cleared,) = line.receive(1000.0, clear.decode())
    assert dialect.receive(str(cleared).encode()) == Ignored("mark_cleared")
    (goodbye,) = dialect.goodbye("agent")
    line.receive(1000.0, goodbye.decode())
    assert line.closing and not faults(line)
    (farewell,) = line.stop()
    assert isinstance(farewell, bytes)
    assert dialect.receive(Binary(farewell)) == Ignored("empty_media")


def test_no_audio_of_the_dialect_is_taken_for_a_mark() -> None:
    line, dialect = line_of(), Jambonz(SECTION).dialect(Upgrade(url=URLS.media))
    dialect.receive(str(line.opening()[0]).encode())
    line.receive(0.0, FRAME)
    line.receive(0.0, mark("1.20"))
    line.receive(0.0, bytes(dialect.audio(b"\xff\xff" * 160)))
    assert not faults(line)


# -- the exchange ---------------------------------------------------------------------------------------------


def exchange_of(section: JambonzConfig = SECTION, **misbehaviour: Any) -> JambonzExchange:
    plan = CallPlan(
        answer_url=URLS.answer, section=section, carrier="jambonz", misbehaviour=Misbehaviour(**misbehaviour)
    )
    found = exchange_type("jambonz")(plan, Addresses(URLS.answer), section)
    assert isinstance(found, JambonzExchange)
    return found


def webhook_of(ask: HttpAsk) -> Webhook:
    """The request as the bridge gets it, at the time it was signed."""
    signed_s = ask.headers.get(SIGNATURE_HEADER, "t=0,").partition(",")[0].removeprefix("t=")
    return Webhook(url=ask.url, headers=ask.headers, body=ask.body, now_s=float(signed_s))


def ordered(exchange: JambonzExchange) -> StreamOrder:
    """The order that the bridge's answer to the call's hook is."""
    carrier, webhook = Jambonz(exchange.section), webhook_of(exchange.announce())
    carrier.verify_webhook(webhook)
    call = carrier.incoming(webhook)
    assert call is not None and call.call_id == exchange.call_id
    answer = Answer(200, carrier.answer(call, URLS, "t0ken").body)
    assert [verb.name for verb in exchange.verbs(answer)] == ["say", "hangup"]
    order = exchange.understand(answer)
    assert order is not None
    return order


def test_the_answer_of_the_bridge_is_understood() -> None:
    exchange = exchange_of()
    order = ordered(exchange)
    assert (order.url, order.action, order.bidirectional) == (URLS.media, URLS.ended, True)
    assert (order.audio, order.parameters) == (PCM16_8K, {"token": "t0ken"})
    line = exchange.line(order, CallRecording())
    (opening,) = told(line.opening())
    assert (opening["callSid"], opening["token"]) == (exchange.call_id, "t0ken")
    assert len(line.digit(0.0, "1")) == 1


def test_the_media_socket_is_opened_with_the_answer_s_password() -> None:
    exchange = exchange_of(LOCKED)
    handshake = exchange.handshake(ordered(exchange))
    assert handshake.subprotocols == (SUBPROTOCOL,)
    Jambonz(LOCKED).verify_upgrade(Upgrade(url=handshake.url, headers=handshake.headers))


@pytest.mark.parametrize("signature", [Signature.FORGED, Signature.ABSENT])
def test_a_forger_is_refused(signature: Signature) -> None:
    ask = exchange_of(webhook_signature=signature).announce()
    with pytest.raises(Refused):
        Jambonz(SECTION).verify_webhook(webhook_of(ask))
    exchange = exchange_of(LOCKED, upgrade_signature=signature)
    handshake = exchange.handshake(ordered(exchange))
    with pytest.raises(Refused):
        Jambonz(LOCKED).verify_upgrade(Upgrade(url=handshake.url, headers=handshake.headers))


@pytest.mark.parametrize(
    ("hung_up", "ending", "verbs"),
    [
        (True, Ended(), ["hangup"]),
        (False, Ended(), ["hangup"]),
        (False, Ended(Ending.LOST), ["say", "hangup"]),
        (False, Ended(Ending.TRANSFERRED, "+15550100003"), ["dial", "hangup"]),
    ],
)
def test_what_comes_after_the_stream_is_asked_and_understood(
    hung_up: bool, ending: Ended, verbs: list[str]
) -> None:
    exchange, carrier = exchange_of(), Jambonz(SECTION)
    ask = exchange.ended(ordered(exchange), hung_up=hung_up)
    assert ask is not None
    webhook = webhook_of(ask)
    carrier.verify_webhook(webhook)
    assert carrier.call_id_of(webhook) == exchange.call_id
    found = exchange.verbs(Answer(200, carrier.ended(webhook, ending).body))
    assert [verb.name for verb in found] == verbs
    if verbs[0] == "dial":
        assert found[0].text == "+15550100003"


@pytest.mark.parametrize("event", ["started", "stopped", "error"])
def test_statuses_are_told(event: str) -> None:
    exchange, carrier = exchange_of(), Jambonz(SECTION)
    webhook = webhook_of(exchange.status(ordered(exchange), event))
    carrier.verify_webhook(webhook)
    assert (webhook.url, carrier.status(webhook)) == (URLS.status, event)


def test_a_claim_to_be_another_call_is_in_the_start() -> None:
    exchange = exchange_of(start_call_sid="another-call")
    (opening,) = told(exchange.line(ordered(exchange), CallRecording()).opening())
    assert opening["callSid"] == "another-call"


@pytest.mark.parametrize(
    "spoil",
    [
        {"url": "https://bridge.example"},
        {"sampleRate": 16000},
        {"sampleRate": 64000, "bidirectionalAudio": {"streaming": True, "sampleRate": 64000}},
        {"bidirectionalAudio": {"streaming": True}},
        {"mixtype": "mono"},
        {"wsAuth": {"username": "x"}},
    ],
)
def test_an_answer_that_jambonz_would_refuse_is_refused(spoil: dict[str, object]) -> None:
    listen = json.loads(Jambonz(SECTION).answer(_call(), URLS, "t").body)[1]
    with pytest.raises(ProtocolError):
        exchange_of().understand(Answer(200, json.dumps([listen | spoil])))


def test_without_streaming_nothing_of_ours_is_played() -> None:
    listen = json.loads(Jambonz(SECTION).answer(_call(), URLS, "t").body)[1]
    silent = listen | {"bidirectionalAudio": {"enabled": True, "sampleRate": 8000}}
    order = exchange_of().understand(Answer(200, json.dumps([silent])))
    assert order is not None and not order.bidirectional


def _call() -> Any:
    call = Jambonz(SECTION).incoming(webhook_of(exchange_of().announce()))
    assert call is not None
    return call


@pytest.mark.parametrize("body", ["", "{}", "<Response/>", '[{"say":"x"}]', '["say"]', "[" * 9000])
def test_what_is_no_list_of_verbs_is_refused(body: str) -> None:
    with pytest.raises(ProtocolError):
        read_verbs(body)


def test_an_answer_without_a_stream_orders_none() -> None:
    exchange = exchange_of()
    answer = Answer(200, '[{"verb":"sip:decline","status":486}]')
    assert exchange.understand(answer) is None
    assert [verb.name for verb in exchange.verbs(answer)] == ["sip:decline"]
    assert MULAW_8K.bytes_in(20) == len(TONE)
