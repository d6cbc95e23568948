"""What is the same for every simulated carrier around its stream."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest

from bridge.carriers.twilio import TwilioConfig
from bridge.emulators.caller_plan import CallPlan
from bridge.emulators.caller_webhooks import Addresses
from bridge.emulators.exchange import Exchange, exchange_type, form_ask
from bridge.emulators.twiml import StreamOrder

ANSWER = "https://bridge.example/carriers/twilio/answer"
MEDIA = "wss://bridge.example/carriers/twilio/media"
PLAN = CallPlan(answer_url=ANSWER, section=TwilioConfig())


@pytest.mark.parametrize(
    ("order", "token", "changed"),
    [
        (
            StreamOrder(MEDIA, parameters={"token": "t", "a": "b"}),
            "other",
            StreamOrder(MEDIA, parameters={"token": "other", "a": "b"}),
        ),
        (
            StreamOrder(MEDIA, parameters={"token": "t", "a": "b"}),
            "",
            StreamOrder(MEDIA, parameters={"a": "b"}),
        ),
        (StreamOrder(f"{MEDIA}/t"), "other", StreamOrder(f"{MEDIA}/other")),
        (StreamOrder(f"{MEDIA}/t?x=1"), "", StreamOrder(f"{MEDIA}?x=1")),
        (StreamOrder(MEDIA), "other", StreamOrder(f"{MEDIA}/other")),
    ],
)
def test_a_token_is_exchanged_where_it_travels(order: StreamOrder, token: str, changed: StreamOrder) -> None:
    exchange = Exchange(PLAN, Addresses(ANSWER), PLAN.section)
    assert exchange.with_token(order, token) == changed


def test_a_form_goes_out_as_one() -> None:
    ask = form_ask(ANSWER, {"From": "+1 ü"}, {"X-Signature": "s"})
    assert (ask.method, ask.url) == ("POST", ANSWER)
    assert ask.headers == {"X-Signature": "s", "Content-Type": "application/x-www-form-urlencoded"}
    assert parse_qs(ask.body.decode("ascii")) == {"From": ["+1 ü"]}


def test_the_media_socket_is_next_to_the_webhook() -> None:
    assert Addresses(ANSWER).media_url == MEDIA
    assert Addresses("http://127.0.0.1:8080/carriers/x/answer?y=1", "https://b.example").media_url == (
        "wss://b.example/carriers/x/media"
    )


def test_a_carrier_is_found_by_its_name() -> None:
    assert exchange_type("twilio").name == "twilio"
    with pytest.raises(ModuleNotFoundError):
        exchange_type("nobody")
