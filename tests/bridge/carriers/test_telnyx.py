"""Telnyx: who is believed, what is answered on either API, and what out of order comes to."""

from __future__ import annotations

import json
import sys
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree as Xml

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict
from nacl.signing import SigningKey
from telnyx.lib import webhook_verification as vendor

from bridge.carriers.carrier import Ended, Ending, IncomingCall, Reply, Upgrade, Webhook
from bridge.carriers.dialect import Audio, Ignored, Several, Started
from bridge.carriers.telnyx import (
    ANSWERED,
    CALL_CONTROL,
    OUR_CALL,
    SIGNATURE_HEADER,
    TEXML,
    THEIR_CALL,
    TIMESTAMP_HEADER,
    Telnyx,
    TelnyxConfig,
)
from bridge.carriers.telnyx_dialect import TelnyxDialect
from bridge.emulators.carriers.telnyx import PUBLIC_KEY, signed_headers, stream_order
from bridge.emulators.carriers.telnyx_rest import TelnyxRest
from bridge.emulators.rest_stand_in import run
from bridge.errors import CarrierError, ProtocolError, Refused, Unsupported
from bridge.secret import Secret
from telephony_codecs.formats import ALAW_8K, MULAW_8K, AudioFormat, Encoding
from telephony_codecs.pcm import swap_bytes
from tests.bridge.carriers.cases.telnyx import BODY, CALL_ID, CASES, FORM, PAYLOAD, URLS
from tests.support.carrier_cases import NOW_S

TELNYX = Telnyx(TelnyxConfig(public_key=Secret(PUBLIC_KEY)))
WITH_KEY = TelnyxConfig(public_key=Secret(PUBLIC_KEY), api_key=Secret("KEY0"), connection_id="42")
KEYED = Telnyx(WITH_KEY)
CALL = CASES.call
CONTROLLED = replace(CALL, detail=CALL_CONTROL, account_id="1234567890")


def webhook(body: bytes = BODY, *, headers: Mapping[str, str] | None = None, late_s: float = 0.0) -> Webhook:
    signed = signed_headers(body, NOW_S) if headers is None else headers
    return Webhook(url=URLS.answer, headers=signed, form=FORM, body=body, now_s=NOW_S + late_s)


def event(event_type: str, **payload: object) -> Webhook:
    told = {
        "call_control_id": CALL_ID,
        "connection_id": "1234567890",
        "from": "+15550001111",
        "to": "+15550002222",
    }
    body = json.dumps({"data": {"event_type": event_type, "payload": told | payload}}).encode()
    return Webhook(url=URLS.answer, headers={"content-type": "application/json; charset=utf-8"}, body=body)


# -- signatures ------------------------------------------------------------------------------------


@given(st.binary(min_size=32, max_size=32), st.text(st.characters(exclude_categories=["Cs"])))
@settings(deadline=None)
def test_what_the_vendors_library_believes_we_believe(seed: bytes, body: str) -> None:
    """The vendor's library signs nothing: its own one, PyNaCl, does, and both validators are asked."""
    key, now = SigningKey(seed), 1_790_000_000
    signature = b64encode(key.sign(f"{now}|{body}".encode()).signature).decode()
    public_key = b64encode(bytes(key.verify_key)).decode()
    headers = {SIGNATURE_HEADER: signature, TIMESTAMP_HEADER: str(now)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: now)
        vendor.verify_webhook_signature(body, headers, public_key)
    ours = Telnyx(TelnyxConfig(public_key=Secret(public_key)))
    ours.verify_webhook(Webhook(url=URLS.answer, headers=headers, body=body.encode(), now_s=now))


def test_what_the_simulated_telnyx_signs_the_vendors_library_believes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW_S)
    vendor.verify_webhook_signature(BODY, signed_headers(BODY, NOW_S), PUBLIC_KEY)


