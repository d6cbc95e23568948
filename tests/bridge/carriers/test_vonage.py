"""What is special about Vonage: its JWTs, its NCCOs, its events, its REST API."""

from __future__ import annotations

import json
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from vonage_jwt import JwtClient, verify_signature

from bridge.carriers.carrier import Ended, Ending, IncomingCall, Webhook
from bridge.carriers.dialect import Audio, Binary
from bridge.carriers.rest import RestRequest
from bridge.carriers.vonage import Vonage, VonageConfig
from bridge.carriers.vonage_tokens import webhook_header
from bridge.emulators.carriers.vonage_rest import CALL_ID as PLACED_ID
from bridge.emulators.carriers.vonage_rest import VonageRest
from bridge.emulators.rest_stand_in import EmulatedRest, run
from bridge.errors import CarrierError, ProtocolError, Refused, Unsupported
from bridge.rest_client import RestClient
from bridge.secret import Secret
from telephony_codecs.formats import AudioFormat
from telephony_codecs.formats import Encoding as Sound
from tests.bridge.carriers.cases.vonage import ACCOUNT, BODY, CALL_ID, CASES, FIELDS, KEY, URLS
from tests.support.carrier_cases import NOW_S, frame

SECTION = VonageConfig(
    signature_secret=KEY, api_key=ACCOUNT["api_key"], application_id=ACCOUNT["application_id"]
)
VONAGE = Vonage(SECTION)
CALL = CASES.call
assert CASES.webhook is not None
WEBHOOK: Webhook = CASES.webhook


@pytest.fixture(scope="session")
def private_key() -> str:
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture
def section(private_key: str) -> VonageConfig:
    """Everything configured."""
    return msgspec.structs.replace(SECTION, private_key=Secret(private_key), api_secret=Secret("of-the-key"))


def posted(body: bytes, *, url: str = URLS.answer, **claims: str) -> Webhook:
    """A webhook with this body, signed by Vonage."""
    return Webhook(
        url=url, headers=webhook_header(KEY, body, NOW_S, **(claims or ACCOUNT)), body=body, now_s=NOW_S
    )


def event(status: str, **query: str) -> Webhook:
    """An event of the socket's leg, at ``ended``."""
    body = json.dumps({"status": status, "uuid": "the-socket-leg", "reason": "x"}).encode()
    return posted(body, url=f"{URLS.ended}?{urlencode(query)}" if query else URLS.ended)


def ncco_of(body: str) -> list[dict[str, Any]]:
    actions = json.loads(body)
    assert isinstance(actions, list)
    return actions


# -- JWTs ---------------------------------------------------------------------------------------------------


def signed(claims: Mapping[str, object], *, key: str = "", algorithm: str = "HS256") -> Webhook:
    """A webhook whose JWT was made by PyJWT itself."""
    token = jwt.encode(dict(claims), key or KEY.reveal(), algorithm=algorithm)
    return replace(WEBHOOK, headers={"authorization": f"Bearer {token}"})


GOOD = {
    "iat": int(NOW_S),
    "jti": "a5a0a7a0",
    "iss": "Vonage",
    "payload_hash": sha256(BODY).hexdigest(),
    **ACCOUNT,
}


def test_a_jwt_that_anybody_with_the_secret_made_is_believed() -> None:
    VONAGE.verify_webhook(signed(GOOD))
    VONAGE.verify_webhook(signed({**GOOD, "payload_hash": str(GOOD["payload_hash"]).upper()}))
    VONAGE.verify_webhook(signed({**GOOD, "exp": int(NOW_S) + 60, "nbf": int(NOW_S)}))
    VONAGE.verify_webhook(signed({**GOOD, "aud": "https://bridge.example", "sub": "somebody"}))


def test_a_secret_may_be_as_short_as_vonage_makes_them() -> None:
    key = Secret("sixteen-letters!")
    header = webhook_header(key, BODY, NOW_S)
    Vonage(VonageConfig(signature_secret=key)).verify_webhook(replace(WEBHOOK, headers=header))


