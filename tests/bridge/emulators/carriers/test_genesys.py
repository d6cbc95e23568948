"""What Genesys says, does and minds, in virtual time, and that the bridge's own dialect agrees with it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.carriers.carrier import Upgrade
from bridge.carriers.dialect import (
    Audio,
    Binary,
    Digit,
    FlowStopped,
    Ignored,
    Respond,
    Several,
    Started,
    Stopped,
)
from bridge.carriers.genesys import NO_CONVERSATION, Genesys, GenesysDialect
from bridge.emulators.caller_plan import CallPlan, Misbehaviour
from bridge.emulators.caller_webhooks import Addresses, Signature
from bridge.emulators.carrier_line import Message
from bridge.emulators.carriers.genesys import (
    CLOSE_TIMEOUT_MS,
    OPEN_TIMEOUT_MS,
    VOICE_BYTES,
    GenesysExchange,
    GenesysLine,
    State,
)
from bridge.emulators.genesys_messages import L16, PCMU, Media, SessionIdentity
from bridge.emulators.recording import CallRecording, ClearReceived, DigitPressed, Faulted
from bridge.errors import Refused
from bridge.media.playout import Playout
from telephony_codecs.formats import MULAW_8K, PCM16_8K
from tests.bridge.carriers.cases.genesys import CONVERSATION, ORGANIZATION, SECTION, SESSION

IDENTITY = SessionIdentity(
    session_id=SESSION,
    organization_id=ORGANIZATION,
    conversation_id=CONVERSATION,
    from_number="+15550001111",
    to_number="+15550002222",
    variables={"queue": "front desk"},
)
FRAME = bytes(range(160))
SOUND = b"\x20" * VOICE_BYTES
T0 = 1000.0


class Pair:
    """The line and the bridge's dialect, with a wire between them that loses nothing."""

    def __init__(self, *offered: Media) -> None:
        identity = (
            IDENTITY
            if not offered
            else SessionIdentity(
                session_id=SESSION,
                organization_id=ORGANIZATION,
                conversation_id=CONVERSATION,
                offered=offered,
            )
        )
        self.line = GenesysLine(identity, CallRecording(), buffer_ms=0)
        self.dialect = GenesysDialect(SESSION, ORGANIZATION)
        self.events: list[Any] = []
        self.now_ms = T0
        self.line.begin(T0)

    def to_bridge(self, messages: list[Message]) -> None:
        """Give the dialect what the line said, and the line what the protocol answers at once."""
        waiting = list(messages)
        for message in waiting:
            event = self.dialect.receive(message.encode() if isinstance(message, str) else Binary(message))
            for one in event.events if isinstance(event, Several) else (event,):
                self.events.append(one)
                if isinstance(one, Respond):
                    waiting += self._answers(one.messages)

    def to_line(self, messages: Any, now_ms: float | None = None) -> None:
        """Give the line what the bridge said, and the dialect what comes back."""
        self.now_ms = self.now_ms if now_ms is None else now_ms
        self.to_bridge(self._answers(messages))

    def _answers(self, messages: Any) -> list[Message]:
        said = [bytes(message) if isinstance(message, Binary) else message.decode() for message in messages]
        return [answer for message in said for answer in self.line.receive(self.now_ms, message)]

    def open(self) -> Pair:
        self.to_bridge(self.line.opening())
        self.to_line(self.dialect.opened())
        return self

    def faults(self) -> list[int]:
        return [entry.code for entry in self.line.recording.entries if isinstance(entry, Faulted)]


def kinds(messages: list[Message]) -> list[str]:
    return [json.loads(message)["type"] if isinstance(message, str) else "audio" for message in messages]


# -- the session ---------------------------------------------------------------------------------------


def test_a_session_opens_and_the_bridge_knows_whose_call_it_is() -> None:
    pair = Pair().open()
    assert pair.events == [
        Started(
            CONVERSATION,
            SESSION,
            ORGANIZATION,
            parameters={"queue": "front desk"},
            from_number="+15550001111",
            to_number="+15550002222",
        )
    ]
    assert (pair.line.state, pair.faults()) == (State.OPEN, [])


def test_nothing_is_heard_before_opened_and_then_ten_frames_at_a_time() -> None:
    pair = Pair()
    assert pair.line.voice(FRAME) == []
    pair.open()
    said = [pair.line.voice(FRAME) for _ in range(10)]
    assert said == [[]] * 9 + [[FRAME * 10]]
    assert pair.line.recording.said == FRAME * 11