@pytest.mark.parametrize("late_s", [-300.0, 0.0, 300.0])
def test_a_signature_is_good_for_five_minutes_both_ways(late_s: float) -> None:
    TELNYX.verify_webhook(webhook(late_s=late_s))


@pytest.mark.parametrize("late_s", [-301.0, 301.0, 1e9])
def test_then_it_is_stale_and_the_clock_is_named(late_s: float) -> None:
    with pytest.raises(Refused, match="clock"):
        TELNYX.verify_webhook(webhook(late_s=late_s))


GOOD = signed_headers(BODY, NOW_S)


@pytest.mark.parametrize(
    "headers",
    [
        CIMultiDict(),
        CIMultiDict({SIGNATURE_HEADER: GOOD[SIGNATURE_HEADER]}),
        CIMultiDict({TIMESTAMP_HEADER: GOOD[TIMESTAMP_HEADER]}),
        CIMultiDict([*GOOD.items(), (SIGNATURE_HEADER, GOOD[SIGNATURE_HEADER])]),
        CIMultiDict([*GOOD.items(), (TIMESTAMP_HEADER, GOOD[TIMESTAMP_HEADER])]),
        CIMultiDict({**GOOD, SIGNATURE_HEADER: GOOD[SIGNATURE_HEADER][:-2]}),
        CIMultiDict({**GOOD, SIGNATURE_HEADER: "!" + GOOD[SIGNATURE_HEADER]}),
        CIMultiDict({**GOOD, SIGNATURE_HEADER: b64encode(b"x" * 63).decode()}),
        CIMultiDict({**GOOD, TIMESTAMP_HEADER: f"{NOW_S:.0f}.0"}),
        CIMultiDict({**GOOD, TIMESTAMP_HEADER: f"+{NOW_S:.0f}"}),
        CIMultiDict({**GOOD, TIMESTAMP_HEADER: str(int(NOW_S) + 1)}),
        CIMultiDict({**GOOD, TIMESTAMP_HEADER: "\u0661\u0667"}),
        CIMultiDict(signed_headers(BODY + b" ", NOW_S)),
    ],
)
def test_anything_else_is_refused(headers: CIMultiDict[str]) -> None:
    with pytest.raises(Refused) as caught:
        TELNYX.verify_webhook(webhook(headers=headers))
    assert (caught.value.reason, caught.value.status) == ("signature", 403)


@pytest.mark.parametrize("key", ["x", "AAAA", b64encode(b"x" * 31).decode(), "\ud800"])
def test_a_key_that_is_none_is_told_by_its_name(key: str) -> None:
    with pytest.raises(Refused, match=r"carriers\.telnyx\.public_key"):
        Telnyx(TelnyxConfig(public_key=Secret(key))).verify_webhook(webhook())


def test_without_the_package_that_verifies_it_is_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    ((setting, why),) = TELNYX.missing()
    assert setting == "public_key"
    assert "extra `telnyx`" in why


# -- webhooks --------------------------------------------------------------------------------------


def test_a_form_announces_a_texml_call() -> None:
    assert TELNYX.incoming(webhook()) == CALL
    assert CALL.detail == TEXML


