"""Plivo: who is believed, what is answered, and a stream that ends without a word."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict, MultiDict
from plivo.utils import validate_v3_signature
from plivo.utils.signature_v3 import construct_get_url, construct_post_url, get_signature_v3

from bridge.carriers.carrier import Ended, Ending, Reply, Upgrade, Webhook
from bridge.carriers.dialect import Audio, Ignored, MarkPlayed
from bridge.carriers.plivo import NONCE_HEADER, SIGNATURE_HEADERS, Plivo, PlivoConfig, sign
from bridge.emulators.carriers.plivo_rest import PlivoRest
from bridge.emulators.rest_stand_in import run
from bridge.errors import CarrierError, ProtocolError, Refused, Unsupported
from bridge.secret import Secret
from telephony_codecs.formats import MULAW_8K, AudioFormat, Encoding
from tests.bridge.carriers.cases.plivo import CALL_ID, CASES, FORM, HEADERS, KEY, NONCE, PAYLOAD, URLS

PLIVO = Plivo(PlivoConfig(auth_token=Secret(KEY)))
WITH_ID = PlivoConfig(auth_id="MA0", auth_token=Secret(KEY))
FULL = Plivo(WITH_ID)
CALL = CASES.call


def webhook(form: Mapping[str, str] = FORM, headers: Mapping[str, str] = HEADERS, **changes: Any) -> Webhook:
    return replace(Webhook(url=URLS.answer, headers=headers, form=form), **changes)


def by_get(query: Mapping[str, str] | str = FORM) -> Webhook:
    url = f"{URLS.answer}?{query if isinstance(query, str) else urlencode(query)}"
    headers = {SIGNATURE_HEADERS[0]: sign(KEY, "GET", url, (), NONCE), NONCE_HEADER: NONCE}
    return Webhook(url=url, method="GET", headers=headers)


# -- signatures ------------------------------------------------------------------------------------

TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=12)
ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
NONCES = st.text("0123456789abcdef-", min_size=1, max_size=32)
TOKENS = st.text("0123456789abcdefXYZ", min_size=1, max_size=40)


def vendors(token: str, method: str, url: str, form: dict[str, Any], nonce: str) -> str:
    """A signature made by the vendor's library, of its parts."""
    base = construct_get_url(url, dict(form)) if method == "GET" else construct_post_url(url, form)
    signature: bytes = get_signature_v3(token.encode(), base.decode(), nonce.encode())
    return signature.decode()


@settings(deadline=None)
@given(st.dictionaries(TEXT, TEXT), st.dictionaries(ASCII.filter(bool), ASCII), NONCES, TOKENS)
def test_a_post_is_signed_as_by_the_vendors_library_both_ways(
    form: dict[str, str], query: dict[str, str], nonce: str, token: str
) -> None:
    url = URLS.answer + (f"?{urlencode(query)}" if query else "")
    ours = sign(token, "POST", url, form.items(), nonce)
    assert validate_v3_signature("POST", url, nonce, token, ours, dict(form))
    headers = {SIGNATURE_HEADERS[0]: vendors(token, "POST", url, form, nonce), NONCE_HEADER: nonce}
    Plivo(PlivoConfig(auth_token=Secret(token))).verify_webhook(Webhook(url=url, headers=headers, form=form))


@settings(deadline=None)
@given(st.dictionaries(ASCII.filter(bool), ASCII), NONCES, TOKENS)
def test_a_get_is_signed_as_by_the_vendors_library_both_ways(
    query: dict[str, str], nonce: str, token: str
) -> None:
    url = f"{URLS.answer}?{urlencode(query)}"
    ours = sign(token, "GET", url, (), nonce)
    assert validate_v3_signature("GET", url, nonce, token, ours)
    headers = {SIGNATURE_HEADERS[0]: vendors(token, "GET", url, {}, nonce), NONCE_HEADER: nonce}
    Plivo(PlivoConfig(auth_token=Secret(token))).verify_webhook(
        Webhook(url=url, method="GET", headers=headers)
    )


def test_a_repeated_field_is_signed_as_by_the_vendors_library() -> None:
    form = MultiDict([("b", "2"), ("a", "9"), ("a", "1")])
    ours = sign(KEY, "POST", URLS.answer, form.items(), NONCE)
    assert validate_v3_signature("POST", URLS.answer, NONCE, KEY, ours, {"b": "2", "a": ["9", "1"]})


GOOD = HEADERS[SIGNATURE_HEADERS[0]]


