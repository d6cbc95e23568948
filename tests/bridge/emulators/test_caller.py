"""Whole calls, over loopback, to a bridge that does as the test says."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSCloseCode
from twilio.request_validator import RequestValidator

from bridge.carriers.twilio import TwilioConfig
from bridge.config import Secret
from bridge.emulators.caller import (
    CallPlan,
    CallReport,
    Cue,
    Misbehaviour,
    Outcome,
    Press,
    Signature,
    Utterance,
    answer_url,
    place_call,
    run,
)
from bridge.emulators.carriers.twilio import Fault
from bridge.emulators.recording import (
    BridgeClosed,
    BridgeStarted,
    CallerStarted,
    CallerStopped,
    ClearReceived,
    DigitPressed,
    Faulted,
    HungUp,
    StreamOpened,
    WebhookAnswered,
)
from bridge.emulators.twiml import Verb
from bridge.errors import ConfigError
from telephony_codecs.formats import PCM16_8K
from telephony_codecs.wav import read_wav, wav_bytes
from tests.support.toy_bridge import PACKET, Line, ToyBridge, toy_bridge

TOKEN = Secret("the auth token")
SECTION = TwilioConfig(auth_token=TOKEN)
VOICE = b"\x21\xa1" * 80


async def call(bridge: ToyBridge, **options: Any) -> CallReport:
    """Call it; for half a second at most, if the test does not say otherwise."""
    defaults: dict[str, Any] = {
        "answer_url": f"{bridge.url}/answer",
        "section": SECTION,
        "hang_up_after_s": 0.5,
    }
    return await place_call(CallPlan(**(defaults | options)))


async def listen(line: Line) -> None:
    await line.to_the_end()


async def close(line: Line) -> None:
    await line.until("start")
    await line.socket.close(code=WSCloseCode.GOING_AWAY, message=b"draining")


# -- a call that goes well -----------------------------------------------------------------------------


async def interrupted(line: Line) -> None:
    """Greets for ten seconds if it is let, stops when the caller speaks, and answers a key."""
    await line.until("start")
    await line.speak(500)
    await line.send("mark", mark={"name": "greeting"})
    while VOICE not in line.voice():
        await line.until("media")
    await line.send("clear")
    await line.until("dtmf")
    await line.speak(1)
    await line.send("mark", mark={"name": "reply"})
    await line.to_the_end()


async def test_the_caller_interrupts_and_presses_a_key() -> None:
    interrupts = Utterance(VOICE * 3, Cue(after_bridge_speaks_ms=100))
    async with toy_bridge(interrupted) as bridge:
        report = await call(
            bridge,
            actions=[interrupts, Press("7", Cue(at_s=0))],
            hang_up_after_s=10,
            hang_up_on_silence_s=0.5,
        )
        (line,) = bridge.lines

    assert (report.outcome, report.ok, report.close_code) == (Outcome.HUNG_UP, True, 1000)
    assert line.kinds() == ["connected", "start", "mark", "dtmf", "mark", "stop"]
    assert report.marks == ["greeting", "reply"]
    # What was cleared was never heard, and what was said arrived.
    greeting, _, reply = report.heard.rpartition(PACKET)
    assert 5 <= greeting.count(PACKET) < 500 and reply.strip(b"\xff") == b""
    assert line.voice() == report.said and VOICE * 3 in report.said
    assert [len(report.of(kind)) for kind in (CallerStarted, CallerStopped, ClearReceived)] == [1, 1, 1]
    assert [len(report.onset_to_clear_ms), len(report.digit_to_clear_ms)] == [1, 1]
    assert report.onset_to_clear_ms[0] is not None


async def test_the_story_is_told_in_order() -> None:
    async with toy_bridge(interrupted) as bridge:
        report = await call(
            bridge,
            actions=[Utterance(VOICE, Cue(after_bridge_speaks_ms=20)), Press("7", Cue(at_s=0))],
            hang_up_after_s=10,
            hang_up_on_silence_s=0.5,
        )
    entries = [entry for entry in report.recording.entries if type(entry) is not WebhookAnswered]
    kinds = [type(entry) for entry in entries]
    first_seen = sorted(set(kinds), key=kinds.index)
    # The key is pressed whether or not the bridge has cleared by then: two stories, with no order between them.
    for told in (ClearReceived, DigitPressed):
        wanted = [StreamOpened, BridgeStarted, CallerStarted, told, HungUp]
        assert [kind for kind in first_seen if kind in wanted] == wanted
    # A slot's events are dated with the slot, so a neighbour may be noted up to a slot before it is due.
    slack_ms = 40 + report.late_ms
    assert all(before.at_ms <= after.at_ms + slack_ms for before, after in pairwise(entries))


async def test_twilios_validator_accepts_every_request() -> None:
    async with toy_bridge(listen) as bridge:
        report = await call(bridge, hang_up_after_s=0.1)
        validator = RequestValidator(TOKEN.reveal())
        assert [post.path for post in bridge.posted][:2] == ["/answer", "/status"]
        assert sorted(post.path for post in bridge.posted) == ["/answer", "/ended", "/status", "/status"]
        for post in bridge.posted:
            assert validator.validate(post.url, post.form, post.signature), post.path
        # Twilio drops a query of the stream's URL, and signs what is left.
        ((path, signature),) = bridge.upgrades
        assert path == "/media"
        assert validator.validate(bridge.url.replace("http", "ws", 1) + "/media", {}, signature)
    assert report.verbs == (Verb("Hangup"),)


async def test_the_forms_say_whose_call_and_stream_it_is() -> None:
    async with toy_bridge(listen) as bridge:
        report = await call(bridge, hang_up_after_s=0.1, from_number="+1", to_number="+2")
        forms = [post.form for post in bridge.posted]
        (answer,), (ended,) = bridge.posts("/answer"), bridge.posts("/ended")
        events = [post.form["StreamEvent"] for post in bridge.posts("/status")]
        start = bridge.lines[0].received[1]["start"]
    assert {(form["CallSid"], form["From"], form["To"]) for form in forms} == {(report.call_sid, "+1", "+2")}
    assert answer.form["CallStatus"] == "ringing" and answer.form["Direction"] == "inbound"
    assert ended.form["CallStatus"] == "completed"
    assert sorted(events) == ["stream-started", "stream-stopped"]
    assert (start["callSid"], start["streamSid"]) == (report.call_sid, report.stream_sid)
    assert start["customParameters"] == {"token": "t0"}


async def test_a_bridge_behind_a_proxy_is_reached_directly() -> None:
    public = "https://bridge.example"
    async with toy_bridge(listen, public_url=public) as bridge:
        report = await call(bridge, hang_up_after_s=0.1, public_url=public)
        validator = RequestValidator(TOKEN.reveal())
        assert {post.path for post in bridge.posted} == {"/answer", "/status", "/ended"}
        assert all(validator.validate(post.url, post.form, post.signature) for post in bridge.posted)
        assert validator.validate("wss://bridge.example/media", {}, bridge.upgrades[0][1])
    assert report.ok


# -- how it can end ------------------------------------------------------------------------------------


async def test_the_bridge_closes() -> None:
    async with toy_bridge(close) as bridge:
        report = await call(bridge)
        (ended,) = bridge.posts("/ended")
    assert (report.outcome, report.close_code) == (Outcome.BRIDGE_CLOSED, 1001)
    assert report.detail == "with 1001, draining"
    assert [(e.code, e.reason) for e in report.of(BridgeClosed)] == [(1001, "draining")]
    assert ended.form["CallStatus"] == "in-progress"


async def test_without_an_action_the_verbs_that_follow_are_run() -> None:
    twiml = '<Response><Connect><Stream url="{ws}/media"/></Connect><Say>sorry</Say></Response>'
    async with toy_bridge(close, twiml=twiml) as bridge:
        report = await call(bridge)
        assert [post.path for post in bridge.posted] == ["/answer"]
    assert report.verbs == (Verb("Say", text="sorry"),)


async def test_a_stream_that_only_listens() -> None:
    twiml = '<Response><Start><Stream url="{ws}/media"/></Start><Pause length="60"/></Response>'
    async with toy_bridge(interrupted, twiml=twiml) as bridge:
        report = await call(bridge, actions=[Press("7", Cue(at_s=0))])
        assert bridge.lines[0].kinds() == ["connected", "start", "stop"]
    assert {fault.code for fault in report.of(Faulted)} == {Fault.PROTOCOL}
    assert report.arrived_ms == 0


@pytest.mark.parametrize(
    ("options", "outcome", "detail"),
    [
        ({"answer_status": 403, "twiml": "no\n such call"}, Outcome.WEBHOOK_REFUSED, "403: no such call (is"),
        ({"answer_status": 500, "twiml": "oops"}, Outcome.WEBHOOK_REFUSED, "answered with 500: oops"),
        ({"twiml": "hello"}, Outcome.WEBHOOK_REFUSED, "12100: "),
        ({"twiml": "<Response/>"}, Outcome.NO_STREAM, "the bridge answered with nothing"),
        ({"twiml": "<Response><Reject/></Response>"}, Outcome.NO_STREAM, "answered with <Reject>"),
        ({"upgrade_status": 403}, Outcome.STREAM_REFUSED, "the upgrade was answered with 403"),
    ],
)
async def test_a_refusal_is_an_outcome(options: dict[str, Any], outcome: Outcome, detail: str) -> None:
    async with toy_bridge(listen, **options) as bridge:
        report = await call(bridge)
    assert (report.outcome, report.ok) == (outcome, False)
    assert detail in report.detail
    assert (report.stream_sid, report.close_code, report.heard) == ("", None, b"")


async def test_nobody_there_is_an_outcome() -> None:
    report = await place_call(CallPlan(answer_url="http://127.0.0.1:1/answer", section=SECTION))
    assert report.outcome is Outcome.UNREACHABLE and report.detail


async def test_the_bridge_is_told_of_a_stream_that_failed() -> None:
    async with toy_bridge(listen, upgrade_status=503) as bridge:
        report = await call(bridge)
        (status,), (ended,) = bridge.posts("/status"), bridge.posts("/ended")
    assert status.form["StreamEvent"] == "stream-error"
    assert status.form["StreamError"] == ended.form["StreamError"] == f"31920: {report.detail}"
    assert [fault.code for fault in report.of(Faulted)] == [Fault.HANDSHAKE]
    assert report.verbs == (Verb("Hangup"),)


async def test_a_bridge_that_does_not_read_cannot_hold_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.emulators.carrier_call.CLOSE_TIMEOUT_S", 0.2)
    over = asyncio.Event()

    async def deaf(line: Line) -> None:
        await over.wait()

    flood = Misbehaviour(after_start=["x" * 1_000_000] * 30)
    async with toy_bridge(deaf) as bridge:
        report = await call(bridge, hang_up_after_s=0.1, misbehaviour=flood)
        over.set()
    assert (report.outcome, report.detail) == (Outcome.HUNG_UP, "the bridge has stopped reading")
    assert report.close_code != 1000


@pytest.mark.parametrize("ended", ["not TwiML", "<Answer/>"])
async def test_an_action_that_says_nothing_of_use_is_a_fault(ended: str) -> None:
    async with toy_bridge(close, ended=ended) as bridge:
        report = await call(bridge)
    assert report.verbs == ()
    assert [fault.code for fault in report.of(Faulted)] == [11200]


# -- doing it wrong ------------------------------------------------------------------------------------


async def kinds_with(bridge: ToyBridge, wrong: Misbehaviour, **options: Any) -> list[str]:
    report = await call(bridge, hang_up_after_s=0.1, misbehaviour=wrong, **options)
    assert report.outcome is Outcome.HUNG_UP
    return bridge.lines[0].kinds()


@pytest.mark.parametrize(
    ("wrong", "kinds"),
    [
        (Misbehaviour(skip_connected=True), ["start", "stop"]),
        (Misbehaviour(skip_start=True), ["connected", "stop"]),
        (Misbehaviour(repeat_start=True), ["connected", "start", "start", "stop"]),
        (Misbehaviour(after_start=['{"event":"odd"}']), ["connected", "start", "odd", "stop"]),
        (Misbehaviour(after_stop=['{"event":"late"}']), ["connected", "start", "stop", "late"]),
    ],
)
async def test_the_messages_can_be_wrong(wrong: Misbehaviour, kinds: list[str]) -> None:
    async with toy_bridge(listen) as bridge:
        assert await kinds_with(bridge, wrong) == kinds


async def test_the_caller_can_vanish() -> None:
    gone = asyncio.Event()

    async def look(line: Line) -> None:
        try:
            await line.to_the_end()
        finally:  # aiohttp's test server cancels a handler whose connection breaks
            gone.set()

    async with toy_bridge(look) as bridge:
        assert await kinds_with(bridge, Misbehaviour(vanish=True)) == ["connected", "start"]
        await asyncio.wait_for(gone.wait(), 5)


async def test_audio_can_come_too_early_or_not_at_all() -> None:
    async with toy_bridge(listen) as bridge:
        await call(bridge, hang_up_after_s=0.1, misbehaviour=Misbehaviour(media_before_start=2))
        await call(bridge, hang_up_after_s=0.1, misbehaviour=Misbehaviour(mute=True))
        early, mute = ([event["event"] for event in line.received] for line in bridge.lines)
    assert early[:5] == ["connected", "media", "media", "start", "media"]
    assert mute == ["connected", "start", "stop"]


@pytest.mark.parametrize(
    ("wrong", "parameters"),
    [
        (Misbehaviour(), {"token": "t0"}),
        (Misbehaviour(omit_parameters=True), {}),
        (Misbehaviour(parameters={"token": "other"}), {"token": "other"}),
    ],
)
async def test_the_parameters_can_be_wrong(wrong: Misbehaviour, parameters: dict[str, str]) -> None:
    async with toy_bridge(listen) as bridge:
        await kinds_with(bridge, wrong)
        assert bridge.lines[0].received[1]["start"]["customParameters"] == parameters


async def test_the_call_in_start_can_be_anothers() -> None:
    async with toy_bridge(listen) as bridge:
        await kinds_with(bridge, Misbehaviour(start_call_sid="CA-other"))
        assert bridge.lines[0].received[1]["start"]["callSid"] == "CA-other"


async def test_binary_messages_go_out_as_binary() -> None:
    seen: list[object] = []

    async def look(line: Line) -> None:
        await line.until("start")
        seen.append((await line.socket.receive()).data)
        await line.to_the_end()

    async with toy_bridge(look) as bridge:
        await call(bridge, hang_up_after_s=0.1, misbehaviour=Misbehaviour(after_start=[b"\x00\xff"]))
    assert seen == [b"\x00\xff"]


@pytest.mark.parametrize(("signature", "present"), [(Signature.FORGED, True), (Signature.ABSENT, False)])
async def test_signatures_can_be_wrong(signature: Signature, present: bool) -> None:
    wrong = Misbehaviour(webhook_signature=signature, upgrade_signature=signature)
    async with toy_bridge(listen) as bridge:
        await kinds_with(bridge, wrong)
        validator, posts = RequestValidator(TOKEN.reveal()), bridge.posted
        assert [post.signature is not None for post in posts] == [present] * len(posts)
        assert (bridge.upgrades[0][1] is not None) is present
        assert not any(validator.validate(post.url, post.form, post.signature or "") for post in posts)


# -- the command ---------------------------------------------------------------------------------------


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "hello.wav"
    path.write_bytes(wav_bytes(PCM16_8K, b"\x00\x20\x00\xe0" * 400))
    return path


async def test_the_command_calls_tells_and_records(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRIDGE_CARRIERS__TWILIO__AUTH_TOKEN", TOKEN.reveal())
    out = tmp_path / "call.wav"
    async with toy_bridge(interrupted) as bridge:
        report = await run(
            f"{bridge.url}/answer",
            speak=[recording],
            speak_after_s=0,
            digits="1",
            hang_up_after_s=0.4,
            hang_up_on_silence_s=None,
            out=out,
        )
        signed = RequestValidator(TOKEN.reveal())
        assert all(signed.validate(post.url, post.form, post.signature) for post in bridge.posted)
    printed = capsys.readouterr().out
    assert report.ok and "hung up" in printed and report.call_sid in printed
    assert TOKEN.reveal() not in printed
    assert read_wav(out).channels == 2
    assert [entry.digit for entry in report.of(DigitPressed)] == ["1"]
    assert len(report.of(CallerStopped)) == 1


async def test_the_credentials_are_those_of_the_bridges_own_file(tmp_path: Path) -> None:
    config = tmp_path / "bridge.toml"
    config.write_text(f'[carriers.twilio]\nauth_token = "{TOKEN.reveal()}"\naccount_sid = "AC7"\n')
    async with toy_bridge(listen) as bridge:
        report = await run(f"{bridge.url}/answer", config=config, hang_up_after_s=0.1)
        assert all(
            RequestValidator(TOKEN.reveal()).validate(post.url, post.form, post.signature)
            for post in bridge.posted
        )
        assert {post.form["AccountSid"] for post in bridge.posted} == {"AC7"}
    assert report.ok


@pytest.mark.parametrize(
    ("url", "webhook"),
    [
        ("https://b.example/carriers/twilio/answer", "https://b.example/carriers/twilio/answer"),
        ("https://b.example/a/b?c=d", "https://b.example/a/b?c=d"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/carriers/twilio/answer"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/carriers/twilio/answer"),
        ("wss://b.example", "https://b.example/carriers/twilio/answer"),
        ("ws://127.0.0.1:8080/carriers/twilio/media", "http://127.0.0.1:8080/carriers/twilio/answer"),
    ],
)
def test_a_bridge_can_be_given_by_any_address_of_it(url: str, webhook: str) -> None:
    assert answer_url(url, "twilio") == webhook


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"auth_token": None}, "BRIDGE_CARRIERS__TWILIO__AUTH_TOKEN: carriers.twilio.auth_token: is missing"),
        ({"carrier": "carrier pigeon"}, "--carrier: 'carrier pigeon' is none of .*twilio"),
        ({"speak": [Path("no such.wav")]}, "no such.wav"),
        ({"speak": [Path(__file__)]}, "not a WAV"),
        ({"digits": "call me"}, "keys of a telephone"),
    ],
)
async def test_the_command_refuses_what_it_cannot_do(
    options: dict[str, Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BRIDGE_CARRIERS__TWILIO__AUTH_TOKEN", raising=False)
    with pytest.raises(ConfigError, match=reason):
        await run("http://127.0.0.1:1/answer", **({"auth_token": TOKEN} | options))