@pytest.mark.parametrize("call_id", ["", "../x", "a b", "v3:x\n", "x" * 201])
def test_a_call_needs_an_id_of_the_right_form(call_id: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        TELNYX.incoming(replace(webhook(), form=FORM | {"CallSid": call_id}))
    assert caught.value.kind == "bad_webhook"
    with pytest.raises(ProtocolError):
        TELNYX.incoming(event("call.initiated", direction="incoming", call_control_id=call_id))


def test_call_initiated_announces_a_call_control_call() -> None:
    assert TELNYX.incoming(event("call.initiated", direction="incoming")) == CONTROLLED


def test_a_call_that_we_placed_is_announced_once_it_is_answered() -> None:
    assert TELNYX.incoming(event("call.initiated", direction="outgoing", client_state=OUR_CALL)) is None
    announced = TELNYX.incoming(event("call.answered", client_state=OUR_CALL))
    assert announced == replace(CONTROLLED, direction="outbound", detail=ANSWERED)


@pytest.mark.parametrize(
    ("told", "payload", "status"),
    [
        ("call.answered", {}, "unknown"),
        ("call.answered", {"client_state": None}, "unknown"),
        ("call.hangup", {"client_state": OUR_CALL}, "unknown"),
        ("call.initiated", {"direction": "outgoing"}, "unknown"),
        ("streaming.started", {}, "started"),
        ("streaming.stopped", {}, "stopped"),
        ("streaming.failed", {"failure_reason": "connection_failed"}, "error"),
        ("call.later", {"direction": "incoming"}, "unknown"),
    ],
)
def test_any_other_event_announces_nothing(told: str, payload: dict[str, Any], status: str) -> None:
    assert TELNYX.incoming(event(told, **payload)) is None
    assert TELNYX.status(event(told, **payload)) == status


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"data":5}', b'{"data":{"event_type":5}}', b"\xff", b"[" * 99_999]
)
def test_json_that_is_no_event_is_a_protocol_error(body: bytes) -> None:
    asked = Webhook(url=URLS.answer, headers={"Content-Type": "application/json"}, body=body)
    for judge in (TELNYX.incoming, TELNYX.status):
        with pytest.raises(ProtocolError) as caught:
            judge(asked)
        assert caught.value.kind == "bad_webhook"


@pytest.mark.parametrize(
    "payload", [b"[]", b"5", b'{"from":{"phone_number":"+1"}}', b'{"call_control_id":null}']
)
def test_a_payload_is_read_only_of_the_events_that_we_act_on(payload: bytes) -> None:
    def told(event_type: str) -> Webhook:
        body = b'{"data":{"event_type":"%b","payload":%b}}' % (event_type.encode(), payload)
        return Webhook(url=URLS.answer, headers={"Content-Type": "application/json"}, body=body)

    assert TELNYX.incoming(told("call.recording.saved")) is None
    assert TELNYX.status(told("streaming.started")) == "started"
    with pytest.raises(ProtocolError) as caught:
        TELNYX.incoming(told("call.initiated"))
    assert caught.value.kind == "bad_webhook"


def test_a_hangup_is_the_end_of_its_call() -> None:
    assert TELNYX.over(event("call.hangup", hangup_cause="normal_clearing")) == CALL_ID
    assert TELNYX.over(event("streaming.stopped")) == ""
    assert TELNYX.over(webhook()) == ""
    with pytest.raises(ProtocolError):
        TELNYX.over(event("call.hangup", call_control_id="../x"))


def test_what_is_only_told_is_answered_with_200() -> None:
    """Anything else goes to the failover URL too, say its pages."""
    assert (TELNYX.noted.status, TELNYX.noted.body) == (200, "")


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ("stream-started", "started"),
        ("stream-stopped", "stopped"),
        ("stream-failed", "error"),
        ("stream-error", "error"),
        ("", "unknown"),
    ],
)
def test_a_status_is_one_of_a_few(told: str, status: str) -> None:
    assert TELNYX.status(replace(webhook(), form=FORM | {"StreamEvent": told})) == status


# -- answers ---------------------------------------------------------------------------------------


def tree(reply: Reply) -> Xml.Element:
    assert (reply.content_type, reply.status) == ("text/xml", 200)
    return Xml.fromstring(reply.body)


def test_texml_opens_a_stream_that_plays_and_asks_us_what_is_next() -> None:
    connect, redirect = tree(TELNYX.answer(CALL, URLS, "one-time"))
    (stream,) = connect
    assert (connect.tag, connect.attrib) == ("Connect", {})
    assert stream.attrib == {
        "url": f"{URLS.media}/one-time",
        "track": "inbound_track",
        "codec": "PCMU",
        "bidirectionalMode": "rtp",
        "bidirectionalCodec": "PCMU",
        "bidirectionalSamplingRate": "8000",
        "enableReconnect": "true",
        "statusCallback": URLS.status,
        "statusCallbackMethod": "POST",
    }
    assert [parameter.attrib for parameter in stream] == [{"name": "call_id", "value": CALL_ID}]
    assert (redirect.tag, redirect.text, redirect.attrib) == ("Redirect", URLS.ended, {"method": "POST"})


