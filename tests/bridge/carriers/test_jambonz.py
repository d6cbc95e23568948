"""What is special about jambonz: its signature, its verbs, its marks, its REST API."""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from bridge.carriers.carrier import Ended, Ending, Webhook
from bridge.carriers.dialect import Audio, Binary, Ignored, MarkPlayed
from bridge.carriers.jambonz import SIGNATURE_HEADER, Jambonz, JambonzConfig, sign
from bridge.carriers.jambonz_dialect import MAX_PENDING_MARKS, JambonzDialect
from bridge.emulators.carriers.jambonz_rest import CALL_SID, NUMBER_SID, JambonzRest
from bridge.emulators.rest_stand_in import run
from bridge.errors import CarrierError, ProtocolError, Refused, Unsupported
from bridge.secret import Secret
from telephony_codecs.formats import AudioFormat, Encoding
from tests.bridge.carriers.cases.jambonz import ACCOUNT_ID, BODY, CALL_ID, CASES, FIELDS, KEY, URLS
from tests.support.carrier_cases import NOW_S, frame

SECTION = JambonzConfig(webhook_secret=KEY, account_sid=ACCOUNT_ID)
JAMBONZ = Jambonz(SECTION)
CALL = CASES.call
assert CASES.webhook is not None
WEBHOOK: Webhook = CASES.webhook
FULL = msgspec.structs.replace(SECTION, api_key=Secret("an-api-key"), application_sid="db7ba948")


def hook(fields: object, url: str = URLS.answer) -> Webhook:
    """A hook as Node writes and signs it."""
    body = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    return Webhook(url=url, headers={SIGNATURE_HEADER: sign(KEY, body, int(NOW_S))}, body=body, now_s=NOW_S)


def streaming() -> JambonzDialect:
    dialect = CASES.streaming()
    assert isinstance(dialect, JambonzDialect)
    return dialect


# -- signatures -----------------------------------------------------------------------------------------------

#: Made with Node, as jambonz makes them: HMAC of the time, a dot, and JSON.stringify of the payload.
GOLDEN = {
    '{"call_sid":"63f61863-4a51-4f6b-86e1-46edebcf9356","from":"h\u00e9/\u4f60","sip":{"a":[1,null,"\\u0007\\n"]}}': (
        "e4de94b0704170dc16caaa78dd8e94589d4ec8a1fe54fed5dbc5583b98db32bd"
    ),
    "null": "2f5db326acc9378a414f46d871abe5ad685bc66b0fa3f75c532cd4bbbb84e696",
}


@pytest.mark.parametrize(("body", "code"), GOLDEN.items())
def test_signatures_are_those_of_node(body: str, code: str) -> None:
    headers = {SIGNATURE_HEADER: f"t=1790000000,v1={code}"}
    assert sign(KEY, body.encode(), 1_790_000_000) == headers[SIGNATURE_HEADER]
    JAMBONZ.verify_webhook(replace(WEBHOOK, headers=headers, body=body.encode()))


CODE = sign(KEY, BODY, int(NOW_S)).partition("v1=")[2]
TIME = int(NOW_S)


@pytest.mark.parametrize(
    "header",
    [
        f"t={TIME},v1={CODE}",
        f"t={TIME}, v1={CODE}",
        f"t={TIME},v1={CODE.upper()}",
        f"t={TIME},v1={'0' * 64},v1={CODE}",
        f"t={TIME},v1={CODE},v1={'0' * 64}",
    ],
)
def test_a_signature_may_be_one_of_several(header: str) -> None:
    JAMBONZ.verify_webhook(replace(WEBHOOK, headers={SIGNATURE_HEADER.lower(): header}))


@pytest.mark.parametrize(
    "header",
    [
        f"v1={CODE}",
        f"t={TIME}",
        f"t={TIME},v1=",
        f"t={TIME},v0={CODE}",
        f"t={TIME},v1={CODE}\n",
        f"t={TIME},v1={CODE[:-1]}",
        f"t=-{TIME},v1={CODE}",
        f"t={TIME}.0,v1={CODE}",
        f"t={TIME + 1},v1={CODE}",
        f"t={'9' * 400},v1={CODE}",
        f"t=\u0661,v1={CODE}",
        f"t={TIME},v1={CODE},x",
        "\ud800",
    ],
)
def test_a_signature_that_is_none_is_refused(header: str) -> None:
    with pytest.raises(Refused) as caught:
        JAMBONZ.verify_webhook(replace(WEBHOOK, headers={SIGNATURE_HEADER: header}))
    assert caught.value.reason == "signature"


