"""The simulated Vonage: its line's rules, what it reads into an NCCO, and the dialect at the other end of the line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.carriers.carrier import Ended, Ending, Webhook
from bridge.carriers.dialect import Audio, Binary, Digit, Ignored, MarkPlayed, Started
from bridge.carriers.vonage import Vonage, VonageConfig
from bridge.emulators.caller_plan import CallPlan, Misbehaviour
from bridge.emulators.caller_webhooks import Addresses, Answer, Signature
from bridge.emulators.carrier_line import Message
from bridge.emulators.carriers.vonage import (
    CAPACITY_MESSAGES,
    VonageExchange,
    VonageLine,
    read_ncco,
)
from bridge.emulators.exchange import HttpAsk, exchange_type
from bridge.emulators.recording import CallRecording, ClearReceived, Faulted, MarkEchoed
from bridge.emulators.twiml import StreamOrder
from bridge.errors import ProtocolError, Refused
from bridge.secret import Secret
from telephony_codecs.formats import MULAW_8K, PCM16_8K, AudioFormat, Encoding
from telephony_codecs.g711 import mulaw_decode
from tests.support.carrier_cases import urls_of

KEY = Secret("a-signature-secret-of-thirty-two-or-more-characters")
SECTION = VonageConfig(signature_secret=KEY, api_key="abcd1234")
URLS = urls_of("vonage")
HEADERS = {"call": "CA0123456789", "token": "t0ken"}
#: Some 160 codes, without the second zero, which comes back as the first.
TONE = bytes(range(0x80, 0x100)) + bytes(range(0x20))
FRAME = mulaw_decode(TONE)


def line_of(rate_hz: int = 8000, kind: type[VonageLine] = VonageLine) -> VonageLine:
    line = kind(AudioFormat(Encoding.PCM16, rate_hz), HEADERS, CallRecording())
    line.begin(0.0)
    return line


def faults(line: VonageLine) -> list[str]:
    return [entry.detail for entry in line.recording.entries if isinstance(entry, Faulted)]


def told(messages: list[Message]) -> list[Any]:
    return [json.loads(message) for message in messages]


def notify(name: str) -> str:
    return json.dumps({"action": "notify", "payload": {"mark": name}})


# -- the line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000])
def test_it_says_what_the_stream_is_and_brings_the_headers_back(rate_hz: int) -> None:
    (opening,) = told(line_of(rate_hz).opening())
    assert opening == {
        "event": "websocket:connected",
        "content-type": f"audio/l16;rate={rate_hz}",
        **HEADERS,
    }


@pytest.mark.parametrize(("rate_hz", "size"), [(8000, 320), (16000, 640), (24000, 960)])
def test_the_caller_comes_in_frames_of_20_ms(rate_hz: int, size: int) -> None:
    line = line_of(rate_hz)
    frames = [frame for _ in range(20) for frame in line.voice(TONE)]
    assert {len(frame) for frame in frames} == {size}
    assert 19 <= len(frames) <= 20
    assert line.recording.said == TONE * 20


def test_a_frame_is_heard_as_it_was_sent() -> None:
    line = line_of()
    for n in range(5):
        line.receive(n * 20.0, FRAME)
    line.advance(500.0)
    assert bytes(TONE * 5) in bytes(line.recording.heard)
    assert not faults(line)


@pytest.mark.parametrize(
    ("rate_hz", "size"), [(8000, 160), (8000, 640), (8000, 0), (16000, 320), (16000, 641)]
)
def test_a_frame_of_the_wrong_size_ends_the_socket(rate_hz: int, size: int) -> None:
    line = line_of(rate_hz)
    line.receive(0.0, bytes(size))
    assert line.closing == f"unexpected frame size {size}, when required {rate_hz // 25}"
    assert line.closing_code != 1000
    assert faults(line) == [line.closing]


def test_it_keeps_so_many_messages_and_no_more() -> None:
    line = line_of()
    for _ in range(CAPACITY_MESSAGES + 3):
        line.receive(0.0, FRAME)
    assert len(faults(line)) == 1
    # The first slot was taken out of the buffer at once.
    assert line.discarded_bytes in (2 * 160, 3 * 160)


def test_a_notify_comes_back_once_all_before_it_is_played() -> None:
    line = line_of()
    for _ in range(4):
        line.receive(0.0, FRAME)
    assert line.receive(0.0, notify("1.80")) == []
    reached = [message for now_ms in range(20, 400, 20) for message in line.advance(now_ms)]
    assert told(reached) == [{"event": "websocket:notify", "payload": {"mark": "1.80"}}]


def test_a_notify_with_nothing_before_it_comes_back_at_once_with_all_of_its_payload() -> None:
    payload = {"mark": "1.0", "more": [1, None]}
    message = json.dumps({"action": "notify", "payload": payload})
    assert told(line_of().receive(0.0, message)) == [{"event": "websocket:notify", "payload": payload}]


def test_a_clear_throws_away_what_waits_and_its_notifies() -> None:
    line = line_of()
    for _ in range(10):
        line.receive(0.0, FRAME)
    line.receive(0.0, notify("1.200"))
    assert told(line.receive(0.0, '{"action":"clear"}')) == [{"event": "websocket:cleared"}]
    (cleared,) = [entry for entry in line.recording.entries if isinstance(entry, ClearReceived)]
    assert cleared.marks == ("1.200",) and cleared.dropped_ms >= 180
    assert [message for now_ms in range(20, 1000, 20) for message in line.advance(now_ms)] == []


class Returning(VonageLine):
    returns_cleared = True


def test_a_clear_may_send_its_notifies_back() -> None:
    line = line_of(kind=Returning)
    line.receive(0.0, FRAME)
    line.receive(0.0, FRAME)
    line.receive(0.0, notify("1.40"))
    answers = told(line.receive(0.0, '{"action":"clear"}'))
    assert [answer["event"] for answer in answers] == ["websocket:notify", "websocket:cleared"]
    (echoed,) = [entry for entry in line.recording.entries if isinstance(entry, MarkEchoed)]
    assert (echoed.name, echoed.cleared) == ("1.40", True)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{}",
        '{"action":"stop"}',
        '{"action":"clear","now":1}',
        '{"action":"notify"}',
        "[" * 5000,
        "\ud800",
    ],
)
def test_an_unknown_command_is_a_fault_and_costs_nothing_else(message: str) -> None:
    line = line_of()
    assert line.receive(0.0, message) == []
    assert len(faults(line)) == 1 and not line.closing


# -- the dialect at the other end -----------------------------------------------------------------------------


def test_the_dialect_understands_the_line_and_the_line_the_dialect() -> None:
    line, dialect = line_of(), Vonage(SECTION).dialect(None)  # type: ignore[arg-type]
    (opening,) = line.opening()
    assert dialect.receive(str(opening).encode()) == Started(
        HEADERS["call"], HEADERS["call"], parameters={"token": "t0ken"}
    )
    assert dialect.outbound_format == PCM16_8K
    (voice,) = line.voice(TONE)
    assert isinstance(voice, bytes)
    assert dialect.receive(Binary(voice)) == Audio(FRAME, 0)
    (digit,) = line.digit(0.0, "#")
    assert dialect.receive(str(digit).encode()) == Digit("#")
    assert line.receive(0.0, bytes(dialect.audio(FRAME))) == []
    for message in dialect.mark("1.20"):
        assert line.receive(0.0, message.decode()) == []
    (reached,) = [message for now_ms in range(20, 200, 20) for message in line.advance(now_ms)]
    assert dialect.receive(str(reached).encode()) == MarkPlayed("1.20")
    (clear,) = dialect.clear()
    (cleared,) = line.receive(200.0, clear.decode())
    assert dialect.receive(str(cleared).encode()) == Ignored("cleared")
    assert not faults(line)


# -- the exchange ---------------------------------------------------------------------------------------------


def exchange_of(misbehaviour: Misbehaviour | None = None) -> VonageExchange:
    plan = CallPlan(
        answer_url=URLS.answer, section=SECTION, carrier="vonage", misbehaviour=misbehaviour or Misbehaviour()
    )
    found = exchange_type("vonage")(plan, Addresses(URLS.answer), SECTION)
    assert isinstance(found, VonageExchange)
    return found


def webhook_of(ask: HttpAsk) -> Webhook:
    """The request as the bridge gets it, at the time it was signed."""
    import jwt

    token = ask.headers.get("Authorization", "").removeprefix("Bearer ")
    now_s = jwt.decode(token, options={"verify_signature": False})["iat"] if token else 0
    return Webhook(url=ask.url, method=ask.method, headers=ask.headers, body=ask.body, now_s=now_s)


def ordered(exchange: VonageExchange, section: VonageConfig = SECTION) -> StreamOrder:
    """The order that the bridge's answer to the call's webhook is."""
    carrier, webhook = Vonage(section), webhook_of(exchange.announce())
    carrier.verify_webhook(webhook)
    call = carrier.incoming(webhook)
    assert call is not None and call.call_id == exchange.call_id
    order = exchange.understand(Answer(200, carrier.answer(call, URLS, "t0ken").body))
    assert order is not None
    return order


@pytest.mark.parametrize("rate_hz", [8000, 16000])
def test_the_answer_of_the_bridge_is_understood(rate_hz: Any) -> None:
    exchange = exchange_of()
    order = ordered(exchange, VonageConfig(signature_secret=KEY, api_key="abcd1234", rate_hz=rate_hz))
    assert (order.url, order.audio.rate_hz, order.bidirectional) == (URLS.media, rate_hz, True)
    assert order.parameters == {"token": "t0ken", "call": exchange.call_id}
    assert order.action.startswith(f"{URLS.ended}?call={exchange.call_id}")
    (opening,) = told(exchange.line(order, CallRecording()).opening())
    assert (opening["token"], opening["call"]) == ("t0ken", exchange.call_id)


@pytest.mark.parametrize("signature", [Signature.FORGED, Signature.ABSENT])
def test_a_forger_is_refused(signature: Signature) -> None:
    ask = exchange_of(Misbehaviour(webhook_signature=signature)).announce()
    with pytest.raises(Refused):
        Vonage(SECTION).verify_webhook(webhook_of(ask))


@pytest.mark.parametrize(
    ("hung_up", "error", "ending", "verbs"),
    [
        (True, "", Ended(), []),
        (False, "", Ended(), []),
        (False, "", Ended(Ending.LOST), ["talk"]),
        (False, "no socket", Ended(), ["talk"]),
        (False, "", Ended(Ending.TRANSFERRED, "+15550100003"), ["connect"]),
    ],
)
def test_what_comes_after_the_stream_is_asked_and_understood(
    hung_up: bool, error: str, ending: Ended, verbs: list[str]
) -> None:
    exchange, carrier = exchange_of(), Vonage(SECTION)
    ask = exchange.ended(ordered(exchange), hung_up=hung_up, error=error)
    assert ask is not None
    webhook = webhook_of(ask)
    carrier.verify_webhook(webhook)
    assert carrier.call_id_of(webhook) == ("" if hung_up else exchange.call_id)
    reply = carrier.ended(webhook, ending)
    found = exchange.verbs(Answer(reply.status, reply.body))
    assert [verb.name for verb in found] == verbs
    if verbs == ["connect"]:
        assert found[0].text == "15550100003"


@pytest.mark.parametrize(
    ("event", "meaning"), [("started", "started"), ("stopped", "stopped"), ("error", "error")]
)
def test_statuses_are_told(event: str, meaning: str) -> None:
    exchange, carrier = exchange_of(), Vonage(SECTION)
    webhook = webhook_of(exchange.status(ordered(exchange), event))
    carrier.verify_webhook(webhook)
    assert (webhook.url, carrier.status(webhook)) == (URLS.status, meaning)


def test_a_claim_to_be_another_call_is_in_the_start() -> None:
    exchange = exchange_of(Misbehaviour(start_call_sid="another-call"))
    (opening,) = told(exchange.line(ordered(exchange), CallRecording()).opening())
    assert opening["call"] == "another-call"


@pytest.mark.parametrize(
    "spoil",
    [
        {"uri": "https://bridge.example"},
        {"content-type": "audio/l16;rate=44100"},
        {"headers": {"x": "y" * 600}},
        {"headers": {"x": 5}},
        {"type": "carrier-pigeon"},
    ],
)
def test_an_answer_that_vonage_would_refuse_is_refused(spoil: dict[str, object]) -> None:
    endpoint = {"type": "websocket", "uri": URLS.media, "content-type": "audio/l16;rate=8000", "headers": {}}
    ncco = [{"action": "connect", "endpoint": [endpoint | spoil]}]
    with pytest.raises(ProtocolError):
        exchange_of().understand(Answer(200, json.dumps(ncco)))


@pytest.mark.parametrize("body", ["", "{}", "<Response/>", '[{"action":"dance"}]', "[" * 9000])
def test_what_is_no_ncco_is_refused(body: str) -> None:
    with pytest.raises(ProtocolError):
        read_ncco(body)


def test_an_answer_without_a_stream_orders_none() -> None:
    exchange = exchange_of()
    answer = Answer(200, '[{"action":"talk","text":"Goodbye."}]')
    assert exchange.understand(answer) is None
    assert [verb.name for verb in exchange.verbs(answer)] == ["talk"]
    assert MULAW_8K.bytes_in(20) == len(TONE)
