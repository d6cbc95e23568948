"""What an agent can do with a call besides talking, and what carriers of other habits are sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qs

import msgspec
import pytest

from bridge.carriers.carrier import Capabilities, How, IncomingCall, StreamUrls
from bridge.carriers.dialect import Delivery, FlowResumed, FlowStopped
from bridge.carriers.markup import document, verb
from bridge.carriers.rest import Plan, ask
from bridge.carriers.twilio import Twilio, TwilioConfig, TwilioDialect
from bridge.config import Secret
from bridge.control import PLAN_TIMEOUT_S, CallControl, Errands
from bridge.emulators.carriers.twilio_rest import STAND_IN
from bridge.errors import CallEnded, CarrierError, Unsupported
from bridge.media.heard import Heard
from bridge.observe import timeline as tl
from bridge.observe.stats import BridgeStats
from telephony_codecs.dtmf import DtmfDetector, digits_audio
from tests.support.call import INCOMING, Scene, build_call
from tests.support.rest import PlayedRest
from tests.support.twilio_frames import ACCOUNT_ID
from tests.support.virtual_time import virtual

TEXT = "One two three four five six."
CONFIG = TwilioConfig(account_sid=ACCOUNT_ID, auth_token=Secret("right"))
URLS = StreamUrls("wss://b/media", "https://b/status", "https://b/ended", "https://b/answer")


class Said(TwilioDialect):
    """A Twilio that says more on its socket than Twilio does."""

    def send_digits(self, digits: str) -> Sequence[bytes]:
        return [json.dumps({"event": "press", "key": digit}).encode() for digit in digits]

    def transfer(self, to: str) -> Sequence[bytes]:
        return (json.dumps({"event": "connect", "to": to}).encode(),)

    def goodbye(self, reason: str) -> Sequence[bytes]:
        return (json.dumps({"event": "goodbye", "reason": reason}).encode(),)


class Patient(Said):
    carrier_closes = True


class NoClear(TwilioDialect):
    delivery = Delivery(marks=False, clear=False)


class ByAnswer(Twilio):
    """Connects the caller elsewhere when it has asked what comes next, and presses keys through REST."""

    def transfer(self, call: IncomingCall, to: str, urls: StreamUrls) -> None:  # type: ignore[override]
        return None

    def send_digits(self, call: IncomingCall, digits: str) -> Plan[None]:
        yield from ask(
            self._request(
                "send keys", f"Calls/{call.call_id}.json", {"Twiml": document(verb("Play", digits=digits))}
            )
        )


class ByMessage(Twilio):
    capabilities = Capabilities(transfer=How.MESSAGE, send_digits=How.MESSAGE, signed="")


class Room:
    """A call whose carrier has a REST API, with `config`'s credentials."""

    def __init__(
        self,
        kind: type[Twilio] = Twilio,
        config: TwilioConfig = CONFIG,
        dialect: TwilioDialect | None = None,
        account: TwilioConfig | None = CONFIG,
        *,
        can_speak: bool = True,
    ) -> None:
        self.rest = PlayedRest(STAND_IN(account) if account else None)
        self.failures = BridgeStats()
        self.errands = Errands(self.failures, self.rest)
        control = CallControl(kind(config), INCOMING, URLS, self.errands)
        self.scene: Scene = build_call(control=control, dialect=dialect, can_speak=can_speak)
        self.call = self.scene.call

    @property
    def granted(self) -> list[dict[str, list[str]]]:
        assert self.rest.stand_in is not None
        return [parse_qs(request.body.decode()) for request in self.rest.stand_in.granted]


# -- transfer ----------------------------------------------------------------------------------------------------


@virtual
async def test_a_caller_is_handed_on_and_the_call_is_over_here() -> None:
    room = Room()
    await room.call.transfer("+15550009999")
    assert [list(Twiml) for Twiml in room.granted] == [["Twiml"]]
    assert "<Dial><Number>+15550009999</Number></Dial>" in room.granted[0]["Twiml"][0]
    assert (room.call.ended, room.call.transfer_to) == ("transferred", "+15550009999")
    assert room.scene.line.closes == [(1000, "transferred")]
    kinds = [type(entry) for entry in room.call.timeline]
    assert kinds[-2:] == [tl.Transferred, tl.CallEnded]
    with pytest.raises(CallEnded):
        await room.call.transfer("+15550009999")


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Room(config=TwilioConfig(account_sid=ACCOUNT_ID, auth_token=Secret("wrong"))), CarrierError),
        (lambda: Room(config=TwilioConfig(auth_token=Secret("right"))), Unsupported),
        (lambda: Room(account=None), CarrierError),
    ],
)
def test_when_it_fails_the_call_goes_on(make: Callable[[], Room], error: type[CarrierError]) -> None:
    @virtual
    async def scenario() -> None:
        room = make()
        with pytest.raises(error):
            await room.call.transfer("+15550009999")
        assert (room.call.ended, room.call.transfer_to) == ("", "")
        assert room.scene.line.closes == []
        assert room.failures.rest_failures == {"transfer": 1}
        assert (await room.call.say(TEXT)).text == TEXT

    scenario()


