"""Whose address counts when a request came through proxies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.networks import is_within, networks, origin

PROXY, OUTER, CALLER, LIAR = "10.0.0.7", "192.168.1.1", "203.0.113.5", "198.51.100.9"
PROXIES = networks(["10.0.0.0/8", OUTER, "::1"])


@pytest.mark.parametrize("entry", ["", "x", "10.0.0.1/8", "10.0.0.0/33", "bridge.example", "1.2.3"])
def test_what_is_no_network_is_refused_with_an_example(entry: str) -> None:
    with pytest.raises(ValueError, match=r"write an address, or a network such as 203\.0\.113\.0/24"):
        networks([entry])


@pytest.mark.parametrize(
    ("address", "within"),
    [
        (PROXY, True),
        ("::ffff:10.0.0.7", True),
        ("::1", True),
        (OUTER, True),
        ("192.168.1.2", False),
        ("::2", False),
        ("", False),
        ("10.0.0", False),
        ("10.0.0.7:80", False),
    ],
)
def test_an_address_is_within_or_not(address: str, within: bool) -> None:
    assert is_within(address, PROXIES) is within
    assert not is_within(address, networks([]))


@pytest.mark.parametrize(
    ("peer", "forwarded", "began"),
    [
        pytest.param(LIAR, [CALLER], LIAR, id="a stranger's word is not taken"),
        pytest.param(PROXY, [CALLER], CALLER, id="our proxy's is"),
        pytest.param("::ffff:10.0.0.7", [CALLER], CALLER, id="however its address is written"),
        pytest.param(PROXY, [f"{CALLER}, {LIAR}"], LIAR, id="what the caller wrote before it is not"),
        pytest.param(PROXY, [CALLER, LIAR], LIAR, id="in whatever header it stands"),
        pytest.param(PROXY, [f"{LIAR},{CALLER} , {OUTER}"], CALLER, id="two proxies"),
        pytest.param(PROXY, [CALLER, OUTER, "10.9.9.9"], CALLER, id="three, each with a header of its own"),
        pytest.param(PROXY, ["::ffff:203.0.113.5"], CALLER, id="an address for both families"),
        pytest.param(PROXY, ["2001:db8::5"], "2001:db8::5", id="IPv6"),
        pytest.param(PROXY, [], PROXY, id="nothing forwarded"),
        pytest.param(PROXY, [""], PROXY, id="nobody forwarded"),
        pytest.param(PROXY, [f"{CALLER}, unknown"], PROXY, id="no address"),
        pytest.param(PROXY, [f"{CALLER}, {OUTER}:443"], PROXY, id="an address with a port"),
        pytest.param(PROXY, [f"nonsense, {CALLER}"], CALLER, id="nonsense before the one that counts"),
        pytest.param(PROXY, [OUTER], PROXY, id="one of our own asked"),
        pytest.param("", [CALLER], "", id="no peer"),
    ],
)
def test_a_request_began_where_our_own_proxies_say(peer: str, forwarded: list[str], began: str) -> None:
    assert origin(peer, forwarded, PROXIES) == began
    assert origin(peer, forwarded, networks([])) == peer


@given(st.lists(st.text(max_size=20), max_size=4))
def test_what_a_stranger_writes_counts_for_nothing(written: list[str]) -> None:
    assert origin(LIAR, written, PROXIES) == LIAR
    assert origin(PROXY, [*written, CALLER], PROXIES) == CALLER