@pytest.mark.parametrize(
    ("config", "codec", "rate", "wire"),
    [
        (TelnyxConfig(codec="PCMA", rate_hz=16000), "PCMA", "8000", ALAW_8K),
        (TelnyxConfig(codec="L16", rate_hz=16000), "L16", "16000", AudioFormat(Encoding.PCM16, 16000)),
    ],
)
def test_the_codec_is_what_the_section_says(
    config: TelnyxConfig, codec: str, rate: str, wire: AudioFormat
) -> None:
    carrier = Telnyx(config)
    (stream,) = tree(carrier.answer(CALL, URLS, "t"))[0]
    assert (stream.get("codec"), stream.get("bidirectionalCodec")) == (codec, codec)
    assert stream.get("bidirectionalSamplingRate") == rate
    assert carrier.dialect(Upgrade(url=URLS.media)).outbound_format == wire


def test_a_call_control_call_is_answered_through_rest_with_its_stream() -> None:
    reply = KEYED.answer(CONTROLLED, URLS, "one-time")
    assert (reply.status, reply.body) == (200, "")
    rest = TelnyxRest(WITH_KEY)
    run(reply.then, rest)
    (request,) = rest.granted
    assert request.url.endswith(f"/v2/calls/{CALL_ID.replace(':', '%3A')}/actions/answer")
    order = stream_order(request.body)
    assert (order.url, order.audio) == (f"{URLS.media}/one-time", MULAW_8K)
    assert json.loads(request.body)["webhook_url"] == URLS.status


def test_a_call_that_we_placed_is_given_its_stream_when_answered() -> None:
    rest = TelnyxRest(WITH_KEY)
    run(KEYED.answer(replace(CONTROLLED, direction="outbound", detail=ANSWERED), URLS, "one-time").then, rest)
    (request,) = rest.granted
    assert request.url.endswith("/actions/streaming_start")
    assert stream_order(request.body).url == f"{URLS.media}/one-time"


def test_a_rate_that_the_answer_cannot_be_told_comes_once_the_call_is_answered() -> None:
    carrier = Telnyx(msgspec.structs.replace(WITH_KEY, codec="L16", rate_hz=16000))
    rest = TelnyxRest(WITH_KEY)
    run(carrier.answer(CONTROLLED, URLS, "unused").then, rest)
    call = carrier.incoming(event("call.answered", client_state=THEIR_CALL))
    assert call == replace(CONTROLLED, detail=ANSWERED)
    run(carrier.answer(call, URLS, "one-time").then, rest)
    answer, start = rest.granted
    assert answer.url.endswith("/actions/answer")
    told = json.loads(answer.body)
    assert (told.pop("client_state"), told.pop("webhook_url")) == (THEIR_CALL, URLS.answer)
    assert start.url.endswith("/actions/streaming_start")
    order = stream_order(start.body)
    assert (order.url, order.audio) == (f"{URLS.media}/one-time", AudioFormat(Encoding.PCM16, 16000))
    assert told["command_id"] != json.loads(start.body)["command_id"], "the same would be obeyed once"


@pytest.mark.parametrize("call_id", ["v3:x", "v3:" + "x" * 190])
def test_the_commands_to_one_call_have_ids_of_their_own_whatever_its_length(call_id: str) -> None:
    carrier = Telnyx(msgspec.structs.replace(WITH_KEY, codec="L16", rate_hz=16000))
    rest = TelnyxRest(WITH_KEY)
    for detail in (CALL_CONTROL, ANSWERED):
        run(carrier.answer(replace(CONTROLLED, call_id=call_id, detail=detail), URLS, "t").then, rest)
    first, second = (json.loads(request.body)["command_id"] for request in rest.granted)
    assert first != second
    assert len(first) <= 64 and len(second) <= 64