@pytest.mark.parametrize(
    "headers",
    [
        {SIGNATURE_HEADERS[0]: f"Zm9yZ2Vk,{GOOD}", NONCE_HEADER: NONCE},
        {SIGNATURE_HEADERS[0]: f"{GOOD}, Zm9yZ2Vk", NONCE_HEADER: NONCE},
        {SIGNATURE_HEADERS[1]: GOOD, NONCE_HEADER: NONCE},
        {SIGNATURE_HEADERS[0]: "Zm9yZ2Vk", SIGNATURE_HEADERS[1]: GOOD, NONCE_HEADER: NONCE},
        {name.lower(): value for name, value in HEADERS.items()},
    ],
)
def test_any_of_several_signatures_will_do(headers: dict[str, str]) -> None:
    PLIVO.verify_webhook(webhook(headers=headers))


@pytest.mark.parametrize(
    "headers",
    [
        CIMultiDict(),
        CIMultiDict({SIGNATURE_HEADERS[0]: GOOD}),
        CIMultiDict({NONCE_HEADER: NONCE}),
        CIMultiDict({SIGNATURE_HEADERS[0]: "", NONCE_HEADER: NONCE}),
        CIMultiDict({SIGNATURE_HEADERS[0]: GOOD, NONCE_HEADER: NONCE + "0"}),
        CIMultiDict({SIGNATURE_HEADERS[0]: GOOD[:-1], NONCE_HEADER: NONCE}),
        CIMultiDict([(SIGNATURE_HEADERS[0], GOOD), (NONCE_HEADER, NONCE), (NONCE_HEADER, NONCE)]),
        CIMultiDict({"X-Plivo-Signature-V2": GOOD, NONCE_HEADER: NONCE}),
    ],
)
def test_anything_else_is_refused(headers: CIMultiDict[str]) -> None:
    with pytest.raises(Refused) as caught:
        PLIVO.verify_webhook(webhook(headers=headers))
    assert (caught.value.reason, caught.value.status) == ("signature", 403)


def test_a_post_cannot_be_passed_off_as_a_get() -> None:
    with pytest.raises(Refused):
        PLIVO.verify_webhook(webhook(method="GET"))


def test_an_upgrade_is_let_in_by_its_token_whatever_it_is_signed_with() -> None:
    """Nobody says how upgrades are signed, and a forger would leave the header out."""
    PLIVO.verify_upgrade(Upgrade(url=URLS.media, headers={SIGNATURE_HEADERS[0]: "x"}))


# -- webhooks --------------------------------------------------------------------------------------


def test_a_call_is_announced_by_post_or_by_get() -> None:
    PLIVO.verify_webhook(by_get())
    assert PLIVO.incoming(webhook()) == PLIVO.incoming(by_get()) == CALL
    assert set(PLIVO.webhook_methods) == {"GET", "POST"}


@pytest.mark.parametrize("call_id", ["", "../x", "a b", CALL_ID + "\n", "x" * 65])
def test_a_call_needs_an_id_of_the_right_form(call_id: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        PLIVO.incoming(webhook(FORM | {"CallUUID": call_id}))
    assert caught.value.kind == "bad_webhook"


def test_a_call_with_two_ids_has_none() -> None:
    with pytest.raises(ProtocolError):
        PLIVO.incoming(webhook(MultiDict([*FORM.items(), ("CallUUID", "another")])))
    with pytest.raises(ProtocolError):
        PLIVO.incoming(by_get(f"CallUUID={CALL_ID}&CallUUID=another"))


@pytest.mark.parametrize(
    "over",
    [
        {"Event": "Hangup"},
        {"CallStatus": "completed"},
        {"CallStatus": "busy"},
        {"CallStatus": "no-answer"},
        {"CallStatus": "cancel"},
    ],
)
def test_a_hangup_at_the_answer_url_announces_nothing(over: dict[str, str]) -> None:
    """Without a hangup URL Plivo tells the answer URL that a call is over."""
    assert PLIVO.incoming(webhook(FORM | over)) is None
    assert PLIVO.call_id_of(webhook(FORM | over)) == PLIVO.over(webhook(FORM | over)) == CALL_ID
    assert PLIVO.over(webhook(FORM | over | {"CallUUID": "../x"})) == ""


@pytest.mark.parametrize("on", [{}, {"CallStatus": "in-progress"}, {"Event": "StopStream"}])
def test_a_call_that_is_on_is_not_over(on: dict[str, str]) -> None:
    assert PLIVO.over(webhook(FORM | on)) == ""


@pytest.mark.parametrize(
    ("told", "placed_as"),
    [
        ({"RequestUUID": "9834029e"}, "9834029e"),
        ({"ALegRequestUUID": "9834029e"}, "9834029e"),
        ({"ALegRequestUUID": "9834029e", "RequestUUID": "another"}, "9834029e"),
        ({}, ""),
        ({"RequestUUID": "../x"}, ""),
    ],
)
def test_a_call_that_we_placed_tells_its_request(told: dict[str, str], placed_as: str) -> None:
    call = PLIVO.incoming(webhook(FORM | {"Direction": "outbound"} | told))
    assert call is not None
    assert (call.direction, call.call_id, call.placed_as) == ("outbound", CALL_ID, placed_as)


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ("StartStream", "started"),
        ("StopStream", "stopped"),
        ("DroppedStream", "error"),
        ("PlayedStream", "unknown"),
        ("", "unknown"),
    ],
)
def test_a_status_is_one_of_a_few(told: str, status: str) -> None:
    assert PLIVO.status(webhook({"Event": told})) == status


