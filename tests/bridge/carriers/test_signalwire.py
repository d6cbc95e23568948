"""SignalWire: what sets it apart from Twilio, who is believed, what is answered, what is asked of its REST."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64decode, b64encode
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode
from xml.etree import ElementTree as Xml

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict

from bridge.carriers.carrier import Ended, Ending, IncomingCall, Reply, Upgrade, Webhook
from bridge.carriers.dialect import Audio, Started
from bridge.carriers.rest import RestAnswer
from bridge.carriers.signalwire import (
    SHA256_HEADER,
    SIGNATURE_HEADER,
    TWILIO_HEADER,
    SignalWire,
    SignalWireConfig,
    sign_body,
    sign_form,
)
from bridge.carriers.signalwire_dialect import SignalWireDialect
from bridge.emulators.carriers.signalwire_rest import CALL_ID as PLACED
from bridge.emulators.carriers.signalwire_rest import NUMBER, PROJECT_NAME, SignalWireRest
from bridge.emulators.rest_stand_in import run
from bridge.errors import CarrierError, ProtocolError, Refused, Unsupported
from bridge.secret import Secret
from telephony_codecs.formats import AudioFormat, Encoding
from tests.bridge.carriers.cases.signalwire import (
    CALL_ID,
    CASES,
    FORM,
    KEY,
    PAYLOAD,
    PCM,
    PROJECT,
    STARTED,
    URLS,
)
from tests.support.carrier_cases import frame

SPACE = "example.signalwire.com"
SIGNALWIRE = SignalWire(SignalWireConfig(signing_key=Secret(KEY)))
CONFIG = SignalWireConfig(
    signing_key=Secret(KEY), project_id=PROJECT, api_token=Secret("PT_token"), space=SPACE
)
CALL = CASES.call


def webhook(url: str = URLS.answer, form: Any = FORM, body: bytes = b"", **headers: str) -> Webhook:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Webhook(url=url, form=form, headers=named, body=body)


def believes(asked: Webhook) -> bool:
    try:
        SIGNALWIRE.verify_webhook(asked)
    except Refused as refused:
        assert (refused.reason, refused.status) == ("signature", 403)
        return False
    return True


# -- signatures, by the scheme for forms ---------------------------------------------------------------


def documented_form_signature(key: str, url: str, body: str) -> str:
    """The documented scheme, written down once more from the form's own text."""
    message = url
    fields = parse_qsl(body, keep_blank_values=True)
    for name in sorted({name for name, _ in fields}):
        message += "".join(name + value for other, value in fields if other == name)
    return b64encode(hmac.new(key.encode(), message.encode(), hashlib.sha1).digest()).decode()


GOLDEN_KEY = "PSK_V3bF8oye"
#: Made by openssl: ``printf %s "$url$fields" | openssl dgst -sha1 -hmac "$key" -binary | base64``.
GOLDEN_FORMS = {
    "an incoming call": (
        URLS.answer,
        "hkgYZt1NK7g1krNJjpHeFVowDD8=",
        [
            ("To", "+15550002222"),
            ("From", "+15550001111"),
            ("CallSid", CALL_ID),
            ("AccountSid", PROJECT),
            ("Caller", 'Zo\u00eb & "S\u00f6hne"'),
        ],
    ),
    "a query and repeated names": (
        f"{URLS.answer}?a=1&b=%20",
        "z/RuyrKlPCbYmikpkpXHQSZip0w=",
        [("Digits", "12#"), ("To", "+15550002222"), ("Digits", ""), ("Digits", "9")],
    ),
}


@pytest.mark.parametrize(("url", "signature", "fields"), GOLDEN_FORMS.values(), ids=GOLDEN_FORMS.keys())
def test_golden_forms_are_believed(url: str, signature: str, fields: list[tuple[str, str]]) -> None:
    carrier = SignalWire(SignalWireConfig(signing_key=Secret(GOLDEN_KEY)))
    asked = webhook(url, MultiDict(fields), X_SignalWire_Signature=signature)
    carrier.verify_webhook(asked)
    assert not believes(asked), "the key of another project"


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=8))
def test_we_sign_forms_as_documented_repeated_names_and_all(fields: list[tuple[str, str]]) -> None:
    assert sign_form(KEY, URLS.answer, fields) == documented_form_signature(
        KEY, URLS.answer, urlencode(fields)
    )