def test_the_key_that_everybody_has_is_unsafe() -> None:
    ((setting, why),) = TELNYX.unsafe()
    assert (setting, "anybody" in why) == ("public_key", True)
    assert Telnyx(TelnyxConfig(public_key=Secret("A" * 43 + "="))).unsafe() == []


def test_the_same_webhook_twice_is_the_same_command_twice() -> None:
    rest = TelnyxRest(WITH_KEY)
    for token in ("first", "second"):
        run(KEYED.answer(CONTROLLED, URLS, token).then, rest)
    first, second = (json.loads(request.body)["command_id"] for request in rest.granted)
    assert first == second


def test_call_control_needs_a_key() -> None:
    reply = TELNYX.answer(CONTROLLED, URLS, "one-time")
    assert reply.then is not None
    with pytest.raises(Unsupported, match=r"carriers\.telnyx\.api_key"):
        next(reply.then)


@pytest.mark.parametrize(
    ("ended", "form", "verbs"),
    [
        (Ended(), {}, ["Hangup"]),
        (Ended(), {"StreamEvent": "stream-failed"}, ["Say", "Hangup"]),
        (Ended(Ending.LOST), {}, ["Say", "Hangup"]),
        (Ended(Ending.TRANSFERRED, "+15550003333"), {}, ["Dial", "Hangup"]),
    ],
)
def test_what_comes_after_the_stream(ended: Ended, form: dict[str, str], verbs: list[str]) -> None:
    answer = tree(TELNYX.ended(replace(webhook(), form=FORM | form), ended))
    assert [verb.tag for verb in answer] == verbs
    assert ended.transfer_to == answer.findtext("Dial/Number", "")


@pytest.mark.parametrize("to", ["</Dial><Hangup/>", "]]>", "\ud800\x00+1555"])
def test_a_transfer_cannot_become_an_instruction(to: str) -> None:
    answer = tree(TELNYX.ended(webhook(), Ended(Ending.TRANSFERRED, to)))
    assert [(verb.tag, len(verb)) for verb in answer] == [("Dial", 1), ("Hangup", 0)]


# -- call control ----------------------------------------------------------------------------------


def asked(config: TelnyxConfig, plan: Any) -> tuple[str, str, dict[str, Any]]:
    """The one request that a plan makes: method, path, body."""
    rest = TelnyxRest(config)
    run(plan, rest)
    (request,) = rest.granted
    body = request.body.decode()
    fields = json.loads(body) if body.startswith("{") else {"form": body}
    return request.method, request.url.removeprefix("https://api.telnyx.com"), fields


QUOTED = CALL_ID.replace(":", "%3A")


def test_a_call_control_call_is_hung_up_transferred_and_pressed_keys_to() -> None:
    path = f"/v2/calls/{QUOTED}/actions"
    assert asked(WITH_KEY, KEYED.hang_up(CONTROLLED)) == ("POST", f"{path}/hangup", {})
    moved = KEYED.transfer(CONTROLLED, "+15550003333", URLS)
    assert asked(WITH_KEY, moved) == ("POST", f"{path}/transfer", {"to": "+15550003333"})
    pressed = KEYED.send_digits(CONTROLLED, "12#")
    assert asked(WITH_KEY, pressed) == ("POST", f"{path}/send_dtmf", {"digits": "12#"})


def test_a_call_control_call_whose_stream_has_failed_is_hung_up() -> None:
    """Nobody asks what is next: the caller would be left on a silent line."""
    plan = KEYED.abandon(CONTROLLED)
    assert plan is not None
    assert asked(WITH_KEY, plan) == ("POST", f"/v2/calls/{QUOTED}/actions/hangup", {})
    assert KEYED.abandon(CALL) is None, "TeXML asks"