def test_the_vendor_believes_ours() -> None:
    token = WEBHOOK.headers["Authorization"].removeprefix("Bearer ")
    assert verify_signature(token, KEY.reveal()) is True
    assert verify_signature(token, "another secret that is long enough for it") is False


WRONG: dict[str, Mapping[str, object]] = {
    "no digest": {name: value for name, value in GOOD.items() if name != "payload_hash"},
    "another digest": {**GOOD, "payload_hash": sha256(b"{}").hexdigest()},
    "a digest that is none": {**GOOD, "payload_hash": 5},
    "no id": {name: value for name, value in GOOD.items() if name != "jti"},
    "no time": {name: value for name, value in GOOD.items() if name != "iat"},
    "a time in words": {**GOOD, "iat": "now"},
    "true for a time": {**GOOD, "iat": True},
    "not a number": {**GOOD, "iat": float("nan")},
    "endless": {**GOOD, "iat": 10**400},
    "an old one": {**GOOD, "iat": int(NOW_S) - 301},
    "one of tomorrow": {**GOOD, "iat": int(NOW_S) + 301},
    "expired": {**GOOD, "exp": int(NOW_S) - 301},
    "expires in words": {**GOOD, "exp": "never"},
    "no issuer": {name: value for name, value in GOOD.items() if name != "iss"},
    "another issuer": {**GOOD, "iss": "Nexmo"},
    "another account": {**GOOD, "api_key": "ffff9999"},
    "no account": {name: value for name, value in GOOD.items() if name != "api_key"},
    "another application": {**GOOD, "application_id": "another"},
}


@pytest.mark.parametrize("claims", WRONG.values(), ids=WRONG.keys())
def test_a_jwt_that_says_the_wrong_thing_is_refused(claims: Mapping[str, object]) -> None:
    with pytest.raises(Refused) as caught:
        VONAGE.verify_webhook(signed(claims))
    assert (caught.value.reason, caught.value.status) == ("signature", 403)


def test_one_algorithm_is_taken(private_key: str) -> None:
    other_key = "another secret that is long enough for an HMAC of SHA-512, which wants sixty-four bytes"
    strangers = [
        signed(GOOD, key=other_key),
        signed(GOOD, key=KEY.reveal() + "x" * 20, algorithm="HS512"),
        signed(GOOD, key=private_key, algorithm="RS256"),
    ]
    parts = [b'{"alg":"none","typ":"JWT"}', json.dumps(GOOD).encode(), b""]
    unsigned = b".".join(urlsafe_b64encode(part).rstrip(b"=") for part in parts).decode()
    strangers.append(replace(WEBHOOK, headers={"Authorization": f"Bearer {unsigned}"}))
    for stranger in strangers:
        with pytest.raises(Refused, match="signature_secret"):
            VONAGE.verify_webhook(stranger)


def test_what_the_vendor_signs_for_its_own_api_is_no_webhook(private_key: str) -> None:
    token = JwtClient("an application", private_key).generate_application_jwt().decode()
    with pytest.raises(Refused):
        VONAGE.verify_webhook(replace(WEBHOOK, headers={"Authorization": f"Bearer {token}"}))


def test_an_account_that_is_not_configured_is_not_asked_for() -> None:
    Vonage(VonageConfig(signature_secret=KEY)).verify_webhook(posted(BODY, api_key="any"))


@settings(deadline=None, max_examples=50)
@given(header=st.binary(max_size=60), payload=st.binary(max_size=60), scheme=st.sampled_from(["Bearer ", ""]))
def test_no_jwt_makes_it_stumble(header: bytes, payload: bytes, scheme: str) -> None:
    junk = ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in (header, payload, b"x"))
    with pytest.raises(Refused):
        VONAGE.verify_webhook(replace(WEBHOOK, headers={"Authorization": scheme + junk}))


@pytest.mark.parametrize(
    "header", [b"[" * 3000, b'{"alg":' + b"[" * 3000, b'{"alg":{},"typ":5,"kid":7}', b"[]"]
)
def test_no_header_of_a_jwt_makes_it_stumble(header: bytes) -> None:
    token = f"{urlsafe_b64encode(header).rstrip(b'=').decode()}.e30.e30"
    with pytest.raises(Refused):
        VONAGE.verify_webhook(replace(WEBHOOK, headers={"Authorization": f"Bearer {token}"}))