def test_repeated_fields_keep_their_order_and_their_number() -> None:
    form = MultiDict([("b", "2"), ("a", "9"), ("b", "1"), ("b", "1")])
    signature = documented_form_signature(KEY, URLS.answer, "b=2&a=9&b=1&b=1")
    assert believes(webhook(form=form, X_SignalWire_Signature=signature))
    for other in ([("b", "1"), ("a", "9"), ("b", "2"), ("b", "1")], [("b", "2"), ("a", "9"), ("b", "1")]):
        assert not believes(webhook(form=MultiDict(other), X_SignalWire_Signature=signature))


@pytest.mark.parametrize("header", [SIGNATURE_HEADER, TWILIO_HEADER, SIGNATURE_HEADER.lower()])
def test_a_form_may_carry_its_signature_under_either_name(header: str) -> None:
    assert believes(replace(webhook(), headers={header: sign_form(KEY, URLS.answer, FORM.items())}))


@pytest.mark.parametrize("signed", ["https://bridge.example:443/carriers/signalwire/answer", URLS.answer])
def test_the_port_may_be_in_the_signed_url_or_not(signed: str) -> None:
    assert believes(webhook(X_SignalWire_Signature=sign_form(KEY, signed, FORM.items())))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {SIGNATURE_HEADER: ""},
        {SIGNATURE_HEADER: sign_form("another", URLS.answer, FORM.items())},
        {SIGNATURE_HEADER: sign_form(KEY, URLS.status, FORM.items())},
        {SIGNATURE_HEADER: sign_form(KEY, URLS.answer)},
        {SIGNATURE_HEADER: sign_form(KEY, URLS.answer, {**FORM, "To": "+15550009999"}.items())},
        {SHA256_HEADER: sign_form(KEY, URLS.answer, FORM.items())},
        {"X-SignalWire-Signatures": sign_form(KEY, URLS.answer, FORM.items())},
    ],
)
def test_any_other_form_is_refused(headers: dict[str, str]) -> None:
    assert not believes(replace(webhook(), headers=headers))


def test_a_repeated_signature_is_refused_even_if_one_is_right() -> None:
    right = sign_form(KEY, URLS.answer, FORM.items())
    twice = MultiDict([(SIGNATURE_HEADER, right), (SIGNATURE_HEADER.lower(), right)])
    assert not believes(replace(webhook(), headers=twice))


def test_without_a_key_even_its_own_signature_is_refused() -> None:
    asked = webhook(X_SignalWire_Signature=sign_form("", URLS.answer, FORM.items()))
    with pytest.raises(Refused, match="no secret"):
        SignalWire(SignalWireConfig()).verify_webhook(asked)


# -- signatures, by the scheme for anything else -------------------------------------------------------

BODY = b'{"call":{"call_id":"b5d63b2e-f75b-4dc8-b6d4-269b635f96c0","call_state":"created"}}'

#: Made by openssl, too.
GOLDEN_BODIES = {
    SIGNATURE_HEADER: "be2896c4fc729fb1fb3355d81c9647c52970b8ac",
    SHA256_HEADER: "8c32d411d04b67635231149e62a070bebc5382fc597f50af5dd305ed3646735c",
}


@pytest.mark.parametrize(("header", "signature"), GOLDEN_BODIES.items())
def test_golden_json_is_believed(header: str, signature: str) -> None:
    carrier = SignalWire(SignalWireConfig(signing_key=Secret(GOLDEN_KEY)))
    asked = Webhook(url=URLS.status, body=BODY, headers={header: signature})
    carrier.verify_webhook(asked)
    with pytest.raises(Refused):
        carrier.verify_webhook(replace(asked, body=BODY + b" "))


@pytest.mark.parametrize(
    ("header", "algorithm", "believed"),
    [
        (SIGNATURE_HEADER, "sha1", True),
        (SHA256_HEADER, "sha256", True),
        (SHA256_HEADER, "sha1", False),
        (SIGNATURE_HEADER, "sha256", False),
        (TWILIO_HEADER, "sha1", False),
    ],
)
def test_json_is_signed_over_its_bytes_in_hexadecimal(header: str, algorithm: Any, believed: bool) -> None:
    signature = hmac.new(KEY.encode(), URLS.status.encode() + BODY, algorithm).hexdigest()
    assert sign_body(KEY, URLS.status, BODY, algorithm) == signature
    asked = Webhook(url=URLS.status, body=BODY, headers={header: signature})
    assert believes(asked) is believed