def test_l16_is_taken_when_it_is_all_there_is() -> None:
    pair = Pair(L16).open()
    assert (pair.dialect.inbound_format, pair.dialect.outbound_format) == (PCM16_8K, PCM16_8K)
    for _ in range(10):
        pair.to_bridge(pair.line.voice(b"\xff" * 160))
    (audio,) = [event for event in pair.events if isinstance(event, Audio)]
    assert audio.payload == bytes(2 * VOICE_BYTES)
    pair.to_line([pair.dialect.audio(bytes(2 * VOICE_BYTES))])
    assert pair.line.recording.arrivals[0].payload == b"\xff" * VOICE_BYTES


def test_mu_law_is_taken_where_both_are_offered() -> None:
    assert Pair(L16, PCMU).open().dialect.outbound_format == MULAW_8K


def test_media_that_cannot_be_served_ends_the_session_in_good_order() -> None:
    pair = Pair(Media("audio", "PCMU", ("external", "internal"), 8000))
    pair.to_bridge(pair.line.opening())
    assert pair.line.state is State.CLOSED
    assert [type(event) for event in pair.events] == [Respond, Respond], "never a call"
    assert pair.faults() == []


def test_a_probe_is_answered_and_starts_no_call() -> None:
    pair = Pair()
    pair.line.identity = SessionIdentity(
        session_id=SESSION, organization_id=ORGANIZATION, conversation_id=NO_CONVERSATION
    )
    pair.to_bridge(pair.line.opening())
    assert pair.line.state is State.OPEN
    pair.to_bridge(pair.line.advance(T0 + 1000))
    pair.to_bridge(pair.line.digit(T0 + 1000, "1"))
    pair.to_bridge(pair.line.stop())
    assert pair.line.closing
    assert [type(event) for event in pair.events] == [Respond, Respond, Respond, Ignored, Respond]
    assert pair.faults() == []


def test_the_caller_hangs_up() -> None:
    pair = Pair().open()
    pair.to_bridge(pair.line.stop())
    assert pair.events[-1] == Stopped("end")
    assert (pair.line.state, bool(pair.line.closing)) == (State.CLOSED, True)
    assert pair.line.stop() == [], "once is enough"
    assert pair.dialect.goodbye("agent") == (), "it said goodbye first"


@pytest.mark.parametrize(
    "said, variables",
    [
        ("goodbye", {"outcome": "completed"}),
        ("transfer", {"outcome": "transfer", "transfer_to": "+15550003333"}),
        ("fault", {"outcome": "failed"}),
    ],
)
def test_the_bridge_disconnects_and_the_flow_knows_why(said: str, variables: dict[str, str]) -> None:
    pair = Pair().open()
    messages = {
        "goodbye": lambda: pair.dialect.goodbye("agent"),
        "transfer": lambda: pair.dialect.transfer("+15550003333"),
        "fault": lambda: pair.dialect.goodbye("draining"),
    }[said]()
    pair.to_line(messages)
    assert pair.line.output_variables == variables
    assert pair.events[-1] == Stopped("disconnect")
    assert pair.line.closing
    assert pair.dialect.goodbye("agent") == (), "nothing is left to say"


def test_keys_are_told() -> None:
    pair = Pair().open()
    pair.to_bridge(pair.line.digit(T0, "#"))
    assert pair.events[-1] == Digit("#")
    assert DigitPressed(at_ms=T0, digit="#") in pair.line.recording.entries


# -- clocks --------------------------------------------------------------------------------------------


def test_pings_come_after_a_second_twice_and_then_every_five() -> None:
    pair = Pair().open()
    pinged = []
    for ms in range(0, 12_000, 20):
        messages = pair.line.advance(T0 + ms)
        pinged += [ms for kind in kinds(messages) if kind == "ping"]
        pair.to_bridge(messages)
    assert pinged == [1000, 6000, 11_000]
    pongs = [event for event in pair.events if isinstance(event, Respond)]
    assert len(pongs) == 4, "the first pong is followed by another ping at once"
    assert pair.faults() == []


def test_a_pong_that_does_not_come_ends_the_session() -> None:
    line = Pair().open().line
    assert kinds(line.advance(T0 + 1000)) == ["ping"]
    assert kinds(line.advance(T0 + 6000)) == ["error", "close"]