def test_without_pyjwt_it_is_not_served_and_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jwt", None)
    ((key, why),) = Vonage(SECTION).missing()
    assert key == "signature_secret" and "extra `vonage`" in why
    keyed = VonageConfig(application_id="an application", private_key=Secret("any"))
    with pytest.raises(CarrierError, match="extra `vonage`"):
        run(Vonage(keyed).hang_up(CALL), VonageRest(keyed))


# -- webhooks -----------------------------------------------------------------------------------------------


def asked_by_get(query: str) -> Webhook:
    """A GET as Vonage signs it: compact JSON of the query, its order kept."""
    fields = dict(pair.split("=") for pair in query.replace("%20", " ").split("&"))
    content = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
    return Webhook(
        url=f"{URLS.answer}?{query}",
        method="GET",
        headers=webhook_header(KEY, content, NOW_S, **ACCOUNT),
        now_s=NOW_S,
    )


def test_a_get_is_signed_over_its_query() -> None:
    asked = asked_by_get(f"to=15550100002&from=Anna%20B&uuid={CALL_ID}&conversation_uuid=CON-1")
    VONAGE.verify_webhook(asked)
    assert VONAGE.incoming(asked) == replace(CALL, from_number="Anna B")
    for query in ("to=1&", "from=1&"):
        with pytest.raises(Refused):
            VONAGE.verify_webhook(replace(asked, url=asked.url.replace("?", f"?{query}")))


def test_a_get_with_two_ids_is_no_call() -> None:
    twice = asked_by_get(f"uuid={CALL_ID}&uuid={CALL_ID}&to=1")
    with pytest.raises(Refused, match="repeated"):
        VONAGE.verify_webhook(twice)
    with pytest.raises(ProtocolError):
        VONAGE.incoming(twice)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"uuid":null}',
        b'{"uuid":5}',
        b'{"uuid":"../../etc"}',
        b'{"uuid":"a"}',
        b"\xff",
        b"[" * 9000,
        json.dumps({"uuid": CALL_ID + "\n"}).encode(),
        json.dumps({"uuid": "a" * 65}).encode(),
    ],
)
def test_a_webhook_that_names_no_call_is_a_protocol_error(body: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        VONAGE.incoming(posted(body))
    assert caught.value.kind == "bad_webhook"


def test_an_event_announces_no_call() -> None:
    assert VONAGE.incoming(posted(json.dumps({**FIELDS, "status": "ringing"}).encode())) is None


def test_a_call_that_we_placed_is_an_outbound_one() -> None:
    placed = VONAGE.incoming(posted(BODY, url=f"{URLS.answer}?direction=outbound"))
    assert placed is not None and placed.direction == "outbound"


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        ("answered", "started"),
        ("disconnected", "stopped"),
        ("completed", "stopped"),
        ("failed", "error"),
        ("unanswered", "error"),
        ("ringing", "unknown"),
        ("new one", "unknown"),
    ],
)
def test_an_event_tells_how_the_stream_fares(status: str, meaning: str) -> None:
    assert VONAGE.status(event(status)) == meaning


def test_the_sample_is_signed_and_about_no_call() -> None:
    sample = VONAGE.sample_request(URLS, NOW_S)
    VONAGE.verify_webhook(sample)
    assert VONAGE.status(sample) == "stopped"
    assert VONAGE.incoming(sample) is None


# -- NCCOs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000])
def test_the_answer_connects_the_call_to_our_socket(rate_hz: int) -> None:
    reply = Vonage(msgspec.structs.replace(SECTION, rate_hz=rate_hz)).answer(CALL, URLS, "t0ken")
    assert (reply.status, reply.content_type) == (200, "application/json")
    (connect,) = ncco_of(reply.body)
    assert connect == {
        "action": "connect",
        "eventType": "synchronous",
        "eventUrl": [f"{URLS.ended}?call={CALL_ID}&line=15550100002"],
        "eventMethod": "POST",
        "endpoint": [
            {
                "type": "websocket",
                "uri": URLS.media,
                "content-type": f"audio/l16;rate={rate_hz}",
                "headers": {"token": "t0ken", "call": CALL_ID},
            }
        ],
    }


