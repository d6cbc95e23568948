"""What Twilio is asked for through REST, against a stand-in that checks who asks and what for."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import pytest

from bridge.carriers.carrier import IncomingCall
from bridge.carriers.form_signature import sign
from bridge.carriers.rest import Plan, RestRequest
from bridge.carriers.twilio import SIGNATURE_HEADER, Twilio, TwilioConfig
from bridge.emulators.carriers.twilio_rest import TwilioRest
from bridge.emulators.rest_stand_in import run
from bridge.errors import CarrierError, Unsupported
from bridge.secret import Secret
from tests.support.carrier_cases import NOW_S, urls_of

ACCOUNT = "AC" + "5" * 32
CALL_ID = "CA" + "6" * 32
TOKEN = Secret("the auth token")
CONFIG = TwilioConfig(account_sid=ACCOUNT, auth_token=TOKEN, api_url="http://api.example")
LISTENS = TwilioConfig(account_sid=ACCOUNT, auth_token=TOKEN, api_url="http://api.example", listen_only=True)
CALL = IncomingCall(CALL_ID, ACCOUNT, "+15550100001", "+15550100002", "inbound")
URLS = urls_of("twilio")


@pytest.fixture
def api() -> TwilioRest:
    return TwilioRest(CONFIG)


def form(request: RestRequest) -> dict[str, str]:
    return {
        name: value for name, (value,) in parse_qs(request.body.decode("ascii"), strict_parsing=True).items()
    }


def asked(api: TwilioRest) -> list[tuple[str, str]]:
    """Method and path of what was granted, below the account."""
    account = f"/2010-04-01/Accounts/{ACCOUNT}"
    return [
        (request.method, urlsplit(request.url).path.removeprefix(account))
        for request in api.granted
        if request.url.startswith("http://api.example/")
    ]


def test_closing_the_socket_is_enough_to_hang_up() -> None:
    assert Twilio(CONFIG).hang_up(CALL) is None


def test_a_call_that_is_only_listened_to_is_ended_through_rest(api: TwilioRest) -> None:
    plan = Twilio(LISTENS).hang_up(CALL)
    assert plan is not None
    run(plan, api)
    assert asked(api) == [("POST", f"/Calls/{CALL_ID}.json")]
    assert form(api.granted[0]) == {"Status": "completed"}


@pytest.mark.parametrize(
    ("to", "noun"),
    [
        ("+15550100009", "Number"),
        ("sip:desk@example.com", "Sip"),
        ("sips:desk@example.com", "Sip"),
        ("</Dial><Say>owned</Say>", "Number"),
    ],
)
def test_a_transfer_gives_the_call_a_dial(to: str, noun: str, api: TwilioRest) -> None:
    run(Twilio(CONFIG).transfer(CALL, to, URLS), api)
    assert asked(api) == [("POST", f"/Calls/{CALL_ID}.json")]
    twiml = ElementTree.fromstring(form(api.granted[0])["Twiml"])
    assert [(verb.tag, [(child.tag, child.text) for child in verb]) for verb in twiml] == [
        ("Dial", [(noun, to)]),
        ("Hangup", []),
    ]


def test_a_placed_call_fetches_its_answer_from_us(api: TwilioRest) -> None:
    sid = run(Twilio(CONFIG).place_call("+15550100009", "+15550100002", URLS), api)
    assert sid.startswith("CA")
    assert asked(api) == [("POST", "/Calls.json")]
    assert form(api.granted[0]) == {
        "To": "+15550100009",
        "From": "+15550100002",
        "Url": URLS.answer,
        "Method": "POST",
    }


def test_a_number_is_found_and_given_the_webhook(api: TwilioRest) -> None:
    (done,) = run(Twilio(CONFIG).set_up("+15550100002", URLS), api)
    assert "+15550100002" in done and URLS.answer in done
    assert asked(api) == [
        ("GET", "/IncomingPhoneNumbers.json"),
        ("POST", f"/IncomingPhoneNumbers/{api.numbers['+15550100002']}.json"),
    ]
    assert form(api.granted[1]) == {"VoiceUrl": URLS.answer, "VoiceMethod": "POST"}


def test_a_number_of_somebody_else_is_not_set_up(api: TwilioRest) -> None:
    with pytest.raises(CarrierError, match=r"\+15550199999 is not one of the account's numbers"):
        run(Twilio(CONFIG).set_up("+15550199999", URLS), api)


def test_the_credentials_are_checked_by_reading_the_account(api: TwilioRest) -> None:
    plan = Twilio(CONFIG).check()
    assert plan is not None
    assert run(plan, api) == "The stand-in's account"
    assert asked(api) == [("GET", ".json")]


def everything(carrier: Twilio) -> list[Plan[Any]]:
    return [
        carrier.transfer(CALL, "+15550100009", URLS),
        carrier.place_call("+15550100009", "+15550100002", URLS),
        carrier.set_up("+15550100002", URLS),
    ]


@pytest.mark.parametrize("which", range(3))
def test_wrong_credentials_are_twilios_own_words(which: int, api: TwilioRest) -> None:
    wrong = TwilioConfig(account_sid=ACCOUNT, auth_token=Secret("another"), api_url=CONFIG.api_url)
    with pytest.raises(CarrierError, match="Authenticate") as caught:
        run(everything(Twilio(wrong))[which], api)
    assert caught.value.status == 401
    assert "another" not in str(caught.value)
    assert api.granted == []


@pytest.mark.parametrize("which", range(3))
def test_without_an_account_nothing_can_be_asked(which: int, api: TwilioRest) -> None:
    with pytest.raises(Unsupported, match=r"carriers\.twilio\.account_sid"):
        run(everything(Twilio(TwilioConfig(auth_token=TOKEN)))[which], api)


def test_without_an_account_there_is_nothing_to_check() -> None:
    assert Twilio(TwilioConfig(auth_token=TOKEN)).check() is None


def test_no_request_shows_its_credentials() -> None:
    request = next(Twilio(CONFIG).transfer(CALL, "+15550100009", URLS))
    assert TOKEN.reveal() not in repr(request) and "Basic" not in repr(request)


def test_the_sample_request_is_signed_like_any_other() -> None:
    carrier = Twilio(CONFIG)
    sample = carrier.sample_request(URLS, NOW_S)
    carrier.verify_webhook(sample)
    assert sample.headers[SIGNATURE_HEADER] == sign(TOKEN.reveal(), URLS.status, sample.form)
    assert carrier.status(sample) == "stopped"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/Calls.json", b"From=1&Url=http%3A%2F%2Fx", 400),
        ("POST", "/Calls.json", b"To=1&Url=http%3A%2F%2Fx", 400),
        ("POST", "/Calls.json", b"To=1&From=2", 400),
        ("POST", f"/Calls/{CALL_ID}.json", b"Status=ringing", 400),
        ("POST", f"/Calls/{CALL_ID}.json", b"Twiml=hello", 400),
        ("POST", "/Calls/me.json", b"Status=completed", 404),
        ("POST", "/IncomingPhoneNumbers/PN1.json", b"VoiceUrl=http%3A%2F%2Fx&VoiceMethod=POST", 404),
        ("DELETE", f"/Calls/{CALL_ID}.json", b"", 404),
    ],
)
def test_the_stand_in_refuses_what_twilio_refuses(
    method: str, path: str, body: bytes, status: int, api: TwilioRest
) -> None:
    headers = next(Twilio(CONFIG).transfer(CALL, "1", URLS)).headers
    url = f"http://api.example/2010-04-01/Accounts/{ACCOUNT}{path}"
    assert api.answer(RestRequest("twilio", "try", method, url, headers, body)).status == status
    assert api.granted == []
