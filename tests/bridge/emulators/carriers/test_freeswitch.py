"""What mod_audio_stream and its glue say and do, and that the bridge's own dialect agrees with them."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from bridge.carriers.carrier import Upgrade
from bridge.carriers.dialect import Audio, Binary, Digit, Event, Started
from bridge.carriers.freeswitch import FORMATS, Freeswitch, FreeswitchConfig, FreeswitchDialect
from bridge.carriers.rest import basic, bearer
from bridge.emulators.caller_plan import CallPlan, Misbehaviour
from bridge.emulators.caller_webhooks import Addresses, Signature
from bridge.emulators.carrier_buffer import SLOT_BYTES
from bridge.emulators.carrier_line import Message
from bridge.emulators.carriers.freeswitch import FreeswitchExchange, FreeswitchLine
from bridge.emulators.recording import BridgeStopped, CallRecording, Faulted
from bridge.errors import Refused
from bridge.media.playout import Playout
from bridge.secret import Secret
from bridge.wire import Wire
from telephony_codecs.formats import MULAW_8K
from telephony_codecs.g711 import mulaw_decode
from telephony_codecs.transcoder import Transcoder

SOUND = b"\x20" * SLOT_BYTES
TOKEN = Secret("token")
ANSWER_URL = "http://127.0.0.1:8080/carriers/freeswitch/answer"


def line(rate: str = "8k") -> FreeswitchLine:
    metadata = json.dumps({"call_id": "abc-1", "rate": rate})
    made = FreeswitchLine(metadata, rate, CallRecording(), buffer_ms=0)
    made.begin(1000)
    return made


def exchange(section: FreeswitchConfig, **misbehaviour: Any) -> FreeswitchExchange:
    plan = CallPlan(
        answer_url=ANSWER_URL,
        section=section,
        carrier="freeswitch",
        misbehaviour=Misbehaviour(**misbehaviour),
    )
    return FreeswitchExchange(plan, Addresses(ANSWER_URL), section)


def faults(made: FreeswitchLine) -> list[str]:
    return [entry.detail for entry in made.recording.entries if isinstance(entry, Faulted)]


def stream_audio(pcm: bytes, **changes: Any) -> str:
    data = {"audioDataType": "raw", "sampleRate": 8000, "audioData": b64encode(pcm).decode()} | changes
    return json.dumps({"type": "streamAudio", "data": data})


def wire(message: Message) -> bytes:
    return message.encode() if isinstance(message, str) else Binary(message)


# -- the module ------------------------------------------------------------------------------------------


def test_metadata_comes_first_and_then_linear_sound() -> None:
    made = line()
    assert made.opening() == ['{"call_id": "abc-1", "rate": "8k"}']
    assert made.voice(SOUND) == [mulaw_decode(SOUND)]
    assert made.stop() == []


def test_files_are_played_one_after_the_other() -> None:
    made = line()
    for _ in range(3):
        assert made.receive(1000, stream_audio(mulaw_decode(SOUND * 10))) == []
    assert made.advance(1600) == []
    assert made.spoken_ms == 600
    assert SOUND * 30 in made.recording.heard


@pytest.mark.parametrize(
    "message",
    [
        b"\0" * 320,
        "hello",
        stream_audio(b"\0"),
        stream_audio(b"\0\0", sampleRate=44_100),
        stream_audio(b"\0\0", audioDataType="opus"),
        stream_audio(b"\0\0", audioData="!"),
        stream_audio(b"\0\0", track=1),
        '{"type":"streamAudio"}',
    ],
)
def test_what_it_would_not_play_is_a_fault(message: Message) -> None:
    made = line()
    assert made.receive(1000, message) == []
    assert len(faults(made)) == 1
    made.advance(1100)
    assert made.spoken_ms == 0


@pytest.mark.parametrize("message", ["{}", '{"type":"killAudio"}', '{"event":"transcript","text":"x"}'])
def test_other_texts_are_somebody_elses(message: str) -> None:
    made = line()
    made.receive(1000, message)
    assert faults(made) == []


@pytest.mark.parametrize("rate", FORMATS)
def test_dialect_and_line_understand_each_other(rate: str) -> None:
    made, dialect = line(rate), FreeswitchDialect({}, 200)

    def events(messages: list[Message]) -> list[Event]:
        return [dialect.receive(wire(message)) for message in messages]

    assert events(made.opening()) == [Started("abc-1", "abc-1")]
    assert dialect.inbound_format == FORMATS[rate]
    heard = [event for _ in range(10) for event in events(made.voice(SOUND))]
    assert sum(len(event.payload) for event in heard if isinstance(event, Audio)) >= FORMATS[rate].bytes_in(
        180
    )
    assert events(made.digit(1000, "5")) == [Digit("5")]
    speech = Transcoder(MULAW_8K, FORMATS[rate]).feed(SOUND * 50)
    size = FORMATS[rate].bytes_in(200)
    for at in range(0, 4 * size, size):
        assert made.receive(1000, dialect.audio(speech[at : at + size]).decode()) == []
    made.advance(2000)
    assert made.spoken_ms >= 780
    assert faults(made) == []


# -- around the stream -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "headers"),
    [
        (FreeswitchConfig(token=TOKEN), bearer(TOKEN)),
        (FreeswitchConfig(username="u", password=TOKEN), basic("u", TOKEN)),
    ],
)
def test_the_dialplan_brings_the_secret(section: FreeswitchConfig, headers: dict[str, str]) -> None:
    made = exchange(section)
    assert made.announce() is None
    order = made.understand(None)
    assert order is not None
    assert (order.url, order.headers) == ("ws://127.0.0.1:8080/carriers/freeswitch/media", headers)
    assert made.with_token(order, "another") == order
    Freeswitch(section).verify_upgrade(Upgrade(url=order.url, headers=order.headers))
    for signature in (Signature.FORGED, Signature.ABSENT):
        forged = exchange(section, upgrade_signature=signature).understand(None)
        assert forged is not None
        with pytest.raises(Refused):
            Freeswitch(section).verify_upgrade(Upgrade(url=forged.url, headers=forged.headers))


def test_the_metadata_tells_the_call() -> None:
    made = exchange(FreeswitchConfig(token=TOKEN))
    order = made.understand(None)
    assert order is not None
    (metadata,) = made.line(order, CallRecording()).opening()
    started = (
        Freeswitch(FreeswitchConfig(token=TOKEN)).dialect(Upgrade(url=order.url)).receive(wire(metadata))
    )
    assert started == Started(
        made.call_id, made.call_id, from_number=made.plan.from_number, to_number=made.plan.to_number
    )


# -- barge-in without a clear ----------------------------------------------------------------------

UTTERANCE_MS = 3000


def interrupted(cut_ms: int, message_ms: int, lead_ms: int = 200) -> tuple[FreeswitchLine, float, Playout]:
    """A stream whose first utterance is stopped `cut_ms` after its first word. Also what counts as heard of it."""
    made = line()
    to = wire_to(made, message_ms)
    playout = Playout(MULAW_8K, lead_ms=lead_ms, message_ms=message_ms, marks=False, clear=False)
    playout.write(playout.begin(), SOUND * (UTTERANCE_MS // 20))
    speak(made, to, playout, 0, cut_ms)
    return made, playout.clear(cut_ms / 1000), playout


def wire_to(made: FreeswitchLine, message_ms: int) -> Wire:
    config = FreeswitchConfig(token=TOKEN, message_ms=message_ms)
    dialect = Freeswitch(config).dialect(Upgrade(url="ws://b/media"))
    dialect.receive(wire(made.opening()[0]))
    return Wire(dialect)


def speak(made: FreeswitchLine, to: Wire, playout: Playout, from_ms: int, to_ms: int) -> None:
    """The pacer's ticks from one time to another."""
    for now_ms in range(from_ms, to_ms, 20):
        for message in to.messages(playout.due(now_ms / 1000)):
            made.receive(1000 + now_ms, message.decode())
        made.advance(1000 + now_ms)