@pytest.mark.parametrize(
    "name", ['"}],"action":"record"', "</Say>", "\ud800\x00\n", "x" * 9000, "&line=1900&call=x"]
)
def test_what_a_caller_is_called_stays_out_of_it(name: str) -> None:
    odd = replace(CALL, from_number=name, to_number=name)
    (connect,) = ncco_of(VONAGE.answer(odd, URLS, "t" * 43).body)
    assert connect["action"] == "connect" and len(connect["endpoint"]) == 1
    assert len(json.dumps(connect["endpoint"][0]["headers"])) <= 512
    query = parse_qs(urlsplit(connect["eventUrl"][0]).query)
    assert query["call"] == [CALL_ID]
    assert all(value.isdigit() for value in query.get("line", []))


@pytest.mark.parametrize(
    ("status", "ended", "actions"),
    [
        ("disconnected", Ended(), []),
        ("disconnected", Ended(Ending.LOST), ["talk"]),
        ("disconnected", Ended(Ending.TRANSFERRED, "+1 555 010 0003"), ["connect"]),
        ("failed", Ended(), ["talk"]),
        ("unanswered", Ended(), ["talk"]),
        ("failed", Ended(Ending.TRANSFERRED, "+15550100003"), ["connect"]),
    ],
)
def test_what_comes_after_the_stream(status: str, ended: Ended, actions: list[str]) -> None:
    asked = event(status, call=CALL_ID, line="15550100002")
    VONAGE.verify_webhook(asked)
    assert VONAGE.call_id_of(asked) == CALL_ID
    found = ncco_of(VONAGE.ended(asked, ended).body)
    assert [action["action"] for action in found] == actions
    if actions == ["connect"]:
        assert found[0]["endpoint"] == [{"type": "phone", "number": "15550100003"}]
        assert found[0]["from"] == "15550100002"


@pytest.mark.parametrize("status", ["", "started", "ringing", "answered", "completed", "transfer"])
def test_an_event_that_asks_nothing_changes_nothing(status: str) -> None:
    asked = event(status, call=CALL_ID)
    assert VONAGE.call_id_of(asked) == ""
    assert VONAGE.ended(asked, Ended(Ending.LOST)).status == 204


def test_that_a_leg_has_moved_asks_nothing() -> None:
    moved = posted(
        b'{"type":"transfer","conversation_uuid_from":"CON-1","conversation_uuid_to":"CON-2","uuid":"the-leg"}',
        url=f"{URLS.ended}?call={CALL_ID}",
    )
    assert VONAGE.call_id_of(moved) == ""
    assert VONAGE.ended(moved, Ended(Ending.TRANSFERRED, "+15550100003")).status == 204


def test_an_event_of_no_call_of_ours_names_none() -> None:
    assert VONAGE.call_id_of(event("disconnected")) == ""
    assert VONAGE.call_id_of(event("disconnected", call="../x")) == ""
    assert (
        VONAGE.call_id_of(replace(event("disconnected"), url=f"{URLS.ended}?call={CALL_ID}&call=b1234567"))
        == ""
    )


# -- the media socket -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "rate_hz"), [("connected", 8000), ("connected_16k", 16000), ("connected_24k", 24000)]
)
def test_the_stream_has_the_format_that_its_start_says(start: str, rate_hz: int) -> None:
    dialect = CASES.after(start)
    assert dialect.inbound_format == dialect.outbound_format == AudioFormat(Sound.PCM16, rate_hz)
    one_second = Binary(bytes(rate_hz * 2))
    dialect.receive(one_second)
    assert dialect.receive(Binary(b"\0\0")) == Audio(b"\0\0", 1000)