def test_a_bridge_that_does_not_open_is_given_up() -> None:
    line = Pair().line
    line.opening()
    assert line.advance(T0 + OPEN_TIMEOUT_MS - 20) == []
    assert kinds(line.advance(T0 + OPEN_TIMEOUT_MS)) == ["error", "close"]


def test_a_bridge_that_does_not_close_is_left() -> None:
    line = Pair().open().line
    line.stop()
    line.advance(T0 + 20)
    line.advance(T0 + CLOSE_TIMEOUT_MS)
    assert not line.closing
    line.advance(T0 + 20 + CLOSE_TIMEOUT_MS)
    assert line.closing


# -- playing -------------------------------------------------------------------------------------------


def test_what_is_played_is_told_and_heard() -> None:
    pair = Pair().open()
    pair.to_line([pair.dialect.audio(SOUND)])
    told = [kind for ms in range(0, 300, 20) for kind in kinds(pair.line.advance(T0 + 20 + ms))]
    assert told == ["playback_started", "playback_completed"]
    assert pair.line.spoken_ms == 200


def test_a_completed_that_left_before_newer_audio_came_is_no_proof_of_anything() -> None:
    """The reason for which nothing is made of it: the audio that it seems to be about has not even arrived."""
    pair = Pair().open()
    pair.to_line([pair.dialect.audio(SOUND)])
    crossed = [message for ms in range(20, 300, 20) for message in pair.line.advance(T0 + ms)]
    newer = pair.dialect.audio(SOUND)
    pair.to_bridge(crossed)
    assert pair.events[-1] == Ignored("playback_completed")
    assert not pair.dialect.delivery.marks
    pair.to_line([newer], T0 + 300)
    pair.line.advance(T0 + 600)
    assert pair.line.spoken_ms == 400


def test_barge_in_throws_away_what_waits() -> None:
    pair = Pair().open()
    pair.to_line([pair.dialect.audio(SOUND)])
    pair.to_bridge(pair.line.advance(T0 + 40))
    pair.to_line(pair.dialect.clear(), T0 + 40)
    (cleared,) = [entry for entry in pair.line.recording.entries if isinstance(entry, ClearReceived)]
    assert cleared.dropped_ms == 160
    assert pair.events[-1] == Ignored("playback_completed")
    pair.line.advance(T0 + 400)
    assert pair.line.spoken_ms == 40


# -- what Genesys minds --------------------------------------------------------------------------------


def test_two_hundred_ms_a_message_is_never_too_often() -> None:
    pair = Pair().open()
    for number in range(100):
        pair.to_line([pair.dialect.audio(SOUND)], T0 + number * 200)
    assert pair.faults() == []


def test_a_caller_who_keeps_interrupting_does_not_make_us_send_too_often() -> None:
    """Each utterance begins with as much as is sent ahead, and each interruption throws that away again."""
    pair, playout, generation = Pair().open(), Playout(MULAW_8K, message_ms=200, marks=False), 0
    for ms in range(0, 120_000, 20):
        now_ms = T0 + ms
        if ms % 1600 == 0:
            generation = playout.begin()
        playout.write(generation, SOUND)
        if ms % 1600 == 1000:
            playout.clear(now_ms / 1000)
            pair.to_line(pair.dialect.clear(), now_ms)
        due = [message for message in playout.due(now_ms / 1000) if isinstance(message, bytes)]
        pair.to_line([pair.dialect.audio(message) for message in due], now_ms)
        pair.to_bridge(pair.line.advance(now_ms))
    assert len([entry for entry in pair.line.recording.entries if isinstance(entry, ClearReceived)]) == 75
    assert len([event for event in pair.events if isinstance(event, Respond)]) == 25
    assert pair.faults() == []


def test_twenty_ms_a_message_is_throttled_and_says_for_how_long() -> None:
    pair = Pair().open()
    for number in range(40):
        pair.to_line([pair.dialect.audio(b"\x20" * 160)], T0 + number * 20)
    assert set(pair.faults()) == {429}
    (*_, told) = [event for event in pair.events if isinstance(event, FlowStopped)]
    assert 0 < told.for_s <= 0.2
    assert len(pair.line.recording.arrivals) == 40 - len(pair.faults())