@virtual
async def test_a_carrier_that_never_answers_is_not_waited_for_for_ever() -> None:
    room = Room()
    room.rest.open.clear()
    began_s = asyncio.get_running_loop().time()
    with pytest.raises(CarrierError, match="no answer within"):
        await room.call.transfer("+15550009999")
    assert asyncio.get_running_loop().time() - began_s == pytest.approx(PLAN_TIMEOUT_S, abs=0.01)
    assert not room.call.ended


@virtual
async def test_a_stream_that_ends_because_the_caller_is_handed_on_was_handed_on() -> None:
    room = Room()
    room.rest.open.clear()
    transfer = asyncio.create_task(room.call.transfer("+15550009999"))
    await asyncio.sleep(0.1)
    assert room.call.transfer_to == "+15550009999", "the carrier may ask before it has answered"
    room.call.end("carrier")
    room.rest.open.set()
    await transfer
    assert room.call.ended == "transferred"


@virtual
async def test_a_carrier_that_asks_what_comes_next_is_told_then() -> None:
    room = Room(ByAnswer)
    await room.call.transfer("+15550009999")
    assert room.granted == []
    assert (room.call.ended, room.call.transfer_to) == ("transferred", "+15550009999")
    assert room.scene.line.closes == [(1000, "transferred")]


@virtual
async def test_a_carrier_that_is_told_on_the_socket_is_told_before_it_is_closed() -> None:
    room = Room(ByMessage, dialect=Said())
    await room.call.transfer("+15550009999")
    assert room.scene.trace == [
        ("connect", {"event": "connect", "to": "+15550009999"}),
        ("close", 1000),
    ]


# -- keys --------------------------------------------------------------------------------------------------------


@virtual
async def test_keys_go_by_message_or_through_rest() -> None:
    by_message = Room(ByMessage, dialect=Said())
    await by_message.call.send_digits("1#")
    assert [value["key"] for kind, value in by_message.scene.trace if kind == "press"] == ["1", "#"]
    (sent,) = by_message.scene.entries(tl.DigitsSent)
    assert sent.digits == "1#"
    by_rest = Room(ByAnswer)
    await by_rest.call.send_digits("12w#")
    assert ['digits="12w#"' in form["Twiml"][0] for form in by_rest.granted] == [True]


@pytest.mark.parametrize(
    "make",
    [Room, lambda: Room(ByAnswer, TwilioConfig(auth_token=Secret("right")))],
    ids=["cannot", "lacks settings"],
)
def test_where_keys_cannot_be_sent_their_tones_are_and_nothing_interrupts_them(
    make: Callable[[], Room],
) -> None:
    @virtual
    async def scenario() -> None:
        room = make()
        sending = asyncio.create_task(room.call.send_digits("1w#"))
        await asyncio.sleep(0.3)
        room.scene.press("7")
        assert room.scene.entries(tl.DigitsSent) == [], "they are still being sent"
        await sending
        assert DtmfDetector().feed(room.scene.audio) == "1#"
        assert room.scene.audio.rstrip(b"\xff") == digits_audio("1w#").rstrip(b"\xff")
        assert (room.scene.kinds.count("clear"), room.call.digits) == (0, "7")
        assert [entry.digits for entry in room.scene.entries(tl.DigitsSent)] == ["1w#"]

    scenario()


@virtual
async def test_keys_that_went_wrong_are_no_tones() -> None:
    wrong = Room(ByAnswer, TwilioConfig(account_sid=ACCOUNT_ID, auth_token=Secret("wrong")))
    with pytest.raises(CarrierError):
        await wrong.call.send_digits("1")
    deaf = Room(can_speak=False)
    with pytest.raises(Unsupported):
        await deaf.call.send_digits("1")
    for room in (wrong, deaf):
        assert room.scene.entries(tl.DigitsSent) == []
        assert room.scene.audio == b""


@virtual
async def test_keys_that_are_sent_while_keys_are_masked_are_masked() -> None:
    room = Room(ByMessage, dialect=Said())
    room.call.digits_masked = True
    await room.call.send_digits("12#")
    assert [entry.digits for entry in room.scene.entries(tl.DigitsSent)] == ["•••"]


@pytest.mark.parametrize("digits", ["", "x", "1 2", "1\n", "</Say>", "1" * 65, "\u0661"])
def test_what_is_no_key_is_not_sent(digits: str) -> None:
    @virtual
    async def scenario() -> None:
        room = Room(ByMessage, dialect=Said())
        with pytest.raises(ValueError, match="digits must be"):
            await room.call.send_digits(digits)
        assert room.scene.trace == []

    scenario()


# -- hanging up --------------------------------------------------------------------------------------------------