@pytest.mark.parametrize(
    "content_type",
    [
        "audio/l16;rate=44100",
        "audio/l16",
        "audio/mulaw;rate=8000",
        "",
        "audio/l16;rate=8000;channels=2",
        "x" * 999,
    ],
)
def test_a_format_that_we_never_ask_for_closes_the_socket(content_type: str) -> None:
    start = json.loads(frame("vonage", "connected")) | {"content-type": content_type}
    with pytest.raises(ProtocolError) as caught:
        CASES.fresh().receive(json.dumps(start).encode())
    assert (caught.value.kind, caught.value.close_code) == ("format", 1008)


def test_a_second_call_on_one_socket_closes_it() -> None:
    with pytest.raises(ProtocolError) as caught:
        CASES.streaming().receive(frame("vonage", "connected_other_call"))
    assert (caught.value.kind, caught.value.close_code) == ("second_start", 1008)


@pytest.mark.parametrize("size", [0, 2, 160, 318, 320, 322, 640, 3200])
def test_a_frame_of_the_wrong_size_is_sound_all_the_same(size: int) -> None:
    dialect = CASES.streaming()
    sound = Binary(b"\1\2" * (size // 2))
    assert dialect.receive(sound) == Audio(bytes(sound), 0)


@pytest.mark.parametrize("size", [1, 319, 321])
def test_half_a_sample_is_skipped_and_what_follows_is_in_step(size: int) -> None:
    dialect = CASES.streaming()
    with pytest.raises(ProtocolError) as caught:
        dialect.receive(Binary(b"\1" * size))
    assert (caught.value.kind, caught.value.close_code) == ("bad_frame", None)
    assert dialect.receive(Binary(b"\1\2")) == Audio(b"\1\2", 0)


# -- REST -----------------------------------------------------------------------------------------------------


def test_calls_are_controlled_with_the_application_s_key(section: VonageConfig) -> None:
    vonage, api = Vonage(section), VonageRest(section)
    run(vonage.hang_up(CALL), api)
    run(vonage.transfer(CALL, "+1 (555) 010-0003", URLS), api)
    run(vonage.send_digits(CALL, "12#"), api)
    assert run(vonage.place_call("+15550100003", "+15550100002", URLS), api) == PLACED_ID
    assert run(vonage.check(), api) == f"application {section.application_id}"
    asked = [(request.method, request.url.removeprefix(section.api_url)) for request in api.granted]
    assert asked == [
        ("PUT", f"/v1/calls/{CALL_ID}"),
        ("PUT", f"/v1/calls/{CALL_ID}"),
        ("PUT", f"/v1/calls/{CALL_ID}/dtmf"),
        ("POST", "/v1/calls"),
        ("GET", "/v1/calls?page_size=1"),
    ]
    bodies = [json.loads(request.body or b"null") for request in api.granted]
    phone = {"type": "phone", "number": "15550100003"}
    assert bodies[0] == {"action": "hangup"}
    assert bodies[1]["destination"]["ncco"] == [
        {"action": "connect", "from": "15550100002", "endpoint": [phone]}
    ]
    assert bodies[2] == {"digits": "12#"}
    assert bodies[3]["to"] == [phone]
    assert bodies[3]["answer_url"] == [f"{URLS.answer}?direction=outbound"]


def test_the_application_is_set_up_and_what_else_it_has_is_kept(section: VonageConfig) -> None:
    api = VonageRest(section)
    done = run(Vonage(section).set_up("+15550100002", URLS), api)
    assert any(URLS.answer in line for line in done) and any("+15550100002" in line for line in done)
    voice = api.application["capabilities"]["voice"]
    assert voice["signed_callbacks"] is True
    assert voice["webhooks"]["answer_url"] == {"address": URLS.answer, "http_method": "POST"}
    assert voice["webhooks"]["event_url"] == {"address": URLS.status, "http_method": "POST"}
    assert "messages" in api.application["capabilities"] and api.application["name"] == "bridge"
    assert api.granted[-1].url.endswith("/number/update")


def test_a_number_of_somebody_else_is_not_linked(section: VonageConfig) -> None:
    with pytest.raises(CarrierError, match="not one of the account's numbers"):
        run(Vonage(section).set_up("+15559999999", URLS), VonageRest(section))


def test_wrong_credentials_are_told(section: VonageConfig, private_key: str) -> None:
    api = VonageRest(section)
    elsewhere = msgspec.structs.replace(section, application_id="another")
    with pytest.raises(CarrierError, match="hang up") as caught:
        run(Vonage(elsewhere).hang_up(CALL), api)
    assert caught.value.status == 401
    wrong = msgspec.structs.replace(section, api_secret=Secret("guessed"))
    with pytest.raises(CarrierError) as caught:
        run(Vonage(wrong).set_up("+15550100002", URLS), api)
    assert caught.value.status == 401
    assert api.granted == []


def test_a_request_that_was_seen_is_not_granted_again(section: VonageConfig) -> None:
    plan, api = Vonage(section).hang_up(CALL), VonageRest(section)
    assert plan is not None
    request = next(plan)
    now_s = time.time()
    sent = request.signed(now_s)
    assert (api.answer(sent).status, api.answer(sent).status) == (204, 401)
    assert api.answer(request.signed(now_s + 0.001)).status == 204
    assert "Authorization" not in request.headers


async def test_a_request_is_signed_when_it_is_sent(section: VonageConfig) -> None:
    stand_in, client = VonageRest(section), RestClient()
    async with EmulatedRest(stand_in) as api:
        plan = Vonage(msgspec.structs.replace(section, api_url=api.url)).hang_up(CALL)
        assert plan is not None
        await client.carry_out(plan)
        await client.close()
    assert [request.method for request in stand_in.granted] == ["PUT"]


def test_what_is_signed_is_not_shown(section: VonageConfig, private_key: str) -> None:
    plan = Vonage(section).hang_up(CALL)
    assert plan is not None
    request: RestRequest = next(plan)
    token = request.signed(NOW_S).headers["Authorization"]
    assert private_key[40:80] not in repr(request) and token not in repr(request.signed(NOW_S))


@pytest.mark.parametrize(
    "text", ["-----BEGIN PRIVATE KEY-----\nno\n-----END PRIVATE KEY-----", "/no/such/file", "k3y"]
)
def test_a_key_that_cannot_be_read_is_told_by_its_name(section: VonageConfig, text: str) -> None:
    wrong = msgspec.structs.replace(section, private_key=Secret(text))
    with pytest.raises(CarrierError, match="private_key") as caught:
        run(Vonage(wrong).send_digits(CALL, "1"), VonageRest(section))
    assert text not in str(caught.value)


def test_the_key_may_be_a_file_or_have_its_line_ends_written_out(
    section: VonageConfig, private_key: str, tmp_path: Any
) -> None:
    path = tmp_path / "private.key"
    path.write_text(private_key, "ascii")
    for spelling in (str(path), private_key.replace("\n", "\\n")):
        spelt = msgspec.structs.replace(section, private_key=Secret(spelling))
        run(Vonage(spelt).send_digits(CALL, "1"), VonageRest(section))


def test_without_a_key_closing_and_the_answer_do_it() -> None:
    assert VONAGE.hang_up(CALL) is None
    assert VONAGE.transfer(CALL, "+15550100003", URLS) is None
    assert VONAGE.check() is None
    for ask in (
        lambda: VONAGE.send_digits(CALL, "1"),
        lambda: VONAGE.place_call("+15550100003", "+15550100002", URLS),
        lambda: VONAGE.set_up("+15550100002", URLS),
    ):
        plan: Any = ask()
        with pytest.raises(Unsupported, match="carriers.vonage"):
            next(plan)


def test_an_outbound_call_is_handed_on_with_our_own_number(section: VonageConfig) -> None:
    ours = IncomingCall(CALL_ID, "", "15550100002", "15550100009", "outbound")
    api = VonageRest(section)
    run(Vonage(section).transfer(ours, "+15550100003", URLS), api)
    assert json.loads(api.granted[0].body)["destination"]["ncco"][0]["from"] == "15550100002"
