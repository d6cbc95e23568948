"""The simulated Plivo: what it takes and what it complains of, and both ends of a stream without a network."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any
from urllib.parse import parse_qsl

import pytest

from bridge.carriers.carrier import Upgrade, Webhook
from bridge.carriers.dialect import Audio, Digit, Event, Ignored, MarkPlayed, Started
from bridge.carriers.plivo import Plivo, PlivoConfig
from bridge.carriers.plivo_dialect import PlivoDialect
from bridge.emulators.caller_plan import CallPlan, Misbehaviour
from bridge.emulators.caller_webhooks import Addresses, Answer, Signature
from bridge.emulators.carriers.plivo import PlivoExchange, PlivoLine
from bridge.emulators.exchange import HttpAsk
from bridge.emulators.recording import CallRecording, ClearReceived, Faulted, MarkEchoed
from bridge.errors import ProtocolError, Refused
from bridge.secret import Secret
from telephony_codecs.formats import MULAW_8K, AudioFormat, Encoding
from telephony_codecs.transcoder import Transcoder
from tests.support.carrier_cases import urls_of

CONFIG = PlivoConfig(auth_token=Secret("plivo-auth-token"))
CARRIER = Plivo(CONFIG)
URLS = urls_of("plivo", "http://127.0.0.1:8080")
TONE = bytes((i * 37) % 128 for i in range(160))
FORMATS = [MULAW_8K, AudioFormat(Encoding.PCM16, 8000), AudioFormat(Encoding.PCM16, 16000)]


def line(audio: AudioFormat = MULAW_8K) -> PlivoLine:
    made = PlivoLine("call", CallRecording(), audio)
    made.begin(0.0)
    return made


def play(payload: bytes, content_type: str = "audio/x-mulaw", rate_hz: int | str = 8000) -> str:
    media = {"contentType": content_type, "sampleRate": rate_hz, "payload": b64encode(payload).decode()}
    return json.dumps({"event": "playAudio", "media": media})


def of_stream(plivo: PlivoLine, event: str, **body: object) -> str:
    return json.dumps({"event": event, "streamId": plivo.stream_id, **body})


def read(messages: list[str | bytes]) -> list[dict[str, Any]]:
    return [json.loads(message) for message in messages]


def events(dialect: PlivoDialect, messages: list[str | bytes]) -> list[Event]:
    return [dialect.receive(message.encode()) for message in messages if isinstance(message, str)]


def faults(plivo: PlivoLine) -> list[str]:
    return [entry.detail for entry in plivo.recording.entries if isinstance(entry, Faulted)]


# -- the line's rules ------------------------------------------------------------------------------


def test_audio_is_played_and_a_checkpoint_comes_back_when_it_has_been() -> None:
    plivo = line()
    for _ in range(3):
        assert plivo.receive(0.0, play(TONE)) == []
    assert plivo.receive(0.0, of_stream(plivo, "checkpoint", name="end")) == []
    assert plivo.advance(60.0) == []
    (echo,) = read(plivo.advance(80.0))
    assert (echo["event"], echo["name"], echo["streamId"]) == ("playedStream", "end", plivo.stream_id)
    assert TONE * 3 in bytes(plivo.recording.heard)


def test_a_checkpoint_that_was_cleared_never_comes_back() -> None:
    plivo = line()
    for _ in range(10):
        plivo.receive(0.0, play(TONE))
    plivo.receive(0.0, of_stream(plivo, "checkpoint", name="gone"))
    (answer,) = read(plivo.receive(20.0, of_stream(plivo, "clearAudio")))
    assert answer == {"event": "clearedAudio", "sequenceNumber": 0, "streamId": plivo.stream_id}
    assert plivo.advance(10_000.0) == []
    assert [e.marks for e in plivo.recording.entries if isinstance(e, ClearReceived)] == [("gone",)]
    assert not [e for e in plivo.recording.entries if isinstance(e, MarkEchoed)]


@pytest.mark.parametrize("size", [0, 161, 320])
def test_a_message_of_another_size_is_an_incorrect_payload(size: int) -> None:
    plivo = line()
    (complaint,) = read(plivo.receive(0.0, play(bytes(size))))
    assert complaint["event"] == "incorrectPayload"
    assert faults(plivo) == [f"{size} bytes of audio in one message"]


@pytest.mark.parametrize(
    "message",
    [
        play(TONE, "audio/x-l16"),
        play(TONE, rate_hz=16000),
        play(TONE, rate_hz="8000"),
        "hello",
        b"\0",
        '{"event":"media","media":{"payload":""}}',
        '{"event":"playAudio","media":{"payload":""}}',
        '{"event":"clearAudio"}',
        '{"event":"clearAudio","streamId":"another"}',
        '{"event":"checkpoint","streamId":"another","name":"x"}',
    ],
)
def test_what_breaks_its_rules_is_a_fault(message: str | bytes) -> None:
    plivo = line()
    assert plivo.receive(0.0, message) == []
    assert len(faults(plivo)) == 1


def test_it_holds_ten_minutes() -> None:
    plivo = line()
    for _ in range(30_001):
        plivo.queue(0.0, TONE)
    assert plivo.discarded_bytes == 160
    plivo.receive(0.0, play(TONE))
    assert len(faults(plivo)) in (0, 1)


# -- both ends -------------------------------------------------------------------------------------


def test_the_dialect_understands_all_that_the_line_says() -> None:
    plivo, dialect = line(), PlivoDialect()
    assert events(dialect, plivo.opening()) == [Started("call", plivo.stream_id)]
    messages = [*plivo.voice(TONE), *plivo.voice(TONE), *plivo.digit(20.0, "#")]
    messages += plivo.receive(20.0, dialect.mark("m")[0].decode())
    messages += plivo.receive(20.0, dialect.clear()[0].decode())
    messages += plivo.receive(20.0, play(b""))
    assert events(dialect, messages) == [
        Audio(TONE, 0),
        Audio(TONE, 20),
        Digit("#"),
        MarkPlayed("m"),
        Ignored("cleared_audio"),
        Ignored("incorrect_payload"),
    ]
    assert plivo.stop() == [], "closing says it all"


@pytest.mark.parametrize("audio", FORMATS, ids=str)
def test_the_line_plays_what_the_dialect_says(audio: AudioFormat) -> None:
    plivo, dialect = line(audio), PlivoDialect()
    events(dialect, plivo.opening())
    assert dialect.outbound_format == audio
    speaks = Transcoder(MULAW_8K, audio)
    for _ in range(5):
        payload = (speaks.feed(TONE) + audio.silence(20))[: audio.bytes_in(20)]
        assert plivo.receive(0.0, dialect.audio(payload).decode()) == []
    plivo.advance(300.0)
    assert faults(plivo) == []
    assert plivo.spoken_ms > 80
    if audio == MULAW_8K:
        assert TONE * 5 in bytes(plivo.recording.heard)


def test_keys_are_pressed_by_a_message() -> None:
    plivo, dialect = line(), PlivoDialect()
    assert plivo.receive(0.0, dialect.send_digits("12#")[0].decode()) == []
    assert plivo.digits_sent == "12#"


# -- the exchange ----------------------------------------------------------------------------------


def exchange(**options: Any) -> PlivoExchange:
    plan = CallPlan(answer_url=URLS.answer, section=CONFIG, carrier="plivo", call_sid="call", **options)
    return PlivoExchange(plan, Addresses(URLS.answer), CONFIG)


def webhook(ask: HttpAsk | None) -> Webhook:
    assert ask is not None
    return Webhook(
        url=ask.url,
        method=ask.method,
        headers=ask.headers,
        form=dict(parse_qsl(ask.body.decode())),
        body=ask.body,
    )


def test_a_call_from_its_webhook_to_what_comes_after() -> None:
    plivo = exchange()
    asked = webhook(plivo.announce())
    CARRIER.verify_webhook(asked)
    call = CARRIER.incoming(asked)
    assert call is not None
    answer = Answer(200, CARRIER.answer(call, URLS, "one-time").body)
    order = plivo.understand(answer)
    assert order is not None
    assert (order.url, order.audio) == (f"{URLS.media}/one-time", MULAW_8K)
    assert [verb.name for verb in plivo.verbs(answer)] == ["Redirect"]
    started = events(CARRIER.dialect(Upgrade(url=order.url)), plivo.line(order, CallRecording()).opening())[0]
    assert isinstance(started, Started)
    assert started.call_id == call.call_id
    assert CARRIER.status(webhook(plivo.status(order, "error"))) == "error"
    ended = webhook(plivo.ended(order, hung_up=False))
    CARRIER.verify_webhook(ended)
    assert (ended.url, CARRIER.call_id_of(ended)) == (URLS.ended, "call")
    assert plivo.ended(order, hung_up=True) is None


def test_a_call_announced_by_get() -> None:
    asked = webhook(exchange().announce_by_get())
    CARRIER.verify_webhook(asked)
    call = CARRIER.incoming(asked)
    assert call is not None
    assert call.call_id == "call"


@pytest.mark.parametrize("signature", [Signature.FORGED, Signature.ABSENT])
def test_a_forged_call_is_not_believed(signature: Signature) -> None:
    plivo = exchange(misbehaviour=Misbehaviour(webhook_signature=signature))
    with pytest.raises(Refused):
        CARRIER.verify_webhook(webhook(plivo.announce()))


STREAM = 'bidirectional="true" keepCallAlive="true"'


@pytest.mark.parametrize(
    "body",
    [
        "no XML",
        "<Request/>",
        f"<Response><Stream {STREAM}>wss://x</Stream></Response>",
        f'<Response><Stream {STREAM} contentType="audio/x-alaw;rate=8000">wss://x</Stream></Response>',
        f'<Response><Stream {STREAM} contentType="audio/x-mulaw;rate=8000">https://x</Stream></Response>',
        '<Response><Stream contentType="audio/x-mulaw;rate=8000">wss://x</Stream></Response>',
    ],
)
def test_an_answer_that_would_be_silence_is_refused(body: str) -> None:
    with pytest.raises(ProtocolError):
        exchange().understand(Answer(200, body))


def test_an_answer_without_a_stream_asks_for_none() -> None:
    assert exchange().understand(Answer(200, "<Response><Hangup/></Response>")) is None