@virtual
async def test_where_closing_is_not_enough_the_carrier_is_asked_as_well_and_nobody_waits() -> None:
    room = Room(config=TwilioConfig(account_sid=ACCOUNT_ID, auth_token=Secret("right"), listen_only=True))
    room.rest.open.clear()
    await room.call.hang_up()
    assert room.call.ended == "agent"
    await asyncio.sleep(0)
    assert [request.purpose for request in room.rest.waiting] == ["hang up"]
    room.rest.open.set()
    await asyncio.sleep(0.1)
    assert room.granted == [{"Status": ["completed"]}]
    await room.call.hang_up()
    await asyncio.sleep(0.1)
    assert len(room.granted) == 1


@virtual
async def test_a_hang_up_that_fails_is_counted() -> None:
    room = Room(config=TwilioConfig(account_sid=ACCOUNT_ID, auth_token=Secret("x"), listen_only=True))
    await room.call.hang_up()
    await asyncio.sleep(0.1)
    assert room.failures.rest_failures == {"hang_up": 1}
    unable = Room(config=TwilioConfig(listen_only=True))
    await unable.call.hang_up()
    await asyncio.sleep(0.1)
    assert unable.failures.rest_failures == {"hang_up": 1}


@virtual
async def test_what_still_runs_is_given_up_when_the_process_ends() -> None:
    room = Room(config=TwilioConfig(account_sid=ACCOUNT_ID, auth_token=Secret("right"), listen_only=True))
    room.rest.open.clear()
    await room.call.hang_up()
    await asyncio.sleep(0.1)
    await room.errands.close()
    assert room.granted == []


@virtual
async def test_a_call_that_is_being_hung_up_when_the_process_goes_down_is_hung_up() -> None:
    room = Room(config=msgspec.structs.replace(CONFIG, listen_only=True))
    room.rest.open.clear()
    await room.call.hang_up()
    closing = asyncio.create_task(room.errands.close())
    await asyncio.sleep(1)
    room.rest.open.set()
    await closing
    assert room.granted == [{"Status": ["completed"]}]


@virtual
async def test_a_goodbye_goes_out_before_the_socket_is_closed_and_once() -> None:
    room = Room(dialect=Said())
    room.call.drop(1008, "flood")
    room.call.drop(1000, "agent")
    goodbye = {"event": "goodbye", "reason": "flood"}
    assert room.scene.trace == [("goodbye", goodbye), ("close", 1008)]
    patient = Room(dialect=Patient())
    await patient.call.hang_up()
    assert [kind for kind, _ in patient.scene.trace] == ["goodbye", "wait for goodbye"]
    left = Room(dialect=Patient())
    left.call.end("carrier")
    assert left.scene.trace == [], "it has said its own"


# -- other habits ------------------------------------------------------------------------------------------------


@virtual
async def test_a_carrier_that_cannot_clear_is_not_asked_to_and_plays_what_it_has() -> None:
    scene = build_call(dialect=NoClear())
    saying = scene.say(TEXT)
    await asyncio.sleep(0.5)
    scene.press("1")
    heard = await saying
    assert heard.by == "digit"
    assert heard.ms == pytest.approx(700, abs=21), "what it was sent ahead is heard as well"
    assert scene.kinds == [], "neither marks nor clear"
    scene.trace.clear()
    next_ = scene.say(TEXT)
    await asyncio.sleep(0.1)
    first = len(scene.audio)
    assert 0 < first <= 1600, "the carrier has 100 ms of the old utterance yet"
    assert (await next_).text == TEXT


@virtual
async def test_a_carrier_that_wants_no_more_gets_no_more_until_it_does() -> None:
    scene = build_call()
    saying = scene.say(TEXT)
    await asyncio.sleep(0.1)
    scene.call.receive(FlowStopped())
    sent = len(scene.audio)
    await asyncio.sleep(1)
    assert len(scene.audio) == sent
    scene.call.receive(FlowResumed())
    assert await saying == Heard(TEXT, len(TEXT) * 50, len(TEXT) * 50)
    assert (scene.playout.stats.slips, scene.playout.stats.underruns) == (0, 0)


@virtual
async def test_a_call_goes_on_over_another_socket_and_the_agent_notices_nothing() -> None:
    scene = build_call()
    saying = scene.say(TEXT)
    await asyncio.sleep(0.3)
    scene.call.suspend()
    sent = len(scene.audio)
    await asyncio.sleep(2)
    assert len(scene.audio) == sent
    trace: list[tuple[str, Any]] = []
    other = scene.move(trace)
    heard = await saying
    assert (heard.text, heard.by) == (TEXT, "")
    rest = sum(len(value) for kind, value in trace if kind == "audio")
    assert sent + rest == len(TEXT) * 50 * 8, "nothing was sent twice"
    assert [
        type(entry) for entry in scene.call.timeline if isinstance(entry, tl.LineLost | tl.LineResumed)
    ] == [
        tl.LineLost,
        tl.LineResumed,
    ]
    assert (scene.stats.calls_resumed, scene.playout.stats.slips) == (1, 0)
    await scene.call.hang_up()
    assert (other.closes, scene.line.closes) == ([(1000, "agent")], [])