@pytest.mark.parametrize("age_s", [-301, 301, 10**9])
def test_a_stale_signature_is_refused(age_s: int) -> None:
    headers = {SIGNATURE_HEADER: sign(KEY, BODY, TIME - age_s)}
    with pytest.raises(Refused, match="clock"):
        JAMBONZ.verify_webhook(replace(WEBHOOK, headers=headers))


@pytest.mark.parametrize("age_s", [-300, 0, 300])
def test_a_clock_may_be_a_little_off(age_s: int) -> None:
    JAMBONZ.verify_webhook(replace(WEBHOOK, headers={SIGNATURE_HEADER: sign(KEY, BODY, TIME - age_s)}))


def test_two_signature_headers_are_refused() -> None:
    value = WEBHOOK.headers[SIGNATURE_HEADER]
    headers = CIMultiDict([(SIGNATURE_HEADER, value), (SIGNATURE_HEADER, value)])
    with pytest.raises(Refused):
        JAMBONZ.verify_webhook(replace(WEBHOOK, headers=headers))


@given(st.text())
def test_no_signature_makes_it_stumble(header: str) -> None:
    with pytest.raises(Refused):
        JAMBONZ.verify_webhook(replace(WEBHOOK, headers={SIGNATURE_HEADER: header}))


# -- hooks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        None,
        [],
        {},
        {"call_sid": None},
        {"call_sid": 5},
        {"call_sid": "../x/y/z/w"},
        {"call_sid": CALL_ID + "\n "},
        "x",
    ],
)
def test_a_hook_that_names_no_call_is_a_protocol_error(fields: object) -> None:
    with pytest.raises(ProtocolError) as caught:
        JAMBONZ.incoming(hook(fields))
    assert caught.value.kind == "bad_webhook"


def test_a_call_of_another_account_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        JAMBONZ.incoming(hook({**FIELDS, "account_sid": "another"}))
    assert caught.value.reason == "account"


def test_a_call_that_we_placed_is_an_outbound_one() -> None:
    call = JAMBONZ.incoming(hook({**FIELDS, "direction": "outbound", "call_status": "in-progress"}))
    assert call is not None and call.direction == "outbound"


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        ("in-progress", "started"),
        ("completed", "stopped"),
        ("failed", "error"),
        ("busy", "error"),
        ("queued", "unknown"),
    ],
)
def test_a_status_tells_how_the_stream_fares(status: str, meaning: str) -> None:
    told = hook({**FIELDS, "call_status": status}, URLS.status)
    assert JAMBONZ.status(told) == meaning
    assert (JAMBONZ.incoming(told) is None) is (meaning in ("stopped", "error"))
    assert JAMBONZ.call_id_of(told) == CALL_ID


def test_the_sample_is_signed_and_about_no_call() -> None:
    sample = JAMBONZ.sample_request(URLS, NOW_S)
    JAMBONZ.verify_webhook(sample)
    assert (JAMBONZ.status(sample), JAMBONZ.incoming(sample)) == ("stopped", None)


# -- verbs ----------------------------------------------------------------------------------------------------


def verbs_of(body: str) -> list[dict[str, Any]]:
    verbs = json.loads(body)
    assert isinstance(verbs, list)
    return verbs


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000, 48000])
def test_the_answer_opens_the_stream_and_knows_what_to_do_without_us(rate_hz: int) -> None:
    reply = Jambonz(msgspec.structs.replace(SECTION, rate_hz=rate_hz)).answer(CALL, URLS, "t0ken")
    answer, listen, say, hangup = verbs_of(reply.body)
    assert (answer, hangup) == ({"verb": "answer"}, {"verb": "hangup"})
    assert say["verb"] == "say"
    assert listen == {
        "verb": "listen",
        "url": URLS.media,
        "actionHook": URLS.ended,
        "sampleRate": rate_hz,
        "mixType": "mono",
        "passDtmf": True,
        "bidirectionalAudio": {"enabled": True, "streaming": True, "sampleRate": rate_hz},
        "metadata": {"token": "t0ken"},
    }


