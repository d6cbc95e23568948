"""Plans of REST requests: what is wrong with an answer is told, without secrets."""

from __future__ import annotations

import pytest

from bridge.carriers.rest import RestAnswer, RestRequest, ask, basic, fail, text_at
from bridge.errors import CarrierError
from bridge.secret import Secret

REQUEST = RestRequest(
    "exotel", "place the call", "POST", "https://api.example/calls", basic("u", Secret("hush"))
)


def failure(body: bytes, why: str = "") -> str:
    with pytest.raises(CarrierError) as caught:
        fail(REQUEST, RestAnswer(400, body), why)
    assert (caught.value.carrier, caught.value.status) == ("exotel", 400)
    return str(caught.value)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"no such\n  number", "no such number"),
        (b"", "no reason was given"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"x" * 5000, "x" * 300),
        (b"bad StreamUrl wss://exotel:hush@bridge.example/media", "bad StreamUrl wss://bridge.example/media"),
        (rb'{"url":"wss:\/\/exotel:hush@bridge.example\/x"}', r'{"url":"wss:\/\/bridge.example\/x"}'),
        (b"x" * 279 + b" wss://exotel:hush@bridge.example", "x" * 279 + " wss://bridge.example"),
    ],
)
def test_an_error_has_the_carriers_own_words_and_no_password(body: bytes, told: str) -> None:
    assert failure(body).startswith(f"cannot place the call: {told}") or told in failure(body)
    assert "hush" not in failure(body) + repr(REQUEST)


def test_an_error_may_have_our_words_instead() -> None:
    assert "the answer names no call" in failure(b"{}", "the answer names no call")


@pytest.mark.parametrize("status", [199, 300, 302, 400, 401, 404, 500, 503])
def test_what_is_not_2xx_is_an_error(status: int) -> None:
    plan = ask(REQUEST)
    assert next(plan) is REQUEST
    with pytest.raises(CarrierError):
        plan.send(RestAnswer(status))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"Call":{"Sid":"1"}}', "1"),
        (b'{"Call":{"Sid":1}}', ""),
        (b'{"Call":[]}', ""),
        (b'{"Call":null}', ""),
        (b"[]", ""),
        (b"<x/>", ""),
        (b"[" * 100_000, ""),
    ],
)
def test_text_is_looked_up_in_whatever_came(body: bytes, text: str) -> None:
    assert text_at(RestAnswer(200, body), "Call", "Sid") == text