def test_a_texml_call_is_changed_as_a_form() -> None:
    path = f"/v2/texml/Accounts/{CALL.account_id}/Calls/{QUOTED}"
    assert asked(WITH_KEY, KEYED.hang_up(CALL)) == ("POST", path, {"form": "Status=completed"})
    method, where, body = asked(WITH_KEY, KEYED.transfer(CALL, "+15550003333", URLS))
    assert (method, where) == ("POST", path)
    assert urlencode({"": "<Dial><Number>+15550003333</Number></Dial><Hangup />"})[1:] in body["form"]


def test_without_a_key_a_texml_call_ends_and_moves_by_closing() -> None:
    assert TELNYX.hang_up(CALL) is None
    assert TELNYX.transfer(CALL, "+15550003333", URLS) is None


@pytest.mark.parametrize("call", [CALL, CONTROLLED], ids=["texml", "call_control"])
def test_a_call_that_has_ended_already_is_ended(call: IncomingCall) -> None:
    rest = TelnyxRest(WITH_KEY)
    rest.over.add(call.call_id)
    run(KEYED.hang_up(call), rest)
    with pytest.raises(CarrierError, match="90018") as caught:
        run(KEYED.transfer(call, "+15550003333", URLS), rest)
    assert caught.value.status == 422


def test_a_call_is_placed_and_known_by_its_call_control_id() -> None:
    rest = TelnyxRest(WITH_KEY)
    assert run(KEYED.place_call("+15550003333", "+15550002222", URLS), rest) == "v3:placed"
    assert json.loads(rest.granted[0].body) == {
        "connection_id": "42",
        "to": "+15550003333",
        "from": "+15550002222",
        "webhook_url": URLS.answer,
        "client_state": OUR_CALL,
    }


@pytest.mark.parametrize(
    ("config", "lacks"),
    [
        (TelnyxConfig(public_key=Secret(PUBLIC_KEY), connection_id="42"), "api_key"),
        (TelnyxConfig(public_key=Secret(PUBLIC_KEY), api_key=Secret("KEY0")), "connection_id"),
    ],
)
def test_what_a_plan_lacks_is_named(config: TelnyxConfig, lacks: str) -> None:
    with pytest.raises(Unsupported, match=rf"carriers\.telnyx\.{lacks}"):
        next(Telnyx(config).place_call("+15550003333", "+15550002222", URLS))


def test_wrong_credentials_are_told_without_being_shown() -> None:
    with pytest.raises(CarrierError, match="Authentication failed") as caught:
        run(KEYED.hang_up(CONTROLLED), TelnyxRest(TelnyxConfig(api_key=Secret("another"))))
    assert caught.value.status == 401
    assert "KEY0" not in str(caught.value)


# -- installation ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "path", "fields"),
    [
        (
            "texml_application_id",
            "texml_applications/42",
            {"friendly_name": "the bridge's", "voice_url": URLS.answer},
        ),
        (
            "connection_id",
            "call_control_applications/42",
            {"application_name": "the bridge's", "webhook_event_url": URLS.answer},
        ),
    ],
)
def test_set_up_gives_the_application_our_webhook_and_the_number(
    setting: str, path: str, fields: dict[str, str]
) -> None:
    config = TelnyxConfig(**{"api_key": Secret("KEY0"), setting: "42"})  # type: ignore[arg-type]
    rest = TelnyxRest(config)
    done = run(Telnyx(config).set_up("+15550002222", URLS), rest)
    assert any(URLS.answer in line for line in done)
    changes = {r.url.partition("/v2/")[2]: json.loads(r.body) for r in rest.granted if r.method == "PATCH"}
    assert changes == {path: fields, "phone_numbers/1293384261075731499": {"connection_id": "42"}}


