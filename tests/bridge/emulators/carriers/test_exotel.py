"""What Exotel says and does, in virtual time, and that the bridge's own dialect and carrier agree with it."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from bridge.carriers.carrier import Upgrade, Webhook
from bridge.carriers.dialect import Audio, Connected, Digit, MarkPlayed, Started, Stopped
from bridge.carriers.exotel import Exotel, ExotelConfig
from bridge.carriers.exotel_dialect import ExotelDialect, message_ms
from bridge.emulators.caller_plan import CallPlan, Misbehaviour
from bridge.emulators.caller_webhooks import Addresses, Signature
from bridge.emulators.carrier_buffer import SLOT_BYTES
from bridge.emulators.carrier_line import Message
from bridge.emulators.carriers.exotel import ExotelExchange, ExotelLine
from bridge.emulators.recording import CallRecording, ClearReceived, Faulted
from bridge.errors import Refused
from bridge.secret import Secret
from telephony_codecs.formats import MULAW_8K, AudioFormat, Encoding
from telephony_codecs.g711 import mulaw_decode
from telephony_codecs.transcoder import Transcoder
from tests.support.carrier_cases import urls_of

SOUND = b"\x20" * SLOT_BYTES
FRAME = bytes(range(160))
PCM_8K = AudioFormat(Encoding.PCM16, 8_000)
FORMATS = [PCM_8K, AudioFormat(Encoding.PCM16, 16_000), AudioFormat(Encoding.PCM16, 24_000)]


def line(audio: AudioFormat = PCM_8K) -> ExotelLine:
    made = ExotelLine(
        audio,
        CallRecording(),
        call_id="call1",
        from_number="+919800011111",
        to_number="+918000022222",
        parameters={"k": "v"},
        buffer_ms=0,
    )
    made.begin(1000)
    return made


def encoded(message: Message) -> bytes:
    assert isinstance(message, str)
    return message.encode()


def dialect_of(made: ExotelLine) -> ExotelDialect:
    dialect = ExotelDialect()
    connected, started = (dialect.receive(encoded(message)) for message in made.opening())
    assert connected == Connected()
    assert started == Started(
        "call1", made.stream_id, "exotel1", True, {"k": "v"}, "+919800011111", "+918000022222"
    )
    return dialect


def command(made: ExotelLine, event: str, **body: Any) -> str:
    return json.dumps({"event": event, "stream_sid": made.stream_id} | body)


def media(made: ExotelLine, payload: bytes) -> str:
    return command(made, "media", media={"payload": b64encode(payload).decode()})


def faults(made: ExotelLine) -> list[str]:
    return [entry.detail for entry in made.recording.entries if isinstance(entry, Faulted)]


# -- what it sends -------------------------------------------------------------------------------------


def numbers_in(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers_in(item)]
    return [value] if isinstance(value, int | float) else []


def test_every_number_is_a_string() -> None:
    made = line()
    voice = [message for _ in range(6) for message in made.voice(FRAME)]
    sent = [*made.opening(), *voice, *made.digit(1000, "5"), *made.stop()]
    told = [json.loads(message) for message in sent]
    assert [message["event"] for message in told] == ["connected", "start", "media", "dtmf", "media", "stop"]
    assert not any(numbers_in(message) for message in told)
    assert [m["sequence_number"] for m in told[1:]] == ["2", "1", "3", "4", "5"]  # the voice came first


def test_the_caller_comes_in_messages_of_100_ms() -> None:
    made = line()
    dialect = dialect_of(made)
    sent = [made.voice(FRAME) for _ in range(10)]
    assert [len(messages) for messages in sent] == [0, 0, 0, 0, 1] * 2
    events = [dialect.receive(encoded(message)) for messages in sent for message in messages]
    assert events == [Audio(mulaw_decode(FRAME * 5), 0), Audio(mulaw_decode(FRAME * 5), 100)]
    assert made.recording.said == FRAME * 10


def test_what_the_caller_said_last_is_sent_before_the_stop() -> None:
    made = line()
    dialect = dialect_of(made)
    made.voice(FRAME)
    events = [dialect.receive(encoded(message)) for message in made.stop()]
    assert events == [Audio(mulaw_decode(FRAME), 0), Stopped("callended")]


@pytest.mark.parametrize("audio", FORMATS, ids=str)
def test_the_bridge_understands_all_of_it(audio: AudioFormat) -> None:
    made = line(audio)
    dialect = dialect_of(made)
    assert dialect.inbound_format == dialect.outbound_format == audio
    sent = [
        *(message for _ in range(5) for message in made.voice(FRAME)),
        *made.digit(1000, "*"),
        *made.receive(1000, command(made, "mark", mark={"name": "ü"})),
    ]
    assert [dialect.receive(encoded(message)) for message in sent] == [
        Audio(Transcoder(MULAW_8K, audio).feed(FRAME * 5), 0),
        Digit("*"),
        MarkPlayed("ü"),
    ]


def test_a_frame_is_20_ms() -> None:
    with pytest.raises(ValueError, match="160 bytes, not 80"):
        line().voice(bytes(80))


# -- what it does with what it gets --------------------------------------------------------------------


@pytest.mark.parametrize("audio", FORMATS, ids=str)
def test_it_accepts_all_that_the_bridge_writes(audio: AudioFormat) -> None:
    made = line(audio)
    dialect = dialect_of(made)
    sound = Transcoder(MULAW_8K, audio).feed(SOUND * 100)
    size = audio.bytes_in(message_ms(audio))
    for start in range(0, 3 * size, size):
        made.receive(1000, dialect.audio(sound[start : start + size]).decode())
    for message in [*dialect.mark("m"), *dialect.clear()]:
        made.receive(1000, message.decode())
    assert faults(made) == []
    arrived = b"".join(arrival.payload for arrival in made.recording.arrivals)
    assert arrived == Transcoder(audio, MULAW_8K).feed(sound[: 3 * size])


@pytest.mark.parametrize(
    ("size", "fault"),
    [
        (3_200, None),
        (3_520, None),
        (99_840, None),
        (2_880, "a message of 2880 bytes; 3200 at least"),
        (320, "a message of 320 bytes; 3200 at least"),
        (0, "a message of 0 bytes; 3200 at least"),
        (4_096, "a message of 4096 bytes; it must be a multiple of 320"),
        (3_201, "audio that ends in half a sample"),
        (100_160, "a message of 100160 bytes; 100000 at most"),
    ],
)
def test_a_message_must_be_of_the_right_size(size: int, fault: str | None) -> None:
    made = line()
    made.receive(1000, media(made, bytes(size)))
    assert faults(made) == ([fault] if fault else [])


def test_a_short_message_is_played_all_the_same() -> None:
    made = line()
    made.receive(1000, media(made, mulaw_decode(SOUND)))
    made.advance(1020)
    assert made.spoken_ms == 20


@pytest.mark.parametrize(
    ("ids", "accepted"),
    [
        (("stream_sid",), True),
        (("streamSid",), True),
        (("stream_sid", "streamSid"), True),
        ((), False),
    ],
)
def test_either_spelling_of_the_stream_will_do(ids: tuple[str, ...], accepted: bool) -> None:
    made = line()
    made.receive(1000, json.dumps({"event": "clear"} | dict.fromkeys(ids, made.stream_id)))
    assert (faults(made) == []) is accepted


@pytest.mark.parametrize(
    "spoil",
    [
        lambda made: b"\x00",
        lambda made: "",
        lambda made: "[" * 200_000,
        lambda made: command(made, "clear", streamSid="another"),
        lambda made: command(made, "clear", sequence_number=5),
        lambda made: command(made, "hangup"),
        lambda made: command(made, "media", media={"payload": "%%%"}),
        lambda made: command(made, "media", media={"payload": "AAAA", "chunk": 1}),
        lambda made: command(made, "mark", mark={}),
    ],
)
def test_what_it_does_not_accept_is_a_fault_and_no_more(spoil: Any) -> None:
    made = line()
    assert made.receive(1000, spoil(made)) == []
    assert len(faults(made)) == 1
    assert made.recording.arrivals == []


def test_marks_that_a_clear_throws_away_never_come_back() -> None:
    made = line()
    made.receive(1000, media(made, mulaw_decode(SOUND * 10)))
    assert made.receive(1000, command(made, "mark", mark={"name": "m"})) == []
    assert made.receive(1030, command(made, "clear")) == []
    assert made.advance(2000) == []
    assert ClearReceived(at_ms=1030, dropped_ms=180, marks=("m",)) in made.recording.entries


def test_a_mark_comes_back_when_it_is_played() -> None:
    made = line()
    made.receive(1000, media(made, mulaw_decode(SOUND * 10)))
    made.receive(1000, command(made, "mark", mark={"name": "m"}))
    assert made.advance(1219) == []
    assert [json.loads(text)["mark"]["name"] for text in made.advance(1220)] == ["m"]


# -- the call around it --------------------------------------------------------------------------------

URLS = urls_of("exotel")
SECTION = ExotelConfig(username="exotel", password=Secret("a:pass"), sample_rate_hz=16_000)
CARRIER = Exotel(SECTION)


def exchange(misbehaviour: Misbehaviour = Misbehaviour()) -> ExotelExchange:  # noqa: B008 - it is frozen
    plan = CallPlan(answer_url=URLS.answer, section=SECTION, carrier="exotel", misbehaviour=misbehaviour)
    return ExotelExchange(plan, Addresses(URLS.answer), SECTION)


def test_a_call_goes_through_upgrade_start_and_end() -> None:
    made = exchange()
    assert made.announce() is None
    order = made.understand(None)
    shake = made.handshake(order)
    assert shake.url == f"{URLS.media}?sample-rate=16000"
    upgrade = Upgrade(url=shake.url, headers=shake.headers)
    CARRIER.verify_upgrade(upgrade)
    dialect = CARRIER.dialect(upgrade)
    opening = made.line(order, CallRecording()).opening()
    started = [dialect.receive(encoded(message)) for message in opening][1]
    assert isinstance(started, Started) and started.call_id == made.call_id
    assert dialect.outbound_format == order.audio == FORMATS[1]


@pytest.mark.parametrize(("error", "status"), [("", "stopped"), ("refused", "error")])
@pytest.mark.parametrize("hung_up", [False, True])
def test_the_passthru_applet_tells_the_end(hung_up: bool, error: str, status: str) -> None:
    made = exchange()
    ask = made.ended(made.understand(None), hung_up=hung_up, error=error)
    webhook = Webhook(url=ask.url, method=ask.method, headers=ask.headers, body=ask.body)
    assert webhook.method in CARRIER.webhook_methods and ask.url.startswith(f"{URLS.ended}?")
    CARRIER.verify_webhook(webhook)
    assert CARRIER.status(webhook) == status
    assert CARRIER.call_id_of(webhook) == made.call_id


@pytest.mark.parametrize("signature", [Signature.FORGED, Signature.ABSENT])
def test_who_does_not_know_the_password_is_refused(signature: Signature) -> None:
    made = exchange(Misbehaviour(upgrade_signature=signature, webhook_signature=signature))
    order = made.understand(None)
    shake, ask = made.handshake(order), made.ended(order, hung_up=True)
    with pytest.raises(Refused):
        CARRIER.verify_upgrade(Upgrade(url=shake.url, headers=shake.headers))
    with pytest.raises(Refused):
        CARRIER.verify_webhook(Webhook(url=ask.url, method="GET", headers=ask.headers))