def test_the_password_of_the_media_socket_is_in_the_answer_and_in_no_repr() -> None:
    reply = CASES.carrier().answer(CALL, URLS, "t0ken")
    assert verbs_of(reply.body)[1]["wsAuth"] == {"username": "bridge", "password": "of-the-media-socket"}
    assert "of-the-media" not in repr(reply)


def test_a_user_name_wants_a_password() -> None:
    half = Jambonz(msgspec.structs.replace(SECTION, username="bridge"))
    assert [key for key, _ in half.missing()] == ["password"]
    with pytest.raises(Refused):
        half.verify_upgrade(replace(CASES.upgrade, headers={"Authorization": "Basic YnJpZGdlOg=="}))


@pytest.mark.parametrize("to", ["+15550100003", '"}]},{"verb":"hangup"', "</Say>", "x" * 9000, "\ud800\x00"])
def test_a_transfer_dials_one_number_and_nothing_else(to: str) -> None:
    dial, hangup = verbs_of(JAMBONZ.ended(WEBHOOK, Ended(Ending.TRANSFERRED, to)).body)
    (target,) = dial["target"]
    assert (dial["verb"], target["type"], hangup) == ("dial", "phone", {"verb": "hangup"})
    assert len(target["number"]) <= 200


@pytest.mark.parametrize(("ended", "verbs"), [(Ended(), ["hangup"]), (Ended(Ending.LOST), ["say", "hangup"])])
def test_what_comes_after_the_stream(ended: Ended, verbs: list[str]) -> None:
    assert [verb["verb"] for verb in verbs_of(JAMBONZ.ended(WEBHOOK, ended).body)] == verbs


# -- the media socket -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("start", "rate_hz"), [("attributes", 8000), ("attributes_16k", 16000)])
def test_the_stream_has_the_format_that_its_start_says(start: str, rate_hz: int) -> None:
    dialect = CASES.after(start)
    assert dialect.inbound_format == dialect.outbound_format == AudioFormat(Encoding.PCM16, rate_hz)
    dialect.receive(Binary(bytes(rate_hz * 2)))
    assert dialect.receive(Binary(b"\0\0")) == Audio(b"\0\0", 1000)


@pytest.mark.parametrize(
    "odd",
    [{"sampleRate": 64000}, {"sampleRate": 0}, {"sampleRate": -8000}, {"mixType": "stereo"}, {"mixType": ""}],
)
def test_a_format_that_we_never_ask_for_closes_the_socket(odd: Mapping[str, object]) -> None:
    start = json.loads(frame("jambonz", "attributes")) | odd
    with pytest.raises(ProtocolError) as caught:
        CASES.fresh().receive(json.dumps(start).encode())
    assert (caught.value.kind, caught.value.close_code) == ("format", 1008)


def test_a_second_call_on_one_socket_closes_it() -> None:
    with pytest.raises(ProtocolError) as caught:
        streaming().receive(frame("jambonz", "attributes_other_call"))
    assert (caught.value.kind, caught.value.close_code) == ("second_start", 1008)


SAMPLES = st.lists(st.integers(-32768, 32767) | st.sampled_from([-1, -1, 0, 255, -256, 0xFF]), max_size=400)


@given(SAMPLES)
def test_no_sample_of_ours_can_be_taken_for_a_mark(samples: list[int]) -> None:
    sent = streaming().audio(array("h", samples).tobytes())
    assert type(sent) is Binary
    assert array("h", sent).tolist() == [0 if sample == -1 else sample for sample in samples]


def test_bytes_that_only_look_like_a_mark_are_left_alone() -> None:
    across = b"\x00\xff\xff\x00" * 80  # 0xFFFF, but half of it in either sample
    assert streaming().audio(across) == across


def test_it_stops_asking_before_marks_are_dropped() -> None:
    dialect = streaming()
    asked = [dialect.mark(f"1.{n}") for n in range(40)]
    assert [len(messages) for messages in asked] == [1] * MAX_PENDING_MARKS + [0] * (40 - MAX_PENDING_MARKS)
    returned = b'{"type":"mark","data":{"name":"1.0","event":"playout"}}'
    assert dialect.receive(returned) == MarkPlayed("1.0")
    assert len(dialect.mark("1.40")) == 1
    assert dialect.mark("1.41") == ()