# -- answers ---------------------------------------------------------------------------------------


def tree(reply: Reply) -> Xml.Element:
    assert (reply.content_type, reply.status) == ("text/xml", 200)
    return Xml.fromstring(reply.body)


@pytest.mark.parametrize(
    ("config", "content_type"),
    [
        (PlivoConfig(), "audio/x-mulaw;rate=8000"),
        (PlivoConfig(rate_hz=16000), "audio/x-mulaw;rate=8000"),
        (PlivoConfig(codec="l16"), "audio/x-l16;rate=8000"),
        (PlivoConfig(codec="l16", rate_hz=16000), "audio/x-l16;rate=16000"),
    ],
)
def test_the_answer_opens_a_stream_of_a_stated_type_and_asks_what_is_next(
    config: PlivoConfig, content_type: str
) -> None:
    stream, redirect = tree(Plivo(config).answer(CALL, URLS, "one-time"))
    assert (stream.tag, stream.text) == ("Stream", f"{URLS.media}/one-time")
    assert stream.attrib == {
        "bidirectional": "true",
        "keepCallAlive": "true",
        "contentType": content_type,
        "streamTimeout": "86400",
        "statusCallbackUrl": URLS.status,
        "statusCallbackMethod": "POST",
    }
    assert (redirect.tag, redirect.text, redirect.attrib) == ("Redirect", URLS.ended, {"method": "POST"})


@pytest.mark.parametrize(
    ("ended", "form", "verbs"),
    [
        (Ended(), {}, ["Hangup"]),
        (Ended(), {"Event": "DroppedStream"}, ["Speak", "Hangup"]),
        (Ended(Ending.LOST), {}, ["Speak", "Hangup"]),
        (Ended(Ending.TRANSFERRED, "+15550003333"), {}, ["Dial", "Hangup"]),
    ],
)
def test_what_comes_after_the_stream(ended: Ended, form: dict[str, str], verbs: list[str]) -> None:
    answer = tree(PLIVO.ended(webhook(FORM | form), ended))
    assert [verb.tag for verb in answer] == verbs
    assert answer.findtext("Dial/Number", "") == ended.transfer_to


@pytest.mark.parametrize("to", ["</Number></Dial><Hangup/>", "]]>", "\ud800\x00+1555"])
def test_a_transfer_cannot_become_an_instruction(to: str) -> None:
    answer = tree(PLIVO.ended(webhook(), Ended(Ending.TRANSFERRED, to)))
    assert [(verb.tag, len(verb)) for verb in answer] == [("Dial", 1), ("Hangup", 0)]


# -- call control ----------------------------------------------------------------------------------


def asked(plan: Any) -> tuple[str, str, Any]:
    """The one request that a plan makes: method, path, body."""
    rest = PlivoRest(WITH_ID)
    run(plan, rest)
    (request,) = rest.granted
    body = json.loads(request.body) if request.body else None
    return request.method, request.url.removeprefix("https://api.plivo.com"), body


def test_a_call_is_hung_up_and_transferred_through_rest() -> None:
    path = f"/v1/Account/MA0/Call/{CALL_ID}/"
    assert asked(FULL.hang_up(CALL)) == ("DELETE", path, None)
    moved = {"legs": "aleg", "aleg_url": URLS.ended, "aleg_method": "POST"}
    assert asked(FULL.transfer(CALL, "+15550003333", URLS)) == ("POST", path, moved)


def test_without_credentials_a_call_ends_and_moves_by_closing() -> None:
    assert PLIVO.hang_up(CALL) is None
    assert PLIVO.transfer(CALL, "+15550003333", URLS) is None