@pytest.mark.parametrize(
    ("message_ms", "at_most_ms"), [(20, 200), (100, 280), (200, 380), (400, 580)]
)  # the figures of docs/carriers/freeswitch.md
def test_what_is_still_heard_after_an_interruption_is_the_lead_and_a_message(
    message_ms: int, at_most_ms: int
) -> None:
    still: list[float] = []
    for cut_ms in range(400, 1600, 20):
        made, counted_ms, _ = interrupted(cut_ms, message_ms)
        heard_by_then_ms = made.spoken_ms
        made.advance(1000 + 10_000)
        assert made.spoken_ms == counted_ms, "all that was sent is heard, and nothing else"
        still.append(made.spoken_ms - heard_by_then_ms)
    assert (min(still), max(still)) == (200, at_most_ms)


def test_what_is_said_next_begins_where_the_buffer_ends() -> None:
    for cut_ms in range(400, 1600, 20):
        made, counted_ms, playout = interrupted(cut_ms, 200)
        to = wire_to(made, 200)
        playout.write(playout.begin(), SOUND * 50)
        sent_before = len(made.recording.arrivals)
        speak(made, to, playout, cut_ms, cut_ms + 20)
        ahead_ms = counted_ms + 200 * (len(made.recording.arrivals) - sent_before) - cut_ms
        assert ahead_ms <= 380, "no further ahead than ever"
        speak(made, to, playout, cut_ms + 20, cut_ms + 3000)
        assert made.spoken_ms == counted_ms + 1000
        stops = [entry for entry in made.recording.entries if isinstance(entry, BridgeStopped)]
        assert len(stops) == 1, "without a gap between the two"
        assert playout.heard_ms((cut_ms + 3000) / 1000) == 1000
