"""Twilio's webhooks: who is believed, and what is answered."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree as Xml

import pytest
from multidict import CIMultiDict, MultiDict
from twilio.request_validator import RequestValidator

from bridge.carriers.carrier import Ended, Ending, IncomingCall, Reply, StreamUrls, Upgrade, Webhook
from bridge.carriers.dialect import Started
from bridge.carriers.form_signature import sign
from bridge.carriers.twilio import SIGNATURE_HEADER, SIGNATURE_SETTINGS_HEADER, Twilio, TwilioConfig
from bridge.config import Secret
from bridge.errors import ProtocolError, Refused
from tests.support.twilio_frames import ACCOUNT_ID, CALL_ID, frame

SECRET = "0123456789abcdef0123456789abcdef"
TWILIO = Twilio(TwilioConfig(auth_token=Secret(SECRET)))
URL = "https://bridge.example/carriers/twilio/answer"
MEDIA_URL = "wss://bridge.example/carriers/twilio/media"
URLS = StreamUrls(MEDIA_URL, URL.replace("answer", "status"), URL.replace("answer", "ended"))
FORM = {
    "CallSid": CALL_ID,
    "AccountSid": ACCOUNT_ID,
    "From": "+15550001111",
    "To": "+15550002222",
    "CallStatus": "ringing",
    "Direction": "inbound",
}
UPGRADE = Upgrade(url=MEDIA_URL)
CALL = IncomingCall(CALL_ID, ACCOUNT_ID, "+15550001111", "+15550002222", "inbound")

HOSTILE = [
    "</Say><Dial>+19005550100</Dial><Say>",
    '"/><Redirect>https://evil.example</Redirect>',
    "]]><Dial/>",
    "&lt;Dial/&gt; &amp; &#60;",
    "\0\x08\x1b[2J\r\n\u202e",
    "\ud800\uffff",
    "<?xml?><!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>&e;",
    "x" * 5000,
]


def asked(form: Mapping[str, str] = FORM, headers: Mapping[str, str] | None = None) -> Webhook:
    return Webhook(url=URL, headers=headers or {}, form=form)


def upgrade(headers: Mapping[str, str]) -> Upgrade:
    return Upgrade(url=MEDIA_URL, headers=headers)


# -- signatures ------------------------------------------------------------------------------------


def test_a_webhook_signed_by_the_vendor_is_believed() -> None:
    signature = RequestValidator(SECRET).compute_signature(URL, FORM)
    TWILIO.verify_webhook(asked(headers={SIGNATURE_HEADER: signature}))


def test_a_webhook_signed_with_a_shared_key_is_believed() -> None:
    signature = RequestValidator(SECRET).compute_signature(URL, FORM, "HMAC_SHA256")
    settings = "key=webhooks_sharedkey_1, algorithm=HMAC_SHA256"
    TWILIO.verify_webhook(asked(headers={SIGNATURE_HEADER: signature, SIGNATURE_SETTINGS_HEADER: settings}))


@pytest.mark.parametrize("settings", ["", "algorithm=", "key=1", "algorithm=hmac_sha1", "nonsense"])
def test_without_a_named_algorithm_it_is_the_old_one(settings: str) -> None:
    signature = sign(SECRET, URL, FORM)
    TWILIO.verify_webhook(asked(headers={SIGNATURE_HEADER: signature, SIGNATURE_SETTINGS_HEADER: settings}))


def test_a_webhook_may_not_gain_a_slash_as_an_upgrade_may() -> None:
    with pytest.raises(Refused):
        TWILIO.verify_webhook(asked(headers={SIGNATURE_HEADER: sign(SECRET, URL + "/", FORM)}))


def test_an_upgrade_is_signed_over_its_ws_url() -> None:
    TWILIO.verify_upgrade(upgrade({SIGNATURE_HEADER: sign(SECRET, MEDIA_URL)}))
    TWILIO.verify_upgrade(upgrade({SIGNATURE_HEADER: sign(SECRET, MEDIA_URL + "/")}))


@pytest.mark.parametrize("name", [SIGNATURE_HEADER, SIGNATURE_HEADER.lower(), SIGNATURE_HEADER.upper()])
@pytest.mark.parametrize("kind", [dict, MultiDict, CIMultiDict])
def test_the_case_of_the_header_means_nothing(name: str, kind: type[Mapping[str, str]]) -> None:
    TWILIO.verify_upgrade(upgrade(kind({name: sign(SECRET, MEDIA_URL)})))  # type: ignore[call-arg]


GOOD = sign(SECRET, MEDIA_URL)


@pytest.mark.parametrize(
    "headers",
    [
        CIMultiDict(),
        CIMultiDict({SIGNATURE_HEADER: ""}),
        CIMultiDict({SIGNATURE_HEADER: GOOD[:-1]}),
        CIMultiDict({SIGNATURE_HEADER: GOOD + "="}),
        CIMultiDict({SIGNATURE_HEADER: f"{GOOD},{GOOD}"}),
        CIMultiDict([(SIGNATURE_HEADER, GOOD), (SIGNATURE_HEADER, GOOD)]),
        CIMultiDict([(SIGNATURE_HEADER, GOOD), (SIGNATURE_HEADER, "x")]),
        CIMultiDict({SIGNATURE_HEADER: GOOD, SIGNATURE_SETTINGS_HEADER: "algorithm=HMAC_SHA256"}),
        CIMultiDict({SIGNATURE_HEADER: GOOD, SIGNATURE_SETTINGS_HEADER: "algorithm=NONE"}),
        CIMultiDict({"X-Twilio-Signatures": GOOD}),
        CIMultiDict({SIGNATURE_HEADER: sign(SECRET, MEDIA_URL.replace("wss", "https"))}),
    ],
)
def test_anything_else_is_refused(headers: CIMultiDict[str]) -> None:
    with pytest.raises(Refused) as caught:
        TWILIO.verify_upgrade(upgrade(headers))
    assert (caught.value.reason, caught.value.status) == ("signature", 403)


def test_without_a_secret_even_its_own_signature_is_refused() -> None:
    with pytest.raises(Refused, match="no secret"):
        Twilio(TwilioConfig()).verify_webhook(asked(headers={SIGNATURE_HEADER: sign("", URL, FORM)}))


# -- the webhook -----------------------------------------------------------------------------------


def test_an_incoming_call_is_read_from_the_form() -> None:
    assert TWILIO.incoming(asked()) == CALL


@pytest.mark.parametrize(
    ("told", "direction"),
    [("inbound", "inbound"), ("outbound-api", "outbound"), ("outbound-dial", "outbound"), ("", "inbound")],
)
def test_the_direction_is_one_of_two(told: str, direction: str) -> None:
    assert TWILIO.incoming(asked(FORM | {"Direction": told})).direction == direction


@pytest.mark.parametrize(
    "call_id", ["", "CA", CALL_ID + "\n", CALL_ID + "0", CALL_ID[:-1], "ZZ" + CALL_ID[2:], "../" + CALL_ID]
)
def test_a_call_needs_an_id_of_the_right_form(call_id: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        TWILIO.incoming(asked(FORM | {"CallSid": call_id}))
    assert caught.value.kind == "bad_webhook"


def test_a_call_with_two_ids_has_none() -> None:
    with pytest.raises(ProtocolError):
        TWILIO.incoming(asked(MultiDict([*FORM.items(), ("CallSid", "CA" + "0" * 32)])))


def test_a_call_of_another_account_is_refused() -> None:
    mine = Twilio(TwilioConfig(account_sid=ACCOUNT_ID, auth_token=Secret(SECRET)))
    assert mine.incoming(asked()) == CALL
    with pytest.raises(Refused) as caught:
        mine.incoming(asked(FORM | {"AccountSid": "AC" + "9" * 32}))
    assert caught.value.reason == "account"


def test_numbers_stay_out_of_the_repr_and_lose_control_characters() -> None:
    call = TWILIO.incoming(asked(FORM | {"From": "\x1b[2J+1555\0\ud800" + "1" * 5000}))
    assert "1555" not in repr(call)
    assert call.from_number.startswith("[2J+15551")
    assert len(call.from_number) == 400


# -- answers ---------------------------------------------------------------------------------------


def tree(reply: Reply) -> Xml.Element:
    assert (reply.content_type, reply.status) == ("text/xml", 200)
    return Xml.fromstring(reply.body)


def shape(element: Xml.Element) -> object:
    return element.tag, sorted(element.attrib), [shape(child) for child in element]


def test_the_answer_opens_a_stream_and_survives_us() -> None:
    connect, say, hangup = tree(TWILIO.answer(CALL, URLS, "one-time"))
    (stream,) = connect
    assert (connect.tag, connect.attrib) == ("Connect", {"action": URLS.ended})
    assert (stream.tag, stream.attrib) == ("Stream", {"url": URLS.media, "statusCallback": URLS.status})
    assert {p.get("name"): p.get("value") for p in stream.findall("Parameter")} == {
        "token": "one-time",
        "from": "+15550001111",
        "to": "+15550002222",
        "direction": "bidirectional",
    }
    assert (say.tag, hangup.tag) == ("Say", "Hangup")
    assert say.text


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_caller_is_called_cannot_change_the_answer(text: str) -> None:
    benign = tree(TWILIO.answer(CALL, URLS, "one-time"))
    call = IncomingCall(CALL_ID, ACCOUNT_ID, text, text, "inbound")
    hostile = tree(TWILIO.answer(call, URLS, text))
    assert shape(hostile) == shape(benign)
    for parameter in hostile.iter("Parameter"):
        assert len(parameter.attrib["name"]) + len(parameter.attrib["value"]) <= 500


def test_a_parameter_keeps_every_character_that_xml_can_hold() -> None:
    name = "Zo\u00eb \"<&>' \U0001f600"
    hostile = tree(TWILIO.answer(IncomingCall(CALL_ID, ACCOUNT_ID, name, "", "inbound"), URLS, "t"))
    assert hostile.find(".//Parameter[@name='from']").get("value") == name  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("listen_dial", "meanwhile"),
    [
        ("", [("Pause", {"length": "14400"}, None)]),
        ("+15550100009", [("Dial", {}, None), ("Number", {}, "+15550100009")]),
        ("sip:desk@example.com", [("Dial", {}, None), ("Sip", {}, "sip:desk@example.com")]),
        ("</Dial><Hangup/>", [("Dial", {}, None), ("Number", {}, "</Dial><Hangup/>")]),
    ],
)
def test_a_call_that_is_only_listened_to_goes_on_meanwhile(
    listen_dial: str, meanwhile: list[tuple[str, dict[str, str], str | None]]
) -> None:
    config = TwilioConfig(auth_token=Secret("t"), listen_only=True, listen_dial=listen_dial)
    start, *others = tree(Twilio(config).answer(CALL, URLS, "one-time"))
    assert (start.tag, start.attrib, start[0].get("url")) == ("Start", {}, URLS.media)
    told = {parameter.get("name"): parameter.get("value") for parameter in start[0]}
    assert (told["token"], told["direction"]) == ("one-time", "unidirectional")
    (verb,) = others
    assert [(element.tag, element.attrib, element.text) for element in verb.iter()] == meanwhile


def test_an_answer_keeps_its_token_out_of_the_repr() -> None:
    assert "one-time" not in repr(TWILIO.answer(CALL, URLS, "one-time"))


@pytest.mark.parametrize(
    ("fields", "ending", "verbs"),
    [
        ({}, Ending.FINISHED, ["Hangup"]),
        ({"CallStatus": "completed"}, Ending.FINISHED, ["Hangup"]),
        ({"StreamEvent": "stream-stopped"}, Ending.FINISHED, ["Hangup"]),
        ({"StreamError": ""}, Ending.FINISHED, ["Hangup"]),
        ({"StreamError": "31921"}, Ending.FINISHED, ["Say", "Hangup"]),
        ({"StreamEvent": "stream-error"}, Ending.FINISHED, ["Say", "Hangup"]),
        ({}, Ending.LOST, ["Say", "Hangup"]),
    ],
)
def test_a_stream_that_did_not_end_well_is_apologised_for(
    fields: dict[str, str], ending: Ending, verbs: list[str]
) -> None:
    assert [verb.tag for verb in tree(TWILIO.ended(asked(FORM | fields), Ended(ending)))] == verbs


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ("stream-started", "started"),
        ("stream-stopped", "stopped"),
        ("stream-error", "error"),
        ("stream-later", "unknown"),
        ("", "unknown"),
    ],
)
def test_a_status_is_one_of_a_few(told: str, status: str) -> None:
    assert TWILIO.status(asked({"StreamEvent": told})) == status


@pytest.mark.parametrize(("name", "token"), [("start", "one-time"), ("start_bare", "")])
def test_the_token_comes_back_in_the_start(name: str, token: str) -> None:
    started = TWILIO.dialect(UPGRADE).receive(frame(name))
    assert isinstance(started, Started)
    assert TWILIO.token_of(started, UPGRADE) == token