@pytest.mark.parametrize(
    ("query", "believed"),
    [
        ("", False),  # the signature of a URL says nothing of a body
        (f"?bodySHA256={hashlib.sha256(BODY).hexdigest()}", True),
        (f"?bodySHA256={hashlib.sha256(BODY + b' ').hexdigest()}", False),
        (f"?bodySHA256={hashlib.sha256(BODY).hexdigest()}&bodySHA256=x", False),
        ("?bodySHA256=", False),
    ],
)
def test_a_body_that_the_signature_does_not_cover_must_be_covered_by_its_hash(
    query: str, believed: bool
) -> None:
    url = URLS.status + query
    asked = Webhook(url=url, body=BODY, headers={SIGNATURE_HEADER: sign_form(KEY, url)})
    assert believes(asked) is believed


# -- the upgrade, and the token ------------------------------------------------------------------------


def upgrade(authorization: str | None) -> Upgrade:
    headers = {} if authorization is None else {"authorization": authorization}
    return Upgrade(url=URLS.media, headers=headers)


@pytest.mark.parametrize(
    ("parameter", "authorization", "token"),
    [
        ("one-time", "Bearer one-time", "one-time"),
        ("one-time", "bearer  one-time", "one-time"),
        ("one-time", "Bearer another", ""),
        ("", "Bearer one-time", ""),
        ("one-time", None, ""),
        ("", None, ""),
        ("one-time", "Basic one-time", ""),
    ],
)
def test_the_token_must_come_twice_and_be_the_same(
    parameter: str, authorization: str | None, token: str
) -> None:
    started = Started("call", "stream", parameters={"token": parameter} if parameter else {})
    assert SIGNALWIRE.token_of(started, upgrade(authorization)) == token


def test_an_upgrade_with_two_bearers_has_none() -> None:
    doubled = Upgrade(
        url=URLS.media, headers=MultiDict([("Authorization", "Bearer a"), ("authorization", "Bearer a")])
    )
    with pytest.raises(Refused):
        SIGNALWIRE.verify_upgrade(doubled)


# -- the webhook, and what is answered -----------------------------------------------------------------


