"""Passwords and tokens in the Authorization header: one of them, whole, or nothing."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, MultiDict

from bridge.carriers.http_auth import has_basic, has_bearer, require_basic
from bridge.carriers.rest import basic, bearer
from bridge.errors import Refused
from bridge.secret import Secret

PASSWORD = Secret("pa:ss w\u00f6rd")
RIGHT = basic("user", PASSWORD)


def header(value: str) -> dict[str, str]:
    return {"Authorization": value}


def encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


@pytest.mark.parametrize("headers", [RIGHT, CIMultiDict(RIGHT), {"authorization": RIGHT["Authorization"]}])
def test_the_right_password_is_believed(headers: Mapping[str, str]) -> None:
    assert has_basic(headers, "user", PASSWORD)
    require_basic(headers, "user", PASSWORD)


def test_the_schemes_case_and_spaces_mean_nothing() -> None:
    value = RIGHT["Authorization"]
    assert has_basic(header(value.replace("Basic", "bAsIc  ")), "user", PASSWORD)
    assert has_bearer(header("BEARER  token"), Secret("token"))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic \u00e9\ud800",
        f"Basic {encoded('user')}",
        f"Basic {encoded('user:')}",
        f"Basic {encoded(':' + PASSWORD.reveal())}",
        f"Basic {encoded('user:' + PASSWORD.reveal() + ' ')}",
        f"Basic {encoded('User:' + PASSWORD.reveal())}",
        f"Digest {encoded('user:' + PASSWORD.reveal())}",
        f"Bearer {PASSWORD.reveal()}",
        PASSWORD.reveal(),
    ],
)
def test_anything_else_is_refused(value: str) -> None:
    assert not has_basic(header(value), "user", PASSWORD)
    with pytest.raises(Refused) as caught:
        require_basic(header(value), "user", PASSWORD)
    assert caught.value.reason == "signature"
    assert PASSWORD.reveal() not in str(caught.value)


def test_a_repeated_header_is_refused_even_if_both_are_right() -> None:
    twice = MultiDict([("Authorization", RIGHT["Authorization"]), ("authorization", RIGHT["Authorization"])])
    assert not has_basic(twice, "user", PASSWORD)


def test_without_a_configured_secret_nothing_is_right() -> None:
    assert not has_basic(basic("user", Secret()), "user", Secret())
    assert not has_basic(basic("", PASSWORD), "", PASSWORD)
    assert not has_bearer(bearer(Secret()), Secret())
    assert not has_bearer({}, Secret())


def test_a_token_is_compared_whole() -> None:
    assert has_bearer(bearer(Secret("token")), Secret("token"))
    for wrong in ("Bearer toke", "Bearer token2", "Bearer Token", "Basic token", "token", "Bearer \ud800"):
        assert not has_bearer(header(wrong), Secret("token"))


@given(st.text())
def test_no_header_raises(value: str) -> None:
    assert not has_basic(header(value), "user", PASSWORD)
    assert not has_bearer(header(value), Secret("token \u00e9"))