def test_a_clear_makes_room_for_marks_and_those_it_returns_make_none() -> None:
    dialect = streaming()
    for n in range(MAX_PENDING_MARKS):
        dialect.mark(f"1.{n}")
    dialect.clear()
    for n in range(MAX_PENDING_MARKS):
        assert len(dialect.mark(f"2.{n}")) == 1
    for n in range(MAX_PENDING_MARKS):
        cleared = b'{"type":"mark","data":{"name":"1.%d","event":"cleared"}}' % n
        assert dialect.receive(cleared) == Ignored("mark_cleared")
    assert dialect.mark("2.99") == ()


# -- REST -----------------------------------------------------------------------------------------------------


def test_calls_are_controlled_with_the_account_s_key() -> None:
    jambonz, api = Jambonz(FULL), JambonzRest(FULL)
    run(jambonz.hang_up(CALL), api)
    run(jambonz.send_digits(CALL, "1#"), api)
    assert run(jambonz.place_call("+15550100003", "+15550100002", URLS), api) == CALL_SID
    assert run(jambonz.check(), api) == "bridge"
    base = f"{FULL.api_url}/v1/Accounts/{ACCOUNT_ID}"
    assert [(request.method, request.url.removeprefix(base)) for request in api.granted] == [
        *[("PUT", f"/Calls/{CALL_ID}")] * 3,
        ("POST", "/Calls"),
        ("GET", ""),
    ]
    bodies = [json.loads(request.body or b"null") for request in api.granted]
    assert bodies[:3] == [
        {"call_status": "completed"},
        {"dtmf": {"digit": "1", "duration": 250}},
        {"dtmf": {"digit": "#", "duration": 250}},
    ]
    assert bodies[3] == {
        "call_hook": {"url": URLS.answer, "method": "POST"},
        "call_status_hook": {"url": URLS.status, "method": "POST"},
        "from": "+15550100002",
        "to": {"type": "phone", "number": "+15550100003"},
    }


def test_the_application_is_set_up() -> None:
    api = JambonzRest(FULL)
    done = run(Jambonz(FULL).set_up("+15550100002", URLS), api)
    assert any(URLS.answer in line for line in done) and any("+15550100002" in line for line in done)
    hooks, link = (json.loads(request.body) for request in api.granted[-2:])
    assert hooks["call_status_hook"]["url"] == URLS.status
    assert link == {"application_sid": FULL.application_sid}
    assert api.granted[-1].url.endswith(NUMBER_SID)


def test_a_number_of_somebody_else_is_not_linked() -> None:
    with pytest.raises(CarrierError, match="not one of the account's numbers"):
        run(Jambonz(FULL).set_up("+15559999999", URLS), JambonzRest(FULL))


def test_wrong_credentials_are_told() -> None:
    api = JambonzRest(FULL)
    wrong = msgspec.structs.replace(FULL, api_key=Secret("guessed"))
    for plan in (Jambonz(wrong).hang_up(CALL), Jambonz(wrong).check(), Jambonz(wrong).send_digits(CALL, "1")):
        with pytest.raises(CarrierError) as caught:
            run(plan, api)
        assert caught.value.status == 401
    assert api.granted == []


@pytest.mark.parametrize("section", [SECTION, FULL], ids=["no key", "a key"])
def test_a_caller_is_handed_on_by_one_answer_alone(section: JambonzConfig) -> None:
    assert Jambonz(section).transfer(CALL, "+15550100003", URLS) is None


def test_without_a_key_closing_and_the_answer_do_it() -> None:
    assert JAMBONZ.hang_up(CALL) is None
    assert JAMBONZ.transfer(CALL, "+15550100003", URLS) is None
    assert JAMBONZ.check() is None
    for plan in (
        JAMBONZ.send_digits(CALL, "1"),
        JAMBONZ.place_call("+15550100003", "+15550100002", URLS),
        JAMBONZ.set_up("+15550100002", URLS),
        Jambonz(msgspec.structs.replace(FULL, application_sid="")).set_up("+15550100002", URLS),
    ):
        waiting: Any = plan
        with pytest.raises(Unsupported, match="carriers.jambonz"):
            next(waiting)