@pytest.mark.parametrize("call_id", ["", "a b", "../x", "x" * 65, "x\n"])
def test_a_call_needs_an_id_of_the_right_form(call_id: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        SIGNALWIRE.incoming(webhook(form={**FORM, "CallSid": call_id}))
    assert caught.value.kind == "bad_webhook"


def test_a_call_of_another_project_is_refused() -> None:
    carrier = SignalWire(CONFIG)
    assert carrier.incoming(webhook()) == CALL
    with pytest.raises(Refused) as caught:
        carrier.incoming(webhook(form={**FORM, "AccountSid": "another"}))
    assert caught.value.reason == "account"


def test_json_announces_no_call() -> None:
    assert SIGNALWIRE.incoming(webhook(form={}, body=BODY, Content_Type="application/json")) is None


def tree(reply: Reply) -> Xml.Element:
    assert (reply.content_type, reply.status) == ("text/xml", 200)
    return Xml.fromstring(reply.body)


def test_the_answer_opens_a_stream_and_asks_what_comes_after_it() -> None:
    connect, redirect = tree(SIGNALWIRE.answer(CALL, URLS, "one-time"))
    (stream,) = connect
    assert (connect.tag, connect.attrib, stream.tag) == ("Connect", {}, "Stream")
    assert stream.attrib == {
        "url": URLS.media,
        "codec": "PCMU@8000h",
        "realtime": "true",
        "authBearerToken": "one-time",
        "statusCallback": URLS.status,
    }
    assert {p.get("name"): p.get("value") for p in stream} == {
        "token": "one-time",
        "from": "+15550001111",
        "to": "+15550002222",
    }
    assert (redirect.tag, redirect.attrib, redirect.text) == ("Redirect", {"method": "POST"}, URLS.ended)
    assert "?" not in stream.attrib["url"]


@pytest.mark.parametrize("text", ["</Say><Dial>+19005550100</Dial>", '"/><Redirect/>', "]]>", "\x00\ud800"])
def test_what_a_caller_is_called_changes_nothing_in_the_answer(text: str) -> None:
    named = SIGNALWIRE.answer(IncomingCall(CALL_ID, PROJECT, text, text, "inbound"), URLS, "one-time")
    assert [element.tag for element in tree(named).iter()] == [
        "Response", "Connect", "Stream", "Parameter", "Parameter", "Parameter", "Redirect",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("form", "ended", "verbs"),
    [
        ({}, Ended(), ["Hangup"]),
        ({}, Ended(Ending.LOST), ["Say", "Hangup"]),
        ({"StreamError": "connection_refused"}, Ended(), ["Say", "Hangup"]),
        ({"StreamEvent": "stream-error"}, Ended(), ["Say", "Hangup"]),
        ({}, Ended(Ending.TRANSFERRED, "+15550003333"), ["Dial", "Number", "Hangup"]),
        ({}, Ended(Ending.TRANSFERRED, "sip:a@b.example"), ["Dial", "Sip", "Hangup"]),
        ({}, Ended(Ending.TRANSFERRED, "</Number><Say>"), ["Dial", "Number", "Hangup"]),
    ],
)
def test_what_comes_after_the_stream(form: dict[str, str], ended: Ended, verbs: list[str]) -> None:
    reply = SIGNALWIRE.ended(webhook(URLS.ended, form), ended)
    assert [element.tag for element in tree(reply).iter()][1:] == verbs
    assert ended.transfer_to in ["", *tree(reply).itertext()]


@pytest.mark.parametrize(
    ("event", "status"),
    [
        ("stream-started", "started"),
        ("stream-stopped", "stopped"),
        ("stream-error", "error"),
        ("x", "unknown"),
    ],
)
def test_the_status_of_a_stream(event: str, status: str) -> None:
    assert SIGNALWIRE.status(webhook(URLS.status, {"StreamEvent": event})) == status


# -- linear audio --------------------------------------------------------------------------------------


def streaming(start: str, *, big_endian: bool = False) -> SignalWireDialect:
    dialect = SignalWireDialect(big_endian=big_endian)
    assert dialect.receive(frame("signalwire", start)) == STARTED
    return dialect


@pytest.mark.parametrize(
    ("start", "rate_hz"), [("start_l16_8k", 8000), ("start_l16_16k", 16000), ("start_l16_24k", 24000)]
)
def test_the_start_says_what_is_on_the_wire(start: str, rate_hz: int) -> None:
    dialect = streaming(start)
    assert dialect.inbound_format == dialect.outbound_format == AudioFormat(Encoding.PCM16, rate_hz)
    assert dialect.delivery.message_ms == 20


@pytest.mark.parametrize("big_endian", [False, True])
def test_linear_audio_is_in_the_order_of_bytes_that_was_configured(big_endian: bool) -> None:
    dialect = streaming("start_l16_16k", big_endian=big_endian)
    swapped = b"".join(PCM[i : i + 2][::-1] for i in range(0, len(PCM), 2))
    ours = swapped if big_endian else PCM
    assert dialect.receive(frame("signalwire", "media_l16")) == Audio(ours, 5)
    assert b64decode(json.loads(dialect.audio(ours))["media"]["payload"]) == PCM


def test_mulaw_has_no_order_of_bytes() -> None:
    dialect = streaming("start", big_endian=True)
    assert dialect.receive(frame("signalwire", "media")) == Audio(PAYLOAD, 5)
    assert b64decode(json.loads(dialect.audio(PAYLOAD))["media"]["payload"]) == PAYLOAD


def test_half_a_sample_is_told_and_skipped() -> None:
    dialect = streaming("start_l16_16k")
    with pytest.raises(ProtocolError) as caught:
        dialect.receive(frame("signalwire", "media_l16_odd"))
    assert (caught.value.kind, caught.value.close_code) == ("bad_audio", None)
    assert dialect.receive(frame("signalwire", "media_l16")) == Audio(PCM, 5)


def test_the_configured_codec_and_order_are_what_is_asked_for() -> None:
    carrier = SignalWire(SignalWireConfig(signing_key=Secret(KEY), codec="L16@24000h", l16_byte_order="big"))
    stream = tree(carrier.answer(CALL, URLS, "t")).find("./Connect/Stream")
    assert stream is not None and stream.get("codec") == "L16@24000h"
    dialect = carrier.dialect(CASES.upgrade)
    dialect.receive(frame("signalwire", "start_l16_24k"))
    assert b64decode(json.loads(dialect.audio(b"\1\0"))["media"]["payload"]) == b"\0\1"


def test_digits_cannot_be_sent_before_a_start() -> None:
    with pytest.raises(AssertionError, match="before start"):
        SignalWireDialect().send_digits("1")


# -- REST ----------------------------------------------------------------------------------------------


def asked(stand_in: SignalWireRest) -> list[tuple[str, str, dict[str, list[str]]]]:
    base = f"https://{SPACE}/api/laml/2010-04-01/Accounts/{PROJECT}"
    return [
        (request.method, request.url.removeprefix(base), parse_qs(request.body.decode()))
        for request in stand_in.granted
    ]


def test_a_transfer_sends_the_call_to_ended() -> None:
    stand_in = SignalWireRest(CONFIG)
    run(SignalWire(CONFIG).transfer(CALL, "+15550003333", URLS), stand_in)
    assert asked(stand_in) == [("POST", f"/Calls/{CALL_ID}.json", {"Url": [URLS.ended], "Method": ["POST"]})]


def test_a_placed_call_is_answered_by_us() -> None:
    stand_in = SignalWireRest(CONFIG)
    assert run(SignalWire(CONFIG).place_call("+15550003333", NUMBER, URLS), stand_in) == PLACED
    form = {"To": ["+15550003333"], "From": [NUMBER], "Url": [URLS.answer], "Method": ["POST"]}
    assert asked(stand_in) == [("POST", "/Calls.json", form)]


def test_a_number_is_found_and_given_our_webhook() -> None:
    stand_in = SignalWireRest(CONFIG)
    (done,) = run(SignalWire(CONFIG).set_up(NUMBER, URLS), stand_in)
    assert NUMBER in done and URLS.answer in done
    assert [method for method, _, _ in asked(stand_in)] == ["GET", "POST"]
    assert asked(stand_in)[1][2] == {"VoiceUrl": [URLS.answer], "VoiceMethod": ["POST"]}


def test_a_number_of_somebody_else_is_not_found() -> None:
    with pytest.raises(CarrierError, match=r"\+15559999999 is not one of the project's numbers"):
        run(SignalWire(CONFIG).set_up("+15559999999", URLS), SignalWireRest(CONFIG))


def test_the_credentials_are_checked_by_reading_the_project() -> None:
    assert run(SignalWire(CONFIG).check(), SignalWireRest(CONFIG)) == PROJECT_NAME
    assert SIGNALWIRE.check() is None


def test_wrong_credentials_are_told_without_a_secret_in_it() -> None:
    wrong = msgspec.structs.replace(CONFIG, api_token=Secret("PT_wrong"))
    with pytest.raises(CarrierError, match="read the project") as caught:
        run(SignalWire(wrong).check(), SignalWireRest(CONFIG))
    assert caught.value.status == 401
    assert "PT_" not in str(caught.value)


def test_an_answer_that_names_no_call_is_a_failure() -> None:
    plan = SignalWire(CONFIG).place_call("+15550003333", NUMBER, URLS)
    next(plan)
    with pytest.raises(CarrierError, match="names no call"):
        plan.send(RestAnswer(201, b"[]"))


@pytest.mark.parametrize("lacking", ["project_id", "api_token", "space"])
def test_what_needs_rest_names_the_settings_that_it_lacks(lacking: str) -> None:
    bare = msgspec.structs.replace(CONFIG, **{lacking: Secret() if lacking == "api_token" else ""})
    carrier = SignalWire(bare)
    for plan in (
        carrier.transfer(CALL, "+1", URLS),
        carrier.place_call("+1", NUMBER, URLS),
        carrier.set_up(NUMBER, URLS),
    ):
        with pytest.raises(Unsupported, match="space, project_id and api_token"):
            next(plan)
    assert carrier.check() is None


@pytest.mark.parametrize(
    ("space", "api_url", "host"),
    [
        ("example", "", f"https://{SPACE}/"),
        (SPACE, "", f"https://{SPACE}/"),
        (f"https://{SPACE}/", "", f"https://{SPACE}/"),
        ("", "http://127.0.0.1:1/", "http://127.0.0.1:1/"),
        ("example", "http://127.0.0.1:1", "http://127.0.0.1:1/"),
    ],
)
def test_the_space_may_be_written_in_any_way(space: str, api_url: str, host: str) -> None:
    config = msgspec.structs.replace(CONFIG, space=space, api_url=api_url)
    plan = SignalWire(config).check()
    assert plan is not None
    assert next(plan).url == f"{host}api/laml/2010-04-01/Accounts/{PROJECT}.json"


# -- installation --------------------------------------------------------------------------------------


def test_the_sample_is_a_harmless_status_that_we_believe_ourselves() -> None:
    sample = SIGNALWIRE.sample_request(URLS, 0.0)
    SIGNALWIRE.verify_webhook(sample)
    assert SIGNALWIRE.status(sample) == "stopped"
    assert dict(parse_qsl(sample.body.decode(), keep_blank_values=True)) == dict(sample.form)