@pytest.mark.parametrize("size, code", [(64_000, None), (64_001, 413)])
def test_messages_have_a_size(size: int, code: int | None) -> None:
    pair = Pair().open()
    pair.to_line([Binary(b"\x20" * size)])
    assert pair.faults() == ([] if code is None else [code])


def ours(kind: str, parameters: object = None, **head: object) -> str:
    base = {"version": "2", "id": SESSION, "type": kind, "seq": 2, "clientseq": 1}
    return json.dumps({**base, "parameters": {} if parameters is None else parameters, **head})


OFFER = {"type": "audio", "format": "PCMU", "channels": ["external"], "rate": 8000}
BAD = {
    "a gap in the numbers": (ours("pause", seq=3), 400),
    "the same number again": (ours("event", {"entities": []}, seq=1), 400),
    "an unknown event": (ours("event", {"entities": [{"type": "party", "data": {}}]}), 400),
    "no parameters": (
        json.dumps({k: v for k, v in json.loads(ours("pong")).items() if k != "parameters"}),
        400,
    ),
    "another session": (ours("event", {"entities": []}, id=CONVERSATION), 400),
    "has seen the future": (ours("event", {"entities": []}, clientseq=9), 400),
    "a pong for nothing": (ours("pong"), 409),
    "opened twice": (ours("opened", {"media": [OFFER]}), 409),
    "closed without a close": (ours("closed"), 409),
    "a number in a variable": (ours("disconnect", {"reason": "completed", "outputVariables": {"x": 1}}), 400),
    "not JSON": ("hello", 400),
}


@pytest.mark.parametrize("message, code", BAD.values(), ids=BAD.keys())
def test_what_breaks_the_protocol_is_a_fault(message: str, code: int) -> None:
    pair = Pair().open()
    assert kinds(pair.line.receive(T0, message))[0] == "error"
    assert pair.faults() == [code]


def test_media_that_was_not_offered_is_a_fault() -> None:
    line = GenesysLine(IDENTITY, CallRecording())
    line.begin(T0)
    line.opening()
    wrong = {**OFFER, "rate": 16_000}
    assert kinds(line.receive(T0, ours("opened", {"media": [wrong]}, seq=1))) == ["error", "close"]


def test_sound_before_opened_is_a_fault() -> None:
    pair = Pair()
    pair.to_bridge(pair.line.opening())
    assert kinds(pair.line.receive(T0, SOUND)) == ["error", "close"]


@given(st.one_of(st.text(), st.binary()))
def test_nothing_that_the_bridge_could_send_makes_it_stumble(message: str | bytes) -> None:
    Pair().open().line.receive(T0, message)


# -- around the stream ---------------------------------------------------------------------------------


def exchange(**misbehaviour: Any) -> GenesysExchange:
    plan = CallPlan(
        answer_url="http://127.0.0.1:8080/carriers/genesys/answer",
        section=SECTION,
        carrier="genesys",
        public_url="https://bridge.example",
        misbehaviour=Misbehaviour(**misbehaviour),
    )
    return GenesysExchange(plan, Addresses(plan.answer_url, plan.public_url), SECTION)


def asked(made: GenesysExchange) -> Upgrade:
    order = made.understand(None)
    assert order is not None
    shake = made.handshake(order)
    assert shake.url == "wss://bridge.example/carriers/genesys/media"
    return Upgrade(url=shake.url, headers=shake.headers, now_s=time.time())


def test_its_upgrade_is_believed_and_its_open_belongs_to_it() -> None:
    made, carrier = exchange(), Genesys(SECTION)
    order = made.understand(None)
    assert order is not None
    shake = made.handshake(order)
    upgrade = Upgrade(url=shake.url, headers=shake.headers, now_s=time.time())
    carrier.verify_upgrade(upgrade)
    (opening,) = made.line(order, CallRecording()).opening()
    assert isinstance(opening, str)
    started = carrier.dialect(upgrade).receive(opening.encode())
    assert isinstance(started, Started)
    assert (started.call_id, started.from_number) == (made.call_id, made.plan.from_number)
    assert started.parameters == {"flow": "emulated"}


@pytest.mark.parametrize("signature", [Signature.FORGED, Signature.ABSENT])
def test_a_forged_upgrade_is_not(signature: Signature) -> None:
    with pytest.raises(Refused):
        Genesys(SECTION).verify_upgrade(asked(exchange(upgrade_signature=signature)))


def test_it_announces_nothing() -> None:
    assert exchange().announce() is None
