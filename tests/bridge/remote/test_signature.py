"""How an agent knows that it is the bridge that asks."""

from __future__ import annotations

import pytest

from bridge.remote.signature import TOLERANCE_S, is_signed, signature
from bridge.secret import Secret

SECRET, NOW_S = Secret("a secret"), 1_700_000_000
BODY = b'{"events": []}'
GOOD = signature(SECRET, BODY, NOW_S)
#: Made with: printf '1700000000.{"events": []}' | openssl dgst -sha256 -hmac 'a secret'
KNOWN = "16fba0f2e0da803f6344d2c21b3418c01848e2117e05fc587f0eef2ae77f2fcb"


def test_it_is_what_others_compute() -> None:
    assert f"t=1700000000,v1={KNOWN}" == GOOD


TAKEN = [
    (GOOD, NOW_S),
    (GOOD.replace(",", " , "), NOW_S),
    (f"{GOOD},v1={'0' * 64}", NOW_S),
    (f"v1={'0' * 64},{GOOD}", NOW_S),
    (f"{GOOD},v2=whatever", NOW_S),
    (GOOD, NOW_S + TOLERANCE_S),
    (GOOD, NOW_S - TOLERANCE_S),
]
REFUSED = [
    ("", NOW_S),
    ("t=,v1=", NOW_S),
    (GOOD.upper(), NOW_S),
    (GOOD[:-1], NOW_S),
    (GOOD.replace("t=17", "t=18"), NOW_S),
    (f"t=1,{GOOD}", NOW_S),
    (GOOD.replace("t=1700000000", "t=1700000000.0"), NOW_S),
    (GOOD.replace("1700000000", "１７０００００００"), NOW_S),
    (GOOD.replace("v1", "v0"), NOW_S),
    (GOOD, NOW_S + TOLERANCE_S + 1),
    (GOOD, NOW_S - TOLERANCE_S - 1),
    (f"t={'9' * 4000},v1={'0' * 64}", NOW_S),
]


@pytest.mark.parametrize("header, now_s", TAKEN)
def test_a_right_one_is_taken(header: str, now_s: float) -> None:
    assert is_signed(header, SECRET, BODY, now_s)


@pytest.mark.parametrize("header, now_s", REFUSED)
def test_any_other_is_not(header: str, now_s: float) -> None:
    assert not is_signed(header, SECRET, BODY, now_s)


def test_it_is_of_this_body_and_this_secret() -> None:
    assert not is_signed(GOOD, SECRET, BODY + b" ", NOW_S)
    assert not is_signed(GOOD, Secret("another"), BODY, NOW_S)
    assert not is_signed(signature(Secret(), BODY, NOW_S), Secret(), BODY, NOW_S), "no secret is none"