def test_a_call_that_has_ended_already_is_ended() -> None:
    rest = PlivoRest(WITH_ID)
    rest.over.add(CALL_ID)
    run(FULL.hang_up(CALL), rest)
    with pytest.raises(CarrierError, match="not found"):
        run(FULL.transfer(CALL, "+15550003333", URLS), rest)


def test_a_call_is_placed_with_all_its_webhooks() -> None:
    method, path, body = asked(FULL.place_call("+15550003333", "+15550002222", URLS))
    assert (method, path) == ("POST", "/v1/Account/MA0/Call/")
    assert body == {
        "to": "+15550003333",
        "from": "+15550002222",
        "answer_url": URLS.answer,
        "answer_method": "POST",
        "hangup_url": URLS.status,
        "hangup_method": "POST",
    }


def test_what_a_plan_lacks_is_named_and_credentials_are_not() -> None:
    with pytest.raises(Unsupported, match=r"carriers\.plivo\.auth_id"):
        next(PLIVO.place_call("+15550003333", "+15550002222", URLS))
    with pytest.raises(CarrierError) as caught:
        run(FULL.hang_up(CALL), PlivoRest(PlivoConfig(auth_id="MA0", auth_token=Secret("another"))))
    assert caught.value.status == 401
    assert KEY not in str(caught.value)


# -- installation ----------------------------------------------------------------------------------


def test_set_up_makes_an_application_and_gives_it_the_number() -> None:
    rest = PlivoRest(WITH_ID)
    done = run(FULL.set_up("+15550002222", URLS), rest)
    made, given = rest.granted
    assert (made.url[-13:], json.loads(made.body)["answer_url"]) == ("/Application/", URLS.answer)
    assert given.url.endswith("/Number/15550002222/")
    assert json.loads(given.body) == {"app_id": "20372631212782780"}
    assert any(URLS.answer in line for line in done)


def test_set_up_changes_the_application_that_is_configured() -> None:
    config = PlivoConfig(auth_id="MA0", auth_token=Secret(KEY), app_id="77")
    rest = PlivoRest(config)
    run(Plivo(config).set_up("+15550002222", URLS), rest)
    changed, given = rest.granted
    assert changed.url.endswith("/Application/77/")
    assert json.loads(given.body) == {"app_id": "77"}
    with pytest.raises(CarrierError, match="give the number to the application"):
        run(Plivo(config).set_up("+15550009999", URLS), rest)


def test_the_credentials_are_checked_by_the_account() -> None:
    assert PLIVO.check() is None
    assert run(FULL.check(), PlivoRest(WITH_ID)) == "The Account"


def test_the_sample_request_is_believed_and_changes_nothing() -> None:
    sample = PLIVO.sample_request(URLS, 1_790_000_000.5)
    PLIVO.verify_webhook(sample)
    assert (sample.url, PLIVO.status(sample)) == (URLS.status, "stopped")


# -- the dialect -----------------------------------------------------------------------------------


def test_a_stream_ends_without_a_stop() -> None:
    """The issue's bad input: nothing tells the end. The dialect is left streaming, and that is no fault of anybody."""
    dialect = CASES.streaming()
    assert dialect.receive(CASES.frame("media")) == Audio(PAYLOAD, 20)
    assert dialect.goodbye("agent") == ()
    assert not dialect.carrier_closes


def test_both_directions_are_in_the_format_of_the_stream() -> None:
    dialect = CASES.after("start_l16")
    wide = AudioFormat(Encoding.PCM16, 16000)
    assert (dialect.inbound_format, dialect.outbound_format) == (wide, wide)
    sent = json.loads(dialect.audio(bytes(640)))
    assert (sent["media"]["contentType"], sent["media"]["sampleRate"]) == ("audio/x-l16", 16000)
    assert CASES.streaming().outbound_format == MULAW_8K


def test_time_is_of_the_stream_whichever_clock_is_told() -> None:
    dialect = CASES.streaming()
    for ms in (0, 20, 40):
        message = json.loads(CASES.frame("media_unix_time"))
        message["media"]["timestamp"] = str(1_705_312_200_000 + ms)
        assert dialect.receive(json.dumps(message).encode()) == Audio(PAYLOAD, ms)


def test_what_comes_back_of_a_clear_is_counted_and_no_mark() -> None:
    dialect = CASES.streaming()
    dialect.mark("cp1")
    dialect.clear()
    assert dialect.receive(CASES.frame("cleared")) == Ignored("cleared_audio")
    assert dialect.receive(CASES.frame("played")) == MarkPlayed("cp1"), (
        "and one that was late is still a mark"
    )