def test_set_up_tells_what_is_missing() -> None:
    with pytest.raises(Unsupported, match="connection_id"):
        next(Telnyx(TelnyxConfig(api_key=Secret("KEY0"))).set_up("+15550002222", URLS))
    with pytest.raises(CarrierError, match="not one of the account's numbers"):
        run(KEYED.set_up("+15550009999", URLS), TelnyxRest(WITH_KEY))


def test_the_key_is_checked_by_the_balance() -> None:
    assert TELNYX.check() is None
    assert run(KEYED.check(), TelnyxRest(WITH_KEY)) == "an account with 300.00 USD"


# -- the dialect -----------------------------------------------------------------------------------


def media(chunk: int, payload: bytes = PAYLOAD) -> bytes:
    body = {"track": "inbound", "chunk": str(chunk), "timestamp": str(chunk * 20)}
    told = {"event": "media", "media": body | {"payload": b64encode(payload).decode()}}
    return json.dumps(told).encode()


def test_media_out_of_order_is_heard_in_order() -> None:
    """The issue's bad input: Telnyx does not promise the order of media."""
    dialect = CASES.streaming()
    assert dialect.receive(media(1)) == Audio(PAYLOAD, 20)
    assert dialect.receive(media(3)) == Ignored("media_out_of_order")
    assert dialect.receive(media(2)) == Several((Audio(PAYLOAD, 40), Audio(PAYLOAD, 60)))
    assert dialect.receive(media(2)) == Ignored("media_too_late")


def test_a_gap_is_given_up_after_200_ms_and_counted() -> None:
    dialect = CASES.streaming()
    dialect.receive(media(1))
    for chunk in range(3, 12):
        assert dialect.receive(media(chunk)) == Ignored("media_out_of_order")
    told = dialect.receive(media(12))
    assert isinstance(told, Several)
    assert told.events == (
        Ignored("media_lost"),
        *(Audio(PAYLOAD, chunk * 20) for chunk in range(3, 13)),
    )
    assert dialect.receive(media(13)) == Audio(PAYLOAD, 260)


@pytest.mark.parametrize(
    ("start", "inbound"),
    [("start", MULAW_8K), ("start_pcma", ALAW_8K), ("start_l16", AudioFormat(Encoding.PCM16, 16000))],
)
def test_what_the_caller_comes_as_may_differ_from_what_we_send(start: str, inbound: AudioFormat) -> None:
    dialect = CASES.after("connected", start)
    assert (dialect.inbound_format, dialect.outbound_format) == (inbound, MULAW_8K)


@pytest.mark.parametrize("big_endian", [True, False])
def test_l16_is_in_the_byte_order_of_the_setting(big_endian: bool) -> None:
    dialect = TelnyxDialect(AudioFormat(Encoding.PCM16, 16000), big_endian=big_endian)
    dialect.receive(CASES.frame("start_l16"))
    pcm = bytes(range(64))
    on_the_wire = swap_bytes(pcm) if big_endian else pcm
    assert dialect.receive(media(1, on_the_wire)) == Audio(pcm, 20)
    sent = json.loads(dialect.audio(pcm))
    assert sent == {"event": "media", "media": {"payload": b64encode(on_the_wire).decode()}}


def test_half_a_sample_is_a_bad_message() -> None:
    dialect = CASES.after("connected", "start_l16")
    with pytest.raises(ProtocolError) as caught:
        dialect.receive(media(1, b"abc"))
    assert (caught.value.kind, caught.value.close_code) == ("bad_message", None)


def test_a_codec_that_is_not_ours_is_told_with_the_mend() -> None:
    with pytest.raises(ProtocolError, match=r"'G722' at 8000 Hz; allow PCMU and PCMA alone") as caught:
        CASES.after("connected", "hopeless/start_g722")
    assert (caught.value.kind, caught.value.close_code) == ("bad_format", 1008)


def test_the_token_comes_in_the_path() -> None:
    started = CASES.after("connected").receive(CASES.frame("start"))
    assert isinstance(started, Started)
    assert TELNYX.token_of(started, CASES.upgrade) == "one-time"
