"""The simulated Telnyx: what it takes and what it complains of, and both ends of a stream without a network."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from bridge.carriers.carrier import Upgrade, Webhook
from bridge.carriers.dialect import Audio, Connected, Digit, Event, Ignored, MarkPlayed, Started, Stopped
from bridge.carriers.telnyx import CALL_CONTROL, Telnyx, TelnyxConfig
from bridge.carriers.telnyx_dialect import TelnyxDialect
from bridge.emulators.caller_plan import CallPlan, Misbehaviour
from bridge.emulators.caller_webhooks import Addresses, Answer, Signature
from bridge.emulators.carriers.telnyx import PUBLIC_KEY, Fault, TelnyxExchange, TelnyxLine, stream_order
from bridge.emulators.exchange import HttpAsk
from bridge.emulators.recording import BridgeStarted, CallRecording, ClearReceived, Faulted
from bridge.errors import ProtocolError, Refused
from bridge.secret import Secret
from telephony_codecs.formats import ALAW_8K, MULAW_8K, AudioFormat, Encoding
from telephony_codecs.transcoder import Transcoder
from tests.support.carrier_cases import urls_of
from tests.support.dialect_checks import events_of

CONFIG = TelnyxConfig(public_key=Secret(PUBLIC_KEY))
CARRIER = Telnyx(CONFIG)
URLS = urls_of("telnyx", "http://127.0.0.1:8080")
TONE = bytes((i * 37) % 128 for i in range(160))
WIDE = AudioFormat(Encoding.PCM16, 16000)


def line(audio: AudioFormat = MULAW_8K, **options: Any) -> TelnyxLine:
    made = TelnyxLine("v3:call", CallRecording(), audio, **options)
    made.begin(0.0)
    return made


def media(payload: bytes) -> str:
    return json.dumps({"event": "media", "media": {"payload": b64encode(payload).decode()}})


def mark(name: str) -> str:
    return json.dumps({"event": "mark", "mark": {"name": name}})


def read(messages: list[str | bytes]) -> list[dict[str, Any]]:
    return [json.loads(message) for message in messages]


def events(dialect: TelnyxDialect, messages: list[str | bytes]) -> list[Event]:
    return [
        event
        for message in messages
        if isinstance(message, str)
        for event in events_of(dialect.receive(message.encode()))
    ]


# -- the line's rules ------------------------------------------------------------------------------


def test_audio_is_played_and_a_mark_comes_back_when_it_has_been() -> None:
    telnyx = line()
    for number in range(3):
        assert telnyx.receive(0.0, media(TONE)) == [], number
    assert telnyx.receive(0.0, mark("end")) == []
    assert telnyx.advance(60.0) == []
    (echo,) = read(telnyx.advance(80.0))
    assert (echo["event"], echo["mark"]) == ("mark", {"name": "end"})
    assert TONE * 3 in bytes(telnyx.recording.heard)


def test_a_clear_sends_all_pending_marks_back() -> None:
    telnyx = line()
    telnyx.receive(0.0, media(TONE * 10))
    telnyx.receive(0.0, mark("a"))
    telnyx.receive(0.0, mark("b"))
    assert [echo["mark"]["name"] for echo in read(telnyx.receive(20.0, '{"event":"clear"}'))] == ["a", "b"]
    cleared = [entry for entry in telnyx.recording.entries if isinstance(entry, ClearReceived)]
    assert [entry.marks for entry in cleared] == [("a", "b")]
    assert [echo["mark"]["name"] for echo in read(telnyx.receive(20.0, mark("c")))] == ["c"], (
        "nothing is left"
    )


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (media(TONE[:159]), Fault.INVALID_MEDIA),
        (media(b""), Fault.INVALID_MEDIA),
        (media(TONE * 1501), Fault.INVALID_MEDIA),
        ("hello", Fault.MALFORMED),
        (b"\0", Fault.MALFORMED),
        ('{"event":"media"}', Fault.MALFORMED),
        ('{"event":"media","media":{"payload":"A A"}}', Fault.MALFORMED),
        ('{"event":"clear","stream_id":"x"}', Fault.MALFORMED),
        ('{"event":"playAudio"}', Fault.MALFORMED),
    ],
)
def test_what_breaks_its_rules_is_a_fault_and_an_error_event(message: str | bytes, code: Fault) -> None:
    telnyx = line()
    (error,) = read(telnyx.receive(5.0, message))
    assert (error["event"], error["payload"]["code"]) == ("error", code)
    assert [(e.at_ms, e.code) for e in telnyx.recording.entries if isinstance(e, Faulted)] == [(5.0, code)]


def test_a_message_of_30_s_is_played_and_one_of_an_hour_does_not_fit() -> None:
    telnyx = line()
    assert telnyx.receive(0.0, media(TONE * 1500)) == []
    told = [telnyx.receive(0.0, media(TONE * 1500)) for _ in range(20)]
    assert read(told[-1])[0]["payload"]["code"] == Fault.UNKNOWN
    assert telnyx.discarded_bytes > 0


def test_a_frame_has_20_ms() -> None:
    with pytest.raises(ValueError, match="160 bytes"):
        line().voice(TONE[:80])


# -- both ends -------------------------------------------------------------------------------------


def test_the_dialect_understands_all_that_the_line_says() -> None:
    telnyx, dialect = line(parameters={"call_id": "v3:call"}), TelnyxDialect()
    messages = [*telnyx.opening(), *telnyx.voice(TONE), *telnyx.digit(20.0, "#")]
    messages += [*telnyx.receive(20.0, mark("m")), *telnyx.receive(20.0, "?"), *telnyx.stop()]
    assert events(dialect, messages) == [
        Connected(),
        Started("v3:call", telnyx.stream_id, parameters={"call_id": "v3:call"}),
        Audio(TONE, 0),
        Digit("#"),
        MarkPlayed("m"),
        Ignored("error_100003"),
        Stopped(),
    ]


@pytest.mark.parametrize("big_endian", [True, False])
@pytest.mark.parametrize("audio", [MULAW_8K, ALAW_8K, AudioFormat(Encoding.PCM16, 8000), WIDE])
def test_the_line_plays_what_the_dialect_says(audio: AudioFormat, big_endian: bool) -> None:
    """No fault, and in 8 kHz formats the very bytes: silence in the wrong byte order would be noise."""
    telnyx, dialect = line(audio, big_endian=big_endian), TelnyxDialect(audio, big_endian=big_endian)
    for message in telnyx.opening():
        assert isinstance(message, str)
        dialect.receive(message.encode())
    assert dialect.inbound_format == audio
    speaks = Transcoder(MULAW_8K, audio)
    for _ in range(5):
        payload = (speaks.feed(TONE) + audio.silence(20))[: audio.bytes_in(20)]
        assert telnyx.receive(0.0, dialect.audio(payload).decode()) == []
    telnyx.advance(200.0)
    assert [e for e in telnyx.recording.entries if isinstance(e, BridgeStarted)]
    if audio.rate_hz == 8000:
        back = Transcoder(audio, MULAW_8K)
        assert back.feed(Transcoder(MULAW_8K, audio).feed(TONE)) * 5 in bytes(telnyx.recording.heard)
    (echo,) = read(telnyx.receive(200.0, dialect.mark("x")[0].decode()))
    assert echo["mark"] == {"name": "x"}
    assert telnyx.receive(200.0, dialect.clear()[0].decode()) == []


def test_media_that_is_overtaken_is_heard_in_order() -> None:
    telnyx, dialect = line(swap_every=3), TelnyxDialect()
    events(dialect, telnyx.opening())
    sent: list[str | bytes] = []
    frames = [bytes([n]) * 160 for n in range(12)]
    for frame in frames:
        sent += telnyx.voice(frame)
    sent += telnyx.stop()
    chunks = [m["media"]["chunk"] for m in read(sent) if m["event"] == "media"]
    assert chunks[:5] == ["1", "2", "4", "3", "5"]
    heard = [event.payload for event in events(dialect, sent) if isinstance(event, Audio)]
    assert heard == frames


def test_a_socket_that_was_opened_again_may_count_on() -> None:
    telnyx, dialect = line(first_chunk=4711), TelnyxDialect()
    events(dialect, telnyx.opening())
    assert events(dialect, telnyx.voice(TONE) + telnyx.voice(TONE)) == [
        Audio(TONE, 4710 * 20),
        Audio(TONE, 4711 * 20),
    ]


# -- the exchange ----------------------------------------------------------------------------------


def exchange(**options: Any) -> TelnyxExchange:
    plan = CallPlan(answer_url=URLS.answer, section=CONFIG, carrier="telnyx", call_sid="v3:call", **options)
    return TelnyxExchange(plan, Addresses(URLS.answer), CONFIG)


def webhook(ask: HttpAsk | None, now_s: float) -> Webhook:
    from urllib.parse import parse_qsl

    assert ask is not None
    form = dict(parse_qsl(ask.body.decode())) if not ask.headers["Content-Type"].endswith("json") else {}
    return Webhook(url=ask.url, headers=ask.headers, form=form, body=ask.body, now_s=now_s)


def signed_at(ask: HttpAsk | None) -> float:
    assert ask is not None
    return float(ask.headers["telnyx-timestamp"])


def test_a_texml_call_from_its_webhook_to_what_comes_after() -> None:
    telnyx = exchange()
    asked = webhook(telnyx.announce(), signed_at(telnyx.announce()))
    CARRIER.verify_webhook(asked)
    call = CARRIER.incoming(asked)
    assert call is not None
    answer = Answer(200, CARRIER.answer(call, URLS, "one-time").body)
    order = telnyx.understand(answer)
    assert order is not None
    assert (order.url, order.audio) == (f"{URLS.media}/one-time", MULAW_8K)
    assert [verb.name for verb in telnyx.verbs(answer)] == ["Redirect"]
    dialect = CARRIER.dialect(Upgrade(url=order.url))
    started = events(dialect, telnyx.line(order, CallRecording()).opening())[1]
    assert isinstance(started, Started)
    assert started.call_id == call.call_id
    status = telnyx.status(order, "error")
    assert CARRIER.status(webhook(status, 0.0)) == "error"
    ended = telnyx.ended(order, hung_up=False)
    assert ended is not None
    assert ended.url == URLS.ended
    assert telnyx.ended(order, hung_up=True) is None, "nobody is left to ask for"


def test_a_call_control_call_from_its_webhook_to_its_stream() -> None:
    telnyx = exchange()
    ask = telnyx.call_initiated()
    asked = webhook(ask, signed_at(ask))
    CARRIER.verify_webhook(asked)
    call = CARRIER.incoming(asked)
    assert call is not None
    assert (call.call_id, call.detail) == ("v3:call", CALL_CONTROL)
    keyed = Telnyx(TelnyxConfig(public_key=Secret(PUBLIC_KEY), api_key=Secret("k"), codec="PCMA"))
    plan = keyed.answer(call, URLS, "one-time").then
    assert plan is not None
    order = stream_order(next(plan).body)
    assert (order.url, order.audio) == (f"{URLS.media}/one-time", ALAW_8K)


@pytest.mark.parametrize("signature", [Signature.FORGED, Signature.ABSENT])
def test_a_forged_call_is_not_believed(signature: Signature) -> None:
    telnyx = exchange(misbehaviour=Misbehaviour(webhook_signature=signature))
    with pytest.raises(Refused):
        CARRIER.verify_webhook(webhook(telnyx.announce(), 0.0))


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ("", "rtp"),
        ('bidirectionalMode="mp3"', "rtp"),
        ('bidirectionalMode="rtp" bidirectionalCodec="G722"', "G722"),
        ('bidirectionalMode="rtp" bidirectionalSamplingRate="16000"', "16000"),
    ],
)
def test_an_answer_that_would_be_silence_is_refused(attributes: str, reason: str) -> None:
    body = f'<Response><Connect><Stream url="ws://127.0.0.1/" {attributes}/></Connect></Response>'
    with pytest.raises(ProtocolError, match=reason):
        exchange().understand(Answer(200, body))


@pytest.mark.parametrize("body", [b"", b"{}", b'{"stream_url":"ws://x"}'])
def test_a_command_that_would_be_silence_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        stream_order(body)
